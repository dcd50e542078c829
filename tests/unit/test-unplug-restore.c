/*
 * The unplug state machine's start from a journal: what is taken over, how it goes on, and what a
 * damaged or hostile journal cannot do.
 */
#include "unplug-bench.h"

/* A sound job 5 with the blocks 8, 9 and 10: ONLINE, OFFLINED, WAS_OFFLINE. */
static UnplugJob *journaled_job(JobState state)
{
    DeviceSelector selector = {.kind = SELECT_SLOT, .slot = 7};
    JobBlock blocks[] = {{8, 1008, 0, JOB_BLOCK_ONLINE},
                         {9, 1009, 0, JOB_BLOCK_OFFLINED},
                         {10, 1010, 0, JOB_BLOCK_WAS_OFFLINE}};
    JobDevice device = {.id = "slot7"};
    UnplugJob job = {
        .id = 5,
        .state = state,
        .outcome = JOB_EXPIRED,
        .key = (char *)"k",
        .selectors = &selector,
        .n_selectors = 1,
        .timeout_ms = 30000,
        .lease_ms = 60000,
        .block_size_bytes = BLOCK_BYTES,
        .reserve_bytes = RESERVE_BYTES,
        .submitted_usec = START_USEC - 9000,
        .started_usec = START_USEC - 8000,
        .deadline_usec = START_USEC + 20 * USEC_PER_SEC,
        .lease_end_usec = state == JOB_READY ? START_USEC + 40 * USEC_PER_SEC : 0,
    };
    UnplugJob *copy = unplug_job_copy(&job);

    if (state > JOB_CHECKING)
        g_array_append_vals(copy->blocks, blocks, G_N_ELEMENTS(blocks));
    device.reasons = reason_list_new();
    g_array_append_val(copy->devices, device);
    return copy;
}

static void restore(Bench *bench, UnplugJob *job)
{
    g_assert_true(unplug_machine_restore(bench->machine, job));
    unplug_job_free(job);
}

static void resume(Bench *bench)
{
    g_autoptr(GArray) actions = unplug_actions_new();

    unplug_machine_resume(bench->machine, &bench->world, actions);
    note_actions(bench, actions);
}

static Bench *bench_restored(JobState state)
{
    Bench *bench = bench_new();

    restore(bench, journaled_job(state));
    resume(bench);
    return bench;
}

static void test_nothing(void)
{
    g_autoptr(Bench) bench = bench_new();

    resume(bench);
    expect(bench, "");
}

static void test_queued(void)
{
    g_autoptr(Bench) bench = bench_restored(JOB_CHECKING);

    expect(bench, "journal; 5 checking; check 5");
    g_assert_cmpint(job_of(bench, 5)->started_usec, ==, START_USEC);
    g_assert_cmpuint(unplug_machine_next_job_id(bench->machine), ==, 6);
}

static void test_offlining(void)
{
    g_autoptr(Bench) bench = bench_restored(JOB_OFFLINING);

    expect(bench, "verify 5");
    submit(bench, 1);
    expect(bench, "journal; 6 queued");
    verified(bench, 5, 8, "omo"); /* one went offline after the journal, one came back */
    expect(bench, "timer 50");
    wait_ms(bench, 50);
    tick(bench);
    expect(bench, "offline 5:9; timer 19950");
    worker_done(bench, 5, 9, "o", 0);
    verified(bench, 5, 8, "ooo");
    expect_state(bench, 5, "ready");
    forget(bench);
    cancel(bench, 5);
    expect(bench, "journal; 5 rolling-back; rollback 5:8,9; timer 2000"); /* not block 10 */
}

static void test_offlining_is_done(void)
{
    g_autoptr(Bench) bench = bench_restored(JOB_OFFLINING);

    forget(bench);
    verified(bench, 5, 8, "ooo");
    expect(bench, "journal; 5 ready; timer 60000");
}

static void test_offlining_too_late(void)
{
    g_autoptr(Bench) bench = bench_new();

    bench->world.now_usec += 20 * USEC_PER_SEC;
    restore(bench, journaled_job(JOB_OFFLINING));
    resume(bench);
    expect(bench, "verify 5");
    verified(bench, 5, 8, "c-o"); /* what cannot be told may be ours */
    expect(bench, "journal; 5 rolling-back; rollback 5:8,9; timer 2000");
    expect_codes(bench, 5, "timeout going-offline:8:0 going-offline:9:0");
}

