/*
 * How much memory there is, by what became of it: sums over a snapshot, and what balloons hold.
 */
#pragma once

#include <glib.h>

#include "system/snapshot.h"
#include "system/units.h"

/* What hosts count memory in: a virtio-mem device's pieces. */
#define FIGURES_GRAIN_BYTES (2 * MIB)

typedef struct {
    guint64 at_boot_bytes;        /* RAM of the firmware's map, in any state, in whole grains */
    guint64 online_bytes;         /* online, without the holes of the firmware's map, in grains */
    guint64 hole_bytes;           /* what online blocks have beyond that */
    guint64 online_movable_bytes; /* online in ZONE_MOVABLE: may be given back */
    guint64 online_kernel_bytes;  /* online in any other zone, in several, or in one not known */
    guint64 offline_bytes;        /* everything that is not online */
    guint64 present_bytes;        /* all blocks */
    guint64 balloon_bytes;        /* what balloons hold */
    int balloon_error;            /* errno for which that is not known; 0: it is */
} Figures;

/* Of SNAPSHOT alone: no balloon. */
Figures figures_of(const Snapshot *snapshot);
/* With what balloons hold. Where the kernel shows no blocks, all that it has is boot memory. */
Figures figures_read(const AttrIo *io, const Snapshot *snapshot);

/* What the guest can use: what is online less what a balloon holds. */
guint64 figures_current_bytes(const Figures *figures);
