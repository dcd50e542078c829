/*
 * Calls: two references, one of the asking side and one of the handler, in whichever order they go.
 */
#include "qga-protocol/call.h"

struct QgaCall {
    guint n_refs;
    const QgaCallSink *sink; /* NULL: orphaned */
    gpointer owner;
    QgaSession *session;
    gboolean begun;
    gboolean answered;
    QgaWriter nowhere; /* what an orphaned handler writes to */
};

QgaCall *qga_call_new(const QgaCallSink *sink, gpointer owner, QgaSession *session)
{
    QgaCall *call = g_new0(QgaCall, 1);

    call->n_refs = 2;
    call->sink = sink;
    call->owner = owner;
    call->session = session;
    return call;
}

void qga_call_unref(QgaCall *call)
{
    if (call != NULL && --call->n_refs == 0)
        g_free(call);
}

void qga_call_orphan(QgaCall *call)
{
    call->sink = NULL;
    call->owner = NULL;
    call->session = NULL;
}

gboolean qga_call_is_orphaned(const QgaCall *call)
{
    return call->sink == NULL;
}

QgaSession *qga_call_session(QgaCall *call)
{
    return call->session;
}

QgaWriter *qga_call_begin_return(QgaCall *call)
{
    g_assert(!call->begun && !call->answered);
    call->begun = TRUE;
    if (call->sink != NULL)
        return call->sink->begin(call, call->owner);
    qga_writer_init(&call->nowhere, NULL);
    return &call->nowhere;
}

void qga_call_end_return(QgaCall *call)
{
    g_assert(call->begun && !call->answered);
    call->answered = TRUE;
    if (call->sink != NULL)
        call->sink->end(call, call->owner);
    qga_call_unref(call);
}

void qga_call_return_empty(QgaCall *call)
{
    QgaWriter *writer = qga_call_begin_return(call);

    qga_writer_begin_object(writer);
    qga_writer_end_object(writer);
    qga_call_end_return(call);
}

static void fail_with(QgaCall *call, QgaErrorClass error_class, const char *desc)
{
    g_assert(!call->answered);
    call->answered = TRUE;
    if (call->sink != NULL)
        call->sink->fail(call, call->owner, error_class, desc, call->begun);
    qga_call_unref(call);
}

void qga_call_fail(QgaCall *call, QgaErrorClass error_class, const char *format, ...)
{
    va_list arguments;
    char *desc;

    va_start(arguments, format);
    desc = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    fail_with(call, error_class, desc);
    g_free(desc);
}

void qga_call_fail_error(QgaCall *call, const GError *error)
{
    fail_with(call, error->domain == QGA_ERROR ? (QgaErrorClass)error->code : QGA_CLASS_GENERIC,
              error->message);
}
