/*
 * A unix socket that carries lines of JSON, with an end to everything: how long to wait, how long a
 * line may be. The other side may be a hostile guest.
 */
#pragma once

#include <glib.h>

#define LINE_MAX_BYTES (16 * 1024 * 1024)

typedef struct LineSocket LineSocket;

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

/* Whether a line is there, or comes before TIMEOUT_MS is over: 1; 0: not; -1: the socket ended; -2:
 * OTHER_FD (-1: none) became readable first. */
int line_socket_wait(LineSocket *socket, int other_fd, guint timeout_ms);
