/*
 * Requests that go on to qemu-ga: order, what a dead, slow, mute or late qemu-ga costs, what
 * guest-sync-delimited drops, large requests and replies. Time and qemu-ga are the test's.
 */
#include <string.h>

#include "qga-protocol/framer.h"
#include "qga-protocol/relay.h"
#include "session-fixture.h"

#define TIME(id) "{\"execute\":\"guest-get-time\",\"id\":" id "}"
#define DELIMITED(id) "{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":" id "}}"
#define SECOND ((gint64)G_USEC_PER_SEC)

typedef struct {
    SessionFixture base;
    QgaRelay *relay;
    gint64 now_usec;
} World;

static void set_up(World *w, gconstpointer data)
{
    session_fixture_set_up(&w->base, data);
    w->relay = qga_relay_new(NULL, NULL);
    w->now_usec = 1000;
    qga_dispatch_set_relay(w->base.dispatch, w->relay);
    qga_session_free(w->base.session);
    w->base.session = qga_session_new(w->base.dispatch, NULL, &w->base);
}

static void tear_down(World *w, gconstpointer data)
{
    QgaBasicCommands *basic = g_steal_pointer(&w->base.basic);

    session_fixture_tear_down(&w->base, data);
    qga_relay_free(w->relay);
    qga_basic_commands_free(basic);
}

/* Lets USEC pass. Returns how long nothing is due; -1: for ever. */
static gint64 pass(World *w, gint64 usec)
{
    w->now_usec += usec;
    gint64 wait_usec = qga_relay_turn(w->relay, w->now_usec);
    qga_session_run(w->base.session);
    qga_relay_turn(w->relay, w->now_usec);
    return wait_usec;
}

/* What qemu-ga gets; to free. */
static char *heard(World *w)
{
    GString *text = g_string_new(NULL);
    const guint8 *bytes;
    gsize n;

    pass(w, 1);
    while ((n = qga_relay_peek(w->relay, &bytes)) > 0) {
        g_string_append_len(text, (const char *)bytes, (gssize)n);
        qga_relay_consume(w->relay, n);
    }
    return g_string_free(text, FALSE);
}

static void assert_heard(World *w, const char *expected)
{
    g_autofree char *text = heard(w);

    g_assert_cmpstr(text, ==, expected);
}

static void say(World *w, const char *text)
{
    g_assert_cmpuint(qga_relay_feed(w->relay, (const guint8 *)text, strlen(text)), ==,
                     strlen(text));
    pass(w, 1);
}

/* The connection, until guest-info is asked. */
static void greet(World *w)
{
    pass(w, 1);
    g_assert_true(qga_relay_wants_connection(w->relay));
    qga_relay_connected(w->relay);
    g_autofree char *hello = heard(w);
    const char *id = strstr(hello, "\"id\":");
    g_assert_true(g_str_has_prefix(hello, "\xFF{\"execute\":\"guest-sync-delimited\"") && id);
    g_autofree char *reply = g_strdup_printf(
        "half of {\"return\": 1\n{\"error\": {}}\n\xFF{\"return\": %" G_GINT64_FORMAT "}\n",
        g_ascii_strtoll(id + 5, NULL, 10));
    say(w, reply);
    assert_heard(w, "");
}

/* The connection, until requests go through it. */
static void connect_up(World *w)
{
    greet(w);
    say(w, "{\"return\": {\"version\": \"9.9\", \"supported_commands\": [{\"enabled\": true, "
           "\"name\": \"guest-ping\", \"success-response\": true}, {\"enabled\": false, \"name\": "
           "\"guest-exec\", \"success-response\": true}, {\"enabled\": true, \"name\": "
           "\"guest-halt\", \"success-response\": false}]}}\n");
}

