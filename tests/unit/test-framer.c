/*
 * The framer: which bytes make which frames, in every chunking; its limits; its memory.
 */
#include <string.h>

#include "framer-check.h"
#include "qga-protocol/framer.h"

#define ERROR "E JSON parse error, "
#define STRAY ERROR "stray "

typedef struct {
    const char *input;
    gsize n_bytes;
    const char *frames; /* a line for each: "M text" or "E text" */
} Case;

#define CASE(input, frames)                                                                        \
    {                                                                                              \
        input, sizeof(input) - 1, frames                                                           \
    }

static const Case cases[] = {
    CASE("", ""),
    CASE(" \t\r\n\n", ""),
    CASE("{}", "M {}\n"),
    CASE("{}{}", "M {}\nM {}\n"),
    CASE(" { \"a\" :\n[ 1 , -2.5e+3 , true,false , null ]\t}\r\n",
         "M {\"a\":[1,-2.5e+3,true,false,null]}\n"),
    CASE("[]\n[[],{}]", "M []\nM [[],{}]\n"),
    CASE("'a\"b'\"c'd\"", "M 'a\"b'\nM \"c'd\"\n"),
    CASE("\"\\\"\\'\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\"",
         "M \"\\\"\\'\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\"\n"),
    CASE("\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"",
         "M \"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"\n"),

    /* numbers end at the byte behind them */
    CASE("0", ""),
    CASE("0 ", "M 0\n"),
    CASE("-0,", "M -0\n" ERROR "expecting value\n"),
    CASE("12\"a\"", "M 12\nM \"a\"\n"),
    CASE("0.5 1E5 1e-5 ", "M 0.5\nM 1E5\nM 1e-5\n"),
    CASE("0e1\n", "M 0\n" ERROR "invalid keyword 'e'\nM 1\n"),
    CASE("9223372036854775808 ", "M 9223372036854775808\n"),
    CASE("01\n", STRAY "'01'\n"),
    CASE("0x10\n", "M 0\n" ERROR "invalid keyword 'x'\nM 10\n"),
    CASE("-\n", STRAY "'-\n'\n"),
    CASE("-a\n", STRAY "'-a'\n"),
    CASE("1.\n", STRAY "'1.\n'\n"),
    CASE("1.e5\n", STRAY "'1.e'\n"),
    CASE("1e\n", STRAY "'1e\n'\n"),
    CASE("1e+\n", STRAY "'1e+\n'\n"),
    CASE("+1\n", STRAY "'+'\n"),
    CASE(".5\n", STRAY "'.'\n"),
    CASE("NaN\n", STRAY "'N'\n"),

    /* lexical errors: told at once; then skipped up to a place to begin again */
    CASE("\xFF", STRAY "'\xFF'\n"),
    CASE("\xFF{}", STRAY "'\xFF'\nM {}\n"),
    CASE("\xFF\xFF\n", STRAY "'\xFF'\n" STRAY "'\xFF'\n"),
    CASE("{\"a\":[1,\xFF{}", STRAY "'\xFF'\nM {}\n"),
    CASE("{\"a\xFF{}", STRAY "'\"a\xFF'\nM {}\n"),
    CASE("{\"a\\\xFF{}", STRAY "'\"a\\\xFF'\nM {}\n"),
    CASE("1\xFF{}", "M 1\n" STRAY "'\xFF'\nM {}\n"),
    CASE("tru\xFF{}", ERROR "invalid keyword 'tru'\n" STRAY "'\xFF'\nM {}\n"),
    CASE("\xFE{}", STRAY "'\xFE'\nM {}\n"),
    CASE("{\"a\nb\"}", STRAY "'\"a\n'\n" ERROR "expecting value\n"),
    CASE("{\"a\tb\"}", STRAY "'\"a\t'\n" ERROR "expecting value\n"),
    CASE("Hello world\n{}", STRAY "'H'\nM {}\n"),
    CASE("Hello\t1\t{}", STRAY "'H'\nM {}\n"),
    CASE("{#}", STRAY "'#'\n" ERROR "expecting value\n"),
    CASE("{\"a\":%s}", STRAY "'%'\n" ERROR "expecting value\n"),
    CASE("/* */{}", STRAY "'/'\nM {}\n"),
    CASE("{}\0{}", "M {}\n" STRAY "''\nM {}\n"),
    CASE("\"a\0b\"", STRAY "'\"a'\n"),
    CASE("\x7F\n", STRAY "'\x7F'\n"),
    CASE("\xEF\xBB\xBF{}", STRAY "'\xEF'\nM {}\n"),

    /* grammar errors: told at once; then skipped until it balances */
    CASE(",", ERROR "expecting value\n"),
    CASE("}", ERROR "expecting value\n"),
    CASE("]", ERROR "expecting value\n"),
    CASE("{,}", ERROR "expecting key\n"),
    CASE("{\"a\":1,}", ERROR "expecting key\n"),
    CASE("[1,]", ERROR "expecting value\n"),
    CASE("[,1]", ERROR "expecting value\n"),
    CASE("[1 2]{}", ERROR "expected ',' or ']'\nM {}\n"),
    CASE("{\"a\":1 \"b\":2}{}", ERROR "expected ',' or '}'\nM {}\n"),
    CASE("{\"a\" 1}", ERROR "expecting ':'\n"),
    CASE("{\"a\":}", ERROR "expecting value\n"),
    CASE("{\"a\"}", ERROR "expecting ':'\n"),
    CASE("{1:2}", ERROR "expecting key\n"),
    CASE("{a:2}", ERROR "expecting key\n"),
    CASE("{null:2}", ERROR "expecting key\n"),
    CASE("{[]:2}", ERROR "expecting key\n"),
    CASE("{\"a\":1]}", ERROR "expected ',' or '}'\n" ERROR "expecting value\n"),
    CASE("{\"a\":[}", ERROR "expecting value\n"),
    CASE("{\"a\":[}\xFF{}", ERROR "expecting value\nM {}\n"),
    CASE("{{\x01 1,[]", ERROR "expecting key\n" ERROR "expecting value\nM []\n"),
    CASE("[1}]", ERROR "expected ',' or ']'\n" ERROR "expecting value\n"),
    CASE("[{\"a\":[}{]}]", ERROR "expecting value\n"),
    CASE("{[}]{}", ERROR "expecting key\nM {}\n"),
    CASE("var x = {}\n",
         ERROR "invalid keyword 'var'\n" ERROR "invalid keyword 'x'\n" STRAY "'='\nM {}\n"),
    CASE("true True\n", "M true\n" STRAY "'T'\n"),
    CASE("nul\n", ERROR "invalid keyword 'nul'\n"),
    CASE("[tru,fals]", ERROR "invalid keyword 'tru'\n"),

    /* strings */
    CASE("\"\\x\"", ERROR "invalid escape sequence in string\n"),
    CASE("{\"\\a\":1}", ERROR "invalid escape sequence in string\n"),
    CASE("\"\\u12\"", ERROR "\\u12\" is not a valid Unicode character\n"),
    CASE("\"\\u12g4\"", ERROR "\\u12g4 is not a valid Unicode character\n"),
    CASE("\"\\u0000\"", ERROR "\\u0000 is not a valid Unicode character\n"),
    CASE("\"\\uD800\"", ERROR "\\uD800 is not a valid Unicode character\n"),
    CASE("\"\\uD800x\"", ERROR "\\uD800 is not a valid Unicode character\n"),
    CASE("\"\\uD800\\u0041\"", ERROR "\\uD800 is not a valid Unicode character\n"),
    CASE("\"\\uDE00\\uD83D\"", ERROR "\\uDE00 is not a valid Unicode character\n"),
    CASE("\"\\uFFFE\"", ERROR "\\uFFFE is not a valid Unicode character\n"),
    CASE("\"\\uFDD0\"", ERROR "\\uFDD0 is not a valid Unicode character\n"),
    CASE("\"\xC3\"", ERROR "invalid UTF-8 sequence in string\n"),
    CASE("\"\xC3(\"", ERROR "invalid UTF-8 sequence in string\n"),
    CASE("\"\x80\"", ERROR "invalid UTF-8 sequence in string\n"),
    CASE("\"\xC0\x80\"", ERROR "invalid UTF-8 sequence in string\n"),
    CASE("\"\xC1\xBF\"", ERROR "invalid UTF-8 sequence in string\n"),
    CASE("\"\xE0\x80\xAF\"", ERROR "invalid UTF-8 sequence in string\n"),
    CASE("\"\xED\xA0\x80\"", ERROR "invalid UTF-8 sequence in string\n"),
    CASE("\"\xEF\xBF\xBF\"", ERROR "invalid UTF-8 sequence in string\n"),
    CASE("\"\xF4\x90\x80\x80\"", ERROR "invalid UTF-8 sequence in string\n"),
    CASE("\"\xF8\x88\x80\x80\x80\"", ERROR "invalid UTF-8 sequence in string\n"),
    CASE("[\"a\\", ""),
    CASE("[1", ""),
};

/* Feeds N bytes, one feed at most MAX_BYTES long, and appends a line for each frame. */
static void feed(QgaFramer *framer, GString *frames, const char *bytes, gsize n_bytes,
                 gsize max_bytes)
{
    gsize done = 0;

    while (done < n_bytes) {
        gsize n = MIN(max_bytes, n_bytes - done);
        QgaFrame frame;
        gsize taken = qga_framer_feed(framer, (const guint8 *)bytes + done, n, &frame);

        g_assert_cmpuint(taken, <=, n);
        if (frame.kind == QGA_FRAME_NONE) {
            g_assert_cmpuint(taken, ==, n);
        } else {
            g_assert_cmpuint(strlen(frame.text), ==, frame.n_bytes);
            g_string_append(frames, frame.kind == QGA_FRAME_MESSAGE ? "M " : "E ");
            g_string_append(frames, frame.text);
            g_string_append_c(frames, '\n');
        }
        done += taken;
    }
}

static void check_case(const Case *c, gsize first_bytes, gsize max_bytes)
{
    QgaFramer *framer = qga_framer_new();
    GString *frames = g_string_new(NULL);

    feed(framer, frames, c->input, first_bytes, max_bytes);
    feed(framer, frames, c->input + first_bytes, c->n_bytes - first_bytes, max_bytes);
    if (strcmp(frames->str, c->frames) != 0)
        g_test_message("input: %s, split at %u", c->input, (guint)first_bytes);
    g_assert_cmpstr(frames->str, ==, c->frames);
    g_string_free(frames, TRUE);
    qga_framer_free(framer);
}

static void test_cases(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (gsize split = 0; split <= cases[i].n_bytes; split++)
            check_case(&cases[i], split, G_MAXSIZE);
        check_case(&cases[i], 0, 1);
    }
}

