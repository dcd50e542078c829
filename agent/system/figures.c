/*
 * Sums over the blocks of a snapshot.
 */
#include "system/figures.h"

#include <unistd.h>

#include "system/balloon.h"
#include "system/meminfo.h"

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

Figures figures_read(const AttrIo *io, const Snapshot *snapshot)
{
    Figures figures = figures_of(snapshot);
    Meminfo meminfo;

    figures.balloon_bytes = balloon_held_bytes(io, (guint64)sysconf(_SC_PAGESIZE));
    /* A balloon takes its pages off MemTotal (adjust_managed_page_count(),
     * drivers/virtio/virtio_balloon.c; not with VIRTIO_BALLOON_F_DEFLATE_ON_OOM). */
    if (snapshot->fault && meminfo_read(io, &meminfo) == 0)
        figures.at_boot_bytes = figures.online_kernel_bytes = figures.present_bytes =
            meminfo.total_bytes + figures.balloon_bytes;
    return figures;
}

guint64 figures_current_bytes(const Figures *figures)
{
    guint64 online_bytes = figures->online_movable_bytes + figures->online_kernel_bytes;

    return online_bytes - MIN(online_bytes, figures->balloon_bytes);
}
