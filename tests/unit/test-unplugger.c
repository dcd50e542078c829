/*
 * The unplugger whole: the real machine, the real forked worker and the real journal, on a kernel in
 * shared memory. What a guest does slowly and rightly, this does fast and wrongly on demand.
 */
#include <errno.h>
#include <string.h>

#include "fake-kernel.h"
#include "ground/units.h"
#include "outside/journal.h"
#include "temp-tree.h"
#include "wiring/unplugger.h"

#define FIRST 40
#define COUNT 8

typedef struct {
    FakeKernel *fake;
    AttrIo *io;
    TempTree *tree;
    Executor *executor;
    ModelKeeper *keeper;
    Unplugger *unplugger;
    GString *states; /* of the last job, as it changed */
    gboolean was_stopped;
} World;

static void on_model_change(const ModelChange *change, gpointer user_data)
{
    World *world = user_data;

    if (world->unplugger)
        unplugger_on_change(world->unplugger, change);
}

static void on_job_changed(G_GNUC_UNUSED const UnplugJob *job, JobState state, gpointer user_data)
{
    World *world = user_data;

    g_string_append_printf(world->states, "%s ", job_state_name(state));
}

static void start_daemon(World *world)
{
    g_autoptr(GError) error = NULL;

    world->io = fake_kernel_io(world->fake);
    world->executor = executor_new(world->io);
    world->keeper = model_keeper_new(world->io, FALSE, on_model_change, world, &error);
    g_assert_no_error(error);
    UnpluggerConfig config = {.io = world->io,
                              .keeper = world->keeper,
                              .executor = world->executor,
                              .state_dir = world->tree->root,
                              .boot_id = "b"};
    world->unplugger = unplugger_new(&config, on_job_changed, world);
    unplugger_resume(world->unplugger);
}

/* As SIGKILL would: nothing is rolled back or said. */
static void kill_daemon(World *world)
{
    executor_free(world->executor);
    g_clear_pointer(&world->unplugger, unplugger_free);
    model_keeper_free(world->keeper);
    attr_io_free(world->io);
}

static void set_up(World *world, G_GNUC_UNUSED gconstpointer data)
{
    world->fake = fake_kernel_new(128 * MIB);
    fake_kernel_add_boot(world->fake, 0, 8);
    fake_kernel_add_dimm(world->fake, 0, FIRST, COUNT);
    world->tree = temp_tree_new();
    world->states = g_string_new(NULL);
    for (guint32 i = FIRST; i < FIRST + COUNT; i++)
        fake_kernel_set_state(world->fake, i, "online", "Movable");
    fake_kernel_set_available(world->fake, 2 * GIB);
    start_daemon(world);
}

static void tear_down(World *world, G_GNUC_UNUSED gconstpointer data)
{
    kill_daemon(world);
    g_assert_cmpuint(fake_kernel_traps(world->fake), ==, 0);
    fake_kernel_free(world->fake);
    temp_tree_free(world->tree);
    g_string_free(world->states, TRUE);
}

static guint64 prepare(World *world, guint64 timeout_ms, guint64 lease_ms)
{
    DeviceSelector selector = {.kind = SELECT_SLOT, .slot = 0};
    UnplugSubmit submit = {.selectors = &selector,
                           .n_selectors = 1,
                           .timeout_ms = timeout_ms,
                           .lease_ms = lease_ms};
    guint64 id = 0;

    model_keeper_sync(world->keeper);
    g_assert_cmpint(unplugger_submit(world->unplugger, &submit, &id), ==, UNPLUG_OK);
    return id;
}

static const UnplugJob *job_of(const World *world, guint64 id)
{
    const UnplugJob *job = unplug_machine_find(unplugger_machine(world->unplugger), id);

    g_assert_nonnull(job);
    return job;
}

static void wait_for(World *world, guint64 id, JobState state)
{
    while (job_of(world, id)->state != state) {
        g_assert_false(job_state_is_ended(job_of(world, id)->state));
        g_main_context_iteration(NULL, TRUE);
    }
}

static guint count_state(World *world, const char *state)
{
    guint n = 0;

    for (guint32 i = FIRST; i < FIRST + COUNT; i++)
        n += g_strcmp0(fake_kernel_state(world->fake, i), state) == 0;
    return n;
}