/* After a reset nothing of a half message is left. */
static void test_reset(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        QgaFramer *framer = qga_framer_new();
        GString *frames = g_string_new(NULL);

        feed(framer, frames, cases[i].input, cases[i].n_bytes, G_MAXSIZE);
        qga_framer_reset(framer);
        g_string_truncate(frames, 0);
        feed(framer, frames, "{\"a\":1}", 7, G_MAXSIZE);
        g_assert_cmpstr(frames->str, ==, "M {\"a\":1}\n");
        g_string_free(frames, TRUE);
        qga_framer_free(framer);
    }
}

/* HEAD, then N times MIDDLE, then TAIL. */
static GString *repeated(const char *head, const char *middle, guint n, const char *tail)
{
    GString *text = g_string_new(head);

    for (guint i = 0; i < n; i++)
        g_string_append(text, middle);
    return g_string_append(text, tail);
}

/* TEXT is one frame, then "{}" is another, in several chunkings. EXPECTED NULL: TEXT as a message.
 */
static void check_long(GString *text, const char *expected)
{
    static const gsize chunks[] = {G_MAXSIZE, 4096, 7, 1};
    char *want = expected != NULL ? g_strconcat("E ", expected, "\nM {}\n", NULL)
                                  : g_strconcat("M ", text->str, "\nM {}\n", NULL);

    for (guint i = 0; i < G_N_ELEMENTS(chunks); i++) {
        QgaFramer *framer = qga_framer_new();
        GString *frames = g_string_new(NULL);

        feed(framer, frames, text->str, text->len, chunks[i]);
        feed(framer, frames, "{}", 2, chunks[i]);
        g_assert_true(strcmp(frames->str, want) == 0);
        g_string_free(frames, TRUE);
        qga_framer_free(framer);
    }
    g_free(want);
    g_string_free(text, TRUE);
}