static void test_order(World *w, gconstpointer data)
{
    (void)data;
    session_feed(&w->base, PING TIME("1") PING TIME("2") " { \"execute\" :\t'guest-x' }" PING);
    session_assert_output(&w->base, OK);
    connect_up(w);
    assert_heard(w, TIME("1") "\n");
    session_assert_output(&w->base, "");
    say(w, "{\"return\": 10, \"id\"");
    session_assert_output(&w->base, "");
    say(w, ": 1}\n");
    session_assert_output(&w->base, "{\"return\": 10, \"id\": 1}\n" OK);
    assert_heard(w, TIME("2") "\n");
    say(w, "any line\n");
    session_assert_output(&w->base, "any line\n");
    assert_heard(w, "{ \"execute\" :\t'guest-x' }\n");
    say(w, "{}\nunasked\n");
    session_assert_output(&w->base, "{}\n" OK);
    g_assert_true(qga_session_is_fresh(w->base.session));
    g_assert_cmpint(pass(w, 1), ==, -1);
}

static void test_info(World *w, gconstpointer data)
{
    static const char *const block[] = {"guest-halt", NULL};

    (void)data;
    qga_dispatch_set_lists(w->base.dispatch, NULL, block);
    session_feed(&w->base, "{\"execute\":\"guest-info\"}");
    connect_up(w);
    g_autofree char *text = session_take(&w->base, G_MAXSIZE);
    g_assert_true(g_str_has_prefix(text, "{\"return\": {\"version\": \"9.9\", "));
    g_assert_nonnull(strstr(text, "{\"enabled\": false, \"name\": \"guest-exec\", "));
    g_assert_nonnull(strstr(text, "{\"enabled\": false, \"name\": \"guest-halt\", "
                                  "\"success-response\": false}"));
    const char *ping = strstr(text, "\"guest-ping\"");
    g_assert_true(ping && !strstr(ping + 1, "\"guest-ping\""));
    session_feed(&w->base, "{\"execute\":\"guest-halt\",\"id\":4}");
    session_assert_output(
        &w->base, "{\"id\": 4, \"error\": {\"class\": \"CommandNotFound\", \"desc\": "
                  "\"Command guest-halt has been disabled: the command is not allowed\"}}\n");

    /* It stays known while qemu-ga is away; another one is asked again. */
    qga_relay_disconnected(w->relay, "went");
    session_feed(&w->base, "{\"execute\":\"guest-info\"}");
    pass(w, 1);
    session_assert_output(&w->base, "");
    qga_relay_disconnected(w->relay, "is not there");
    pass(w, 1);
    g_autofree char *again = session_take(&w->base, G_MAXSIZE);
    g_assert_cmpstr(text, ==, again);
    session_feed(&w->base, "{\"execute\":\"guest-info\"}");
    greet(w);
    say(w, "{\"return\": {\"version\": \"10.1\", \"supported_commands\": []}}\n");
    g_autofree char *upgraded = session_take(&w->base, G_MAXSIZE);
    g_assert_true(g_str_has_prefix(upgraded, "{\"return\": {\"version\": \"10.1\", "));
}

static void test_info_is_not_waited_for(World *w, gconstpointer data)
{
    (void)data;
    session_feed(&w->base, "{\"execute\":\"guest-info\"}");
    pass(w, 1);
    qga_relay_connected(w->relay);
    pass(w, QGA_RELAY_INFO_USEC - 2);
    session_assert_output(&w->base, "");
    pass(w, 2);
    g_autofree char *text = session_take(&w->base, G_MAXSIZE);
    g_assert_true(g_str_has_prefix(text, "{\"return\": {\"version\": \"1.2.3\", "));
    session_feed(&w->base, "{\"execute\":\"guest-info\"}");
    g_autofree char *again = session_take(&w->base, G_MAXSIZE);
    g_assert_cmpstr(text, ==, again);
}

/* Whoever syncs is not waited for; that says nothing about qemu-ga. */
static void test_sync_makes_nobody_mute(World *w, gconstpointer data)
{
    (void)data;
    session_feed(&w->base, TIME("1") DELIMITED("7"));
    pass(w, 1);
    qga_relay_connected(w->relay);
    pass(w, QGA_RELAY_SYNC_USEC);
    session_assert_output(&w->base, "\xFF{\"return\": 7}\n");
    session_feed(&w->base, "{\"execute\":\"guest-info\"}");
    pass(w, 1);
    pass(w, QGA_RELAY_INFO_USEC - 2);
    session_assert_output(&w->base, "");
    pass(w, 2);
    g_free(session_take(&w->base, G_MAXSIZE));
    session_feed(&w->base, "{\"execute\":\"guest-info\"}");
    g_assert_cmpuint(qga_session_pending_output(w->base.session), >, 0); /* now it is mute */
}

