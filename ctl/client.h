/*
 * A daemon to talk to: the local one over D-Bus, or a guest's over its channel. Verbs cannot tell
 * which, but for what only one of them has.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "ctl/line-socket.h"

typedef struct Client Client;

/* The system bus. NULL and CTL_NO_CONNECTION. */
Client *client_new_bus(GError **error);
/* The socket of a guest's port at PATH. Synchronises. NULL and CTL_NO_CONNECTION. */
Client *client_new_socket(const char *path, GError **error);
void client_free(Client *client); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Client, client_free)

/* Runs COMMAND ("memory-get-status") with ARGUMENTS (taken over; NULL: none). Its result, to free
 * with json_node_unref(). NULL and CTL_REFUSED where the daemon answers with an error,
 * CTL_NO_CONNECTION where it does not answer. */
JsonNode *client_call(Client *client, const char *command, JsonObject *arguments, GError **error);

/* Asks for events, as far as the daemon has any; without them client_wait() ends by time. */
void client_subscribe(Client *client);
/* Waits for an event, INTERRUPT_FD (-1: none) or the end of TIMEOUT_MS. */
Wake client_wait(Client *client, int interrupt_fd, guint timeout_ms);

/* What every local user may see, as memory-get-status has it and with "jobs": [{job, state}], and
 * "port-error" where the daemon cannot open its port. NULL
 * and CTL_REFUSED where there is no such thing: over a channel. */
JsonNode *client_properties(Client *client, GError **error);

/* ---- for the two kinds ---- */

typedef struct {
    JsonNode *(*call)(Client *client, const char *command, JsonObject *arguments, GError **error);
    void (*subscribe)(Client *client);
    Wake (*wait)(Client *client, int interrupt_fd, guint timeout_ms);
    JsonNode *(*properties)(Client *client, GError **error); /* NULL: none */
    void (*free)(Client *client);
} ClientOps;

struct Client {
    const ClientOps *ops;
};
