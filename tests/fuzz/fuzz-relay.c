/*
 * libFuzzer: a hostile host on one side, a broken qemu-ga on the other. The first two bytes of an
 * input seed who gets how much of the rest, when the connection to qemu-ga comes and goes, how much
 * time passes and how slowly the host reads. Whatever they say, each reply of our own is whole,
 * nothing of an earlier host reaches the next, memory is bounded, and in the end nothing waits.
 */
#include <string.h>

#include "../unit/session-fixture.h"
#include "qga-protocol/relay.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

typedef struct {
    SessionFixture f;
    QgaRelay *relay;
    gint64 now_usec;
    guint32 random;
    gboolean is_connected;
    guint8 *held; /* of qemu-ga's, that the relay has not taken */
    gsize n_held;
} World;

static guint next_random(World *w, guint below)
{
    w->random = w->random * 1664525 + 1013904223;
    return (w->random >> 16) % below;
}

static void read_output(World *w, gsize n_bytes)
{
    const guint8 *bytes;
    gsize n;

    while (n_bytes > 0 && (n = qga_session_peek(w->f.session, &bytes)) > 0) {
        n = MIN(n, n_bytes);
        qga_session_consume(w->f.session, n);
        n_bytes -= n;
    }
}

static void drain_relay(World *w)
{
    const guint8 *bytes;
    gsize n;

    while (w->is_connected && (n = qga_relay_peek(w->relay, &bytes)) > 0) {
        gsize n_max = 1 + next_random(w, 4096);
        qga_relay_consume(w->relay, MIN(n, n_max));
    }
}

static void hang_up(World *w, const char *why)
{
    qga_relay_disconnected(w->relay, why);
    w->is_connected = FALSE;
    g_clear_pointer(&w->held, g_free);
    w->n_held = 0;
}

/* What the owner of the relay does. */
static void turn(World *w, gint64 usec)
{
    w->now_usec += usec;
    qga_relay_turn(w->relay, w->now_usec);
    if (w->is_connected && qga_relay_wants_hangup(w->relay))
        hang_up(w, "got half a request");
    if (!w->is_connected && qga_relay_wants_connection(w->relay)) {
        if (next_random(w, 4) == 0) {
            hang_up(w, "is not there");
        } else {
            qga_relay_connected(w->relay);
            w->is_connected = TRUE;
        }
    }
    qga_session_run(w->f.session);
    qga_relay_turn(w->relay, w->now_usec);
}

static void say(World *w, const guint8 *bytes, gsize n_bytes)
{
    if (!w->is_connected)
        return;
    w->held = g_realloc(w->held, w->n_held + n_bytes);
    memcpy(w->held + w->n_held, bytes, n_bytes);
    w->n_held += n_bytes;
    gsize n = qga_relay_feed(w->relay, w->held, w->n_held);
    g_assert(n == w->n_held || !qga_relay_wants_input(w->relay));
    w->n_held -= n;
    memmove(w->held, w->held + n, w->n_held);
}

/* As a real one would, up to where requests go through. */
static void greet(World *w)
{
    static const char info[] =
        "{\"return\": {\"version\": \"1\", \"supported_commands\": [{\"name\": "
        "\"guest-x\", \"success-response\": false}]}}\n";
    const guint8 *bytes;
    gsize n = w->is_connected ? qga_relay_peek(w->relay, &bytes) : 0;
    const char *id =
        n > 0 && *bytes == 0xFF ? g_strstr_len((const char *)bytes, (gssize)n, "\"id\":") : NULL;

    if (id == NULL)
        return;
    g_autofree char *reply = g_strdup_printf("\xFF{\"return\": %" G_GINT64_FORMAT "}\n",
                                             g_ascii_strtoll(id + 5, NULL, 10));
    drain_relay(w);
    say(w, (const guint8 *)reply, strlen(reply));
    say(w, (const guint8 *)info, strlen(info));
}