static void test_dead(World *w, gconstpointer data)
{
    (void)data;
    session_feed(&w->base, TIME("[1,\n2]") PING "{\"execute\":\"guest-get-time\"}" TIME("3"));
    pass(w, 1);
    qga_relay_disconnected(w->relay, "is not there");
    pass(w, 1);
    g_assert_true(qga_relay_wants_connection(w->relay));
    session_assert_output(&w->base, GENERIC_ID("qemu-ga is not there", "[1, 2]") OK);
    connect_up(w);
    assert_heard(w, "{\"execute\":\"guest-get-time\"}\n");
    say(w, "{\"return\": ");
    qga_relay_disconnected(w->relay, "has died");
    pass(w, 1);
    session_assert_output(&w->base, GENERIC("qemu-ga has died"));
    connect_up(w);
    assert_heard(w, TIME("3") "\n");
    say(w, "3\n");
    session_assert_output(&w->base, "3\n");
}

/* While only its own host waits for it, qemu-ga has time; less where a command of ours waits too.
 * What comes late reaches nobody. */
static void test_slow(World *w, gconstpointer data)
{
    (void)data;
    session_feed(&w->base, TIME("1"));
    connect_up(w);
    assert_heard(w, TIME("1") "\n");
    pass(w, QGA_RELAY_REPLY_USEC - SECOND);
    session_assert_output(&w->base, "");
    pass(w, SECOND);
    session_assert_output(&w->base, GENERIC_ID("qemu-ga has not answered for 20.0 s", "1"));
    session_feed(&w->base, TIME("2") PING);
    assert_heard(w, "");
    pass(w, QGA_RELAY_IMPATIENT_USEC);
    session_assert_output(&w->base, GENERIC_ID("qemu-ga has not answered for 4.0 s", "2") OK);
    session_feed(&w->base, TIME("3"));
    say(w, "{\"return\": \"late\"}\n");
    assert_heard(w, TIME("3") "\n");
    say(w, "3\n");
    session_assert_output(&w->base, "3\n");

    session_feed(&w->base, "{\"execute\":\"guest-fsfreeze-freeze\"}");
    assert_heard(w, "{\"execute\":\"guest-fsfreeze-freeze\"}\n");
    pass(w, 3000 * SECOND);
    session_assert_output(&w->base, "");
    say(w, "5\n");
    session_assert_output(&w->base, "5\n");
}

static void test_sync_delimited_drops(World *w, gconstpointer data)
{
    (void)data;
    session_feed(&w->base, TIME("1"));
    connect_up(w);
    assert_heard(w, TIME("1") "\n");
    session_feed(&w->base, PING TIME("2") DELIMITED("7") PING TIME("3") PING);
    pass(w, 1);
    session_assert_output(&w->base, "");
    pass(w, QGA_RELAY_SYNC_USEC);
    session_assert_output(&w->base, OK "\xFF{\"return\": 7}\n" OK);
    assert_heard(w, "");
    say(w, "{\"return\": 1, \"id\": 1}\n");
    session_assert_output(&w->base, "");
    assert_heard(w, TIME("3") "\n"); /* and never 2 */
    say(w, "{\"return\": 3, \"id\": 3}\n");
    session_assert_output(&w->base, "{\"return\": 3, \"id\": 3}\n" OK);

    /* An agent that answers at once is waited for, as if it were one. */
    session_feed(&w->base, TIME("4") TIME("5") DELIMITED("8"));
    assert_heard(w, TIME("4") "\n");
    say(w, "4\n");
    assert_heard(w, TIME("5") "\n");
    say(w, "5\n");
    session_assert_output(&w->base, "4\n5\n\xFF{\"return\": 8}\n");
}

