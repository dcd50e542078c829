/*
 * The descriptor half of the relay: everything is decided in qga-protocol/relay.c.
 */
#include "os/upstream.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/loop.h"

#define INPUT_BYTES 65536

struct Upstream {
    char *path;
    QgaRelay *relay;
    int fd; /* -1: not connected */
    guint watch;
    GIOCondition watched;
    guint idle;
    guint timer;
    gint64 timer_usec;    /* when it is due; monotonic */
    gboolean is_readable; /* as the last poll said */
    gsize input_start, input_end;
    guint8 input[INPUT_BYTES];
};

/* IS_NESTED: a connection that is being pumped has called. */
static void upstream_pump(Upstream *upstream, gboolean is_nested);

static gboolean on_idle(gpointer user_data)
{
    Upstream *upstream = user_data;

    upstream->idle = 0;
    upstream_pump(upstream, FALSE);
    return G_SOURCE_REMOVE;
}

static void pump_later(Upstream *upstream)
{
    if (!upstream->idle)
        upstream->idle = g_idle_add_full(G_PRIORITY_DEFAULT, on_idle, upstream, NULL);
}

static void on_wakeup(gboolean is_now, gpointer user_data)
{
    Upstream *upstream = user_data;

    if (is_now)
        upstream_pump(upstream, TRUE);
    else
        pump_later(upstream);
}

static gboolean on_timer(gpointer user_data)
{
    Upstream *upstream = user_data;

    upstream->timer = 0;
    upstream_pump(upstream, FALSE);
    return G_SOURCE_REMOVE;
}

static gboolean on_ready(G_GNUC_UNUSED gint fd, GIOCondition condition, gpointer user_data)
{
    Upstream *upstream = user_data;

    upstream->is_readable = (condition & ~G_IO_OUT) != 0;
    upstream_pump(upstream, FALSE);
    return G_SOURCE_CONTINUE;
}

static void watch(Upstream *upstream, GIOCondition condition)
{
    if (condition == upstream->watched)
        return;
    g_clear_handle_id(&upstream->watch, g_source_remove);
    upstream->watched = condition;
    if (condition)
        upstream->watch = loop_add_fd(upstream->fd, condition, on_ready, upstream);
}

/* WHY: what qemu-ga did, or why there is no connection. */
static void disconnect(Upstream *upstream, const char *why)
{
    watch(upstream, 0);
    if (upstream->fd >= 0)
        close(upstream->fd);
    upstream->fd = -1;
    upstream->is_readable = FALSE;
    upstream->input_start = upstream->input_end = 0;
    qga_relay_disconnected(upstream->relay, why);
}

/* Nobody but root may stand in for qemu-ga. */
static gboolean is_trusted(int fd)
{
    struct ucred peer;
    socklen_t length = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static void connect_to(Upstream *upstream)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    g_strlcpy(address.sun_path, upstream->path, sizeof address.sun_path);
    upstream->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int code = upstream->fd < 0 ? errno : 0;
    if (!code && strlen(upstream->path) >= sizeof address.sun_path)
        code = ENAMETOOLONG;
    if (!code && connect(upstream->fd, (struct sockaddr *)&address, sizeof address) < 0)
        code = errno;
    if (!code && !is_trusted(upstream->fd))
        code = EPERM;
    if (code) {
        g_autofree char *why =
            g_strdup_printf("cannot be reached at %s: %s", upstream->path, g_strerror(code));
        disconnect(upstream, why);
    } else {
        qga_relay_connected(upstream->relay);
    }
}

/* FALSE: qemu-ga is gone. */
static gboolean move_output(Upstream *upstream, gboolean *moved)
{
    const guint8 *bytes;
    gsize n;

    while ((n = qga_relay_peek(upstream->relay, &bytes)) > 0) {
        gssize written = send(upstream->fd, bytes, n, MSG_NOSIGNAL);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno == EAGAIN;
        qga_relay_consume(upstream->relay, (gsize)written);
        *moved = TRUE;
    }
    return TRUE;
}

