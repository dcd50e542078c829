/*
 * Reads what warnings are made of, each time anew: none of it announces that it changes.
 */
#include "front/warnings-gather.h"

#include <unistd.h>

#include "front/agent-private.h"
#include "system/acpi-memory.h"
#include "system/udev-rules.h"
#include "system/zone-stats.h"

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
    g_autoptr(GArray) zones = zone_stats_read(agent->io);
    WarningInput input = {.snapshot = snapshot,
                          .zones = zones,
                          /* A tree is only looked at, but as its own daemon would see it. */
                          .config = agent->options->sysroot ? &agent->options->settings->online
                                                            : onliner_config(agent->onliner),
                          .auto_online_blocks = auto_online,
                          .is_auto_online_ours =
                              onliner_owns_auto_online(agent->onliner, auto_online),
                          .balloon = balloon_read(agent->io, page_size_bytes),
                          .udev_rules = rules,
                          .blockless = blockless,
                          .is_held = unplugger_is_held,
                          .user_data = agent->unplugger};

    if (is_being_added(snapshot))
        g_array_set_size(blockless, 0);
    return warnings_find(&input);
}
