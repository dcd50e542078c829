/*
 * Reads what warnings are made of, each time anew: none of it announces that it changes.
 */
#include "wiring/warnings-gather.h"

#include <unistd.h>

#include "model/acpi-memory.h"
#include "model/udev-rules.h"
#include "wiring/agent-private.h"

#define MOVABLE_RATIO_PATH "sys/module/memory_hotplug/parameters/auto_movable_ratio"
/* The kernel's default (mm/memory_hotplug.c), for kernels before 5.16, which lack the parameter. */
#define MOVABLE_RATIO_PERCENT 301

/* A DIMM's blocks are there before it is known that they are a DIMM's. */
static gboolean is_being_added(const Snapshot *snapshot)
{
    for (guint32 i = 0; i < snapshot->block_count; i++) {
        if (snapshot->blocks[i].device < 0)
            return TRUE;
    }
    return FALSE;
}

GPtrArray *warnings_gather(const Agent *agent, const char *auto_online)
{
    const Snapshot *snapshot = model_keeper_snapshot(agent->keeper);
    guint64 page_size_bytes = (guint64)sysconf(_SC_PAGESIZE);
    g_autoptr(GPtrArray) rules = udev_rules_find(agent->io);
    g_autoptr(GArray) blockless = acpi_memory_find_blockless(agent->io);
    Zoneinfo zoneinfo;
    WarningInput input = {.snapshot = snapshot,
                          /* A tree is only looked at, but as its guest would see it. */
                          .policy = agent->options->sysroot ? agent->options->settings->policy
                                                            : onliner_policy(agent->onliner),
                          .auto_online_blocks = auto_online,
                          .balloon = balloon_read(agent->io, page_size_bytes),
                          .udev_rules = rules,
                          .blockless = blockless,
                          .is_held = unplugger_is_held,
                          .user_data = agent->unplugger};

    if (zoneinfo_read(agent->io, page_size_bytes, &zoneinfo) == 0)
        input.zoneinfo = &zoneinfo;
    if (attr_read_uint64(agent->io, MOVABLE_RATIO_PATH, 10, &input.movable_ratio_percent) < 0)
        input.movable_ratio_percent = MOVABLE_RATIO_PERCENT;
    if (is_being_added(snapshot))
        g_array_set_size(blockless, 0);
    return warnings_find(&input);
}
