/*
 * The relay. Tickets stand in a queue; its head is with qemu-ga once is_sent is set. An abandoned
 * head stays until its reply has come and been dropped: that is how a late reply is told from the
 * next one. What is half written cannot be taken back, so then the connection goes.
 */
#include "qga-protocol/relay.h"

#include <string.h>

#include "qga-protocol/errors.h"
#include "qga-protocol/json-reader.h"

#define NAME_MAX_BYTES 64
#define INFO_MAX_BYTES (256 * 1024)
/* Of the line, from one to the next. */
#define KEPT_BYTES (64 * 1024)

typedef enum {
    LINK_NONE,
    LINK_GREETED, /* connected; the answer to guest-sync-delimited is awaited */
    LINK_ASKED,   /* guest-info's is */
    LINK_UP,
} Link;

struct QgaTicket {
    QgaRelay *relay;
    const QgaTicketSink *sink; /* NULL: abandoned */
    gpointer user_data;
    gboolean is_info;   /* it only wants to know guest-info */
    QgaOutQueue *bytes; /* given before its turn; NULL: none */
    gboolean is_whole;  /* all of the request has been given */
    gboolean is_long;
    gboolean has_no_success;
    gboolean is_sent;      /* its turn has come: bytes go on as they are given */
    gboolean has_answered; /* a line has been passed; its marker is awaited */
    gint64 marker; /* the guest-sync behind it whose answer ends it; 0: the line's end does */
    QgaPatience patience;
    gint64 since_usec; /* when qemu-ga was last heard or asked about it; 0: not stamped yet */
    gboolean is_idle;  /* its host has let qemu-ga and others wait since the last turn */
    gint64 idle_usec;  /* how long that was so, less a microsecond for each byte that moved */
};

typedef struct {
    char *name;
    gboolean enabled;
    gboolean has_success;
} Command;

struct QgaRelay {
    QgaRelayWakeup wakeup;
    gpointer user_data;
    GQueue tickets; /* of QgaTicket */
    /* Who has heard of something since hosts were woken last: the one that is woken now if it can
     * be. Mostly there is one only; others are woken soon. */
    void (*woken)(gboolean is_now, gpointer user_data);
    gpointer woken_data;
    Link link;
    gboolean is_mute;   /* it has not said hello in time since it was connected */
    gboolean is_broken; /* half a request is with qemu-ga, or a reply that never comes is awaited */
    gboolean is_held;   /* a sink would have no more */
    gboolean is_stirred; /* bytes were given since the last flush */
    gint64 now_usec;     /* of the last turn */
    gint64 hello_id;     /* of the guest-sync-delimited that is awaited */
    gint64 last_marker;
    QgaOutQueue *output;
    GByteArray *line;    /* of qemu-ga's, as far as it is held */
    gboolean is_passing; /* the line being read is passed, or dropped, piece by piece */
    GPtrArray *commands; /* of Command; NULL: not known */
    char *version;
};

static void command_free(gpointer data)
{
    Command *command = data;

    g_free(command->name);
    g_free(command);
}

QgaRelay *qga_relay_new(QgaRelayWakeup wakeup, gpointer user_data)
{
    QgaRelay *relay = g_new0(QgaRelay, 1);

    relay->wakeup = wakeup;
    relay->user_data = user_data;
    g_queue_init(&relay->tickets);
    relay->last_marker = (gint64)g_random_int_range(1, G_MAXINT32) << 31;
    relay->output = qga_out_queue_new();
    relay->line = g_byte_array_new();
    return relay;
}

static void ticket_free(QgaTicket *ticket)
{
    qga_out_queue_free(ticket->bytes);
    g_free(ticket);
}

static void note_heard(QgaRelay *relay, const QgaTicketSink *sink, gpointer user_data)
{
    if (sink->wake == NULL || (relay->woken != NULL && relay->woken_data == user_data))
        return;
    qga_relay_wake_hosts(relay, FALSE);
    relay->woken = sink->wake;
    relay->woken_data = user_data;
}

void qga_relay_wake_hosts(QgaRelay *relay, gboolean is_now)
{
    void (*woken)(gboolean is_now, gpointer user_data) = g_steal_pointer(&relay->woken);

    if (woken != NULL)
        woken(is_now, relay->woken_data);
}

