/*
 * The onliner with its real worker, file and timers, on the fake kernel: what it writes where at
 * start, after a crash, and at stop.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <sys/stat.h>

#include "engine/onliner.h"
#include "fake-kernel.h"
#include "system/units.h"
#include "temp-tree.h"

#define BLOCK_BYTES (128 * MIB)
#define BOOT_ID "0b4c8f0e"
#define FLAG "sys/devices/system/memory/auto_online_blocks"
#define PARAMETERS "sys/module/memory_hotplug/parameters/"
#define POOL "sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages"
#define ZONEINFO                                                                                   \
    "Node 0, zone   Normal\n  pages free     200000\n        high     100\n"                       \
    "        present  262144\n"

typedef struct {
    FakeKernel *fake;
    AttrIo *io;
    TempTree *tree;
    Executor *executor;
    ModelKeeper *keeper;
    Onliner *onliner;
    OnlinerConfig config;
    gboolean is_stopped;
    char *auto_online_at_start; /* owned; NULL until the onliner has started */
} World;

static gboolean is_nobodys(G_GNUC_UNUSED guint32 index, G_GNUC_UNUSED guint64 inode,
                           G_GNUC_UNUSED gpointer user_data)
{
    return FALSE;
}

static void on_change(const ModelChange *change, gpointer user_data)
{
    World *world = user_data;

    onliner_on_change(world->onliner, change);
}

static World *world_new(void)
{
    World *world = g_new0(World, 1);

    world->fake = fake_kernel_new(BLOCK_BYTES);
    world->io = fake_kernel_io(world->fake);
    world->tree = temp_tree_new();
    fake_kernel_add_boot(world->fake, 0, 8);
    fake_kernel_set_available(world->fake, GIB);
    fake_kernel_set_file(world->fake, "proc/zoneinfo", ZONEINFO);
    world->config.online = (OnlineConfig){
        .policy = ONLINE_POLICY_MOVABLE, .movable_ratio = ONLINE_RATIO_DEFAULT, .rezone = TRUE};
    world->config.adopt_existing = TRUE;
    return world;
}

/* By then the kernel's own settings are as the policy needs them, if it has any. */
static void on_started(gpointer user_data)
{
    World *world = user_data;
    char word[32] = "online_movable";

    attr_read_line(world->io, FLAG, word, sizeof word);
    g_assert_null(world->auto_online_at_start); /* once a start */
    world->auto_online_at_start = g_strdup(word);
}

static void start_with(World *world, BlockOwnedFunc is_held)
{
    world->executor = executor_new(world->io);
    world->keeper = model_keeper_new(world->io, FALSE, on_change, world, NULL);
    world->config.io = world->io;
    world->config.keeper = world->keeper;
    world->config.executor = world->executor;
    world->config.state_dir = world->tree->root;
    world->config.boot_id = BOOT_ID;
    world->config.is_live = TRUE;
    world->config.is_held = is_held;
    world->config.is_owned = is_nobodys;
    world->onliner = onliner_new(&world->config);
    g_clear_pointer(&world->auto_online_at_start, g_free);
    onliner_start(world->onliner, on_started, world);
}

static void start(World *world)
{
    start_with(world, is_nobodys);
}

/* As a SIGKILL would, but for the file that is written when the loop is idle. */
static void crash(World *world)
{
    while (g_main_context_iteration(NULL, FALSE))
        ;
    executor_free(world->executor);
    onliner_free(world->onliner);
    model_keeper_free(world->keeper);
}

static void on_stopped(gpointer user_data)
{
    ((World *)user_data)->is_stopped = TRUE;
}

static void stop(World *world)
{
    world->is_stopped = FALSE;
    onliner_stop(world->onliner, on_stopped, world);
    while (!world->is_stopped)
        g_main_context_iteration(NULL, TRUE);
    crash(world);
}

static void world_free(World *world)
{
    g_assert_cmpuint(fake_kernel_traps(world->fake), ==, 0);
    temp_tree_free(world->tree);
    attr_io_free(world->io);
    fake_kernel_free(world->fake);
    g_free(world->auto_online_at_start);
    g_free(world);
}