/* Cancelled before it was looked at: the look comes first all the same. */
static void test_cancel_before_the_look(void)
{
    g_autoptr(Bench) bench = bench_restored(JOB_OFFLINING);

    cancel(bench, 5);
    expect(bench, "verify 5; journal; 5 rolling-back; timer 2000");
    verified(bench, 5, 8, "ooo");
    expect(bench, "rollback 5:8,9");
    worker_done(bench, 5, 8, "mm", 0);
    expect(bench, "verify 5");
    verified(bench, 5, 8, "mmo");
    expect(bench, "journal; 5 cancelled; timer off");
}

static void test_ready(void)
{
    g_autoptr(Bench) bench = bench_restored(JOB_READY);

    expect(bench, "verify 5; timer 40000");
    verified(bench, 5, 8, "ooo");
    expect(bench, "");
    expect_state(bench, 5, "ready");
    submit_full(bench, 7, 30000, 60000, "k");
    g_assert_cmpuint(bench->id, ==, 5);
    expect(bench, "journal; timer 60000");
}

static void test_ready_onlined(void)
{
    g_autoptr(Bench) bench = bench_restored(JOB_READY);

    forget(bench);
    verified(bench, 5, 8, "omo");
    expect(bench, "journal; 5 offlining; timer 5000");
}

static void test_ready_gone(void)
{
    g_autoptr(Bench) bench = bench_restored(JOB_READY);

    forget(bench);
    verified(bench, 5, 8, "ggg");
    expect(bench, "journal; 5 unplugged; timer off");
}

static void test_ready_expired(void)
{
    g_autoptr(Bench) bench = bench_new();

    bench->world.now_usec += 40 * USEC_PER_SEC;
    restore(bench, journaled_job(JOB_READY));
    resume(bench);
    expect(bench, "journal; verify 5; 5 rolling-back; timer 2000");
    verified(bench, 5, 8, "ooo");
    expect(bench, "rollback 5:8,9");
}

/* The look at the blocks of job 5, which was ready, with an eject gate that did not open. */
static void verified_and_shut(Bench *bench, BlockTruth truth)
{
    BlockReport reports[] = {{8, 1008, truth, 0}, {9, 1009, truth, 0}, {10, 1010, truth, 0}};
    UnplugEvent event = {
        .kind = UNPLUG_VERIFIED,
        .job = 5,
        .blocks = {.reports = reports, .n_reports = G_N_ELEMENTS(reports), .gate_error = EIO}};

    forget(bench);
    feed(bench, &event);
}

/* A job that was ready is not while the gate is shut; it has its timeout of 30 s to open it. */
static void test_ready_and_shut(void)
{
    g_autoptr(Bench) bench = bench_restored(JOB_READY);

    verified_and_shut(bench, TRUTH_OFFLINE);
    expect(bench, "journal; 5 offlining; timer 30000");
    wait_ms(bench, 30000);
    tick(bench);
    expect_state(bench, 5, "rolling-back");
    g_assert_cmpint(job_of(bench, 5)->outcome, ==, JOB_FAILED);
    expect_codes(bench, 5, "kernel-busy");
    g_assert_cmpint(((const Reason *)job_of(bench, 5)->reasons->pdata[0])->error, ==, EIO);
}

/* Nor longer than its lease, which goes on. */
static void test_ready_and_shut_until_the_lease(void)
{
    g_autoptr(Bench) bench = bench_new();

    bench->world.now_usec += 20 * USEC_PER_SEC;
    restore(bench, journaled_job(JOB_READY));
    resume(bench);
    verified_and_shut(bench, TRUTH_OFFLINE);
    expect(bench, "journal; 5 offlining"); /* the timer that runs is that of the lease */
    wait_ms(bench, 20000);
    tick(bench);
    expect_state(bench, 5, "rolling-back");
    g_assert_cmpint(job_of(bench, 5)->outcome, ==, JOB_EXPIRED);
}

static void test_ready_and_shut_too_late(void)
{
    g_autoptr(Bench) bench = bench_restored(JOB_READY);

    wait_ms(bench, 40000);
    verified_and_shut(bench, TRUTH_OFFLINE);
    expect(bench, "journal; 5 rolling-back; rollback 5:8,9; timer 2000");
    expect_codes(bench, 5, "");
}

static void test_ready_and_shut_but_gone(void)
{
    g_autoptr(Bench) bench = bench_restored(JOB_READY);

    verified_and_shut(bench, TRUTH_GONE);
    expect(bench, "journal; 5 unplugged; timer off");
}

static void test_rolling_back(void)
{
    g_autoptr(Bench) bench = bench_restored(JOB_ROLLING_BACK);

    expect(bench, "verify 5; timer 2000");
    verified(bench, 5, 8, "moo");
    expect(bench, "rollback 5:9");
    worker_done(bench, 5, 9, "m", 0);
    expect(bench, "verify 5");
    verified(bench, 5, 8, "mmo");
    expect(bench, "journal; 5 expired; timer off");
}

