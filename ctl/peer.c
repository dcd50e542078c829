#include "ctl/peer.h"

#include <string.h>

#include "ctl/errors.h"
#include "ctl/json.h"
#include "ctl/text.h"

#define SYNC_USEC (4 * G_GINT64_CONSTANT(1000000))
#define SYNCS_MAX 3        /* a daemon that is just starting loses what was sent before */
#define OLD_LINES_MAX 1000 /* of an earlier client's, before the answer to a synchronisation */
#define EVENTS_MAX 1000    /* kept; a guest can make QEMU send as many as it likes */

struct Peer {
    LineSocket *socket;
    char *what;
    const char *const *kept;
    GQueue *events; /* of JsonNode */
    gboolean has_news;
    gboolean synchronises; /* the other side knows guest-sync-delimited */
    gboolean is_stale;     /* a reply did not come: it may come yet */
    gint64 last_id;
};

static void free_node(gpointer node)
{
    json_node_unref(node);
}

Peer *peer_new(const char *path, const char *what, const char *const *events, GError **error)
{
    LineSocket *socket = line_socket_new(path, what, error);

    if (!socket)
        return NULL;
    Peer *peer = g_new0(Peer, 1);
    peer->socket = socket;
    peer->what = g_strdup(what);
    peer->kept = events;
    peer->events = g_queue_new();
    return peer;
}

void peer_free(Peer *peer)
{
    if (!peer)
        return;
    g_queue_free_full(peer->events, free_node);
    line_socket_free(peer->socket);
    g_free(peer->what);
    g_free(peer);
}

/* The next line; what is in front of a 0xFF is not looked at. */
static JsonNode *receive_line(Peer *peer, gint64 deadline_usec, GError **error)
{
    gsize n;

    /* Lines that are there already must not outlast the deadline. */
    if (g_get_monotonic_time() >= deadline_usec) {
        g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION, "%s: it does not answer", peer->what);
        return NULL;
    }
    const char *line = line_socket_receive(peer->socket, &n, deadline_usec, error);
    if (!line)
        return NULL;
    const char *mark = memrchr(line, 0xFF, n);
    if (mark) {
        n -= (gsize)(mark + 1 - line);
        line = mark + 1;
    }
    return ctl_json_parse(line, n, error);
}

/* Keeps NODE (taken over) where it is an event. FALSE: it is none, and still the caller's. */
static gboolean take_event(Peer *peer, JsonNode *node)
{
    JsonObject *object = ctl_json_as_object(node);

    if (!object || !json_object_has_member(object, "event"))
        return FALSE;
    peer->has_news = TRUE;
    if (!peer->kept || !g_strv_contains(peer->kept, ctl_json_string(object, "event")) ||
        g_queue_get_length(peer->events) >= EVENTS_MAX)
        json_node_unref(node);
    else
        g_queue_push_tail(peer->events, node);
    return TRUE;
}

/* The next line that is no event. */
static JsonNode *receive_reply(Peer *peer, gint64 deadline_usec, GError **error)
{
    JsonNode *node;

    do {
        node = receive_line(peer, deadline_usec, error);
    } while (node && take_event(peer, node));
    return node;
}

JsonNode *peer_receive(Peer *peer, GError **error)
{
    return receive_reply(peer, g_get_monotonic_time() + PEER_REPLY_USEC, error);
}

static gboolean send_request(Peer *peer, const char *command, JsonObject *arguments,
                             gint64 deadline_usec, GError **error)
{
    gboolean is_sync = strcmp(command, "guest-sync-delimited") == 0;
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), arguments);
    g_autofree char *json = json_to_string(node, FALSE);
    g_autofree char *line =
        is_sync ? g_strdup_printf("\xff{\"execute\": \"%s\", \"arguments\": %s}\n", command, json)
                : g_strdup_printf("{\"execute\": \"%s\", \"arguments\": %s, \"id\": %" //
                                  G_GINT64_FORMAT "}\n",
                                  command, json, ++peer->last_id);

    return line_socket_send(peer->socket, line, strlen(line), deadline_usec, error);
}

