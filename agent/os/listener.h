/*
 * A listening unix socket: for hosts inside the machine, for tests, and for looking at captured
 * trees.
 */
#pragma once

#include <glib.h>

#include "os/channel.h"

typedef struct Listener Listener;

Listener *listener_new(const char *path, QgaDispatch *dispatch, GError **error);
void listener_free(Listener *listener); /* accepts NULL */
void listener_foreach_session(Listener *listener, ChannelSessionFunc func, gpointer user_data);
