/*
 * A session. Lines are written whole: a reply or an event is begun and ended in one turn of the
 * loop, so that the queue always ends with a newline, and only its first line may have been sent in
 * part.
 */
#include "qga-protocol/session.h"

#include <string.h>

#include "qga-protocol/framer.h"
#include "qga-protocol/request.h"

#define SYNC_DELIMITED "guest-sync-delimited"
#define SENTINEL_BYTE "\xFF" /* QGA_SENTINEL_BYTE, qga/main.c in QEMU */

/* A frame that waits for its turn. */
typedef struct {
    QgaFrame frame; /* of copies, owned */
    gboolean is_own;
    gboolean is_sync;
} Saved;

struct QgaSession {
    QgaDispatch *dispatch;
    QgaSessionWakeup wakeup;
    gpointer user_data;
    gboolean single_host;

    QgaFramer *framer;
    gboolean feeding;
    QgaSessionPauseFunc should_pause;
    gpointer pause_data;
    guint64 n_syncs;
    gboolean in_burst; /* a part of the bytes that were fed last is still to be taken */
    gsize n_stale;     /* unsent bytes that were queued before the burst now being fed */

    /* A request that is with the relay, or would be. Of one that comes in parts is_giving is set
     * until its last. */
    QgaTicket *ticket;
    gboolean is_giving;
    GError *failure;     /* what is_giving's request will be answered with */
    gboolean reply_open; /* a piece of its reply is in the queue, the end of the line not yet */
    GQueue backlog;      /* of Saved: what came behind it */
    gsize backlog_bytes;
    guint n_own_waiting;  /* commands of our own in the backlog */
    guint n_sync_waiting; /* of them: guest-sync-delimited */
    gboolean is_dropping; /* requests to the relay get no answer until guest-sync-delimited */

    /* The call that is being carried out, or NULL. */
    QgaCall *call;
    char *id; /* JSON text, owned; NULL: none */
    gsize id_n_bytes;
    gboolean delimited;
    gsize reply_start; /* size of the queue before the reply was begun */

    QgaOutQueue *queue;
    QgaWriter writer;
    gboolean writing;  /* between begin and end of a reply or an event */
    gboolean mid_line; /* the last byte that was sent ended no line */

    gboolean events_enabled;
    gpointer events_data; /* see qga_session_keep_for_events() */
    GDestroyNotify events_destroy;
    gint64 event_usec;
    guint64 events_dropped;
};

QgaSession *qga_session_new(QgaDispatch *dispatch, QgaSessionWakeup wakeup, gpointer user_data)
{
    QgaSession *session = g_new0(QgaSession, 1);

    session->dispatch = dispatch;
    session->wakeup = wakeup;
    session->user_data = user_data;
    session->framer = qga_framer_new();
    qga_framer_set_passing(session->framer, qga_dispatch_relay(dispatch) != NULL);
    g_queue_init(&session->backlog);
    session->queue = qga_out_queue_new();
    return session;
}

static void forget_call(QgaSession *session)
{
    g_clear_pointer(&session->call, qga_call_unref);
    g_clear_pointer(&session->id, g_free);
}

static void saved_free(gpointer data)
{
    Saved *saved = data;

    g_free((char *)saved->frame.text);
    g_free((char *)saved->frame.execute);
    g_free((char *)saved->frame.id);
    g_free(saved);
}

static void forget_relayed(QgaSession *session)
{
    if (session->ticket != NULL)
        qga_relay_abandon(g_steal_pointer(&session->ticket));
    g_clear_error(&session->failure);
    g_queue_clear_full(&session->backlog, saved_free);
    session->backlog_bytes = 0;
    session->n_own_waiting = session->n_sync_waiting = 0;
    session->is_giving = session->is_dropping = session->reply_open = FALSE;
}

void qga_session_reset(QgaSession *session)
{
    g_assert(!session->feeding && !session->writing);
    forget_relayed(session);
    if (session->call != NULL)
        qga_call_orphan(session->call);
    forget_call(session);
    qga_framer_reset(session->framer);
    qga_out_queue_clear(session->queue);
    session->in_burst = FALSE;
    session->n_stale = 0;
    session->mid_line = FALSE;
    qga_session_set_events(session, FALSE);
}

gboolean qga_session_is_idle(const QgaSession *session)
{
    return session->call == NULL && session->backlog.length == 0 &&
           (session->ticket == NULL || session->is_giving);
}

gboolean qga_session_is_fresh(const QgaSession *session)
{
    return qga_session_is_idle(session) && !session->is_giving &&
           qga_out_queue_size(session->queue) == 0 && !qga_framer_is_open(session->framer) &&
           !session->events_enabled;
}

