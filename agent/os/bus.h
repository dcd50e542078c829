/*
 * The system bus: connected when it is there, waited for when it is not, connected again when it
 * was lost. The daemon works without it, so nothing here is an error for anybody else.
 */
#pragma once

#include <glib.h>
#include <systemd/sd-bus.h>

typedef struct Bus Bus;

typedef struct {
    /* A new connection, before its first message: put objects on it. Return 0 or a negative errno,
     * which drops the connection for good: it is a mistake of the program. */
    int (*on_open)(sd_bus *connection, gpointer user_data);
    /* CONNECTION is about to be closed: drop every slot and message of it. */
    void (*on_close)(sd_bus *connection, gpointer user_data);
} BusFuncs;

/* Asks for NAME on the bus at DBUS_SYSTEM_BUS_ADDRESS, or where the system bus usually is. FUNCS is
 * borrowed. Nothing waits: a bus that is not there yet is connected to when its socket appears. */
Bus *bus_new(const char *name, const BusFuncs *funcs, gpointer user_data);
/* Closes the connection. Accepts NULL. */
void bus_free(Bus *bus);

/* The connection, once the bus has answered; NULL before that and while it is lost. Borrowed until
 * the next turn of the main loop. */
sd_bus *bus_connection(Bus *bus);
