/*
 * Asking: who is waited for, for how long, and what a job does when that is over.
 */
#include "unplug-bench.h"

static GPtrArray *one_reason(ReasonCode code)
{
    GPtrArray *reasons = reason_list_new();

    g_ptr_array_add(reasons, reason_new(code, NULL, -1, 0, "because of that"));
    return reasons;
}

/* A job that asks, with the blocks 8 and 9 and one delay lock, number 3. */
static void bring_to_asking(Bench *bench, guint64 timeout_ms)
{
    locks(bench, 3, 3, FALSE);
    submit_full(bench, 7, timeout_ms, 60000, NULL);
    forget(bench);
    checked(bench, bench->id, 8, "mo", NULL);
}

static void test_released(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_asking(bench, 30000);
    expect(bench, "journal; 1 asking; timer 5000");
    g_assert_cmpstr(unplug_job_device_state(job_of(bench, 1), 0), ==, "preparing");
    locks(bench, 3, 4, FALSE); /* a later one is not waited for */
    expect(bench, "");
    wait_ms(bench, 1000);
    locks(bench, 4, 4, FALSE);
    expect(bench, "check 1; timer off");
    checked(bench, 1, 8, "mo", NULL);
    expect(bench, "journal; 1 offlining; timer 29000"); /* of the time since the start */
    checked(bench, 1, 8, "mo", NULL);
    expect(bench, ""); /* nobody has asked */
    g_assert_true(unplug_job_begins(job_of(bench, 1), JOB_ASKING));
    g_assert_false(unplug_job_begins(job_of(bench, 1), JOB_OFFLINING));
}

static void test_time_is_up(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_asking(bench, 30000);
    wait_ms(bench, 4999);
    tick(bench);
    expect(bench, "journal; 1 asking; timer 5000; timer 1");
    wait_ms(bench, 1);
    tick(bench);
    expect(bench, "check 1");
    checked(bench, 1, 8, "mo", NULL);
    expect(bench, "journal; 1 offlining; timer 25000");
}

/* Half of a short time is left for what the job is there for. */
static void test_short_timeout(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_asking(bench, 3000);
    expect(bench, "journal; 1 asking; timer 1500");
}

static void test_room_is_made(void)
{
    g_autoptr(Bench) bench = bench_new();
    g_autoptr(GPtrArray) low = one_reason(REASON_LOW_MEMORY);
    g_autoptr(GPtrArray) hugepages = one_reason(REASON_HUGEPAGES);

    submit(bench, 7);
    checked(bench, 1, 8, "m", low); /* nobody is there to make room */
    expect_state(bench, 1, "failed");
    g_assert_false(unplug_job_had_begun(job_of(bench, 1)));

    locks(bench, 3, 3, FALSE);
    submit(bench, 7);
    checked(bench, 2, 8, "m", low);
    expect_state(bench, 2, "asking");
    expect_codes(bench, 2, "low-memory");
    locks(bench, 0, 3, FALSE);
    checked(bench, 2, 8, "m", NULL);
    expect_state(bench, 2, "offlining");
    expect_codes(bench, 2, "");
    cancel(bench, 2);

    locks(bench, 4, 4, FALSE);
    submit(bench, 7);
    checked(bench, 3, 8, "m", hugepages); /* not theirs to mend */
    expect_state(bench, 3, "failed");
}

static void test_room_is_not_made(void)
{
    g_autoptr(Bench) bench = bench_new();
    g_autoptr(GPtrArray) low = one_reason(REASON_LOW_MEMORY);

    bring_to_asking(bench, 30000);
    locks(bench, 0, 3, FALSE);
    forget(bench);
    checked(bench, 1, 8, "mo", low);
    expect(bench, "journal; 1 failed");
    expect_codes(bench, 1, "low-memory");
    g_assert_true(unplug_job_had_begun(job_of(bench, 1)));
    g_assert_cmpuint(unplug_job_gone_bytes(job_of(bench, 1)), ==, 0);
}

/* An application that says no while it is asked. */
static void test_veto(void)
{
    g_autoptr(Bench) bench = bench_new();
    g_autoptr(GPtrArray) inhibited = one_reason(REASON_INHIBITED);

    bring_to_asking(bench, 30000);
    forget(bench);
    locks(bench, 3, 4, TRUE);
    expect(bench, "check 1; timer off");
    locks(bench, 3, 4, FALSE); /* and takes it back */
    expect(bench, "");
    checked(bench, 1, 8, "mo", NULL);
    expect(bench, "timer 5000"); /* the other one is still waited for */
    locks(bench, 3, 5, TRUE);
    checked(bench, 1, 8, "mo", inhibited);
    expect(bench, "check 1; timer off; journal; 1 failed");
    expect_codes(bench, 1, "inhibited");
}

static void test_ends_at_once(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_asking(bench, 30000);
    submit(bench, 6);
    expect_state(bench, 2, "queued"); /* one at a time */
    forget(bench);
    cancel(bench, 1);
    expect(bench, "journal; 1 cancelled; 2 checking; check 2; timer off");
    checked(bench, 2, 20, "m", NULL);
    expect_state(bench, 2, "asking");
    stop(bench);
    expect_state(bench, 2, "failed");
    expect_codes(bench, 2, "agent-stopped");
}

/* What else becomes of the blocks meanwhile. */
static void test_blocks_change(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_asking(bench, 30000);
    look(bench, 8, "om"); /* by other hands: not to be brought back */
    locks(bench, 0, 3, FALSE);
    checked(bench, 1, 8, "om", NULL);
    journal_all(bench);
    forget(bench);
    cancel(bench, 1);
    worker_done(bench, 1, 9, "m", EINTR);
    expect(bench, "kill 1; journal; 1 rolling-back; timer 2000; journal; 1 cancelled; timer off");
}

/* After a restart no lock stands: the devices are checked, and nobody is waited for. */
static void test_restored(void)
{
    g_autoptr(Bench) before = bench_new(), bench = bench_new();
    g_autoptr(GArray) actions = unplug_actions_new();

    bring_to_asking(before, 30000);
    g_assert_true(unplug_machine_restore(bench->machine, job_of(before, 1)));
    bench->world.oldest_delay = bench->world.last_lock = 7; /* somebody was quick to come back */
    unplug_machine_resume(bench->machine, &bench->world, actions);
    note_actions(bench, actions);
    expect(bench, "check 1");
    checked(bench, 1, 8, "mo", NULL);
    expect(bench, "journal; 1 offlining; timer 30000");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/unplug/ask/released", test_released);
    g_test_add_func("/unplug/ask/time-is-up", test_time_is_up);
    g_test_add_func("/unplug/ask/short-timeout", test_short_timeout);
    g_test_add_func("/unplug/ask/room-is-made", test_room_is_made);
    g_test_add_func("/unplug/ask/room-is-not-made", test_room_is_not_made);
    g_test_add_func("/unplug/ask/veto", test_veto);
    g_test_add_func("/unplug/ask/ends-at-once", test_ends_at_once);
    g_test_add_func("/unplug/ask/blocks-change", test_blocks_change);
    g_test_add_func("/unplug/ask/restored", test_restored);
    return g_test_run();
}
