/*
 * A GLib log writer. The file descriptor lives as long as the process, so it travels as user_data.
 */
#include "outside/log.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    int fd;
    gboolean is_journal;
    gboolean is_verbose;
} Log;

static int priority_of(GLogLevelFlags level)
{
    if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
        return 3;
    if (level & G_LOG_LEVEL_WARNING)
        return 4;
    if (level & G_LOG_LEVEL_MESSAGE)
        return 5;
    return level & G_LOG_LEVEL_INFO ? 6 : 7;
}

static const char *message_of(const GLogField *fields, gsize n_fields)
{
    for (gsize i = 0; i < n_fields; i++) {
        if (g_str_equal(fields[i].key, "MESSAGE"))
            return fields[i].value;
    }
    return "";
}

static GLogWriterOutput write_line(GLogLevelFlags level, const GLogField *fields, gsize n_fields,
                                   gpointer user_data)
{
    const Log *log = user_data;
    int priority = priority_of(level);

    if (priority > (log->is_verbose ? 7 : 5))
        return G_LOG_WRITER_HANDLED;
    g_autofree char *line =
        log->is_journal ? g_strdup_printf("<%d>%s\n", priority, message_of(fields, n_fields))
                        : g_strdup_printf("memplugd: %s%s\n", priority <= 4 ? "warning: " : "",
                                          message_of(fields, n_fields));
    gssize written = write(log->fd, line, strlen(line));
    return written < 0 ? G_LOG_WRITER_UNHANDLED : G_LOG_WRITER_HANDLED;
}

gboolean log_open(const char *path, gboolean verbose, GError **error)
{
    int fd = STDERR_FILENO;

    if (path)
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot open %s: %s", path,
                    g_strerror(errno));
        return FALSE;
    }
    Log *log = g_new0(Log, 1);
    log->fd = fd;
    log->is_verbose = verbose;
    log->is_journal = !path && g_log_writer_is_journald(STDERR_FILENO);
    g_log_set_writer_func(write_line, log, g_free);
    return TRUE;
}
