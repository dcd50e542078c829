/*
 * A session: requests in, replies out; every row of the table of answers, in every chunking; late
 * and orphaned calls; backpressure; events; guest-sync-delimited; what a request costs.
 */
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qga-protocol/basic-commands.h"
#include "qga-protocol/session.h"

extern const char memplug_schema_json[];

typedef struct {
    QgaSchema *schema;
    QgaDispatch *dispatch;
    QgaBasicCommands *basic;
    QgaSession *session;
    GPtrArray *late; /* of QgaCall: kept by memory-get-status */
    guint n_wakeups;
} Fixture;

/* Kept until the test answers it. */
static void handle_late(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    Fixture *f = user_data;

    (void) arguments;
    g_ptr_array_add(f->late, call);
}

/* A reply of 200 kB. */
static void handle_large(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    QgaWriter *writer = qga_call_begin_return(call);

    (void) arguments;
    (void) user_data;
    qga_writer_begin_array(writer);
    for (guint i = 0; i < 20000; i++)
        qga_writer_uint(writer, 10000000 + i);
    qga_writer_end_array(writer);
    qga_call_end_return(call);
}

/* Fails when half a reply is written. */
static void handle_half(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    QgaWriter *writer = qga_call_begin_return(call);

    (void) arguments;
    (void) user_data;
    qga_writer_begin_array(writer);
    for (guint i = 0; i < 10000; i++)
        qga_writer_uint(writer, i);
    qga_call_fail(call, QGA_CLASS_GENERIC, "no more after %d", 9999);
}

static void handle_events(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    (void) user_data;
    qga_session_set_events(qga_call_session(call),
                           json_object_get_boolean_member(arguments, "enabled"));
    qga_call_return_empty(call);
}

static void on_wakeup(QgaSession *session, gpointer user_data)
{
    Fixture *f = user_data;

    g_assert_true(session == f->session && qga_session_user_data(session) == f);
    f->n_wakeups++;
}

static void fixture_set_up(Fixture *f, gconstpointer data)
{
    GError *error = NULL;

    (void) data;
    f->schema = qga_schema_new(memplug_schema_json, strlen(memplug_schema_json), &error);
    g_assert_no_error(error);
    f->dispatch = qga_dispatch_new(f->schema);
    f->basic = qga_basic_commands_register(f->dispatch, "1.2.3");
    f->late = g_ptr_array_new();
    f->n_wakeups = 0;
    qga_dispatch_register(f->dispatch, "memory-get-status", handle_late, f);
    qga_dispatch_register(f->dispatch, "guest-get-memory-blocks", handle_large, f);
    qga_dispatch_register(f->dispatch, "memory-get-map", handle_half, f);
    qga_dispatch_register(f->dispatch, "memory-set-events", handle_events, f);
    qga_dispatch_register(f->dispatch, "memory-set-policy", handle_late, f);
    f->session = qga_session_new(f->dispatch, on_wakeup, f);
}

static void fixture_tear_down(Fixture *f, gconstpointer data)
{
    (void) data;
    qga_session_free(f->session);
    qga_dispatch_free(f->dispatch);
    qga_basic_commands_free(f->basic);
    qga_schema_free(f->schema);
    g_ptr_array_unref(f->late);
}

/* Takes N bytes of output (all there is: G_MAXSIZE); to free. */
static char *take(Fixture *f, gsize n_bytes)
{
    GString *text = g_string_new(NULL);
    const guint8 *bytes;
    gsize n;

    while (n_bytes > 0 && (n = qga_session_peek(f->session, &bytes)) > 0) {
        n = MIN(n, n_bytes);
        g_string_append_len(text, (const char *) bytes, (gssize) n);
        qga_session_consume(f->session, n);
        n_bytes -= n;
    }
    return g_string_free(text, FALSE);
}

static void assert_output(Fixture *f, const char *expected)
{
    char *text = take(f, G_MAXSIZE);

    g_assert_cmpstr(text, ==, expected);
    g_free(text);
}

/* Feeds all of TEXT, which the session must take. */
static void feed(Fixture *f, const char *text)
{
    g_assert_cmpuint(qga_session_feed(f->session, (const guint8 *) text, strlen(text)), ==,
                     strlen(text));
}