static void wait_idle(World *world)
{
    while (executor_is_busy(world->executor))
        g_main_context_iteration(NULL, TRUE);
}

static void wait_zone(World *world, guint32 index, const char *zone)
{
    while (g_strcmp0(fake_kernel_zone(world->fake, index), zone) != 0)
        g_main_context_iteration(NULL, TRUE);
    wait_idle(world);
}

static void assert_flag(World *world, const char *word)
{
    char line[64];

    g_assert_cmpint(attr_read_line(world->io, FLAG, line, sizeof line), >, 0);
    g_assert_cmpstr(line, ==, word);
}

static void test_adopt(void)
{
    World *world = world_new();

    fake_kernel_add_dimm(world->fake, 0, 40, 2);
    start(world);
    wait_zone(world, 41, "Movable");
    g_assert_cmpstr(fake_kernel_zone(world->fake, 40), ==, "Movable");
    stop(world);
    world_free(world);
}

static void test_leave(void)
{
    World *world = world_new();

    world->config.adopt_existing = FALSE;
    fake_kernel_add_dimm(world->fake, 0, 40, 2);
    start(world);
    stop(world);
    g_assert_cmpuint(fake_kernel_count_writes(world->fake, -1, NULL), ==, 0);
    world_free(world);
}

/* Seen online, and offline now: somebody chose that. A new block at the address is another one. */
static void test_choice(void)
{
    World *world = world_new();

    fake_kernel_add_dimm(world->fake, 0, 40, 2);
    start(world);
    wait_zone(world, 41, "Movable");
    crash(world);
    fake_kernel_set_state(world->fake, 40, "offline", NULL);
    fake_kernel_add_dimm(world->fake, 1, 50, 1);
    start(world);
    wait_zone(world, 50, "Movable");
    g_assert_cmpstr(fake_kernel_state(world->fake, 40), ==, "offline");
    crash(world);
    fake_kernel_remove_dimm(world->fake, 0);
    fake_kernel_add_dimm(world->fake, 0, 40, 2);
    start(world);
    wait_zone(world, 40, "Movable");
    stop(world);
    world_free(world);
}

static void test_rezone(void)
{
    World *world = world_new();

    fake_kernel_add_dimm(world->fake, 0, 40, 2);
    fake_kernel_set_state(world->fake, 40, "online", "Normal");
    fake_kernel_set_state(world->fake, 41, "online", "Normal");
    fake_kernel_fail(world->fake, 40, "offline", EBUSY, 2);
    start(world);
    wait_zone(world, 40, "Movable");
    wait_zone(world, 41, "Movable");
    stop(world);
    g_assert_cmpuint(fake_kernel_count_writes(world->fake, 40, "offline"), ==, 3);
    g_assert_cmpuint(fake_kernel_count_writes(world->fake, 3, NULL), ==, 0);
    world_free(world);
}

/* The huge pages that leave with the blocks come back. */
static void test_rezone_with_huge_pages(void)
{
    World *world = world_new();

    fake_kernel_add_dimm(world->fake, 0, 40, 2);
    fake_kernel_set_state(world->fake, 40, "online", "Normal");
    fake_kernel_set_state(world->fake, 41, "online", "Normal");
    fake_kernel_set_pool(world->fake, 40, 7, 100);
    start(world);
    wait_zone(world, 40, "Movable");
    wait_zone(world, 41, "Movable");
    stop(world);
    g_assert_cmpuint(fake_kernel_pool(world->fake), ==, 40);
    world_free(world);
}