void qga_relay_forget(QgaRelay *relay, gconstpointer user_data)
{
    if (relay->woken_data == user_data)
        relay->woken = NULL;
}

static void tell_end(QgaRelay *relay, const QgaTicketSink *sink, gpointer user_data,
                     QgaTicketEnd end, const char *desc)
{
    sink->end(end, desc, user_data);
    note_heard(relay, sink, user_data);
}

static void ticket_end(QgaTicket *ticket, QgaTicketEnd end, const char *desc)
{
    QgaRelay *relay = ticket->relay;
    const QgaTicketSink *sink = ticket->sink;
    gpointer user_data = ticket->user_data;

    g_queue_remove(&relay->tickets, ticket);
    ticket_free(ticket);
    if (sink != NULL)
        tell_end(relay, sink, user_data, end, desc);
}

void qga_relay_free(QgaRelay *relay)
{
    if (relay == NULL)
        return;
    while (relay->tickets.length > 0)
        ticket_end(g_queue_peek_head(&relay->tickets), QGA_TICKET_SILENT, NULL);
    qga_out_queue_free(relay->output);
    g_byte_array_unref(relay->line);
    g_clear_pointer(&relay->commands, g_ptr_array_unref);
    g_free(relay->version);
    g_free(relay);
}

static void wake(QgaRelay *relay)
{
    if (relay->wakeup != NULL)
        relay->wakeup(FALSE, relay->user_data);
}

void qga_relay_flush(QgaRelay *relay)
{
    gboolean is_stirred = relay->is_stirred;

    relay->is_stirred = FALSE;
    if (is_stirred && relay->wakeup != NULL)
        relay->wakeup(TRUE, relay->user_data);
}

/* The ticket that qemu-ga works on. */
static QgaTicket *current_of(const QgaRelay *relay)
{
    QgaTicket *head = g_queue_peek_head((GQueue *)&relay->tickets);

    return head != NULL && head->is_sent ? head : NULL;
}

/* Where bytes of the ticket go; NULL: there are none. */
static QgaOutQueue *unsent_of(const QgaTicket *ticket)
{
    return ticket->is_sent ? ticket->relay->output : ticket->bytes;
}

/* The first ticket has its turn, if qemu-ga has none. */
static void send_next(QgaRelay *relay)
{
    QgaTicket *ticket = g_queue_peek_head(&relay->tickets);
    const guint8 *bytes;
    gsize n;

    if (relay->link != LINK_UP || relay->is_broken)
        return;
    while (ticket != NULL && ticket->is_info) {
        ticket_end(ticket, QGA_TICKET_SILENT, NULL);
        ticket = g_queue_peek_head(&relay->tickets);
    }
    if (ticket == NULL || ticket->is_sent)
        return;
    ticket->is_sent = TRUE;
    ticket->since_usec = relay->now_usec;
    while (ticket->bytes != NULL && (n = qga_out_queue_peek(ticket->bytes, &bytes)) > 0) {
        qga_out_queue_append(relay->output, bytes, n);
        qga_out_queue_consume(ticket->bytes, n);
    }
}

/* ---- the hosts' side ---- */

/* What qemu-ga's guest-info says; before it is known, what it has said in all versions. */
static gboolean has_no_success(const QgaRelay *relay, const char *command)
{
    if (relay->commands == NULL || relay->commands->len == 0)
        return strcmp(command, "guest-shutdown") == 0 ||
               g_str_has_prefix(command, "guest-suspend-");
    for (guint i = 0; i < relay->commands->len; i++) {
        const Command *known = relay->commands->pdata[i];

        if (!known->has_success && strcmp(known->name, command) == 0)
            return TRUE;
    }
    return FALSE;
}

static QgaTicket *ticket_new(QgaRelay *relay, const QgaTicketSink *sink, gpointer user_data)
{
    QgaTicket *ticket = g_new0(QgaTicket, 1);

    ticket->relay = relay;
    ticket->sink = sink;
    ticket->user_data = user_data;
    g_queue_push_tail(&relay->tickets, ticket);
    return ticket;
}

