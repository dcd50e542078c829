/*
 * One host connection: a descriptor, and the protocol session that its bytes go to.
 *
 * The descriptor is watched edge-triggered through an epoll descriptor of its own: a virtio port
 * whose host side is closed reports POLLHUP for ever, and would otherwise keep the loop awake. So
 * both kinds of channel are handled alike: try to write and read until the kernel says EAGAIN, then
 * wait for the next edge. A client that does not read its replies is not read from either.
 */
#pragma once

#include <glib.h>

#include "qga-protocol/session.h"

typedef enum {
    CONNECTION_SOCKET, /* the end of input is the end of the connection, once replies are out */
    CONNECTION_PORT,   /* the host comes and goes; each coming starts afresh */
} ConnectionKind;

typedef struct Connection Connection;

/* The connection has ended: the peer closed, an error, or the port is gone. Free it from here. */
typedef void (*ConnectionEndFunc)(Connection *connection, gpointer user_data);

/* Takes FD over (non-blocking). DISPATCH is borrowed. NULL and ERROR if epoll cannot watch it; FD
 * is closed then too. */
Connection *connection_new(int fd, ConnectionKind kind, QgaDispatch *dispatch,
                           ConnectionEndFunc on_end, gpointer user_data, GError **error);
void connection_free(Connection *connection); /* accepts NULL; closes the descriptor */

QgaSession *connection_session(Connection *connection);