guint64 qga_session_syncs(const QgaSession *session)
{
    return session->n_syncs;
}

void qga_session_note_sync(QgaSession *session)
{
    session->n_syncs++;
}

void qga_session_free(QgaSession *session)
{
    if (session == NULL)
        return;
    qga_session_reset(session);
    if (qga_dispatch_relay(session->dispatch) != NULL)
        qga_relay_forget(qga_dispatch_relay(session->dispatch), session);
    qga_framer_free(session->framer);
    qga_out_queue_free(session->queue);
    g_free(session);
}

gpointer qga_session_user_data(QgaSession *session)
{
    return session->user_data;
}

void qga_session_set_single_host(QgaSession *session, gboolean single_host)
{
    session->single_host = single_host;
}

/* ---- output ---- */

gsize qga_session_pending_output(const QgaSession *session)
{
    return qga_out_queue_size(session->queue);
}

gsize qga_session_peek(const QgaSession *session, const guint8 **out_bytes)
{
    return qga_out_queue_peek(session->queue, out_bytes);
}

void qga_session_consume(QgaSession *session, gsize n_bytes)
{
    const guint8 *bytes;

    if (n_bytes == 0)
        return;
    g_assert(n_bytes <= qga_out_queue_peek(session->queue, &bytes));
    session->mid_line = bytes[n_bytes - 1] != '\n';
    qga_out_queue_consume(session->queue, n_bytes);
    session->n_stale -= MIN(session->n_stale, n_bytes);
    if (session->ticket != NULL &&
        qga_out_queue_size(session->queue) <= QGA_SESSION_OUTPUT_LIMIT_BYTES)
        qga_relay_resume(session->ticket);
}

static void wake_owner(QgaSession *session)
{
    if (!session->feeding && session->wakeup != NULL)
        session->wakeup(session, FALSE, session->user_data);
}

/* ---- replies ---- */

static QgaWriter *line_begin(QgaSession *session)
{
    g_assert(!session->writing);
    session->writing = TRUE;
    qga_writer_init(&session->writer, session->queue);
    qga_writer_begin_object(&session->writer);
    return &session->writer;
}

static void line_end(QgaSession *session)
{
    qga_writer_end_object(&session->writer);
    g_assert(qga_writer_depth(&session->writer) == 0);
    qga_out_queue_append(session->queue, "\n", 1);
    session->writing = FALSE;
}

/* The error object; the layout of qmp_error_response() in QEMU's qapi/qmp-dispatch.c. The text may
 * quote what the peer sent, so it is cut where it is too long. */
static void write_error(QgaWriter *writer, QgaErrorClass error_class, const char *desc)
{
    qga_writer_member_object(writer, "error");
    qga_writer_member_string(writer, "class", qga_error_class_name(error_class));
    qga_writer_key(writer, "desc");
    qga_writer_string_bytes(writer, desc, qga_error_clip(desc, QGA_ERROR_DESC_MAX_BYTES));
    qga_writer_end_object(writer);
}

static void write_id(QgaSession *session)
{
    if (session->id == NULL)
        return;
    qga_writer_key(&session->writer, "id");
    qga_writer_json_text(&session->writer, session->id, session->id_n_bytes);
}

static void reply_end(QgaSession *session)
{
    line_end(session);
    forget_call(session);
    wake_owner(session);
}

static QgaWriter *reply_begin_return(QgaCall *call, gpointer owner)
{
    QgaSession *session = owner;
    QgaWriter *writer;

    (void)call;
    session->reply_start = qga_out_queue_size(session->queue);
    if (session->delimited)
        qga_out_queue_append(session->queue, SENTINEL_BYTE, 1);
    writer = line_begin(session);
    qga_writer_key(writer, "return");
    return writer;
}

static void reply_end_return(QgaCall *call, gpointer owner)
{
    QgaSession *session = owner;

    (void)call;
    g_assert(session->writing && qga_writer_depth(&session->writer) == 1);
    write_id(session); /* behind "return", but before "error": where qemu-ga's hash table has it */
    reply_end(session);
}

static void reply_fail(QgaCall *call, gpointer owner, QgaErrorClass error_class, const char *desc,
                       gboolean begun)
{
    QgaSession *session = owner;

    (void)call;
    if (begun) {
        gsize size = qga_out_queue_size(session->queue);

        /* Nothing was consumed meanwhile: between begin and end the loop does not turn. */
        g_assert(size >= session->reply_start);
        qga_out_queue_truncate(session->queue, size - session->reply_start);
        session->writing = FALSE;
    }
    line_begin(session);
    write_id(session);
    write_error(&session->writer, error_class, desc);
    reply_end(session);
}

