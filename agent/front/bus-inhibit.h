/*
 * Inhibit(): applications that want to be asked before memory leaves, as logind asks them before
 * sleep. A lock is the write end of a pipe: while a copy of it is open somewhere the lock stands,
 * and the kernel closes the last one when its process ends, however it ends.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "engine/unplugger.h"
#include "os/bus-access.h"

#define INHIBITORS_TYPE "a(sssuu)"

typedef struct BusLocks BusLocks;
typedef void (*BusLocksChangedFunc)(gpointer user_data);

/* UNPLUGGER is borrowed. */
BusLocks *bus_locks_new(Unplugger *unplugger, BusLocksChangedFunc func, gpointer user_data);
/* Ends no lock: that is the descriptors' and the unplugger's matter. */
void bus_locks_free(BusLocks *locks);

/* The polkit action for what REQUEST asks; NULL: it makes no sense, and has its answer. */
const char *bus_inhibit_action(sd_bus_message *request);
/* Grants what SENDER asks, who may, and answers. */
void bus_locks_grant(BusLocks *locks, sd_bus_message *request, const BusSender *sender);
/* Appends the value of the property Inhibitors. */
int bus_inhibit_append(sd_bus_message *reply, const Inhibitors *inhibitors);