#define GENERIC(desc) "{\"error\": {\"class\": \"GenericError\", \"desc\": \"" desc "\"}}\n"
#define GENERIC_ID(desc, id) \
    "{\"error\": {\"class\": \"GenericError\", \"desc\": \"" desc "\"}, \"id\": " id "}\n"
#define NOT_FOUND(desc) "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"" desc "\"}}\n"
#define SYNC(id) "{\"execute\": \"guest-sync\", \"arguments\": {\"id\": " id "}}"
#define PING "{\"execute\":\"guest-ping\"}"
#define OK "{\"return\": {}}\n"
#define NOT_INTEGER GENERIC("Invalid parameter type for 'id', expected: integer")
#define STRAY_FF GENERIC("JSON parse error, stray '\\uFFFD'")

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
    {"{\"execute\":\"memory-set-policy\"}", NOT_FOUND("Command memory-set-policy has been disabled")},
    {"{}", GENERIC("QMP input lacks member 'execute'")},
    {"{\"id\":1}", GENERIC_ID("QMP input lacks member 'execute'", "1")},
    {"{\"execute\":\"guest-ping\",\"arguments\":[]}",
     GENERIC("QMP input member 'arguments' must be an object")},
    {"{\"execute\":\"guest-ping\",\"arguments\":null}",
     GENERIC("QMP input member 'arguments' must be an object")},
    {"{\"execute\":\"guest-ping\",\"arguments\":{\"b\":1}}",
     GENERIC("Parameter 'b' is unexpected")},
    {"[1] \"a\" 5 true\n", GENERIC("QMP input must be a JSON object") GENERIC(
                             "QMP input must be a JSON object") GENERIC(
                             "QMP input must be a JSON object") GENERIC(
                             "QMP input must be a JSON object")},
    {"{\"execute\":\"guest-ping\",\"id\":1,\"id\":2}", GENERIC("JSON parse error, duplicate key")},
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

static void test_rows(Fixture *f, gconstpointer data)
{
    (void) data;
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        const guint8 *input = (const guint8 *) rows[i].input;
        gsize n = strlen(rows[i].input);

        for (gsize split = 0; split <= n; split++) {
            g_assert_cmpuint(qga_session_feed(f->session, input, split), ==, split);
            g_assert_cmpuint(qga_session_feed(f->session, input + split, n - split), ==, n - split);
            assert_output(f, rows[i].output);
        }
        for (gsize at = 0; at < n; at++)
            g_assert_cmpuint(qga_session_feed(f->session, input + at, 1), ==, 1);
        assert_output(f, rows[i].output);
    }
    g_assert_cmpuint(f->n_wakeups, ==, 0);
}

static void test_info_and_lists(Fixture *f, gconstpointer data)
{
    static const char *const allow[] = {"guest-info", "memory-set-policy", NULL};
    static const char *const block[] = {"guest-ping", NULL};
    static const char *const unknown[] = {"guest-info", "memory-get-devices", NULL};
    GError *error = NULL;
    char *text;

    (void) data;
    g_assert_true(qga_dispatch_set_lists(f->dispatch, NULL, block, &error));
    feed(f, "{\"execute\":\"guest-info\"}" PING);
    text = take(f, G_MAXSIZE);
    g_assert_true(g_str_has_prefix(text, "{\"return\": {\"version\": \"1.2.3\", "));
    g_assert_nonnull(strstr(text, "{\"enabled\": false, \"name\": \"guest-ping\", "
                                  "\"success-response\": true}"));
    g_assert_nonnull(strstr(text, "{\"enabled\": true, \"name\": \"guest-sync\", "));
    g_assert_nonnull(strstr(text, "{\"enabled\": false, \"name\": \"memory-set-policy\", "));
    g_assert_null(strstr(text, "memory-get-devices"));
    g_assert_true(g_str_has_suffix(text, NOT_FOUND("Command guest-ping has been disabled")));
    g_free(text);

    g_assert_false(qga_dispatch_set_lists(f->dispatch, unknown, NULL, &error));
    g_assert_error(error, QGA_ERROR, QGA_CLASS_GENERIC);
    g_assert_cmpstr(error->message, ==, "there is no command 'memory-get-devices'");
    g_clear_error(&error);
    g_assert_false(qga_dispatch_set_lists(f->dispatch, NULL, unknown, NULL));

    g_assert_true(qga_dispatch_set_lists(f->dispatch, allow, NULL, &error));
    feed(f, PING SYNC("1"));
    assert_output(f, NOT_FOUND("Command guest-ping has been disabled")
                         NOT_FOUND("Command guest-sync has been disabled"));
    feed(f, "{\"execute\":\"memory-set-policy\"}");
    g_assert_cmpuint(f->late->len, ==, 1);
    qga_call_return_empty(f->late->pdata[0]);
    assert_output(f, OK);
    g_assert_true(qga_dispatch_set_lists(f->dispatch, NULL, NULL, &error));
    feed(f, PING);
    assert_output(f, OK);
}