static const QgaCallSink reply_sink = {reply_begin_return, reply_end_return, reply_fail};

void qga_session_delimit(QgaSession *session)
{
    gsize n_stale = session->n_stale;

    g_assert(session->call != NULL && !session->writing);
    /* Every line in the queue is whole but perhaps the first, so the last stale byte is a newline.
     */
    if (n_stale > 0 && !session->single_host)
        qga_out_queue_consume(session->queue, session->mid_line ? n_stale - 1 : n_stale);
    session->n_stale = 0;
    session->delimited = TRUE;
    qga_session_set_events(session, FALSE);
}

/* ---- input ---- */

static void answer_bad_frame(QgaSession *session, const QgaFrame *frame)
{
    write_error(line_begin(session), QGA_CLASS_GENERIC, frame->text);
    line_end(session);
}

static void take_id(QgaSession *session, const char *id, gsize n_bytes)
{
    if (id == NULL)
        return;
    g_free(session->id);
    session->id = g_strndup(id, n_bytes);
    session->id_n_bytes = n_bytes;
}

static void take_message(QgaSession *session, const QgaFrame *frame)
{
    QgaRequest request;
    GError *error = NULL;
    QgaCall *call;
    gboolean parsed = qga_request_parse(&request, frame->text, frame->n_bytes, &error);

    take_id(session, request.id, request.id_n_bytes);
    session->delimited = FALSE;
    call = session->call = qga_call_new(&reply_sink, session, session);
    if (parsed)
        qga_dispatch_run(session->dispatch, call, request.execute, request.arguments);
    else
        qga_call_fail_error(call, error);
    g_clear_error(&error);
    qga_request_clear(&request);
}

/* ---- what goes to the relay ---- */

static void answer_failure(QgaSession *session, QgaErrorClass error_class, const char *desc)
{
    line_begin(session);
    write_id(session);
    write_error(&session->writer, error_class, desc);
    reply_end(session);
}

static gboolean on_relay_reply(const guint8 *bytes, gsize n_bytes, gpointer user_data)
{
    QgaSession *session = user_data;

    qga_out_queue_append(session->queue, bytes, n_bytes);
    session->reply_open = bytes[n_bytes - 1] != '\n';
    return qga_out_queue_size(session->queue) <= QGA_SESSION_OUTPUT_LIMIT_BYTES;
}

static void on_relay_wake(gboolean is_now, gpointer user_data)
{
    QgaSession *session = user_data;

    if (session->wakeup != NULL)
        session->wakeup(session, is_now, session->user_data);
}

static void on_relay_end(QgaTicketEnd end, const char *desc, gpointer user_data)
{
    QgaSession *session = user_data;

    session->ticket = NULL;
    if (session->reply_open)
        qga_out_queue_append(session->queue, "\n", 1); /* a reader of lines sees one bad line */
    session->reply_open = FALSE;
    if (end == QGA_TICKET_FAILED && session->n_sync_waiting > 0)
        session->is_dropping = TRUE; /* whoever sent that wants no answers from before */
    else if (end == QGA_TICKET_FAILED && session->is_giving)
        g_set_error_literal(&session->failure, QGA_ERROR, QGA_CLASS_GENERIC, desc);
    else if (end == QGA_TICKET_FAILED)
        answer_failure(session, QGA_CLASS_GENERIC, desc);
    if (!session->is_giving)
        forget_call(session);
}

static const QgaTicketSink relay_sink = {on_relay_reply, on_relay_end, on_relay_wake};

/* Whoever waits behind the request makes it wait for a shorter time. */
static void hurry(QgaSession *session)
{
    if (session->ticket != NULL && session->n_sync_waiting > 0)
        qga_relay_hurry(session->ticket, QGA_SYNCING);
    else if (session->ticket != NULL && session->n_own_waiting > 0)
        qga_relay_hurry(session->ticket, QGA_IMPATIENT);
}

/* FRAME is the last piece of a request whose name was perhaps not in the first one. A request that
 * may not be passed on is left without its end, so that qemu-ga does not carry it out. */
static void check_late_name(QgaSession *session, const QgaFrame *frame)
{
    if (frame->execute != NULL && qga_dispatch_may_relay(session->dispatch, frame->execute))
        return;
    qga_relay_abandon(g_steal_pointer(&session->ticket));
    if (frame->execute != NULL)
        g_set_error(&session->failure, QGA_ERROR, QGA_CLASS_COMMAND_NOT_FOUND,
                    "Command %s has been disabled: the command is not allowed", frame->execute);
    else
        g_set_error(&session->failure, QGA_ERROR, QGA_CLASS_COMMAND_NOT_FOUND,
                    "the name of the command was not found in a request of more than 1 MiB: put "
                    "'execute' first");
}

