/*
 * The map: a snapshot's blocks as runs of neighbours that agree in everything. Pure.
 */
#pragma once

#include <glib.h>

#include "system/snapshot.h"

typedef struct {
    guint32 first_block; /* index */
    guint32 block_count;
    BlockState state;
    Zone zone; /* where an online block is; ZONE_SEVERAL ("none") for every other: it is in none */
    gint16 node;          /* -1: none */
    const Device *device; /* of the snapshot, NULL: not known (yet) */
} MapRun;

/* The run that begins with the block at POSITION (not its index) of SNAPSHOT: the next begins at
 * POSITION + block_count. FALSE behind the last block. */
gboolean map_run_at(const Snapshot *snapshot, guint32 position, MapRun *run);
