/*
 * The unplugger against the fake kernel: each way in which a job can end, and a daemon that is
 * killed.
 */
#include <errno.h>
#include <string.h>

#include "front/arguments.h"
#include "unplugger-fixture.h"

static void test_ready_and_unplugged(World *world, G_GNUC_UNUSED gconstpointer data)
{
    guint64 id = world_prepare(world, 0, 60000);

    world_wait_for(world, id, JOB_READY);
    g_assert_cmpuint(world_count_state(world, "offline"), ==, WORLD_COUNT);
    fake_kernel_remove_dimm(world->fake, 0);
    model_keeper_catch_up(world->keeper);
    world_wait_for(world, id, JOB_UNPLUGGED);
    g_assert_cmpstr(world->states->str, ==, "queued checking offlining ready unplugged ");
    g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 1);
}

/* A prepare that fails at its deadline, after block BAD was tried. On a machine that is busy itself
 * the deadline may come before that, or end the attempt: then there is another, with more time.
 * Returns its id. */
static guint64 fail_at(World *world, guint32 bad)
{
    guint64 id = 0;

    for (guint64 timeout_ms = 200;
         fake_kernel_count_writes(world->fake, bad, "offline") == 0 ||
         (timeout_ms < 10000 && job_has_reason(world_job(world, id), REASON_TIMEOUT, bad));
         timeout_ms *= 2) {
        id = world_prepare(world, timeout_ms, 60000);
        world_wait_for(world, id, JOB_FAILED);
        world_assert_all_movable(world);
    }
    return id;
}

/* The block that fails may be any: what was offlined before it comes back, every time. */
static void test_rollback_at_every_block(World *world, G_GNUC_UNUSED gconstpointer data)
{
    for (guint32 bad = WORLD_FIRST; bad < WORLD_FIRST + WORLD_COUNT; bad++) {
        fake_kernel_clear_writes(world->fake);
        fake_kernel_fail(world->fake, bad, "offline", EBUSY, FAKE_FOR_EVER);
        guint64 id = fail_at(world, bad);
        g_assert_true(job_has_reason(world_job(world, id), REASON_BUSY_PAGES, bad));
        g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 1);
        fake_kernel_fail(world->fake, bad, "offline", EBUSY, 0);
    }
}

static void test_lease_ends(World *world, G_GNUC_UNUSED gconstpointer data)
{
    guint64 id = world_prepare(world, 0, 50);

    world_wait_for(world, id, JOB_READY);
    world_wait_for(world, id, JOB_EXPIRED);
    world_assert_all_movable(world);
}

/* The barrier: an eject that is in flight when the lease ends takes the whole DIMM; not one of its
 * blocks is brought online behind it. */
static void test_lease_ends_during_eject(World *world, G_GNUC_UNUSED gconstpointer data)
{
    guint64 id = world_prepare(world, 0, 100);

    world_wait_for(world, id, JOB_READY);
    fake_kernel_clear_writes(world->fake);
    g_assert_true(fake_kernel_start_eject(world->fake, 0, 600));
    world_wait_for(world, id, JOB_UNPLUGGED);
    guint n;
    const FakeWrite *writes = fake_kernel_writes(world->fake, &n);
    for (guint i = 0; i < n; i++) /* nothing was there any more to be brought online */
        g_assert_true(strcmp(writes[i].value, "online_movable") != 0 || writes[i].result < 0);
    g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 1);
}

static void test_endless_offline_ends_at_deadline(World *world, G_GNUC_UNUSED gconstpointer data)
{
    fake_kernel_set_offline_ms(world->fake, WORLD_FIRST + 3, FAKE_FOR_EVER);
    guint64 id = world_prepare(world, 300, 60000);

    world_wait_for(world, id, JOB_FAILED);
    world_assert_all_movable(world);
    g_assert_true(job_has_reason(world_job(world, id), REASON_TIMEOUT, -1));
}

