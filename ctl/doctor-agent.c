/*
 * doctor: the port, the daemon, and the kernel's switch for ejects.
 */
#include <string.h>
#include <systemd/sd-bus.h>

#include "ctl/doctor.h"

#define PORT_NAME "org.memplug.agent.0"
#define EJECT_SWITCH "sys/firmware/acpi/hotplug/memory/enabled"

static void check_port(Doctor *doctor)
{
    g_autoptr(GPtrArray) ports = doctor_list(doctor, "sys/class/virtio-ports");

    for (guint i = 0; i < ports->len; i++) {
        g_autofree char *path =
            g_strconcat("sys/class/virtio-ports/", ports->pdata[i], "/name", NULL);
        g_autofree char *name = doctor_read(doctor, path);
        if (g_strcmp0(name, PORT_NAME) == 0) {
            doctor_add(doctor, FINDING_GOOD, "port", NULL, PORT_NAME " is there");
            return;
        }
    }
    doctor_add(doctor, FINDING_NOTE, "port",
               g_strdup("on the host: -device virtserialport,chardev=…,name=" PORT_NAME),
               "the hypervisor gives no port " PORT_NAME ": the host cannot ask");
}

/* The Version property of the running daemon; NULL: none runs. The name is not activated for this.
 * (transfer full) */
static char *running_version(void)
{
    sd_bus *bus = NULL;
    sd_bus_message *call = NULL, *reply = NULL;
    char *version = NULL;
    const char *text;

    if (sd_bus_open_system(&bus) >= 0 &&
        sd_bus_message_new_method_call(bus, &call, "org.memplug.Agent1", "/org/memplug/Agent1",
                                       "org.freedesktop.DBus.Properties", "Get") >= 0 &&
        sd_bus_message_append(call, "ss", "org.memplug.Agent1", "Version") >= 0 &&
        sd_bus_message_set_auto_start(call, 0) >= 0 &&
        sd_bus_call(bus, call, 0, NULL, &reply) >= 0 &&
        sd_bus_message_read(reply, "v", "s", &text) > 0)
        version = g_strdup(text);
    sd_bus_message_unref(call);
    sd_bus_message_unref(reply);
    sd_bus_flush_close_unref(bus);
    return version;
}

static void check_daemon(Doctor *doctor)
{
    g_autofree char *version = NULL;

    if (doctor_is_elsewhere(doctor))
        return;
    version = running_version();
    if (!version)
        doctor_add(doctor, FINDING_BAD, "daemon", g_strdup("systemctl enable --now memplugd"),
                   "memplugd does not run, or is not on D-Bus");
    else if (strcmp(version, MEMPLUG_VERSION) != 0)
        doctor_add(doctor, FINDING_BAD, "daemon", g_strdup("systemctl restart memplugd"),
                   "memplugd %s runs, memplugctl is " MEMPLUG_VERSION, version);
    else
        doctor_add(doctor, FINDING_GOOD, "daemon", NULL, "memplugd %s runs", version);
}

static void check_eject_switch(Doctor *doctor)
{
    if (doctor_read_number(doctor, EJECT_SWITCH, 10) == 0)
        doctor_add(doctor, FINDING_NOTE, "eject switch", NULL,
                   "/" EJECT_SWITCH " is 0: the kernel refuses ejects (memplugd's gate=yes opens "
                   "it while a job is ready)");
}

void doctor_check_agent(Doctor *doctor)
{
    check_port(doctor);
    check_daemon(doctor);
    check_eject_switch(doctor);
}
