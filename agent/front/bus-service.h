/*
 * org.memplug.Agent1 on the system bus: the commands as methods, the figures as properties, the
 * events as signals. What there is follows from the schema and the dispatch table, so that a new
 * command or event is there without a word about it in here.
 */
#pragma once

#include "front/agent.h"
#include "qga-protocol/json-writer.h"

#define BUS_NAME "org.memplug.Agent1"
#define BUS_PATH "/org/memplug/Agent1"
#define BUS_INTERFACE "org.memplug.Agent1"
#define BUS_ERROR_PREFIX BUS_INTERFACE ".Error."
#define BUS_ACTION "org.memplug.manage"

typedef struct BusService BusService;

/* AGENT is borrowed: its commands are registered, and none will be. Below a --sysroot the system's
 * own bus is left alone; only one that DBUS_SYSTEM_BUS_ADDRESS names is used then. */
BusService *bus_service_new(Agent *agent);
void bus_service_free(BusService *service); /* accepts NULL */

/* Something that a property tells may have changed: looked at when the loop has nothing better to
 * do, and announced where it has. Accepts NULL. */
void bus_service_queue_update(BusService *service);

/* Tells applications that JOB is about to take so many bytes, or (not BEGINS) that it is over and
 * so many have left. Accepts NULL. */
void bus_service_prepare_for_unplug(BusService *service, gboolean begins, guint64 job,
                                    guint64 bytes);

/* Sends the event NAME (of the schema: "MEMORY_UNPLUG_CHANGED") as a signal: write its data, one
 * object, then end. NULL, and nothing to end, where there is no bus. Accepts NULL. */
QgaWriter *bus_service_begin_event(BusService *service, const char *name);
void bus_service_end_event(BusService *service);
