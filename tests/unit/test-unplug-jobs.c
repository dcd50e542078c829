/*
 * Unplug jobs as clients know them: names, the queue, keys, limits, progress.
 */
#include "unplug-bench.h"

static void test_names(void)
{
    JobState state;
    ReasonCode code;

    for (guint i = 0; i <= JOB_EXPIRED; i++) {
        g_assert_true(job_state_parse(job_state_name(i), &state));
        g_assert_cmpint(state, ==, i);
    }
    g_assert_false(job_state_parse("gone", &state));
    g_assert_cmpstr(job_state_name(JOB_ROLLING_BACK), ==, "rolling-back");
    for (guint i = 0; i < REASON_COUNT; i++) {
        g_assert_true(reason_code_parse(reason_code_name(i), &code));
        g_assert_cmpint(code, ==, i);
    }
    g_assert_false(reason_code_parse("", &code));
    g_assert_cmpstr(reason_code_name(REASON_NOT_A_DIMM), ==, "not-a-dimm");
}

static void test_odd_checks(void)
{
    g_autoptr(Bench) bench = bench_new();
    static const char names[1][DEVICE_ID_MAX] = {"slot7"};
    JobBlock blocks[] = {{8, 1008, 0, JOB_BLOCK_ONLINE},
                         {8, 1008, 0, JOB_BLOCK_ONLINE},
                         {9, 1009, 1, JOB_BLOCK_ONLINE}};
    UnplugEvent event = {.kind = UNPLUG_CHECKED, .job = 2};

    submit(bench, 7);
    checked(bench, 1, 8, "", NULL);
    expect_state(bench, 1, "failed");
    expect_codes(bench, 1, "error");

    /* a device that was named twice; a block of no device */
    submit(bench, 7);
    event.checked =
        (UnplugChecked){NULL, names, 1, blocks, 3, BLOCK_BYTES, RESERVE_BYTES, 20000, NULL, 0};
    feed(bench, &event);
    expect_state(bench, 2, "offlining");
    g_assert_cmpuint(job_of(bench, 2)->blocks->len, ==, 1);
    journal_all(bench);
    worker_done(bench, 2, 8, "o", 0);
    verified(bench, 2, 8, "o");
    expect_state(bench, 2, "ready");

    /* a block that a job has */
    submit(bench, 7);
    checked(bench, 3, 8, "o", NULL);
    expect_state(bench, 3, "failed");
    expect_codes(bench, 3, "already-preparing:8:0");
}

static void test_queue(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_offlining(bench, 1, 8, "m");
    submit(bench, 2);
    expect(bench, "journal; 2 queued");
    for (guint i = 1; i < UNPLUG_QUEUE_MAX; i++)
        submit(bench, 2 + i);
    g_assert_cmpint(bench->result, ==, UNPLUG_OK);
    forget(bench);
    submit(bench, 99);
    g_assert_cmpint(bench->result, ==, UNPLUG_QUEUE_FULL);
    expect(bench, "");
    g_assert_cmpuint(unplug_machine_next_job_id(bench->machine), ==, 18);
    wait_ms(bench, 20000);
    worker_done(bench, 1, 8, "o", 0);
    forget(bench);
    verified(bench, 1, 8, "o"); /* a ready job occupies nothing */
    expect(bench, "journal; 1 ready; 2 checking; check 2; timer 60000");
    checked(bench, 2, 20, "m", NULL);
    expect(bench, "journal; 2 offlining; timer 30000"); /* the time in the queue is free */
}

static void test_default_timeout(void)
{
    g_autoptr(Bench) bench = bench_new();

    submit_full(bench, 7, 0, 60000, NULL);
    g_assert_cmpuint(job_of(bench, 1)->timeout_ms, ==, 0);
    forget(bench);
    checked(bench, 1, 8, "m", NULL);
    expect(bench, "journal; 1 offlining; timer 20000");
    submit_full(bench, 7, G_MAXUINT64, G_MAXUINT64, NULL);
    g_assert_cmpuint(job_of(bench, 2)->timeout_ms, ==, UNPLUG_TIMEOUT_MAX_MS);
    g_assert_cmpuint(job_of(bench, 2)->lease_ms, ==, UNPLUG_LEASE_MAX_MS);
}

static void test_keys(void)
{
    g_autoptr(Bench) bench = bench_new();

    submit_full(bench, 1, 30000, 60000, "k");
    submit_full(bench, 1, 30000, 9000, "k");
    g_assert_cmpuint(bench->id, ==, 1);
    g_assert_cmpuint(job_of(bench, 1)->lease_ms, ==, 60000); /* not ready yet */
    submit_full(bench, 2, 30000, 60000, "k");
    g_assert_cmpint(bench->result, ==, UNPLUG_KEY_CONFLICT);
    checked(bench, 1, 8, "m", NULL);
    journal_all(bench);
    worker_done(bench, 1, 8, "o", 0);
    verified(bench, 1, 8, "o");
    forget(bench);
    wait_ms(bench, 59999);
    submit_full(bench, 1, 30000, 9000, "k");
    expect(bench, "journal; timer 9000");
    cancel(bench, 1);
    submit_full(bench, 1, 30000, 9000, "k"); /* on its way back: the same job still */
    g_assert_cmpuint(bench->id, ==, 1);
    worker_done(bench, 1, 8, "m", 0);
    submit_full(bench, 2, 30000, 9000, "k"); /* ended: the key is free */
    g_assert_cmpuint(bench->id, ==, 2);
}