static void test_low_memory_starts_nothing(World *world, G_GNUC_UNUSED gconstpointer data)
{
    fake_kernel_set_available(world->fake, WORLD_COUNT * 128 * MIB);
    guint64 id = world_prepare(world, 0, 60000);

    g_assert_cmpint(world_job(world, id)->state, ==, JOB_FAILED);
    g_assert_true(job_has_reason(world_job(world, id), REASON_LOW_MEMORY, -1));
    g_assert_cmpuint(fake_kernel_count_writes(world->fake, -1, NULL), ==, 0);
}

static guint64 prepare_with_reclaim(World *world, guint64 timeout_ms)
{
    static const DeviceSelector selector = {.kind = SELECT_SLOT, .slot = 0};
    UnplugSubmit submit = {.selectors = &selector,
                           .n_selectors = 1,
                           .timeout_ms = timeout_ms,
                           .lease_ms = 60000,
                           .reclaim = TRUE};
    guint64 id = 0;

    model_keeper_catch_up(world->keeper);
    g_assert_cmpint(unplugger_submit(world->unplugger, &submit, &id), ==, UNPLUG_OK);
    return id;
}

static guint count_drops(World *world)
{
    guint n, n_drops = 0;
    const FakeWrite *writes = fake_kernel_writes(world->fake, &n);

    for (guint i = 0; i < n; i++)
        n_drops += g_str_has_suffix(writes[i].path, "/drop_caches");
    return n_drops;
}

/* Caches are reclaimed where memory would not suffice, and no more than it takes: not at all, page
 * cache, slab too, all in vain. */
static void test_reclaim_as_far_as_needed(World *world, G_GNUC_UNUSED gconstpointer data)
{
    static const struct {
        guint64 available, page, slab;
        guint drops;
        JobState end;
    } rows[] = {{4096, 1, 1, 0, JOB_READY},
                {1024, 512, 1, 1, JOB_READY},
                {1024, 32, 512, 2, JOB_READY},
                {1024, 1, 1, 2, JOB_FAILED}};

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        fake_kernel_clear_writes(world->fake);
        fake_kernel_set_available(world->fake, rows[i].available * MIB);
        fake_kernel_set_caches(world->fake, rows[i].page * MIB, rows[i].slab * MIB, 0);
        guint64 id = prepare_with_reclaim(world, 60000);
        world_wait_for(world, id, rows[i].end);
        g_assert_cmpuint(count_drops(world), ==, rows[i].drops);
        if (rows[i].end == JOB_READY) {
            unplugger_cancel(world->unplugger, id);
            world_wait_for(world, id, JOB_CANCELLED);
        }
    }
}

/* A kernel that does not come back from it holds the job up for half of its timeout; a cancelled
 * job is not waited for, and the next one is served. */
static void test_reclaim_is_bounded(World *world, G_GNUC_UNUSED gconstpointer data)
{
    fake_kernel_set_available(world->fake, 1024 * MIB);
    fake_kernel_set_caches(world->fake, 0, 0, FAKE_FOR_EVER);
    guint64 first = prepare_with_reclaim(world, 600000);
    g_assert_cmpint(world_job(world, first)->state, ==, JOB_CHECKING);
    unplugger_cancel(world->unplugger, first);
    g_assert_cmpint(world_job(world, first)->state, ==, JOB_CANCELLED);
    guint64 second = prepare_with_reclaim(world, 300);
    world_wait_for(world, second, JOB_FAILED);
    g_assert_true(job_has_reason(world_job(world, second), REASON_LOW_MEMORY, -1));
    world_assert_all_movable(world);
}

/* Memory that runs low while a block is being offlined ends the attempt, and all comes back. */
static void test_guard_while_offlining(World *world, G_GNUC_UNUSED gconstpointer data)
{
    fake_kernel_set_offline_ms(world->fake, WORLD_FIRST + 5, FAKE_FOR_EVER);
    guint64 id = world_prepare(world, 60000, 60000);

    while (g_strcmp0(fake_kernel_state(world->fake, WORLD_FIRST + 5), "going-offline") != 0)
        g_main_context_iteration(NULL, FALSE);
    fake_kernel_set_available(world->fake, 1 * MIB);
    world_wait_for(world, id, JOB_ROLLING_BACK);
    fake_kernel_set_available(world->fake, 2 * GIB);
    world_wait_for(world, id, JOB_FAILED);
    world_assert_all_movable(world);
    g_assert_true(job_has_reason(world_job(world, id), REASON_LOW_MEMORY, -1));
}

