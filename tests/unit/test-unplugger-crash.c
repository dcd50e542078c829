/*
 * SIGKILL at every write boundary of a job's whole life, and journals that cannot be believed: no
 * block is ever left offline without a job.
 */
#include <stdio.h>
#include <string.h>

#include "unplugger-fixture.h"

static guint count_writes(World *world)
{
    guint n;

    fake_kernel_writes(world->fake, &n);
    return n;
}

/* Every block that is not online is held by a job that has not ended. */
static void assert_owned(World *world)
{
    const UnplugMachine *machine = unplugger_machine(world->unplugger);

    for (guint32 i = WORLD_FIRST; i < WORLD_FIRST + WORLD_COUNT; i++) {
        if (g_strcmp0(fake_kernel_state(world->fake, i), "online") != 0)
            g_assert_nonnull(unplug_machine_owner(machine, i, fake_kernel_inode(world->fake, i)));
    }
}

/* Lets the job live (prepare, ready, cancel) until N_WRITES writes were begun or it has ended.
 * Returns FALSE if it has ended. */
static gboolean live(World *world, guint64 id, guint n_writes)
{
    while (count_writes(world) < n_writes) {
        const UnplugJob *job = world_job(world, id);

        if (job_state_is_ended(job->state))
            return FALSE;
        if (job->state == JOB_READY)
            unplugger_cancel(world->unplugger, id);
        else
            g_main_context_iteration(NULL, FALSE);
    }
    return TRUE;
}

/* The writes of a job that is prepared and cancelled: 8 blocks, the barrier, 8 blocks, the barrier,
 * the pool of huge pages.
 * The daemon dies as each of them is begun, and again a while into it. */
static void kill_at_every_write(World *world, gulong pause_usec)
{
    guint n_kills = 0;
    gboolean is_alive = TRUE;

    fake_kernel_set_pool(world->fake, 50, 5, 1000);
    for (guint n = 1; is_alive; n++) {
        fake_kernel_clear_writes(world->fake);
        guint64 id = world_prepare(world, 0, 600000);
        is_alive = live(world, id, n);
        if (is_alive) {
            g_usleep(pause_usec);
            world_kill_daemon(world);
            world_start_daemon(world);
            assert_owned(world);
            n_kills++;
        }
        while (!job_state_is_ended(world_job(world, id)->state)) {
            if (world_job(world, id)->state == JOB_READY)
                unplugger_cancel(world->unplugger, id);
            else
                g_main_context_iteration(NULL, TRUE);
            assert_owned(world);
        }
        world_assert_all_movable(world);
        g_assert_cmpuint(fake_kernel_pool(world->fake), ==, 50);
        while (executor_is_busy(world->executor))
            g_main_context_iteration(NULL, TRUE);
        g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, world->gate ? 0 : 1);
    }
    g_assert_cmpuint(n_kills, >=, 19);
}

static void test_killed_at_every_write(World *world, G_GNUC_UNUSED gconstpointer data)
{
    for (guint32 i = WORLD_FIRST; i < WORLD_FIRST + WORLD_COUNT; i++)
        fake_kernel_set_offline_ms(world->fake, i, 4);
    kill_at_every_write(world, 0);
    kill_at_every_write(world, 2000);
    kill_at_every_write(world, 6000);
}

static void test_killed_at_every_write_with_gate(World *world, G_GNUC_UNUSED gconstpointer data)
{
    world_kill_daemon(world);
    world->gate = TRUE;
    world_start_daemon(world);
    while (executor_is_busy(world->executor))
        g_main_context_iteration(NULL, TRUE);
    kill_at_every_write(world, 0);
    kill_at_every_write(world, 1000);
    world_kill_daemon(world);
    world->gate = FALSE; /* the next one does not use it, and puts it back */
    world_start_daemon(world);
    while (executor_is_busy(world->executor))
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 1);
}

/* --- the gate --- */

/* What the flag read when the job became ready. */
static void test_gate_opens_before_ready(World *world, G_GNUC_UNUSED gconstpointer data)
{
    world_kill_daemon(world);
    world->gate = TRUE;
    world_start_daemon(world);
    while (executor_is_busy(world->executor))
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 0);
    guint64 id = world_prepare(world, 0, 60000);
    world_wait_for(world, id, JOB_READY);
    g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 1);
    fake_kernel_clear_writes(world->fake); /* and it stays so: not shut for a moment */
    g_assert_false(executor_is_busy(world->executor));
    g_main_context_iteration(NULL, FALSE);
    g_assert_cmpuint(count_writes(world), ==, 0);
    fake_kernel_remove_dimm(world->fake, 0);
    model_keeper_catch_up(world->keeper);
    world_wait_for(world, id, JOB_UNPLUGGED);
    while (executor_is_busy(world->executor))
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 0);
}

