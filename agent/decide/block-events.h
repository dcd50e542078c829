/*
 * What a change of the model means to whoever watches: blocks that came, went, or changed sides, as
 * ranges. Pure. It tells the difference between two moments, so what came and went in between is
 * not told, and nothing is told twice.
 */
#pragma once

#include <glib.h>

#include "system/snapshot.h"

/* In the order in which one change tells them: who adds and subtracts never goes below zero. */
typedef enum {
    BLOCKS_OFFLINED,
    BLOCKS_REMOVED,
    BLOCKS_ADDED,
    BLOCKS_ONLINED,
    BLOCK_EVENT_KINDS
} BlockEventKind;

typedef struct {
    BlockEventKind kind;
    guint32 first_block; /* index */
    guint32 block_count;
    char device[DEVICE_ID_MAX]; /* "": not known (yet) */
    Zone zone;                  /* BLOCKS_ONLINED: where; else ZONE_UNKNOWN */
} BlockEvent;

/**
 * block_events_find: what happened between @before and @now.
 *
 * A block with another inode at an old index is one that went and one that came. One that went
 * while it was online was offlined first, one that came and is online was added first, and one that
 * changed its zone was offlined and onlined. A block that is going offline still is online.
 *
 * Return: (transfer full): a GArray of BlockEvent by kind, then by first_block; neighbours with the
 * same device and zone are one.
 */
GArray *block_events_find(const Snapshot *before, const Snapshot *now);

/* "MEMORY_ADDED", …: the names of the protocol. */
const char *block_event_name(BlockEventKind kind);
