/*
 * What a session answers: every row of the table of answers, in every chunking; guest-info and the
 * lists of allowed and blocked commands; what an error quotes.
 */
#include <string.h>

#include "qga-protocol/request.h"
#include "session-fixture.h"

static const struct {
    const char *input;
    const char *output;
} rows[] = {
    {PING, OK},
    {PING PING "\n\n" PING, OK OK OK},
    {"\n \r\n\t", ""},
    {"{\n  \"execute\" :\n \"guest-ping\"\n}\n", OK},
    {SYNC("5"), "{\"return\": 5}\n"},
    {SYNC("-9223372036854775808"), "{\"return\": -9223372036854775808}\n"},
    {SYNC("9223372036854775807"), "{\"return\": 9223372036854775807}\n"},
    {SYNC("9223372036854775808"), NOT_INTEGER},
    {SYNC("18446744073709551615"), NOT_INTEGER},
    {SYNC("-9223372036854775809"), NOT_INTEGER},
    {SYNC("1.5"), NOT_INTEGER},
    {SYNC("1e3"), NOT_INTEGER},
    {SYNC("\"1\""), NOT_INTEGER},
    {SYNC("null"), NOT_INTEGER},
    {"{\"execute\":\"guest-sync\",\"arguments\":{}}", GENERIC("Parameter 'id' is missing")},
    {"{\"execute\":\"guest-sync\"}", GENERIC("Parameter 'id' is missing")},
    {"{\"execute\":\"guest-sync\",\"arguments\":{\"id\":1,\"x\":2}}",
     GENERIC("Parameter 'x' is unexpected")},
    {"{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":7},\"id\":8}",
     "\xFF{\"return\": 7, \"id\": 8}\n"},
    {"{\"execute\":\"guest-sync-delimited\"}", GENERIC("Parameter 'id' is missing")},
    {"\xFF" PING, STRAY_FF OK},
    {"{\"execute\":\"guest-p\xFF" PING, GENERIC("JSON parse error, stray '\\\"guest-p\\uFFFD'") OK},
    {"{\"execute\":\xFF" PING, STRAY_FF OK},
    {"{\"execute\":\"guest-ping\",\"id\":[true,false]}",
     "{\"return\": {}, \"id\": [true, false]}\n"},
    {"{\"execute\":\"guest-sync\",\"arguments\":{\"id\":false}}", NOT_INTEGER},
    {"{\"execute\":\"guest-ping\",\"id\":null}", "{\"return\": {}, \"id\": null}\n"},
    {"{\"id\":{\"a\":[1.50,\"\xC3\xA9\"]},\"execute\":\"guest-ping\"}",
     "{\"return\": {}, \"id\": {\"a\": [1.50, \"\\u00E9\"]}}\n"},
    {"{\"execute\":\"guest-ping\",\"\\u0069d\":18446744073709551615}",
     "{\"return\": {}, \"id\": 18446744073709551615}\n"},
    {"{\"execute\":\"guest-sync\",\"id\":\"x\"}", GENERIC_ID("Parameter 'id' is missing", "\"x\"")},
    {"{\"execute\":1,\"id\":\"x\"}",
     GENERIC_ID("QMP input member 'execute' must be a string", "\"x\"")},
    {"{\"foo\":1,\"execute\":\"guest-ping\",\"id\":[]}",
     GENERIC_ID("QMP input member 'foo' is unexpected", "[]")},
    {"{\"execute\":\"nope\"}", NOT_FOUND("The command nope has not been found")},
    {"{\"execute\":\"memory-get-devices\"}",
     NOT_FOUND("The command memory-get-devices has not been found")},
    {"{\"execute\":\"memory-set-policy\"}",
     NOT_FOUND("Command memory-set-policy has been disabled: the command is not allowed")},
    {"{}", GENERIC("QMP input lacks member 'execute'")},
    {"{\"id\":1}", GENERIC_ID("QMP input lacks member 'execute'", "1")},
    {"{\"execute\":\"guest-ping\",\"arguments\":[]}",
     GENERIC("QMP input member 'arguments' must be an object")},
    {"{\"execute\":\"guest-ping\",\"arguments\":null}",
     GENERIC("QMP input member 'arguments' must be an object")},
    {"{\"execute\":\"guest-ping\",\"arguments\":{\"b\":1}}",
     GENERIC("Parameter 'b' is unexpected")},
    {"[1] \"a\" 5 true\n",
     GENERIC("QMP input must be a JSON object") GENERIC("QMP input must be a JSON object")
         GENERIC("QMP input must be a JSON object") GENERIC("QMP input must be a JSON object")},
    {"{\"execute\":\"guest-ping\",\"id\":1,\"id\":2}", GENERIC("JSON parse error, duplicate key")},
    {"{\"execute\":\"guest-ping\",\"execute\":\"guest-ping\"}",
     GENERIC("JSON parse error, duplicate key")},
    {"{\"arguments\":{\"a\":1},\"arguments\":{}}", GENERIC("JSON parse error, duplicate key")},
    {"{\"execute\":\"a\",\"x\":{\"b\":1,\"b\":2}}", GENERIC("JSON parse error, duplicate key")},
    {"{\"execute\":\"guest-ping\",\"id\":1,\"\\u0069d\":2}",
     GENERIC("JSON parse error, duplicate key")},
    {"{\"execute\":\"guest-ping\",\"id\":{\"a\":1,'a':2}}",
     GENERIC("JSON parse error, duplicate key")},
    {"{\"execute\":\"guest-ping\",\"arguments\":{\"a\":1,\"\\u0061\":2}}",
     GENERIC("JSON parse error, duplicate key")},
    {"{'execute':'guest-ping'}", OK},
    {"{\"execute\":\"memory-get-map\",\"id\":3}" PING, GENERIC_ID("no more after 9999", "3") OK},
    {"{\"execute\":\"guest-info\",\"arguments\":{\"a\":1}}",
     GENERIC("Parameter 'a' is unexpected")},
};

