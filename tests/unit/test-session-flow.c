/*
 * When a session answers: late and orphaned calls, a client that does not read, events, and what
 * guest-sync-delimited drops.
 */
#include <string.h>

#include "session-fixture.h"

/* While a call is pending nothing behind it is read; then everything comes in order. */
static void test_late(SessionFixture *f, gconstpointer data)
{
    static const char input[] = PING "{\"execute\":\"memory-get-status\",\"id\":1}" PING;
    const guint8 *rest = (const guint8 *)input;
    gsize n = strlen(input);
    gsize taken = qga_session_feed(f->session, rest, n);
    QgaWriter *writer;

    (void)data;
    g_assert_cmpuint(taken, ==, n - strlen(PING));
    g_assert_false(qga_session_wants_input(f->session));
    g_assert_cmpuint(qga_session_feed(f->session, rest + taken, n - taken), ==, 0);
    session_assert_output(f, OK);
    g_assert_false(qga_call_is_orphaned(f->late->pdata[0]));
    writer = qga_call_begin_return(f->late->pdata[0]);
    qga_writer_int(writer, 42);
    g_assert_cmpuint(f->n_wakeups, ==, 0);
    qga_call_end_return(f->late->pdata[0]);
    g_assert_cmpuint(f->n_wakeups, ==, 1);
    g_assert_true(qga_session_wants_input(f->session));
    g_assert_cmpuint(qga_session_feed(f->session, rest + taken, n - taken), ==, n - taken);
    session_assert_output(f, "{\"return\": 42, \"id\": 1}\n" OK);
}

static void test_orphans(SessionFixture *f, gconstpointer data)
{
    static const char late[] = "{\"execute\":\"memory-get-status\",\"id\":1}";
    QgaWriter *writer;

    (void)data;
    session_feed(f, late);
    qga_session_reset(f->session);
    session_feed(f, late);
    qga_session_reset(f->session);
    session_feed(f, late);
    qga_session_reset(f->session);
    session_feed(f, PING); /* the session goes on */
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
    session_assert_output(f, OK);
    g_assert_cmpuint(f->n_wakeups, ==, 0);

    session_feed(f, late);
    qga_session_free(f->session);
    f->session = NULL;
    qga_call_return_empty(f->late->pdata[3]);
}

static void test_backpressure(SessionFixture *f, gconstpointer data)
{
    static const char large[] = "{\"execute\":\"guest-get-memory-blocks\"}";
    GString *input = g_string_new(NULL);
    GString *output = g_string_new(NULL);
    gsize done = 0;
    guint n_lines = 0;

    (void)data;
    for (guint i = 0; i < 50; i++)
        g_string_append(input, i % 2 ? PING : large);
    while (done < input->len || qga_session_pending_output(f->session) > 0) {
        char *text;

        done += qga_session_feed(f->session, (const guint8 *)input->str + done, input->len - done);
        g_assert_cmpuint(qga_session_pending_output(f->session), <,
                         QGA_SESSION_OUTPUT_LIMIT_BYTES + 256 * 1024);
        g_assert_true(done == input->len || !qga_session_wants_input(f->session));
        text = session_take(f, (gsize)g_test_rand_int_range(1, 100000));
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

static gboolean send_event(SessionFixture *f)
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

#define EVENT                                                                                      \
    "{\"event\": \"MEMORY_ADDED\", \"data\": {\"first-block\": 32}, "                              \
    "\"timestamp\": {\"seconds\": 1700000000, \"microseconds\": 123456}}\n"

static void test_events(SessionFixture *f, gconstpointer data)
{
    guint n_sent = 0;

    (void)data;
    g_assert_false(send_event(f));
    g_assert_cmpuint(qga_session_events_dropped(f->session), ==, 0);
    qga_session_set_events(f->session, TRUE);
    g_assert_true(send_event(f));
    g_assert_cmpuint(f->n_wakeups, ==, 1);
    session_assert_output(f, EVENT);
    /* beside a pending call */
    session_feed(f, "{\"execute\":\"memory-get-status\"}");
    g_assert_true(send_event(f));
    qga_call_return_empty(f->late->pdata[0]);
    session_assert_output(f, EVENT OK);
    /* never inside a reply */
    session_feed(f, "{\"execute\":\"memory-get-status\"}");
    qga_writer_null(qga_call_begin_return(f->late->pdata[1]));
    g_assert_false(send_event(f));
    qga_call_end_return(f->late->pdata[1]);
    session_assert_output(f, "{\"return\": null}\n");
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

static void test_delimited(SessionFixture *f, gconstpointer data)
{
    char *text;

    (void)data;
    /* replies of the same burst stay, events go off */
    qga_session_set_events(f->session, TRUE);
    session_feed(f, PING DELIMITED PING);
    session_assert_output(f, OK DELIMITED_OK OK);
    g_assert_false(qga_session_events_enabled(f->session));
    /* the error of a half request too */
    session_feed(f, "{\"a\":\xFF" DELIMITED);
    session_assert_output(f, STRAY_FF DELIMITED_OK);
    /* what lay there before is dropped */
    session_feed(f, PING PING);
    session_feed(f, PING DELIMITED);
    session_assert_output(f, OK DELIMITED_OK);
    /* a line of which part was sent keeps its newline */
    session_feed(f, PING PING);
    text = session_take(f, 5);
    g_free(text);
    session_feed(f, PING DELIMITED PING);
    session_assert_output(f, "\n" OK DELIMITED_OK OK);
    /* nothing but a newline was left */
    session_feed(f, PING);
    g_free(session_take(f, strlen(OK) - 1));
    session_feed(f, DELIMITED);
    session_assert_output(f, "\n" DELIMITED_OK);
    /* where hosts do not change unseen all of it stays */
    qga_session_set_single_host(f->session, TRUE);
    session_feed(f, PING);
    session_feed(f, PING DELIMITED);
    session_assert_output(f, OK OK DELIMITED_OK);
    qga_session_set_single_host(f->session, FALSE);
    /* one that fails drops nothing */
    session_feed(f, PING);
    session_feed(f, "{\"execute\":\"guest-sync-delimited\"}");
    session_assert_output(f, OK GENERIC("Parameter 'id' is missing"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    SESSION_TEST("late", test_late);
    SESSION_TEST("orphans", test_orphans);
    SESSION_TEST("backpressure", test_backpressure);
    SESSION_TEST("events", test_events);
    SESSION_TEST("delimited", test_delimited);
    return g_test_run();
}
