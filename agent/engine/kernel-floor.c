/*
 * Looks after the floor where the policy's decision alone does not.
 */
#include "engine/kernel-floor.h"

#include "system/zone-stats.h"

#define NUMA_AWARE_PATH "sys/module/memory_hotplug/parameters/auto_movable_numa_aware"

gboolean kernel_floor_is_numa_aware(const AttrIo *io)
{
    char line[8];

    return attr_read_line(io, NUMA_AWARE_PATH, line, sizeof line) != 1 || line[0] != 'N';
}

void kernel_floor_warn(const OnlineConfig *config, const GArray *zones, guint32 index)
{
    g_autofree char *spare =
        g_format_size_full(online_kernel_spare_bytes(zones), G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *floor =
        g_format_size_full(online_floor_bytes(config, zones), G_FORMAT_SIZE_IEC_UNITS);

    g_warning("block %u and what came with it go to the kernel zone, from where they cannot "
              "be unplugged: the kernel's zones have %s to spare, and need %s (kernel-floor-bytes)",
              index, spare, floor);
}

void kernel_floor_check_online(const OnlineConfig *config, const GArray *zones,
                               const Snapshot *snapshot, MarkKeeper *mark_keeper,
                               const guint32 *indices, guint n)
{
    if (config->policy != ONLINE_POLICY_MOVABLE ||
        online_kernel_spare_bytes(zones) >= online_floor_bytes(config, zones))
        return;
    for (guint i = 0; i < n; i++) {
        const Block *block = snapshot_find_block(snapshot, indices[i]);
        if (!block || block->state != BLOCK_STATE_ONLINE || block->zone != ZONE_MOVABLE ||
            block_marks_want(mark_keeper_marks(mark_keeper), block->index, block->inode) ==
                MARK_WANT_KERNEL)
            continue;
        kernel_floor_warn(config, zones, block->index);
        mark_keeper_want_kernel(mark_keeper, snapshot, block);
    }
}

gboolean kernel_floor_has_room(const OnlineConfig *config, const GArray *zones)
{
    guint64 floor = online_floor_bytes(config, zones);

    /* Half as much again: what the next device's memmap takes is not known before it comes. */
    return online_kernel_spare_bytes(zones) >= floor + floor / 2;
}