/* Where they cannot be counted they could not come back: no block goes offline. */
static void test_rezone_with_unreadable_huge_pages(void)
{
    World *world = world_new();

    fake_kernel_add_dimm(world->fake, 0, 40, 2);
    fake_kernel_set_state(world->fake, 40, "online", "Normal");
    fake_kernel_set_state(world->fake, 41, "offline", NULL);
    fake_kernel_set_pool(world->fake, 40, 7, 100);
    fake_kernel_fail_read(world->fake, POOL, EACCES);
    start(world);
    wait_zone(world, 41, "Movable"); /* it has begun */
    stop(world);
    g_assert_cmpuint(fake_kernel_count_writes(world->fake, 40, "offline"), ==, 0);
    g_assert_cmpuint(fake_kernel_pool(world->fake), ==, 40);
    world_free(world);
}

/* Until the worker has written, of which the daemon does not hear yet. */
static void wait_written(World *world, guint32 index, const char *verb)
{
    while (fake_kernel_count_writes(world->fake, index, verb) == 0 ||
           fake_kernel_will_fail(world->fake, index)) {
        if (executor_running(world->executor) == 0)
            g_main_context_iteration(NULL, TRUE);
        else
            g_usleep(1000);
    }
}

/* Killed between offline and online: nobody chose that, and the next daemon brings it back. */
static void test_killed_while_moving(void)
{
    World *world = world_new();

    fake_kernel_add_dimm(world->fake, 0, 40, 1);
    fake_kernel_set_state(world->fake, 40, "online", "Normal");
    fake_kernel_fail(world->fake, 40, "online_movable", EPERM, 1);
    start(world);
    wait_written(world, 40, "online_movable");
    g_assert_cmpstr(fake_kernel_state(world->fake, 40), ==, "offline");
    executor_free(world->executor);
    onliner_free(world->onliner);
    model_keeper_free(world->keeper);
    start(world);
    wait_zone(world, 40, "Movable");
    stop(world);
    world_free(world);
}

/* The loop runs until the block is in ZONE, or for so long that it will not be any more. */
static void expect_zone(World *world, guint32 index, const char *zone)
{
    gint64 end_usec = g_get_monotonic_time() + 20 * USEC_PER_SEC;

    while (g_strcmp0(fake_kernel_zone(world->fake, index), zone) != 0 &&
           g_get_monotonic_time() < end_usec)
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(1000);
    g_assert_cmpstr(fake_kernel_zone(world->fake, index), ==, zone);
    wait_idle(world);
}

/* Killed while the block is going offline, by a worker that no signal reaches in the kernel: it
 * ends when the next daemon runs, for which the block was online, and which moves no blocks by
 * itself. */
static void test_killed_while_a_move_hangs(void)
{
    World *world = world_new();

    fake_kernel_add_dimm(world->fake, 0, 40, 2);
    fake_kernel_set_state(world->fake, 40, "online", "Normal");
    fake_kernel_set_state(world->fake, 41, "online", "Movable");
    fake_kernel_set_offline_ms(world->fake, 40, FAKE_FOR_EVER);
    start(world);
    while (g_strcmp0(fake_kernel_state(world->fake, 40), "going-offline") != 0)
        g_main_context_iteration(NULL, FALSE);
    executor_free(world->executor);
    onliner_free(world->onliner);
    model_keeper_free(world->keeper);
    while (g_strcmp0(fake_kernel_state(world->fake, 40), "online") != 0)
        g_usleep(1000);

    world->config.online.rezone = FALSE;
    g_assert_true(fake_kernel_start_eject(world->fake, -1, 500)); /* nobody gets the lock */
    start(world);
    for (guint i = 0; i < 20; i++)
        g_main_context_iteration(NULL, FALSE);
    fake_kernel_set_state(world->fake, 40, "offline", NULL);
    expect_zone(world, 40, "Movable");
    /* The doubt is over: what is offline from here on is an administrator's choice. */
    crash(world);
    fake_kernel_clear_writes(world->fake);
    fake_kernel_set_state(world->fake, 40, "offline", NULL);
    start(world);
    stop(world);
    g_assert_cmpstr(fake_kernel_state(world->fake, 40), ==, "offline");
    g_assert_cmpuint(fake_kernel_count_writes(world->fake, 41, NULL), ==, 0);
    world_free(world);
}