QgaTicket *qga_relay_begin(QgaRelay *relay, const char *command, const QgaTicketSink *sink,
                           gpointer user_data)
{
    QgaTicket *ticket = ticket_new(relay, sink, user_data);

    relay->is_stirred = TRUE;
    send_next(relay);
    ticket->since_usec = 0; /* the time of the last turn may be long ago */
    if (command != NULL) {
        ticket->is_long =
            g_str_has_prefix(command, "guest-fs") || g_str_has_prefix(command, "guest-suspend-");
        ticket->has_no_success = has_no_success(relay, command);
    }
    return ticket;
}

void qga_relay_add(QgaTicket *ticket, const void *bytes, gsize n_bytes)
{
    g_assert(!ticket->is_whole);
    if (!ticket->is_sent && ticket->bytes == NULL)
        ticket->bytes = qga_out_queue_new();
    qga_out_queue_append(unsent_of(ticket), bytes, n_bytes);
    ticket->relay->is_stirred = TRUE;
}

void qga_relay_finish(QgaTicket *ticket)
{
    qga_relay_add(ticket, "\n", 1);
    if (ticket->has_no_success) {
        char *marker;

        ticket->marker = ++ticket->relay->last_marker;
        marker = g_strdup_printf(
            "{\"execute\":\"guest-sync\",\"arguments\":{\"id\":%" G_GINT64_FORMAT "}}\n",
            ticket->marker);
        qga_relay_add(ticket, marker, strlen(marker));
        g_free(marker);
    }
    ticket->is_whole = TRUE;
}

gboolean qga_relay_wants(const QgaTicket *ticket)
{
    QgaOutQueue *unsent = unsent_of(ticket);

    return unsent == NULL || qga_out_queue_size(unsent) <= QGA_RELAY_BUFFER_BYTES;
}

void qga_relay_abandon(QgaTicket *ticket)
{
    QgaRelay *relay = ticket->relay;

    ticket->sink = NULL;
    ticket->since_usec = relay->now_usec;
    if (ticket->is_sent)
        relay->is_held = FALSE;
    if (!ticket->is_sent)
        ticket_end(ticket, QGA_TICKET_SILENT, NULL);
    else if (!ticket->is_whole || qga_out_queue_size(relay->output) > 0)
        relay->is_broken = TRUE;
    wake(relay);
}

void qga_relay_hurry(QgaTicket *ticket, QgaPatience patience)
{
    if (patience <= ticket->patience)
        return;
    ticket->patience = patience;
    if (patience == QGA_IMPATIENT)
        ticket->since_usec = 0; /* somebody waits from now on */
    wake(ticket->relay);
}

void qga_relay_resume(QgaTicket *ticket)
{
    QgaRelay *relay = ticket->relay;

    if (!relay->is_held || !ticket->is_sent)
        return;
    relay->is_held = FALSE;
    wake(relay);
}

QgaTicket *qga_relay_want_info(QgaRelay *relay, const QgaTicketSink *sink, gpointer user_data)
{
    if ((relay->commands != NULL && relay->link == LINK_UP) || relay->is_mute)
        return NULL;
    QgaTicket *ticket = ticket_new(relay, sink, user_data);
    ticket->is_info = TRUE;
    wake(relay);
    return ticket;
}

const char *qga_relay_version(const QgaRelay *relay)
{
    return relay->version;
}

void qga_relay_info(const QgaRelay *relay, QgaRelayCommandFunc func, gpointer user_data)
{
    for (guint i = 0; relay->commands != NULL && i < relay->commands->len; i++) {
        const Command *command = relay->commands->pdata[i];

        func(command->name, command->enabled, command->has_success, user_data);
    }
}

/* ---- time ---- */

static gint64 patience_of(const QgaRelay *relay, const QgaTicket *ticket)
{
    if (ticket->is_info)
        return QGA_RELAY_INFO_USEC;
    if (ticket->patience == QGA_SYNCING)
        return QGA_RELAY_SYNC_USEC;
    if (ticket->patience == QGA_IMPATIENT)
        return QGA_RELAY_IMPATIENT_USEC;
    if (relay->link == LINK_GREETED || relay->link == LINK_ASKED)
        return QGA_RELAY_HELLO_USEC;
    return ticket->is_sent && ticket->is_long ? QGA_RELAY_LONG_USEC : QGA_RELAY_REPLY_USEC;
}