/* While a call is pending nothing behind it is read; then everything comes in order. */
static void test_late(Fixture *f, gconstpointer data)
{
    static const char input[] = PING "{\"execute\":\"memory-get-status\",\"id\":1}" PING;
    const guint8 *rest = (const guint8 *) input;
    gsize n = strlen(input);
    gsize taken = qga_session_feed(f->session, rest, n);
    QgaWriter *writer;

    (void) data;
    g_assert_cmpuint(taken, ==, n - strlen(PING));
    g_assert_false(qga_session_wants_input(f->session));
    g_assert_cmpuint(qga_session_feed(f->session, rest + taken, n - taken), ==, 0);
    assert_output(f, OK);
    g_assert_false(qga_call_is_orphaned(f->late->pdata[0]));
    writer = qga_call_begin_return(f->late->pdata[0]);
    qga_writer_int(writer, 42);
    g_assert_cmpuint(f->n_wakeups, ==, 0);
    qga_call_end_return(f->late->pdata[0]);
    g_assert_cmpuint(f->n_wakeups, ==, 1);
    g_assert_true(qga_session_wants_input(f->session));
    g_assert_cmpuint(qga_session_feed(f->session, rest + taken, n - taken), ==, n - taken);
    assert_output(f, "{\"return\": 42, \"id\": 1}\n" OK);
}

static void test_orphans(Fixture *f, gconstpointer data)
{
    static const char late[] = "{\"execute\":\"memory-get-status\",\"id\":1}";
    QgaWriter *writer;

    (void) data;
    feed(f, late);
    qga_session_reset(f->session);
    feed(f, late);
    qga_session_reset(f->session);
    feed(f, late);
    qga_session_reset(f->session);
    feed(f, PING); /* the session goes on */
    g_assert_cmpuint(f->late->len, ==, 3);
    for (guint i = 0; i < 3; i++) {
        g_assert_true(qga_call_is_orphaned(f->late->pdata[i]));
        g_assert_null(qga_call_session(f->late->pdata[i]));
    }
    qga_call_return_empty(f->late->pdata[0]);
    qga_call_fail(f->late->pdata[1], QGA_CLASS_GENERIC, "gone");
    writer = qga_call_begin_return(f->late->pdata[2]);
    qga_writer_string(writer, "x");
    qga_call_fail(f->late->pdata[2], QGA_CLASS_GENERIC, "gone");
    assert_output(f, OK);
    g_assert_cmpuint(f->n_wakeups, ==, 0);

    feed(f, late);
    qga_session_free(f->session);
    f->session = NULL;
    qga_call_return_empty(f->late->pdata[3]);
}

static void test_reset(Fixture *f, gconstpointer data)
{
    (void) data;
    feed(f, PING "{\"execute\":\"memory-set-events\",\"arguments\":{\"enabled\":true}}{\"exec");
    g_assert_true(qga_session_events_enabled(f->session));
    g_assert_cmpuint(qga_session_pending_output(f->session), >, 0);
    qga_session_reset(f->session);
    g_assert_false(qga_session_events_enabled(f->session));
    assert_output(f, "");
    feed(f, PING);
    assert_output(f, OK);
}