/* FRAME is a request for the relay, or a piece of one. */
static void take_piece(QgaSession *session, const QgaFrame *frame)
{
    gboolean is_last = frame->kind == QGA_FRAME_MESSAGE;

    if (!session->is_giving && !session->is_dropping) {
        if (frame->execute != NULL && !qga_dispatch_may_relay(session->dispatch, frame->execute))
            g_set_error(&session->failure, QGA_ERROR, QGA_CLASS_COMMAND_NOT_FOUND,
                        "Command %s has been disabled: the command is not allowed", frame->execute);
        else
            session->ticket = qga_relay_begin(qga_dispatch_relay(session->dispatch), frame->execute,
                                              &relay_sink, session);
    }
    if (session->is_giving && is_last && session->ticket != NULL)
        check_late_name(session, frame);
    take_id(session, frame->id, frame->id_n_bytes);
    session->is_giving = !is_last;
    if (session->ticket != NULL) {
        qga_relay_add(session->ticket, frame->text, frame->n_bytes);
        if (is_last)
            qga_relay_finish(session->ticket);
        hurry(session);
    } else if (is_last && session->failure != NULL) {
        answer_failure(session, (QgaErrorClass)session->failure->code, session->failure->message);
        g_clear_error(&session->failure);
    } else if (is_last) {
        forget_call(session); /* it is dropped */
    }
}

/* Of a request that comes in parts the rest is no good. */
static void break_off(QgaSession *session)
{
    if (session->ticket != NULL)
        qga_relay_abandon(g_steal_pointer(&session->ticket));
    g_clear_error(&session->failure);
    session->is_giving = FALSE;
    forget_call(session);
}

/* Whether FRAME belongs to a command of our own, or to none. */
static gboolean is_own(const QgaSession *session, const QgaFrame *frame)
{
    if (qga_dispatch_relay(session->dispatch) == NULL)
        return TRUE;
    if (frame->execute == NULL)
        return frame->over == NULL;
    return qga_dispatch_has(session->dispatch, frame->execute);
}

static void take_frame(QgaSession *session, const QgaFrame *frame)
{
    if (frame->kind == QGA_FRAME_ERROR) {
        if (session->is_giving)
            break_off(session);
        answer_bad_frame(session, frame);
        return;
    }
    if (!is_own(session, frame)) {
        take_piece(session, frame);
        return;
    }
    if (frame->execute != NULL && strcmp(frame->execute, SYNC_DELIMITED) == 0)
        session->is_dropping = FALSE;
    take_message(session, frame);
}

/* ---- what waits ---- */

/* Whether the next frame may be carried out now. */
static gboolean may_go_on(const QgaSession *session)
{
    return session->call == NULL &&
           qga_out_queue_size(session->queue) <= QGA_SESSION_OUTPUT_LIMIT_BYTES &&
           (session->ticket == NULL || (session->is_giving && qga_relay_wants(session->ticket)));
}

static void save_frame(QgaSession *session, const QgaFrame *frame)
{
    Saved *saved = g_new0(Saved, 1);

    saved->frame = *frame;
    saved->frame.text = g_strndup(frame->text, frame->n_bytes);
    saved->frame.execute = g_strdup(frame->execute);
    saved->frame.id = frame->id != NULL ? g_strndup(frame->id, frame->id_n_bytes) : NULL;
    saved->is_own = is_own(session, frame);
    saved->is_sync = frame->execute != NULL && strcmp(frame->execute, SYNC_DELIMITED) == 0;
    session->backlog_bytes += frame->n_bytes + sizeof *saved;
    session->n_own_waiting += saved->is_own;
    session->n_sync_waiting += saved->is_sync;
    g_queue_push_tail(&session->backlog, saved);
    hurry(session);
}

static void take_saved(QgaSession *session)
{
    Saved *saved = g_queue_pop_head(&session->backlog);

    session->backlog_bytes -= saved->frame.n_bytes + sizeof *saved;
    session->n_own_waiting -= saved->is_own;
    session->n_sync_waiting -= saved->is_sync;
    take_frame(session, &saved->frame);
    saved_free(saved);
}