static void expire(QgaTicket *ticket, const char *desc)
{
    if (ticket->is_sent) {
        const QgaTicketSink *sink = ticket->sink;

        qga_relay_abandon(ticket); /* its reply may still come */
        tell_end(ticket->relay, sink, ticket->user_data,
                 ticket->has_answered ? QGA_TICKET_ANSWERED : QGA_TICKET_FAILED, desc);
    } else {
        ticket_end(ticket, QGA_TICKET_FAILED, desc);
    }
}

/* Whether the ticket's host, and not qemu-ga, is who has to go on: to take a reply, or to give the
 * rest of a request. */
static gboolean is_at_host(const QgaRelay *relay, const QgaTicket *ticket)
{
    return ticket->is_sent &&
           (relay->is_held || (!ticket->is_whole && qga_out_queue_size(relay->output) == 0));
}

/* How long qemu-ga may still be silent about the ticket. */
static gint64 time_of_agent(const QgaRelay *relay, QgaTicket *ticket)
{
    if (ticket->since_usec == 0 || (is_at_host(relay, ticket) && ticket->patience != QGA_SYNCING))
        ticket->since_usec = relay->now_usec;
    return ticket->since_usec + patience_of(relay, ticket) - relay->now_usec;
}

/* How long the ticket's host may still let qemu-ga wait; -1: for ever. ELAPSED_USEC: since the last
 * turn. */
static gint64 time_of_host(const QgaRelay *relay, QgaTicket *ticket, gint64 elapsed_usec)
{
    if (ticket->is_idle)
        ticket->idle_usec += elapsed_usec;
    ticket->is_idle = relay->tickets.length > 1 && is_at_host(relay, ticket);
    return ticket->is_idle ? MAX(QGA_RELAY_IDLE_USEC - ticket->idle_usec, 0) : -1;
}

/* Ends TICKET where its time is over. Returns how much of it is left; -1: no end. */
static gint64 expire_one(QgaRelay *relay, QgaTicket *ticket, gint64 elapsed_usec)
{
    gint64 waited_usec = relay->now_usec - ticket->since_usec;
    gint64 agent_usec, host_usec;

    if (ticket->sink == NULL) { /* a new connection is quicker than its reply */
        if (relay->tickets.length == 1)
            return -1;
        if (waited_usec < QGA_RELAY_LATE_USEC)
            return QGA_RELAY_LATE_USEC - waited_usec;
        relay->is_broken = TRUE;
        wake(relay);
        return -1;
    }
    agent_usec = time_of_agent(relay, ticket);
    host_usec = time_of_host(relay, ticket, elapsed_usec);
    if (agent_usec <= 0) {
        g_autofree char *desc =
            g_strdup_printf("qemu-ga has not answered for %.1f s",
                            (double)(relay->now_usec - ticket->since_usec) / G_USEC_PER_SEC);

        relay->is_mute |= relay->link != LINK_UP && ticket->patience != QGA_SYNCING;
        expire(ticket, desc);
    } else if (host_usec == 0) {
        expire(ticket, "qemu-ga is wanted by others, and the host has kept it waiting");
    }
    return host_usec >= 0 ? MIN(agent_usec, host_usec) : agent_usec;
}

static gint64 expire_due(QgaRelay *relay, gint64 elapsed_usec)
{
    gint64 wait_usec = -1;
    GList *next;

    for (GList *at = relay->tickets.head; at != NULL; at = next) {
        gint64 left_usec;

        next = at->next;
        left_usec = expire_one(relay, at->data, elapsed_usec);
        if (left_usec > 0 && (wait_usec < 0 || left_usec < wait_usec))
            wait_usec = left_usec;
    }
    return wait_usec;
}

/* ---- qemu-ga's side: output ---- */

static void note_moved(const QgaRelay *relay, QgaTicket *ticket, gsize n_bytes)
{
    ticket->since_usec = relay->now_usec;
    ticket->idle_usec = MAX(ticket->idle_usec - (gint64)n_bytes, 0);
}

gint64 qga_relay_turn(QgaRelay *relay, gint64 now_usec)
{
    gint64 elapsed_usec = now_usec - relay->now_usec;
    gint64 wait_usec;

    relay->now_usec = now_usec;
    wait_usec = expire_due(relay, elapsed_usec);
    send_next(relay);
    return wait_usec;
}

gboolean qga_relay_wants_connection(const QgaRelay *relay)
{
    return relay->link == LINK_NONE && relay->tickets.length > 0;
}

