/*
 * The figures behind a decision: what the kernel's zones have to spare, and how much of what is
 * there came with the boot. Counts only.
 */
#include "decide/online-policy.h"
#include "system/units.h"
#include "system/zone-stats.h"

#define FLOOR_MIN_BYTES (64 * MIB)
/* sizeof(struct page) of 64-bit kernels (include/linux/mm_types.h). */
#define PAGE_DESCRIPTOR_BYTES 64

guint64 online_kernel_spare_bytes(const GArray *zones)
{
    guint64 spare = 0;

    if (!zones)
        return G_MAXUINT64;
    for (guint i = 0; i < zones->len; i++) {
        const ZoneStats *zone = &g_array_index(zones, ZoneStats, i);
        if (!zone->is_movable)
            spare += zone->free_bytes + zone->file_bytes / 2;
    }
    return spare;
}

guint64 online_floor_bytes(const OnlineConfig *config, const GArray *zones)
{
    guint64 high = 0;

    if (config->kernel_floor_bytes > 0)
        return config->kernel_floor_bytes;
    for (guint i = 0; zones && i < zones->len; i++) {
        const ZoneStats *zone = &g_array_index(zones, ZoneStats, i);
        if (!zone->is_movable)
            high += zone->high_bytes;
    }
    return MAX(FLOOR_MIN_BYTES, 2 * high);
}

guint64 online_kernel_free_bytes(const GArray *zones)
{
    guint64 above = 0;

    for (guint i = 0; i < zones->len; i++) {
        const ZoneStats *zone = &g_array_index(zones, ZoneStats, i);
        if (!zone->is_movable)
            above += zone->free_bytes - MIN(zone->free_bytes, zone->high_bytes);
    }
    return above;
}

guint64 online_plug_limit_bytes(const OnlineConfig *config, const GArray *zones,
                                guint64 page_size_bytes, guint64 block_size_bytes)
{
    guint64 spare = online_kernel_spare_bytes(zones);
    guint64 floor = online_floor_bytes(config, zones);
    guint64 described;

    if (block_size_bytes == 0 || spare <= floor)
        return 0;
    if (!u64_multiply(&described, spare - floor, page_size_bytes / PAGE_DESCRIPTOR_BYTES))
        described = G_MAXINT64;
    return described / block_size_bytes * block_size_bytes;
}

/* Hot-added memory in a kernel zone; RAM that a DIMM has from the boot on is hot-added too: ACPI
 * adds it, and to the kernel it is not "early". */
static gboolean is_late_kernel(const Snapshot *snapshot, const Block *block)
{
    const Device *device = snapshot_block_device(snapshot, block);

    return block->state == BLOCK_STATE_ONLINE && block->zone != ZONE_MOVABLE &&
           (device ? device->kind != DEVICE_BOOT : block->is_new);
}

OnlineRatioFigures online_zone_figures(const GArray *zones, int node)
{
    OnlineRatioFigures figures = {0, 0};

    for (guint i = 0; zones && i < zones->len; i++) {
        const ZoneStats *zone = &g_array_index(zones, ZoneStats, i);
        if (node >= 0 && zone->node != node)
            continue;
        if (zone->is_movable) {
            figures.movable_bytes += zone->present_bytes;
        } else {
            figures.kernel_early_bytes += zone->present_bytes - zone->cma_bytes;
            figures.movable_bytes += zone->cma_bytes;
        }
    }
    return figures;
}

OnlineRatioFigures online_ratio_figures(const Snapshot *snapshot, const GArray *zones, int node)
{
    OnlineRatioFigures figures = online_zone_figures(zones, node);
    guint64 late_bytes = 0;

    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];
        if ((node < 0 || block->node == node) && is_late_kernel(snapshot, block))
            late_bytes += snapshot->block_size_bytes;
    }
    figures.kernel_early_bytes -= MIN(figures.kernel_early_bytes, late_bytes);
    return figures;
}

gboolean online_ratio_allows(const OnlineRatioFigures *figures, guint64 ratio_percent)
{
    return figures->movable_bytes <= figures->kernel_early_bytes / 100 * ratio_percent +
                                         figures->kernel_early_bytes % 100 * ratio_percent / 100;
}
