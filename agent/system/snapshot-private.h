/*
 * The inside of a snapshot, for the files that make one. Nobody else includes this.
 */
#pragma once

#include <glib.h>

#include "system/snapshot.h"

typedef struct {
    Snapshot public; /* first, so that a pointer to it is a pointer to this */
    gint refs;
    Block *blocks;
    GArray *devices; /* of Device */
    GArray *ranges;  /* of IomemRange: what /proc/iomem told last */
    gboolean has_loose_ends;
} SnapshotData;

static inline const SnapshotData *snapshot_data(const Snapshot *snapshot)
{
    return (const SnapshotData *)snapshot;
}

/* What snapshot_has_loose_ends() will say of BLOCKS, whose devices are set. */
gboolean snapshot_find_loose_ends(const Block *blocks, guint n);

/**
 * snapshot_make: the one place where a snapshot is put together.
 * @old: what may be taken over of it (devices_derive()), or NULL.
 * @blocks: (transfer full): a GArray of Block, ascending by index, no index twice.
 * @ranges: (transfer full): a GArray of IomemRange.
 */
Snapshot *snapshot_make(const AttrIo *io, const Snapshot *old, guint64 block_size_bytes,
                        GArray *blocks, GArray *ranges);
