/*
 * A listening socket: a unix one, for hosts inside the machine, for tests, and for looking at
 * captured trees; a vsock one, for hosts that have nothing else; or one that systemd listens on.
 */
#pragma once

#include <glib.h>

#include "os/channel.h"

typedef struct Listener Listener;

Listener *listener_new(const char *path, QgaDispatch *dispatch, GError **error);
Listener *listener_new_vsock(const char *address, QgaDispatch *dispatch, GError **error);
Listener *listener_new_inherited(QgaDispatch *dispatch, GError **error);
/* Whether a peer with this vsock address may talk: the host, and nobody inside the machine. */
gboolean listener_cid_may_talk(guint cid);
void listener_free(Listener *listener); /* accepts NULL */
void listener_foreach_session(Listener *listener, ChannelSessionFunc func, gpointer user_data);
