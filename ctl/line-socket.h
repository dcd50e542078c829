/*
 * A unix socket that carries lines of JSON, with an end to everything: how long to wait, how long a
 * line may be. The other side may be a hostile guest.
 */
#pragma once

#include <glib.h>

#define LINE_MAX_BYTES (16 * 1024 * 1024)

typedef struct LineSocket LineSocket;

/* What ended a wait. */
typedef enum {
    WAKE_TIMEOUT,
    WAKE_NEWS,        /* a line, or an event, came */
    WAKE_INTERRUPTED, /* the interrupt descriptor is readable */
    WAKE_LOST,        /* the connection is gone */
} Wake;

/* WHAT names the other side in errors. NULL and CTL_NO_CONNECTION. */
LineSocket *line_socket_new(const char *path, const char *what, GError **error);
void line_socket_free(LineSocket *socket); /* accepts NULL */

/* FALSE and CTL_NO_CONNECTION where not all of TEXT could be sent before DEADLINE_USEC (of
 * g_get_monotonic_time()). */
gboolean line_socket_send(LineSocket *socket, const char *text, gsize n_bytes, gint64 deadline_usec,
                          GError **error);

/* The next line without its end; *N_BYTES is set. Borrowed until the next call. NULL and
 * CTL_NO_CONNECTION where none is whole before DEADLINE_USEC, or it is too long, or the socket
 * ended. */
const char *line_socket_receive(LineSocket *socket, gsize *n_bytes, gint64 deadline_usec,
                                GError **error);

/* Waits until a line is there, INTERRUPT_FD (-1: none) is readable, or TIMEOUT_MS is over. A line
 * that has grown too long is WAKE_LOST. */
Wake line_socket_wait(LineSocket *socket, int interrupt_fd, guint timeout_ms);
