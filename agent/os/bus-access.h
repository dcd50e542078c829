/*
 * Who sent a D-Bus request, and whether they may: uid 0 always, anybody else if polkit says so, and
 * nobody else where polkit is not there. Asked asynchronously, of the bus and of polkit; the loop
 * never waits.
 */
#pragma once

#include <glib.h>
#include <systemd/sd-bus.h>

/* Requests of others than root that may wait for polkit (and a person's password) at once. */
#define BUS_ACCESS_POLKIT_MAX 4
/* Requests that may wait for anything at once. */
#define BUS_ACCESS_PENDING_MAX 64

typedef struct {
    guint32 uid;
    guint32 pid; /* 0: the bus does not tell */
} BusSender;

/* REQUEST's sender may do it. A request that is refused gets its D-Bus error from here. */
typedef void (*BusAllowedFunc)(sd_bus_message *request, const BusSender *sender,
                               gpointer user_data);

typedef struct BusAccess BusAccess;

BusAccess *bus_access_new(BusAllowedFunc func, gpointer user_data);
/* Accepts NULL. Forgets what is pending, as bus_access_forget(). */
void bus_access_free(BusAccess *access);

/* Asks about REQUEST (a reference is kept) and calls the function if its sender may. ACTION: the
 * polkit action, static. Return 1, or a negative errno if it could not even be asked. */
int bus_access_check(BusAccess *access, sd_bus_message *request, const char *action);
/* The connection is going: drops every pending request. */
void bus_access_forget(BusAccess *access);
