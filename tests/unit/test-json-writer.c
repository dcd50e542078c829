/*
 * The JSON writer and the queue of bytes it writes to.
 */
#include <math.h>
#include <string.h>

#include "qga-protocol/json-writer.h"

static void assert_written(QgaOutQueue *queue, const char *expected)
{
    char *text = qga_out_queue_take_text(queue);

    g_assert_cmpstr(text, ==, expected);
    g_free(text);
}

static void test_layout(void)
{
    QgaOutQueue *queue = qga_out_queue_new();
    QgaWriter writer;

    qga_writer_init(&writer, queue);
    qga_writer_begin_object(&writer);
    qga_writer_key(&writer, "return");
    qga_writer_begin_object(&writer);
    qga_writer_member_int(&writer, "a", 1);
    qga_writer_member_array(&writer, "b");
    qga_writer_int(&writer, 1);
    qga_writer_uint(&writer, 2);
    qga_writer_begin_object(&writer);
    qga_writer_end_object(&writer);
    qga_writer_begin_array(&writer);
    qga_writer_end_array(&writer);
    qga_writer_end_array(&writer);
    qga_writer_member_bool(&writer, "c", TRUE);
    qga_writer_member_object(&writer, "d");
    qga_writer_member_string(&writer, "e", NULL);
    qga_writer_end_object(&writer);
    g_assert_cmpuint(qga_writer_depth(&writer), ==, 2);
    qga_writer_end_object(&writer);
    qga_writer_end_object(&writer);
    g_assert_cmpuint(qga_writer_depth(&writer), ==, 0);
    assert_written(queue, "{\"return\": {\"a\": 1, \"b\": [1, 2, {}, []], \"c\": true, "
                          "\"d\": {\"e\": null}}}");
    qga_out_queue_free(queue);
}

static void test_numbers(void)
{
    QgaOutQueue *queue = qga_out_queue_new();
    QgaWriter writer;

    qga_writer_init(&writer, queue);
    qga_writer_begin_array(&writer);
    qga_writer_int(&writer, G_MININT64);
    qga_writer_int(&writer, G_MAXINT64);
    qga_writer_int(&writer, 0);
    qga_writer_uint(&writer, G_MAXUINT64);
    qga_writer_double(&writer, 1.5);
    qga_writer_double(&writer, 0.1);
    qga_writer_double(&writer, INFINITY);
    qga_writer_double(&writer, NAN);
    qga_writer_bool(&writer, FALSE);
    qga_writer_null(&writer);
    qga_writer_end_array(&writer);
    assert_written(queue, "[-9223372036854775808, 9223372036854775807, 0, 18446744073709551615, "
                          "1.5, 0.10000000000000001, null, null, false, null]");
    qga_out_queue_free(queue);
}

static void test_strings(void)
{
    static const struct {
        const char *value;
        const char *written;
    } rows[] = {
        {"", "\"\""},
        {"plain /'", "\"plain /'\""},
        {"\"\\\b\f\n\r\t", "\"\\\"\\\\\\b\\f\\n\\r\\t\""},
        {"\x01\x1F\x7F", "\"\\u0001\\u001F\\u007F\""},
        {"\xC3\xA9", "\"\\u00E9\""},
        {"\xE2\x82\xAC.", "\"\\u20AC.\""},
        {"\xF0\x9F\x98\x80", "\"\\uD83D\\uDE00\""},
        {"\xF4\x8F\xBF\xBD", "\"\\uDBFF\\uDFFD\""},
        /* not UTF-8: one U+FFFD for what belongs together */
        {"\xFF", "\"\\uFFFD\""},
        {"a\x80z", "\"a\\uFFFDz\""},
        {"\xC3(", "\"\\uFFFD(\""},
        {"\xE2\x82", "\"\\uFFFD\""},
        {"\xC0\x80", "\"\\uFFFD\""},
        {"\xED\xA0\x80", "\"\\uFFFD\""},
        {"\xEF\xBF\xBF", "\"\\uFFFD\""},
        {"\xF4\x90\x80\x80", "\"\\uFFFD\""},
    };
    QgaOutQueue *queue = qga_out_queue_new();

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        QgaWriter writer;

        qga_writer_init(&writer, queue);
        qga_writer_string(&writer, rows[i].value);
        assert_written(queue, rows[i].written);
    }
    qga_out_queue_free(queue);
}

static void test_bytes_with_nul(void)
{
    QgaOutQueue *queue = qga_out_queue_new();
    QgaWriter writer;

    qga_writer_init(&writer, queue);
    qga_writer_string_bytes(&writer, "a\0b", 3);
    assert_written(queue, "\"a\\u0000b\"");
    qga_out_queue_free(queue);
}

