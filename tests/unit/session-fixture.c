#include "session-fixture.h"

#include <string.h>

/* Kept until the test answers it. */
static void handle_late(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    SessionFixture *f = user_data;

    (void)arguments;
    g_ptr_array_add(f->late, call);
}

/* A reply of 10 bytes a number. */
static void handle_large(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    const SessionFixture *f = user_data;
    QgaWriter *writer = qga_call_begin_return(call);

    (void)arguments;
    qga_writer_begin_array(writer);
    for (guint i = 0; i < f->n_large; i++)
        qga_writer_uint(writer, 10000000 + i);
    qga_writer_end_array(writer);
    qga_call_end_return(call);
}

/* Fails when half a reply is written. */
static void handle_half(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    QgaWriter *writer = qga_call_begin_return(call);

    (void)arguments;
    (void)user_data;
    qga_writer_begin_array(writer);
    for (guint i = 0; i < 10000; i++)
        qga_writer_uint(writer, i);
    qga_call_fail(call, QGA_CLASS_GENERIC, "no more after %d", 9999);
}

static void handle_events(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    (void)user_data;
    qga_session_set_events(qga_call_session(call),
                           json_object_get_boolean_member(arguments, "enabled"));
    qga_call_return_empty(call);
}

static void on_wakeup(QgaSession *session, G_GNUC_UNUSED gboolean is_now, gpointer user_data)
{
    SessionFixture *f = user_data;

    g_assert_true(session == f->session && qga_session_user_data(session) == f);
    f->n_wakeups++;
}

void session_fixture_set_up(SessionFixture *f, gconstpointer data)
{
    (void)data;
    f->dispatch = qga_dispatch_new(&memplug_schema);
    f->basic = qga_basic_commands_register(f->dispatch, "1.2.3");
    f->late = g_ptr_array_new();
    f->n_wakeups = 0;
    f->n_large = 20000;
    qga_dispatch_register(f->dispatch, "memory-get-status", handle_late, f);
    qga_dispatch_register(f->dispatch, "guest-get-memory-blocks", handle_large, f);
    qga_dispatch_register(f->dispatch, "memory-get-map", handle_half, f);
    qga_dispatch_register(f->dispatch, "memory-set-events", handle_events, f);
    qga_dispatch_register(f->dispatch, "memory-set-policy", handle_late, f);
    f->session = qga_session_new(f->dispatch, on_wakeup, f);
}

void session_fixture_tear_down(SessionFixture *f, gconstpointer data)
{
    (void)data;
    qga_session_free(f->session);
    qga_dispatch_free(f->dispatch);
    qga_basic_commands_free(f->basic);
    g_ptr_array_unref(f->late);
}

char *session_take(SessionFixture *f, gsize n_bytes)
{
    GString *text = g_string_new(NULL);
    const guint8 *bytes;
    gsize n;

    while (n_bytes > 0 && (n = qga_session_peek(f->session, &bytes)) > 0) {
        n = MIN(n, n_bytes);
        g_string_append_len(text, (const char *)bytes, (gssize)n);
        qga_session_consume(f->session, n);
        n_bytes -= n;
    }
    return g_string_free(text, FALSE);
}

void session_assert_output(SessionFixture *f, const char *expected)
{
    char *text = session_take(f, G_MAXSIZE);

    g_assert_cmpstr(text, ==, expected);
    g_free(text);
}

void session_feed(SessionFixture *f, const char *text)
{
    g_assert_cmpuint(qga_session_feed(f->session, (const guint8 *)text, strlen(text)), ==,
                     strlen(text));
}