static void on_stopped(gpointer user_data)
{
    World *world = user_data;

    world->was_stopped = TRUE;
}

/* A switch that cannot be read is one all the same: a rollback goes behind it. */
static void test_unreadable_switch(World *world, G_GNUC_UNUSED gconstpointer data)
{
    world_kill_daemon(world);
    fake_kernel_fail_read(world->fake, "sys/firmware/acpi/hotplug/memory/enabled", EACCES);
    g_test_expect_message("memplug", G_LOG_LEVEL_WARNING,
                          "*cannot read /sys/firmware/acpi/hotplug/memory/enabled: Permission "
                          "denied; it is taken for 1");
    world_start_daemon(world);
    g_test_assert_expected_messages();
    guint64 id = world_prepare(world, 0, 60000);
    world_wait_for(world, id, JOB_READY);
    guint n;

    fake_kernel_clear_writes(world->fake);
    unplugger_cancel(world->unplugger, id);
    world_wait_for(world, id, JOB_CANCELLED);
    const FakeWrite *writes = fake_kernel_writes(world->fake, &n);
    g_assert_cmpuint(n, >, 2);
    g_assert_cmpstr(writes[0].path, ==, "sys/firmware/acpi/hotplug/memory/enabled");
    g_assert_cmpstr(writes[0].value, ==, "0");
    g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 1);
    world_assert_all_movable(world);
}

static void test_gate_is_restored_at_stop(World *world, G_GNUC_UNUSED gconstpointer data)
{
    world_kill_daemon(world);
    world->gate = TRUE;
    world_start_daemon(world);
    guint64 id = world_prepare(world, 0, 60000);
    world_wait_for(world, id, JOB_READY);
    unplugger_stop(world->unplugger, on_stopped, world);
    while (!world->was_stopped)
        g_main_context_iteration(NULL, TRUE);
    world_assert_all_movable(world);
    g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 1);
}

/* A job that is cancelled while it waits for the gate (here: behind an eject of something else) is
 * cancelled, and not ready afterwards. */
static void test_cancelled_while_the_gate_opens(World *world, G_GNUC_UNUSED gconstpointer data)
{
    world_kill_daemon(world);
    world->gate = TRUE;
    fake_kernel_set_offline_ms(world->fake, WORLD_FIRST + WORLD_COUNT - 1, 60);
    world_start_daemon(world);
    while (executor_is_busy(world->executor))
        g_main_context_iteration(NULL, TRUE);
    guint64 id = world_prepare(world, 0, 60000);
    while (world_count_state(world, "offline") < WORLD_COUNT)
        g_main_context_iteration(NULL, FALSE);
    unplugger_cancel(world->unplugger, id);
    world_wait_for(world, id, JOB_CANCELLED);
    world_assert_all_movable(world);
    g_assert_null(strstr(world->states->str, "ready"));
    while (executor_is_busy(world->executor))
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 0);
}

/* The daemon was killed while its job was ready, in the middle of another's barrier: the switch is
 * left at 0. The job is not ready before it is open again, and no longer than its timeout. */
static void ready_and_left_shut(World *world, guint64 timeout_ms, gboolean can_open)
{
    g_autoptr(AttrIo) io = fake_kernel_io(world->fake);
    guint64 id = world_prepare(world, timeout_ms, 600000);

    world_wait_for(world, id, JOB_READY);
    world_kill_daemon(world);
    g_assert_cmpint(attr_write(io, "sys/firmware/acpi/hotplug/memory", 0, "enabled", "0"), ==, 0);
    g_string_truncate(world->states, 0);
    world_start_daemon(world);
    g_assert_cmpint(world_job(world, id)->state, ==, JOB_OFFLINING);
    if (can_open) {
        world_wait_for(world, id, JOB_READY);
        g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 1);
        unplugger_cancel(world->unplugger, id);
        world_wait_for(world, id, JOB_CANCELLED);
    } else {
        fake_kernel_hide_hotplug_flag(world->fake);
        g_test_expect_message("memplug", G_LOG_LEVEL_WARNING, "cannot write 1*");
        world_wait_for(world, id, JOB_FAILED);
        g_test_assert_expected_messages();
        g_assert_true(job_has_reason(world_job(world, id), REASON_KERNEL_BUSY, -1));
        g_assert_null(strstr(world->states->str, "ready"));
    }
    world_assert_all_movable(world);
}