static void test_rows(SessionFixture *f, gconstpointer data)
{
    (void)data;
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        const guint8 *input = (const guint8 *)rows[i].input;
        gsize n = strlen(rows[i].input);

        for (gsize split = 0; split <= n; split++) {
            g_assert_cmpuint(qga_session_feed(f->session, input, split), ==, split);
            g_assert_cmpuint(qga_session_feed(f->session, input + split, n - split), ==, n - split);
            session_assert_output(f, rows[i].output);
        }
        for (gsize at = 0; at < n; at++)
            g_assert_cmpuint(qga_session_feed(f->session, input + at, 1), ==, 1);
        session_assert_output(f, rows[i].output);
    }
    g_assert_cmpuint(f->n_wakeups, ==, 0);
}

static void test_info_and_lists(SessionFixture *f, gconstpointer data)
{
    static const char *const allow[] = {"guest-info", "memory-set-policy", NULL};
    static const char *const block[] = {"guest-ping", NULL};
    static const char *const unknown[] = {"guest-info", "memory-get-devices", NULL};
    char *text;

    (void)data;
    qga_dispatch_set_lists(f->dispatch, NULL, block);
    session_feed(f, "{\"execute\":\"guest-info\"}" PING);
    text = session_take(f, G_MAXSIZE);
    g_assert_true(g_str_has_prefix(text, "{\"return\": {\"version\": \"1.2.3\", "));
    g_assert_nonnull(strstr(text, "{\"enabled\": false, \"name\": \"guest-ping\", "
                                  "\"success-response\": true}"));
    g_assert_nonnull(strstr(text, "{\"enabled\": true, \"name\": \"guest-sync\", "));
    g_assert_nonnull(strstr(text, "{\"enabled\": false, \"name\": \"memory-set-policy\", "));
    g_assert_null(strstr(text, "memory-get-devices"));
    g_assert_true(g_str_has_suffix(
        text, NOT_FOUND("Command guest-ping has been disabled: the command is not allowed")));
    g_free(text);

    /* A name that no command has blocks nothing and allows nothing. */
    g_assert_false(qga_dispatch_has(f->dispatch, "memory-get-devices"));
    g_assert_true(qga_dispatch_has(f->dispatch, "guest-ping"));
    qga_dispatch_set_lists(f->dispatch, NULL, unknown);
    session_feed(f, PING "{\"execute\":\"guest-info\"}");
    session_assert_output(
        f, OK NOT_FOUND("Command guest-info has been disabled: the command is not allowed"));
    qga_dispatch_set_lists(f->dispatch, unknown, NULL);
    session_feed(f, PING);
    session_assert_output(
        f, NOT_FOUND("Command guest-ping has been disabled: the command is not allowed"));

    qga_dispatch_set_lists(f->dispatch, allow, NULL);
    session_feed(f, PING SYNC("1"));
    session_assert_output(
        f, NOT_FOUND("Command guest-ping has been disabled: the command is not allowed")
               NOT_FOUND("Command guest-sync has been disabled: the command is not allowed"));
    session_feed(f, "{\"execute\":\"memory-set-policy\"}");
    g_assert_cmpuint(f->late->len, ==, 1);
    qga_call_return_empty(f->late->pdata[0]);
    session_assert_output(f, OK);
    qga_dispatch_set_lists(f->dispatch, NULL, NULL);
    session_feed(f, PING);
    session_assert_output(f, OK);
}

