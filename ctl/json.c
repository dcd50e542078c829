#include "ctl/json.h"

#include <stdio.h>

#include "ctl/errors.h"
#include "qga-protocol/json-grammar.h"
#include "qga-protocol/json-lexer.h"
#include "qga-protocol/json-text.h"
#include "qga-protocol/json-writer.h"

/* ---- strictly, and within limits ---- */

typedef struct {
    GString *text; /* the tokens without what is between them */
    gsize token_start;
    QgaGrammar grammar;
    guint n_tokens;
} Checker;

/* Whether the token that TEXT ends with fits. FALSE with PROBLEM to free. */
static gboolean accept(Checker *checker, QgaToken token, char **problem)
{
    gboolean opens = token == QGA_TOKEN_OPEN_BRACE || token == QGA_TOKEN_OPEN_BRACKET;

    if (++checker->n_tokens > CTL_JSON_MAX_TOKENS)
        *problem = g_strdup("too many values");
    else if (opens && checker->grammar.depth >= QGA_GRAMMAR_MAX_NESTING)
        *problem = g_strdup("nested too deeply");
    else if (checker->n_tokens > 1 && checker->grammar.depth == 0)
        *problem = g_strdup("more than one value");
    else
        *problem =
            qga_grammar_accept(&checker->grammar, token, checker->text->str + checker->token_start,
                               checker->text->len - checker->token_start);
    checker->token_start = checker->text->len;
    return *problem == NULL;
}

/* Fills checker->text. A newline at the end ends a number. */
static char *check(Checker *checker, const char *text, gsize n_bytes)
{
    QgaLexState lex = QGA_LEX_START;
    char *problem = NULL;

    for (gsize i = 0; i <= n_bytes;) {
        QgaLexState before = lex;
        gboolean taken;
        char byte = i < n_bytes ? text[i] : '\n';
        QgaToken token = qga_lexer_step(&lex, (guint8)byte, &taken);

        if (taken && !(before == QGA_LEX_START && lex == QGA_LEX_START && token == QGA_TOKEN_NONE))
            g_string_append_c(checker->text, byte);
        i += taken ? 1 : 0;
        if (token == QGA_TOKEN_BAD)
            return g_strdup("a byte that fits nowhere");
        if (token != QGA_TOKEN_NONE && !accept(checker, token, &problem))
            return problem;
    }
    if (lex != QGA_LEX_START || checker->n_tokens == 0 || checker->grammar.depth != 0)
        return g_strdup("it is not whole");
    return NULL;
}

JsonNode *ctl_json_parse(const char *text, gsize n_bytes, GError **error)
{
    Checker checker = {.text = g_string_sized_new(n_bytes + 1)};
    g_autoptr(GError) wrong = NULL;
    g_autofree char *problem = check(&checker, text, n_bytes);
    JsonNode *node = NULL;

    if (!problem) {
        QgaJsonCursor cursor = {.at = checker.text->str,
                                .end = checker.text->str + checker.text->len};
        node = qga_json_read_value(&cursor, &wrong);
    }
    if (!node)
        g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION, "the answer is not JSON: %s",
                    problem ? problem : wrong->message);
    g_string_free(checker.text, TRUE);
    return node;
}

/* ---- members ---- */

static JsonNode *member(JsonObject *object, const char *name)
{
    return object && json_object_has_member(object, name) ? json_object_get_member(object, name)
                                                          : NULL;
}

static gboolean is_value(JsonNode *node, GType type)
{
    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type;
}

const char *ctl_json_string(JsonObject *object, const char *name)
{
    JsonNode *node = member(object, name);

    return is_value(node, G_TYPE_STRING) ? json_node_get_string(node) : "";
}

gint64 ctl_json_int(JsonObject *object, const char *name, gint64 missing)
{
    JsonNode *node = member(object, name);

    return is_value(node, G_TYPE_INT64) ? json_node_get_int(node) : missing;
}

guint64 ctl_json_uint(JsonObject *object, const char *name)
{
    gint64 value = ctl_json_int(object, name, 0);

    return value > 0 ? (guint64)value : 0;
}

gboolean ctl_json_bool(JsonObject *object, const char *name)
{
    JsonNode *node = member(object, name);

    return is_value(node, G_TYPE_BOOLEAN) && json_node_get_boolean(node);
}

JsonObject *ctl_json_as_object(JsonNode *node)
{
    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

JsonArray *ctl_json_as_array(JsonNode *node)
{
    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

JsonObject *ctl_json_object(JsonObject *object, const char *name)
{
    return ctl_json_as_object(member(object, name));
}

JsonArray *ctl_json_array(JsonObject *object, const char *name)
{
    return ctl_json_as_array(member(object, name));
}

guint ctl_json_length(JsonArray *array)
{
    return array ? json_array_get_length(array) : 0;
}

JsonObject *ctl_json_object_at(JsonArray *array, guint i)
{
    return ctl_json_as_object(json_array_get_element(array, i));
}

const char *ctl_json_string_at(JsonArray *array, guint i)
{
    JsonNode *node = json_array_get_element(array, i);

    return is_value(node, G_TYPE_STRING) ? json_node_get_string(node) : "";
}

/* ---- printing ---- */

void ctl_json_print(JsonNode *node)
{
    QgaOutQueue *queue = qga_out_queue_new();
    QgaWriter writer;
    const guint8 *bytes;
    gsize n;

    qga_writer_init(&writer, queue);
    qga_writer_node(&writer, node);
    while ((n = qga_out_queue_peek(queue, &bytes)) > 0) {
        fwrite(bytes, 1, n, stdout);
        qga_out_queue_consume(queue, n);
    }
    qga_out_queue_free(queue);
    putchar('\n');
    fflush(stdout);
}
