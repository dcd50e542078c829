/*
 * The virtio-serial port. It may come after the daemon and go before it (hot-plug), so its absence
 * is a state, not an error: inotify on the nearest directory that exists tells when to look again,
 * and no timer runs. Only a port that somebody else has open is tried again by time: nothing tells
 * when it becomes free.
 */
#include "os/port.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <sys/inotify.h>
#include <termios.h>
#include <unistd.h>

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000

struct Port {
    char *path;
    gboolean is_serial;
    QgaDispatch *dispatch;
    Connection *connection;
    int inotify_fd;
    guint inotify_watch;
    guint retry;
    guint retry_ms;
    char *problem; /* NULL: it is open */
    PortChangedFunc on_change;
    gpointer user_data;
};

static void port_try(Port *port);

/* TEXT is taken over. FALSE: that is known. */
static gboolean set_problem(Port *port, char *text)
{
    gboolean is_news = g_strcmp0(port->problem, text) != 0;

    g_free(port->problem);
    port->problem = text;
    if (is_news && port->on_change)
        port->on_change(port->user_data);
    return is_news;
}

static gboolean on_retry(gpointer user_data)
{
    Port *port = user_data;

    port->retry = 0;
    port_try(port);
    return G_SOURCE_REMOVE;
}

static void stop_waiting(Port *port)
{
    g_clear_handle_id(&port->retry, g_source_remove);
    g_clear_handle_id(&port->inotify_watch, g_source_remove);
    if (port->inotify_fd >= 0)
        close(port->inotify_fd);
    port->inotify_fd = -1;
}

static gboolean on_directory_event(gint fd, G_GNUC_UNUSED GIOCondition condition,
                                   gpointer user_data)
{
    Port *port = user_data;
    char events[4096];

    while (read(fd, events, sizeof events) > 0)
        ; /* whatever it was: look again */
    port->inotify_watch = 0;
    port_try(port);
    return G_SOURCE_REMOVE;
}

/* Watches the nearest directory above the port that exists. Done before the port is tried, so that
 * one that appears in between is not missed. */
static void watch_directory(Port *port)
{
    g_autofree char *directory = g_path_get_dirname(port->path);

    port->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    while (port->inotify_fd >= 0 &&
           inotify_add_watch(port->inotify_fd, directory,
                             IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF) < 0 &&
           !g_str_equal(directory, "/") && !g_str_equal(directory, ".")) {
        char *parent = g_path_get_dirname(directory);
        g_free(directory);
        directory = parent;
    }
    if (port->inotify_fd >= 0)
        port->inotify_watch = g_unix_fd_add(port->inotify_fd, G_IO_IN, on_directory_event, port);
}

static void on_connection_end(Connection *connection, gpointer user_data)
{
    Port *port = user_data;

    connection_free(connection);
    port->connection = NULL;
    port_try(port);
}

static void retry_by_time(Port *port, const char *problem)
{
    if (set_problem(port, g_strdup_printf("cannot open the port %s: %s", port->path, problem)))
        g_warning("%s", port->problem);
    port->retry = g_timeout_add(port->retry_ms, on_retry, port);
    port->retry_ms = MIN(port->retry_ms * 2, RETRY_MAX_MS);
}

/* A line that passes every byte and has no host that comes and goes, as qemu-ga sets it up
 * (qga/channel-posix.c). */
static gboolean make_raw(int fd)
{
    struct termios line;

    if (tcgetattr(fd, &line) < 0)
        return FALSE;
    cfmakeraw(&line);
    cfsetspeed(&line, B38400);
    line.c_cflag |= CLOCAL | CREAD;
    line.c_cflag &= ~(tcflag_t)(CRTSCTS | HUPCL);
    line.c_cc[VMIN] = 1;
    line.c_cc[VTIME] = 0;
    return tcsetattr(fd, TCSANOW, &line) == 0 && tcflush(fd, TCOFLUSH) == 0;
}

static void port_try(Port *port)
{
    g_autoptr(GError) error = NULL;

    stop_waiting(port);
    watch_directory(port);
    int fd = open(port->path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        if (errno != ENOENT && errno != ENODEV && errno != ENXIO)
            retry_by_time(port, g_strerror(errno));
        else if (set_problem(port, g_strdup_printf("there is no port %s", port->path)))
            g_message("%s; waiting for it", port->problem);
        return;
    }
    stop_waiting(port);
    if (port->is_serial && !make_raw(fd)) {
        close(fd);
        retry_by_time(port, "it is no serial line");
        return;
    }
    port->connection =
        connection_new(fd, CONNECTION_PORT, port->dispatch, on_connection_end, port, &error);
    if (!port->connection) {
        retry_by_time(port, error->message); /* or nobody could talk to us ever again */
        return;
    }
    port->retry_ms = RETRY_MIN_MS;
    set_problem(port, NULL);
    g_message("listening on the port %s", port->path);
}

Port *port_new(const char *path, gboolean is_serial, QgaDispatch *dispatch,
               PortChangedFunc on_change, gpointer user_data)
{
    Port *port = g_new0(Port, 1);

    port->path = g_strdup(path);
    port->is_serial = is_serial;
    port->dispatch = dispatch;
    port->inotify_fd = -1;
    port->retry_ms = RETRY_MIN_MS;
    port_try(port);
    port->on_change = on_change;
    port->user_data = user_data;
    return port;
}

void port_free(Port *port)
{
    if (!port)
        return;
    stop_waiting(port);
    connection_free(port->connection);
    g_free(port->path);
    g_free(port->problem);
    g_free(port);
}

QgaSession *port_session(Port *port)
{
    return port->connection ? connection_session(port->connection) : NULL;
}

const char *port_error(const Port *port)
{
    return port->problem ? port->problem : "";
}
