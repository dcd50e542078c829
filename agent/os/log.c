/*
 * A GLib log writer, which travels as its user_data. Where standard error is the journal, messages
 * go there with their fields; elsewhere they are lines.
 *
 * What peers do makes lines, so there is a limit to how many a second: what is above it is dropped
 * and counted, like what the sink does not take.
 */
#include "os/log.h"

#include <string.h>

#include "os/log-sink.h"
#include "system/units.h"

/* What GLib gives a message of its own accord, and what is added below. */
#define FIELDS_MAX 16
/* A burst that a busy hour may have, and what may come for ever. */
#define BUDGET_WINDOW_USEC (30 * USEC_PER_SEC)
#define LINES_BURST 1000
#define LINES_PER_SECOND 20

struct Log {
    LogSink *sink; /* NULL: closed */
    gboolean is_verbose;
    double credit; /* lines that may be written at credit_usec */
    gint64 credit_usec;
    guint64 dropped;
};

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

gboolean log_budget_take(LogBudget *budget, guint max, const char *what)
{
    gint64 now_usec = g_get_monotonic_time();

    if (now_usec - budget->since_usec >= BUDGET_WINDOW_USEC) {
        if (budget->n > max)
            g_message("%u more lines about %s were left out", budget->n - max, what);
        *budget = (LogBudget){.since_usec = now_usec};
    }
    return ++budget->n <= max;
}

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

static void write_fields(Log *log, const GLogField *given, gsize n_given, int priority,
                         const char *line)
{
    LogField fields[FIELDS_MAX];
    char number[2] = {(char)('0' + priority), '\0'};
    guint n = 0;

    for (gsize i = 0; i < n_given && n < FIELDS_MAX - 2; i++) {
        /* Binary fields are none of ours; the priority is added below. */
        if (given[i].length < 0 && !g_str_equal(given[i].key, "PRIORITY"))
            fields[n++] = (LogField){given[i].key, given[i].value};
    }
    fields[n++] = (LogField){"PRIORITY", number};
    fields[n++] = (LogField){"SYSLOG_IDENTIFIER", "memplugd"};
    if (log_sink_write_fields(log->sink, fields, n))
        return;
    g_autofree char *prefixed = g_strdup_printf("<%d>%s\n", priority, line);
    log_sink_write_line(log->sink, prefixed);
}

static void write_entry(Log *log, const GLogField *fields, gsize n_fields, int priority)
{
    const char *message = message_of(fields, n_fields);

    if (log_sink_is_journal(log->sink)) {
        write_fields(log, fields, n_fields, priority, message);
        return;
    }
    g_autofree char *line =
        g_strdup_printf("memplugd: %s%s\n", priority <= 4 ? "warning: " : "", message);
    log_sink_write_line(log->sink, line);
}

/* Tells of what was dropped, with the next line that there is room for. */
static void tell_dropped(Log *log)
{
    guint64 dropped = log->dropped + log_sink_take_dropped(log->sink);

    log->dropped = 0;
    if (dropped == 0)
        return;
    g_autofree char *message = g_strdup_printf(
        "%" G_GUINT64_FORMAT " lines of the log were dropped: too many at once, or the log was not "
        "read",
        dropped);
    const GLogField field = {"MESSAGE", message, -1};
    write_entry(log, &field, 1, 4);
    if (log_sink_take_dropped(log->sink) > 0)
        log->dropped = dropped; /* still no room */
}

static gboolean has_credit(Log *log)
{
    gint64 now_usec = g_get_monotonic_time();
    double earned = (double)(now_usec - log->credit_usec) * LINES_PER_SECOND / USEC_PER_SEC;

    log->credit = MIN(log->credit + earned, LINES_BURST);
    log->credit_usec = now_usec;
    if (log->credit < 1)
        return FALSE;
    log->credit -= 1;
    return TRUE;
}

static GLogWriterOutput write_log(GLogLevelFlags level, const GLogField *fields, gsize n_fields,
                                  gpointer user_data)
{
    Log *log = user_data;
    int priority = priority_of(level);

    if (!log->sink || priority > (log->is_verbose ? 7 : 5))
        return G_LOG_WRITER_HANDLED;
    if (!has_credit(log)) {
        log->dropped++;
        return G_LOG_WRITER_HANDLED;
    }
    tell_dropped(log);
    write_entry(log, fields, n_fields, priority);
    return G_LOG_WRITER_HANDLED;
}

Log *log_open(const char *path, gboolean verbose, GError **error)
{
    LogSink *sink = log_sink_new(path, error);

    if (!sink)
        return NULL;
    Log *log = g_new0(Log, 1);
    log->sink = sink;
    log->is_verbose = verbose;
    log->credit = LINES_BURST;
    log->credit_usec = g_get_monotonic_time();
    g_log_set_writer_func(write_log, log, g_free);
    return log;
}

void log_close(Log *log)
{
    if (log)
        log_sink_free(g_steal_pointer(&log->sink));
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
