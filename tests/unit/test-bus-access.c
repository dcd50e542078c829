/*
 * The bus: who may, by uid and by polkit; a bus that comes, goes and comes back.
 */
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "os/bus-access.h"
#include "os/bus.h"
#include "private-bus.h"

#define NAME "org.memplug.Test"
#define PATH "/org/memplug/Test"
#define ACTION "org.memplug.manage"

/* --- a service with one method, Do() --- */

typedef struct {
    Bus *bus;
    BusAccess *access;
    guint n_allowed;
    guint32 last_uid;
    gboolean is_open; /* the name is ours */
    guint n_closed;
} Service;

static void on_allowed(sd_bus_message *request, const BusSender *sender, gpointer user_data)
{
    Service *service = user_data;

    service->n_allowed++;
    service->last_uid = sender->uid;
    sd_bus_reply_method_return(request, NULL);
}

static int on_do(sd_bus_message *request, void *user_data, G_GNUC_UNUSED sd_bus_error *error)
{
    Service *service = user_data;

    return bus_access_check(service->access, request, ACTION);
}

static const sd_bus_vtable service_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Do", "", "", on_do, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

static int on_any(sd_bus_message *message, void *user_data, G_GNUC_UNUSED sd_bus_error *error)
{
    Service *service = user_data;

    if (sd_bus_message_is_signal(message, "org.freedesktop.DBus", "NameAcquired") > 0 &&
        sd_bus_message_has_signature(message, "s") > 0) {
        const char *name = NULL;
        sd_bus_message_read(message, "s", &name);
        sd_bus_message_rewind(message, 1);
        service->is_open = service->is_open || g_str_equal(name, NAME);
    }
    return 0;
}

static int on_open(sd_bus *connection, gpointer user_data)
{
    int r = sd_bus_add_object_vtable(connection, NULL, PATH, NAME, service_vtable, user_data);

    return r < 0 ? r : sd_bus_add_filter(connection, NULL, on_any, user_data);
}

static void on_close(G_GNUC_UNUSED sd_bus *connection, gpointer user_data)
{
    Service *service = user_data;

    service->is_open = FALSE;
    service->n_closed++;
    bus_access_forget(service->access);
}

static const BusFuncs service_funcs = {on_open, on_close};

static void service_start(Service *service)
{
    *service = (Service){.n_allowed = 0};
    service->access = bus_access_new(on_allowed, service);
    service->bus = bus_new(NAME, &service_funcs, service);
    private_bus_wait(&service->is_open);
}

static void service_stop(Service *service)
{
    bus_free(service->bus);
    bus_access_free(service->access);
}

/* --- a polkit that answers as told, when told --- */

typedef struct {
    sd_bus *connection;
    gboolean is_there;
    gboolean answer, challenge;
    gboolean holds; /* keep the questions in `asked` instead of answering */
    GPtrArray *asked;
    char *last_action;
} Polkit;

static int answer(sd_bus_message *question, const Polkit *polkit)
{
    return sd_bus_reply_method_return(question, "(bba{ss})", polkit->answer, polkit->challenge, 0);
}

static int on_check(sd_bus_message *question, void *user_data, G_GNUC_UNUSED sd_bus_error *error)
{
    Polkit *polkit = user_data;
    const char *action = NULL;

    g_assert_cmpint(sd_bus_message_skip(question, "(sa{sv})"), >=, 0);
    g_assert_cmpint(sd_bus_message_read(question, "s", &action), >, 0);
    g_free(polkit->last_action);
    polkit->last_action = g_strdup(action);
    if (!polkit->holds)
        return answer(question, polkit);
    g_ptr_array_add(polkit->asked, sd_bus_message_ref(question));
    return 1;
}

static const sd_bus_vtable polkit_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", on_check,
                  SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

static int on_polkit_name(G_GNUC_UNUSED sd_bus_message *reply, void *user_data,
                          G_GNUC_UNUSED sd_bus_error *error)
{
    Polkit *polkit = user_data;

    polkit->is_there = TRUE;
    return 1;
}

static void polkit_start(Polkit *polkit, PrivateBus *bus)
{
    *polkit = (Polkit){.asked = g_ptr_array_new()};
    polkit->connection = private_bus_connect(bus, FALSE);
    g_assert_cmpint(
        sd_bus_add_object_vtable(polkit->connection, NULL, "/org/freedesktop/PolicyKit1/Authority",
                                 "org.freedesktop.PolicyKit1.Authority", polkit_vtable, polkit),
        >=, 0);
    g_assert_cmpint(sd_bus_request_name_async(polkit->connection, NULL,
                                              "org.freedesktop.PolicyKit1", 0, on_polkit_name,
                                              polkit),
                    >=, 0);
    private_bus_wait(&polkit->is_there);
}

static void polkit_stop(Polkit *polkit, PrivateBus *bus)
{
    for (guint i = 0; i < polkit->asked->len; i++)
        sd_bus_message_unref(polkit->asked->pdata[i]);
    g_ptr_array_unref(polkit->asked);
    g_free(polkit->last_action);
    private_bus_disconnect(bus, polkit->connection);
}