static void test_host_goes(World *w, gconstpointer data)
{
    (void)data;
    session_feed(&w->base, TIME("1") PING TIME("2"));
    connect_up(w);
    assert_heard(w, TIME("1") "\n");
    qga_session_reset(w->base.session);
    g_assert_true(qga_session_is_fresh(w->base.session));
    session_feed(&w->base, TIME("3"));
    say(w, "{\"return\": 1}\n");
    session_assert_output(&w->base, "");
    assert_heard(w, TIME("3") "\n");
    say(w, "3\n");
    session_assert_output(&w->base, "3\n");
    g_assert_false(qga_relay_wants_hangup(w->relay));
}

/* Another host. */
static QgaSession *second_host(World *w)
{
    return qga_session_new(w->base.dispatch, NULL, NULL);
}

static void send_of(QgaSession *session, const char *text)
{
    g_assert_cmpuint(qga_session_feed(session, (const guint8 *)text, strlen(text)), ==,
                     strlen(text));
}

static void assert_output_of(QgaSession *session, const char *expected)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const guint8 *bytes;
    gsize n;

    while ((n = qga_session_peek(session, &bytes)) > 0) {
        g_string_append_len(text, (const char *)bytes, (gssize)n);
        qga_session_consume(session, n);
    }
    g_assert_cmpstr(text->str, ==, expected);
}

/* A reply that nobody waits for any more and that does not come: a new connection is made, once
 * somebody wants one. */
static void test_late_for_ever(World *w, gconstpointer data)
{
    (void)data;
    session_feed(&w->base, TIME("1"));
    connect_up(w);
    assert_heard(w, TIME("1") "\n");
    pass(w, QGA_RELAY_REPLY_USEC);
    session_assert_output(&w->base, GENERIC_ID("qemu-ga has not answered for 20.0 s", "1"));
    g_assert_cmpint(pass(w, SECOND), ==, -1);
    session_feed(&w->base, TIME("2"));
    g_assert_cmpint(pass(w, 1), ==, QGA_RELAY_LATE_USEC - SECOND - 1);
    g_assert_false(qga_relay_wants_hangup(w->relay));
    pass(w, QGA_RELAY_LATE_USEC - SECOND - 1);
    g_assert_true(qga_relay_wants_hangup(w->relay));
    qga_relay_disconnected(w->relay, "is given up");
    session_assert_output(&w->base, "");
    pass(w, 1);
    qga_relay_connected(w->relay);
    pass(w, QGA_RELAY_HELLO_USEC - 1); /* as if it had been asked just now */
    session_assert_output(&w->base, "");
    qga_relay_disconnected(w->relay, "is given up");
    pass(w, 1);
    session_assert_output(&w->base, GENERIC_ID("qemu-ga is given up", "2"));
}

/* guest-shutdown answers on failure only. */
static void test_no_success(World *w, gconstpointer data)
{
    (void)data;
    for (guint i = 0; i < 2; i++) {
        session_feed(&w->base, "{\"execute\":\"guest-halt\",\"id\":1}" PING);
        if (i == 0) {
            connect_up(w); /* what it said of the command counts from the next one on */
            g_free(heard(w));
            say(w, "x\n");
            session_assert_output(&w->base, "x\n" OK);
            continue;
        }
        g_autofree char *text = heard(w);
        const char *marker = strstr(text, "\n{\"execute\":\"guest-sync\",\"arguments\":{\"id\":");
        g_assert_nonnull(marker);
        g_autofree char *reply =
            g_strdup_printf("{\"return\": %" G_GINT64_FORMAT "}\n",
                            g_ascii_strtoll(strstr(marker, "id\":") + 4, NULL, 10));
        session_assert_output(&w->base, "");
        say(w, reply);
        session_assert_output(&w->base, OK);
    }
}

