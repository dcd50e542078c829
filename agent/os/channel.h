/*
 * The channel: where hosts reach the daemon. Either a port (virtio-serial or a serial line), which
 * is one connection for ever, or a listening socket (unix or vsock) with a connection for each
 * client.
 */
#pragma once

#include <glib.h>

#include "os/port.h"
#include "qga-protocol/session.h"

typedef struct Channel Channel;

/* Sockets: clients at the same time; more are turned away. */
#define CHANNEL_CLIENTS_MAX 16

/* The port at PATH. If there is none yet, or it goes away, it is waited for: so this does not fail.
 */
Channel *channel_new_port(const char *path, gboolean is_serial, QgaDispatch *dispatch,
                          PortChangedFunc on_change, gpointer user_data);
/* A socket at PATH (mode 0600, peers of uid 0 or the daemon's own only; a socket that nobody
 * listens on any more is replaced). NULL and ERROR, naming PATH, if it cannot be made. */
Channel *channel_new_listener(const char *path, QgaDispatch *dispatch, GError **error);
/* Port PORT of the vsock address CID, as "CID:PORT"; peers on the host only (VMADDR_CID_HOST). */
Channel *channel_new_vsock(const char *address, QgaDispatch *dispatch, GError **error);
/* The listening socket that systemd handed over (sd_listen_fds(3)), of either kind, with that
 * kind's peers. NULL without ERROR where there is none. */
Channel *channel_new_inherited(QgaDispatch *dispatch, GError **error);
void channel_free(Channel *channel); /* accepts NULL; removes the socket */

/* Why hosts cannot reach the daemon, "" where they can: see port_error(). */
const char *channel_error(const Channel *channel);

typedef void (*ChannelSessionFunc)(QgaSession *session, gpointer user_data);
/* Calls FUNC for the session of each connection (to send events). */
void channel_foreach_session(Channel *channel, ChannelSessionFunc func, gpointer user_data);