/* One synchronisation. FALSE without an error: no answer to it. */
static gboolean synchronise_once(Peer *peer, GError **error)
{
    gint64 number = g_random_int_range(1, G_MAXINT32);
    gint64 deadline_usec = g_get_monotonic_time() + SYNC_USEC;
    g_autoptr(JsonObject) arguments = json_object_new();

    json_object_set_int_member(arguments, "id", number);
    if (!send_request(peer, "guest-sync-delimited", arguments, deadline_usec, error))
        return FALSE;
    for (guint i = 0; i < OLD_LINES_MAX && g_get_monotonic_time() < deadline_usec; i++) {
        g_autoptr(GError) wrong = NULL;
        g_autoptr(JsonNode) node = receive_line(peer, deadline_usec, &wrong);
        if (node && ctl_json_int(ctl_json_as_object(node), "return", 0) == number)
            return TRUE;
    }
    return FALSE;
}

gboolean peer_synchronise(Peer *peer, GError **error)
{
    peer->synchronises = TRUE;
    for (guint i = 0; i < SYNCS_MAX; i++) {
        g_autoptr(GError) wrong = NULL;
        peer->is_stale = !synchronise_once(peer, &wrong);
        if (!peer->is_stale)
            return TRUE;
        if (wrong) {
            g_propagate_error(error, g_steal_pointer(&wrong));
            return FALSE;
        }
    }
    g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION,
                "the guest's memplugd does not answer: is it running, is this its socket, and is "
                "nobody else connected to it?");
    return FALSE;
}

/* What REPLY returns, or its error. */
static JsonNode *take_result(Peer *peer, JsonNode *reply, const char *command, GError **error)
{
    JsonObject *object = ctl_json_as_object(reply);
    JsonObject *wrong = ctl_json_object(object, "error");

    if (object && json_object_has_member(object, "return"))
        return json_object_dup_member(object, "return");
    g_autofree char *desc = text_safe(ctl_json_string(wrong, "desc"));
    if (wrong && peer->synchronises)
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "%s", desc);
    else if (wrong)
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "%s refuses %s: %s", peer->what, command, desc);
    else
        g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION, "%s: the answer to %s makes no sense",
                    peer->what, command);
    return NULL;
}

/* Whether REPLY is to an earlier request, whose answer nobody waits for any more. */
static gboolean is_late(Peer *peer, JsonNode *reply)
{
    return ctl_json_int(ctl_json_as_object(reply), "id", peer->last_id) != peer->last_id;
}

JsonNode *peer_request(Peer *peer, const char *command, JsonObject *arguments, GError **error)
{
    g_autoptr(JsonObject) none = arguments ? NULL : json_object_new();
    JsonNode *reply = NULL;

    if (peer->is_stale && peer->synchronises && !peer_synchronise(peer, error))
        return NULL;
    gint64 deadline_usec = g_get_monotonic_time() + PEER_REPLY_USEC;
    peer->is_stale = TRUE;
    if (!send_request(peer, command, arguments ? arguments : none, deadline_usec, error))
        return NULL;
    do {
        g_clear_pointer(&reply, json_node_unref);
        reply = receive_reply(peer, deadline_usec, error);
    } while (reply && is_late(peer, reply));
    if (!reply)
        return NULL;
    peer->is_stale = FALSE;
    JsonNode *result = take_result(peer, reply, command, error);
    json_node_unref(reply);
    return result;
}

Wake peer_wait(Peer *peer, int interrupt_fd, guint timeout_ms, JsonNode **event)
{
    if (event)
        *event = NULL;
    if (!peer->has_news) {
        Wake wake = line_socket_wait(peer->socket, interrupt_fd, timeout_ms);
        if (wake != WAKE_NEWS)
            return wake;
        JsonNode *node = receive_line(peer, g_get_monotonic_time() + PEER_REPLY_USEC, NULL);
        if (!node)
            return WAKE_LOST;
        if (!take_event(peer, node))
            json_node_unref(node); /* a reply that came too late */
    }
    JsonNode *oldest = g_queue_pop_head(peer->events);
    peer->has_news = !g_queue_is_empty(peer->events);
    if (event)
        *event = oldest;
    else if (oldest)
        json_node_unref(oldest);
    return WAKE_NEWS;
}
