/*
 * dbus-daemon with a configuration that lets everybody do everything: what is tested is what the
 * service itself refuses.
 */
#include "private-bus.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/bus-source.h"
#include "temp-tree.h"

#define PATIENCE_MS 60000
#define OTHER_UID 65534

struct PrivateBus {
    TempTree *tree;
    char *address;
    GPid pid;
    GHashTable *sources; /* sd_bus * -> GSource * */
};

static const char config[] =
    "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" "
    "\"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
    "<busconfig><type>system</type><listen>%s</listen><auth>EXTERNAL</auth>"
    "<policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>"
    "<allow send_type=\"method_call\"/><allow send_type=\"signal\"/>"
    "<allow receive_type=\"method_call\"/><allow receive_type=\"method_return\"/>"
    "<allow receive_type=\"error\"/><allow receive_type=\"signal\"/>"
    "<allow send_requested_reply=\"true\" send_type=\"method_return\"/>"
    "<allow send_requested_reply=\"true\" send_type=\"error\"/></policy></busconfig>\n";

void private_bus_start(PrivateBus *bus)
{
    g_autofree char *config_file = g_strdup_printf("--config-file=%s/bus.conf", bus->tree->root);
    const char *argv[] = {"dbus-daemon", config_file, "--nofork", "--print-address=1", NULL};
    g_autoptr(GError) error = NULL;
    char byte;
    int out;

    g_spawn_async_with_pipes(NULL, (char **)argv, NULL,
                             G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
                                 G_SPAWN_STDERR_TO_DEV_NULL,
                             NULL, NULL, &bus->pid, NULL, &out, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(read(out, &byte, 1), ==, 1); /* it prints its address when it listens */
    close(out);
}

void private_bus_kill(PrivateBus *bus)
{
    kill(bus->pid, SIGKILL);
    waitpid(bus->pid, NULL, 0);
}

PrivateBus *private_bus_new(void)
{
    PrivateBus *bus = g_new0(PrivateBus, 1);

    bus->tree = temp_tree_new();
    bus->address = g_strdup_printf("unix:path=%s/bus", bus->tree->root);
    g_autofree char *text = g_strdup_printf(config, bus->address);
    temp_tree_write(bus->tree, "bus.conf", text);
    bus->sources = g_hash_table_new(NULL, NULL);
    g_setenv("DBUS_SYSTEM_BUS_ADDRESS", bus->address, TRUE);
    g_assert_cmpint(g_chmod(bus->tree->root, 0755), ==, 0);
    private_bus_start(bus);
    return bus;
}

void private_bus_free(PrivateBus *bus)
{
    if (!bus)
        return;
    g_assert_cmpuint(g_hash_table_size(bus->sources), ==, 0);
    g_hash_table_unref(bus->sources);
    private_bus_kill(bus);
    temp_tree_free(bus->tree);
    g_free(bus->address);
    g_free(bus);
}

static void on_lost(int error, G_GNUC_UNUSED gpointer user_data)
{
    g_error("a test's own connection was lost: %s", g_strerror(-error));
}

sd_bus *private_bus_connect(PrivateBus *bus, gboolean is_other)
{
    gboolean as_other = is_other && geteuid() == 0;
    sd_bus *connection = NULL;

    g_assert_cmpint(sd_bus_new(&connection), >=, 0);
    g_assert_cmpint(sd_bus_set_address(connection, bus->address), >=, 0);
    g_assert_cmpint(sd_bus_set_bus_client(connection, 1), >=, 0);
    /* The socket's credentials are those at connect(2). */
    g_assert_cmpint(as_other ? seteuid(OTHER_UID) : 0, ==, 0);
    g_assert_cmpint(sd_bus_start(connection), >=, 0);
    g_assert_cmpint(as_other ? seteuid(0) : 0, ==, 0);
    g_hash_table_insert(bus->sources, connection, bus_source_new(connection, on_lost, NULL));
    return connection;
}

void private_bus_disconnect(PrivateBus *bus, sd_bus *connection)
{
    GSource *source = g_hash_table_lookup(bus->sources, connection);

    g_hash_table_remove(bus->sources, connection);
    bus_source_free(source);
    sd_bus_close(connection);
    sd_bus_unref(connection);
}

static gboolean on_patience(gpointer user_data)
{
    gboolean *is_over = user_data;

    *is_over = TRUE;
    return G_SOURCE_CONTINUE;
}

void private_bus_wait(const gboolean *flag)
{
    gboolean is_over = FALSE;
    guint timer = g_timeout_add(PATIENCE_MS, on_patience, &is_over);

    while (!*flag && !is_over)
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(timer);
    g_assert_true(*flag);
}
