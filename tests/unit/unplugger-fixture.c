/*
 * The world of the unplugger's tests.
 */
#include "unplugger-fixture.h"

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

void world_start_daemon(World *world)
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
                              .boot_id = world->boot_id,
                              .gate = world->gate};
    world->unplugger = unplugger_new(&config, on_job_changed, world);
    unplugger_resume(world->unplugger);
}

/* As SIGKILL would: nothing is rolled back or said. */
void world_kill_daemon(World *world)
{
    executor_free(world->executor);
    g_clear_pointer(&world->unplugger, unplugger_free);
    model_keeper_free(world->keeper);
    attr_io_free(world->io);
}

void world_set_up(World *world, G_GNUC_UNUSED gconstpointer data)
{
    world->fake = fake_kernel_new(128 * MIB);
    fake_kernel_add_boot(world->fake, 0, 8);
    fake_kernel_add_dimm(world->fake, 0, WORLD_FIRST, WORLD_COUNT);
    world->tree = temp_tree_new();
    world->states = g_string_new(NULL);
    world->boot_id = g_strdup("b");
    for (guint32 i = WORLD_FIRST; i < WORLD_FIRST + WORLD_COUNT; i++)
        fake_kernel_set_state(world->fake, i, "online", "Movable");
    fake_kernel_set_available(world->fake, 2 * GIB);
    world_start_daemon(world);
}

void world_tear_down(World *world, G_GNUC_UNUSED gconstpointer data)
{
    world_kill_daemon(world);
    g_assert_cmpuint(fake_kernel_traps(world->fake), ==, 0);
    fake_kernel_free(world->fake);
    temp_tree_free(world->tree);
    g_string_free(world->states, TRUE);
    g_free(world->boot_id);
}

guint64 world_prepare(World *world, guint64 timeout_ms, guint64 lease_ms)
{
    DeviceSelector selector = {.kind = SELECT_SLOT, .slot = 0};
    UnplugSubmit submit = {
        .selectors = &selector, .n_selectors = 1, .timeout_ms = timeout_ms, .lease_ms = lease_ms};
    guint64 id = 0;

    model_keeper_catch_up(world->keeper);
    g_assert_cmpint(unplugger_submit(world->unplugger, &submit, &id), ==, UNPLUG_OK);
    return id;
}

const UnplugJob *world_job(const World *world, guint64 id)
{
    const UnplugJob *job = unplug_machine_find(unplugger_machine(world->unplugger), id);

    g_assert_nonnull(job);
    return job;
}

void world_wait_for(World *world, guint64 id, JobState state)
{
    while (world_job(world, id)->state != state) {
        g_assert_false(job_state_is_ended(world_job(world, id)->state));
        g_main_context_iteration(NULL, TRUE);
    }
}

guint world_count_state(World *world, const char *state)
{
    guint n = 0;

    for (guint32 i = WORLD_FIRST; i < WORLD_FIRST + WORLD_COUNT; i++)
        n += g_strcmp0(fake_kernel_state(world->fake, i), state) == 0;
    return n;
}

void world_assert_all_movable(World *world)
{
    for (guint32 i = WORLD_FIRST; i < WORLD_FIRST + WORLD_COUNT; i++) {
        g_assert_cmpstr(fake_kernel_state(world->fake, i), ==, "online");
        g_assert_cmpstr(fake_kernel_zone(world->fake, i), ==, "Movable");
    }
}

gboolean job_has_reason(const UnplugJob *job, ReasonCode code, gint64 block)
{
    for (guint i = 0; i < job->reasons->len; i++) {
        const Reason *reason = job->reasons->pdata[i];
        if (reason->code == code && (block < 0 || reason->block == block))
            return TRUE;
    }
    return FALSE;
}
