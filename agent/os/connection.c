/*
 * One host connection. connection_pump() is all there is to it: it moves bytes as long as anything
 * moves. Everything else only decides when to call it, and for a port, which host the bytes belong
 * to.
 *
 * The kernel learns from one queue that a host has opened the port and gets its bytes from another
 * (control_work_handler() and in_intr(), drivers/char/virtio_console.c), so the bytes of a host
 * that sends at once may be there while poll() and read() still say that nobody is. What a host
 * sent before it closed, in turn, is always there before the closing is known. So bytes that come
 * after a read has said "no host, no bytes" are the next host's, and are kept for as long as it may
 * take the kernel to see it.
 *
 * Those that come before may be the next host's too: where the last one closed just now, the kernel
 * learns of both late, of the closing first. Nothing tells whose they are but what they say: a host
 * begins with a sync. So a hang-up soon after a sync is believed only when it lasts.
 */
#include "os/connection.h"
#include "os/loop.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define INPUT_BYTES 16384
/* How long bytes may be there before their host is: many times what the kernel needs. One that is
 * not seen by then was gone before it could be. */
#define COMING_MS 2000

/* Of a CONNECTION_PORT. */
typedef enum {
    HOST_NONE,   /* a read said so; the session is fresh */
    HOST_COMING, /* its bytes are or were here, and the kernel does not know it yet */
    HOST_HERE,
    HOST_LEAVING, /* it has closed; what it sent before is still carried out */
} Host;

struct Connection {
    int fd;
    int epoll_fd;
    ConnectionKind kind;
    QgaSession *session;
    ConnectionEndFunc on_end;
    gpointer user_data;
    guint watch;
    guint idle;       /* pump again, from the loop */
    gint64 pump_usec; /* when the pump that is under way, or the last one, began; monotonic */
    gboolean input_ended;
    gboolean is_drained; /* of a socket: the last read took all there was, and no edge came since */
    gboolean is_closing; /* of a socket: its peer sends no more */
    guint32 watched;     /* events of epoll */
    Host host;
    guint coming; /* in HOST_COMING: has it come? */
    guint64 n_syncs;
    gint64 sync_usec;  /* when the session's last sync was carried out; monotonic */
    gsize input_start; /* bytes that were read and the session has not taken yet */
    gsize input_end;
    guint8 input[INPUT_BYTES];
};

static void connection_pump(Connection *connection);

static gboolean on_idle(gpointer user_data)
{
    Connection *connection = user_data;

    connection->idle = 0;
    connection_pump(connection);
    return G_SOURCE_REMOVE;
}

static void pump_later(Connection *connection)
{
    if (!connection->idle)
        connection->idle = g_idle_add_full(G_PRIORITY_DEFAULT, on_idle, connection, NULL);
}

/* A QgaSessionPauseFunc: whatever a host sends, others get their turn. */
static gboolean is_turn_over(gpointer user_data)
{
    const Connection *connection = user_data;

    return loop_turn_is_over(connection->pump_usec);
}

static void on_session_wakeup(G_GNUC_UNUSED QgaSession *session, gboolean is_now,
                              gpointer user_data)
{
    Connection *connection = user_data;

    if (is_now && !connection->idle)
        connection_pump(connection);
    else
        pump_later(connection);
}

/* The host went away: nothing of it may reach the next one. */
static void forget_host(Connection *connection)
{
    connection->input_start = connection->input_end = 0;
    connection->host = HOST_NONE;
    g_clear_handle_id(&connection->coming, g_source_remove);
    qga_session_reset(connection->session);
}

static gboolean is_hung_up(const Connection *connection)
{
    struct pollfd state = {.fd = connection->fd};

    return poll(&state, 1, 0) == 1 && state.revents & POLLHUP;
}

/* Whether a host has begun so lately that the kernel may not have seen it open the port yet. */
static gboolean has_just_begun(const Connection *connection)
{
    return connection->n_syncs > 0 &&
           g_get_monotonic_time() - connection->sync_usec < COMING_MS * G_TIME_SPAN_MILLISECOND;
}

