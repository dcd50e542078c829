/*
 * The object on the bus. A method call goes: who asks, and may they (bus-access.c); its arguments
 * to JSON; the command, by the same dispatch table as the channel's; its answer to D-Bus.
 */
#include "front/bus-service.h"

#include <errno.h>
#include <string.h>

#include "front/agent-private.h"
#include "front/bus-command.h"
#include "front/bus-private.h"

#define COMMAND_PREFIX "memory-"
#define EVENT_PREFIX "MEMORY_"
#define PREPARE_SIGNAL "PrepareForUnplug"
/* Bytes of a request's arguments that go into the log. */
#define LOGGED_MAX 256

/* What is about a connection of the channel, and means nothing on a bus. */
static const char *const channel_only[] = {"guest-sync", "guest-sync-delimited", "guest-ping",
                                           "memory-set-events", NULL};

/* --- methods --- */

static gboolean is_question(const char *command)
{
    return strstr(command, "-get-") || strstr(command, "-query-") || strstr(command, "-check-") ||
           strstr(command, "-plan-");
}

static void log_request(const char *command, JsonNode *arguments, const BusSender *sender,
                        const char *name)
{
    g_autofree char *text = json_to_string(arguments, FALSE);

    g_log(G_LOG_DOMAIN, is_question(command) ? G_LOG_LEVEL_INFO : G_LOG_LEVEL_MESSAGE,
          "D-Bus: %s (uid %u, pid %u) asks %s %.*s%s", name, sender->uid, sender->pid, command,
          (int)qga_error_clip(text, LOGGED_MAX), text, strlen(text) > LOGGED_MAX ? "…" : "");
}

/* The arguments, to free. NULL: they are too many or make no sense, and REQUEST has its answer. */
static JsonNode *read_arguments(sd_bus_message *request)
{
    g_autoptr(GError) error = NULL;
    JsonNode *arguments =
        qga_bus_read_value(request, QGA_BUS_MAX_VALUES, QGA_BUS_MAX_BYTES, &error);

    if (!arguments)
        sd_bus_reply_method_errorf(request, SD_BUS_ERROR_INVALID_ARGS, "%s", error->message);
    return arguments;
}

static void run_command(BusService *service, const char *command, sd_bus_message *request,
                        const BusSender *sender)
{
    sd_bus_message_rewind(request, 1); /* on_method() has looked at it */
    JsonNode *arguments = read_arguments(request);
    if (!arguments)
        return;
    log_request(command, arguments, sender, sd_bus_message_get_sender(request));
    bus_command_run(service->commands, service->agent->dispatch, command,
                    json_node_get_object(arguments), request);
    json_node_unref(arguments);
    if (!is_question(command))
        bus_service_queue_update(service);
}

static void on_allowed(sd_bus_message *request, const BusSender *sender, gpointer user_data)
{
    BusService *service = user_data;
    const char *command =
        g_hash_table_lookup(service->by_member, sd_bus_message_get_member(request));

    if (command)
        run_command(service, command, request, sender);
    else
        bus_locks_grant(service->locks, request, sender);
}

static int on_method(sd_bus_message *request, void *user_data, G_GNUC_UNUSED sd_bus_error *error)
{
    BusService *service = user_data;
    JsonNode *arguments = read_arguments(request);

    /* Before the sender is known: what waits for polkit is kept, and a message may be of many MiB.
     */
    if (!arguments)
        return 1;
    json_node_unref(arguments);
    return bus_access_check(service->access, request, BUS_ACTION);
}

static int on_inhibit(sd_bus_message *request, void *user_data, G_GNUC_UNUSED sd_bus_error *error)
{
    BusService *service = user_data;
    const char *action = bus_inhibit_action(request);

    return action ? bus_access_check(service->access, request, action) : 1;
}

/* --- the table --- */

/* TEXT, which lives as long as the service. */
static char *keep(BusService *service, char *text)
{
    g_ptr_array_add(service->names, text);
    return text;
}

static void add_method(const char *command, G_GNUC_UNUSED gboolean enabled, gboolean is_alias,
                       gpointer user_data)
{
    BusService *service = user_data;

    if (is_alias || g_strv_contains(channel_only, command))
        return;
    char *member = keep(service, qga_bus_member_name(command, COMMAND_PREFIX));
    sd_bus_vtable entry = SD_BUS_METHOD_WITH_NAMES(
        member, "a{sv}", SD_BUS_PARAM(arguments), "v", SD_BUS_PARAM(result), on_method,
        SD_BUS_VTABLE_UNPRIVILEGED); /* bus-access.c decides */
    g_hash_table_insert(service->by_member, member, keep(service, g_strdup(command)));
    g_array_append_val(service->vtable, entry);
}

static void add_signal(BusService *service, const char *event)
{
    const char *member = keep(service, qga_bus_member_name(event, EVENT_PREFIX));
    sd_bus_vtable entry = SD_BUS_SIGNAL_WITH_NAMES(member, "a{sv}", SD_BUS_PARAM(data), 0);

    g_array_append_val(service->vtable, entry);
}