static void test_limits(void)
{
    GString *text = repeated("", "[", 64, "");

    check_long(repeated(text->str, "]", 64, ""), NULL);
    g_string_append_c(text, '[');
    check_long(repeated(text->str, "]", 65, ""), "JSON nesting depth limit exceeded");
    g_string_free(text, TRUE);

    /* brackets, then value and comma */
    check_long(repeated("[1", ",1", QGA_FRAMER_MAX_TOKENS / 2 - 2, "]"), NULL);
    check_long(repeated("[1", ",1", QGA_FRAMER_MAX_TOKENS / 2 - 1, "]"),
               "JSON token count limit exceeded");
    check_long(repeated("[1", ",1", 4 * QGA_FRAMER_MAX_TOKENS, "]"),
               "JSON token count limit exceeded");

    check_long(repeated("\"", "a", QGA_FRAMER_MAX_BYTES - 2, "\""), NULL);
    check_long(repeated("\"", "a", QGA_FRAMER_MAX_BYTES - 1, "\""),
               "JSON token size limit exceeded");
    check_long(repeated("{\"a\":[\"", "a", QGA_FRAMER_MAX_BYTES * 2, "\",{}]}"),
               "JSON token size limit exceeded");
    /* white space between tokens is free, and tokens after an error are not kept */
    text = repeated("[1", " ", QGA_FRAMER_MAX_BYTES, "]");
    check_long(repeated("[1 ", text->str, 1, "]"), "JSON parse error, expected ',' or ']'");
    g_string_free(text, TRUE);
    check_long(repeated("[1 2", ",1", QGA_FRAMER_MAX_BYTES, "]"),
               "JSON parse error, expected ',' or ']'");
}