static void note_done(const WorkResult *result, gpointer user_data)
{
    *(int *)user_data = result->errors[0];
}

/* A move has no end of time while its pages move, but it lets others go first after a while. */
static void test_a_move_makes_room(void)
{
    World *world = world_new();
    WorkStep other = {.kind = STEP_BLOCK, .index = 41, .verb = "online_movable"};
    gint64 end_usec = g_get_monotonic_time() + 15 * USEC_PER_SEC;
    guint n_pages = BLOCK_BYTES / (4 * KIB);
    int error = -1;

    fake_kernel_add_dimm(world->fake, 0, 40, 2);
    fake_kernel_set_state(world->fake, 40, "online", "Normal");
    fake_kernel_set_state(world->fake, 41, "online", "Movable");
    fake_kernel_set_offline_ms(world->fake, 40, FAKE_FOR_EVER);
    start(world);
    while (g_strcmp0(fake_kernel_state(world->fake, 40), "going-offline") != 0)
        g_main_context_iteration(NULL, FALSE);
    fake_kernel_set_state(world->fake, 41, "offline", NULL);
    other.inode = fake_kernel_inode(world->fake, 41);
    executor_submit(world->executor, EXECUTOR_LATER, &other, 1, NULL, note_done, &error, NULL);
    while (error < 0 && g_get_monotonic_time() < end_usec) {
        fake_kernel_set_used_pages(world->fake, 40, n_pages -= n_pages > 20 ? 20 : 0);
        for (guint i = 0; i < 10; i++)
            g_main_context_iteration(NULL, FALSE);
        g_usleep(10000);
    }
    g_assert_cmpint(error, ==, 0);
    g_assert_cmpint(fake_kernel_count_writes(world->fake, 40, "offline"), ==, 1);
    fake_kernel_set_offline_ms(world->fake, 40, 0);
    wait_zone(world, 40, "Movable");
    stop(world);
    world_free(world);
}

/* The same where no daemon follows: what takes its things back does not stop before that. */
static void test_killed_while_moving_and_removed(void)
{
    World *world = world_new();

    fake_kernel_add_dimm(world->fake, 0, 40, 1);
    fake_kernel_set_state(world->fake, 40, "online", "Normal");
    fake_kernel_fail(world->fake, 40, "online_movable", EPERM, 1);
    start(world);
    wait_written(world, 40, "online_movable");
    executor_free(world->executor);
    onliner_free(world->onliner);
    model_keeper_free(world->keeper);
    world->config.adopt_existing = FALSE;
    world->config.is_last = TRUE;
    world->config.online.rezone = FALSE;
    start(world);
    onliner_stop(world->onliner, on_stopped, world);
    while (!world->is_stopped)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpstr(fake_kernel_zone(world->fake, 40), ==, "Movable");
    crash(world);
    world_free(world);
}

/* A pipe in the place of a file of statedir is not waited for. */
static void test_no_file(void)
{
    World *world = world_new();
    g_autofree char *path = g_build_filename(world->tree->root, "blocks", NULL);

    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    g_test_expect_message("memplug", G_LOG_LEVEL_WARNING, "*what was known of blocks is lost*");
    start(world);
    g_test_assert_expected_messages();
    stop(world);
    world_free(world);
}

static gboolean is_everybodys(G_GNUC_UNUSED guint32 index, G_GNUC_UNUSED guint64 inode,
                              gpointer user_data)
{
    const gboolean *is_held = user_data;

    return *is_held;
}

/* A job took the block before it was ever online, and has ended: the block is new memory again. */
static void test_new_while_held(void)
{
    World *world = world_new();
    gboolean is_held = FALSE;

    fake_kernel_add_dimm(world->fake, 0, 40, 1);
    fake_kernel_fail(world->fake, 40, "online_movable", EPERM, 1);
    start(world);
    wait_written(world, 40, "online_movable");
    executor_free(world->executor);
    onliner_free(world->onliner);
    model_keeper_free(world->keeper);
    is_held = TRUE;
    world->config.user_data = &is_held;
    start_with(world, is_everybodys);
    g_assert_false(executor_is_busy(world->executor));
    is_held = FALSE;
    onliner_review(world->onliner);
    g_assert_true(executor_is_busy(world->executor));
    wait_zone(world, 40, "Movable");
    stop(world);
    world_free(world);
}