static void note_syncs(Connection *connection)
{
    guint64 n_syncs = qga_session_syncs(connection->session);

    if (n_syncs == connection->n_syncs)
        return;
    connection->n_syncs = n_syncs;
    connection->sync_usec = g_get_monotonic_time();
}

static void see_host(Connection *connection)
{
    connection->host = HOST_HERE;
    g_clear_handle_id(&connection->coming, g_source_remove);
}

static gboolean on_coming(gpointer user_data)
{
    Connection *connection = user_data;

    connection->coming = 0;
    if (is_hung_up(connection))
        forget_host(connection);
    else
        see_host(connection);
    connection_pump(connection);
    return G_SOURCE_REMOVE;
}

/* It has to be seen within the time, or it was gone before it could be. */
static void expect_host(Connection *connection)
{
    connection->host = HOST_COMING;
    if (!connection->coming)
        connection->coming = g_timeout_add(COMING_MS, on_coming, connection);
}

/* No host, no bytes. */
static void note_absence(Connection *connection)
{
    if (connection->host != HOST_HERE && connection->host != HOST_LEAVING)
        return;
    if (has_just_begun(connection) && !qga_session_is_fresh(connection->session))
        expect_host(connection);
    else
        forget_host(connection);
}

/* Bytes have come: whose? */
static void note_bytes(Connection *connection)
{
    if (connection->host == HOST_HERE || connection->host == HOST_LEAVING)
        return;
    if (!is_hung_up(connection)) {
        see_host(connection);
        return;
    }
    expect_host(connection);
}

/* A socket tells of room for output only where that is waited for: each reply that its peer reads
 * makes room. A port tells of its host's coming that way. */
static void watch_output(Connection *connection, gboolean wanted)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};

    if (wanted || connection->kind == CONNECTION_PORT)
        event.events |= EPOLLOUT;
    if (event.events == connection->watched)
        return;
    connection->watched = event.events;
    epoll_ctl(connection->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
}

typedef enum { MOVED_NOTHING, MOVED_SOME, MOVED_TO_END } Moved;

static Moved move_output(Connection *connection)
{
    Moved moved = MOVED_NOTHING;

    while (qga_session_pending_output(connection->session) > 0) {
        const guint8 *bytes;
        gsize n = qga_session_peek(connection->session, &bytes);
        gssize written = write(connection->fd, bytes, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && errno == EAGAIN) {
            watch_output(connection, TRUE);
            return moved;
        }
        if (written < 0)
            return MOVED_TO_END;
        if (written == 0)
            return moved;
        qga_session_consume(connection->session, (gsize)written);
        moved = MOVED_SOME;
    }
    watch_output(connection, FALSE);
    return moved;
}

static Moved read_input(Connection *connection)
{
    if (connection->is_drained)
        return MOVED_NOTHING;
    gssize n = read(connection->fd, connection->input, INPUT_BYTES);

    connection->is_drained = connection->kind == CONNECTION_SOCKET && !connection->is_closing &&
                             n > 0 && n < INPUT_BYTES;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? MOVED_NOTHING : MOVED_TO_END;
    if (n == 0 && connection->kind == CONNECTION_PORT) {
        /* No host. Another edge comes when one does (drivers/char/virtio_console.c). */
        note_absence(connection);
        return MOVED_NOTHING;
    }
    if (n == 0) {
        connection->input_ended = TRUE;
        return MOVED_SOME;
    }
    if (connection->kind == CONNECTION_PORT)
        note_bytes(connection);
    connection->input_start = 0;
    connection->input_end = (gsize)n;
    return MOVED_SOME;
}

static Moved move_input(Connection *connection)
{
    if (qga_session_run(connection->session)) {
        note_syncs(connection);
        return MOVED_SOME;
    }
    if (!qga_session_wants_input(connection->session)) {
        if (connection->host != HOST_LEAVING)
            return MOVED_NOTHING;
        if (has_just_begun(connection)) {
            expect_host(connection);
            return MOVED_NOTHING;
        }
        qga_session_reset(connection->session); /* nobody waits for these answers */
    }
    if (connection->input_start == connection->input_end)
        return connection->input_ended ? MOVED_NOTHING : read_input(connection);
    gsize taken = qga_session_feed(connection->session, connection->input + connection->input_start,
                                   connection->input_end - connection->input_start);
    connection->input_start += taken;
    note_syncs(connection);
    return taken > 0 ? MOVED_SOME : MOVED_NOTHING;
}