static gboolean move_input(Upstream *upstream, gboolean *moved)
{
    if (!qga_relay_wants_input(upstream->relay))
        return TRUE;
    if (upstream->input_start == upstream->input_end) {
        if (!upstream->is_readable)
            return TRUE;
        gssize n = read(upstream->fd, upstream->input, INPUT_BYTES);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        if (n == 0)
            return FALSE;
        upstream->is_readable = n == INPUT_BYTES;
        upstream->input_start = 0;
        upstream->input_end = (gsize)n;
    }
    upstream->input_start +=
        qga_relay_feed(upstream->relay, upstream->input + upstream->input_start,
                       upstream->input_end - upstream->input_start);
    *moved = TRUE;
    return TRUE;
}

static void move(Upstream *upstream, gint64 start_usec)
{
    gboolean moved = TRUE;

    while (moved && upstream->fd >= 0) {
        moved = FALSE;
        if (!move_output(upstream, &moved) || !move_input(upstream, &moved))
            disconnect(upstream, "closed the connection before it had answered");
        else if (moved && loop_turn_is_over(start_usec)) {
            pump_later(upstream);
            return;
        }
    }
}

/* One that is due earlier stays: most requests are answered long before. */
static void wake_in(Upstream *upstream, gint64 now_usec, gint64 wait_usec)
{
    if (upstream->timer && upstream->timer_usec <= now_usec + wait_usec)
        return;
    g_clear_handle_id(&upstream->timer, g_source_remove);
    upstream->timer_usec = now_usec + wait_usec;
    upstream->timer =
        g_timeout_add((guint)MIN((wait_usec + 999) / 1000, G_MAXINT), on_timer, upstream);
}

static void upstream_pump(Upstream *upstream, gboolean is_nested)
{
    gint64 start_usec = g_get_monotonic_time();
    const guint8 *bytes;

    qga_relay_turn(upstream->relay, start_usec);
    if (upstream->fd >= 0 && qga_relay_wants_hangup(upstream->relay))
        disconnect(upstream, "got half a request");
    if (upstream->fd < 0 && qga_relay_wants_connection(upstream->relay))
        connect_to(upstream);
    move(upstream, start_usec);
    gint64 wait_usec = qga_relay_turn(upstream->relay, start_usec);
    if (upstream->fd < 0)
        watch(upstream, 0);
    else
        watch(upstream, (qga_relay_wants_input(upstream->relay) ? G_IO_IN : 0) |
                            (qga_relay_peek(upstream->relay, &bytes) > 0 ? G_IO_OUT : 0));
    if (upstream->fd < 0 && qga_relay_wants_connection(upstream->relay))
        pump_later(upstream); /* it has gone, and others still wait for it */
    if (wait_usec >= 0)
        wake_in(upstream, start_usec, wait_usec);
    else
        g_clear_handle_id(&upstream->timer, g_source_remove);
    qga_relay_wake_hosts(upstream->relay, !is_nested && !loop_turn_is_over(start_usec));
}

Upstream *upstream_new(const char *path)
{
    Upstream *upstream = g_new0(Upstream, 1);

    upstream->path = g_strdup(path);
    upstream->fd = -1;
    upstream->relay = qga_relay_new(on_wakeup, upstream);
    return upstream;
}

void upstream_free(Upstream *upstream)
{
    if (!upstream)
        return;
    qga_relay_free(upstream->relay);
    watch(upstream, 0);
    if (upstream->fd >= 0)
        close(upstream->fd);
    g_clear_handle_id(&upstream->idle, g_source_remove);
    g_clear_handle_id(&upstream->timer, g_source_remove);
    g_free(upstream->path);
    g_free(upstream);
}

QgaRelay *upstream_relay(Upstream *upstream)
{
    return upstream->relay;
}