static void on_stopped(gpointer user_data)
{
    World *world = user_data;

    world->was_stopped = TRUE;
}

static void test_stop_rolls_back(World *world, G_GNUC_UNUSED gconstpointer data)
{
    guint64 id = world_prepare(world, 0, 60000);

    world_wait_for(world, id, JOB_READY);
    unplugger_stop(world->unplugger, on_stopped, world);
    while (!world->was_stopped)
        g_main_context_iteration(NULL, TRUE);
    world_assert_all_movable(world);
    g_assert_true(job_has_reason(world_job(world, id), REASON_AGENT_STOPPED, -1));
    world_kill_daemon(world);
    world_start_daemon(world); /* the next one still knows what became of it */
    g_assert_cmpint(world_job(world, id)->state, ==, JOB_FAILED);
}

/* SIGKILL after any number of blocks: the next daemon finishes the job, and the one after a lease.
 */
static void test_killed_after_every_block(World *world, G_GNUC_UNUSED gconstpointer data)
{
    for (guint n = 0; n <= WORLD_COUNT; n++) {
        guint64 id = world_prepare(world, 0, 60000);
        while (world_count_state(world, "offline") < n)
            g_main_context_iteration(NULL, TRUE);
        world_kill_daemon(world);
        world_start_daemon(world);
        world_wait_for(world, id, JOB_READY);
        g_assert_cmpuint(world_count_state(world, "offline"), ==, WORLD_COUNT);
        unplugger_cancel(world->unplugger, id);
        world_wait_for(world, id, JOB_CANCELLED);
        world_assert_all_movable(world);
    }
}

/* Free huge pages leave the pool with their blocks; where these come back, so do they, and the
 * check's warning is no longer true. */
static void test_huge_pages_come_back(World *world, G_GNUC_UNUSED gconstpointer data)
{
    for (guint round = 0; round < 3; round++) {
        fake_kernel_set_pool(world->fake, 40, 3, 100);
        guint64 id = world_prepare(world, 0, round == 1 ? 1000 : 60000);
        world_wait_for(world, id, JOB_READY);
        g_assert_cmpuint(fake_kernel_pool(world->fake), ==, 40 - 3 * WORLD_COUNT);
        if (round == 2) { /* somebody else has made it larger meanwhile */
            g_autoptr(AttrIo) io = fake_kernel_io(world->fake);
            const NodePool pool = {.node = 0, .page_bytes = 2 * MIB, .count = 30};
            g_assert_cmpint(node_pool_fill(io, &pool), ==, 0);
        }
        if (round != 1)
            unplugger_cancel(world->unplugger, id);
        world_wait_for(world, id, round == 1 ? JOB_EXPIRED : JOB_CANCELLED);
        g_assert_cmpuint(fake_kernel_pool(world->fake), ==, 40);
        g_assert_cmpuint(world_job(world, id)->reasons->len, ==, 0);
    }
}

#define POOL "sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages"

/* Pools that cannot be read: no job begins that could not put the pages back, and one that has
 * begun does not take them for gone. */