static void test_backpressure(Fixture *f, gconstpointer data)
{
    static const char large[] = "{\"execute\":\"guest-get-memory-blocks\"}";
    GString *input = g_string_new(NULL);
    GString *output = g_string_new(NULL);
    gsize done = 0;
    guint n_lines = 0;

    (void) data;
    for (guint i = 0; i < 50; i++)
        g_string_append(input, i % 2 ? PING : large);
    while (done < input->len || qga_session_pending_output(f->session) > 0) {
        char *text;

        done += qga_session_feed(f->session, (const guint8 *) input->str + done, input->len - done);
        g_assert_cmpuint(qga_session_pending_output(f->session), <,
                         QGA_SESSION_OUTPUT_LIMIT_BYTES + 256 * 1024);
        g_assert_true(done == input->len || !qga_session_wants_input(f->session));
        text = take(f, (gsize) g_test_rand_int_range(1, 100000));
        g_string_append(output, text);
        g_free(text);
    }
    for (char *line = strtok(output->str, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        g_assert_true(n_lines % 2 ? strcmp(line, "{\"return\": {}}") == 0 : strlen(line) == 200012);
        n_lines++;
    }
    g_assert_cmpuint(n_lines, ==, 50);
    g_string_free(input, TRUE);
    g_string_free(output, TRUE);
}

static gboolean send_event(Fixture *f)
{
    QgaWriter *writer = qga_session_begin_event(f->session, "MEMORY_ADDED", 1700000000123456);

    if (writer == NULL)
        return FALSE;
    qga_writer_begin_object(writer);
    qga_writer_member_uint(writer, "first-block", 32);
    qga_writer_end_object(writer);
    qga_session_end_event(f->session);
    return TRUE;
}

#define EVENT                                                     \
    "{\"event\": \"MEMORY_ADDED\", \"data\": {\"first-block\": 32}, " \
    "\"timestamp\": {\"seconds\": 1700000000, \"microseconds\": 123456}}\n"

static void test_events(Fixture *f, gconstpointer data)
{
    guint n_sent = 0;

    (void) data;
    g_assert_false(send_event(f));
    g_assert_cmpuint(qga_session_events_dropped(f->session), ==, 0);
    qga_session_set_events(f->session, TRUE);
    g_assert_true(send_event(f));
    g_assert_cmpuint(f->n_wakeups, ==, 1);
    assert_output(f, EVENT);
    /* beside a pending call */
    feed(f, "{\"execute\":\"memory-get-status\"}");
    g_assert_true(send_event(f));
    qga_call_return_empty(f->late->pdata[0]);
    assert_output(f, EVENT OK);
    /* never inside a reply */
    feed(f, "{\"execute\":\"memory-get-status\"}");
    qga_writer_null(qga_call_begin_return(f->late->pdata[1]));
    g_assert_false(send_event(f));
    qga_call_end_return(f->late->pdata[1]);
    assert_output(f, "{\"return\": null}\n");
    g_assert_cmpuint(qga_session_events_dropped(f->session), ==, 1);
    /* nobody reads */
    while (send_event(f))
        n_sent++;
    g_assert_cmpuint(n_sent * strlen(EVENT), >, QGA_SESSION_OUTPUT_LIMIT_BYTES);
    g_assert_cmpuint(qga_session_pending_output(f->session), <,
                     QGA_SESSION_OUTPUT_LIMIT_BYTES + 2 * strlen(EVENT));
    g_assert_cmpuint(qga_session_events_dropped(f->session), ==, 2);
}

#define DELIMITED "{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":1}}"
#define DELIMITED_OK "\xFF{\"return\": 1}\n"

static void test_delimited(Fixture *f, gconstpointer data)
{
    char *text;

    (void) data;
    /* replies of the same burst stay, events go off */
    qga_session_set_events(f->session, TRUE);
    feed(f, PING DELIMITED PING);
    assert_output(f, OK DELIMITED_OK OK);
    g_assert_false(qga_session_events_enabled(f->session));
    /* the error of a half request too */
    feed(f, "{\"a\":\xFF" DELIMITED);
    assert_output(f, STRAY_FF DELIMITED_OK);
    /* what lay there before is dropped */
    feed(f, PING PING);
    feed(f, PING DELIMITED);
    assert_output(f, OK DELIMITED_OK);
    /* a line of which part was sent keeps its newline */
    feed(f, PING PING);
    text = take(f, 5);
    g_free(text);
    feed(f, PING DELIMITED PING);
    assert_output(f, "\n" OK DELIMITED_OK OK);
    /* nothing but a newline was left */
    feed(f, PING);
    g_free(take(f, strlen(OK) - 1));
    feed(f, DELIMITED);
    assert_output(f, "\n" DELIMITED_OK);
    /* one that fails drops nothing */
    feed(f, PING);
    feed(f, "{\"execute\":\"guest-sync-delimited\"}");
    assert_output(f, OK GENERIC("Parameter 'id' is missing"));
}

/* An error text that quotes the peer is cut, at a character. */
static void test_long_desc(Fixture *f, gconstpointer data)
{
    GString *input = g_string_new("{\"execute\":\"n");
    char *text;

    (void) data;
    for (guint i = 0; i < 100000; i++)
        g_string_append(input, "\xE2\x82\xAC");
    g_string_append(input, "\"}");
    feed(f, input->str);
    text = take(f, G_MAXSIZE);
    g_assert_cmpuint(strlen(text), <, 3000);
    g_assert_null(strstr(text, "\\uFFFD"));
    g_assert_true(g_str_has_suffix(text, "\\u20AC has not been found\"}}\n"));
    g_free(text);
    g_string_free(input, TRUE);
}

#ifndef MEMPLUG_SANITIZED
static glong peak_kib(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* The most that HEAD, MIDDLE over and over, TAIL makes a fresh process grow. */
static void check_cost(Fixture *f, const char *head, const char *middle, gsize n_bytes,
                       const char *tail)
{
    GString *input = g_string_new(head);
    int status;
    pid_t pid;

    while (input->len + strlen(middle) + strlen(tail) <= n_bytes)
        g_string_append(input, middle);
    g_string_append(input, tail);
    pid = fork();
    if (pid == 0) {
        glong before;

        feed(f, PING); /* so that what is made once is there */
        before = peak_kib();
        for (gsize at = 0; at < input->len; at += 4096)
            qga_session_feed(f->session, (const guint8 *) input->str + at,
                             MIN(4096, input->len - at));
        _exit(qga_session_pending_output(f->session) > 20 && peak_kib() - before <= 8192
                  ? 0
                  : (int) MIN(255, 1 + (peak_kib() - before) / 1024));
    }
    waitpid(pid, &status, 0);
    if (status != 0)
        g_test_message("%s%s...: about %d MiB", head, middle, WEXITSTATUS(status) - 1);
    g_assert_cmpint(status, ==, 0);
    g_string_free(input, TRUE);
}

/* No request costs more than 8 MiB, whatever fills it. */
static void test_cost(Fixture *f, gconstpointer data)
{
    const gsize mib = 1024 * 1024;

    (void) data;
    check_cost(f, "{\"execute\":\"guest-ping\",\"id\":\"", "a", mib, "\"}");
    check_cost(f, "{\"execute\":\"guest-ping\",\"id\":\"", "\x7F", 65536, "\"}");
    check_cost(f, "{\"execute\":\"guest-ping\",\"arguments\":{\"", "\x7F", mib, "\":1}}");
    check_cost(f, "{\"execute\":\"", "\xC3\xA9", mib, "\"}");
    check_cost(f, "{\"", "\xC3\xA9", mib, "\":1}");
    check_cost(f, "{\"execute\":\"guest-ping\",\"arguments\":{\"a\":[1", ",1", 65000, "]}}");
    check_cost(f, "{\"execute\":\"guest-ping\",\"arguments\":{\"a\":[{}", ",{}", 32000, "]}}");
    check_cost(f, "{\"execute\":\"guest-ping\",\"arguments\":{\"a\":[[]", ",[]", 32000, "]}}");
    check_cost(f, "{\"execute\":\"guest-ping\",\"arguments\":{\"a\":[1", ",{\"a\":1}", 42000,
               "]}}");
    check_cost(f, "{\"execute\":\"guest-ping\",\"id\":[1", ",\"0123456789012345678901234567890\"",
               16000 * 34, "]}");
    check_cost(f, "{\"execute\":\"guest-ping\",\"id\":[1", ",1", 10 * mib, "]}");
    check_cost(f, "", "[", 10 * mib, "");
    check_cost(f, "", "x\n", mib, "");
}
#endif

int main(int argc, char **argv)
{
#define ADD(name, function) \
    g_test_add("/session/" name, Fixture, NULL, fixture_set_up, function, fixture_tear_down)
    g_test_init(&argc, &argv, NULL);
#ifndef MEMPLUG_SANITIZED
    ADD("cost", test_cost); /* first: a heap that others have grown would hide what it takes */
#endif
    ADD("rows-at-every-split", test_rows);
    ADD("info-and-lists", test_info_and_lists);
    ADD("late", test_late);
    ADD("orphans", test_orphans);
    ADD("reset", test_reset);
    ADD("backpressure", test_backpressure);
    ADD("events", test_events);
    ADD("delimited", test_delimited);
    ADD("long-desc", test_long_desc);
    return g_test_run();
}