static void test_ready_and_left_shut(World *world, G_GNUC_UNUSED gconstpointer data)
{
    world_kill_daemon(world);
    world->gate = TRUE;
    world_start_daemon(world);
    while (executor_is_busy(world->executor))
        g_main_context_iteration(NULL, TRUE);
    ready_and_left_shut(world, 60000, TRUE);
    ready_and_left_shut(world, 1000, FALSE);
}

/* --- journals --- */

static void expect_warning(void)
{
    g_test_expect_message("memplug", G_LOG_LEVEL_WARNING, "*journal*");
}

/* Whatever becomes of the journal of a ready job, its blocks come back. */
static void lose(World *world, const char *text)
{
    guint64 id = world_prepare(world, 0, 600000);

    world_wait_for(world, id, JOB_READY);
    world_kill_daemon(world);
    temp_tree_write(world->tree, JOURNAL_FILE, text);
    expect_warning();
    world_start_daemon(world);
    g_test_assert_expected_messages();
    g_autoptr(GPtrArray) jobs = unplug_machine_list(unplugger_machine(world->unplugger));
    g_assert_cmpuint(jobs->len, ==, 1);
    guint64 recovery = ((const UnplugJob *)jobs->pdata[0])->id;
    g_assert_cmpuint(recovery, >, id);
    world_wait_for(world, recovery, JOB_FAILED);
    g_assert_true(job_has_reason(world_job(world, recovery), REASON_ERROR, -1));
    world_assert_all_movable(world);
    g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 1);
}

static void test_lost_journal(World *world, G_GNUC_UNUSED gconstpointer data)
{
    lose(world, "");
    lose(world, "{\"format\": 1, \"boot-id\": \"b\", \"jobs\": [");
    lose(world, "{\"format\": 2}");
    lose(world, "{\"format\": 1, \"boot-id\": \"b\", \"next-job-id\": 1, \"eject-enabled\": -1, "
                "\"jobs\": [7]}");
}

/* A daemon that died behind the barrier, and its journal too: the kernel must not refuse for ever.
 */
static void test_lost_journal_and_flag(World *world, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(AttrIo) io = fake_kernel_io(world->fake);

    world_kill_daemon(world);
    g_assert_cmpint(attr_write(io, "sys/firmware/acpi/hotplug/memory", 0, "enabled", "0"), ==, 0);
    temp_tree_write(world->tree, JOURNAL_FILE, "x");
    expect_warning();
    world_start_daemon(world);
    g_test_assert_expected_messages();
    while (executor_is_busy(world->executor))
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 1);
}

/* As many devices as a job can have: every block of the last one comes back too. */
static void test_lost_journal_of_many(World *world, G_GNUC_UNUSED gconstpointer data)
{
    world_kill_daemon(world);
    for (guint i = 1; i < UNPLUG_DEVICES_MAX; i++)
        fake_kernel_add_dimm(world->fake, (int)i, WORLD_FIRST + WORLD_COUNT + 2 * i, 2);
    fake_kernel_set_state(world->fake, WORLD_FIRST, "offline", NULL);
    temp_tree_write(world->tree, JOURNAL_FILE, "x");
    expect_warning();
    world_start_daemon(world);
    g_test_assert_expected_messages();
    g_autoptr(GPtrArray) jobs = unplug_machine_list(unplugger_machine(world->unplugger));
    g_assert_cmpuint(jobs->len, ==, 1);
    g_assert_cmpuint(((const UnplugJob *)jobs->pdata[0])->blocks->len, ==,
                     1 + 2 * (UNPLUG_DEVICES_MAX - 1));
}