gboolean qga_relay_wants_hangup(const QgaRelay *relay)
{
    return relay->is_broken;
}

gsize qga_relay_peek(QgaRelay *relay, const guint8 **out_bytes)
{
    return qga_out_queue_peek(relay->output, out_bytes);
}

void qga_relay_consume(QgaRelay *relay, gsize n_bytes)
{
    QgaTicket *current = current_of(relay);

    qga_out_queue_consume(relay->output, n_bytes);
    if (current == NULL)
        return;
    note_moved(relay, current, n_bytes);
    if (!current->is_whole && current->sink != NULL && qga_relay_wants(current))
        note_heard(relay, current->sink, current->user_data);
}

void qga_relay_connected(QgaRelay *relay)
{
    char *hello;

    g_assert(relay->link == LINK_NONE);
    relay->link = LINK_GREETED;
    for (GList *at = relay->tickets.head; at != NULL; at = at->next)
        ((QgaTicket *)at->data)->since_usec = relay->now_usec; /* this one is asked only now */
    relay->hello_id = g_random_int();
    hello = g_strdup_printf(
        "\xFF{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%" G_GINT64_FORMAT
        "}}\n{\"execute\":\"guest-info\"}\n",
        relay->hello_id);
    qga_out_queue_append(relay->output, hello, strlen(hello));
    g_free(hello);
}

void qga_relay_disconnected(QgaRelay *relay, const char *why)
{
    QgaTicket *current = current_of(relay);
    char *desc = g_strdup_printf("qemu-ga %s", why);

    if (current != NULL && current->marker != 0 && current->sink != NULL)
        ticket_end(current, QGA_TICKET_SILENT, NULL); /* it may well have shut down */
    else if (current != NULL)
        ticket_end(current, QGA_TICKET_FAILED, desc);
    /* Where no connection can be had, nobody need wait for one. */
    while (relay->link != LINK_UP && !relay->is_broken && relay->tickets.length > 0)
        ticket_end(g_queue_peek_head(&relay->tickets), QGA_TICKET_FAILED, desc);
    g_free(desc);
    relay->link = LINK_NONE;
    relay->is_broken = relay->is_held = relay->is_passing = relay->is_mute = FALSE;
    qga_out_queue_clear(relay->output);
    g_byte_array_set_size(relay->line, 0);
}

/* ---- qemu-ga's side: input ---- */

static void take_info(QgaRelay *relay, const char *text, gsize n_bytes)
{
    static const QgaJsonLimits limits = {INFO_MAX_BYTES, 32 * QGA_RELAY_MAX_COMMANDS, 8,
                                         INFO_MAX_BYTES};
    g_autoptr(JsonNode) root = qga_json_parse(text, n_bytes, &limits, NULL, NULL);
    JsonObject *info =
        root != NULL && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
    JsonNode *node = info != NULL ? json_object_get_member(info, "return") : NULL;
    JsonArray *list = NULL;

    g_clear_pointer(&relay->commands, g_ptr_array_unref);
    g_clear_pointer(&relay->version, g_free);
    relay->commands = g_ptr_array_new_with_free_func(command_free);
    if (node == NULL || !JSON_NODE_HOLDS_OBJECT(node))
        return; /* it may be blocked there */
    info = json_node_get_object(node);
    node = json_object_get_member(info, "version");
    if (node != NULL && json_node_get_value_type(node) == G_TYPE_STRING)
        relay->version = g_strndup(json_node_get_string(node), NAME_MAX_BYTES);
    node = json_object_get_member(info, "supported_commands");
    if (node != NULL && JSON_NODE_HOLDS_ARRAY(node))
        list = json_node_get_array(node);
    for (guint i = 0; list != NULL && i < json_array_get_length(list) && i < QGA_RELAY_MAX_COMMANDS;
         i++) {
        JsonNode *element = json_array_get_element(list, i);
        JsonObject *entry = JSON_NODE_HOLDS_OBJECT(element) ? json_node_get_object(element) : NULL;
        const char *name =
            entry != NULL ? json_object_get_string_member_with_default(entry, "name", NULL) : NULL;
        Command *command;

        if (name == NULL || strlen(name) > NAME_MAX_BYTES)
            continue;
        command = g_new0(Command, 1);
        command->name = g_strdup(name);
        command->enabled = json_object_get_boolean_member_with_default(entry, "enabled", TRUE);
        command->has_success =
            json_object_get_boolean_member_with_default(entry, "success-response", TRUE);
        g_ptr_array_add(relay->commands, command);
    }
}

