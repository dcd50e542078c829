/*
 * One host connection. connection_pump() is all there is to it: it moves bytes as long as anything
 * moves. Everything else only decides when to call it.
 */
#include "outside/connection.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define INPUT_BYTES 16384
#define TURNS_MAX 64 /* reads in one go, so that a flood does not keep others from their turn */

struct Connection {
    int fd;
    int epoll_fd;
    ConnectionKind kind;
    QgaSession *session;
    ConnectionEndFunc on_end;
    gpointer user_data;
    guint watch;
    guint idle; /* pump again, from the loop */
    gboolean input_ended;
    gboolean host_here; /* CONNECTION_PORT: the session is not fresh */
    gsize input_start;  /* bytes that were read and the session has not taken yet */
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

static void on_session_wakeup(G_GNUC_UNUSED QgaSession *session, gpointer user_data)
{
    pump_later(user_data);
}

/* The host went away: nothing of it may reach the next one. */
static void forget_host(Connection *connection)
{
    connection->input_start = connection->input_end = 0;
    connection->host_here = FALSE;
    qga_session_reset(connection->session);
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
        if (written < 0)
            return errno == EAGAIN ? moved : MOVED_TO_END;
        if (written == 0)
            return moved;
        qga_session_consume(connection->session, (gsize)written);
        moved = MOVED_SOME;
    }
    return moved;
}

static Moved read_input(Connection *connection)
{
    gssize n = read(connection->fd, connection->input, INPUT_BYTES);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? MOVED_NOTHING : MOVED_TO_END;
    if (n == 0 && connection->kind == CONNECTION_PORT) {
        /* No host. Another edge comes when one does (drivers/char/virtio_console.c). */
        if (connection->host_here)
            forget_host(connection);
        return MOVED_NOTHING;
    }
    if (n == 0) {
        connection->input_ended = TRUE;
        return MOVED_SOME;
    }
    connection->host_here = TRUE;
    connection->input_start = 0;
    connection->input_end = (gsize)n;
    return MOVED_SOME;
}

static Moved move_input(Connection *connection)
{
    if (!qga_session_wants_input(connection->session))
        return MOVED_NOTHING;
    if (connection->input_start == connection->input_end)
        return connection->input_ended ? MOVED_NOTHING : read_input(connection);
    gsize taken = qga_session_feed(connection->session, connection->input + connection->input_start,
                                   connection->input_end - connection->input_start);
    connection->input_start += taken;
    return taken > 0 ? MOVED_SOME : MOVED_NOTHING;
}

/* A socket whose peer has said all it will say ends when it has got all its answers. */
static gboolean is_over(const Connection *connection)
{
    return connection->input_ended && connection->input_start == connection->input_end &&
           qga_session_pending_output(connection->session) == 0 &&
           qga_session_wants_input(connection->session);
}

static void connection_pump(Connection *connection)
{
    for (guint turn = 0; turn < TURNS_MAX; turn++) {
        Moved out = move_output(connection);
        Moved in = out == MOVED_TO_END ? MOVED_TO_END : move_input(connection);
        if (in == MOVED_TO_END || is_over(connection)) {
            connection->on_end(connection, connection->user_data);
            return;
        }
        if (out == MOVED_NOTHING && in == MOVED_NOTHING)
            return;
    }
    pump_later(connection);
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
    if (connection->kind == CONNECTION_PORT && event.events & EPOLLHUP && connection->host_here)
        forget_host(connection); /* also where unread output kept us from reading the 0 */
    connection_pump(connection);
    return G_SOURCE_CONTINUE;
}

Connection *connection_new(int fd, ConnectionKind kind, QgaDispatch *dispatch,
                           ConnectionEndFunc on_end, gpointer user_data, GError **error)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

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
    connection->on_end = on_end;
    connection->user_data = user_data;
    connection->session = qga_session_new(dispatch, on_session_wakeup, connection);
    /* A socket's replies are its client's and nobody else's; a port's may be an earlier host's. */
    qga_session_set_single_host(connection->session, kind == CONNECTION_SOCKET);
    connection->watch = g_unix_fd_add(epoll_fd, G_IO_IN, on_edge, connection);
    return connection;
}

void connection_free(Connection *connection)
{
    if (!connection)
        return;
    g_source_remove(connection->watch);
    g_clear_handle_id(&connection->idle, g_source_remove);
    qga_session_free(connection->session);
    close(connection->epoll_fd);
    close(connection->fd);
    g_free(connection);
}

QgaSession *connection_session(Connection *connection)
{
    return connection->session;
}
