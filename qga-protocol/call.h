/*
 * One command being carried out: what a handler holds until it has answered. It hides where the
 * answer goes (a session's reply, a D-Bus reply), and whether anybody still waits for it. It must
 * never be answered twice.
 *
 * A handler gets its call as an owned reference, and gives it up by answering, now or later:
 *
 *     qga_call_return_empty(call);                                    // {}
 *     qga_call_fail(call, QGA_CLASS_GENERIC, "no slot %d", slot);     // an error
 *     QgaWriter *writer = qga_call_begin_return(call);                // any one value
 *     qga_writer_int(writer, 5);
 *     qga_call_end_return(call);
 *
 * After any of these CALL is gone. Between begin and end the handler must not return to the main
 * loop. A begun return may still become qga_call_fail(): what was written is taken back.
 *
 * When whoever asked goes away first, the call is orphaned: the handler need not know, what it
 * writes is thrown away, but it must answer all the same.
 */
#pragma once

#include <glib.h>

#include "qga-protocol/errors.h"
#include "qga-protocol/json-writer.h"

typedef struct QgaCall QgaCall;
typedef struct QgaSession QgaSession;

QgaWriter *qga_call_begin_return(QgaCall *call);
void qga_call_end_return(QgaCall *call);
void qga_call_return_empty(QgaCall *call);
void qga_call_fail(QgaCall *call, QgaErrorClass error_class, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* The same with ERROR's message (ERROR is borrowed); its class where the domain is QGA_ERROR. */
void qga_call_fail_error(QgaCall *call, const GError *error);

/* The connection that asked; NULL for a call that came another way, or is orphaned. */
QgaSession *qga_call_session(QgaCall *call);

/* Whoever asked is gone: a long answer is not worth its work. */
gboolean qga_call_is_orphaned(const QgaCall *call);

/* ---- the asking side: session.c, and whoever else runs commands ---- */

/* Where an answer goes. Exactly one of the two is called, at most once, unless orphaned before. */
typedef struct {
    /* A writer for the value to be returned; begin is always followed by end or by fail. */
    QgaWriter *(*begin)(QgaCall *call, gpointer owner);
    void (*end)(QgaCall *call, gpointer owner);
    /* DESC is borrowed; BEGUN tells that begin was called, and must be undone. */
    void (*fail)(QgaCall *call, gpointer owner, QgaErrorClass error_class, const char *desc,
                 gboolean begun);
} QgaCallSink;

/* SINK (static) and OWNER get the answer; SESSION may be NULL. Returns two references: the asking
 * side's, dropped with qga_call_unref(), and the handler's, dropped by answering. */
QgaCall *qga_call_new(const QgaCallSink *sink, gpointer owner, QgaSession *session);
/* Nobody waits any more: SINK and OWNER are not touched from here on. */
void qga_call_orphan(QgaCall *call);
void qga_call_unref(QgaCall *call); /* NULL is fine */
