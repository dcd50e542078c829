/*
 * The reader: what it takes and refuses, its limits, and that it never looks behind the text. Each
 * text lies in memory of its own size, so that the sanitizer sees one byte too many.
 */
#include <string.h>

#include "qga-protocol/errors.h"
#include "qga-protocol/json-reader.h"

static const QgaJsonLimits plenty = {100000, 100000, 64, 100000};

static JsonNode *parse(const char *text, gsize n_bytes, const QgaJsonLimits *limits, GError **error)
{
    g_autofree char *copy = g_memdup(text, (guint)n_bytes);
    QgaJsonMark mark = {.name = "id"};
    JsonNode *node = qga_json_parse(n_bytes > 0 ? copy : "", n_bytes, limits, &mark, error);

    if (node && mark.text)
        g_assert_true(mark.text >= copy && mark.text + mark.n_bytes <= copy + n_bytes);
    return node;
}

static const char *const values[] = {
    "{}",
    "[]",
    "\"\"",
    "''",
    "[true,false,null]",
    "{\"a\":{\"b\":[1,-2.5e+3,'c']},\"id\":[1, {}]}",
    "\"\\u00e9\\uD83D\\uDE00\\n\\'\"",
    "\"\xC3\xA9\xF0\x9F\x98\x80\"",
    " [ 1 , 2 ] ",
    "[9223372036854775808,-0]",
    "{\"id\":\"x\"}",
};

/* A text that is cut at any byte is no value, and no byte behind the cut is read. */
static void test_ends_early(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(values); i++) {
        g_autofree char *text = g_strstrip(g_strdup(values[i]));
        g_autoptr(JsonNode) whole = parse(values[i], strlen(values[i]), &plenty, NULL);

        g_assert_nonnull(whole);
        for (gsize n = 0; n < strlen(text); n++) {
            g_autoptr(GError) error = NULL;
            g_assert_null(parse(text, n, &plenty, &error));
            g_assert_error(error, QGA_ERROR, QGA_CLASS_GENERIC);
        }
    }
}

static void test_refused(void)
{
    static const char *const texts[] = {
        "var x = {}",
        "[01]",
        "[0x10]",
        "[1.]",
        "[+1]",
        "{} {}",
        "1 2",
        "[1 2]",
        "[1,]",
        "{\"a\":1,}",
        "{1:2}",
        "{\"a\" 1}",
        "\"\\x\"",
        "\"\\u0000\"",
        "\"\\uD800\"",
        "\"\xC3\"",
        "\"\xC0\x80\"",
        "\"a\nb\"",
        "nul",
        "nulll",
        "NaN",
        "[",
        "]",
        "{\"a\":1,\"a\":2}",
        "{\"a\":{\"b\":1,\"b\":1}}",
        "{} \xFF",
        "/**/1",
        "",
        " ",
        "-",
        "1e",
    };

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(parse(texts[i], strlen(texts[i]), &plenty, &error));
        g_assert_error(error, QGA_ERROR, QGA_CLASS_GENERIC);
    }
    g_assert_null(parse("1\0", 2, &plenty, NULL));
}

static void test_numbers(void)
{
    g_autoptr(JsonNode) largest = parse("9223372036854775807", 19, &plenty, NULL);
    g_autoptr(JsonNode) above = parse("18446744073709551615", 20, &plenty, NULL);
    g_autoptr(JsonNode) real = parse("1.0", 3, &plenty, NULL);

    g_assert_cmpint(json_node_get_int(largest), ==, G_MAXINT64);
    g_assert_true(json_node_get_value_type(above) == G_TYPE_DOUBLE);
    g_assert_true(json_node_get_double(above) == 18446744073709551616.0);
    g_assert_true(json_node_get_value_type(real) == G_TYPE_DOUBLE);
}

static void expect_limit(const char *text, QgaJsonLimits limits, const char *message)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(parse(text, strlen(text), &limits, &error));
    g_assert_cmpstr(error->message, ==, message);
}

static void test_limits(void)
{
    static const char text[] = "[[\"abc\"],1]";
    const QgaJsonLimits exact = {sizeof text - 1, 7, 2, 5};
    g_autoptr(JsonNode) node = parse(text, sizeof text - 1, &exact, NULL);
    QgaJsonLimits low = exact;

    g_assert_nonnull(node);
    low.bytes--;
    expect_limit(text, low, "JSON text size limit exceeded");
    low = exact;
    low.tokens--;
    expect_limit(text, low, "JSON token count limit exceeded");
    low = exact;
    low.nesting--;
    expect_limit(text, low, "JSON nesting depth limit exceeded");
    low = exact;
    low.string_bytes--;
    expect_limit(text, low, "JSON token size limit exceeded");

    g_autofree char *deep = g_strnfill(100, '[');
    expect_limit(deep, (QgaJsonLimits){1000, 1000, 1000, 1000},
                 "JSON nesting depth limit exceeded");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json-reader/ends-early", test_ends_early);
    g_test_add_func("/json-reader/refused", test_refused);
    g_test_add_func("/json-reader/numbers", test_numbers);
    g_test_add_func("/json-reader/limits", test_limits);
    return g_test_run();
}
