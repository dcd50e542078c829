/*
 * The local daemon on the system bus: its names, and the locks that it gives.
 */
#pragma once

#include <glib.h>
#include <systemd/sd-bus.h>

#define AGENT_BUS_NAME "org.memplug.Agent1"
#define AGENT_BUS_PATH "/org/memplug/Agent1"
#define AGENT_BUS_INTERFACE "org.memplug.Agent1"

/* The system bus, or NULL and CTL_NO_CONNECTION. */
sd_bus *agent_bus_open(GError **error);
/* What a call came to: CTL_REFUSED where the daemon says no, CTL_NO_CONNECTION where there is none.
 */
void agent_bus_fail(GError **error, const sd_bus_error *bus_error, int r);

/* Inhibit(): the lock, to be closed. STARTS: a daemon that does not run is started. -1 and ERROR as
 * agent_bus_fail(). */
int agent_bus_inhibit(sd_bus *bus, const char *who, const char *why, const char *mode,
                      gboolean starts, GError **error);
