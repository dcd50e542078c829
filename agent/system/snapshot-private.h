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
    GArray *ram;     /* of IomemRange: the firmware's RAM, of the first scan */
    gboolean has_loose_ends;
} SnapshotData;

static inline const SnapshotData *snapshot_data(const Snapshot *snapshot)
{
    return (const SnapshotData *)snapshot;
}
