/*
 * Which blocks are online where they are not meant to be. Pure.
 */
#pragma once

#include <glib.h>

#include "decide/online-policy.h"
#include "system/block-marks.h"

typedef struct {
    guint32 index;
    guint64 inode;
    gboolean to_kernel; /* the floor: movable, and meant for a kernel zone; else the other way */
} RezoneBlock;

/**
 * rezone_find: the blocks to move, ascending by index.
 * @is_owned: a block of which it says TRUE (an unplug job has it) is left alone. May be NULL.
 *
 * Only blocks of DIMMs, wholly in one zone: never boot RAM, never a device of kind `other`, never
 * virtio-mem, whose driver takes them apart by itself. Under `movable` every one in a kernel zone,
 * but those that were decided to be there; under `auto` those of a device that was decided to be
 * movable; under the other policies none.
 *
 * Return: (transfer full): a GArray of RezoneBlock.
 */
GArray *rezone_find(const OnlineConfig *config, const Snapshot *snapshot, const BlockMarks *marks,
                    BlockOwnedFunc is_owned, gpointer user_data);