static void test_node(void)
{
    static const char text[] =
        "{\"z\": [1, -1.5, true, null, \"\\u00E9\", {}], \"a\": {\"b\": []}}";
    QgaOutQueue *queue = qga_out_queue_new();
    GError *error = NULL;
    JsonNode *node = json_from_string(text, &error);
    QgaWriter writer;

    g_assert_no_error(error);
    qga_writer_init(&writer, queue);
    qga_writer_node(&writer, node);
    assert_written(queue, text);
    qga_writer_init(&writer, queue);
    qga_writer_node(&writer, NULL);
    assert_written(queue, "null");
    json_node_unref(node);
    qga_out_queue_free(queue);
}

/* What was read is written again: numbers digit for digit, strings escaped anew. */
static void test_json_text(void)
{
    static const struct {
        const char *text;
        const char *written;
    } rows[] = {
        {"18446744073709551615", "18446744073709551615"},
        {"-0.10E+400", "-0.10E+400"},
        {"null", "null"},
        {"{\"a\":[1,{},\"b,:c\"],'d':'\"'}", "{\"a\": [1, {}, \"b,:c\"], \"d\": \"\\\"\"}"},
        {"\"\\u00e9\xC3\xA9\\ud83d\\ude00\\'\\/\"", "\"\\u00E9\\u00E9\\uD83D\\uDE00'/\""},
    };
    QgaOutQueue *queue = qga_out_queue_new();

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        QgaWriter writer;
        char *twice = g_strdup_printf("[%s, %s]", rows[i].written, rows[i].written);

        qga_writer_init(&writer, queue);
        qga_writer_begin_array(&writer);
        qga_writer_json_text(&writer, rows[i].text, strlen(rows[i].text));
        qga_writer_json_text(&writer, rows[i].text, strlen(rows[i].text));
        qga_writer_end_array(&writer);
        assert_written(queue, twice);
        g_free(twice);
    }
    qga_out_queue_free(queue);
}

static void test_nowhere(void)
{
    QgaWriter writer;

    qga_writer_init(&writer, NULL);
    qga_writer_begin_object(&writer);
    qga_writer_member_string(&writer, "a", "b");
    qga_writer_end_object(&writer);
    g_assert_cmpuint(qga_writer_depth(&writer), ==, 0);
}

/* Random appends, consumes and truncates do what they would do to one string. */
static void test_queue(void)
{
    QgaOutQueue *queue = qga_out_queue_new();
    GString *model = g_string_new(NULL);
    guint8 next = 0;

    for (guint round = 0; round < 3000; round++) {
        gint what = g_test_rand_int_range(0, 4);
        gsize n = (gsize)g_test_rand_int_range(0, g_test_rand_bit() ? 100 : 70000);
        const guint8 *bytes;

        if (what <= 1) {
            guint8 *block = g_malloc(n + 1);

            for (gsize i = 0; i < n; i++)
                block[i] = next++;
            qga_out_queue_append(queue, block, n);
            g_string_append_len(model, (const char *)block, (gssize)n);
            g_free(block);
        } else if (what == 2) {
            qga_out_queue_consume(queue, MIN(n, model->len));
            g_string_erase(model, 0, (gssize)MIN(n, model->len));
        } else {
            qga_out_queue_truncate(queue, MIN(n, model->len));
            g_string_truncate(model, model->len - MIN(n, model->len));
        }
        g_assert_cmpuint(qga_out_queue_size(queue), ==, model->len);
        n = qga_out_queue_peek(queue, &bytes);
        g_assert_true((n == 0) == (model->len == 0));
        g_assert_cmpuint(n, <=, QGA_OUT_CHUNK_BYTES);
        g_assert_true(n == 0 || memcmp(bytes, model->str, n) == 0);
        if (model->len > 1024 * 1024) {
            char *all = qga_out_queue_take_text(queue);

            g_assert_true(memcmp(all, model->str, model->len) == 0);
            g_string_truncate(model, 0);
            g_free(all);
        }
    }
    qga_out_queue_clear(queue);
    g_assert_cmpuint(qga_out_queue_size(queue), ==, 0);
    g_string_free(model, TRUE);
    qga_out_queue_free(queue);
    qga_out_queue_free(NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json-writer/layout", test_layout);
    g_test_add_func("/json-writer/numbers", test_numbers);
    g_test_add_func("/json-writer/strings", test_strings);
    g_test_add_func("/json-writer/bytes-with-nul", test_bytes_with_nul);
    g_test_add_func("/json-writer/node", test_node);
    g_test_add_func("/json-writer/json-text", test_json_text);
    g_test_add_func("/json-writer/nowhere", test_nowhere);
    g_test_add_func("/out-queue/random", test_queue);
    return g_test_run();
}
