#include "ctl/qmp.h"

#include <string.h>

#include "ctl/errors.h"
#include "ctl/json.h"
#include "ctl/line-socket.h"
#include "ctl/text.h"

#define ANSWER_USEC (60 * G_GINT64_CONSTANT(1000000))
#define EVENTS_MAX 1000 /* kept; QEMU's own events of a guest's doing are not endless either */

struct Qmp {
    LineSocket *socket;
    GQueue *events; /* of JsonNode */
};

static void free_node(gpointer node)
{
    json_node_unref(node);
}

void qmp_free(Qmp *qmp)
{
    if (!qmp)
        return;
    g_queue_free_full(qmp->events, free_node);
    line_socket_free(qmp->socket);
    g_free(qmp);
}

/* One message; an event is kept and reads as NULL without an error. */
static JsonNode *receive(Qmp *qmp, gint64 deadline_usec, GError **error)
{
    gsize n;
    const char *line = line_socket_receive(qmp->socket, &n, deadline_usec, error);
    JsonNode *node = line ? ctl_json_parse(line, n, error) : NULL;
    JsonObject *object = ctl_json_as_object(node);

    if (!object || !json_object_has_member(object, "event"))
        return node;
    g_queue_push_tail(qmp->events, node);
    if (g_queue_get_length(qmp->events) > EVENTS_MAX)
        json_node_unref(g_queue_pop_head(qmp->events));
    return NULL;
}

static JsonNode *receive_reply(Qmp *qmp, GError **error)
{
    gint64 deadline_usec = g_get_monotonic_time() + ANSWER_USEC;

    for (;;) {
        g_autoptr(GError) wrong = NULL;
        JsonNode *node = receive(qmp, deadline_usec, &wrong);
        if (node || wrong) {
            if (wrong)
                g_propagate_error(error, g_steal_pointer(&wrong));
            return node;
        }
    }
}

JsonNode *qmp_call(Qmp *qmp, const char *command, JsonObject *arguments, GError **error)
{
    JsonObject *given = arguments ? arguments : json_object_new();
    JsonNode *node = json_node_init_object(json_node_alloc(), given);
    g_autofree char *json = json_to_string(node, FALSE);
    g_autofree char *line =
        g_strdup_printf("{\"execute\": \"%s\", \"arguments\": %s}\n", command, json);
    JsonNode *reply = NULL, *result = NULL;

    json_node_unref(node);
    json_object_unref(given);
    if (line_socket_send(qmp->socket, line, strlen(line), g_get_monotonic_time() + ANSWER_USEC,
                         error))
        reply = receive_reply(qmp, error);
    if (!reply)
        return NULL;
    JsonObject *object = ctl_json_as_object(reply);
    if (object && json_object_has_member(object, "return"))
        result = json_object_dup_member(object, "return");
    g_autofree char *desc = text_safe(ctl_json_string(ctl_json_object(object, "error"), "desc"));
    if (!result)
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "QEMU refuses %s: %s", command, desc);
    json_node_unref(reply);
    return result;
}

JsonNode *qmp_next_event(Qmp *qmp, guint timeout_ms)
{
    gint64 deadline_usec = g_get_monotonic_time() + (gint64)timeout_ms * 1000;

    while (g_queue_is_empty(qmp->events)) {
        g_autoptr(GError) error = NULL;
        JsonNode *node = receive(qmp, deadline_usec, &error);
        if (error)
            return NULL;
        if (node)
            json_node_unref(node); /* a reply that nobody waits for */
    }
    return g_queue_pop_head(qmp->events);
}

void qmp_drop_events(Qmp *qmp)
{
    while (!g_queue_is_empty(qmp->events))
        json_node_unref(g_queue_pop_head(qmp->events));
}

Qmp *qmp_new(const char *path, GError **error)
{
    g_autoptr(Qmp) qmp = g_new0(Qmp, 1);

    qmp->events = g_queue_new();
    qmp->socket = line_socket_new(path, "QEMU", error);
    JsonNode *greeting = qmp->socket ? receive_reply(qmp, error) : NULL;
    if (!greeting)
        return NULL;
    gboolean is_qmp = ctl_json_object(ctl_json_as_object(greeting), "QMP") != NULL;
    json_node_unref(greeting);
    if (!is_qmp) {
        g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION, "%s is no QMP socket", path);
        return NULL;
    }
    JsonNode *done = qmp_call(qmp, "qmp_capabilities", NULL, error);
    if (!done)
        return NULL;
    json_node_unref(done);
    return g_steal_pointer(&qmp);
}