/* What came while nobody was to touch it is new memory to the next policy; a choice stays one. */
static void test_policy_none_and_then_another(void)
{
    World *world = world_new();
    const guint32 added[] = {40, 41};

    fake_kernel_add_dimm(world->fake, 1, 50, 1);
    start(world);
    wait_zone(world, 50, "Movable");
    OnlineConfig online = world->config.online;
    online.policy = ONLINE_POLICY_NONE;
    onliner_set_config(world->onliner, &online);
    fake_kernel_set_state(world->fake, 50, "offline", NULL);
    fake_kernel_add_dimm(world->fake, 0, 40, 2);
    model_keeper_reread(world->keeper, added, G_N_ELEMENTS(added));
    while (g_main_context_iteration(NULL, FALSE) || executor_is_busy(world->executor))
        ;
    g_assert_cmpstr(fake_kernel_state(world->fake, 40), ==, "offline");
    online.policy = ONLINE_POLICY_MOVABLE;
    onliner_set_config(world->onliner, &online);
    wait_zone(world, 40, "Movable");
    wait_zone(world, 41, "Movable");
    g_assert_cmpstr(fake_kernel_state(world->fake, 50), ==, "offline");
    stop(world);
    world_free(world);
}

#define ZONES_WITH_FREE(pages)                                                                     \
    "Node 0, zone   Normal\n  pages free     " #pages "\n        high     100\n"                   \
    "        present  262144\n"

/* The first half of a DIMM comes while there is room above the floor, the second does not: all of
 * it goes to the kernel zone. */
static void test_floor_takes_whole_devices(void)
{
    World *world = world_new();
    const guint32 first[] = {40, 41}, second[] = {42, 43};

    fake_kernel_set_file(world->fake, FLAG, "offline\n");
    fake_kernel_set_file(world->fake, "proc/zoneinfo", ZONES_WITH_FREE(100000));
    start(world);
    fake_kernel_add_dimm(world->fake, 0, 40, 2);
    model_keeper_reread(world->keeper, first, G_N_ELEMENTS(first));
    wait_zone(world, 40, "Movable");
    wait_zone(world, 41, "Movable");
    fake_kernel_set_file(world->fake, "proc/zoneinfo", ZONES_WITH_FREE(1000));
    for (guint i = 0; i < G_N_ELEMENTS(second); i++) {
        fake_kernel_add_block(world->fake, second[i]);
        fake_kernel_set_node(world->fake, second[i], 0);
        fake_kernel_set_firmware_node(world->fake, second[i], "../../../LNXSYSTM:00/PNP0C80:00");
    }
    g_test_expect_message("memplug", G_LOG_LEVEL_MESSAGE, "*auto_online_blocks: offline*");
    g_test_expect_message("memplug", G_LOG_LEVEL_WARNING, "*kernel-floor-bytes*");
    model_keeper_reread(world->keeper, second, G_N_ELEMENTS(second));
    for (guint i = 40; i < 44; i++)
        wait_zone(world, i, "Normal");
    g_test_assert_expected_messages();
    stop(world);
    world_free(world);
}