/* --- a client --- */

typedef struct {
    gboolean is_done;
    char *error; /* the error's name, NULL: allowed */
} Request;

static int on_reply(sd_bus_message *reply, void *user_data, G_GNUC_UNUSED sd_bus_error *error)
{
    Request *request = user_data;

    request->is_done = TRUE;
    if (sd_bus_message_is_method_error(reply, NULL))
        request->error = g_strdup(sd_bus_message_get_error(reply)->name);
    return 1;
}

static void request_send(Request *request, sd_bus *client)
{
    *request = (Request){.is_done = FALSE};
    g_assert_cmpint(
        sd_bus_call_method_async(client, NULL, NAME, PATH, NAME, "Do", on_reply, request, NULL), >=,
        0);
}

static void request_expect(Request *request, const char *error)
{
    private_bus_wait(&request->is_done);
    g_assert_cmpstr(request->error, ==, error);
    g_clear_pointer(&request->error, g_free);
}

/* --- tests --- */

static void test_without_polkit(void)
{
    g_autoptr(PrivateBus) bus = private_bus_new();
    sd_bus *me = private_bus_connect(bus, FALSE), *other = private_bus_connect(bus, TRUE);
    Service service;
    Request request;

    service_start(&service);
    request_send(&request, me);
    request_expect(&request, geteuid() == 0 ? NULL : SD_BUS_ERROR_ACCESS_DENIED);
    g_assert_cmpuint(service.n_allowed, ==, geteuid() == 0 ? 1 : 0);
    request_send(&request, other);
    request_expect(&request, SD_BUS_ERROR_ACCESS_DENIED);
    g_assert_cmpuint(service.n_allowed, ==, geteuid() == 0 ? 1 : 0);
    service_stop(&service);
    private_bus_disconnect(bus, me);
    private_bus_disconnect(bus, other);
}

static GLogWriterOutput count_refusals(G_GNUC_UNUSED GLogLevelFlags level, const GLogField *fields,
                                       gsize n_fields, gpointer user_data)
{
    for (gsize i = 0; i < n_fields; i++) {
        if (g_str_equal(fields[i].key, "MESSAGE") && strstr(fields[i].value, "refus"))
            ++*(guint *)user_data;
    }
    return G_LOG_WRITER_HANDLED;
}

