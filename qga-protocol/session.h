/*
 * The protocol state of one connection: bytes in, bytes out, one request after the other. It knows
 * no fd: its owner feeds what was read and writes what is pending. It must never answer out of
 * order, never let a byte of one host reach the next (see qga_session_reset), and never hold more
 * than its output limit plus one reply.
 */
#pragma once

#include <glib.h>

#include "qga-protocol/dispatch.h"

/* Unsent bytes above which no further request is read and events are dropped. */
#define QGA_SESSION_OUTPUT_LIMIT_BYTES (1024 * 1024)
/* Bytes of requests that wait behind one that is with the relay, above which no more is read. */
#define QGA_SESSION_BACKLOG_LIMIT_BYTES (256 * 1024)

/* Something changed outside feed/consume: there is output to write, or input is wanted again.
 * Called from where a late call is answered or an event ends; it must only note the fact (e.g. make
 * a source ready) and never call back into the session. IS_NOW: it may, as the loop itself calls.
 */
typedef void (*QgaSessionWakeup)(QgaSession *session, gboolean is_now, gpointer user_data);

/* DISPATCH is borrowed and must outlive the session; WAKEUP may be NULL. */
QgaSession *qga_session_new(QgaDispatch *dispatch, QgaSessionWakeup wakeup, gpointer user_data);
/* Not from inside a handler of this session. Orphans a pending call. NULL is fine. */
void qga_session_free(QgaSession *session);

/* For whoever made the session: the USER_DATA given there. */
gpointer qga_session_user_data(QgaSession *session);

/* The connection ends with its host, as a socket does and a virtio port does not: then no output
 * can be another host's, and guest-sync-delimited drops none (see qga_session_delimit). FALSE at
 * first. */
void qga_session_set_single_host(QgaSession *session, gboolean single_host);

/* ---- input ---- */

/* Takes bytes and carries out the requests in them. Returns how many it took: fewer than N when a
 * call is pending or too much output is unsent; offer the rest again after the wakeup or after
 * consume, once qga_session_wants_input() is TRUE. Fewer also when a pause was asked for; then
 * offer the rest again soon. What is offered again belongs to the same burst as before. */
gsize qga_session_feed(QgaSession *session, const guint8 *bytes, gsize n_bytes);
/* FUNC (NULL: none) is asked after each request and each bad line whether the feed shall pause, so
 * that the owner bounds the time of a feed. It must not call back into the session. */
typedef gboolean (*QgaSessionPauseFunc)(gpointer user_data);
void qga_session_set_pause(QgaSession *session, QgaSessionPauseFunc func, gpointer user_data);
/* Carries out what was taken and had to wait for the relay's answer to a request before it, as far
 * as it can now. Returns whether it did anything; to be called like feed, and before it. */
gboolean qga_session_run(QgaSession *session);
/* Nothing that was asked is still to be answered. */
gboolean qga_session_is_idle(const QgaSession *session);
/* Would feed take anything now? While FALSE do not even read. */
gboolean qga_session_wants_input(const QgaSession *session);
/* The host went away: forget a half request, unsent replies and the event subscription, orphan the
 * pending call. Not from inside a handler of this session. */
void qga_session_reset(QgaSession *session);

/* Would a reset forget nothing? */
gboolean qga_session_is_fresh(const QgaSession *session);
/* How often a host has begun anew, with guest-sync or guest-sync-delimited. */
guint64 qga_session_syncs(const QgaSession *session);

/* ---- output ---- */

gsize qga_session_pending_output(const QgaSession *session); /* bytes */
/* The next bytes to write: see qga_out_queue_peek(). */
gsize qga_session_peek(const QgaSession *session, const guint8 **out_bytes);
/* N bytes of the last peek were written. */
void qga_session_consume(QgaSession *session, gsize n_bytes);

/* ---- events ---- */

/* Off at first, after a reset, and after guest-sync-delimited. */
void qga_session_set_events(QgaSession *session, gboolean enabled);
/* Something of the caller's that lasts as long as this subscription: DESTROY is called with DATA
 * when events are turned off or set anew, or the session ends. Events are on. */
void qga_session_keep_for_events(QgaSession *session, gpointer data, GDestroyNotify destroy);
gboolean qga_session_events_enabled(const QgaSession *session);
/* Starts {"event": NAME, "data": …, "timestamp": {seconds, microseconds}}: write one value for
 * data, then end. TIMESTAMP_USEC is microseconds of wall-clock time since the epoch. NULL (nothing
 * to end) where events are off, or where the event is dropped since too much output is unsent.
 * Begin and end belong into one turn of the main loop, and not between begin and end of a return.
 */
QgaWriter *qga_session_begin_event(QgaSession *session, const char *name, gint64 timestamp_usec);
void qga_session_end_event(QgaSession *session);
/* Events dropped since the session began. */
guint64 qga_session_events_dropped(const QgaSession *session);

/* ---- for basic-commands.c ---- */

/* guest-sync, of either kind: a host begins. */
void qga_session_note_sync(QgaSession *session);
/* guest-sync-delimited: puts 0xFF before the reply of the running call, turns events off, and drops
 * what was queued before the bytes now being fed came in, i.e. what an earlier host may have left
 * (unless the session has a single host).
 *
 * Whoever sends guest-sync-delimited throws away all it reads up to the 0xFF, so nothing that it
 * wants is lost. Replies to requests of the same burst, in front of the sync, are kept all the
 * same: a client that pipelines, and reads, sees what it would see of qemu-ga. Where the drop cuts
 * a line its newline is kept, so that a reader of lines sees one bad line and no more. */
void qga_session_delimit(QgaSession *session);
