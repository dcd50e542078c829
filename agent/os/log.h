/*
 * Where the log goes: systemd's journal with fields, standard error, or a file.
 *
 * Each kind of event below has a MESSAGE_ID of its own, so that `journalctl MESSAGE_ID=…` finds all
 * of that kind, and what it is about is in MEMPLUG_JOB=, MEMPLUG_DEVICE= and MEMPLUG_BLOCK=.
 *
 * Nothing that is logged waits: see log-sink.h.
 */
#pragma once

#include <glib.h>

typedef struct Log Log;

/* PATH NULL: standard error (the journal's fields, where that is the journal). VERBOSE: debug
 * messages too. NULL and ERROR if PATH cannot be opened. Once, before anything is logged; GLib
 * keeps the log as long as the process lives. */
Log *log_open(const char *path, gboolean verbose, GError **error);
/* Gives what is still under way half a second to be written. Nothing is logged afterwards. Accepts
 * NULL. */
void log_close(Log *log);

typedef enum {
    LOG_STARTED,
    LOG_STOPPING,
    LOG_RELOADED,
    LOG_RELOAD_FAILED,
    LOG_JOB_STATE,  /* a job has entered a state */
    LOG_JOB_REASON, /* why a job has not come to its aim */
    LOG_KIND_COUNT
} LogKind;

/* A bound for the lines that a peer can have written: MAX in half a minute. All zero at first. */
typedef struct {
    gint64 since_usec; /* monotonic */
    guint n;
} LogBudget;

/* Whether one more line about WHAT ("jobs") may be written. The first after a window in which some
 * were left out says how many. */
gboolean log_budget_take(LogBudget *budget, guint max, const char *what);

/* What an event is about. */
typedef struct {
    guint64 job;        /* 0: none */
    const char *device; /* NULL: none */
    gint64 block;       /* -1: none */
} LogSubject;

/* LEVEL: G_LOG_LEVEL_WARNING, _MESSAGE or _INFO. SUBJECT may be NULL. */
void log_event(LogKind kind, GLogLevelFlags level, const LogSubject *subject, const char *format,
               ...) G_GNUC_PRINTF(4, 5);

/* The MESSAGE_ID of KIND: 32 hexadecimal digits, static. */
const char *log_message_id(LogKind kind);