static void happen(World *w)
{
    switch (next_random(w, 12)) {
    case 0:
        qga_session_reset(w->f.session);
        g_assert(qga_session_is_fresh(w->f.session));
        break;
    case 1:
        if (w->is_connected)
            hang_up(w, "has died");
        break;
    case 2:
        turn(w, next_random(w, 30) * (gint64)G_USEC_PER_SEC);
        break;
    case 3:
    case 4:
        greet(w);
        break;
    case 5:
    case 6:
        drain_relay(w);
        break;
    default:
        read_output(w, next_random(w, 5000));
    }
    turn(w, 1000);
}

static void answer_late(World *w)
{
    while (w->f.late->len > 0) {
        QgaCall *call = g_ptr_array_steal_index(w->f.late, 0);
        qga_call_return_empty(call);
    }
}

static void feed(World *w, const guint8 *bytes, gsize n_bytes)
{
    gsize done = 0;

    while (done < n_bytes) {
        done += qga_session_feed(w->f.session, bytes + done, n_bytes - done);
        g_assert(qga_session_pending_output(w->f.session) <=
                 QGA_SESSION_OUTPUT_LIMIT_BYTES + 2 * QGA_RELAY_HOLD_BYTES);
        answer_late(w);
        read_output(w, qga_session_wants_input(w->f.session) ? 0 : G_MAXSIZE);
        drain_relay(w);
        turn(w, qga_session_wants_input(w->f.session) ? 1 : QGA_RELAY_LONG_USEC);
    }
}

/* Everybody goes on, qemu-ga is gone for good: all is answered. */
static void finish(World *w)
{
    for (guint i = 0; i < 1000 && !qga_session_is_idle(w->f.session); i++) {
        if (w->is_connected)
            hang_up(w, "is gone");
        qga_relay_turn(w->relay, w->now_usec += QGA_RELAY_LONG_USEC);
        if (qga_relay_wants_connection(w->relay))
            hang_up(w, "is not there");
        answer_late(w);
        read_output(w, G_MAXSIZE);
        qga_session_run(w->f.session);
    }
    g_assert(qga_session_is_idle(w->f.session));
    qga_session_reset(w->f.session);
    if (w->is_connected)
        hang_up(w, "is gone");
    qga_relay_turn(w->relay, w->now_usec += QGA_RELAY_LONG_USEC);
    g_assert(!qga_relay_wants_connection(w->relay));
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static const guint8 large[40000] = {[0 ... 39999] = 'A'};
    World w = {.now_usec = 1};
    gsize done = 2;

    if (size < 2)
        return 0;
    session_fixture_set_up(&w.f, NULL);
    w.f.n_large = 2000;
    w.relay = qga_relay_new(NULL, NULL);
    qga_dispatch_set_relay(w.f.dispatch, w.relay);
    qga_session_free(w.f.session);
    w.f.session = qga_session_new(w.f.dispatch, NULL, &w.f);
    w.random = (guint32)(data[0] << 8 | data[1]);
    while (done < size) {
        gsize n_max = 1 + next_random(&w, 64);
        gsize n = MIN(size - done, n_max);

        if (next_random(&w, 3) == 0)
            say(&w, data + done, n);
        else
            feed(&w, data + done, n);
        gboolean is_hosts = next_random(&w, 2) == 0;
        gboolean is_large = next_random(&w, 200) == 0; /* over the limits, on either side */
        for (guint i = 0; is_large && i < 40; i++) {
            if (is_hosts)
                feed(&w, large, sizeof large);
            else if (qga_relay_wants_input(w.relay))
                say(&w, large, sizeof large);
        }
        done += n;
        happen(&w);
    }
    finish(&w);
    g_clear_pointer(&w.f.session, qga_session_free);
    qga_relay_free(w.relay);
    answer_late(&w);
    session_fixture_tear_down(&w.f, NULL);
    g_free(w.held);
    return 0;
}
