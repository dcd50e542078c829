/*
 * A GLib log writer. The file descriptor lives as long as the process, so it travels as user_data.
 * Where standard error is the journal, messages go there with their fields; one that the journal
 * does not take goes to standard error as a line.
 */
#include "os/log.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

/* What GLib gives a message of its own accord, and what is added below. */
#define FIELDS_MAX 16

typedef struct {
    int fd;
    gboolean is_journal;
    gboolean is_verbose;
} Log;

/* Made once, by chance; never changed, since people search for them. */
static const char *const message_ids[] = {
    [LOG_STARTED] = "3e078f04123842f7b53ec4088eda12ec",
    [LOG_STOPPING] = "ff8bfdbb0f1a4a74bf3106658d539e61",
    [LOG_RELOADED] = "25e8bfc7e1be42c290a4a0347ec1bea2",
    [LOG_RELOAD_FAILED] = "fae8c81338214a63a9c176ea9d7edd09",
    [LOG_JOB_STATE] = "80f6b97d857a43d3b487a8d73ea01db8",
    [LOG_JOB_REASON] = "0039278ba53145db9bb8dec17a16aae1",
};
G_STATIC_ASSERT(G_N_ELEMENTS(message_ids) == LOG_KIND_COUNT);

const char *log_message_id(LogKind kind)
{
    return message_ids[kind];
}

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

/* All fields to the journal. FALSE if it does not take them. */
static gboolean write_journal(const GLogField *fields, gsize n_fields, int priority)
{
    struct iovec parts[FIELDS_MAX];
    char *texts[FIELDS_MAX];
    int n = 0;

    for (gsize i = 0; i < n_fields && n < FIELDS_MAX - 2; i++) {
        /* Binary fields are none of ours; the priority is added below. */
        if (fields[i].length >= 0 || g_str_equal(fields[i].key, "PRIORITY"))
            continue;
        texts[n++] = g_strdup_printf("%s=%s", fields[i].key, (const char *)fields[i].value);
    }
    texts[n++] = g_strdup_printf("PRIORITY=%d", priority);
    texts[n++] = g_strdup("SYSLOG_IDENTIFIER=memplugd");
    for (int i = 0; i < n; i++)
        parts[i] = (struct iovec){.iov_base = texts[i], .iov_len = strlen(texts[i])};
    int r = sd_journal_sendv(parts, n);
    for (int i = 0; i < n; i++)
        g_free(texts[i]);
    return r >= 0;
}

static GLogWriterOutput write_line(GLogLevelFlags level, const GLogField *fields, gsize n_fields,
                                   gpointer user_data)
{
    const Log *log = user_data;
    int priority = priority_of(level);

    if (priority > (log->is_verbose ? 7 : 5))
        return G_LOG_WRITER_HANDLED;
    if (log->is_journal && write_journal(fields, n_fields, priority))
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

void log_event(LogKind kind, GLogLevelFlags level, const LogSubject *subject, const char *format,
               ...)
{
    static const LogSubject none = {.block = -1};
    GLogField fields[FIELDS_MAX];
    gsize n = 0;
    va_list args;

    va_start(args, format);
    g_autofree char *message = g_strdup_vprintf(format, args);
    va_end(args);
    if (!subject)
        subject = &none;
    g_autofree char *job = g_strdup_printf("%" G_GUINT64_FORMAT, subject->job);
    g_autofree char *block = g_strdup_printf("%" G_GINT64_FORMAT, subject->block);
    fields[n++] = (GLogField){"GLIB_DOMAIN", G_LOG_DOMAIN, -1};
    fields[n++] = (GLogField){"MESSAGE", message, -1};
    fields[n++] = (GLogField){"MESSAGE_ID", message_ids[kind], -1};
    if (subject->job)
        fields[n++] = (GLogField){"MEMPLUG_JOB", job, -1};
    if (subject->device)
        fields[n++] = (GLogField){"MEMPLUG_DEVICE", subject->device, -1};
    if (subject->block >= 0)
        fields[n++] = (GLogField){"MEMPLUG_BLOCK", block, -1};
    g_log_structured_array(level, fields, n);
}
