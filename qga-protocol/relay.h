/*
 * The relay: what goes on to a second agent, qemu-ga, and what comes back of it. Requests of all
 * hosts stand in one line; one at a time is with qemu-ga, so a reply is known by its turn. It knows
 * no descriptor and no clock: its owner moves the bytes and tells the time. It must never let a
 * reply reach another request than its own, nor wait for an agent that says nothing.
 *
 * Life of a connection to qemu-ga: a byte 0xFF and guest-sync-delimited, whose answer ends what
 * another client left in qemu-ga's parser; guest-info, whose answer is kept; then requests.
 *
 * A reply is one line. One of up to QGA_RELAY_HOLD_BYTES is passed when it is whole, so that of an
 * agent that dies in the middle nothing is seen but an error; of a longer one the pieces are passed
 * as they come. What guest-info says never answers on success (guest-shutdown and its like) is
 * followed by a guest-sync of the relay's own, which tells when it is over.
 */
#pragma once

#include <glib.h>

#include "qga-protocol/out-queue.h"

/* Bytes of a reply that are held back until it is whole. */
#define QGA_RELAY_HOLD_BYTES (1024 * 1024)
/* Unsent bytes of a request above which no more of it should be given. */
#define QGA_RELAY_BUFFER_BYTES (256 * 1024)
/* Commands of qemu-ga's that are taken from its guest-info. */
#define QGA_RELAY_MAX_COMMANDS 512

/* How long qemu-ga may say nothing before a request is answered with an error: */
#define QGA_RELAY_HELLO_USEC (4 * G_USEC_PER_SEC)  /* after the relay has connected */
#define QGA_RELAY_REPLY_USEC (20 * G_USEC_PER_SEC) /* to a request, or while it waits its turn */
/* to one that works on whole file systems: guest-fsfreeze-*, guest-fstrim, guest-suspend-* */
#define QGA_RELAY_LONG_USEC (3600 * (gint64)G_USEC_PER_SEC)
/* to a request behind which the host waits for a command of memplug's own */
#define QGA_RELAY_IMPATIENT_USEC (4 * G_USEC_PER_SEC)
/* to a request behind which the host has sent guest-sync-delimited */
#define QGA_RELAY_SYNC_USEC (100 * 1000)
/* to guest-info, asked for a host's guest-info */
#define QGA_RELAY_INFO_USEC (2 * G_USEC_PER_SEC)
/* How long a reply for which nobody waits any more keeps others from qemu-ga. Then there is a new
 * connection: a qemu-ga that only works takes that up when it has done, and one that has lost the
 * request is not waited for. */
#define QGA_RELAY_LATE_USEC (10 * G_USEC_PER_SEC)
/* How long a host that does not take its reply, or give the rest of its request, keeps others from
 * qemu-ga; it gains a microsecond with each byte. */
#define QGA_RELAY_IDLE_USEC (10 * G_USEC_PER_SEC)

typedef struct QgaRelay QgaRelay;
/* One request that was given to the relay. */
typedef struct QgaTicket QgaTicket;

typedef enum {
    QGA_TICKET_ANSWERED, /* all of the reply has been passed, its newline too */
    QGA_TICKET_SILENT,   /* done, and the command has no answer */
    QGA_TICKET_FAILED,   /* there is none: DESC tells why */
} QgaTicketEnd;

/* Who gave the request. No function but the last may call back into the relay. */
typedef struct {
    /* A piece of the reply, which ends with the newline of the last. Returns FALSE to have no more
     * until qga_relay_resume(). */
    gboolean (*reply)(const guint8 *bytes, gsize n_bytes, gpointer user_data);
    /* The ticket is gone. A reply may have been passed in part. */
    void (*end)(QgaTicketEnd end, const char *desc, gpointer user_data);
    /* One of the above has been called, or more bytes of the request may be given, and the relay is
     * at rest: the owner may go on with it, now or (IS_NOW is FALSE) soon. This one may call back.
     * NULL: there is nothing to do. */
    void (*wake)(gboolean is_now, gpointer user_data);
} QgaTicketSink;