/* Every block is back, but the worker of the killed daemon may have one more in its hands: a write
 * waits for it, and what it took is found and comes back. */
static void test_rolling_back_is_done(void)
{
    g_autoptr(Bench) bench = bench_restored(JOB_ROLLING_BACK);

    forget(bench);
    verified(bench, 5, 8, "mko");
    expect(bench, "rollback 5:8");
    worker_ended(bench, 5, 8, "m", EAGAIN, ATTEMPT_NO_WORKER);
    expect(bench, "timer 50");
    wait_ms(bench, 50);
    tick(bench);
    expect(bench, "rollback 5:8; timer 1950");
    worker_done(bench, 5, 8, "m", EINVAL);
    expect(bench, "verify 5");
    verified(bench, 5, 8, "moo");
    expect(bench, "rollback 5:9");
    worker_done(bench, 5, 9, "m", 0);
    expect(bench, "journal; 5 expired; timer off");
    expect_codes(bench, 5, "onlined-elsewhere:9:0");
}

static void test_ended(void)
{
    g_autoptr(Bench) bench = bench_restored(JOB_FAILED);

    expect(bench, "");
    expect_state(bench, 5, "failed");
    g_assert_null(unplug_machine_owner(bench->machine, 8, 1008));
    submit(bench, 1);
    g_assert_cmpuint(bench->id, ==, 6);
}

static void test_order(void)
{
    g_autoptr(Bench) bench = bench_new();
    g_autoptr(GPtrArray) list = NULL;
    UnplugJob *first = journaled_job(JOB_QUEUED);

    restore(bench, journaled_job(JOB_QUEUED));
    first->id = 3;
    restore(bench, first);
    resume(bench);
    expect(bench, "journal; 3 checking; check 3");
    list = unplug_machine_list(bench->machine);
    g_assert_cmpuint(((const UnplugJob *)g_ptr_array_index(list, 1))->id, ==, 5);
}

static void test_times(void)
{
    g_autoptr(Bench) bench = bench_new();
    UnplugJob *offlining = journaled_job(JOB_OFFLINING);
    UnplugJob *ready = journaled_job(JOB_READY);
    const UnplugJob *job;

    offlining->submitted_usec = G_MAXINT64;
    offlining->started_usec = G_MININT64;
    offlining->deadline_usec = G_MAXINT64;
    offlining->timeout_ms = G_MAXUINT64;
    offlining->attempt_running = TRUE;
    ready->id = 6;
    ready->lease_end_usec = G_MAXINT64;
    ready->lease_ms = G_MAXUINT64;
    g_array_set_size(ready->blocks, 1);
    g_array_index(ready->blocks, JobBlock, 0).index = 99;
    restore(bench, offlining);
    restore(bench, ready);
    resume(bench);
    job = job_of(bench, 5);
    g_assert_cmpint(job->submitted_usec, ==, START_USEC);
    g_assert_cmpint(job->started_usec, ==, 0);
    g_assert_cmpint(job->deadline_usec, ==, START_USEC + UNPLUG_TIMEOUT_MAX_MS * USEC_PER_MSEC);
    g_assert_cmpuint(job->timeout_ms, ==, UNPLUG_TIMEOUT_MAX_MS);
    g_assert_false(job->attempt_running);
    job = job_of(bench, 6);
    g_assert_cmpint(job->lease_end_usec, ==, START_USEC + UNPLUG_LEASE_MAX_MS * USEC_PER_MSEC);
    g_assert_cmpuint(job->lease_ms, ==, UNPLUG_LEASE_MAX_MS);
}

typedef void (*SpoilFunc)(UnplugJob *job);

static JobBlock *first_block(UnplugJob *job)
{
    return &g_array_index(job->blocks, JobBlock, 0);
}

static void spoil_id(UnplugJob *job)
{
    job->id = 0;
}

static void spoil_id_high(UnplugJob *job)
{
    job->id = G_MAXUINT64;
}

static void spoil_state(UnplugJob *job)
{
    job->state = 77;
}

static void spoil_key(UnplugJob *job)
{
    g_free(job->key);
    job->key = g_strnfill(UNPLUG_KEY_MAX + 1, 'x');
}

static void spoil_selectors(UnplugJob *job)
{
    job->n_selectors = 0;
}

static void spoil_selector(UnplugJob *job)
{
    job->selectors[0].kind = 55;
}

static void spoil_device(UnplugJob *job)
{
    first_block(job)->device = 1;
}

static void spoil_phase(UnplugJob *job)
{
    first_block(job)->phase = 200;
}

static void spoil_twice(UnplugJob *job)
{
    first_block(job)->index = 9;
}

