/*
 * Events to every connection that wants them (memory-set-events), and to D-Bus as signals. Nothing
 * is kept: a connection that subscribes later, or does not read, misses what happened; its session
 * counts what it dropped.
 *
 * Not to be called between the begin and the end of a reply.
 */
#pragma once

#include "decide/target.h"
#include "decide/unplug.h"
#include "engine/model-keeper.h"
#include "front/bus-service.h"
#include "os/channel.h"

/* Where events go. Both may be NULL: then nobody listens there (yet). */
typedef struct {
    Channel *channel;
    BusService *bus;
} EventListeners;

/* MEMORY_ADDED, MEMORY_ONLINED, MEMORY_OFFLINED, MEMORY_REMOVED: one for each range of blocks. */
void events_send_change(const EventListeners *listeners, const ModelChange *change);
/* MEMORY_UNPLUG_CHANGED: JOB has entered STATE. */
void events_send_job(const EventListeners *listeners, const UnplugJob *job, JobState state);
/* MEMORY_PRESSURE: to SESSION, which has asked for it, and to D-Bus. */
typedef struct {
    guint64 available_bytes;
    guint some_avg10, full_avg10; /* see Stall */
    gboolean has_target;
    guint64 below_target_bytes;
} PressureNews;
void events_send_pressure(const EventListeners *listeners, QgaSession *session,
                          const PressureNews *news);
/* MEMORY_TARGET_REACHED. */
void events_send_target(const EventListeners *listeners, const Target *target);
