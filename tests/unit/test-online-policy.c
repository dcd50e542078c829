/*
 * The online policy as tables: what each policy says of each kind of block, the floor, and the
 * kernel's auto-movable arithmetic on figures worked out by hand.
 */
#include "decide/online-policy.h"
#include "fake-kernel.h"
#include "system/units.h"
#include "system/zone-stats.h"

#define BLOCK_BYTES (128 * MIB)

typedef struct {
    FakeKernel *fake;
    AttrIo *io;
    Snapshot *snapshot;
    GArray *zones;
} World;

static void add_zone(World *world, gboolean is_movable, guint64 present_bytes, guint64 free_bytes)
{
    ZoneStats zone = {
        .is_movable = is_movable, .present_bytes = present_bytes, .free_bytes = free_bytes};

    g_array_append_val(world->zones, zone);
}

/* 1 GiB of boot RAM (blocks 0 to 7), all of it to spare. */
static World world_new(void)
{
    World world = {.fake = fake_kernel_new(BLOCK_BYTES)};

    world.io = fake_kernel_io(world.fake);
    world.zones = g_array_new(FALSE, FALSE, sizeof(ZoneStats));
    fake_kernel_add_boot(world.fake, 0, 8);
    add_zone(&world, FALSE, GIB, GIB);
    return world;
}

static void world_clear(World *world)
{
    g_assert_cmpuint(fake_kernel_traps(world->fake), ==, 0);
    snapshot_unref(world->snapshot);
    g_array_unref(world->zones);
    attr_io_free(world->io);
    fake_kernel_free(world->fake);
}

/* Lets the policy decide about every block; returns one letter a step: m, k, or f for the floor. */
static char *decide(World *world, const OnlineConfig *config)
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(guint32));
    GString *letters = g_string_new(NULL);

    g_clear_pointer(&world->snapshot, snapshot_unref);
    world->snapshot = snapshot_scan(world->io, NULL);
    for (guint32 i = 0; i < world->snapshot->block_count; i++)
        g_array_prepend_val(all, world->snapshot->blocks[i].index); /* any order will do */
    if (all->len > 0)
        g_array_append_val(all, world->snapshot->blocks[0].index); /* and repeats */
    OnlineWorld online = {
        .snapshot = world->snapshot, .zones = world->zones, .is_numa_aware = TRUE};
    g_autoptr(GArray) steps =
        online_policy_decide(config, &online, (const guint32 *)all->data, all->len, NULL);
    guint32 last = 0;
    for (guint i = 0; i < steps->len; i++) {
        const OnlineStep *step = &g_array_index(steps, OnlineStep, i);
        g_assert_cmpuint(step->index, >, last);
        last = step->index;
        g_string_append_c(letters, step->is_floor                              ? 'f'
                                   : g_str_equal(step->verb, "online_movable") ? 'm'
                                                                               : 'k');
    }
    return g_string_free(letters, FALSE);
}

static void test_each_policy(void)
{
    static const struct {
        OnlinePolicy policy;
        const char *expected;
    } table[] = {
        {ONLINE_POLICY_MOVABLE, "mmmmm"},
        {ONLINE_POLICY_KERNEL, "kkkkk"},
        {ONLINE_POLICY_AUTO, "mmmmm"},
        {ONLINE_POLICY_NONE, ""},
    };

    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        World world = world_new();
        OnlineConfig config = {.policy = table[i].policy, .movable_ratio = 301};
        fake_kernel_add_dimm(world.fake, 0, 40, 2);
        fake_kernel_add_virtio_mem(world.fake, 0, 60, 8, 3);
        /* Another driver's, online or not, and boot RAM that somebody took offline. */
        fake_kernel_add_block(world.fake, 90);
        fake_kernel_set_node(world.fake, 90, 0);
        fake_kernel_set_firmware_node(world.fake, 90, "../../LNXSYSTM:00/ACPI0012:00");
        fake_kernel_set_state(world.fake, 3, "offline", NULL);
        g_autofree char *letters = decide(&world, &config);
        g_assert_cmpstr(letters, ==, table[i].expected);
        OnlinePolicy parsed;
        g_assert_true(online_policy_parse(online_policy_name(table[i].policy), &parsed));
        g_assert_cmpint(parsed, ==, table[i].policy);
        world_clear(&world);
    }
    OnlinePolicy parsed;
    g_assert_false(online_policy_parse("Movable", &parsed));
}