/* A socket whose peer has said all it will say ends when it has got all its answers. */
static gboolean is_over(const Connection *connection)
{
    return connection->input_ended && connection->input_start == connection->input_end &&
           qga_session_pending_output(connection->session) == 0 &&
           qga_session_is_idle(connection->session);
}

static void connection_pump(Connection *connection)
{
    connection->pump_usec = g_get_monotonic_time();
    do {
        Moved out = move_output(connection);
        Moved in = out == MOVED_TO_END ? MOVED_TO_END : move_input(connection);
        if (in == MOVED_TO_END || is_over(connection)) {
            connection->on_end(connection, connection->user_data);
            return;
        }
        if (out == MOVED_NOTHING && in == MOVED_NOTHING)
            return;
    } while (!is_turn_over(connection));
    pump_later(connection);
}

/* What an edge of a port says of its host. */
static void note_edge(Connection *connection, gboolean hung_up)
{
    switch (connection->host) {
    case HOST_NONE:
        break; /* its bytes will say */
    case HOST_COMING:
        if (!hung_up)
            see_host(connection);
        break;
    case HOST_HERE:
        if (hung_up)
            connection->host = HOST_LEAVING;
        break;
    case HOST_LEAVING:
        if (hung_up)
            break;
        if (!has_just_begun(connection))
            forget_host(connection); /* the next one is here before all of the last one is read */
        see_host(connection);
        break;
    }
}

static gboolean on_edge(gint fd, G_GNUC_UNUSED GIOCondition condition, gpointer user_data)
{
    Connection *connection = user_data;
    struct epoll_event event;

    if (epoll_wait(fd, &event, 1, 0) != 1)
        return G_SOURCE_CONTINUE;
    if (connection->kind == CONNECTION_SOCKET && event.events & (EPOLLHUP | EPOLLERR)) {
        connection->on_end(connection, connection->user_data); /* nobody reads the answers */
        return G_SOURCE_CONTINUE;
    }
    note_edge(connection, (event.events & EPOLLHUP) != 0);
    connection->is_drained = FALSE;
    connection->is_closing = (event.events & EPOLLRDHUP) != 0;
    if (!connection->idle) /* else its turn comes, and more bytes are no reason for another */
        connection_pump(connection);
    return G_SOURCE_CONTINUE;
}

Connection *connection_new(int fd, ConnectionKind kind, QgaDispatch *dispatch,
                           ConnectionEndFunc on_end, gpointer user_data, GError **error)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    if (kind == CONNECTION_PORT)
        event.events |= EPOLLOUT;
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot watch the channel: %s",
                    g_strerror(errno));
        if (epoll_fd >= 0)
            close(epoll_fd);
        close(fd);
        return NULL;
    }
    Connection *connection = g_new0(Connection, 1);
    connection->fd = fd;
    connection->epoll_fd = epoll_fd;
    connection->kind = kind;
    connection->watched = event.events;
    connection->on_end = on_end;
    connection->user_data = user_data;
    connection->session = qga_session_new(dispatch, on_session_wakeup, connection);
    qga_session_set_pause(connection->session, is_turn_over, connection);
    /* A socket's replies are its client's and nobody else's; a port's may be an earlier host's. */
    qga_session_set_single_host(connection->session, kind == CONNECTION_SOCKET);
    connection->watch = loop_add_fd(epoll_fd, G_IO_IN, on_edge, connection);
    return connection;
}

void connection_free(Connection *connection)
{
    if (!connection)
        return;
    g_source_remove(connection->watch);
    g_clear_handle_id(&connection->idle, g_source_remove);
    g_clear_handle_id(&connection->coming, g_source_remove);
    qga_session_free(connection->session);
    close(connection->epoll_fd);
    close(connection->fd);
    g_free(connection);
}

QgaSession *connection_session(Connection *connection)
{
    return connection->session;
}
