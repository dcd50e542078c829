/*
 * The writer. Of text, whether a comma is due is all the state there is: it is after a value, and
 * is not after a key or an opening bracket.
 */
#include "qga-protocol/json-writer.h"

#include <math.h>
#include <string.h>

#include "qga-protocol/json-lexer.h"
#include "qga-protocol/json-string.h"

/* What is put together before it goes to the queue. */
#define SHORT_BYTES 64

void qga_writer_init(QgaWriter *writer, QgaOutQueue *queue)
{
    *writer = (QgaWriter){.queue = queue};
}

void qga_writer_init_sink(QgaWriter *writer, const QgaWriterSink *sink, gpointer target)
{
    *writer = (QgaWriter){.sink = sink, .target = target};
}

guint qga_writer_depth(const QgaWriter *writer)
{
    return writer->depth;
}

static void put(QgaWriter *writer, const char *text, gsize n_bytes)
{
    if (writer->queue != NULL)
        qga_out_queue_append(writer->queue, text, n_bytes);
}

/* TEXT, which ends an item or begins one, with the separator in front of it where one is due: at
 * once, as a list of all blocks has some hundred thousand of them. */
static void put_item(QgaWriter *writer, const char *text, gsize n_bytes,
                     gboolean needs_comma_behind)
{
    char item[SHORT_BYTES + 2] = ", ";

    if (writer->need_comma && n_bytes <= SHORT_BYTES) {
        memcpy(item + 2, text, n_bytes);
        put(writer, item, n_bytes + 2);
    } else {
        if (writer->need_comma)
            put(writer, ", ", 2);
        put(writer, text, n_bytes);
    }
    writer->need_comma = needs_comma_behind;
}

static void open_with(QgaWriter *writer, const char *bracket)
{
    writer->depth++;
    if (writer->sink != NULL)
        writer->sink->begin(writer->target, *bracket == '{');
    else
        put_item(writer, bracket, 1, FALSE);
}

static void close_with(QgaWriter *writer, const char *bracket)
{
    g_assert(writer->depth > 0);
    writer->depth--;
    if (writer->sink != NULL) {
        writer->sink->end(writer->target);
        return;
    }
    put(writer, bracket, 1);
    writer->need_comma = TRUE;
}

void qga_writer_begin_object(QgaWriter *writer)
{
    open_with(writer, "{");
}

void qga_writer_end_object(QgaWriter *writer)
{
    close_with(writer, "}");
}

void qga_writer_begin_array(QgaWriter *writer)
{
    open_with(writer, "[");
}

void qga_writer_end_array(QgaWriter *writer)
{
    close_with(writer, "]");
}

static gboolean is_plain(char byte)
{
    return byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
}

/* TEXT in quotes, and BEHIND. FALSE: it is long, or something in it needs an escape. */
static gboolean put_short(QgaWriter *writer, const char *text, const char *behind,
                          gboolean needs_comma_behind)
{
    char item[SHORT_BYTES] = "\"";
    gsize n = 1;

    while (is_plain(*text) && n < SHORT_BYTES - 4)
        item[n++] = *text++;
    if (*text != '\0')
        return FALSE;
    item[n++] = '"';
    while (*behind != '\0')
        item[n++] = *behind++;
    put_item(writer, item, n, needs_comma_behind);
    return TRUE;
}

void qga_writer_key(QgaWriter *writer, const char *key)
{
    if (writer->sink != NULL) {
        writer->sink->key(writer->target, key);
        return;
    }
    if (put_short(writer, key, ": ", FALSE))
        return;
    qga_writer_string(writer, key);
    put(writer, ": ", 2);
    writer->need_comma = FALSE;
}

static void put_scalar(QgaWriter *writer, const char *text)
{
    put_item(writer, text, strlen(text), TRUE);
}

static void put_integer(QgaWriter *writer, gboolean is_negative, guint64 absolute)
{
    char text[24];
    gsize at = sizeof text;

    do {
        text[--at] = (char)('0' + absolute % 10);
        absolute /= 10;
    } while (absolute > 0);
    if (is_negative)
        text[--at] = '-';
    put_item(writer, text + at, sizeof text - at, TRUE);
}

void qga_writer_int(QgaWriter *writer, gint64 value)
{
    if (writer->sink != NULL)
        writer->sink->int64(writer->target, value);
    else
        put_integer(writer, value < 0, value < 0 ? -(guint64)value : (guint64)value);
}

void qga_writer_uint(QgaWriter *writer, guint64 value)
{
    if (writer->sink == NULL)
        put_integer(writer, FALSE, value);
    else if (value <= G_MAXINT64)
        writer->sink->int64(writer->target, (gint64)value);
    else
        writer->sink->uint64(writer->target, value);
}

void qga_writer_double(QgaWriter *writer, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    if (!isfinite(value))
        qga_writer_null(writer);
    else if (writer->sink != NULL)
        writer->sink->real(writer->target, value);
    else
        put_scalar(writer, g_ascii_dtostr(text, sizeof text, value));
}

void qga_writer_bool(QgaWriter *writer, gboolean value)
{
    if (writer->sink != NULL)
        writer->sink->boolean(writer->target, value);
    else
        put_scalar(writer, value ? "true" : "false");
}

void qga_writer_null(QgaWriter *writer)
{
    if (writer->sink != NULL)
        writer->sink->null(writer->target);
    else
        put_scalar(writer, "null");
}

