/*
 * The inside of the D-Bus service: bus-service.c (object, methods, signals) and bus-properties.c.
 */
#pragma once

#include "front/bus-inhibit.h"
#include "front/bus-service.h"
#include "os/bus-access.h"
#include "os/bus.h"
#include "qga-protocol/bus-value.h"

/* What the properties say. */
typedef struct {
    guint64 block_size_bytes;
    guint64 at_boot_bytes;
    guint64 current_bytes;
    guint64 requested_bytes; /* 0: the host has not said */
    guint64 application_delay_ms;
    char *policy;
    char *port_error;   /* "": hosts can reach the daemon */
    GArray *jobs;       /* of BusJob */
    guint64 inhibitors; /* inhibitors_generation() */
} BusFigures;

typedef struct {
    guint64 id;
    guint state; /* JobState */
} BusJob;

struct BusService {
    Agent *agent;
    Bus *bus; /* NULL: not wanted */
    BusAccess *access;
    GHashTable *commands;  /* that have not answered: bus-command.h */
    GHashTable *by_member; /* method's name -> command's name (of the schema) */
    GPtrArray *names;      /* what the table's strings live in */
    GArray *vtable;        /* of sd_bus_vtable */
    BusLocks *locks;
    BusFigures announced;   /* what listeners know */
    guint refresh;          /* idle source */
    sd_bus_message *signal; /* that is being written, or NULL */
    QgaBusWriter signal_writer;
};

/* Appends the properties to the service's vtable. */
void bus_properties_add(BusService *service);
/* Announces what differs from what was announced. */
void bus_properties_refresh(BusService *service);
void bus_figures_clear(BusFigures *figures);