/* Whoever is refused again and again does not fill the log. */
static void test_refusals_in_the_log(void)
{
    /* A program has one log writer for good, so this one is another program. */
    if (g_test_subprocess()) {
        g_autoptr(PrivateBus) bus = private_bus_new();
        sd_bus *other = private_bus_connect(bus, TRUE);
        guint n_logged = 0;
        Service service;
        Request request;

        g_log_set_writer_func(count_refusals, &n_logged, NULL);
        service_start(&service);
        for (guint i = 0; i < 100; i++) {
            request_send(&request, other);
            request_expect(&request, SD_BUS_ERROR_ACCESS_DENIED);
        }
        g_assert_cmpuint(n_logged, ==, 10 + 1);
        service_stop(&service);
        private_bus_disconnect(bus, other);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
}

static void test_polkit_decides(void)
{
    g_autoptr(PrivateBus) bus = private_bus_new();
    sd_bus *other = private_bus_connect(bus, TRUE);
    Service service;
    Polkit polkit;
    Request request;

    polkit_start(&polkit, bus);
    service_start(&service);
    polkit.answer = TRUE;
    request_send(&request, other);
    request_expect(&request, NULL);
    g_assert_cmpstr(polkit.last_action, ==, ACTION);
    g_assert_cmpuint(service.last_uid, !=, 0);
    polkit.answer = FALSE;
    request_send(&request, other);
    request_expect(&request, SD_BUS_ERROR_ACCESS_DENIED);
    polkit.challenge = TRUE;
    request_send(&request, other);
    request_expect(&request, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED);
    g_assert_cmpuint(service.n_allowed, ==, 1);
    service_stop(&service);
    polkit_stop(&polkit, bus);
    private_bus_disconnect(bus, other);
}

static void test_polkit_limit(void)
{
    g_autoptr(PrivateBus) bus = private_bus_new();
    sd_bus *other = private_bus_connect(bus, TRUE);
    Request requests[BUS_ACCESS_POLKIT_MAX + 1], later;
    Service service;
    Polkit polkit;

    polkit_start(&polkit, bus);
    service_start(&service);
    polkit.holds = TRUE;
    polkit.answer = TRUE;
    for (guint i = 0; i < G_N_ELEMENTS(requests); i++)
        request_send(&requests[i], other);
    request_expect(&requests[BUS_ACCESS_POLKIT_MAX], SD_BUS_ERROR_LIMITS_EXCEEDED);
    g_assert_cmpuint(service.n_allowed, ==, 0);
    while (polkit.asked->len < BUS_ACCESS_POLKIT_MAX)
        g_main_context_iteration(NULL, TRUE);
    for (guint i = 0; i < BUS_ACCESS_POLKIT_MAX; i++)
        answer(polkit.asked->pdata[i], &polkit);
    for (guint i = 0; i < BUS_ACCESS_POLKIT_MAX; i++)
        request_expect(&requests[i], NULL);
    polkit.holds = FALSE; /* and there is room again */
    request_send(&later, other);
    request_expect(&later, NULL);
    service_stop(&service);
    polkit_stop(&polkit, bus);
    private_bus_disconnect(bus, other);
}

static void test_polkit_dies(void)
{
    g_autoptr(PrivateBus) bus = private_bus_new();
    sd_bus *other = private_bus_connect(bus, TRUE);
    Request requests[BUS_ACCESS_POLKIT_MAX], later;
    Service service;
    Polkit polkit;

    polkit_start(&polkit, bus);
    service_start(&service);
    polkit.holds = TRUE;
    for (guint i = 0; i < BUS_ACCESS_POLKIT_MAX; i++)
        request_send(&requests[i], other);
    while (polkit.asked->len < BUS_ACCESS_POLKIT_MAX)
        g_main_context_iteration(NULL, TRUE);
    polkit_stop(&polkit, bus);
    for (guint i = 0; i < BUS_ACCESS_POLKIT_MAX; i++)
        request_expect(&requests[i], SD_BUS_ERROR_ACCESS_DENIED);
    request_send(&later, other); /* refused for want of polkit, not of room */
    request_expect(&later, SD_BUS_ERROR_ACCESS_DENIED);
    g_assert_cmpuint(service.n_allowed, ==, 0);
    service_stop(&service);
    private_bus_disconnect(bus, other);
}

static void test_caller_leaves(void)
{
    g_autoptr(PrivateBus) bus = private_bus_new();
    sd_bus *other = private_bus_connect(bus, TRUE), *next;
    Service service;
    Polkit polkit;
    Request request;

    polkit_start(&polkit, bus);
    service_start(&service);
    polkit.holds = TRUE;
    request_send(&request, other);
    while (polkit.asked->len < 1)
        g_main_context_iteration(NULL, TRUE);
    private_bus_disconnect(bus, other);
    answer(polkit.asked->pdata[0], &polkit);
    g_clear_pointer(&request.error, g_free);
    polkit.holds = FALSE;
    polkit.answer = TRUE;
    next = private_bus_connect(bus, TRUE);
    request_send(&request, next);
    request_expect(&request, NULL);
    g_assert_cmpuint(service.n_allowed, ==, 1);
    service_stop(&service);
    polkit_stop(&polkit, bus);
    private_bus_disconnect(bus, next);
}

static void test_pending_when_freed(void)
{
    g_autoptr(PrivateBus) bus = private_bus_new();
    sd_bus *other = private_bus_connect(bus, TRUE);
    Service service;
    Polkit polkit;
    Request request;

    polkit_start(&polkit, bus);
    service_start(&service);
    polkit.holds = TRUE;
    request_send(&request, other);
    while (polkit.asked->len < 1)
        g_main_context_iteration(NULL, TRUE);
    service_stop(&service);
    request_expect(&request, SD_BUS_ERROR_NO_REPLY);
    polkit_stop(&polkit, bus);
    private_bus_disconnect(bus, other);
}

static void test_bus_comes_back(void)
{
    g_autoptr(PrivateBus) bus = private_bus_new();
    Service service;

    service_start(&service);
    private_bus_kill(bus);
    while (service.n_closed == 0)
        g_main_context_iteration(NULL, TRUE);
    g_assert_null(bus_connection(service.bus));
    private_bus_start(bus);
    private_bus_wait(&service.is_open);
    g_assert_nonnull(bus_connection(service.bus));
    service_stop(&service);
}

static void test_no_bus_at_first(void)
{
    g_autoptr(PrivateBus) bus = private_bus_new();
    Service service = {.n_allowed = 0};

    private_bus_kill(bus);
    service.access = bus_access_new(on_allowed, &service);
    service.bus = bus_new(NAME, &service_funcs, &service);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    g_assert_null(bus_connection(service.bus));
    private_bus_start(bus);
    private_bus_wait(&service.is_open);
    service_stop(&service);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bus/access/without-polkit", test_without_polkit);
    g_test_add_func("/bus/refusals-in-the-log", test_refusals_in_the_log);
    g_test_add_func("/bus/access/polkit-decides", test_polkit_decides);
    g_test_add_func("/bus/access/polkit-limit", test_polkit_limit);
    g_test_add_func("/bus/access/polkit-dies", test_polkit_dies);
    g_test_add_func("/bus/access/caller-leaves", test_caller_leaves);
    g_test_add_func("/bus/access/pending-when-freed", test_pending_when_freed);
    g_test_add_func("/bus/comes-back", test_bus_comes_back);
    g_test_add_func("/bus/none-at-first", test_no_bus_at_first);
    return g_test_run();
}
