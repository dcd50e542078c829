/*
 * The local daemon, over the system bus. Starting it is the bus's matter (activation).
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "ctl/agent-bus.h"
#include "ctl/client.h"
#include "ctl/errors.h"
#include "ctl/json.h"
#include "qga-protocol/bus-value.h"
#include "qga-protocol/errors.h"

#define COMMAND_PREFIX "memory-"
/* Longer than polkit waits for a password. */
#define CALL_TIMEOUT_USEC (150 * G_GUINT64_CONSTANT(1000000))

typedef struct {
    Client client;
    sd_bus *bus;
    gboolean has_news;
} BusClient;

static int append_arguments(sd_bus_message *message, JsonObject *arguments)
{
    JsonNode *node = json_node_init_object(json_node_alloc(), arguments);
    QgaBusWriter bus_writer;

    qga_writer_node(qga_bus_writer_init(&bus_writer, message, TRUE), node);
    json_node_unref(node);
    return qga_bus_writer_result(&bus_writer);
}

static JsonNode *read_reply(sd_bus_message *reply, GError **error)
{
    g_autoptr(GError) wrong = NULL;
    JsonNode *node = qga_bus_read_value(reply, CTL_BUS_MAX_VALUES, CTL_BUS_MAX_BYTES, &wrong);

    if (!node)
        g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION, "memplugd's answer: %s", wrong->message);
    return node;
}

static JsonNode *call(Client *client, const char *command, JsonObject *arguments, GError **error)
{
    BusClient *self = (BusClient *)client;
    g_autofree char *member = qga_bus_member_name(command, COMMAND_PREFIX);
    sd_bus_error bus_error = SD_BUS_ERROR_NULL;
    sd_bus_message *message = NULL, *reply = NULL;
    JsonNode *node = NULL;

    int r = sd_bus_message_new_method_call(self->bus, &message, AGENT_BUS_NAME, AGENT_BUS_PATH,
                                           AGENT_BUS_INTERFACE, member);
    if (r >= 0)
        r = append_arguments(message, arguments);
    if (r >= 0)
        r = sd_bus_message_set_allow_interactive_authorization(message, 1);
    if (r >= 0)
        r = sd_bus_call(self->bus, message, CALL_TIMEOUT_USEC, &bus_error, &reply);
    if (r < 0)
        agent_bus_fail(error, &bus_error, r);
    else
        node = read_reply(reply, error);
    sd_bus_error_free(&bus_error);
    sd_bus_message_unref(message);
    sd_bus_message_unref(reply);
    return node;
}

/* --- properties --- */

static JsonNode *jobs_from(JsonArray *pairs)
{
    JsonArray *jobs = json_array_new();

    for (guint i = 0; pairs && i < json_array_get_length(pairs); i++) {
        JsonArray *pair = json_array_get_array_element(pairs, i);
        JsonObject *job = json_object_new();
        json_object_set_int_member(job, "job", json_array_get_int_element(pair, 0));
        json_object_set_string_member(job, "state", json_array_get_string_element(pair, 1));
        json_array_add_object_element(jobs, job);
    }
    return json_node_init_array(json_node_alloc(), jobs);
}

/* In the words of memory-get-status. TREE: what GetAll returned, from this system's own daemon. */
static JsonNode *rename_properties(JsonObject *tree)
{
    static const char *const names[][2] = {{"BlockSize", "block-size"},
                                           {"GuestAtBoot", "guest-at-boot"},
                                           {"GuestCurrent", "guest-current"},
                                           {"GuestRequested", "guest-requested"},
                                           {"Policy", "policy"},
                                           {"PortError", "port-error"}};
    JsonObject *status = json_object_new();
    JsonNode *node;

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        if (json_object_has_member(tree, names[i][0]))
            json_object_set_member(status, names[i][1], json_object_dup_member(tree, names[i][0]));
    }
    if (json_object_has_member(status, "guest-requested") &&
        json_object_get_int_member(status, "guest-requested") == 0)
        json_object_remove_member(status, "guest-requested"); /* the host has not said */
    if (json_object_has_member(status, "port-error") &&
        !*json_object_get_string_member(status, "port-error"))
        json_object_remove_member(status, "port-error");
    if (json_object_has_member(tree, "Jobs"))
        json_object_set_member(status, "jobs",
                               jobs_from(json_object_get_array_member(tree, "Jobs")));
    node = json_node_init_object(json_node_alloc(), status);
    json_object_unref(status);
    return node;
}

static JsonNode *properties(Client *client, GError **error)
{
    BusClient *self = (BusClient *)client;
    sd_bus_error bus_error = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    JsonNode *tree = NULL, *node = NULL;

    int r = sd_bus_call_method(self->bus, AGENT_BUS_NAME, AGENT_BUS_PATH,
                               "org.freedesktop.DBus.Properties", "GetAll", &bus_error, &reply, "s",
                               AGENT_BUS_INTERFACE);
    if (r < 0)
        agent_bus_fail(error, &bus_error, r);
    else
        tree = read_reply(reply, error);
    if (tree) {
        node = rename_properties(json_node_get_object(tree));
        json_node_unref(tree);
    }
    sd_bus_error_free(&bus_error);
    sd_bus_message_unref(reply);
    return node;
}

/* --- events --- */

static int on_signal(G_GNUC_UNUSED sd_bus_message *signal, void *user_data,
                     G_GNUC_UNUSED sd_bus_error *error)
{
    BusClient *self = user_data;

    self->has_news = TRUE;
    return 0;
}

static void subscribe(Client *client)
{
    BusClient *self = (BusClient *)client;

    sd_bus_match_signal(self->bus, NULL, AGENT_BUS_NAME, AGENT_BUS_PATH, NULL, NULL, on_signal,
                        self);
}

static int process(BusClient *self)
{
    int r;

    do {
        r = sd_bus_process(self->bus, NULL);
    } while (r > 0);
    return r;
}

static Wake wait_for(Client *client, int interrupt_fd, guint timeout_ms)
{
    BusClient *self = (BusClient *)client;
    gint64 end_usec = g_get_monotonic_time() + (gint64)timeout_ms * 1000;

    for (;;) {
        if (process(self) < 0)
            return WAKE_LOST;
        if (self->has_news) {
            self->has_news = FALSE;
            return WAKE_NEWS;
        }
        gint64 left_ms = (end_usec - g_get_monotonic_time()) / 1000;
        if (left_ms <= 0)
            return WAKE_TIMEOUT;
        struct pollfd fds[] = {
            {.fd = sd_bus_get_fd(self->bus), .events = (short)sd_bus_get_events(self->bus)},
            {.fd = interrupt_fd, .events = POLLIN}};
        poll(fds, G_N_ELEMENTS(fds), (int)left_ms);
        if (fds[1].revents & POLLIN)
            return WAKE_INTERRUPTED;
    }
}

static void free_client(Client *client)
{
    BusClient *self = (BusClient *)client;

    sd_bus_flush_close_unref(self->bus);
    g_free(self);
}

static const ClientOps ops = {call, subscribe, wait_for, properties, free_client};

Client *client_new_bus(GError **error)
{
    BusClient *self = g_new0(BusClient, 1);

    self->client.ops = &ops;
    self->bus = agent_bus_open(error);
    if (!self->bus) {
        g_free(self);
        return NULL;
    }
    return &self->client;
}
