/*
 * What a change means as ranges, the map, the figures and the target: pure functions of snapshots
 * that the tests write down.
 */
#include <string.h>

#include "decide/block-events.h"
#include "decide/target.h"
#include "system/figures.h"
#include "system/iomem.h"
#include "system/map.h"
#include "system/units.h"

#define BLOCK_SIZE (128 * MIB)

static const Device devices[] = {
    {.kind = DEVICE_BOOT, .id = "boot"},
    {.kind = DEVICE_DIMM, .id = "slot0"},
    {.kind = DEVICE_DIMM, .id = "slot1"},
};

#define BOOT(n)                                                                                    \
    {                                                                                              \
        .index = n, .inode = n, .state = BLOCK_STATE_ONLINE, .zone = ZONE_NORMAL                   \
    }
#define DIMM(n, i, d, s, z)                                                                        \
    {                                                                                              \
        .index = n, .inode = i, .device = d, .state = BLOCK_STATE_##s, .zone = ZONE_##z            \
    }

static Snapshot snapshot_of(const Block *blocks, guint n)
{
    return (Snapshot){.block_size_bytes = BLOCK_SIZE,
                      .block_count = n,
                      .device_count = G_N_ELEMENTS(devices),
                      .blocks = blocks,
                      .devices = devices};
}

#define SNAPSHOT(blocks) snapshot_of(blocks, G_N_ELEMENTS(blocks))

/* "ADDED 32+4 slot0; …" */
static char *events_text(const Snapshot *before, const Snapshot *now)
{
    g_autoptr(GArray) events = block_events_find(before, now);
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < events->len; i++) {
        const BlockEvent *event = &g_array_index(events, BlockEvent, i);

        g_string_append_printf(text, "%s%s %u+%u %s", i > 0 ? "; " : "",
                               block_event_name(event->kind) + strlen("MEMORY_"),
                               event->first_block, event->block_count,
                               *event->device ? event->device : "-");
        if (event->kind == BLOCKS_ONLINED)
            g_string_append_printf(text, " %s", zone_name(event->zone));
    }
    return g_string_free(text, FALSE);
}

static void check_events(const Snapshot *before, const Snapshot *now, const char *expected)
{
    g_autofree char *text = events_text(before, now);

    g_assert_cmpstr(text, ==, expected);
}

static void test_added(void)
{
    const Block before[] = {BOOT(0), BOOT(1)};
    const Block now[] = {BOOT(0),
                         BOOT(1),
                         DIMM(32, 5, 1, OFFLINE, NORMAL),
                         DIMM(33, 6, 1, ONLINE, MOVABLE),
                         DIMM(34, 7, 1, ONLINE, MOVABLE),
                         DIMM(35, 8, 2, OFFLINE, UNKNOWN),
                         DIMM(37, 9, 2, OFFLINE, UNKNOWN),
                         DIMM(38, 10, -1, OFFLINE, UNKNOWN)};
    Snapshot a = SNAPSHOT(before), b = SNAPSHOT(now);

    check_events(&a, &b,
                 "ADDED 32+3 slot0; ADDED 35+1 slot1; ADDED 37+1 slot1; ADDED 38+1 -; "
                 "ONLINED 33+2 slot0 Movable");
    check_events(&b, &a,
                 "OFFLINED 33+2 slot0; REMOVED 32+3 slot0; REMOVED 35+1 slot1; "
                 "REMOVED 37+1 slot1; REMOVED 38+1 -");
    check_events(&a, &a, "");
    Snapshot same = SNAPSHOT(now);
    check_events(&b, &same, "");
}

static void test_state(void)
{
    const Block before[] = {
        DIMM(32, 5, 1, OFFLINE, NORMAL),  DIMM(33, 6, 1, OFFLINE, NORMAL),
        DIMM(34, 7, 1, OFFLINE, NORMAL),  DIMM(35, 8, 1, ONLINE, MOVABLE),
        DIMM(36, 9, 1, ONLINE, MOVABLE),  DIMM(37, 10, 1, ONLINE, NORMAL),
        DIMM(38, 11, 1, ONLINE, MOVABLE), DIMM(39, 12, 1, ONLINE, UNKNOWN),
    };
    const Block now[] = {
        DIMM(32, 5, 1, ONLINE, MOVABLE),        DIMM(33, 6, 1, ONLINE, MOVABLE),
        DIMM(34, 7, 1, ONLINE, NORMAL),         DIMM(35, 8, 1, OFFLINE, NORMAL),
        DIMM(36, 9, 1, GOING_OFFLINE, MOVABLE), DIMM(37, 10, 1, ONLINE, MOVABLE),
        DIMM(38, 11, 1, UNKNOWN, UNKNOWN),      DIMM(39, 12, 1, ONLINE, MOVABLE),
    };
    Snapshot a = SNAPSHOT(before), b = SNAPSHOT(now);

    check_events(&a, &b,
                 "OFFLINED 35+1 slot0; OFFLINED 37+2 slot0; "
                 "ONLINED 32+2 slot0 Movable; ONLINED 34+1 slot0 Normal; "
                 "ONLINED 37+1 slot0 Movable");
}

/* A new DIMM at an old address, within one wakeup. */
static void test_replaced(void)
{
    const Block before[] = {DIMM(32, 5, 1, ONLINE, MOVABLE), DIMM(33, 6, 1, OFFLINE, NORMAL)};
    const Block now[] = {DIMM(32, 15, 2, ONLINE, NORMAL), DIMM(33, 16, 2, OFFLINE, NORMAL)};
    Snapshot a = SNAPSHOT(before), b = SNAPSHOT(now);

    check_events(&a, &b,
                 "OFFLINED 32+1 slot0; REMOVED 32+2 slot0; ADDED 32+2 slot1; "
                 "ONLINED 32+1 slot1 Normal");
}