static void spoil_blocks(UnplugJob *job)
{
    g_array_set_size(job->blocks, 0);
}

static void spoil_block_size(UnplugJob *job)
{
    job->block_size_bytes = 0;
}

static void test_unsound(void)
{
    static const SpoilFunc spoils[] = {
        spoil_id,     spoil_id_high, spoil_state, spoil_key,    spoil_selectors, spoil_selector,
        spoil_device, spoil_phase,   spoil_twice, spoil_blocks, spoil_block_size};
    g_autoptr(Bench) bench = bench_new();

    for (guint i = 0; i < G_N_ELEMENTS(spoils); i++) {
        g_autoptr(UnplugJob) job = journaled_job(JOB_READY);

        spoils[i](job);
        g_assert_false(unplug_machine_restore(bench->machine, job));
        g_assert_cmpuint(unplug_machine_next_job_id(bench->machine), ==, 1);
    }
    resume(bench);
    expect(bench, "");
}

static void test_conflicts(void)
{
    g_autoptr(Bench) bench = bench_new();
    g_autoptr(UnplugJob) job = journaled_job(JOB_READY);

    restore(bench, journaled_job(JOB_READY));
    g_assert_false(unplug_machine_restore(bench->machine, job)); /* the same id */
    job->id = 6;
    g_assert_false(unplug_machine_restore(bench->machine, job)); /* the same blocks */
    job->state = JOB_QUEUED;
    for (job->id = 7; job->id < 7 + UNPLUG_QUEUE_MAX + 1; job->id++)
        g_assert_true(unplug_machine_restore(bench->machine, job));
    g_assert_false(unplug_machine_restore(bench->machine, job)); /* too many */
}

/* Lists that are NULL, reasons that are none, an outcome that is none. */
static void test_mended(void)
{
    g_autoptr(Bench) bench = bench_new();
    g_autoptr(UnplugJob) job = journaled_job(JOB_ROLLING_BACK);
    UnplugJob bare = {.id = 9, .state = JOB_QUEUED, .n_selectors = 1};
    Reason *reason = reason_new(REASON_ERROR, "slot7", 8, EIO, "to be spoiled");

    reason->code = REASON_COUNT;
    g_ptr_array_add(job->reasons, reason);
    reason = reason_new(REASON_ERROR, NULL, -1, 0, "kept");
    g_ptr_array_add(job->reasons, reason);
    job->outcome = JOB_READY;
    g_assert_true(unplug_machine_restore(bench->machine, job));
    bare.selectors = job->selectors;
    g_assert_true(unplug_machine_restore(bench->machine, &bare));
    expect_codes(bench, 5, "error");
    resume(bench);
    verified(bench, 5, 8, "mmo");
    worker_done(bench, 5, 8, "m", EINVAL);
    verified(bench, 5, 8, "mmo");
    expect_state(bench, 5, "failed");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/unplug-restore/nothing", test_nothing);
    g_test_add_func("/unplug-restore/queued", test_queued);
    g_test_add_func("/unplug-restore/offlining", test_offlining);
    g_test_add_func("/unplug-restore/offlining-is-done", test_offlining_is_done);
    g_test_add_func("/unplug-restore/offlining-too-late", test_offlining_too_late);
    g_test_add_func("/unplug-restore/cancel-before-the-look", test_cancel_before_the_look);
    g_test_add_func("/unplug-restore/ready", test_ready);
    g_test_add_func("/unplug-restore/ready-onlined", test_ready_onlined);
    g_test_add_func("/unplug-restore/ready-gone", test_ready_gone);
    g_test_add_func("/unplug-restore/ready-expired", test_ready_expired);
    g_test_add_func("/unplug-restore/ready-and-shut", test_ready_and_shut);
    g_test_add_func("/unplug-restore/ready-and-shut-until-the-lease",
                    test_ready_and_shut_until_the_lease);
    g_test_add_func("/unplug-restore/ready-and-shut-too-late", test_ready_and_shut_too_late);
    g_test_add_func("/unplug-restore/ready-and-shut-but-gone", test_ready_and_shut_but_gone);
    g_test_add_func("/unplug-restore/rolling-back", test_rolling_back);
    g_test_add_func("/unplug-restore/rolling-back-is-done", test_rolling_back_is_done);
    g_test_add_func("/unplug-restore/ended", test_ended);
    g_test_add_func("/unplug-restore/order", test_order);
    g_test_add_func("/unplug-restore/times", test_times);
    g_test_add_func("/unplug-restore/unsound", test_unsound);
    g_test_add_func("/unplug-restore/conflicts", test_conflicts);
    g_test_add_func("/unplug-restore/mended", test_mended);
    return g_test_run();
}