static void test_huge_pages_unreadable(World *world, G_GNUC_UNUSED gconstpointer data)
{
    DeviceSelector selector = {.kind = SELECT_SLOT, .slot = 0};

    fake_kernel_set_pool(world->fake, 40, 3, 100);
    guint64 id = world_prepare(world, 0, 60000);
    world_wait_for(world, id, JOB_READY);
    fake_kernel_fail_read(world->fake, POOL, EACCES);
    unplugger_cancel(world->unplugger, id);
    fake_kernel_fail_read(world->fake, POOL, 0); /* it was for a moment */
    world_wait_for(world, id, JOB_CANCELLED);
    g_assert_cmpuint(fake_kernel_pool(world->fake), ==, 40);

    id = world_prepare(world, 0, 60000);
    world_wait_for(world, id, JOB_READY);
    fake_kernel_fail_read(world->fake, POOL, EACCES); /* for good */
    unplugger_cancel(world->unplugger, id);
    world_wait_for(world, id, JOB_CANCELLED);
    g_assert_cmpuint(fake_kernel_pool(world->fake), ==, 40 - 3 * WORLD_COUNT);
    g_assert_true(job_has_reason(world_job(world, id), REASON_HUGEPAGES_LOST, -1));
    const Reason *reason = world_job(world, id)->reasons->pdata[0];
    g_assert_cmpuint(reason->bytes, ==, 3 * WORLD_COUNT * 2 * MIB);

    id = world_prepare(world, 0, 60000);
    world_wait_for(world, id, JOB_FAILED);
    g_assert_true(job_has_reason(world_job(world, id), REASON_ERROR, -1));
    world_assert_all_movable(world);
    UnplugLimit limit = unplugger_limit(world->unplugger);
    g_assert_cmpuint(limit.limit_bytes, ==, 0);
    g_autoptr(UnplugVerdict) verdict = unplugger_check(world->unplugger, &selector, 1, FALSE);
    g_assert_false(verdict->can_prepare);
}

/* What the kernel does not give is told, with the number. */
static void test_huge_pages_that_stay_away(World *world, G_GNUC_UNUSED gconstpointer data)
{
    fake_kernel_set_pool(world->fake, 40, 3, 100);
    guint64 id = world_prepare(world, 0, 60000);

    world_wait_for(world, id, JOB_READY);
    fake_kernel_set_pool(world->fake, 16, 3, 33);
    unplugger_cancel(world->unplugger, id);
    world_wait_for(world, id, JOB_CANCELLED);
    world_assert_all_movable(world);
    g_assert_cmpuint(fake_kernel_pool(world->fake), ==, 33);
    g_assert_cmpuint(world_job(world, id)->reasons->len, ==, 1);
    const Reason *reason = world_job(world, id)->reasons->pdata[0];
    g_assert_cmpint(reason->code, ==, REASON_HUGEPAGES_LOST);
    g_assert_cmpuint(reason->bytes, ==, 7 * 2 * MIB);
    g_assert_true(g_str_has_prefix(reason->desc, "7 huge pages of 2 MiB"));
}

static guint64 prepare_three(World *world, gboolean allow_partial)
{
    static const DeviceSelector selectors[] = {{.kind = SELECT_SLOT, .slot = 0},
                                               {.kind = SELECT_SLOT, .slot = 1},
                                               {.kind = SELECT_SLOT, .slot = 2}};
    UnplugSubmit submit = {.selectors = selectors,
                           .n_selectors = G_N_ELEMENTS(selectors),
                           .lease_ms = 60000,
                           .timeout_ms = 60000,
                           .allow_partial = allow_partial};
    guint64 id = 0;

    model_keeper_catch_up(world->keeper);
    g_assert_cmpint(unplugger_submit(world->unplugger, &submit, &id), ==, UNPLUG_OK);
    return id;
}

/* One of three devices is not there, one has a block in a kernel zone or is refused by a driver:
 * the third is ready. A restart in between changes nothing. */
static void test_part(World *world, G_GNUC_UNUSED gconstpointer data)
{
    const guint32 second = WORLD_FIRST + WORLD_COUNT;

    fake_kernel_add_dimm(world->fake, 1, second, 2);
    for (guint round = 0; round < 3; round++) {
        fake_kernel_set_state(world->fake, second, "online", "Movable");
        fake_kernel_set_state(world->fake, second + 1, "online", round == 0 ? "Normal" : "Movable");
        fake_kernel_fail(world->fake, second + 1, "offline", EPERM, round > 0 ? FAKE_FOR_EVER : 0);
        guint64 whole = prepare_three(world, FALSE);
        g_assert_cmpint(world_job(world, whole)->state, ==, JOB_FAILED);
        guint64 id = prepare_three(world, TRUE);
        if (round == 2) {
            while (fake_kernel_count_writes(world->fake, second + 1, "offline") < 2)
                g_main_context_iteration(NULL, TRUE);
            world_kill_daemon(world);
            world_start_daemon(world);
        }
        world_wait_for(world, id, JOB_READY);
        const UnplugJob *job = world_job(world, id);
        g_assert_cmpuint(job->blocks->len, ==, WORLD_COUNT);
        g_assert_cmpuint(world_count_state(world, "offline"), ==, WORLD_COUNT);
        g_assert_cmpstr(fake_kernel_state(world->fake, second), ==, "online");
        g_assert_true(job_has_reason(job, REASON_NO_SUCH_DEVICE, -1));
        g_assert_true(job_has_reason(job, round == 0 ? REASON_NOT_MOVABLE : REASON_ERROR, -1));
        g_assert_cmpstr(unplug_job_device_state(job, 0), ==, "ready");
        g_assert_cmpstr(unplug_job_device_state(job, 1), ==, "in-use");
        unplugger_cancel(world->unplugger, id);
        world_wait_for(world, id, JOB_CANCELLED);
        world_assert_all_movable(world);
    }
}