/* WAKEUP: qga_relay_turn() should be called soon, and what is to be written be written; IS_NOW:
 * that may be done before it returns, as qga_relay_flush() was called. */
typedef void (*QgaRelayWakeup)(gboolean is_now, gpointer user_data);
QgaRelay *qga_relay_new(QgaRelayWakeup wakeup, gpointer user_data);
/* To be called once begin, add and finish have been, and not from a sink: lets the bytes go. */
void qga_relay_flush(QgaRelay *relay);
/* Ends all tickets. NULL is fine. */
void qga_relay_free(QgaRelay *relay);

/* ---- the hosts' side ---- */

/* A request to COMMAND (NULL: not known) begins; its bytes are given with qga_relay_add(). */
QgaTicket *qga_relay_begin(QgaRelay *relay, const char *command, const QgaTicketSink *sink,
                           gpointer user_data);
void qga_relay_add(QgaTicket *ticket, const void *bytes, gsize n_bytes);
/* All of it has been given. */
void qga_relay_finish(QgaTicket *ticket);
/* Whether more bytes should be given now. */
gboolean qga_relay_wants(const QgaTicket *ticket);
/* Nobody waits for it any more: its sink is not called from here on. What qemu-ga still says to it
 * is dropped when it comes; what qemu-ga has not got yet it does not get. */
void qga_relay_abandon(QgaTicket *ticket);

typedef enum {
    QGA_PATIENT,
    QGA_IMPATIENT, /* a command of memplug's waits behind it */
    QGA_SYNCING,   /* guest-sync-delimited waits behind it */
} QgaPatience;
void qga_relay_hurry(QgaTicket *ticket, QgaPatience patience);
/* USER_DATA, of some sink, is gone. */
void qga_relay_forget(QgaRelay *relay, gconstpointer user_data);
/* The ticket's sink, which may have wanted no more, wants more. */
void qga_relay_resume(QgaTicket *ticket);

/* Ends when qemu-ga's guest-info is known, or cannot be for now: SINK's end only is called. NULL
 * where there is nothing to wait for. */
QgaTicket *qga_relay_want_info(QgaRelay *relay, const QgaTicketSink *sink, gpointer user_data);
/* What qemu-ga told last: its version, NULL: not known; FUNC is called for each of its commands. */
const char *qga_relay_version(const QgaRelay *relay);
typedef void (*QgaRelayCommandFunc)(const char *name, gboolean enabled, gboolean has_success,
                                    gpointer user_data);
void qga_relay_info(const QgaRelay *relay, QgaRelayCommandFunc func, gpointer user_data);

/* ---- qemu-ga's side ---- */

/* Ends what has waited too long, gives the next request to qemu-ga. Returns after how many
 * microseconds to call it again at the latest; -1: only after a wakeup or bytes. NOW_USEC:
 * monotonic. */
gint64 qga_relay_turn(QgaRelay *relay, gint64 now_usec);
/* There is no connection and one is wanted. */
gboolean qga_relay_wants_connection(const QgaRelay *relay);
/* The connection is of no use any more: close it, and tell with qga_relay_disconnected(). */
gboolean qga_relay_wants_hangup(const QgaRelay *relay);
void qga_relay_connected(QgaRelay *relay);
/* Also where there was none: it cannot be had, for the reason WHY. */
void qga_relay_disconnected(QgaRelay *relay, const char *why);
/* Bytes for qemu-ga, as qga_out_queue_peek() and qga_out_queue_consume(). */
gsize qga_relay_peek(QgaRelay *relay, const guint8 **out_bytes);
void qga_relay_consume(QgaRelay *relay, gsize n_bytes);
/* Whether bytes of qemu-ga's are taken now. While FALSE do not even read. */
gboolean qga_relay_wants_input(const QgaRelay *relay);
/* Bytes of qemu-ga's. Returns how many were taken: all, unless a sink would have no more. */
gsize qga_relay_feed(QgaRelay *relay, const guint8 *bytes, gsize n_bytes);
/* To be called after any of these: wakes who heard of something. IS_NOW: the caller is called by
 * the loop, and not by one of them. */
void qga_relay_wake_hosts(QgaRelay *relay, gboolean is_now);