static void test_kernel_settings(void)
{
    World *world = world_new();

    fake_kernel_set_file(world->fake, FLAG, "online\n");
    start(world);
    g_assert_null(world->auto_online_at_start); /* not before the kernel is set */
    wait_idle(world);
    assert_flag(world, "online_movable");
    g_assert_cmpstr(world->auto_online_at_start, ==, "online_movable");
    crash(world);
    assert_flag(world, "online_movable");
    start(world);
    g_assert_true(onliner_owns_auto_online(world->onliner, "online_movable"));
    g_assert_false(onliner_owns_auto_online(world->onliner, "online")); /* somebody changed it */
    stop(world);
    assert_flag(world, "online");
    /* Nothing to restore any more. */
    fake_kernel_set_file(world->fake, FLAG, "offline\n");
    start(world);
    stop(world);
    assert_flag(world, "offline");
    /* Below the floor the kernel does nothing by itself. */
    world->config.online.kernel_floor_bytes = 8 * GIB;
    fake_kernel_set_file(world->fake, FLAG, "online\n");
    fake_kernel_add_dimm(world->fake, 0, 40, 2);
    g_test_expect_message("memplug", G_LOG_LEVEL_MESSAGE, "*auto_online_blocks: offline*");
    g_test_expect_message("memplug", G_LOG_LEVEL_WARNING, "*kernel-floor-bytes*");
    start(world);
    wait_zone(world, 41, "Normal");
    assert_flag(world, "offline");
    stop(world);
    g_test_assert_expected_messages();
    world_free(world);
}

static void assert_flag_after(World *world, const char *dax, KernelSettings setting,
                              const char *word)
{
    OnlineConfig online = world->config.online;

    fake_kernel_set_file(world->fake, "sys/bus/dax/devices/dax0.0", dax);
    online.kernel_settings = setting;
    onliner_set_config(world->onliner, &online);
    wait_idle(world);
    assert_flag(world, word);
}

/* Whoever makes memory of a dax device says himself how it comes online. */
static void test_dax_device(void)
{
    World *world = world_new();

    fake_kernel_set_file(world->fake, FLAG, "online\n");
    fake_kernel_set_file(world->fake, "sys/bus/dax/devices/dax0.0", "");
    fake_kernel_add_dimm(world->fake, 0, 40, 2);
    start(world);
    wait_zone(world, 41, "Movable");
    assert_flag(world, "online");
    assert_flag_after(world, NULL, KERNEL_SETTINGS_AUTO, "online_movable");
    assert_flag_after(world, "", KERNEL_SETTINGS_YES, "online_movable");
    assert_flag_after(world, "", KERNEL_SETTINGS_AUTO, "online");
    assert_flag_after(world, NULL, KERNEL_SETTINGS_AUTO, "online_movable");
    fake_kernel_fail_read(world->fake, "sys/bus/dax/devices", EACCES); /* there may be one */
    assert_flag_after(world, NULL, KERNEL_SETTINGS_AUTO, "online");
    fake_kernel_fail_read(world->fake, "sys/bus/dax/devices", 0);
    assert_flag_after(world, NULL, KERNEL_SETTINGS_YES, "online_movable");
    assert_flag_after(world, NULL, KERNEL_SETTINGS_NO, "online");
    assert_flag_after(world, NULL, KERNEL_SETTINGS_YES, "online_movable");
    /* One appears. What somebody else has written by then stays. */
    fake_kernel_set_file(world->fake, FLAG, "offline\n");
    assert_flag_after(world, "", KERNEL_SETTINGS_AUTO, "offline");
    stop(world);
    assert_flag(world, "offline");
    world_free(world);
}

/* Taken back before it is written. */
static void test_settings_that_change_at_once(void)
{
    World *world = world_new();
    OnlineConfig online = world->config.online;

    fake_kernel_set_file(world->fake, FLAG, "online\n");
    start(world);
    g_assert_true(executor_is_busy(world->executor));
    online.kernel_settings = KERNEL_SETTINGS_NO;
    onliner_set_config(world->onliner, &online);
    wait_idle(world);
    assert_flag(world, "online");
    stop(world);
    world_free(world);
}

/* What cannot be read is told, and is not taken for what is not there. */
static void test_unreadable(void)
{
    World *world = world_new();

    fake_kernel_fail_read(world->fake, FLAG, EACCES);
    fake_kernel_fail_read(world->fake, "proc/zoneinfo", EACCES);
    fake_kernel_add_dimm(world->fake, 0, 40, 2);
    g_test_expect_message("memplug", G_LOG_LEVEL_WARNING,
                          "*cannot read /" FLAG ", so it is left alone: Permission denied");
    g_test_expect_message("memplug", G_LOG_LEVEL_WARNING,
                          "*/proc/zoneinfo cannot be read: kernel-floor-bytes is not in force*");
    start(world);
    wait_zone(world, 41, "Movable");
    stop(world);
    g_test_assert_expected_messages();
    world_free(world);
}