static void assert_all_movable(World *world)
{
    for (guint32 i = FIRST; i < FIRST + COUNT; i++) {
        g_assert_cmpstr(fake_kernel_state(world->fake, i), ==, "online");
        g_assert_cmpstr(fake_kernel_zone(world->fake, i), ==, "Movable");
    }
}

static gboolean has_reason(const UnplugJob *job, ReasonCode code, gint64 block)
{
    for (guint i = 0; i < job->reasons->len; i++) {
        const Reason *reason = job->reasons->pdata[i];
        if (reason->code == code && (block < 0 || reason->block == block))
            return TRUE;
    }
    return FALSE;
}

static void test_ready_and_unplugged(World *world, G_GNUC_UNUSED gconstpointer data)
{
    guint64 id = prepare(world, 0, 60000);

    wait_for(world, id, JOB_READY);
    g_assert_cmpuint(count_state(world, "offline"), ==, COUNT);
    fake_kernel_remove_dimm(world->fake, 0);
    model_keeper_sync(world->keeper);
    wait_for(world, id, JOB_UNPLUGGED);
    g_assert_cmpstr(world->states->str, ==, "queued checking offlining ready unplugged ");
    g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 1);
}

/* The block that fails may be any: what was offlined before it comes back, every time. */
static void test_rollback_at_every_block(World *world, G_GNUC_UNUSED gconstpointer data)
{
    for (guint32 bad = FIRST; bad < FIRST + COUNT; bad++) {
        fake_kernel_fail(world->fake, bad, "offline", EBUSY, FAKE_FOR_EVER);
        guint64 id = prepare(world, 200, 60000);
        wait_for(world, id, JOB_FAILED);
        assert_all_movable(world);
        g_assert_true(has_reason(job_of(world, id), REASON_BUSY_PAGES, bad));
        g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 1);
        fake_kernel_fail(world->fake, bad, "offline", EBUSY, 0);
    }
}

static void test_lease_ends(World *world, G_GNUC_UNUSED gconstpointer data)
{
    guint64 id = prepare(world, 0, 50);

    wait_for(world, id, JOB_READY);
    wait_for(world, id, JOB_EXPIRED);
    assert_all_movable(world);
}

/* The barrier: an eject that is in flight when the lease ends takes the whole DIMM; not one of its
 * blocks is brought online behind it. */
static void test_lease_ends_during_eject(World *world, G_GNUC_UNUSED gconstpointer data)
{
    guint64 id = prepare(world, 0, 100);

    wait_for(world, id, JOB_READY);
    fake_kernel_clear_writes(world->fake);
    g_assert_true(fake_kernel_start_eject(world->fake, 0, 600));
    wait_for(world, id, JOB_UNPLUGGED);
    guint n;
    const FakeWrite *writes = fake_kernel_writes(world->fake, &n);
    for (guint i = 0; i < n; i++) /* nothing was there any more to be brought online */
        g_assert_true(strcmp(writes[i].value, "online_movable") != 0 || writes[i].result < 0);
    g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 1);
}

static void test_endless_offline_ends_at_deadline(World *world, G_GNUC_UNUSED gconstpointer data)
{
    fake_kernel_set_offline_ms(world->fake, FIRST + 3, FAKE_FOR_EVER);
    guint64 id = prepare(world, 300, 60000);

    wait_for(world, id, JOB_FAILED);
    assert_all_movable(world);
    g_assert_true(has_reason(job_of(world, id), REASON_TIMEOUT, -1));
}

static void test_low_memory_starts_nothing(World *world, G_GNUC_UNUSED gconstpointer data)
{
    fake_kernel_set_available(world->fake, COUNT * 128 * MIB);
    guint64 id = prepare(world, 0, 60000);

    g_assert_cmpint(job_of(world, id)->state, ==, JOB_FAILED);
    g_assert_true(has_reason(job_of(world, id), REASON_LOW_MEMORY, -1));
    g_assert_cmpuint(fake_kernel_count_writes(world->fake, -1, NULL), ==, 0);
}