/* What an error quotes is bounded. */
static void test_error_size(void)
{
    GString *word = repeated("", "a", 100000, "{}");
    GString *stray = repeated("\"", "a", 100000, "\xFF{}");
    QgaFramer *framer = qga_framer_new();
    GString *frames = g_string_new(NULL);

    feed(framer, frames, word->str, word->len, 4096);
    feed(framer, frames, stray->str, stray->len, 4096);
    g_assert_cmpuint(frames->len, <, 2200);
    g_assert_cmpuint(qga_framer_memory_bytes(framer), <, 8192);
    g_string_free(word, TRUE);
    g_string_free(stray, TRUE);
    g_string_free(frames, TRUE);
    qga_framer_free(framer);
}

/* What the framer holds stays near what it was fed, and is given back with the message. */
static void test_memory(void)
{
    static const char *const middles[] = {"a",       "\\u00e9",  "\",\"",
                                          "\":1,\"", "\",[],\"", "\",{},\""};

    for (guint i = 0; i < G_N_ELEMENTS(middles); i++) {
        GString *text = repeated("[\"", middles[i], 900 * 1024 / (guint)strlen(middles[i]), "\"]");
        QgaFramer *framer = qga_framer_new();
        QgaFrame frame;

        for (gsize done = 0; done < text->len; done += 100) {
            qga_framer_feed(framer, (const guint8 *)text->str + done, MIN(100, text->len - done),
                            &frame);
            g_assert_cmpuint(qga_framer_memory_bytes(framer), <=, (done + 100) * 5 / 4 + 4096);
        }
        qga_framer_feed(framer, (const guint8 *)"\xFF ", 2, &frame);
        g_assert_cmpuint(qga_framer_memory_bytes(framer), <=, 4096);
        g_string_free(text, TRUE);
        qga_framer_free(framer);
    }
}

/* Random soup that is often nearly JSON: all chunkings agree, and every message is one. */
static void test_random(void)
{
    static const char *const pieces[] = {
        "{",       "}",       "[",         "]",         ":",    ",",        "\"",   "'",     "\\",
        "\"a\"",   "'b'",     "\"\":",     "1",         "-",    "0",        ".",    "5e1",   "true",
        "null",    "x",       " ",         "\n",        "\xFF", "\xC3\xA9", "\xC3", "\\u00", "41",
        "\\uD83D", "\\uDE00", "{\"a\":1}", "[\"\\n\"]", "\x01", "\x7F"};
    guint n_messages = 0;

    for (guint round = 0; round < 20000; round++) {
        GString *text = g_string_new(NULL);
        GString *whole = g_string_new(NULL);
        GString *chunked = g_string_new(NULL);
        QgaFramer *framer = qga_framer_new();
        gint n_pieces = g_test_rand_int_range(1, 24);
        gsize done = 0;

        while (n_pieces-- > 0)
            g_string_append(text, pieces[g_test_rand_int_range(0, G_N_ELEMENTS(pieces))]);
        while (done < text->len) {
            QgaFrame frame;

            done +=
                qga_framer_feed(framer, (const guint8 *)text->str + done, text->len - done, &frame);
            if (frame.kind == QGA_FRAME_NONE)
                continue;
            g_string_append_printf(whole, "%s %s\n", frame.kind == QGA_FRAME_MESSAGE ? "M" : "E",
                                   frame.text);
            if (frame.kind == QGA_FRAME_MESSAGE) {
                framer_check_message(frame.text, frame.n_bytes);
                n_messages++;
            }
        }
        qga_framer_reset(framer);
        feed(framer, chunked, text->str, text->len, (gsize)g_test_rand_int_range(1, 4));
        g_assert_cmpstr(whole->str, ==, chunked->str);
        g_string_free(text, TRUE);
        g_string_free(whole, TRUE);
        g_string_free(chunked, TRUE);
        qga_framer_free(framer);
    }
    g_assert_cmpuint(n_messages, >, 5000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/framer/cases-at-every-split", test_cases);
    g_test_add_func("/framer/reset", test_reset);
    g_test_add_func("/framer/limits", test_limits);
    g_test_add_func("/framer/error-size", test_error_size);
    g_test_add_func("/framer/memory", test_memory);
    g_test_add_func("/framer/random", test_random);
    return g_test_run();
}
