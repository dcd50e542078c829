/*
 * A listening socket. Of a unix one only root and the daemon's own user may talk: the mode keeps
 * others out, and SO_PEERCRED those who got the descriptor some other way. Of a vsock one only the
 * host: any process in the machine can connect to it over the loopback, and has another address.
 */
#include "os/listener.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "os/connection.h"
#include "os/log.h"

/* How long it does not listen after the system had no descriptor or memory for a client. */
#define PAUSE_S 1
#define REFUSALS_MAX 20 /* lines in the log, in a window of log_budget_take()'s */

struct Listener {
    char *path;      /* or the address: as it is named in the log */
    gboolean is_own; /* its path goes with it */
    int fd;
    guint watch; /* 0 while it pauses */
    guint pause;
    QgaDispatch *dispatch;
    GPtrArray *connections; /* of Connection */
    LogBudget refusals;
};

static void on_connection_end(Connection *connection, gpointer user_data)
{
    Listener *listener = user_data;

    g_ptr_array_remove_fast(listener->connections, connection);
}

gboolean listener_cid_may_talk(guint cid)
{
    return cid == VMADDR_CID_HOST;
}

static gboolean peer_may_talk(int fd)
{
    struct sockaddr_vm address = {0};
    struct ucred peer;
    socklen_t length = sizeof address;

    if (getpeername(fd, (struct sockaddr *)&address, &length) < 0)
        return FALSE;
    if (address.svm_family == AF_VSOCK)
        return length >= sizeof address && listener_cid_may_talk(address.svm_cid);
    length = sizeof peer;
    return address.svm_family == AF_UNIX &&
           getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static gboolean on_client(gint listen_fd, GIOCondition condition, gpointer user_data);

static gboolean on_pause_over(gpointer user_data)
{
    Listener *listener = user_data;

    listener->pause = 0;
    listener->watch = g_unix_fd_add(listener->fd, G_IO_IN, on_client, listener);
    return G_SOURCE_REMOVE;
}

static gboolean on_no_client(Listener *listener, int error)
{
    if (error == EAGAIN || error == EINTR || error == ECONNABORTED)
        return G_SOURCE_CONTINUE; /* it has gone again */
    /* The client stays in the queue and the socket readable: listening on would be a busy loop. */
    g_warning("%s: cannot take a client: %s; trying again in %d s", listener->path,
              g_strerror(error), PAUSE_S);
    listener->watch = 0;
    listener->pause = g_timeout_add_seconds(PAUSE_S, on_pause_over, listener);
    return G_SOURCE_REMOVE;
}

static gboolean on_client(gint listen_fd, G_GNUC_UNUSED GIOCondition condition, gpointer user_data)
{
    Listener *listener = user_data;
    g_autoptr(GError) error = NULL;

    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return on_no_client(listener, errno);
    if (!peer_may_talk(fd) || listener->connections->len >= CHANNEL_CLIENTS_MAX) {
        if (log_budget_take(&listener->refusals, REFUSALS_MAX, "clients that were turned away"))
            g_warning("%s: turned a client away: %s", listener->path,
                      peer_may_talk(fd) ? "too many clients" : "not root, or not the host");
        close(fd);
        return G_SOURCE_CONTINUE;
    }
    Connection *connection = connection_new(fd, CONNECTION_SOCKET, listener->dispatch,
                                            on_connection_end, listener, &error);
    if (connection)
        g_ptr_array_add(listener->connections, connection);
    else
        g_warning("%s: %s", listener->path, error->message);
    return G_SOURCE_CONTINUE;
}

/* Whether PATH is a socket that nobody listens on any more. */
static gboolean is_stale(const struct sockaddr_un *address)
{
    struct stat st;
    if (lstat(address->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return FALSE;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return FALSE;
    gboolean stale =
        connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 && errno == ECONNREFUSED;
    close(fd);
    return stale;
}

static int listen_at(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (is_stale(address))
        unlink(address->sun_path);
    mode_t mask = umask(0177);
    int r = bind(fd, (const struct sockaddr *)address, sizeof *address);
    int saved = errno;
    umask(mask);
    if (r < 0 || listen(fd, CHANNEL_CLIENTS_MAX) < 0) {
        saved = r < 0 ? saved : errno;
        close(fd);
        return -saved;
    }
    return fd;
}

/* FD: listening, or a negative errno. */
static Listener *listen_on(int fd, const char *path, QgaDispatch *dispatch, GError **error)
{
    if (fd < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-fd), "cannot listen on %s: %s", path,
                    g_strerror(-fd));
        return NULL;
    }
    Listener *listener = g_new0(Listener, 1);
    listener->path = g_strdup(path);
    listener->fd = fd;
    listener->dispatch = dispatch;
    listener->connections = g_ptr_array_new_with_free_func((GDestroyNotify)connection_free);
    listener->watch = g_unix_fd_add(fd, G_IO_IN, on_client, listener);
    g_message("listening on %s", path);
    return listener;
}

Listener *listener_new(const char *path, QgaDispatch *dispatch, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = -ENAMETOOLONG;

    if (strlen(path) < sizeof address.sun_path) {
        strcpy(address.sun_path, path);
        fd = listen_at(&address);
    }
    Listener *listener = listen_on(fd, path, dispatch, error);
    if (listener)
        listener->is_own = TRUE;
    return listener;
}

/* Returns the descriptor, or a negative errno. */
static int listen_at_vsock(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", 2);
    struct sockaddr_vm address = {.svm_family = AF_VSOCK};
    guint64 cid, port;

    if (g_strv_length(parts) != 2 ||
        !g_ascii_string_to_unsigned(parts[0], 10, 0, G_MAXUINT32, &cid, NULL) ||
        !g_ascii_string_to_unsigned(parts[1], 10, 0, G_MAXUINT32, &port, NULL))
        return -EINVAL;
    address.svm_cid = (guint)cid;
    address.svm_port = (guint)port;
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, CHANNEL_CLIENTS_MAX) < 0) {
        int saved = errno;
        close(fd);
        return -saved;
    }
    return fd;
}

Listener *listener_new_vsock(const char *address, QgaDispatch *dispatch, GError **error)
{
    g_autofree char *name = g_strconcat("vsock:", address ? address : "", NULL);

    return listen_on(address ? listen_at_vsock(address) : -EDESTADDRREQ, name, dispatch, error);
}

Listener *listener_new_inherited(QgaDispatch *dispatch, GError **error)
{
    int n = sd_listen_fds(1);
    int fd = SD_LISTEN_FDS_START;

    if (n == 0)
        return NULL;
    if (n < 0 || n > 1)
        fd = n < 0 ? n : -E2BIG;
    else if (sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) <= 0 &&
             sd_is_socket(fd, AF_VSOCK, SOCK_STREAM, 1) <= 0)
        fd = -ENOTSOCK;
    else if (!g_unix_set_fd_nonblocking(fd, TRUE, error))
        return NULL;
    return listen_on(fd, "the socket of the service manager", dispatch, error);
}

void listener_free(Listener *listener)
{
    if (!listener)
        return;
    g_clear_handle_id(&listener->watch, g_source_remove);
    g_clear_handle_id(&listener->pause, g_source_remove);
    g_ptr_array_unref(listener->connections);
    close(listener->fd);
    if (listener->is_own)
        unlink(listener->path);
    g_free(listener->path);
    g_free(listener);
}

void listener_foreach_session(Listener *listener, ChannelSessionFunc func, gpointer user_data)
{
    for (guint i = 0; i < listener->connections->len; i++)
        func(connection_session(listener->connections->pdata[i]), user_data);
}
