/*
 * An sd-bus connection as a source of GLib's main loop. It wakes for what sd-bus asks for and for
 * nothing else: an idle bus costs no wakeup.
 */
#pragma once

#include <glib.h>
#include <systemd/sd-bus.h>

/* The connection is no longer usable: ERROR is a negative errno. Called once, from the main loop;
 * the source is to be freed from there or later. */
typedef void (*BusSourceLostFunc)(int error, gpointer user_data);

/* Processes BUS (borrowed; must outlive the source) in the default main context. */
GSource *bus_source_new(sd_bus *bus, BusSourceLostFunc on_lost, gpointer user_data);
/* Destroys it and drops the reference. Accepts NULL. */
void bus_source_free(GSource *source);
