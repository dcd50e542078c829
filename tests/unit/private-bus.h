/*
 * A D-Bus daemon of a test's own, and connections to it in the test's main loop.
 */
#pragma once

#include <glib.h>
#include <systemd/sd-bus.h>

typedef struct PrivateBus PrivateBus;

/* Starts a dbus-daemon and points DBUS_SYSTEM_BUS_ADDRESS at it. */
PrivateBus *private_bus_new(void);
void private_bus_free(PrivateBus *bus); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PrivateBus, private_bus_free)

/* Ends the daemon, or starts one again at the same address. */
void private_bus_kill(PrivateBus *bus);
void private_bus_start(PrivateBus *bus);

/* A connection, processed by the default main context until private_bus_disconnect(). IS_OTHER: as
 * a user that is not root. */
sd_bus *private_bus_connect(PrivateBus *bus, gboolean is_other);
void private_bus_disconnect(PrivateBus *bus, sd_bus *connection);

/* Runs the main context until *FLAG is TRUE; the test fails after a generous while. */
void private_bus_wait(const gboolean *flag);
