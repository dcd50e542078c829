/*
 * A guest's daemon, over the host's end of its port. The guest is not trusted: an answer has a
 * limit in time and bytes, is strictly parsed, and belongs to a request because of the
 * synchronisation before, never by luck.
 */
#include <string.h>

#include "ctl/client.h"
#include "ctl/errors.h"
#include "ctl/json.h"
#include "ctl/line-socket.h"
#include "ctl/text.h"

#define ANSWER_USEC (20 * G_GINT64_CONSTANT(1000000))
#define SYNC_USEC (4 * G_GINT64_CONSTANT(1000000))
#define SYNCS_MAX 3        /* a daemon that is just starting loses what was sent before */
#define OLD_LINES_MAX 1000 /* of an earlier client's, before the answer to a synchronisation */

typedef struct {
    Client client;
    LineSocket *socket;
    gboolean has_news;
} SocketClient;

static gboolean send_request(SocketClient *self, const char *command, JsonObject *arguments,
                             gint64 deadline_usec, const char *prefix, GError **error)
{
    JsonNode *node = json_node_init_object(json_node_alloc(), arguments);
    g_autofree char *json = json_to_string(node, FALSE);
    g_autofree char *line =
        g_strdup_printf("%s{\"execute\": \"%s\", \"arguments\": %s}\n", prefix, command, json);

    json_node_unref(node);
    return line_socket_send(self->socket, line, strlen(line), deadline_usec, error);
}

/* The next line as an object; what is in front of a 0xFF is not looked at. */
static JsonNode *receive(SocketClient *self, gint64 deadline_usec, GError **error)
{
    gsize n;
    const char *line = line_socket_receive(self->socket, &n, deadline_usec, error);

    if (!line)
        return NULL;
    const char *mark = memrchr(line, 0xFF, n);
    if (mark) {
        n -= (gsize)(mark + 1 - line);
        line = mark + 1;
    }
    return ctl_json_parse(line, n, error);
}

/* One synchronisation. FALSE without an error: no answer to it. */
static gboolean synchronise_once(SocketClient *self, GError **error)
{
    gint64 number = g_random_int_range(1, G_MAXINT32);
    gint64 deadline_usec = g_get_monotonic_time() + SYNC_USEC;
    JsonObject *arguments = json_object_new();

    json_object_set_int_member(arguments, "id", number);
    gboolean sent =
        send_request(self, "guest-sync-delimited", arguments, deadline_usec, "\xff", error);
    json_object_unref(arguments);
    for (guint i = 0; sent && i < OLD_LINES_MAX; i++) {
        JsonNode *node = receive(self, deadline_usec, NULL);
        if (!node && g_get_monotonic_time() >= deadline_usec)
            break;
        gint64 got = node ? ctl_json_int(ctl_json_as_object(node), "return", 0) : 0;
        if (node)
            json_node_unref(node);
        if (got == number)
            return TRUE;
    }
    return FALSE;
}

static gboolean synchronise(SocketClient *self, GError **error)
{
    for (guint i = 0; i < SYNCS_MAX; i++) {
        g_autoptr(GError) wrong = NULL;
        if (synchronise_once(self, &wrong))
            return TRUE;
        if (wrong) {
            g_propagate_error(error, g_steal_pointer(&wrong));
            return FALSE;
        }
    }
    g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION,
                "the guest's memplugd does not answer; is it running, and is this its socket?");
    return FALSE;
}

/* What an answer returns, or its error. */
static JsonNode *take_answer(JsonNode *answer, GError **error)
{
    JsonObject *object = ctl_json_as_object(answer);
    JsonObject *wrong = ctl_json_object(object, "error");

    if (object && json_object_has_member(object, "return"))
        return json_object_dup_member(object, "return");
    g_autofree char *desc = text_safe(ctl_json_string(wrong, "desc"));
    if (wrong)
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "%s", desc);
    else
        g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION, "the guest's answer is none");
    return NULL;
}

static JsonNode *call(Client *client, const char *command, JsonObject *arguments, GError **error)
{
    SocketClient *self = (SocketClient *)client;
    gint64 deadline_usec = g_get_monotonic_time() + ANSWER_USEC;

    if (!send_request(self, command, arguments, deadline_usec, "", error))
        return NULL;
    for (;;) {
        JsonNode *answer = receive(self, deadline_usec, error);
        if (!answer)
            return NULL;
        JsonObject *object = ctl_json_as_object(answer);
        gboolean is_event = object && json_object_has_member(object, "event");
        JsonNode *result = is_event ? NULL : take_answer(answer, error);
        json_node_unref(answer);
        self->has_news = self->has_news || is_event;
        if (!is_event)
            return result;
    }
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
    SocketClient *self = (SocketClient *)client;

    if (!self->has_news) {
        int r = line_socket_wait(self->socket, interrupt_fd, timeout_ms);
        if (r <= 0)
            return r == 0 ? WAKE_TIMEOUT : r == -2 ? WAKE_INTERRUPTED : WAKE_LOST;
        JsonNode *event = receive(self, g_get_monotonic_time() + ANSWER_USEC, NULL);
        if (!event)
            return WAKE_LOST; /* between requests nothing but events may come */
        json_node_unref(event);
    }
    self->has_news = FALSE;
    return WAKE_NEWS;
}

static void free_client(Client *client)
{
    SocketClient *self = (SocketClient *)client;

    line_socket_free(self->socket);
    g_free(self);
}

static const ClientOps ops = {call, subscribe, wait_for, NULL, free_client};

Client *client_new_socket(const char *path, GError **error)
{
    SocketClient *self = g_new0(SocketClient, 1);

    self->client.ops = &ops;
    self->socket = line_socket_new(path, "the guest", error);
    if (!self->socket || !synchronise(self, error)) {
        free_client(&self->client);
        return NULL;
    }
    return &self->client;
}
