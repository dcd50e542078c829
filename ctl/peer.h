/*
 * Requests to another program over a socket of JSON lines, and its events: a guest's daemon and
 * QEMU's monitor alike. The other side is not trusted: a reply has 15 s from the request on,
 * whatever else comes meanwhile and however slowly; a line has a limit; so has what is kept of
 * events. A reply belongs to its request by the id, or, where the other side repeats none, by the
 * synchronisation before; never by luck.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "ctl/line-socket.h"

#define PEER_REPLY_USEC (15 * G_GINT64_CONSTANT(1000000))

typedef struct Peer Peer;

/* Connects to the socket at PATH. WHAT names the other side in errors ("QEMU"). EVENTS: the names
 * of the events to keep for peer_wait(), NULL-terminated, borrowed for as long as the peer lives;
 * NULL: none is kept, that one came is. NULL and CTL_NO_CONNECTION. */
Peer *peer_new(const char *path, const char *what, const char *const *events, GError **error);
void peer_free(Peer *peer); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Peer, peer_free)

/* guest-sync-delimited, so that no reply to an earlier client is taken for one to us. FALSE and
 * CTL_NO_CONNECTION. From here on the peer does so again, by itself, after a reply did not come. */
gboolean peer_synchronise(Peer *peer, GError **error);

/* The next line that is no event. NULL and CTL_NO_CONNECTION. */
JsonNode *peer_receive(Peer *peer, GError **error);

/* Runs COMMAND with ARGUMENTS (borrowed; NULL: none). Its result; NULL and CTL_REFUSED where the
 * other side answers with an error, CTL_NO_CONNECTION where it does not answer in time. */
JsonNode *peer_request(Peer *peer, const char *command, JsonObject *arguments, GError **error);

/* Waits for an event, INTERRUPT_FD (-1: none) or the end of TIMEOUT_MS. EVENT (may be NULL) is set
 * to the oldest one that was kept, or NULL: another one came. */
Wake peer_wait(Peer *peer, int interrupt_fd, guint timeout_ms, JsonNode **event);
