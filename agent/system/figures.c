/*
 * Sums over the blocks of a snapshot.
 */
#include "system/figures.h"

Figures figures_of(const Snapshot *snapshot)
{
    Figures figures = {.present_bytes = snapshot->block_count * snapshot->block_size_bytes};

    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];
        const Device *device = snapshot_block_device(snapshot, block);

        if (block->state != BLOCK_STATE_ONLINE)
            figures.offline_bytes += snapshot->block_size_bytes;
        else if (block->zone == ZONE_MOVABLE)
            figures.online_movable_bytes += snapshot->block_size_bytes;
        else
            figures.online_kernel_bytes += snapshot->block_size_bytes;
        if (device != NULL && device->kind == DEVICE_BOOT)
            figures.at_boot_bytes += snapshot->block_size_bytes;
    }
    return figures;
}

guint64 figures_current_bytes(const Figures *figures)
{
    return figures->online_movable_bytes + figures->online_kernel_bytes;
}