/* Whether the line in hand is the answer to the guest-sync or guest-sync-delimited with ID. */
static gboolean is_sync_reply(const QgaRelay *relay, gint64 id)
{
    char expected[64];
    const guint8 *text = relay->line->data;
    gsize n_bytes = relay->line->len;

    if (n_bytes > 0 && *text == 0xFF) {
        text++;
        n_bytes--;
    }
    g_snprintf(expected, sizeof expected, "{\"return\": %" G_GINT64_FORMAT "}\n", id);
    return n_bytes == strlen(expected) && memcmp(text, expected, n_bytes) == 0;
}

static void pass(QgaRelay *relay, QgaTicket *ticket, const guint8 *bytes, gsize n_bytes)
{
    if (ticket->patience != QGA_SYNCING) /* who syncs does not wait for the end of a long reply */
        note_moved(relay, ticket, n_bytes);
    if (ticket->sink == NULL)
        return;
    if (!ticket->sink->reply(bytes, n_bytes, ticket->user_data))
        relay->is_held = TRUE;
    note_heard(relay, ticket->sink, ticket->user_data);
}

static void line_forget(QgaRelay *relay)
{
    gboolean is_large = relay->line->len > KEPT_BYTES;

    g_byte_array_set_size(relay->line, 0);
    if (is_large && !relay->is_passing) {
        g_byte_array_unref(relay->line);
        relay->line = g_byte_array_new();
    }
}

/* A line is whole; what of it was not passed yet is held. */
static void end_line(QgaRelay *relay)
{
    QgaTicket *current = current_of(relay);
    GByteArray *line = relay->line;

    if (relay->link == LINK_GREETED) {
        if (!relay->is_passing && is_sync_reply(relay, relay->hello_id))
            relay->link = LINK_ASKED;
    } else if (relay->link == LINK_ASKED) {
        take_info(relay, (const char *)line->data, line->len);
        relay->link = LINK_UP;
        relay->is_mute = FALSE;
    } else if (current != NULL && current->marker != 0 && !relay->is_passing &&
               is_sync_reply(relay, current->marker)) {
        ticket_end(current, current->has_answered ? QGA_TICKET_ANSWERED : QGA_TICKET_SILENT, NULL);
    } else if (current != NULL) {
        pass(relay, current, line->data, line->len);
        current->has_answered = TRUE;
        /* qemu-ga has answered before the end of the request, so it reads it otherwise than this
         * side does, and the next request would land in its middle. The newline alone may be
         * unsent. */
        if (!current->is_whole || (current->marker == 0 && qga_out_queue_size(relay->output) > 1)) {
            relay->is_broken = TRUE;
            wake(relay);
        }
        if (current->marker == 0)
            ticket_end(current, QGA_TICKET_ANSWERED, NULL);
        relay->is_held =
            FALSE; /* the line is over, and its host does not ask on while it is full */
    }
    relay->is_passing = FALSE;
    line_forget(relay);
}

/* More of a line than is held: it is passed, or dropped where nobody waits for it. */
static void flush_line(QgaRelay *relay)
{
    QgaTicket *current = current_of(relay);

    if (relay->link == LINK_UP && current != NULL)
        pass(relay, current, relay->line->data, relay->line->len);
    line_forget(relay);
    relay->is_passing = TRUE;
}

gboolean qga_relay_wants_input(const QgaRelay *relay)
{
    return !relay->is_held;
}

gsize qga_relay_feed(QgaRelay *relay, const guint8 *bytes, gsize n_bytes)
{
    gsize done = 0;

    while (done < n_bytes && !relay->is_held) {
        const guint8 *end = memchr(bytes + done, '\n', n_bytes - done);
        gsize n = end != NULL ? (gsize)(end - (bytes + done)) + 1 : n_bytes - done;

        g_byte_array_append(relay->line, bytes + done, (guint)n);
        done += n;
        if (end != NULL)
            end_line(relay);
        else if (relay->is_passing || relay->line->len > QGA_RELAY_HOLD_BYTES)
            flush_line(relay);
    }
    send_next(relay);
    return done;
}
