/*
 * Reads each part by its own reader, each time anew: none of it announces that it changes.
 */
#include "system/setup.h"

#include <unistd.h>

#include "system/acpi-memory.h"
#include "system/block.h"
#include "system/virtio-mem.h"
#include "system/zone-stats.h"

#define ONLINE_POLICY_PATH "sys/module/memory_hotplug/parameters/online_policy"

static void read_word(const AttrIo *io, const char *path, char word[SETUP_WORD_MAX])
{
    if (attr_read_line(io, path, word, SETUP_WORD_MAX) < 0)
        word[0] = '\0';
}

Setup *setup_read(const AttrIo *io)
{
    Setup *setup = g_new0(Setup, 1);

    setup->rules = udev_rules_read(io);
    setup->blockless = acpi_memory_find_blockless(io);
    setup->zones = zone_stats_read(io);
    setup->driverless = virtio_mem_find_driverless(io);
    setup->balloon = balloon_read(io, (guint64)sysconf(_SC_PAGESIZE));
    read_word(io, BLOCK_DIR "/auto_online_blocks", setup->auto_online_blocks);
    read_word(io, ONLINE_POLICY_PATH, setup->online_policy);
    return setup;
}

void setup_free(Setup *setup)
{
    if (!setup)
        return;
    udev_rules_free(setup->rules);
    g_array_unref(setup->blockless);
    g_clear_pointer(&setup->zones, g_array_unref);
    g_free(setup->driverless);
    g_free(setup);
}
