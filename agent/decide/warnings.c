/*
 * Warnings: each says what is so, and what it prevents.
 */
#include "decide/warnings.h"

#include <errno.h>
#include <string.h>

#include "system/acpi-memory.h"
#include "system/units.h"
#include "system/zone-stats.h"

/* A rule may be as long as udev lets it; a person needs to find it, not to read it here. */
#define RULE_TEXT_MAX 200

static void warning_free(gpointer data)
{
    Warning *warning = data;

    g_free(warning->desc);
    g_free(warning->cure);
    g_free(warning);
}

/* Takes DESC and CURE over. */
static Warning *add(GPtrArray *warnings, const char *code, char *desc, char *cure)
{
    Warning *warning = g_new(Warning, 1);

    *warning = (Warning){.code = code, .desc = desc, .cure = cure};
    g_ptr_array_add(warnings, warning);
    return warning;
}

static gboolean is_hot_added(const Device *device)
{
    return device && (device->kind == DEVICE_DIMM || device->kind == DEVICE_VIRTIO_MEM);
}

/* The best that can be said of DEVICE's misplaced blocks: one that moves counts before one that is
 * stuck. */
static BlockProgress device_progress(const WarningInput *input, gint32 device)
{
    const Snapshot *snapshot = input->snapshot;
    BlockProgress worst = BLOCK_STAYS;

    for (guint32 i = 0; input->progress && i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];
        if (block->device != device)
            continue;
        BlockProgress one = input->progress(block->index, block->inode, input->progress_data);
        if (one == BLOCK_MOVING)
            return one;
        worst = MAX(worst, one);
    }
    return worst;
}

/* For blocks that nothing moves; what is said of others names the cure itself. */
static char *kernel_zone_cure(const WarningInput *input)
{
    return input->is_daemon_up
               ? g_strdup("memplugctl policy movable --rezone=yes: memplugd then moves them")
               : g_strdup(
                     "systemctl start memplugd (with rezone=yes it moves them); where that has "
                     "failed: another DIMM, or memplugctl boot-policy movable and a "
                     "reboot");
}

static void find_kernel_zone(const WarningInput *input, GPtrArray *warnings)
{
    static const char *const ends[] = {
        [BLOCK_STAYS] = ", so it cannot be unplugged",
        [BLOCK_MOVING] = " and are being moved out of it: ask again in a minute",
        [BLOCK_STUCK] =
            " and could not be moved out of it, so it cannot be unplugged: unplug "
            "another DIMM, or memplugctl boot-policy movable in the guest and a reboot"};
    const Snapshot *snapshot = input->snapshot;

    for (guint32 i = 0; i < snapshot->device_count; i++) {
        const Device *device = &snapshot->devices[i];
        if (!is_hot_added(device) || device->online_kernel_bytes == 0)
            continue;
        gboolean is_dimm = device->kind == DEVICE_DIMM;
        BlockProgress progress = device_progress(input, (gint32)i);
        add(warnings, "kernel-zone-blocks",
            g_strdup_printf(
                "%s: %" G_GUINT64_FORMAT " of its %u blocks are online in a kernel zone%s",
                device->id, device->online_kernel_bytes / snapshot->block_size_bytes,
                device->block_count,
                is_dimm ? ends[progress] : ", and what the kernel keeps there cannot be unplugged"),
            is_dimm && progress == BLOCK_STAYS ? kernel_zone_cure(input) : NULL);
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
            (input->is_held && input->is_held(block->index, block->inode, input->held_data)))
            continue;
        if (count++ == 0)
            first = block->index;
    }
    if (count == 0)
        return;
    Warning *warning = add(
        warnings, "offline-blocks",
        g_strdup_printf("%u blocks (the first is %u) are offline, and no job keeps them so", count,
                        first),
        g_strdup_printf("echo online_movable >/" BLOCK_DIR "/memory%u/state, and so on", first));
    warning->is_note = TRUE;
}

