/*
 * The journal's native protocol (systemd's docs/JOURNAL_NATIVE_PROTOCOL.md) is spoken here and not
 * by sd_journal_sendv(), because that one waits where the socket's queue is full.
 */
#include "os/log-sink.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/fds.h"
#include "os/signals.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
/* Writes of up to this much to a pipe that poll() calls writable do not wait: PIPE_BUF. */
#define LINE_BYTES_MAX 4096
#define CHILD_BYTES 65536
#define FLUSH_MS 500

struct LogSink {
    int fd;         /* where lines go: standard error, or the pipe to the child */
    int journal_fd; /* -1: none */
    int child_end;  /* hung up when the child has ended; -1: there is none */
    pid_t child;
    gboolean is_journal;
    gboolean is_socket;
    guint64 dropped;
};

/* The child: copies the pipe to the file until the daemon closes it or dies. */
static void child_run(int in, int out)
{
    static char bytes[CHILD_BYTES]; /* the child's own; it shares nothing that is written */
    gssize n;

    prctl(PR_SET_NAME, "memplugd-log");
    while ((n = read(in, bytes, sizeof bytes)) > 0 || (n < 0 && errno == EINTR)) {
        for (gssize done = 0; done < n;) {
            gssize written = write(out, bytes + done, (gsize)(n - done));
            if (written < 0 && errno != EINTR)
                break; /* a full disk: these are lost */
            done += MAX(written, 0);
        }
    }
    _exit(EXIT_SUCCESS);
}

static gboolean start_child(LogSink *sink, int file, GError **error)
{
    int lines[2] = {-1, -1}, end[2] = {-1, -1};

    if (pipe2(lines, O_CLOEXEC) == 0 && pipe2(end, O_CLOEXEC) == 0)
        sink->child = fork();
    else
        sink->child = -1;
    if (sink->child < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                    "cannot start the process that writes the log: %s", g_strerror(errno));
        for (guint i = 0; i < 2; i++) {
            if (lines[i] >= 0)
                close(lines[i]);
            if (end[i] >= 0)
                close(end[i]);
        }
        return FALSE;
    }
    if (sink->child == 0) {
        signals_reset_in_child();
        dup2(lines[0], STDIN_FILENO);
        dup2(file, STDOUT_FILENO);
        dup2(end[1], STDERR_FILENO); /* kept open: its end is the child's */
        fds_close_range(STDERR_FILENO + 1, ~0U);
        child_run(STDIN_FILENO, STDOUT_FILENO);
    }
    close(lines[0]);
    close(end[1]);
    fcntl(lines[1], F_SETFL, O_NONBLOCK);
    sink->fd = lines[1];
    sink->child_end = end[0];
    return TRUE;
}

static int connect_journal(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

LogSink *log_sink_new(const char *path, GError **error)
{
    LogSink *sink = g_new0(LogSink, 1);
    int file = STDERR_FILENO;
    struct stat status = {.st_mode = 0};

    sink->fd = STDERR_FILENO;
    sink->journal_fd = sink->child_end = -1;
    if (path)
        file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    if (file < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot open %s: %s", path,
                    g_strerror(errno));
        g_free(sink);
        return NULL;
    }
    fstat(file, &status);
    sink->is_socket = S_ISSOCK(status.st_mode);
    sink->is_journal = !path && g_log_writer_is_journald(STDERR_FILENO);
    if (sink->is_journal)
        sink->journal_fd = connect_journal();
    gboolean ok = !S_ISREG(status.st_mode) || start_child(sink, file, error);
    if (sink->child_end < 0)
        sink->fd = file;
    else if (path)
        close(file);
    if (!ok) {
        log_sink_free(sink);
        return NULL;
    }
    return sink;
}

void log_sink_free(LogSink *sink)
{
    if (!sink)
        return;
    if (sink->child_end >= 0) {
        struct pollfd end = {.fd = sink->child_end};
        close(sink->fd);
        if (poll(&end, 1, FLUSH_MS) > 0)
            waitpid(sink->child, NULL, 0);
        close(sink->child_end);
    } else if (sink->fd != STDERR_FILENO) {
        close(sink->fd);
    }
    if (sink->journal_fd >= 0)
        close(sink->journal_fd);
    g_free(sink);
}

gboolean log_sink_is_journal(const LogSink *sink)
{
    return sink->is_journal;
}

guint64 log_sink_take_dropped(LogSink *sink)
{
    guint64 dropped = sink->dropped;

    sink->dropped = 0;
    return dropped;
}

static gboolean has_room(int fd)
{
    struct pollfd state = {.fd = fd, .events = POLLOUT};

    return poll(&state, 1, 0) == 1 && (state.revents & POLLOUT) != 0;
}

void log_sink_write_line(LogSink *sink, const char *line)
{
    gsize length = strlen(line);
    gssize written = -1;

    if (length > LINE_BYTES_MAX)
        length = LINE_BYTES_MAX;
    if (sink->is_socket)
        written = send(sink->fd, line, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    else if (has_room(sink->fd))
        written = write(sink->fd, line, length);
    if (written < 0)
        sink->dropped++;
}

/* KEY=value, or where the value has a newline KEY, its length as 64 bits little-endian, and it. */
static void append_field(GString *entry, const LogField *field)
{
    gsize length = strlen(field->value);

    g_string_append(entry, field->key);
    if (!strchr(field->value, '\n')) {
        g_string_append_printf(entry, "=%s\n", field->value);
        return;
    }
    guint64 size = GUINT64_TO_LE((guint64)length);
    g_string_append_c(entry, '\n');
    g_string_append_len(entry, (const char *)&size, sizeof size);
    g_string_append_len(entry, field->value, (gssize)length);
    g_string_append_c(entry, '\n');
}

gboolean log_sink_write_fields(LogSink *sink, const LogField *fields, guint n)
{
    g_autoptr(GString) entry = g_string_new(NULL);

    for (guint i = 0; i < n; i++)
        append_field(entry, &fields[i]);
    for (guint try = 0; try < 2; try++) {
        if (sink->journal_fd < 0)
            sink->journal_fd = connect_journal();
        if (sink->journal_fd < 0)
            return FALSE;
        if (send(sink->journal_fd, entry->str, entry->len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
            return TRUE;
        if (errno != ECONNREFUSED && errno != ENOTCONN && errno != ECONNRESET)
            break;
        close(sink->journal_fd); /* journald has started anew */
        sink->journal_fd = -1;
    }
    sink->dropped++;
    return TRUE;
}
