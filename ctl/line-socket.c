#include "ctl/line-socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl/errors.h"

#define READ_BYTES 65536

struct LineSocket {
    int fd;
    char *what;
    GByteArray *buffer;
    gsize scanned; /* bytes of the buffer without a newline */
    gsize handed;  /* bytes at the front that the last line took */
    gboolean has_ended;
};

static gboolean fail(LineSocket *socket, GError **error, const char *problem)
{
    g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION, "%s: %s", socket->what, problem);
    return FALSE;
}

LineSocket *line_socket_new(const char *path, const char *what, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = -1;

    errno = ENAMETOOLONG;
    if (strlen(path) < sizeof address.sun_path) {
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION, "cannot connect to %s: %s", path,
                    g_strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    LineSocket *made = g_new0(LineSocket, 1);
    made->fd = fd;
    made->what = g_strdup(what);
    made->buffer = g_byte_array_new();
    return made;
}

void line_socket_free(LineSocket *socket)
{
    if (!socket)
        return;
    close(socket->fd);
    g_byte_array_unref(socket->buffer);
    g_free(socket->what);
    g_free(socket);
}

static int left_ms(gint64 deadline_usec)
{
    gint64 left = (deadline_usec - g_get_monotonic_time() + 999) / 1000;

    return (int)CLAMP(left, 0, G_MAXINT);
}

gboolean line_socket_send(LineSocket *socket, const char *text, gsize n_bytes, gint64 deadline_usec,
                          GError **error)
{
    while (n_bytes > 0) {
        gssize n = send(socket->fd, text, n_bytes, MSG_NOSIGNAL);
        if (n > 0) {
            text += n;
            n_bytes -= (gsize)n;
        } else if (errno == EAGAIN) {
            struct pollfd fd = {.fd = socket->fd, .events = POLLOUT};
            int wait_ms = left_ms(deadline_usec);
            if (wait_ms == 0 || poll(&fd, 1, wait_ms) == 0)
                return fail(socket, error, "it does not read what it is sent");
        } else if (errno != EINTR) {
            return fail(socket, error,
                        errno == EPIPE || errno == ECONNRESET ? "it hung up" : g_strerror(errno));
        }
    }
    return TRUE;
}

/* Reads what is there. FALSE at the end of the socket. */
static gboolean read_some(LineSocket *socket)
{
    guint8 bytes[READ_BYTES];
    gssize n = recv(socket->fd, bytes, sizeof bytes, 0);

    if (n > 0)
        g_byte_array_append(socket->buffer, bytes, (guint)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        socket->has_ended = TRUE;
    return !socket->has_ended;
}

/* Bytes of the first line with its newline, 0: none is whole. */
static gsize find_line(LineSocket *socket)
{
    const guint8 *begin = socket->buffer->data;

    if (socket->buffer->len == socket->scanned)
        return 0;
    const guint8 *end =
        memchr(begin + socket->scanned, '\n', socket->buffer->len - socket->scanned);
    socket->scanned = end ? socket->scanned : socket->buffer->len;
    return end ? (gsize)(end - begin) + 1 : 0;
}

static void drop_handed(LineSocket *socket)
{
    if (socket->handed > 0)
        g_byte_array_remove_range(socket->buffer, 0, (guint)socket->handed);
    if (socket->handed > 0)
        socket->scanned = 0;
    socket->handed = 0;
}

const char *line_socket_receive(LineSocket *socket, gsize *n_bytes, gint64 deadline_usec,
                                GError **error)
{
    gsize length;

    drop_handed(socket);
    while ((length = find_line(socket)) == 0) {
        struct pollfd fd = {.fd = socket->fd, .events = POLLIN};
        int wait_ms = left_ms(deadline_usec);
        if (socket->buffer->len > LINE_MAX_BYTES) {
            fail(socket, error, "its answer has no end");
            return NULL;
        }
        if (wait_ms == 0 || poll(&fd, 1, wait_ms) == 0) {
            fail(socket, error, "it does not answer");
            return NULL;
        }
        if (!read_some(socket)) {
            fail(socket, error, "it hung up");
            return NULL;
        }
    }
    socket->handed = length;
    *n_bytes = length - 1;
    return (const char *)socket->buffer->data;
}

Wake line_socket_wait(LineSocket *socket, int interrupt_fd, guint timeout_ms)
{
    gint64 deadline_usec = g_get_monotonic_time() + (gint64)timeout_ms * 1000;

    drop_handed(socket);
    for (;;) {
        struct pollfd fds[] = {{.fd = socket->fd, .events = POLLIN},
                               {.fd = interrupt_fd, .events = POLLIN}};
        if (find_line(socket) > 0)
            return WAKE_NEWS;
        if (socket->has_ended || socket->buffer->len > LINE_MAX_BYTES)
            return WAKE_LOST;
        int wait_ms = left_ms(deadline_usec);
        if (wait_ms == 0)
            return WAKE_TIMEOUT;
        poll(fds, G_N_ELEMENTS(fds), wait_ms);
        if (fds[1].revents & POLLIN)
            return WAKE_INTERRUPTED;
        if (fds[0].revents)
            read_some(socket);
    }
}