/* Memory that runs low while a block is being offlined ends the attempt, and all comes back. */
static void test_guard_while_offlining(World *world, G_GNUC_UNUSED gconstpointer data)
{
    fake_kernel_set_offline_ms(world->fake, FIRST + 5, FAKE_FOR_EVER);
    guint64 id = prepare(world, 60000, 60000);

    while (g_strcmp0(fake_kernel_state(world->fake, FIRST + 5), "going-offline") != 0)
        g_main_context_iteration(NULL, FALSE);
    fake_kernel_set_available(world->fake, 1 * MIB);
    wait_for(world, id, JOB_ROLLING_BACK);
    fake_kernel_set_available(world->fake, 2 * GIB);
    wait_for(world, id, JOB_FAILED);
    assert_all_movable(world);
    g_assert_true(has_reason(job_of(world, id), REASON_LOW_MEMORY, -1));
}

static void on_stopped(gpointer user_data)
{
    World *world = user_data;

    world->was_stopped = TRUE;
}

static void test_stop_rolls_back(World *world, G_GNUC_UNUSED gconstpointer data)
{
    guint64 id = prepare(world, 0, 60000);

    wait_for(world, id, JOB_READY);
    unplugger_stop(world->unplugger, on_stopped, world);
    while (!world->was_stopped)
        g_main_context_iteration(NULL, TRUE);
    assert_all_movable(world);
    g_assert_true(has_reason(job_of(world, id), REASON_AGENT_STOPPED, -1));
    kill_daemon(world);
    start_daemon(world); /* the next one still knows what became of it */
    g_assert_cmpint(job_of(world, id)->state, ==, JOB_FAILED);
}

/* SIGKILL after any number of blocks: the next daemon finishes the job, and the one after a lease. */
static void test_killed_after_every_block(World *world, G_GNUC_UNUSED gconstpointer data)
{
    for (guint n = 0; n <= COUNT; n++) {
        guint64 id = prepare(world, 0, 60000);
        while (count_state(world, "offline") < n)
            g_main_context_iteration(NULL, TRUE);
        kill_daemon(world);
        start_daemon(world);
        wait_for(world, id, JOB_READY);
        g_assert_cmpuint(count_state(world, "offline"), ==, COUNT);
        unplugger_cancel(world->unplugger, id);
        wait_for(world, id, JOB_CANCELLED);
        assert_all_movable(world);
    }
}

/* A new DIMM at the old address is none of an old job's. */
static void test_new_dimm_at_old_address(World *world, G_GNUC_UNUSED gconstpointer data)
{
    guint64 id = prepare(world, 0, 60000);

    wait_for(world, id, JOB_READY);
    kill_daemon(world);
    fake_kernel_remove_dimm(world->fake, 0);
    fake_kernel_add_dimm(world->fake, 0, FIRST, COUNT);
    fake_kernel_clear_writes(world->fake);
    start_daemon(world);
    wait_for(world, id, JOB_UNPLUGGED);
    g_assert_cmpuint(fake_kernel_count_writes(world->fake, -1, NULL), ==, 0);
    g_assert_cmpuint(count_state(world, "offline"), ==, COUNT);
}

/* Killed between the barrier's two writes: the journal holds what the kernel's flag was, and the next
 * daemon puts it back. */
static void test_killed_behind_barrier(World *world, G_GNUC_UNUSED gconstpointer data)
{
    guint64 id = prepare(world, 0, 60000);

    wait_for(world, id, JOB_READY);
    kill_daemon(world);
    g_autofree char *text = temp_tree_read(world->tree, JOURNAL_FILE);
    char *flag = strstr(text, "\"eject-enabled\":-1");
    g_assert_nonnull(flag);
    memcpy(flag, "\"eject-enabled\": 1", strlen("\"eject-enabled\":-1"));
    temp_tree_write(world->tree, JOURNAL_FILE, text);
    g_autoptr(AttrIo) io = fake_kernel_io(world->fake);
    g_assert_cmpint(attr_write(io, "sys/firmware/acpi/hotplug/memory", 0, "enabled", "0"), ==, 0);
    start_daemon(world);
    while (executor_is_busy(world->executor))
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 1);
    g_assert_cmpint(job_of(world, id)->state, ==, JOB_READY);
}

#define ADD(name, func) g_test_add("/unplugger/" name, World, NULL, set_up, func, tear_down)

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