static void test_floor(void)
{
    static const struct {
        OnlinePolicy policy;
        guint64 spare_mib, floor_mib;
        const char *expected; /* of two DIMMs of two blocks */
    } table[] = {
        {ONLINE_POLICY_MOVABLE, 64, 0, "mmmm"}, /* the default is 64 MiB */
        {ONLINE_POLICY_MOVABLE, 63, 0, "ffmm"}, /* the first lifts it above the floor */
        {ONLINE_POLICY_MOVABLE, 63, 32, "mmmm"}, {ONLINE_POLICY_MOVABLE, 63, 600, "ffff"},
        {ONLINE_POLICY_AUTO, 63, 0, "ffmm"},     {ONLINE_POLICY_KERNEL, 63, 0, "kkkk"},
        {ONLINE_POLICY_NONE, 63, 0, ""},
    };

    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        World world = world_new();
        OnlineConfig config = {.policy = table[i].policy,
                               .movable_ratio = 301,
                               .kernel_floor_bytes = table[i].floor_mib * MIB};
        g_array_index(world.zones, ZoneStats, 0).free_bytes = table[i].spare_mib * MIB;
        fake_kernel_add_dimm(world.fake, 0, 40, 2);
        fake_kernel_add_dimm(world.fake, 1, 42, 2);
        g_autofree char *letters = decide(&world, &config);
        g_assert_cmpstr(letters, ==, table[i].expected);
        world_clear(&world);
    }
}

static void test_floor_figures(void)
{
    g_autoptr(GArray) zones = g_array_new(FALSE, TRUE, sizeof(ZoneStats));
    OnlineConfig config = {.policy = ONLINE_POLICY_MOVABLE};
    ZoneStats kernel = {.free_bytes = 10 * MIB, .file_bytes = 40 * MIB, .high_bytes = 50 * MIB};
    ZoneStats movable = {.is_movable = TRUE, .free_bytes = GIB, .high_bytes = GIB};

    g_array_append_val(zones, kernel);
    g_array_append_val(zones, movable);
    g_assert_cmpuint(online_kernel_spare_bytes(zones), ==, 30 * MIB);
    g_assert_cmpuint(online_floor_bytes(&config, zones), ==, 100 * MIB);
    g_assert_cmpuint(online_floor_bytes(&config, NULL), ==, 64 * MIB);
    g_assert_cmpuint(online_kernel_spare_bytes(NULL), ==, G_MAXUINT64);
    config.kernel_floor_bytes = 7;
    g_assert_cmpuint(online_floor_bytes(&config, zones), ==, 7);
}

static void test_plug_limit(void)
{
    g_autoptr(GArray) zones = g_array_new(FALSE, TRUE, sizeof(ZoneStats));
    OnlineConfig config = {.policy = ONLINE_POLICY_MOVABLE};
    ZoneStats dma = {.free_bytes = 2 * MIB, .high_bytes = 3 * MIB};
    ZoneStats normal = {.free_bytes = 100 * MIB, .file_bytes = 20 * MIB, .high_bytes = 10 * MIB};
    ZoneStats movable = {.is_movable = TRUE, .free_bytes = GIB, .high_bytes = MIB};

    g_array_append_val(zones, dma);
    g_array_append_val(zones, normal);
    g_array_append_val(zones, movable);
    g_assert_cmpuint(online_kernel_free_bytes(zones), ==, 90 * MIB);
    /* 2 + 100 + 10 MiB to spare, and a floor of 64 MiB: descriptors of 48 MiB. */
    g_assert_cmpuint(online_plug_limit_bytes(&config, zones, 4 * KIB, 128 * MIB), ==, 3 * GIB);
    g_assert_cmpuint(online_plug_limit_bytes(&config, zones, 64 * KIB, 512 * MIB), ==, 48 * GIB);
    g_assert_cmpuint(online_plug_limit_bytes(&config, zones, 4 * KIB, 2 * GIB), ==, 2 * GIB);
    g_assert_cmpuint(online_plug_limit_bytes(&config, zones, 4 * KIB, 0), ==, 0);
    config.kernel_floor_bytes = 112 * MIB;
    g_assert_cmpuint(online_plug_limit_bytes(&config, zones, 4 * KIB, 128 * MIB), ==, 0);
    config.kernel_floor_bytes = G_MAXUINT64;
    g_assert_cmpuint(online_plug_limit_bytes(&config, zones, 4 * KIB, 128 * MIB), ==, 0);
}