static void feed_all(World *w, GString *text, GString *to)
{
    gsize done = 0;

    while (done < text->len) {
        gsize n = MIN(text->len - done, 5000);

        done += qga_session_feed(w->base.session, (const guint8 *)text->str + done, n);
        g_autofree char *part = heard(w);
        g_string_append(to, part);
    }
    pass(w, 1);
}

static GString *large_request(const char *before, gsize n_bytes, const char *after)
{
    GString *text = g_string_new(before);
    gsize start = text->len;

    g_string_set_size(text, start + n_bytes);
    memset(text->str + start, 'A', n_bytes);
    return g_string_append(text, after);
}

static void test_large_request(World *w, gconstpointer data)
{
    GString *got = g_string_new(NULL);

    (void)data;
    session_feed(&w->base, TIME("0"));
    connect_up(w);
    g_free(heard(w));
    say(w, "0\n");
    session_assert_output(&w->base, "0\n");
    GString *text = large_request("{\"execute\":\"guest-file-write\",\"arguments\":{\"buf-b64\":\"",
                                  15 * 1024 * 1024, "\"},\"id\":\"big\"}");
    feed_all(w, text, got);
    g_string_append_c(text, '\n');
    g_assert_true(g_string_equal(text, got));
    qga_relay_disconnected(w->relay, "is gone");
    session_assert_output(&w->base, GENERIC_ID("qemu-ga is gone", "\"big\""));
    g_string_free(text, TRUE);

    /* Too large for any agent, and of ours: qemu-ga must not get the end of it. */
    static const char *const heads[] = {"{\"arguments\":{\"a\":\"",
                                        "{\"execute\":\"guest-ping\",\"b\":\""};
    static const char *const tails[] = {"\"},\"execute\":\"guest-get-memory-blocks\"}", "\"}"};
    for (guint i = 0; i < 3; i++) {
        session_feed(&w->base, TIME("0"));
        connect_up(w);
        g_free(heard(w));
        say(w, "0\n");
        session_assert_output(&w->base, "0\n");
        text = i < 2 ? large_request(heads[i], 3000000, tails[i])
                     : large_request(heads[0], 17 * 1024 * 1024, "\"}}");
        g_string_set_size(got, 0);
        feed_all(w, text, got);
        g_string_free(text, TRUE);
        session_assert_output(&w->base, GENERIC("JSON token size limit exceeded"));
        g_assert_null(strchr(got->str, '\n'));
        session_feed(&w->base, PING);
        session_assert_output(&w->base, OK);
        g_assert_cmpint(qga_relay_wants_hangup(w->relay), ==, i != 1);
        qga_relay_disconnected(w->relay, "got half a request");
    }
    g_string_free(got, TRUE);
}

static void test_large_reply(World *w, gconstpointer data)
{
    g_autofree guint8 *piece = g_malloc(65536);
    gsize n_fed = 0, n_read = 0, n_total = 48 * 1024 * 1024;

    (void)data;
    memset(piece, 'x', 65536);
    session_feed(&w->base, TIME("1") PING);
    connect_up(w);
    assert_heard(w, TIME("1") "\n");
    while (n_read < n_total) {
        gsize n =
            n_fed < n_total ? qga_relay_feed(w->relay, piece, MIN(65536, n_total - n_fed)) : 0;
        const guint8 *bytes;

        n_fed += n;
        gsize n_out = qga_session_peek(w->base.session, &bytes);
        if (n_out == 0 && n_fed == n_total)
            break;
        if (n == 0 || n_fed == n_total) {
            n_read += n_out;
            qga_session_consume(w->base.session, n_out);
        }
        g_assert_cmpuint(n_fed - n_read, <=, 3 * 1024 * 1024);
    }
    g_assert_cmpuint(n_read, ==, n_total);
    /* No event gets into the line, and qemu-ga's death ends it. */
    qga_session_set_events(w->base.session, TRUE);
    g_assert_null(qga_session_begin_event(w->base.session, "MEMORY_ADDED", 1));
    qga_relay_disconnected(w->relay, "is gone");
    pass(w, 1);
    session_assert_output(&w->base, "\n" GENERIC_ID("qemu-ga is gone", "1") OK);
}

