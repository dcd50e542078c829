/*
 * The reader. Tokens come from the lexer, the grammar judges them, and what it passes goes into the
 * innermost open object or array. No recursion: what is open stands in a small array.
 */
#include "qga-protocol/json-reader.h"

#include <string.h>

#include "qga-protocol/errors.h"
#include "qga-protocol/json-grammar.h"
#include "qga-protocol/json-lexer.h"
#include "qga-protocol/json-string.h"

/* An object or an array that is open. */
typedef struct {
    JsonNode *node;
    char *key; /* that waits for its value, or NULL */
} Level;

typedef struct {
    QgaGrammar grammar;
    Level levels[QGA_GRAMMAR_MAX_NESTING];
    guint depth;
    JsonNode *root; /* the value, once it is whole */
    QgaJsonMark *mark;
} Reader;

static gboolean fail(GError **error, const char *before, const char *what)
{
    g_set_error(error, QGA_ERROR, QGA_CLASS_GENERIC, "JSON %s%s", before, what);
    return FALSE;
}

/* Takes NODE, a value that is whole and ends at END. */
static void add_value(Reader *reader, JsonNode *node, const char *end)
{
    Level *level = reader->depth > 0 ? &reader->levels[reader->depth - 1] : NULL;
    QgaJsonMark *mark = reader->mark;

    if (level == NULL) {
        reader->root = node;
    } else if (level->key == NULL) {
        json_array_add_element(json_node_get_array(level->node), node);
    } else {
        if (reader->depth == 1 && mark != NULL && strcmp(level->key, mark->name) == 0)
            mark->n_bytes = (gsize)(end - mark->text);
        json_object_set_member(json_node_get_object(level->node), level->key, node);
        g_clear_pointer(&level->key, g_free);
    }
}

static void open_level(Reader *reader, gboolean is_object)
{
    JsonNode *node = json_node_alloc();

    if (is_object)
        json_node_take_object(json_node_init(node, JSON_NODE_OBJECT), json_object_new());
    else
        json_node_take_array(json_node_init(node, JSON_NODE_ARRAY), json_array_new());
    reader->levels[reader->depth++] = (Level){.node = node};
}

static void close_level(Reader *reader, const char *end)
{
    JsonNode *node = reader->levels[--reader->depth].node;

    add_value(reader, node, end);
}

/* Takes KEY. */
static gboolean add_key(Reader *reader, char *key, GError **error)
{
    Level *level = &reader->levels[reader->depth - 1];
    JsonObject *object = json_node_get_object(level->node);

    level->key = key;
    if (json_object_has_member(object, key))
        return fail(error, "parse error, ", "duplicate key");
    if (json_object_get_size(object) == QGA_JSON_MAX_MEMBERS)
        return fail(error, "object member", " limit exceeded");
    return TRUE;
}

static JsonNode *number_from(const char *text, gsize n_bytes)
{
    g_autofree char *digits = g_strndup(text, n_bytes);
    gint64 value;

    if (g_ascii_string_to_signed(digits, 10, G_MININT64, G_MAXINT64, &value, NULL))
        return json_node_init_int(json_node_alloc(), value);
    return json_node_init_double(json_node_alloc(), g_ascii_strtod(digits, NULL));
}

static JsonNode *string_from(const char *text, gsize n_bytes)
{
    g_autofree char *decoded = qga_json_string_decode(text, n_bytes);

    return json_node_init_string(json_node_alloc(), decoded);
}

static JsonNode *keyword_from(const char *text)
{
    if (text[0] == 'n')
        return json_node_init_null(json_node_alloc());
    return json_node_init_boolean(json_node_alloc(), text[0] == 't');
}

/* A token that the grammar has passed; IS_KEY: a string where a key must be. */
static gboolean build(Reader *reader, QgaToken token, const char *text, gsize n_bytes,
                      gboolean is_key, GError **error)
{
    switch (token) {
    case QGA_TOKEN_OPEN_BRACE:
    case QGA_TOKEN_OPEN_BRACKET:
        open_level(reader, token == QGA_TOKEN_OPEN_BRACE);
        return TRUE;
    case QGA_TOKEN_CLOSE_BRACE:
    case QGA_TOKEN_CLOSE_BRACKET:
        close_level(reader, text + n_bytes);
        return TRUE;
    case QGA_TOKEN_STRING:
        if (is_key)
            return add_key(reader, qga_json_string_decode(text, n_bytes), error);
        add_value(reader, string_from(text, n_bytes), text + n_bytes);
        return TRUE;
    case QGA_TOKEN_NUMBER:
        add_value(reader, number_from(text, n_bytes), text + n_bytes);
        return TRUE;
    case QGA_TOKEN_KEYWORD:
        add_value(reader, keyword_from(text), text + n_bytes);
        return TRUE;
    default:
        return TRUE; /* colon, comma */
    }
}

static gboolean take_token(Reader *reader, QgaToken token, const char *text, gsize n_bytes,
                           const QgaJsonLimits *limits, GError **error)
{
    QgaExpect expect = reader->grammar.expect;
    gboolean is_key = expect == QGA_EXPECT_KEY || expect == QGA_EXPECT_KEY_OR_CLOSE;
    gboolean opens = token == QGA_TOKEN_OPEN_BRACE || token == QGA_TOKEN_OPEN_BRACKET;
    QgaJsonMark *mark = reader->mark;

    if (token == QGA_TOKEN_BAD)
        return fail(error, "parse error, ", "a byte that fits nowhere, or the text ends early");
    if (reader->root != NULL)
        return fail(error, "parse error, ", "more than one value");
    if (opens && reader->depth >= MIN(limits->nesting, QGA_GRAMMAR_MAX_NESTING))
        return fail(error, "nesting depth", " limit exceeded");
    if (n_bytes > limits->string_bytes)
        return fail(error, "token size", " limit exceeded");
    g_autofree char *wrong = qga_grammar_accept(&reader->grammar, token, text, n_bytes);
    if (wrong != NULL)
        return fail(error, "parse error, ", wrong);
    if (mark != NULL && expect == QGA_EXPECT_VALUE && reader->depth == 1 &&
        g_strcmp0(reader->levels[0].key, mark->name) == 0)
        mark->text = text;
    return build(reader, token, text, n_bytes, is_key, error);
}

static gboolean read_tokens(Reader *reader, const char *text, gsize n_bytes,
                            const QgaJsonLimits *limits, GError **error)
{
    const char *at = text;
    const char *end = text + n_bytes;
    const char *begin;
    guint n_tokens = 0;
    QgaToken token;

    if (n_bytes > limits->bytes)
        return fail(error, "text size", " limit exceeded");
    while ((token = qga_lexer_next(&at, end, &begin)) != QGA_TOKEN_NONE) {
        if (++n_tokens > limits->tokens)
            return fail(error, "token count", " limit exceeded");
        if (!take_token(reader, token, begin, (gsize)(at - begin), limits, error))
            return FALSE;
    }
    return reader->root != NULL || fail(error, "parse error, ", "the text ends early");
}

JsonNode *qga_json_parse(const char *text, gsize n_bytes, const QgaJsonLimits *limits,
                         QgaJsonMark *mark, GError **error)
{
    Reader reader = {.mark = mark};

    if (mark != NULL)
        mark->text = NULL;
    if (!read_tokens(&reader, text, n_bytes, limits, error)) {
        g_clear_pointer(&reader.root, json_node_unref);
        while (reader.depth-- > 0) {
            g_free(reader.levels[reader.depth].key);
            json_node_unref(reader.levels[reader.depth].node);
        }
    }
    return reader.root;
}