/* What the kernel did before is right for policy auto, once the kernel's own policy is. */
static void test_auto_onlining_that_was_there(void)
{
    World *world = world_new();

    world->config.online.policy = ONLINE_POLICY_AUTO;
    fake_kernel_set_file(world->fake, FLAG, "online\n");
    fake_kernel_set_file(world->fake, PARAMETERS "online_policy", "contig-zones\n");
    fake_kernel_set_file(world->fake, PARAMETERS "auto_movable_ratio", "301\n");
    start(world);
    wait_idle(world);
    assert_flag(world, "online");
    g_assert_true(onliner_owns_auto_online(world->onliner, "online"));
    stop(world);
    world_free(world);
}

/* Stopped before what the start asked for is written: that goes first, and then it is undone. */
static void test_stopped_at_once(void)
{
    World *world = world_new();

    fake_kernel_set_file(world->fake, FLAG, "online\n");
    start(world);
    g_assert_true(executor_is_busy(world->executor));
    onliner_stop(world->onliner, on_stopped, world);
    while (!world->is_stopped || executor_is_busy(world->executor))
        g_main_context_iteration(NULL, TRUE);
    assert_flag(world, "online");
    crash(world);
    world_free(world);
}

/* What a killed daemon changed is put back by one that stops at once: it waits for the write. */
static void test_stopped_at_once_after_a_crash(void)
{
    World *world = world_new();

    fake_kernel_set_file(world->fake, FLAG, "online\n");
    start(world);
    wait_idle(world);
    crash(world);
    world->config.online.policy = ONLINE_POLICY_NONE;
    start(world);
    onliner_stop(world->onliner, on_stopped, world);
    while (!world->is_stopped)
        g_main_context_iteration(NULL, TRUE);
    assert_flag(world, "online");
    crash(world);
    world_free(world);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/onliner/adopt", test_adopt);
    g_test_add_func("/onliner/leave", test_leave);
    g_test_add_func("/onliner/choice", test_choice);
    g_test_add_func("/onliner/rezone", test_rezone);
    g_test_add_func("/onliner/killed-while-a-move-hangs", test_killed_while_a_move_hangs);
    g_test_add_func("/onliner/a-move-makes-room", test_a_move_makes_room);
    g_test_add_func("/onliner/rezone-with-huge-pages", test_rezone_with_huge_pages);
    g_test_add_func("/onliner/rezone-with-unreadable-huge-pages",
                    test_rezone_with_unreadable_huge_pages);
    g_test_add_func("/onliner/killed-while-moving", test_killed_while_moving);
    g_test_add_func("/onliner/killed-while-moving-and-removed",
                    test_killed_while_moving_and_removed);
    g_test_add_func("/onliner/no-file", test_no_file);
    g_test_add_func("/onliner/new-while-held", test_new_while_held);
    g_test_add_func("/onliner/policy-none", test_policy_none_and_then_another);
    g_test_add_func("/onliner/floor-takes-whole-devices", test_floor_takes_whole_devices);
    g_test_add_func("/onliner/kernel-settings", test_kernel_settings);
    g_test_add_func("/onliner/dax-device", test_dax_device);
    g_test_add_func("/onliner/settings-change-at-once", test_settings_that_change_at_once);
    g_test_add_func("/onliner/unreadable", test_unreadable);
    g_test_add_func("/onliner/auto", test_auto_onlining_that_was_there);
    g_test_add_func("/onliner/stopped-at-once", test_stopped_at_once);
    g_test_add_func("/onliner/stopped-at-once-after-a-crash", test_stopped_at_once_after_a_crash);
    return g_test_run();
}
