/*
 * The grammar as an automaton: what may come next, and what is open. No recursion, so that nesting
 * costs a bit a level.
 */
#include "qga-protocol/json-grammar.h"

#include <string.h>

#include "qga-protocol/json-string.h"

/* Bytes of a keyword that a message shows; the framer cuts messages too, but must not get one of a
 * megabyte. */
#define SHOWN_MAX 1024

static char *keyword_fault(const char *text, gsize n_bytes)
{
    static const char *const keywords[] = {"true", "false", "null"};

    for (guint i = 0; i < G_N_ELEMENTS(keywords); i++) {
        if (n_bytes == strlen(keywords[i]) && memcmp(text, keywords[i], n_bytes) == 0)
            return NULL;
    }
    return g_strdup_printf("invalid keyword '%.*s'", (int)MIN(n_bytes, SHOWN_MAX), text);
}

static char *open_container(QgaGrammar *grammar, gboolean is_object)
{
    guint64 bit = G_GUINT64_CONSTANT(1) << grammar->depth;

    grammar->is_object = is_object ? grammar->is_object | bit : grammar->is_object & ~bit;
    grammar->depth++;
    grammar->expect = is_object ? QGA_EXPECT_KEY_OR_CLOSE : QGA_EXPECT_VALUE_OR_CLOSE;
    return NULL;
}

static char *close_container(QgaGrammar *grammar)
{
    grammar->depth--;
    grammar->expect = QGA_EXPECT_COMMA_OR_CLOSE;
    return NULL;
}

static char *accept_value(QgaGrammar *grammar, QgaToken token, const char *text, gsize n_bytes)
{
    grammar->expect = QGA_EXPECT_COMMA_OR_CLOSE;
    switch (token) {
    case QGA_TOKEN_OPEN_BRACE:
    case QGA_TOKEN_OPEN_BRACKET:
        return open_container(grammar, token == QGA_TOKEN_OPEN_BRACE);
    case QGA_TOKEN_STRING:
        return qga_json_string_fault(text, n_bytes);
    case QGA_TOKEN_KEYWORD:
        return keyword_fault(text, n_bytes);
    case QGA_TOKEN_NUMBER:
        return NULL;
    default:
        return g_strdup("expecting value");
    }
}

static char *accept_key(QgaGrammar *grammar, QgaToken token, const char *text, gsize n_bytes)
{
    grammar->expect = QGA_EXPECT_COLON;
    return token == QGA_TOKEN_STRING ? qga_json_string_fault(text, n_bytes)
                                     : g_strdup("expecting key");
}

static char *accept_separator(QgaGrammar *grammar, QgaToken token)
{
    if (grammar->is_object >> (grammar->depth - 1) & 1) {
        if (token == QGA_TOKEN_CLOSE_BRACE)
            return close_container(grammar);
        grammar->expect = QGA_EXPECT_KEY;
        return token == QGA_TOKEN_COMMA ? NULL : g_strdup("expected ',' or '}'");
    }
    if (token == QGA_TOKEN_CLOSE_BRACKET)
        return close_container(grammar);
    grammar->expect = QGA_EXPECT_VALUE;
    return token == QGA_TOKEN_COMMA ? NULL : g_strdup("expected ',' or ']'");
}

char *qga_grammar_accept(QgaGrammar *grammar, QgaToken token, const char *text, gsize n_bytes)
{
    switch (grammar->expect) {
    case QGA_EXPECT_VALUE_OR_CLOSE:
        if (token == QGA_TOKEN_CLOSE_BRACKET)
            return close_container(grammar);
        return accept_value(grammar, token, text, n_bytes);
    case QGA_EXPECT_KEY_OR_CLOSE:
        if (token == QGA_TOKEN_CLOSE_BRACE)
            return close_container(grammar);
        return accept_key(grammar, token, text, n_bytes);
    case QGA_EXPECT_KEY:
        return accept_key(grammar, token, text, n_bytes);
    case QGA_EXPECT_COLON:
        grammar->expect = QGA_EXPECT_VALUE;
        return token == QGA_TOKEN_COLON ? NULL : g_strdup("expecting ':'");
    case QGA_EXPECT_COMMA_OR_CLOSE:
        return accept_separator(grammar, token);
    case QGA_EXPECT_VALUE:
        break;
    }
    return accept_value(grammar, token, text, n_bytes);
}
