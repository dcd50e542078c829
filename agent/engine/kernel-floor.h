/*
 * The floor below the kernel's own memory, as the onliner sees it: what to say of it, whether there
 * is room for the kernel to online by itself, and what that has put where it should not be.
 */
#pragma once

#include <glib.h>

#include "decide/online-policy.h"
#include "engine/mark-keeper.h"
#include "system/attr.h"

/* ZONES: of ZoneStats, NULL: not known. */

/* Whether another device may come online as movable without being looked at first. */
gboolean kernel_floor_has_room(const OnlineConfig *config, const GArray *zones);
/* Logs that block INDEX and what came with it go to the kernel zone. */
void kernel_floor_warn(const OnlineConfig *config, const GArray *zones, guint32 index);
/* The floor binds what the kernel has brought online by itself, too: marks those of the blocks that
 * are online as movable where there is too little to spare, for the rezoner. */
void kernel_floor_check_online(const OnlineConfig *config, const GArray *zones,
                               const Snapshot *snapshot, MarkKeeper *mark_keeper,
                               const guint32 *indices, guint n);

/* auto_movable_numa_aware; TRUE, the kernel's default, where it cannot be read. */
gboolean kernel_floor_is_numa_aware(const AttrIo *io);
