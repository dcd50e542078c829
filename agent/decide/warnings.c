/*
 * Warnings: each says what is so, and what it prevents.
 */
#include "decide/warnings.h"

#include <string.h>

#include "system/acpi-memory.h"
#include "system/udev-rules.h"
#include "system/units.h"

/* A rule may be as long as udev lets it; a person needs to find it, not to read it here. */
#define RULE_TEXT_MAX 200

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

    if (input->is_auto_online_ours || input->config->policy == ONLINE_POLICY_KERNEL ||
        input->config->policy == ONLINE_POLICY_NONE)
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
        g_strdup_printf("%" G_GUINT64_FORMAT
                        " MiB of movable memory are more than %" G_GUINT64_FORMAT
                        " percent of the %" G_GUINT64_FORMAT " MiB that the kernel has for itself: "
                        "it may run out of memory while much is free",
                        figures.movable_bytes / MIB, input->config->movable_ratio,
                        figures.kernel_early_bytes / MIB));
}

static void find_balloon(const WarningInput *input, GPtrArray *warnings)
{
    char held[UNITS_BYTES_MAX];

    if (input->balloon.driver)
        add(warnings, "balloon-driver",
            g_strdup_printf("the balloon driver %s is in use (it holds %s now): what it takes is "
                            "missing when blocks have to be emptied; use it or memory hot-unplug, "
                            "not both",
                            input->balloon.driver,
                            units_format_bytes(input->balloon.held_bytes, held)));
}

static void find_udev_rules(const WarningInput *input, GPtrArray *warnings)
{
    if (input->config->policy == ONLINE_POLICY_NONE)
        return; /* somebody has to do it */
    for (guint i = 0; i < input->udev_rules->len; i++) {
        const UdevMemoryRule *rule = input->udev_rules->pdata[i];

        if (g_str_equal(rule->writes, "online_movable"))
            continue;
        g_autofree char *text =
            g_utf8_make_valid(rule->text, MIN(strlen(rule->text), RULE_TEXT_MAX));
        add(warnings, "udev-rule",
            g_strdup_printf("%s, line %u, brings memory online by writing %s to its state, perhaps "
                            "where it cannot be unplugged from; remove the rule: %s",
                            rule->path, rule->line, rule->writes, text));
    }
}

static void find_blockless(const WarningInput *input, GPtrArray *warnings)
{
    char size[UNITS_BYTES_MAX];

    for (guint i = 0; i < input->blockless->len; i++) {
        const AcpiMemory *memory = &g_array_index(input->blockless, AcpiMemory, i);
        g_autofree char *slot =
            memory->slot >= 0 ? g_strdup_printf("slot %d", memory->slot) : g_strdup(memory->name);

        add(warnings, "unusable-dimm",
            g_strdup_printf("the DIMM in %s has no memory blocks: its address and size must be "
                            "multiples of %s, or the kernel does not take it",
                            slot, units_format_bytes(input->snapshot->block_size_bytes, size)));
    }
}

GPtrArray *warnings_find(const WarningInput *input)
{
    GPtrArray *warnings = g_ptr_array_new_with_free_func(warning_free);

    find_kernel_zone(input, warnings);
    find_offline(input, warnings);
    find_auto_online(input, warnings);
    find_ratio(input, warnings);
    find_balloon(input, warnings);
    find_udev_rules(input, warnings);
    find_blockless(input, warnings);
    return warnings;
}