static void find_auto_online(const WarningInput *input, GPtrArray *warnings)
{
    const char *word = input->setup->auto_online_blocks;

    if (input->is_auto_online_ours || input->config->policy == ONLINE_POLICY_KERNEL ||
        input->config->policy == ONLINE_POLICY_NONE)
        return;
    /* With this policy plain "online" means movable, as far as the kernel's ratio lets it. */
    if (g_str_equal(word, "online") && g_str_equal(input->setup->online_policy, "auto-movable"))
        return;
    if (g_str_equal(word, "online") || g_str_equal(word, "online_kernel"))
        add(warnings, "kernel-auto-online",
            g_strdup_printf("auto_online_blocks is '%s': the kernel onlines new memory by itself, "
                            "perhaps where it cannot be unplugged from",
                            word),
            g_strdup_printf(
                "%s; without memplugd: echo online_movable >/" BLOCK_DIR "/auto_online_blocks",
                input->is_daemon_up ? "systemctl restart memplugd" : "systemctl start memplugd"));
}

/* Much more movable memory than kernel memory starves the kernel of memory for itself. */
static void find_ratio(const WarningInput *input, GPtrArray *warnings)
{
    if (!input->setup->zones || input->config->policy != ONLINE_POLICY_MOVABLE)
        return;
    /* What was added to the kernel's zones later counts as much as what was there at the boot. */
    OnlineRatioFigures figures = online_zone_figures(input->setup->zones, -1);
    if (online_ratio_allows(&figures, input->config->movable_ratio))
        return;
    char movable[UNITS_BYTES_MAX], kernel[UNITS_BYTES_MAX];
    add(warnings, "movable-ratio",
        g_strdup_printf("%s of movable memory are more than %" G_GUINT64_FORMAT
                        " percent of the %s that the kernel has for itself: "
                        "it may run out of memory while much is free",
                        units_format_bytes(figures.movable_bytes, movable),
                        input->config->movable_ratio,
                        units_format_bytes(figures.kernel_early_bytes, kernel)),
        g_strdup("policy=auto in /etc/memplug/memplugd.conf, or more boot memory"));
}

static void find_balloon(const WarningInput *input, GPtrArray *warnings)
{
    const Balloon *balloon = &input->setup->balloon;
    char held[UNITS_BYTES_MAX];

    if (!balloon->driver || (balloon->is_counted && balloon->held_bytes == 0))
        return;
    g_autofree char *figure =
        balloon->is_counted
            ? g_strdup_printf("it holds %s now", units_format_bytes(balloon->held_bytes, held))
            : g_strdup("how much it holds cannot be told");
    Warning *warning =
        add(warnings, "balloon-driver",
            g_strdup_printf("the balloon driver %s is in use (%s): what it takes is missing when "
                            "blocks have to be emptied; use it or memory hot-unplug, not both",
                            balloon->driver, figure),
            NULL);
    warning->is_note = TRUE;
}

static void find_driverless(const WarningInput *input, GPtrArray *warnings)
{
    const char *name = input->setup->driverless;

    if (name)
        add(warnings, "virtio-mem-no-driver",
            g_strdup_printf("no driver has the virtio-mem device %s, so the guest gets none of its "
                            "memory",
                            name),
            g_strdup("modprobe virtio_mem; where there is no such module, a kernel with "
                     "CONFIG_VIRTIO_MEM; where its probe fails, dmesg says why"));
}

/* The kernel starves though much is free that it cannot use. Half of the floor, as that much is
 * left to the guest where the floor is kept. */