/* A message that is over the limits may be passed on, but is none for a command of our own. */
static void refuse_large(QgaSession *session, QgaFrame *frame, char **told)
{
    if (frame->over == NULL || !is_own(session, frame))
        return;
    if (frame->kind == QGA_FRAME_PART) {
        qga_framer_refuse(session->framer, frame);
        return;
    }
    *told = g_strdup_printf("JSON %s limit exceeded", frame->over);
    *frame = (QgaFrame){.kind = QGA_FRAME_ERROR, .text = *told, .n_bytes = strlen(*told)};
}

gboolean qga_session_wants_input(const QgaSession *session)
{
    if (session->backlog.length == 0 && may_go_on(session))
        return TRUE;
    /* Behind a request that is with the relay guest-sync-delimited is looked for. */
    return session->call == NULL && session->ticket != NULL && !session->is_giving &&
           session->backlog_bytes <= QGA_SESSION_BACKLOG_LIMIT_BYTES;
}

void qga_session_set_pause(QgaSession *session, QgaSessionPauseFunc func, gpointer user_data)
{
    session->should_pause = func;
    session->pause_data = user_data;
}

static gboolean is_paused(const QgaSession *session)
{
    return session->should_pause != NULL && session->should_pause(session->pause_data);
}

/* Requests that were passed on go at once, where else the loop would have to turn. */
static void end_feeding(QgaSession *session)
{
    QgaRelay *relay = qga_dispatch_relay(session->dispatch);

    session->feeding = FALSE;
    if (relay != NULL)
        qga_relay_flush(relay);
}

gboolean qga_session_run(QgaSession *session)
{
    gboolean has_run = FALSE;

    g_assert(!session->feeding);
    session->feeding = TRUE;
    while (session->backlog.length > 0 && may_go_on(session)) {
        take_saved(session);
        has_run = TRUE;
        if (is_paused(session))
            break;
    }
    end_feeding(session);
    return has_run;
}

static void feed_frame(QgaSession *session, QgaFrame *frame)
{
    g_autofree char *told = NULL;

    refuse_large(session, frame, &told);
    if (session->backlog.length > 0 || !may_go_on(session))
        save_frame(session, frame);
    else
        take_frame(session, frame);
}

gsize qga_session_feed(QgaSession *session, const guint8 *bytes, gsize n_bytes)
{
    gboolean stops = FALSE;
    gsize done = 0;

    g_assert(!session->feeding);
    session->feeding = TRUE;
    if (!session->in_burst)
        session->n_stale = session->reply_open ? 0 : qga_out_queue_size(session->queue);
    while (done < n_bytes && !stops && qga_session_wants_input(session)) {
        QgaFrame frame;

        done += qga_framer_feed(session->framer, bytes + done, n_bytes - done, &frame);
        if (frame.kind != QGA_FRAME_NONE)
            feed_frame(session, &frame);
        stops = done < n_bytes && is_paused(session);
    }
    session->in_burst = done < n_bytes;
    end_feeding(session);
    return done;
}

/* ---- events ---- */

void qga_session_set_events(QgaSession *session, gboolean enabled)
{
    GDestroyNotify destroy = g_steal_pointer(&session->events_destroy);

    session->events_enabled = enabled;
    if (destroy != NULL)
        destroy(g_steal_pointer(&session->events_data));
}

void qga_session_keep_for_events(QgaSession *session, gpointer data, GDestroyNotify destroy)
{
    g_assert(session->events_enabled && session->events_destroy == NULL);
    session->events_data = data;
    session->events_destroy = destroy;
}

gboolean qga_session_events_enabled(const QgaSession *session)
{
    return session->events_enabled;
}

guint64 qga_session_events_dropped(const QgaSession *session)
{
    return session->events_dropped;
}

QgaWriter *qga_session_begin_event(QgaSession *session, const char *name, gint64 timestamp_usec)
{
    QgaWriter *writer;

    if (!session->events_enabled)
        return NULL;
    if (session->writing || session->reply_open ||
        qga_out_queue_size(session->queue) > QGA_SESSION_OUTPUT_LIMIT_BYTES) {
        session->events_dropped++;
        return NULL;
    }
    session->event_usec = timestamp_usec;
    writer = line_begin(session);
    qga_writer_member_string(writer, "event", name);
    qga_writer_key(writer, "data");
    return writer;
}

void qga_session_end_event(QgaSession *session)
{
    QgaWriter *writer = &session->writer;

    g_assert(session->writing && qga_writer_depth(writer) == 1);
    qga_writer_member_object(writer, "timestamp");
    qga_writer_member_int(writer, "seconds", session->event_usec / G_USEC_PER_SEC);
    qga_writer_member_int(writer, "microseconds", session->event_usec % G_USEC_PER_SEC);
    qga_writer_end_object(writer);
    line_end(session);
    wake_owner(session);
}