/* CP as it stands in a string, escaped where QEMU escapes (qobject/qjson.c, to_json). */
static void put_escaped(QgaWriter *writer, gint32 cp)
{
    static const char letters[] = "\"\\bfnrt";
    static const char meanings[] = "\"\\\b\f\n\r\t";
    const char *found = cp > 0 && cp < 0x80 ? strchr(meanings, (char)cp) : NULL;
    char text[16];

    if (found != NULL)
        g_snprintf(text, sizeof text, "\\%c", letters[found - meanings]);
    else if (cp >= 0x10000)
        g_snprintf(text, sizeof text, "\\u%04X\\u%04X", 0xD800 + ((cp - 0x10000) >> 10),
                   0xDC00 + ((cp - 0x10000) & 0x3FF));
    else
        g_snprintf(text, sizeof text, "\\u%04X", cp < 0 ? 0xFFFD : cp);
    put(writer, text, strlen(text));
}

/* What is no character becomes U+FFFD, as in text. */
static void sink_string(QgaWriter *writer, const char *bytes, gsize n_bytes)
{
    g_autoptr(GString) clean = g_string_sized_new(n_bytes);
    const char *p = bytes;

    while (p < bytes + n_bytes) {
        gint32 cp = qga_utf8_next(&p, bytes + n_bytes);

        g_string_append_unichar(clean, cp > 0 ? (gunichar)cp : 0xFFFD);
    }
    writer->sink->string(writer->target, clean->str);
}

void qga_writer_string_bytes(QgaWriter *writer, const char *bytes, gsize n_bytes)
{
    const char *p = bytes;
    const char *end = bytes + n_bytes;

    if (writer->sink != NULL) {
        sink_string(writer, bytes, n_bytes);
        return;
    }
    put_item(writer, "\"", 1, TRUE);
    while (p < end) {
        const char *begin = p;

        while (p < end && is_plain(*p))
            p++;
        if (p > begin)
            put(writer, begin, (gsize)(p - begin));
        if (p < end)
            put_escaped(writer, qga_utf8_next(&p, end));
    }
    put(writer, "\"", 1);
}

void qga_writer_string(QgaWriter *writer, const char *value)
{
    if (value == NULL)
        qga_writer_null(writer);
    else if (writer->sink != NULL || !put_short(writer, value, "", TRUE))
        qga_writer_string_bytes(writer, value, strlen(value));
}

static void write_object(QgaWriter *writer, JsonObject *object)
{
    JsonObjectIter iter;
    const char *key;
    JsonNode *node;

    qga_writer_begin_object(writer);
    json_object_iter_init_ordered(&iter, object);
    while (json_object_iter_next_ordered(&iter, &key, &node)) {
        qga_writer_key(writer, key);
        qga_writer_node(writer, node);
    }
    qga_writer_end_object(writer);
}

static void write_array(QgaWriter *writer, JsonArray *array)
{
    guint n = json_array_get_length(array);

    qga_writer_begin_array(writer);
    for (guint i = 0; i < n; i++)
        qga_writer_node(writer, json_array_get_element(array, i));
    qga_writer_end_array(writer);
}

void qga_writer_node(QgaWriter *writer, JsonNode *node)
{
    if (node == NULL || JSON_NODE_HOLDS_NULL(node))
        qga_writer_null(writer);
    else if (JSON_NODE_HOLDS_OBJECT(node))
        write_object(writer, json_node_get_object(node));
    else if (JSON_NODE_HOLDS_ARRAY(node))
        write_array(writer, json_node_get_array(node));
    else if (json_node_get_value_type(node) == G_TYPE_STRING)
        qga_writer_string(writer, json_node_get_string(node));
    else if (json_node_get_value_type(node) == G_TYPE_BOOLEAN)
        qga_writer_bool(writer, json_node_get_boolean(node));
    else if (json_node_get_value_type(node) == G_TYPE_INT64)
        qga_writer_int(writer, json_node_get_int(node));
    else
        qga_writer_double(writer, json_node_get_double(node));
}

void qga_writer_json_text(QgaWriter *writer, const char *text, gsize n_bytes)
{
    const char *at = text;
    const char *end = text + n_bytes;
    const char *begin;
    QgaToken token;

    g_assert(writer->sink == NULL);
    put_item(writer, "", 0, TRUE);
    while ((token = qga_lexer_next(&at, end, &begin)) > QGA_TOKEN_BAD) {
        if (token == QGA_TOKEN_STRING) {
            g_autofree char *string = qga_json_string_decode(begin, (gsize)(at - begin));

            writer->need_comma = FALSE;
            qga_writer_string(writer, string);
        } else {
            put(writer, begin, (gsize)(at - begin));
            if (token == QGA_TOKEN_COMMA || token == QGA_TOKEN_COLON)
                put(writer, " ", 1);
        }
    }
    writer->need_comma = TRUE;
}

void qga_writer_member_int(QgaWriter *writer, const char *key, gint64 value)
{
    qga_writer_key(writer, key);
    qga_writer_int(writer, value);
}

void qga_writer_member_uint(QgaWriter *writer, const char *key, guint64 value)
{
    qga_writer_key(writer, key);
    qga_writer_uint(writer, value);
}

void qga_writer_member_bool(QgaWriter *writer, const char *key, gboolean value)
{
    qga_writer_key(writer, key);
    qga_writer_bool(writer, value);
}

void qga_writer_member_string(QgaWriter *writer, const char *key, const char *value)
{
    qga_writer_key(writer, key);
    qga_writer_string(writer, value);
}

void qga_writer_member_object(QgaWriter *writer, const char *key)
{
    qga_writer_key(writer, key);
    qga_writer_begin_object(writer);
}

void qga_writer_member_array(QgaWriter *writer, const char *key)
{
    qga_writer_key(writer, key);
    qga_writer_begin_array(writer);
}