static void test_map(void)
{
    const Block blocks[] = {
        BOOT(0),
        BOOT(1),
        BOOT(3),
        DIMM(32, 5, 1, OFFLINE, NORMAL),
        DIMM(33, 6, 1, OFFLINE, MOVABLE), /* its default zone is no difference */
        DIMM(34, 7, 1, ONLINE, MOVABLE),
        DIMM(35, 8, 2, ONLINE, MOVABLE),
        DIMM(36, 9, 2, ONLINE, SEVERAL),
        DIMM(37, 10, -1, UNKNOWN, UNKNOWN),
    };
    Snapshot snapshot = SNAPSHOT(blocks);
    g_autoptr(GString) text = g_string_new(NULL);
    MapRun run;

    for (guint32 i = 0; map_run_at(&snapshot, i, &run); i += run.block_count)
        g_string_append_printf(text, "%u+%u %s %s %d %s\n", run.first_block, run.block_count,
                               block_state_name(run.state), zone_name(run.zone), run.node,
                               run.device ? run.device->id : "-");
    g_assert_cmpstr(text->str, ==,
                    "0+2 online Normal 0 boot\n"
                    "3+1 online Normal 0 boot\n"
                    "32+2 offline none 0 slot0\n"
                    "34+1 online Movable 0 slot0\n"
                    "35+1 online Movable 0 slot1\n"
                    "36+1 online none 0 slot1\n"
                    "37+1 unknown none 0 -\n");
    Snapshot empty = snapshot_of(NULL, 0);
    g_assert_false(map_run_at(&empty, 0, &run));
}

static void test_figures(void)
{
    const Block blocks[] = {BOOT(0),
                            BOOT(1),
                            DIMM(2, 3, 0, OFFLINE, NORMAL),
                            DIMM(32, 5, 1, ONLINE, MOVABLE),
                            DIMM(33, 6, 1, GOING_OFFLINE, MOVABLE),
                            DIMM(34, 7, -1, ONLINE, SEVERAL)};
    Snapshot snapshot = SNAPSHOT(blocks);
    Figures figures = figures_of(&snapshot);

    g_assert_cmpuint(figures.at_boot_bytes, ==, 3 * BLOCK_SIZE);
    g_assert_cmpuint(figures.online_movable_bytes, ==, BLOCK_SIZE);
    g_assert_cmpuint(figures.online_kernel_bytes, ==, 3 * BLOCK_SIZE);
    g_assert_cmpuint(figures.offline_bytes, ==, 2 * BLOCK_SIZE);
    g_assert_cmpuint(figures.present_bytes, ==, 6 * BLOCK_SIZE);
    g_assert_cmpuint(figures_current_bytes(&figures), ==, 4 * BLOCK_SIZE);
    figures.balloon_bytes = 3 * BLOCK_SIZE;
    g_assert_cmpuint(figures_current_bytes(&figures), ==, BLOCK_SIZE);
    figures.balloon_bytes = 5 * BLOCK_SIZE;
    g_assert_cmpuint(figures_current_bytes(&figures), ==, 0);

    /* Block 1 has a hole, block 2 is offline; a DIMM's RAM counts as a whole. */
    g_autoptr(GArray) ram = g_array_new(FALSE, TRUE, sizeof(IomemRange));
    const IomemRange parts[] = {{.start = 0, .last = BLOCK_SIZE + MIB - 1},
                                {.start = BLOCK_SIZE + 3 * MIB, .last = 3 * BLOCK_SIZE - 1},
                                {.start = 32 * BLOCK_SIZE, .last = 32 * BLOCK_SIZE + MIB}};
    g_array_append_vals(ram, parts, G_N_ELEMENTS(parts));
    snapshot.ram = ram;
    figures = figures_of(&snapshot);
    g_assert_cmpuint(figures.at_boot_bytes, ==, 3 * BLOCK_SIZE - 2 * MIB);
    g_assert_cmpuint(figures_current_bytes(&figures), ==, 4 * BLOCK_SIZE - 2 * MIB);
    g_assert_cmpuint(figures.online_kernel_bytes, ==, 3 * BLOCK_SIZE);
}

static void test_target(void)
{
    Target target = {0};

    g_assert_false(target_update(&target, 0, BLOCK_SIZE)); /* not set */
    target_set(&target, 2 * GIB);
    g_assert_false(target_update(&target, GIB, BLOCK_SIZE));
    g_assert_false(target_update(&target, 2 * GIB - BLOCK_SIZE, BLOCK_SIZE));
    g_assert_true(target_update(&target, 2 * GIB, BLOCK_SIZE));
    g_assert_false(target_update(&target, 2 * GIB, BLOCK_SIZE)); /* once */
    target_set(&target, 1400 * MIB);
    g_assert_false(target_update(&target, 1536 * MIB, BLOCK_SIZE));
    g_assert_true(target_update(&target, 1408 * MIB, BLOCK_SIZE)); /* oVirt's own example */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/block-events/added-and-removed", test_added);
    g_test_add_func("/block-events/state-and-zone", test_state);
    g_test_add_func("/block-events/replaced", test_replaced);
    g_test_add_func("/map/runs", test_map);
    g_test_add_func("/figures/sums", test_figures);
    g_test_add_func("/target/reached-once", test_target);
    return g_test_run();
}