/* Memory for the first of two devices. */
static void test_part_that_fits(World *world, G_GNUC_UNUSED gconstpointer data)
{
    fake_kernel_add_dimm(world->fake, 1, WORLD_FIRST + WORLD_COUNT, 2);
    fake_kernel_add_dimm(world->fake, 2, WORLD_FIRST + WORLD_COUNT + 2, 2);
    for (guint32 i = WORLD_FIRST + WORLD_COUNT; i < WORLD_FIRST + WORLD_COUNT + 4; i++)
        fake_kernel_set_state(world->fake, i, "online", "Movable");
    fake_kernel_set_available(world->fake, (WORLD_COUNT + 3) * 128 * MIB);
    guint64 id = prepare_three(world, TRUE);
    world_wait_for(world, id, JOB_READY);
    g_assert_cmpuint(world_job(world, id)->blocks->len, ==, WORLD_COUNT + 2);
    g_assert_cmpstr(unplug_job_device_state(world_job(world, id), 2), ==, "in-use");
    g_assert_true(job_has_reason(world_job(world, id), REASON_LOW_MEMORY, -1));
}

/* A new DIMM at the old address is none of an old job's. */
static void test_new_dimm_at_old_address(World *world, G_GNUC_UNUSED gconstpointer data)
{
    guint64 id = world_prepare(world, 0, 60000);

    world_wait_for(world, id, JOB_READY);
    world_kill_daemon(world);
    fake_kernel_remove_dimm(world->fake, 0);
    fake_kernel_add_dimm(world->fake, 0, WORLD_FIRST, WORLD_COUNT);
    fake_kernel_clear_writes(world->fake);
    world_start_daemon(world);
    world_wait_for(world, id, JOB_UNPLUGGED);
    g_assert_cmpuint(fake_kernel_count_writes(world->fake, -1, NULL), ==, 0);
    g_assert_cmpuint(world_count_state(world, "offline"), ==, WORLD_COUNT);
}

/* Killed between the barrier's two writes: the journal holds what the kernel's flag was, and the
 * next daemon puts it back. */
static void test_killed_behind_barrier(World *world, G_GNUC_UNUSED gconstpointer data)
{
    guint64 id = world_prepare(world, 0, 60000);

    world_wait_for(world, id, JOB_READY);
    world_kill_daemon(world);
    g_autofree char *text = temp_tree_read(world->tree, JOURNAL_FILE);
    char *flag = strstr(text, "\"eject-enabled\": -1");
    g_assert_nonnull(flag);
    memcpy(flag, "\"eject-enabled\":  1", strlen("\"eject-enabled\": -1"));
    temp_tree_write(world->tree, JOURNAL_FILE, text);
    g_autoptr(AttrIo) io = fake_kernel_io(world->fake);
    g_assert_cmpint(attr_write(io, "sys/firmware/acpi/hotplug/memory", 0, "enabled", "0"), ==, 0);
    world_start_daemon(world);
    while (executor_is_busy(world->executor))
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 1);
    g_assert_cmpint(world_job(world, id)->state, ==, JOB_READY);
}

/* A range that no device has is named in full in the reason, longer than any device's id; the
 * journal that holds it must still be one that the next daemon believes. */
