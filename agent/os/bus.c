/*
 * The system bus. sd-bus itself waits for the socket, by inotify (sd_bus_set_watch_bind); only a
 * bus that was there and hung up is tried again by time, with growing pauses, since one that takes
 * the connection and drops it again would otherwise keep the loop busy.
 */
#include "os/bus.h"

#include <errno.h>

#include "os/bus-source.h"

#define SYSTEM_BUS_ADDRESS "unix:path=/run/dbus/system_bus_socket"
#define RETRY_MIN_MS 200
#define RETRY_MAX_MS 60000

struct Bus {
    char *name;
    const BusFuncs *funcs;
    gpointer user_data;
    sd_bus *connection;
    GSource *source;
    gboolean is_connected;
    guint retry;
    guint retry_ms;
};

static void bus_connect(Bus *bus);

static gboolean on_retry(gpointer user_data)
{
    Bus *bus = user_data;

    bus->retry = 0;
    bus_connect(bus);
    return G_SOURCE_REMOVE;
}

static void disconnect(Bus *bus)
{
    bus_source_free(g_steal_pointer(&bus->source));
    if (!bus->connection)
        return;
    bus->is_connected = FALSE;
    bus->funcs->on_close(bus->connection, bus->user_data);
    sd_bus_close(bus->connection);
    bus->connection = sd_bus_unref(bus->connection);
}

static void retry_later(Bus *bus)
{
    bus->retry_ms = CLAMP(bus->retry_ms * 2, RETRY_MIN_MS, RETRY_MAX_MS);
    bus->retry = g_timeout_add(bus->retry_ms, on_retry, bus);
}

static void on_lost(int error, gpointer user_data)
{
    Bus *bus = user_data;

    g_message("the connection to D-Bus is lost: %s", g_strerror(-error));
    disconnect(bus);
    retry_later(bus);
}

/* What sd-bus answers a call with that was open as the bus went: NoReply, from 262 on Disconnected.
 */
static gboolean is_hangup(const sd_bus_error *error)
{
    return sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY) ||
           sd_bus_error_has_name(error, SD_BUS_ERROR_DISCONNECTED);
}

static int on_name(sd_bus_message *reply, void *user_data, G_GNUC_UNUSED sd_bus_error *out_error)
{
    const Bus *bus = user_data;
    const sd_bus_error *error = sd_bus_message_get_error(reply);
    uint32_t result = 0;

    if (error && is_hangup(error))
        g_info("D-Bus hung up: %s", error->message);
    else if (error)
        g_warning("D-Bus does not give the name %s: %s", bus->name, error->message);
    else if (sd_bus_message_read(reply, "u", &result) < 0 || result > 2)
        g_warning("D-Bus has given the name %s to somebody else", bus->name);
    return 1;
}

/* The bus has said hello. */
static int on_connected(G_GNUC_UNUSED sd_bus_message *signal, void *user_data,
                        G_GNUC_UNUSED sd_bus_error *out_error)
{
    Bus *bus = user_data;

    bus->is_connected = TRUE;
    bus->retry_ms = 0;
    int r = sd_bus_request_name_async(bus->connection, NULL, bus->name, 0, on_name, bus);
    if (r < 0)
        g_warning("cannot ask D-Bus for the name %s: %s", bus->name, g_strerror(-r));
    g_info("connected to D-Bus");
    return 0;
}

static int make_connection(Bus *bus)
{
    const char *address = g_getenv("DBUS_SYSTEM_BUS_ADDRESS");
    sd_bus *connection = NULL;

    int r = sd_bus_new(&connection);
    if (r < 0)
        return r;
    if ((r = sd_bus_set_address(connection, address ? address : SYSTEM_BUS_ADDRESS)) < 0 ||
        (r = sd_bus_set_bus_client(connection, 1)) < 0 ||
        (r = sd_bus_set_watch_bind(connection, 1)) < 0 ||
        (r = sd_bus_set_connected_signal(connection, 1)) < 0 ||
        (r = sd_bus_match_signal_async(connection, NULL, "org.freedesktop.DBus.Local", NULL,
                                       "org.freedesktop.DBus.Local", "Connected", on_connected,
                                       NULL, bus)) < 0 ||
        (r = bus->funcs->on_open(connection, bus->user_data)) < 0 ||
        (r = sd_bus_start(connection)) < 0) {
        bus->funcs->on_close(connection, bus->user_data);
        sd_bus_unref(connection);
        return r;
    }
    bus->connection = connection;
    return 0;
}

static void bus_connect(Bus *bus)
{
    int r = make_connection(bus);

    if (r < 0) {
        if (bus->retry_ms == 0)
            g_message("no D-Bus: %s", g_strerror(-r));
        retry_later(bus);
        return;
    }
    bus->source = bus_source_new(bus->connection, on_lost, bus);
}

Bus *bus_new(const char *name, const BusFuncs *funcs, gpointer user_data)
{
    Bus *bus = g_new0(Bus, 1);

    bus->name = g_strdup(name);
    bus->funcs = funcs;
    bus->user_data = user_data;
    bus_connect(bus);
    return bus;
}

void bus_free(Bus *bus)
{
    if (!bus)
        return;
    g_clear_handle_id(&bus->retry, g_source_remove);
    disconnect(bus);
    g_free(bus->name);
    g_free(bus);
}

sd_bus *bus_connection(Bus *bus)
{
    return bus->is_connected ? bus->connection : NULL;
}