/* One job of two makes no sense: the other goes on, and the blocks of the first come back. */
static void test_half_a_journal(World *world, G_GNUC_UNUSED gconstpointer data)
{
    guint64 id = world_prepare(world, 0, 600000);

    world_wait_for(world, id, JOB_READY);
    world_kill_daemon(world);
    g_autofree char *text = temp_tree_read(world->tree, JOURNAL_FILE);
    char *selectors = strstr(text, "\"selectors\": [");
    g_assert_nonnull(selectors);
    char *end = strchr(selectors, ']');
    g_autoptr(GString) without =
        g_string_new_len(text, selectors + strlen("\"selectors\": [") - text);
    g_string_append(without, end);
    temp_tree_write(world->tree, JOURNAL_FILE, without->str);
    expect_warning();
    world_start_daemon(world);
    g_test_assert_expected_messages();
    g_assert_null(unplug_machine_find(unplugger_machine(world->unplugger), id));
    g_autoptr(GPtrArray) jobs = unplug_machine_list(unplugger_machine(world->unplugger));
    g_assert_cmpuint(jobs->len, ==, 1);
    world_wait_for(world, ((const UnplugJob *)jobs->pdata[0])->id, JOB_FAILED);
    world_assert_all_movable(world);
}

/* Refused jobs, as many as N. Their ids are all new. */
static void make_jobs(World *world, GHashTable *ids, guint n)
{
    DeviceSelector nothing = {.kind = SELECT_SLOT, .slot = 77};
    UnplugSubmit submit = {.selectors = &nothing, .n_selectors = 1};

    for (guint i = 0; i < n; i++) {
        guint64 id = 0;

        g_assert_cmpint(unplugger_submit(world->unplugger, &submit, &id), ==, UNPLUG_OK);
        g_assert_true(g_hash_table_add(ids, GSIZE_TO_POINTER(id)));
    }
}

static gboolean is_fatal(G_GNUC_UNUSED const char *domain, G_GNUC_UNUSED GLogLevelFlags level,
                         G_GNUC_UNUSED const char *message, G_GNUC_UNUSED gpointer user_data)
{
    return FALSE;
}

static void ignore(G_GNUC_UNUSED const char *domain, G_GNUC_UNUSED GLogLevelFlags level,
                   const char *message, G_GNUC_UNUSED gpointer user_data)
{
    g_assert_nonnull(strstr(message, "cannot write the journal"));
}

/* Daemons are killed whose journal could not be written: at first, later, or at no time. */
static void test_ids_are_not_used_twice(World *world, G_GNUC_UNUSED gconstpointer data)
{
    static const gboolean is_full[] = {TRUE, TRUE, FALSE, FALSE, TRUE, TRUE, FALSE};
    g_autoptr(GHashTable) ids = g_hash_table_new(NULL, NULL);
    g_autofree char *away = g_strconcat(world->tree->root, ".away", NULL);

    g_test_log_set_fatal_handler(is_fatal, NULL); /* the warning comes as often as it is true */
    guint handler =
        g_log_set_handler("memplug", G_LOG_LEVEL_WARNING | G_LOG_FLAG_FATAL, ignore, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(is_full); i++) {
        world_kill_daemon(world);
        world_start_daemon(world);
        make_jobs(world, ids, 3);
        if (is_full[i])
            g_assert_cmpint(rename(world->tree->root, away), ==, 0);
        make_jobs(world, ids, 40);
        if (is_full[i])
            g_assert_cmpint(rename(away, world->tree->root), ==, 0);
        make_jobs(world, ids, i % 2);
    }
    for (guint i = 0; i < 3; i++) { /* none of them ever writes */
        world_kill_daemon(world);
        if (i == 0)
            temp_tree_remove(world->tree, JOURNAL_FILE);
        g_assert_cmpint(rename(world->tree->root, away), ==, 0);
        world_start_daemon(world);
        make_jobs(world, ids, 5);
        g_assert_cmpint(rename(away, world->tree->root), ==, 0);
    }
    g_log_remove_handler("memplug", handler);
}

/* The ids of a daemon that ends as it should have no gap to those of the next. */
static void test_ids_go_on_after_a_stop(World *world, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GHashTable) ids = g_hash_table_new(NULL, NULL);

    make_jobs(world, ids, 3);
    guint64 next = unplug_machine_next_job_id(unplugger_machine(world->unplugger));
    unplugger_stop(world->unplugger, on_stopped, world);
    while (!world->was_stopped)
        g_main_context_iteration(NULL, TRUE);
    world_kill_daemon(world);
    world_start_daemon(world);
    g_assert_cmpuint(unplug_machine_next_job_id(unplugger_machine(world->unplugger)), ==, next);
}