static void find_kernel_memory(const WarningInput *input, GPtrArray *warnings)
{
    const GArray *zones = input->setup->zones;
    guint64 movable_bytes = 0;
    char spare_text[UNITS_BYTES_MAX], floor_text[UNITS_BYTES_MAX], movable_text[UNITS_BYTES_MAX];

    for (guint i = 0; zones && i < zones->len; i++) {
        const ZoneStats *zone = &g_array_index(zones, ZoneStats, i);
        if (zone->is_movable)
            movable_bytes += zone->free_bytes;
    }
    guint64 spare = online_kernel_spare_bytes(zones);
    guint64 floor = online_floor_bytes(input->config, zones);
    if (spare >= floor / 2 || movable_bytes < floor)
        return;
    add(warnings, "kernel-memory-low",
        g_strdup_printf("the kernel's own zones have %s to spare and should have %s, while %s of "
                        "movable memory are free, which the kernel cannot use for itself: it may "
                        "kill processes for want of memory",
                        units_format_bytes(spare, spare_text),
                        units_format_bytes(floor, floor_text),
                        units_format_bytes(movable_bytes, movable_text)),
        g_strdup("on the host, plug a DIMM: memplugd gives it to the kernel's zones "
                 "(kernel-floor-bytes); for good, more boot memory or policy=auto"));
}

static void find_no_hotplug(const WarningInput *input, GPtrArray *warnings)
{
    const Snapshot *snapshot = input->snapshot;

    if (snapshot->fault)
        add(warnings, "no-memory-hotplug",
            g_strdup_printf("%s (/%s: %s), so no memory can be added or taken back",
                            snapshot->fault == ENOENT ? "the kernel shows no memory blocks"
                                                      : "the memory blocks cannot be looked after",
                            snapshot->fault_path, g_strerror(snapshot->fault)),
            snapshot->fault == ENOENT
                ? g_strdup("boot a kernel with CONFIG_MEMORY_HOTPLUG")
                : g_strdup_printf("let memplugd read /%s", snapshot->fault_path));
}

/* --- udev's rules --- */

/* With memplug's own rule in front, one does not decide about new memory. */
static gboolean is_beaten(const UdevRules *rules, const UdevMemoryRule *rule)
{
    return rules->is_own_in_force && strcmp(rule->name, UDEV_OWN_RULES) > 0;
}

/* TEXT for a shell, in quotes only where it needs them. (transfer full) */
static char *shell_word(const char *text)
{
    return text[strspn(text, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "/._-+")] == '\0'
               ? g_strdup(text)
               : g_shell_quote(text);
}

/* What writes, in a rule whose LABEL or GOTO must stay; "==" is not in it. */
#define WRITING_KEY                                                                                \
    "\\(ATTR{state}\\|ATTR{online}\\|RUN\\|RUN{program}\\|PROGRAM\\) *[+:]*= *\"[^\"]*\""

/* Takes the lines that online memory out of RULE's file and leaves the rest of it in force: other
 * lines of it may well be for CPUs. */
static char *rule_cure(const UdevRules *rules, const UdevMemoryRule *rule)
{
    g_autoptr(GString) lines = g_string_new(NULL);
    g_autofree char *path = shell_word(rule->path), *name = shell_word(rule->name);

    for (guint i = 0; i < rules->onlining->len; i++) {
        const UdevMemoryRule *other = rules->onlining->pdata[i];
        if (other->is_movable || !g_str_equal(other->path, rule->path))
            continue;
        g_string_append_printf(lines, "%s%u", lines->len > 0 ? ";" : "", other->first);
        if (other->last > other->first)
            g_string_append_printf(lines, ",%u", other->last);
        g_string_append(lines, other->is_needed ? "s/" WRITING_KEY "//g" : "d");
    }
    return g_str_has_prefix(rule->path, "/etc/udev/rules.d/")
               ? g_strdup_printf("sed -i '%s' %s && udevadm control --reload", lines->str, path)
               : g_strdup_printf("sed '%s' %s >/etc/udev/rules.d/%s && udevadm control --reload",
                                 lines->str, path, name);
}

