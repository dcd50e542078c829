/*
 * doctor: the port, the daemon, and the kernel's switch for ejects.
 */
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "ctl/client.h"
#include "ctl/doctor.h"

#define PORT_NAME "org.memplug.agent.0"
#define PORTS_DIR "sys/class/virtio-ports"
#define EJECT_SWITCH "sys/firmware/acpi/hotplug/memory/enabled"

typedef struct {
    const AttrIo *io;
    gboolean is_found;
} PortSearch;

static gboolean see_port(const char *name, gpointer user_data)
{
    PortSearch *search = user_data;
    g_autofree char *path = g_strconcat(PORTS_DIR "/", name, "/name", NULL);
    char line[ATTR_VALUE_MAX];

    search->is_found =
        attr_read_line(search->io, path, line, sizeof line) >= 0 && strcmp(line, PORT_NAME) == 0;
    return !search->is_found;
}

/* A property of the running daemon; NULL: none runs, or it has no such property. The name is not
 * activated for this. (transfer full) */
static char *ask_property(const char *name)
{
    sd_bus *bus = NULL;
    sd_bus_message *call = NULL, *reply = NULL;
    char *value = NULL;
    const char *text;

    if (sd_bus_open_system(&bus) >= 0 &&
        sd_bus_message_new_method_call(bus, &call, "org.memplug.Agent1", "/org/memplug/Agent1",
                                       "org.freedesktop.DBus.Properties", "Get") >= 0 &&
        sd_bus_message_append(call, "ss", "org.memplug.Agent1", name) >= 0 &&
        sd_bus_message_set_auto_start(call, 0) >= 0 &&
        sd_bus_call(bus, call, 0, NULL, &reply) >= 0 &&
        sd_bus_message_read(reply, "v", "s", &text) > 0)
        value = g_strdup(text);
    sd_bus_message_unref(call);
    sd_bus_message_unref(reply);
    sd_bus_flush_close_unref(bus);
    return value;
}

/* root only: others would be asked for a password. */
static JsonNode *ask_status(void)
{
    g_autoptr(Client) client = geteuid() == 0 ? client_new_bus(NULL) : NULL;

    return client ? client_call(client, "memory-get-status", NULL, NULL) : NULL;
}

static void check_daemon(Doctor *doctor)
{
    g_autofree char *version = doctor->is_elsewhere ? NULL : ask_property("Version");

    if (doctor->is_elsewhere)
        return;
    doctor->is_daemon_up = version != NULL;
    if (!version) {
        finding_add(doctor->findings, FINDING_BAD, "daemon",
                    g_strdup("systemctl enable --now memplugd"),
                    "memplugd does not run, or is not on D-Bus");
        return;
    }
    if (strcmp(version, MEMPLUG_VERSION) != 0)
        finding_add(doctor->findings, FINDING_BAD, "daemon", g_strdup("systemctl restart memplugd"),
                    "memplugd %s runs, memplugctl is " MEMPLUG_VERSION, version);
    else
        finding_add(doctor->findings, FINDING_GOOD, "daemon", NULL, "memplugd %s runs", version);
    doctor->policy = ask_property("Policy");
    doctor->status = ask_status();
    if (!doctor->status)
        finding_add(doctor->findings, FINDING_NOTE, "daemon",
                    g_strdup("memplugctl doctor, as root"),
                    "memplugd does not tell this user which blocks it moves or keeps offline");
}

/* The daemon is the one that has to open it: what it says counts before what is there. */
static void check_port(Doctor *doctor)
{
    g_autofree char *error = doctor->is_daemon_up ? ask_property("PortError") : NULL;
    PortSearch search = {.io = doctor->io};
    gboolean is_missing = error && g_str_has_prefix(error, "there is no port");

    attr_list(doctor->io, PORTS_DIR, see_port, &search);
    if (error && *error && (search.is_found || !is_missing))
        finding_add(doctor->findings, FINDING_BAD, "port",
                    g_strdup("systemctl restart memplugd; where that does not help: journalctl -u "
                             "memplugd"),
                    "memplugd cannot use its port, so the host cannot ask: %s", error);
    else if (search.is_found)
        finding_add(doctor->findings, FINDING_GOOD, "port", NULL, PORT_NAME " is there");
    else
        finding_add(doctor->findings, FINDING_NOTE, "port",
                    g_strdup("on the host: -device virtserialport,chardev=…,name=" PORT_NAME),
                    "the hypervisor gives no port " PORT_NAME ": the host cannot ask");
}

static void check_eject_switch(Doctor *doctor)
{
    guint64 is_on;

    if (attr_read_uint64(doctor->io, EJECT_SWITCH, 10, &is_on) == 0 && is_on == 0)
        finding_add(doctor->findings, FINDING_NOTE, "eject switch", NULL,
                    "/" EJECT_SWITCH " is 0: the kernel refuses ejects (memplugd's gate=yes opens "
                    "it while a job is ready)");
}

void doctor_check_agent(Doctor *doctor)
{
    check_daemon(doctor);
    check_port(doctor);
    check_eject_switch(doctor);
}
