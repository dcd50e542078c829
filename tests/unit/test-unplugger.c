/*
 * The unplugger against the fake kernel: each way in which a job can end, and a daemon that is killed.
 */
#include <errno.h>
#include <string.h>

#include "unplugger-fixture.h"

static void test_ready_and_unplugged(World *world, G_GNUC_UNUSED gconstpointer data)
{
    guint64 id = world_prepare(world, 0, 60000);

    world_wait_for(world, id, JOB_READY);
    g_assert_cmpuint(world_count_state(world, "offline"), ==, WORLD_COUNT);
    fake_kernel_remove_dimm(world->fake, 0);
    model_keeper_sync(world->keeper);
    world_wait_for(world, id, JOB_UNPLUGGED);
    g_assert_cmpstr(world->states->str, ==, "queued checking offlining ready unplugged ");
    g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 1);
}

/* A prepare that fails at its deadline, after block BAD was tried. On a machine that is busy itself the
 * deadline may come before that: then there is another, with more time. Returns its id. */
static guint64 fail_at(World *world, guint32 bad)
{
    guint64 id = 0;

    for (guint64 timeout_ms = 200; fake_kernel_count_writes(world->fake, bad, "offline") == 0;
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

/* SIGKILL after any number of blocks: the next daemon finishes the job, and the one after a lease. */
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

/* Killed between the barrier's two writes: the journal holds what the kernel's flag was, and the next
 * daemon puts it back. */
static void test_killed_behind_barrier(World *world, G_GNUC_UNUSED gconstpointer data)
{
    guint64 id = world_prepare(world, 0, 60000);

    world_wait_for(world, id, JOB_READY);
    world_kill_daemon(world);
    g_autofree char *text = temp_tree_read(world->tree, JOURNAL_FILE);
    char *flag = strstr(text, "\"eject-enabled\":-1");
    g_assert_nonnull(flag);
    memcpy(flag, "\"eject-enabled\": 1", strlen("\"eject-enabled\":-1"));
    temp_tree_write(world->tree, JOURNAL_FILE, text);
    g_autoptr(AttrIo) io = fake_kernel_io(world->fake);
    g_assert_cmpint(attr_write(io, "sys/firmware/acpi/hotplug/memory", 0, "enabled", "0"), ==, 0);
    world_start_daemon(world);
    while (executor_is_busy(world->executor))
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 1);
    g_assert_cmpint(world_job(world, id)->state, ==, JOB_READY);
}

#define ADD(name, func) g_test_add("/unplugger/" name, World, NULL, world_set_up, func, world_tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("ready-and-unplugged", test_ready_and_unplugged);
    ADD("rollback-at-every-block", test_rollback_at_every_block);
    ADD("lease-ends", test_lease_ends);
    ADD("lease-ends-during-eject", test_lease_ends_during_eject);
    ADD("endless-offline-ends-at-deadline", test_endless_offline_ends_at_deadline);
    ADD("low-memory-starts-nothing", test_low_memory_starts_nothing);
    ADD("guard-while-offlining", test_guard_while_offlining);
    ADD("stop-rolls-back", test_stop_rolls_back);
    ADD("killed-after-every-block", test_killed_after_every_block);
    ADD("new-dimm-at-old-address", test_new_dimm_at_old_address);
    ADD("killed-behind-barrier", test_killed_behind_barrier);
    return g_test_run();
}