static void make_vtable(BusService *service)
{
    sd_bus_vtable start = SD_BUS_VTABLE_START(0), end = SD_BUS_VTABLE_END;
    sd_bus_vtable inhibit = SD_BUS_METHOD_WITH_NAMES(
        "Inhibit", "sss", SD_BUS_PARAM(who) SD_BUS_PARAM(why) SD_BUS_PARAM(mode), "h",
        SD_BUS_PARAM(lock), on_inhibit, SD_BUS_VTABLE_UNPRIVILEGED);
    sd_bus_vtable prepare = SD_BUS_SIGNAL_WITH_NAMES(
        PREPARE_SIGNAL, "btt", SD_BUS_PARAM(begin) SD_BUS_PARAM(job) SD_BUS_PARAM(bytes), 0);

    service->vtable = g_array_new(FALSE, TRUE, sizeof(sd_bus_vtable));
    g_array_append_val(service->vtable, start);
    bus_properties_add(service);
    qga_dispatch_foreach(service->agent->dispatch, add_method, service);
    for (const char *const *event = memplug_schema.events; *event; event++)
        add_signal(service, *event);
    g_array_append_val(service->vtable, inhibit);
    g_array_append_val(service->vtable, prepare);
    g_array_append_val(service->vtable, end);
}

/* --- the connection --- */

static int on_open(sd_bus *connection, gpointer user_data)
{
    BusService *service = user_data;

    return sd_bus_add_object_vtable(connection, NULL, BUS_PATH, BUS_INTERFACE,
                                    (const sd_bus_vtable *)service->vtable->data, service);
}

static void on_close(G_GNUC_UNUSED sd_bus *connection, gpointer user_data)
{
    BusService *service = user_data;

    bus_access_forget(service->access);
    g_hash_table_remove_all(service->commands);
}

static const BusFuncs bus_funcs = {on_open, on_close};

static void on_locks_changed(gpointer user_data)
{
    bus_service_queue_update(user_data);
}

BusService *bus_service_new(Agent *agent)
{
    BusService *service = g_new0(BusService, 1);

    service->agent = agent;
    service->access = bus_access_new(on_allowed, service);
    service->commands = bus_commands_new();
    service->locks = bus_locks_new(agent->unplugger, on_locks_changed, service);
    service->by_member = g_hash_table_new(g_str_hash, g_str_equal);
    service->names = g_ptr_array_new_with_free_func(g_free);
    make_vtable(service);
    if (!agent->options->sysroot || g_getenv("DBUS_SYSTEM_BUS_ADDRESS"))
        service->bus = bus_new(BUS_NAME, &bus_funcs, service);
    bus_service_queue_update(service);
    return service;
}

void bus_service_free(BusService *service)
{
    if (!service)
        return;
    g_clear_handle_id(&service->refresh, g_source_remove);
    bus_free(service->bus);
    bus_access_free(service->access);
    g_hash_table_unref(service->commands);
    bus_locks_free(service->locks);
    g_hash_table_unref(service->by_member);
    g_ptr_array_unref(service->names);
    g_array_unref(service->vtable);
    bus_figures_clear(&service->announced);
    sd_bus_message_unref(service->signal);
    g_free(service);
}

/* --- changes and events --- */

static gboolean on_refresh(gpointer user_data)
{
    BusService *service = user_data;

    service->refresh = 0;
    bus_properties_refresh(service);
    return G_SOURCE_REMOVE;
}

void bus_service_queue_update(BusService *service)
{
    if (service && service->bus && !service->refresh)
        service->refresh = g_idle_add(on_refresh, service);
}

void bus_service_prepare_for_unplug(BusService *service, gboolean begins, guint64 job,
                                    guint64 bytes)
{
    sd_bus *connection = service && service->bus ? bus_connection(service->bus) : NULL;
    int r = connection ? sd_bus_emit_signal(connection, BUS_PATH, BUS_INTERFACE, PREPARE_SIGNAL,
                                            "btt", begins, job, bytes)
                       : 0;

    if (r < 0)
        g_warning("the D-Bus signal " PREPARE_SIGNAL " cannot be sent: %s", g_strerror(-r));
}

QgaWriter *bus_service_begin_event(BusService *service, const char *name)
{
    sd_bus *connection = service && service->bus ? bus_connection(service->bus) : NULL;
    g_autofree char *member = qga_bus_member_name(name, EVENT_PREFIX);

    if (!connection)
        return NULL;
    int r =
        sd_bus_message_new_signal(connection, &service->signal, BUS_PATH, BUS_INTERFACE, member);
    if (r < 0) {
        g_warning("the D-Bus signal %s cannot be made: %s", member, g_strerror(-r));
        return NULL;
    }
    return qga_bus_writer_init(&service->signal_writer, service->signal, TRUE);
}

void bus_service_end_event(BusService *service)
{
    int r = qga_bus_writer_result(&service->signal_writer);

    if (r >= 0)
        r = sd_bus_send(NULL, service->signal, NULL);
    if (r < 0)
        g_warning("the D-Bus signal %s cannot be sent: %s",
                  sd_bus_message_get_member(service->signal), g_strerror(-r));
    service->signal = sd_bus_message_unref(service->signal);
}