static void test_auto_whole_devices(void)
{
    static const struct {
        guint64 ratio;
        const char *expected; /* 4 DIMMs: 8, 16, 2, 1 blocks; 8 blocks of early memory */
    } table[] = {
        {100, "mmmmmmmmkkkkkkkkkkkkkkkkkkk"}, {99, "kkkkkkkkkkkkkkkkkkmmm"},
        {300, "mmmmmmmmmmmmmmmmmmmmmmmmkkk"}, {301, "mmmmmmmmmmmmmmmmmmmmmmmmkkk"},
        {338, "mmmmmmmmmmmmmmmmmmmmmmmmmmm"}, {1, "kkkkkkkkkkkkkkkkkkkkkkkkkkk"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        World world = world_new();
        OnlineConfig config = {.policy = ONLINE_POLICY_AUTO, .movable_ratio = table[i].ratio};
        fake_kernel_add_dimm(world.fake, 0, 40, 8);
        fake_kernel_add_dimm(world.fake, 1, 48, table[i].ratio == 99 ? 10 : 16);
        fake_kernel_add_dimm(world.fake, 2, 64, 2);
        fake_kernel_add_dimm(world.fake, 3, 66, 1);
        g_autofree char *letters = decide(&world, &config);
        g_assert_cmpstr(letters, ==, table[i].expected);
        world_clear(&world);
    }
}

/* Hot-added kernel memory is in the zone's figures, and does not count. */
static void test_auto_kernel_early(void)
{
    World world = world_new();
    OnlineConfig config = {.policy = ONLINE_POLICY_AUTO, .movable_ratio = 100};

    fake_kernel_add_dimm(world.fake, 0, 40, 8);
    for (guint32 i = 40; i < 48; i++)
        fake_kernel_set_state(world.fake, i, "online", "Normal");
    g_array_index(world.zones, ZoneStats, 0).present_bytes = 2 * GIB;
    fake_kernel_add_dimm(world.fake, 1, 50, 9);
    g_autofree char *nine = decide(&world, &config);
    g_assert_cmpstr(nine, ==, "kkkkkkkkk");
    fake_kernel_remove_dimm(world.fake, 1);
    fake_kernel_add_dimm(world.fake, 2, 70, 8);
    g_autofree char *eight = decide(&world, &config);
    g_assert_cmpstr(eight, ==, "mmmmmmmm");
    world_clear(&world);
}

/* One block online as kernel memory: the rest of its DIMM goes there too. */
static void test_auto_follows_its_device(void)
{
    World world = world_new();
    OnlineConfig config = {.policy = ONLINE_POLICY_AUTO, .movable_ratio = 301};

    fake_kernel_add_dimm(world.fake, 0, 40, 4);
    fake_kernel_set_state(world.fake, 41, "online", "Normal");
    g_array_index(world.zones, ZoneStats, 0).present_bytes += BLOCK_BYTES;
    g_autofree char *letters = decide(&world, &config);
    g_assert_cmpstr(letters, ==, "kkk");
    world_clear(&world);
}

static void test_auto_per_node(void)
{
    World world = world_new();
    OnlineConfig config = {.policy = ONLINE_POLICY_AUTO, .movable_ratio = 100};

    fake_kernel_add_dimm(world.fake, 0, 40, 2);
    fake_kernel_set_node(world.fake, 40, 1);
    fake_kernel_set_node(world.fake, 41, 1);
    g_autofree char *none_there = decide(&world, &config);
    g_assert_cmpstr(none_there, ==, "kk");
    ZoneStats node1 = {.node = 1, .present_bytes = 256 * MIB};
    g_array_append_val(world.zones, node1);
    g_autofree char *enough_there = decide(&world, &config);
    g_assert_cmpstr(enough_there, ==, "mm");
    world_clear(&world);
}

/* Without figures `auto` stays on the safe side, and devices must be known. */
static void test_auto_undecided(void)
{
    World world = world_new();
    OnlineConfig config = {.policy = ONLINE_POLICY_AUTO, .movable_ratio = 301};
    guint32 index = 40;

    world.snapshot = snapshot_scan(world.io, NULL);
    fake_kernel_add_block(world.fake, index);
    Snapshot *now = snapshot_refresh(world.snapshot, world.io, &index, 1);
    OnlineWorld online = {.snapshot = now, .zones = world.zones};
    g_autoptr(GArray) undecided = NULL;
    g_autoptr(GArray) steps = online_policy_decide(&config, &online, &index, 1, &undecided);
    g_assert_cmpuint(steps->len, ==, 0);
    g_assert_cmpuint(undecided->len, ==, 1);
    g_assert_cmpuint(g_array_index(undecided, guint32, 0), ==, index);
    snapshot_unref(now);

    fake_kernel_remove(world.fake, index, 1);
    fake_kernel_add_dimm(world.fake, 0, 50, 1);
    g_clear_pointer(&world.zones, g_array_unref);
    g_autofree char *letters = decide(&world, &config);
    g_assert_cmpstr(letters, ==, "k");
    world.zones = g_array_new(FALSE, FALSE, sizeof(ZoneStats));
    world_clear(&world);
}

static void test_zoneinfo(void)
{
    static const char text[] = "Node 0, zone      DMA\n"
                               "  per-node stats\n"
                               "      nr_inactive_file 99\n"
                               "  pages free     100\n"
                               "        boost    0\n"
                               "        high     7\n"
                               "        spanned  4095\n"
                               "        present  3998\n"
                               "        managed  3840\n"
                               "        cma      5\n"
                               "      nr_free_pages 100\n"
                               "      nr_zone_inactive_file 20\n"
                               "      nr_zone_active_file 3\n"
                               "  pagesets\n"
                               "    cpu: 0\n"
                               "              high:  14\n"
                               "Node 0, zone   Normal\n"
                               "  pages free     0\n"
                               "        present  0\n"
                               "Node 1, zone  Movable\n"
                               "  pages free     1\n"
                               "        present  2\n"
                               "Node 1, zone   Device\n"
                               "  pages free     0\n"
                               "        present  9\n";
    g_autoptr(GArray) zones = zone_stats_parse(text, 4096);

    g_assert_nonnull(zones);
    g_assert_cmpuint(zones->len, ==, 2);
    const ZoneStats *dma = &g_array_index(zones, ZoneStats, 0);
    g_assert_cmpuint(dma->free_bytes, ==, 100 * 4096);
    g_assert_cmpuint(dma->high_bytes, ==, 7 * 4096);
    g_assert_cmpuint(dma->present_bytes, ==, 3998 * 4096);
    g_assert_cmpuint(dma->cma_bytes, ==, 5 * 4096);
    g_assert_cmpuint(dma->file_bytes, ==, 23 * 4096);
    g_assert_false(dma->is_movable);
    const ZoneStats *movable = &g_array_index(zones, ZoneStats, 1);
    g_assert_true(movable->is_movable);
    g_assert_cmpint(movable->node, ==, 1);
    g_assert_null(zone_stats_parse("", 4096));
    g_assert_null(zone_stats_parse("Node 0, zone DMA\n  pages free  x1\n present 3\n", 4096));
    g_assert_null(zone_stats_parse("Node 0, zone DMA\n  pages free 9223372036854775807\n", 4096));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/online-policy/each", test_each_policy);
    g_test_add_func("/online-policy/floor", test_floor);
    g_test_add_func("/online-policy/floor-figures", test_floor_figures);
    g_test_add_func("/online-policy/plug-limit", test_plug_limit);
    g_test_add_func("/online-policy/auto/whole-devices", test_auto_whole_devices);
    g_test_add_func("/online-policy/auto/kernel-early", test_auto_kernel_early);
    g_test_add_func("/online-policy/auto/follows-its-device", test_auto_follows_its_device);
    g_test_add_func("/online-policy/auto/per-node", test_auto_per_node);
    g_test_add_func("/online-policy/auto/undecided", test_auto_undecided);
    g_test_add_func("/online-policy/zoneinfo", test_zoneinfo);
    return g_test_run();
}
