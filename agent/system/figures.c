/*
 * Sums over the blocks of a snapshot.
 */
#include "system/figures.h"

#include <unistd.h>

#include "system/balloon.h"
#include "system/iomem.h"
#include "system/meminfo.h"

/* BLOCK, of boot memory, without the holes in it. */
static guint64 boot_bytes(const Snapshot *snapshot, const Block *block)
{
    guint64 start = block->index * snapshot->block_size_bytes;

    return snapshot->ram && snapshot->ram->len > 0
               ? iomem_overlap_bytes(snapshot->ram, start, start + snapshot->block_size_bytes - 1)
               : snapshot->block_size_bytes;
}

/* To the 2 MiB: the firmware keeps a few hundred KiB for itself, of which hosts know nothing. */
static guint64 round_up(guint64 bytes)
{
    return (bytes + FIGURES_GRAIN_BYTES - 1) / FIGURES_GRAIN_BYTES * FIGURES_GRAIN_BYTES;
}

Figures figures_of(const Snapshot *snapshot)
{
    Figures figures = {.present_bytes = snapshot->block_count * snapshot->block_size_bytes};

    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];
        const Device *device = snapshot_block_device(snapshot, block);
        gboolean is_boot = device != NULL && device->kind == DEVICE_BOOT;
        guint64 bytes = is_boot ? boot_bytes(snapshot, block) : snapshot->block_size_bytes;

        if (block->state != BLOCK_STATE_ONLINE)
            figures.offline_bytes += snapshot->block_size_bytes;
        else if (block->zone == ZONE_MOVABLE)
            figures.online_movable_bytes += snapshot->block_size_bytes;
        else
            figures.online_kernel_bytes += snapshot->block_size_bytes;
        if (block->state == BLOCK_STATE_ONLINE)
            figures.online_bytes += bytes;
        if (is_boot)
            figures.at_boot_bytes += bytes;
    }
    figures.at_boot_bytes = round_up(figures.at_boot_bytes);
    figures.online_bytes = round_up(figures.online_bytes);
    figures.hole_bytes =
        figures.online_movable_bytes + figures.online_kernel_bytes - figures.online_bytes;
    return figures;
}

Figures figures_read(const AttrIo *io, const Snapshot *snapshot)
{
    Figures figures = figures_of(snapshot);
    Meminfo meminfo;

    figures.balloon_error =
        -balloon_held_bytes(io, (guint64)sysconf(_SC_PAGESIZE), &figures.balloon_bytes);
    /* A balloon takes its pages off MemTotal (adjust_managed_page_count(),
     * drivers/virtio/virtio_balloon.c; not with VIRTIO_BALLOON_F_DEFLATE_ON_OOM). */
    if (snapshot->fault && meminfo_read(io, &meminfo) == 0)
        figures.at_boot_bytes = figures.online_bytes = figures.online_kernel_bytes =
            figures.present_bytes = meminfo.total_bytes + figures.balloon_bytes;
    return figures;
}

guint64 figures_current_bytes(const Figures *figures)
{
    return figures->online_bytes - MIN(figures->online_bytes, figures->balloon_bytes);
}
