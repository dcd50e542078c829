#include "ctl/client.h"

#include <poll.h>

#include "ctl/errors.h"

void client_free(Client *client)
{
    if (client)
        client->ops->free(client);
}

JsonNode *client_call(Client *client, const char *command, JsonObject *arguments, GError **error)
{
    JsonObject *given = arguments ? arguments : json_object_new();
    JsonNode *result = client->ops->call(client, command, given, error);

    json_object_unref(given);
    return result;
}

void client_subscribe(Client *client)
{
    client->ops->subscribe(client);
}

Wake client_wait(Client *client, int interrupt_fd, guint timeout_ms)
{
    struct pollfd interrupt = {.fd = interrupt_fd, .events = POLLIN};

    /* First: who sends events faster than they are looked at must not keep a person from leaving.
     */
    if (poll(&interrupt, 1, 0) > 0)
        return WAKE_INTERRUPTED;
    return client->ops->wait(client, interrupt_fd, timeout_ms);
}

JsonNode *client_properties(Client *client, GError **error)
{
    if (client->ops->properties)
        return client->ops->properties(client, error);
    g_set_error(error, CTL_ERROR, CTL_REFUSED, "a channel has no properties");
    return NULL;
}