/* As much of an endless reply as is taken. */
static void say_more(World *w)
{
    g_autofree char *piece = g_strnfill(65536, 'x');

    while (qga_relay_wants_input(w->relay))
        qga_relay_feed(w->relay, (guint8 *)piece, 65536);
}

#define KEPT_WAITING "qemu-ga is wanted by others, and the host has kept it waiting"

/* A host that does not take a large reply keeps qemu-ga from itself, and not from the others; one
 * that takes it slowly may go on. */
static void test_host_takes_nothing(World *w, gconstpointer data)
{
    QgaSession *other = second_host(w);

    (void)data;
    session_feed(&w->base, TIME("1"));
    connect_up(w);
    g_free(heard(w));
    say_more(w);
    pass(w, 100 * SECOND); /* nobody is hurt */
    send_of(other, TIME("2"));
    for (guint i = 0; i < 8; i++) {
        pass(w, SECOND);
        g_free(session_take(&w->base, 1100000));
        say_more(w);
    }
    g_assert_cmpint(pass(w, QGA_RELAY_IDLE_USEC - 2), ==, 2);
    g_assert_false(qga_relay_wants_input(w->relay));
    pass(w, 2);
    say(w, "xx\n");
    assert_heard(w, TIME("2") "\n");
    say(w, "2\n");
    assert_output_of(other, "2\n");
    g_autofree char *text = session_take(&w->base, G_MAXSIZE);
    g_assert_true(g_str_has_suffix(text, "x\n" GENERIC_ID(KEPT_WAITING, "1")));
    session_feed(&w->base, TIME("3"));
    assert_heard(w, TIME("3") "\n");
    qga_session_free(other);
}

/* Nor one that does not give the rest of a large request. */
static void test_host_gives_nothing(World *w, gconstpointer data)
{
    QgaSession *other = second_host(w);
    GString *text = large_request("{\"id\":1,\"execute\":\"guest-x\",\"a\":\"", 2000000, "");

    (void)data;
    session_feed(&w->base, TIME("0"));
    connect_up(w);
    g_free(heard(w));
    say(w, "0\n");
    session_assert_output(&w->base, "0\n");
    g_autoptr(GString) got = g_string_new(NULL);
    feed_all(w, text, got);
    pass(w, 100 * SECOND);
    send_of(other, TIME("2"));
    pass(w, 1);
    pass(w, QGA_RELAY_IDLE_USEC - 1);
    g_assert_false(qga_relay_wants_hangup(w->relay));
    pass(w, 1);
    g_assert_true(qga_relay_wants_hangup(w->relay));
    qga_relay_disconnected(w->relay, "got half a request");
    connect_up(w);
    assert_heard(w, TIME("2") "\n");
    say(w, "2\n");
    assert_output_of(other, "2\n");
    session_assert_output(&w->base, "");
    session_feed(&w->base, "\"}");
    session_assert_output(&w->base, GENERIC_ID(KEPT_WAITING, "1"));
    g_string_free(text, TRUE);
    qga_session_free(other);
}

#define RELAY_TEST(name, function)                                                                 \
    g_test_add("/relay/" name, World, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    RELAY_TEST("order", test_order);
    RELAY_TEST("info", test_info);
    RELAY_TEST("info-is-not-waited-for", test_info_is_not_waited_for);
    RELAY_TEST("sync-makes-nobody-mute", test_sync_makes_nobody_mute);
    RELAY_TEST("dead", test_dead);
    RELAY_TEST("slow", test_slow);
    RELAY_TEST("sync-delimited-drops", test_sync_delimited_drops);
    RELAY_TEST("host-goes", test_host_goes);
    RELAY_TEST("late-for-ever", test_late_for_ever);
    RELAY_TEST("host-takes-nothing", test_host_takes_nothing);
    RELAY_TEST("host-gives-nothing", test_host_gives_nothing);
    RELAY_TEST("no-success", test_no_success);
    RELAY_TEST("large-request", test_large_request);
    RELAY_TEST("large-reply", test_large_reply);
    return g_test_run();
}
