#include "framer-check.h"

#include <string.h>

#include "qga-protocol/framer.h"
#include "qga-protocol/json-reader.h"
#include "qga-protocol/json-writer.h"

/* MESSAGE written by the writer; a string of its own. */
static char *rewrite(const char *message, gsize n_bytes)
{
    QgaOutQueue *queue = qga_out_queue_new();
    GString *text = g_string_new(NULL);
    const guint8 *bytes;
    QgaWriter writer;
    gsize n;

    qga_writer_init(&writer, queue);
    qga_writer_json_text(&writer, message, n_bytes);
    while ((n = qga_out_queue_peek(queue, &bytes)) > 0) {
        g_string_append_len(text, (const char *)bytes, (gssize)n);
        qga_out_queue_consume(queue, n);
    }
    qga_out_queue_free(queue);
    return g_string_free(text, FALSE);
}

/* A number of so many digits may be beyond int64, and json-glib would read another one. */
static gboolean has_long_number(const char *text)
{
    guint n_digits = 0;

    for (; *text != '\0' && n_digits < 19; text++)
        n_digits = g_ascii_isdigit(*text) ? n_digits + 1 : 0;
    return n_digits == 19;
}

static void check_with_json_glib(JsonNode *node, const char *text)
{
    GError *error = NULL;
    JsonParser *parser;

    if (has_long_number(text))
        return;
    parser = json_parser_new();
    json_parser_load_from_data(parser, text, -1, &error);
    g_assert_no_error(error);
    g_assert_true(json_node_equal(json_parser_get_root(parser), node));
    g_object_unref(parser);
}

void framer_check_message(const char *text, gsize n_bytes)
{
    static const QgaJsonLimits limits = {QGA_FRAMER_MAX_BYTES, QGA_FRAMER_MAX_TOKENS,
                                         QGA_FRAMER_MAX_NESTING, QGA_FRAMER_MAX_BYTES};
    GError *error = NULL;
    JsonNode *node = qga_json_parse(text, n_bytes, &limits, NULL, &error);
    char *once = rewrite(text, n_bytes);
    char *line = g_strconcat(once, "\n", NULL);
    QgaFramer *framer = qga_framer_new();
    QgaFrame frame;
    char *twice;

    g_assert_true((node != NULL) == (error == NULL));
    for (const char *p = once; *p != '\0'; p++)
        g_assert_true(*p >= 0x20 && *p < 0x7F);
    qga_framer_feed(framer, (const guint8 *)line, strlen(line), &frame);
    /* Escapes may make it too long to be a message again. */
    if (strlen(once) <= QGA_FRAMER_MAX_BYTES) {
        g_assert_cmpint(frame.kind, ==, QGA_FRAME_MESSAGE);
        twice = rewrite(frame.text, frame.n_bytes);
        g_assert_cmpstr(once, ==, twice);
        g_free(twice);
    }
    if (node != NULL)
        check_with_json_glib(node, once);
    qga_framer_free(framer);
    g_free(once);
    g_free(line);
    g_clear_error(&error);
    g_clear_pointer(&node, json_node_unref);
}