static void test_reset(SessionFixture *f, gconstpointer data)
{
    (void)data;
    session_feed(f, PING
                 "{\"execute\":\"memory-set-events\",\"arguments\":{\"enabled\":true}}{\"exec");
    g_assert_true(qga_session_events_enabled(f->session));
    g_assert_cmpuint(qga_session_pending_output(f->session), >, 0);
    qga_session_reset(f->session);
    g_assert_false(qga_session_events_enabled(f->session));
    session_assert_output(f, "");
    session_feed(f, PING);
    session_assert_output(f, OK);
}

/* What there is to forget, and where a host has begun. */
static void test_fresh(SessionFixture *f, gconstpointer data)
{
    static const char *const open[] = {"{", "[1", "\"", "tr", "1", "'a", "{\"a\":1}} {"};

    (void)data;
    g_assert_true(qga_session_is_fresh(f->session));
    session_feed(f, " \n" PING "\n");
    g_assert_false(qga_session_is_fresh(f->session)); /* a reply is unsent */
    session_assert_output(f, OK);
    g_assert_true(qga_session_is_fresh(f->session));
    for (guint i = 0; i < G_N_ELEMENTS(open); i++) {
        session_feed(f, open[i]);
        g_free(session_take(f, G_MAXSIZE));
        g_assert_false(qga_session_is_fresh(f->session));
        session_feed(f, "\xff\n"); /* which also ends the lexer's recovery */
        g_free(session_take(f, G_MAXSIZE));
        g_assert_true(qga_session_is_fresh(f->session));
    }
    session_feed(f, "{\"execute\":\"memory-set-events\",\"arguments\":{\"enabled\":true}}");
    g_free(session_take(f, G_MAXSIZE));
    g_assert_false(qga_session_is_fresh(f->session));
    g_assert_cmpuint(qga_session_syncs(f->session), ==, 0);
    session_feed(f, SYNC("1"));
    g_assert_cmpuint(qga_session_syncs(f->session), ==, 1);
    session_feed(f, "{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":2}}");
    g_assert_cmpuint(qga_session_syncs(f->session), ==, 2);
    qga_session_reset(f->session);
    g_assert_true(qga_session_is_fresh(f->session));
}

/* An error text that quotes the peer is cut, at a character. */
static void test_long_desc(SessionFixture *f, gconstpointer data)
{
    GString *input = g_string_new("{\"execute\":\"n");
    char *text;

    (void)data;
    for (guint i = 0; i < 100000; i++)
        g_string_append(input, "\xE2\x82\xAC");
    g_string_append(input, "\"}");
    session_feed(f, input->str);
    text = session_take(f, G_MAXSIZE);
    g_assert_cmpuint(strlen(text), <, 3000);
    g_assert_null(strstr(text, "\\uFFFD"));
    g_assert_true(g_str_has_suffix(text, "\\u20AC has not been found\"}}\n"));
    g_free(text);
    g_string_free(input, TRUE);
}

/* An id is bounded, and one that is too long is not echoed. */
static void test_long_id(SessionFixture *f, gconstpointer data)
{
    char *id = g_strnfill(QGA_REQUEST_ID_MAX_BYTES - 2, 'a');
    char *fine = g_strdup_printf("{\"execute\":\"guest-ping\",\"id\":\"%s\"}", id);
    char *reply = g_strdup_printf("{\"return\": {}, \"id\": \"%s\"}\n", id);
    char *longer = g_strdup_printf("{\"execute\":\"guest-ping\",\"id\":\"%sa\"}", id);

    (void)data;
    session_feed(f, fine);
    session_assert_output(f, reply);
    session_feed(f, longer);
    session_assert_output(f, GENERIC("QMP input member 'id' is too long"));
    g_free(id);
    g_free(fine);
    g_free(reply);
    g_free(longer);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    SESSION_TEST("rows-at-every-split", test_rows);
    SESSION_TEST("info-and-lists", test_info_and_lists);
    SESSION_TEST("reset", test_reset);
    SESSION_TEST("fresh", test_fresh);
    SESSION_TEST("long-desc", test_long_desc);
    SESSION_TEST("long-id", test_long_id);
    return g_test_run();
}
