/*
 * Warnings: each says what is so, and what it prevents.
 */
#include "decide/warnings.h"

#include "ground/units.h"

static void warning_free(gpointer data)
{
    Warning *warning = data;

    g_free(warning->desc);
    g_free(warning);
}

static void add(GPtrArray *warnings, const char *code, char *desc)
{
    Warning *warning = g_new(Warning, 1);

    *warning = (Warning){.code = code, .desc = desc};
    g_ptr_array_add(warnings, warning);
}

static gboolean is_hot_added(const Device *device)
{
    return device && (device->kind == DEVICE_DIMM || device->kind == DEVICE_VIRTIO_MEM);
}

static void find_kernel_zone(const WarningInput *input, GPtrArray *warnings)
{
    const Snapshot *snapshot = input->snapshot;

    for (guint32 i = 0; i < snapshot->device_count; i++) {
        const Device *device = &snapshot->devices[i];
        if (is_hot_added(device) && device->online_kernel_bytes > 0)
            add(warnings, "kernel-zone-blocks",
                g_strdup_printf("%s: %" G_GUINT64_FORMAT " of its %u blocks are online in a kernel "
                                "zone, so it cannot be unplugged",
                                device->id,
                                device->online_kernel_bytes / snapshot->block_size_bytes,
                                device->block_count));
    }
}

static void find_offline(const WarningInput *input, GPtrArray *warnings)
{
    const Snapshot *snapshot = input->snapshot;
    guint32 count = 0, first = 0;

    if (input->config->policy == ONLINE_POLICY_NONE)
        return;
    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];
        if (block->state != BLOCK_STATE_OFFLINE ||
            !is_hot_added(snapshot_block_device(snapshot, block)) ||
            input->is_held(block->index, block->inode, input->user_data))
            continue;
        if (count++ == 0)
            first = block->index;
    }
    if (count > 0)
        add(warnings, "offline-blocks",
            g_strdup_printf("%u blocks (the first is %u) are offline, and no job keeps them so",
                            count, first));
}

static void find_auto_online(const WarningInput *input, GPtrArray *warnings)
{
    const char *word = input->auto_online_blocks;

    if (input->is_auto_online_ours || input->config->policy == ONLINE_POLICY_KERNEL)
        return;
    if (g_str_equal(word, "online") || g_str_equal(word, "online_kernel"))
        add(warnings, "kernel-auto-online",
            g_strdup_printf("auto_online_blocks is '%s': the kernel onlines new memory by itself, "
                            "perhaps where it cannot be unplugged from",
                            word));
}

/* Much more movable memory than kernel memory starves the kernel of memory for itself. */
static void find_ratio(const WarningInput *input, GPtrArray *warnings)
{
    if (!input->zones || input->config->policy != ONLINE_POLICY_MOVABLE)
        return;
    OnlineRatioFigures figures = online_ratio_figures(input->snapshot, input->zones, -1);
    if (online_ratio_allows(&figures, input->config->movable_ratio))
        return;
    add(warnings, "movable-ratio",
        g_strdup_printf("%" G_GUINT64_FORMAT " MiB of movable memory are more than %" G_GUINT64_FORMAT
                        " percent of the %" G_GUINT64_FORMAT " MiB that the kernel has for itself: "
                        "it may run out of memory while much is free",
                        figures.movable_bytes / MIB, input->config->movable_ratio,
                        figures.kernel_early_bytes / MIB));
}

GPtrArray *warnings_find(const WarningInput *input)
{
    GPtrArray *warnings = g_ptr_array_new_with_free_func(warning_free);

    find_kernel_zone(input, warnings);
    find_offline(input, warnings);
    find_auto_online(input, warnings);
    find_ratio(input, warnings);
    return warnings;
}