static void test_long_name_in_journal(World *world, G_GNUC_UNUSED gconstpointer data)
{
    DeviceSelector far = {
        .kind = SELECT_RANGE, .address = G_MAXINT64 - 2 * GIB + 1, .size_bytes = 2 * GIB};
    UnplugSubmit submit = {.selectors = &far, .n_selectors = 1, .lease_ms = 60000};
    guint64 refused = 0;

    g_assert_cmpint(unplugger_submit(world->unplugger, &submit, &refused), ==, UNPLUG_OK);
    g_assert_cmpint(world_job(world, refused)->state, ==, JOB_FAILED);
    guint64 id = world_prepare(world, 0, 60000);
    world_wait_for(world, id, JOB_READY);
    world_kill_daemon(world);
    world_start_daemon(world);
    g_assert_cmpint(world_job(world, refused)->state, ==, JOB_FAILED);
    g_assert_cmpint(world_job(world, id)->state, ==, JOB_READY);
}

/* However much clients have asked for and been refused: the journal stays within what is read, and
 * what matters of it is there. */
static void test_refusals_do_not_fill_journal(World *world, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree DeviceSelector *selectors = g_new0(DeviceSelector, UNPLUG_DEVICES_MAX);
    UnplugSubmit submit = {
        .selectors = selectors, .n_selectors = UNPLUG_DEVICES_MAX, .lease_ms = 60000};
    guint64 id = world_prepare(world, 0, 60000);

    world_wait_for(world, id, JOB_READY);
    for (guint i = 0; i < UNPLUG_DEVICES_MAX; i++) {
        selectors[i].kind = SELECT_ID;
        g_snprintf(selectors[i].id, DEVICE_ID_MAX, "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01%u", i);
    }
    for (guint i = 0; i <= UNPLUG_ENDED_MAX; i++)
        g_assert_cmpint(unplugger_submit(world->unplugger, &submit, NULL), ==, UNPLUG_OK);
    world_kill_daemon(world);
    world_start_daemon(world);
    g_assert_cmpint(world_job(world, id)->state, ==, JOB_READY);
}

/* Links of blocks come without an event: a job that waited in the queue looks again. */
static void test_link_comes_while_queued(World *world, G_GNUC_UNUSED gconstpointer data)
{
    DeviceSelector second = {.kind = SELECT_SLOT, .slot = 1};
    UnplugSubmit submit = {.selectors = &second, .n_selectors = 1, .lease_ms = 60000};
    char target[ATTR_VALUE_MAX];
    guint64 queued = 0;

    fake_kernel_add_dimm(world->fake, 1, WORLD_FIRST + WORLD_COUNT, 2);
    g_assert_cmpint(
        attr_follow(world->io, BLOCK_DIR "/memory49/firmware_node", target, sizeof target), >, 0);
    fake_kernel_set_firmware_node(world->fake, 49, NULL);
    guint64 id = world_prepare(world, 0, 60000);
    g_assert_cmpint(unplugger_submit(world->unplugger, &submit, &queued), ==, UNPLUG_OK);
    g_assert_cmpint(world_job(world, queued)->state, ==, JOB_QUEUED);
    fake_kernel_set_firmware_node(world->fake, 49, target);
    world_wait_for(world, id, JOB_READY);
    world_wait_for(world, queued, JOB_READY);
    g_assert_cmpuint(world_job(world, queued)->blocks->len, ==, 2);
}

/* While a job waits, another DIMM takes the place of the one that it names, or of none; perhaps the
 * daemon is killed meanwhile. */
