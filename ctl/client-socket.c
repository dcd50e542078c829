/*
 * A guest's daemon, over the host's end of its port.
 */
#include "ctl/client.h"
#include "ctl/errors.h"
#include "ctl/peer.h"

typedef struct {
    Client client;
    Peer *peer;
} SocketClient;

static JsonNode *call(Client *client, const char *command, JsonObject *arguments, GError **error)
{
    return peer_request(((SocketClient *)client)->peer, command, arguments, error);
}

static void subscribe(Client *client)
{
    JsonObject *arguments = json_object_new();

    json_object_set_boolean_member(arguments, "enabled", TRUE);
    JsonNode *node = client_call(client, "memory-set-events", arguments, NULL);
    if (node)
        json_node_unref(node);
}

static Wake wait_for(Client *client, int interrupt_fd, guint timeout_ms)
{
    return peer_wait(((SocketClient *)client)->peer, interrupt_fd, timeout_ms, NULL);
}

static void free_client(Client *client)
{
    peer_free(((SocketClient *)client)->peer);
    g_free(client);
}

static const ClientOps ops = {call, subscribe, wait_for, NULL, free_client};

Client *client_new_socket(const char *path, GError **error)
{
    g_autoptr(Peer) peer = peer_new(path, "the guest", NULL, error);

    if (!peer || !peer_synchronise(peer, error))
        return NULL;
    SocketClient *self = g_new0(SocketClient, 1);
    self->client.ops = &ops;
    self->peer = g_steal_pointer(&peer);
    return &self->client;
}