static void add_rule(const UdevRules *rules, const UdevMemoryRule *rule, GPtrArray *warnings)
{
    g_autofree char *text = g_utf8_make_valid(rule->text, MIN(strlen(rule->text), RULE_TEXT_MAX));
    g_autofree char *writes = udev_memory_rule_writes(rule);
    const char *verb = rule->is_certain ? "brings" : "may bring";
    const char *by = rule->is_program ? "running a program that writes" : "writing";
    gboolean is_note = is_beaten(rules, rule);
    char *desc =
        g_strdup_printf("%s, line %u, %s memory online by %s %s to its state, %s: %s", rule->path,
                        rule->first, verb, by, writes,
                        is_note ? "too late for new memory, as " UDEV_OWN_RULES " comes first, but "
                                  "'udevadm trigger' undoes with it what a job has prepared"
                                : "perhaps where it cannot be unplugged from",
                        text);

    add(warnings, "udev-rule", desc, rule_cure(rules, rule))->is_note = is_note;
}

static void find_udev_rules(const WarningInput *input, GPtrArray *warnings)
{
    const UdevRules *rules = input->setup->rules;

    if (input->config->policy == ONLINE_POLICY_NONE)
        return; /* somebody has to do it */
    for (guint i = 0; i < rules->onlining->len; i++) {
        const UdevMemoryRule *rule = rules->onlining->pdata[i];
        if (!rule->is_movable && !g_str_equal(rule->name, UDEV_OWN_RULES))
            add_rule(rules, rule, warnings);
    }
    for (guint i = 0; i < rules->unreadable->len; i++) {
        Warning *warning = add(warnings, "udev-rule",
                               g_strdup_printf("%s: whether it brings memory online is not known",
                                               (const char *)rules->unreadable->pdata[i]),
                               g_strdup("memplugctl doctor, as root"));
        warning->is_note = TRUE;
    }
}

/* --- DIMMs that the kernel did not take --- */

/* A DIMM's blocks are there before it is known that they are a DIMM's. */
static gboolean is_being_added(const Snapshot *snapshot)
{
    for (guint32 i = 0; i < snapshot->block_count; i++) {
        if (snapshot->blocks[i].device < 0)
            return TRUE;
    }
    return FALSE;
}

/* Whether blocks are linked to the ACPI device NAME ("PNP0C80:0a") after all. */
static gboolean has_blocks(const Snapshot *snapshot, const char *name)
{
    const char *number = strchr(name, ':');

    for (guint32 i = 0; number && i < snapshot->device_count; i++) {
        const Device *device = &snapshot->devices[i];
        if (device->kind == DEVICE_DIMM &&
            device->acpi_number == g_ascii_strtoull(number + 1, NULL, 16))
            return TRUE;
    }
    return FALSE;
}

static void find_blockless(const WarningInput *input, GPtrArray *warnings)
{
    const GArray *blockless = input->setup->blockless;
    char size[UNITS_BYTES_MAX];

    units_format_bytes(input->snapshot->block_size_bytes, size);
    for (guint i = 0;
         i < blockless->len && !is_being_added(input->snapshot) && !input->snapshot->fault; i++) {
        const AcpiMemory *memory = &g_array_index(blockless, AcpiMemory, i);
        if (has_blocks(input->snapshot, memory->name))
            continue;
        g_autofree char *slot =
            memory->slot >= 0 ? g_strdup_printf("slot %d", memory->slot) : g_strdup(memory->name);

        add(warnings, "unusable-dimm",
            g_strdup_printf("the DIMM in %s has no memory blocks: its address and size must be "
                            "multiples of %s, or the kernel does not take it",
                            slot, size),
            g_strdup_printf("on the host, plug DIMMs in multiples of %s", size));
    }
}

GPtrArray *warnings_find(const WarningInput *input)
{
    GPtrArray *warnings = g_ptr_array_new_with_free_func(warning_free);

    find_no_hotplug(input, warnings);
    find_kernel_zone(input, warnings);
    find_offline(input, warnings);
    find_auto_online(input, warnings);
    find_ratio(input, warnings);
    find_kernel_memory(input, warnings);
    find_balloon(input, warnings);
    find_driverless(input, warnings);
    find_udev_rules(input, warnings);
    find_blockless(input, warnings);
    return warnings;
}