static void another_dimm_while_queued(World *world, gboolean was_there, gboolean is_killed)
{
    static const DeviceSelector selectors[] = {
        {.kind = SELECT_SLOT, .slot = 1},
        {.kind = SELECT_RANGE,
         .address = (WORLD_FIRST + WORLD_COUNT) * 128 * MIB,
         .size_bytes = 2 * 128 * MIB},
        {.kind = SELECT_ID, .id = "slot1"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(selectors); i++) {
        UnplugSubmit submit = {.selectors = &selectors[i], .n_selectors = 1, .lease_ms = 60000};
        guint64 queued = 0;

        if (was_there)
            fake_kernel_add_dimm(world->fake, 1, WORLD_FIRST + WORLD_COUNT, 2);
        guint64 first = world_prepare(world, 60000, 60000);
        g_assert_cmpint(unplugger_submit(world->unplugger, &submit, &queued), ==, UNPLUG_OK);
        g_assert_cmpint(world_job(world, queued)->state, ==, JOB_QUEUED);
        if (is_killed)
            world_kill_daemon(world);
        if (was_there)
            fake_kernel_remove_dimm(world->fake, 1);
        fake_kernel_add_dimm(world->fake, 1, WORLD_FIRST + WORLD_COUNT, 2);
        if (is_killed)
            world_start_daemon(world);
        model_keeper_catch_up(world->keeper);
        g_assert_cmpint(unplugger_cancel(world->unplugger, first), ==, UNPLUG_OK);
        world_wait_for(world, queued, JOB_FAILED);
        const Reason *reason = world_job(world, queued)->reasons->pdata[0];
        g_assert_cmpint(reason->code, ==, REASON_NO_SUCH_DEVICE);
        g_assert_cmpstr(fake_kernel_state(world->fake, WORLD_FIRST + WORLD_COUNT), ==, "offline");
        fake_kernel_remove_dimm(world->fake, 1);
        model_keeper_catch_up(world->keeper);
    }
}

/* With allow-partial it alone is left out. */
static void test_part_replaced_while_queued(World *world, G_GNUC_UNUSED gconstpointer data)
{
    static const DeviceSelector selectors[] = {{.kind = SELECT_SLOT, .slot = 1},
                                               {.kind = SELECT_SLOT, .slot = 2}};
    const guint32 second = WORLD_FIRST + WORLD_COUNT;
    UnplugSubmit submit = {
        .selectors = selectors, .n_selectors = 2, .lease_ms = 60000, .allow_partial = TRUE};
    guint64 queued = 0;

    fake_kernel_set_offline_ms(world->fake, WORLD_FIRST, FAKE_FOR_EVER);
    fake_kernel_add_dimm(world->fake, 1, second, 2);
    fake_kernel_add_dimm(world->fake, 2, second + 2, 2);
    for (guint32 i = second; i < second + 4; i++)
        fake_kernel_set_state(world->fake, i, "online", "Movable");
    guint64 first = world_prepare(world, 60000, 60000);
    g_assert_cmpint(unplugger_submit(world->unplugger, &submit, &queued), ==, UNPLUG_OK);
    fake_kernel_remove_dimm(world->fake, 1);
    fake_kernel_add_dimm(world->fake, 1, second, 2);
    fake_kernel_set_state(world->fake, second, "online", "Movable");
    model_keeper_catch_up(world->keeper);
    g_assert_cmpint(unplugger_cancel(world->unplugger, first), ==, UNPLUG_OK);
    world_wait_for(world, queued, JOB_READY);
    g_assert_cmpuint(world_job(world, queued)->blocks->len, ==, 2);
    g_assert_cmpstr(fake_kernel_state(world->fake, second), ==, "online");
    g_assert_cmpstr(fake_kernel_state(world->fake, second + 2), ==, "offline");
    g_assert_true(job_has_reason(world_job(world, queued), REASON_NO_SUCH_DEVICE, -1));
}

static void test_another_dimm_while_queued(World *world, G_GNUC_UNUSED gconstpointer data)
{
    fake_kernel_set_offline_ms(world->fake, WORLD_FIRST, FAKE_FOR_EVER);
    for (guint i = 0; i < 4; i++)
        another_dimm_while_queued(world, i % 2 != 0, i / 2 != 0);
}

/* Asks for DEVICES, as a host does, with the key "k". */
static UnplugResult ask(World *world, const char *devices, guint64 *id)
{
    g_autofree char *text = g_strdup_printf("{\"devices\": %s}", devices);
    g_autoptr(JsonNode) node = json_from_string(text, NULL);
    g_autoptr(GError) error = NULL;
    UnplugSubmit submit = {.lease_ms = 60000, .timeout_ms = 60000, .key = "k"};

    g_autofree DeviceSelector *selectors =
        arguments_selectors(json_node_get_object(node), model_keeper_catch_up(world->keeper), 8,
                            &submit.n_selectors, &error);
    g_assert_no_error(error);
    submit.selectors = selectors;
    return unplugger_submit(world->unplugger, &submit, id);
}

/* The same request is the same job, also when a device of it is gone, and after a restart. */
static void test_key_after_eject(World *world, G_GNUC_UNUSED gconstpointer data)
{
    static const char *const requests[] = {
        "[{\"slot\": 0}, {\"slot\": 1}]",
        "[{\"address\": 5368709120, \"size\": 1073741824}, {\"slot\": 1}]",
        "[{\"id\": \"slot0\"}, {\"slot\": 1}]"};

    for (guint i = 0; i < G_N_ELEMENTS(requests); i++) {
        guint64 id = 0, again = 0;

        if (i > 0)
            fake_kernel_add_dimm(world->fake, 0, WORLD_FIRST, WORLD_COUNT);
        fake_kernel_add_dimm(world->fake, 1, WORLD_FIRST + WORLD_COUNT, 2);
        g_assert_cmpint(ask(world, requests[i], &id), ==, UNPLUG_OK);
        world_wait_for(world, id, JOB_READY);
        fake_kernel_remove_dimm(world->fake, 0);
        for (guint restarts = 0; restarts < 2; restarts++) {
            g_assert_cmpint(ask(world, requests[i], &again), ==, UNPLUG_OK);
            g_assert_cmpuint(again, ==, id);
            g_assert_cmpint(ask(world, "[{\"slot\": 1}]", &again), ==, UNPLUG_KEY_CONFLICT);
            g_assert_cmpint(ask(world, "[{\"slot\": 2}, {\"slot\": 1}]", &again), ==,
                            UNPLUG_KEY_CONFLICT);
            while (executor_is_busy(world->executor))
                g_main_context_iteration(NULL, TRUE);
            world_kill_daemon(world);
            world_start_daemon(world);
        }
        fake_kernel_remove_dimm(world->fake, 1);
        model_keeper_catch_up(world->keeper);
        world_wait_for(world, id, JOB_UNPLUGGED);
    }
}

#define ADD(name, func)                                                                            \
    g_test_add("/unplugger/" name, World, NULL, world_set_up, func, world_tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("ready-and-unplugged", test_ready_and_unplugged);
    ADD("rollback-at-every-block", test_rollback_at_every_block);
    ADD("lease-ends", test_lease_ends);
    ADD("lease-ends-during-eject", test_lease_ends_during_eject);
    ADD("endless-offline-ends-at-deadline", test_endless_offline_ends_at_deadline);
    ADD("low-memory-starts-nothing", test_low_memory_starts_nothing);
    ADD("reclaim-as-far-as-needed", test_reclaim_as_far_as_needed);
    ADD("reclaim-is-bounded", test_reclaim_is_bounded);
    ADD("guard-while-offlining", test_guard_while_offlining);
    ADD("stop-rolls-back", test_stop_rolls_back);
    ADD("killed-after-every-block", test_killed_after_every_block);
    ADD("huge-pages-come-back", test_huge_pages_come_back);
    ADD("huge-pages-unreadable", test_huge_pages_unreadable);
    ADD("huge-pages-that-stay-away", test_huge_pages_that_stay_away);
    ADD("part", test_part);
    ADD("part-that-fits", test_part_that_fits);
    ADD("new-dimm-at-old-address", test_new_dimm_at_old_address);
    ADD("killed-behind-barrier", test_killed_behind_barrier);
    ADD("link-comes-while-queued", test_link_comes_while_queued);
    ADD("another-dimm-while-queued", test_another_dimm_while_queued);
    ADD("part-replaced-while-queued", test_part_replaced_while_queued);
    ADD("key-after-eject", test_key_after_eject);
    ADD("long-name-in-journal", test_long_name_in_journal);
    ADD("refusals-do-not-fill-journal", test_refusals_do_not_fill_journal);
    return g_test_run();
}