static void test_ended_are_dropped(void)
{
    g_autoptr(Bench) bench = bench_new();

    for (guint64 id = 1; id <= UNPLUG_ENDED_MAX + 6; id++) {
        submit(bench, 7);
        cancel(bench, id);
        wait_ms(bench, 1);
    }
    g_assert_null(job_of(bench, 6));
    g_assert_nonnull(job_of(bench, 7));
    g_assert_cmpuint(unplug_machine_next_job_id(bench->machine), ==, UNPLUG_ENDED_MAX + 7);
}

static void test_progress(void)
{
    g_autoptr(Bench) bench = bench_new();
    UnplugProgress progress;

    bring_to_offlining(bench, 7, 8, "mmo");
    wait_ms(bench, 70);
    progress = unplug_job_progress(job_of(bench, 1), bench->world.now_usec);
    g_assert_cmpuint(progress.blocks_done, ==, 1); /* the one being tried does not count */
    g_assert_cmpuint(progress.blocks_total, ==, 3);
    g_assert_cmpuint(progress.bytes, ==, 3 * BLOCK_BYTES);
    g_assert_cmpint(progress.elapsed_usec, ==, 70000);
    g_assert_cmpint(progress.lease_left_usec, ==, -1);
    g_assert_cmpstr(unplug_job_device_state(job_of(bench, 1), 0), ==, "preparing");
    worker_done(bench, 1, 8, "o", 0);
    worker_done(bench, 1, 9, "o", 0);
    verified(bench, 1, 8, "ooo");
    wait_ms(bench, 1000);
    progress = unplug_job_progress(job_of(bench, 1), bench->world.now_usec);
    g_assert_cmpuint(progress.blocks_done, ==, 3);
    g_assert_cmpint(progress.lease_left_usec, ==, 59 * USEC_PER_SEC);
    g_assert_cmpstr(unplug_job_device_state(job_of(bench, 1), 0), ==, "ready");
    look(bench, 8, "ggg");
    wait_ms(bench, 5000);
    progress = unplug_job_progress(job_of(bench, 1), bench->world.now_usec);
    g_assert_cmpint(progress.elapsed_usec, ==, 1070000);
    g_assert_cmpint(progress.lease_left_usec, ==, -1);
}

/* A reason that names block AT. */
static Reason *named_reason(guint at, gboolean is_warning)
{
    Reason *reason = reason_new(REASON_NOT_MOVABLE, "slot7", at, 0, "reason %u", at);

    reason->is_warning = is_warning;
    return reason;
}

/* A request of 256 devices that are not there makes no list of 256 reasons, but a true count. */
static void test_many_reasons(void)
{
    g_autoptr(Bench) bench = bench_new();
    g_autoptr(GPtrArray) reasons = reason_list_new();

    for (guint i = 0; i < 256; i++)
        g_ptr_array_add(reasons, named_reason(i, FALSE));
    g_ptr_array_add(reasons, reason_new(REASON_LOW_MEMORY, NULL, -1, 0, "of the whole"));
    submit(bench, 1);
    checked(bench, 1, 8, "", reasons);
    const UnplugJob *job = unplug_machine_find(bench->machine, 1);
    g_assert_cmpstr(job_state_name(job->state), ==, "failed");
    g_assert_cmpuint(job->reasons->len, ==, UNPLUG_REASONS_NAMED_MAX + 2);
    const Reason *rest = job->reasons->pdata[UNPLUG_REASONS_NAMED_MAX];
    const Reason *whole = job->reasons->pdata[UNPLUG_REASONS_NAMED_MAX + 1];
    g_assert_cmpstr(rest->desc, ==, "and 240 more reasons, which are not listed");
    g_assert_cmpint(rest->code, ==, REASON_NOT_MOVABLE);
    g_assert_cmpstr(whole->desc, ==, "of the whole");
    const JobDevice *device = &g_array_index(job->devices, JobDevice, 0);
    g_assert_cmpuint(device->reasons->len, <=, UNPLUG_REASONS_NAMED_MAX);
}

/* A refusal behind so many warnings that it is not listed refuses all the same. */
static void test_refusal_behind_warnings(void)
{
    g_autoptr(Bench) bench = bench_new();
    g_autoptr(GPtrArray) reasons = reason_list_new();

    for (guint i = 0; i < 100; i++)
        g_ptr_array_add(reasons, named_reason(i, TRUE));
    g_ptr_array_add(reasons, named_reason(100, FALSE));
    submit(bench, 1);
    checked(bench, 1, 8, "m", reasons);
    const UnplugJob *job = unplug_machine_find(bench->machine, 1);
    g_assert_cmpstr(job_state_name(job->state), ==, "failed");
    g_assert_true(reason_list_refuses(job->reasons));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/unplug-jobs/names", test_names);
    g_test_add_func("/unplug-jobs/odd-checks", test_odd_checks);
    g_test_add_func("/unplug-jobs/queue", test_queue);
    g_test_add_func("/unplug-jobs/default-timeout", test_default_timeout);
    g_test_add_func("/unplug-jobs/keys", test_keys);
    g_test_add_func("/unplug-jobs/ended-are-dropped", test_ended_are_dropped);
    g_test_add_func("/unplug-jobs/progress", test_progress);
    g_test_add_func("/unplug-jobs/many-reasons", test_many_reasons);
    g_test_add_func("/unplug-jobs/refusal-behind-warnings", test_refusal_behind_warnings);
    return g_test_run();
}
