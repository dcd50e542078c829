/*
 * Events to every connection that wants them (memory-set-events). Nothing is kept: a connection that
 * subscribes later, or does not read, misses what happened; its session counts what it dropped.
 *
 * Not to be called between the begin and the end of a reply.
 */
#pragma once

#include "decide/unplug.h"
#include "outside/channel.h"
#include "wiring/model-keeper.h"

/* CHANNEL may be NULL in all of these: then nobody listens yet. */

/* MEMORY_ADDED, MEMORY_ONLINED, MEMORY_OFFLINED, MEMORY_REMOVED: one for each range of blocks. */
void events_send_change(Channel *channel, const ModelChange *change);
/* MEMORY_UNPLUG_CHANGED: JOB has entered STATE. */
void events_send_job(Channel *channel, const UnplugJob *job, JobState state);
/* MEMORY_TARGET_REACHED */
void events_send_target_reached(Channel *channel, guint64 bytes);