/* After a reboot the journal speaks of blocks that are long gone. */
static void test_journal_of_another_boot(World *world, G_GNUC_UNUSED gconstpointer data)
{
    guint64 id = world_prepare(world, 0, 600000);

    world_wait_for(world, id, JOB_READY);
    world_kill_daemon(world);
    fake_kernel_clear_writes(world->fake);
    g_free(world->boot_id);
    world->boot_id = g_strdup("another");
    world_start_daemon(world);
    g_autoptr(GPtrArray) jobs = unplug_machine_list(unplugger_machine(world->unplugger));
    g_assert_cmpuint(jobs->len, ==, 0);
    g_assert_cmpuint(count_writes(world), ==, 0);
}

/* The killed daemon's worker slept behind an eject, and its 0 comes when the next daemon has
 * looked. */
static void test_late_worker(World *world, G_GNUC_UNUSED gconstpointer data)
{
    world_kill_daemon(world);
    temp_tree_write(world->tree, JOURNAL_FILE,
                    "{\"format\": 1, \"boot-id\": \"b\", \"next-job-id\": 2, \"eject-enabled\": 1, "
                    "\"jobs\": []}");
    world_start_daemon(world);
    g_assert_cmpint(attr_write(world->io, "sys/firmware/acpi/hotplug/memory", 0, "enabled", "0"),
                    ==, 0);
    while (executor_is_busy(world->executor))
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(fake_kernel_hotplug_flag(world->fake), ==, 1);
}

/* A gate that cannot be opened lets no job become ready, and the job says so by its deadline. */
static void test_gate_cannot_open(World *world, G_GNUC_UNUSED gconstpointer data)
{
    DeviceSelector first = {.kind = SELECT_SLOT};
    UnplugSubmit submit = {
        .selectors = &first, .n_selectors = 1, .timeout_ms = 1000, .lease_ms = 60000};
    guint64 id = 0;
    const Reason *reason;

    world_kill_daemon(world);
    world->gate = TRUE;
    world_start_daemon(world);
    while (executor_is_busy(world->executor))
        g_main_context_iteration(NULL, TRUE);
    fake_kernel_hide_hotplug_flag(world->fake);
    g_test_expect_message("memplug", G_LOG_LEVEL_WARNING, "cannot write 1*");
    g_assert_cmpint(unplugger_submit(world->unplugger, &submit, &id), ==, UNPLUG_OK);
    while (!job_state_is_ended(world_job(world, id)->state)) {
        g_main_context_iteration(NULL, TRUE);
        g_assert_cmpint(world_job(world, id)->state, !=, JOB_READY);
    }
    g_assert_cmpint(world_job(world, id)->state, ==, JOB_FAILED);
    reason = g_ptr_array_index(world_job(world, id)->reasons, 0);
    g_assert_cmpint(reason->code, ==, REASON_KERNEL_BUSY);
    g_assert_nonnull(strstr(reason->desc, "could not be opened"));
    g_test_assert_expected_messages();
}

#define ADD(name, func)                                                                            \
    g_test_add("/unplugger-crash/" name, World, NULL, world_set_up, func, world_tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("killed-at-every-write", test_killed_at_every_write);
    ADD("killed-at-every-write-with-gate", test_killed_at_every_write_with_gate);
    ADD("gate-opens-before-ready", test_gate_opens_before_ready);
    ADD("unreadable-switch", test_unreadable_switch);
    ADD("gate-is-restored-at-stop", test_gate_is_restored_at_stop);
    ADD("cancelled-while-the-gate-opens", test_cancelled_while_the_gate_opens);
    ADD("ready-and-left-shut", test_ready_and_left_shut);
    ADD("late-worker", test_late_worker);
    ADD("gate-cannot-open", test_gate_cannot_open);
    ADD("lost-journal", test_lost_journal);
    ADD("lost-journal-and-flag", test_lost_journal_and_flag);
    ADD("lost-journal-of-many", test_lost_journal_of_many);
    ADD("half-a-journal", test_half_a_journal);
    ADD("ids-are-not-used-twice", test_ids_are_not_used_twice);
    ADD("ids-go-on-after-a-stop", test_ids_go_on_after_a_stop);
    ADD("journal-of-another-boot", test_journal_of_another_boot);
    return g_test_run();
}
