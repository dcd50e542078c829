/*
 * Where lines of the log go, without ever waiting for it: a line that is not taken at once is
 * dropped and counted, and the count is told with the next one that is taken.
 *
 * A pipe may have no reader, journald may be stopped, and a write to a file of a frozen file system
 * (fsfreeze) sleeps whatever the descriptor's flags say. So a pipe or terminal is asked first,
 * sockets are told not to wait, and a file is written by a child process behind a pipe.
 */
#pragma once

#include <glib.h>

typedef struct LogSink LogSink;

/* PATH NULL: standard error, or the journal where that is the journal. NULL and ERROR (G_IO_ERROR)
 * if PATH cannot be opened or no child can be started for a file. To be called before there is more
 * than one thread. */
LogSink *log_sink_new(const char *path, GError **error);
/* Waits up to half a second until the child, if there is one, has written the rest. Accepts NULL.
 */
void log_sink_free(LogSink *sink);

/* Whether lines need fields: log_sink_write_fields() is for those. */
gboolean log_sink_is_journal(const LogSink *sink);

/* One line, with its newline. */
void log_sink_write_line(LogSink *sink, const char *line);

typedef struct {
    const char *key; /* upper case */
    const char *value;
} LogField;

/* One entry of the journal. FALSE: there is no journal to be reached, write a line instead. */
gboolean log_sink_write_fields(LogSink *sink, const LogField *fields, guint n);

/* Lines that were dropped since this was last called. */
guint64 log_sink_take_dropped(LogSink *sink);
