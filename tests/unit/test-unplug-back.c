/*
 * The unplug state machine's way back: what takes a job out of ready, giving blocks back, cancel
 * and stop; one test for each transition, with every action that it gives.
 */
#include "unplug-bench.h"

static void test_lease(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_ready(bench, 7, 8, 2);
    wait_ms(bench, 59999);
    tick(bench);
    expect(bench, "timer 1");
    wait_ms(bench, 1);
    tick(bench);
    expect(bench, "journal; 1 rolling-back; rollback 1:8,9; timer 2000");
    worker_done(bench, 1, 8, "mm", 0);
    expect(bench, "journal; 1 expired; timer off");
    expect_codes(bench, 1, "");
    g_assert_cmpstr(unplug_job_device_state(job_of(bench, 1), 0), ==, "in-use");
}

/* Behind an eject that hangs it may take any time: then it is told, once, and no longer once it is
 * over. */
static void test_slow_rollback_is_told(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_ready(bench, 7, 8, 2);
    wait_ms(bench, 60000);
    forget(bench);
    tick(bench);
    expect(bench, "journal; 1 rolling-back; rollback 1:8,9; timer 2000");
    wait_ms(bench, 1999);
    tick(bench);
    expect_codes(bench, 1, "");
    forget(bench);
    wait_ms(bench, 1);
    tick(bench);
    expect(bench, "");
    expect_codes(bench, 1, "kernel-busy");
    wait_ms(bench, 100000);
    tick(bench);
    expect(bench, "");
    worker_done(bench, 1, 8, "mm", 0);
    expect(bench, "journal; 1 expired");
    expect_codes(bench, 1, "");
}

/* The host took one of two devices, and the lease ends: expired, but that one is unplugged. */
static void test_lease_half_ejected(void)
{
    static const char names[2][DEVICE_ID_MAX] = {"slot1", "slot2"};
    JobBlock blocks[] = {{8, 1008, 0, JOB_BLOCK_ONLINE}, {9, 1009, 1, JOB_BLOCK_ONLINE}};
    UnplugEvent event = {.kind = UNPLUG_CHECKED, .job = 1};
    g_autoptr(Bench) bench = bench_new();

    submit(bench, 1);
    event.checked =
        (UnplugChecked){NULL, names, 2, blocks, 2, BLOCK_BYTES, RESERVE_BYTES, 20000, NULL, 0};
    feed(bench, &event);
    journal_all(bench);
    worker_done(bench, 1, 8, "o", 0);
    worker_done(bench, 1, 9, "o", 0);
    verified(bench, 1, 8, "oo");
    look(bench, 8, "g");
    expect_state(bench, 1, "ready");
    wait_ms(bench, 60000);
    forget(bench);
    tick(bench);
    expect(bench, "journal; 1 rolling-back; rollback 1:9; timer 2000");
    worker_done(bench, 1, 9, "m", 0);
    expect(bench, "journal; 1 expired; timer off");
    g_assert_cmpstr(unplug_job_device_state(job_of(bench, 1), 0), ==, "unplugged");
    g_assert_cmpstr(unplug_job_device_state(job_of(bench, 1), 1), ==, "in-use");
}

/* A job with allow-partial for slot1 (blocks 8, 9) and slot2 (10, 11), its first attempt under way.
 */
static Bench *bring_two_to_offlining(void)
{
    static const char names[2][DEVICE_ID_MAX] = {"slot1", "slot2"};
    JobBlock blocks[] = {{8, 1008, 0, JOB_BLOCK_ONLINE},
                         {9, 1009, 0, JOB_BLOCK_ONLINE},
                         {10, 1010, 1, JOB_BLOCK_ONLINE},
                         {11, 1011, 1, JOB_BLOCK_ONLINE}};
    UnplugEvent event = {.kind = UNPLUG_CHECKED, .job = 1};
    Bench *bench = bench_new();

    bench->allow_partial = TRUE;
    submit(bench, 1);
    event.checked =
        (UnplugChecked){NULL, names, 2, blocks, 4, BLOCK_BYTES, RESERVE_BYTES, 20000, NULL, 0};
    feed(bench, &event);
    journal_all(bench);
    forget(bench);
    return bench;
}

static void expect_devices(const Bench *bench, const char *first, const char *second)
{
    g_assert_cmpstr(unplug_job_device_state(job_of(bench, 1), 0), ==, first);
    g_assert_cmpstr(unplug_job_device_state(job_of(bench, 1), 1), ==, second);
}

/* slot1 is offline but for block 9, for ever. At the deadline it is given back, and slot2 is ready.
 */
static void test_part_at_the_deadline(void)
{
    g_autoptr(Bench) bench = bring_two_to_offlining();

    worker_done(bench, 1, 8, "ommm", EBUSY);
    wait_ms(bench, 1000);
    tick(bench);
    worker_done(bench, 1, 9, "moo", EBUSY);
    wait_ms(bench, 29000);
    forget(bench);
    tick(bench);
    expect(bench, "journal; 1 rolling-back; rollback 1:8; timer 2000");
    expect_devices(bench, "preparing", "preparing");
    worker_done(bench, 1, 8, "m", 0);
    expect(bench, "journal; 1 offlining; timer 5000");
    journal_all(bench);
    expect(bench, "verify 1");
    verified(bench, 1, 10, "oo");
    expect(bench, "journal; 1 ready; timer 60000");
    expect_devices(bench, "in-use", "ready");
    g_assert_cmpuint(job_of(bench, 1)->blocks->len, ==, 2);
    expect_codes(bench, 1, "timeout busy-pages:9:16");
    const JobDevice *device = &g_array_index(job_of(bench, 1)->devices, JobDevice, 0);
    g_assert_true(reason_list_refuses(device->reasons));
    cancel(bench, 1);
    expect(bench, "journal; 1 rolling-back; rollback 1:10,11; timer 2000");
    worker_done(bench, 1, 10, "mm", 0);
    expect(bench, "journal; 1 cancelled; timer off");
}

/* A refusal that no second try cures ends one device's part at once, and the other goes on. */
static void test_part_that_is_refused(void)
{
    g_autoptr(Bench) bench = bring_two_to_offlining();

    worker_done(bench, 1, 8, "ommm", EPERM);
    expect(bench, "journal; 1 rolling-back; rollback 1:8; timer 2000");
    worker_done(bench, 1, 8, "m", 0);
    journal_all(bench);
    expect(bench, "journal; 1 offlining; timer 30000; offline 1:10,11");
    g_assert_false(unplug_job_begins(job_of(bench, 1), JOB_OFFLINING)); /* it had */
    worker_done(bench, 1, 10, "om", EPERM);                             /* nothing would be left */
    expect(bench, "journal; 1 rolling-back; rollback 1:10; timer 2000");
    worker_done(bench, 1, 10, "m", 0);
    expect(bench, "journal; 1 failed; timer off");
    expect_devices(bench, "in-use", "in-use");
}

static void set_pool(Bench *bench, guint64 count)
{
    g_array_index(bench->world.pools, NodePool, 0).count = count;
}

/* Job 1 took six huge pages. One of its three blocks is unplugged, and something else onlines the
 * others while the worker is at a list of job 2. It asks for the worker once and waits without a
 * timer; four pages are to come back, however often it is looked at meanwhile. */
static void test_pools_wait_for_a_list(void)
{
    NodePool pool = {.node = 0, .page_bytes = 2 * MIB, .count = 40};
    UnplugEvent done = {.kind = UNPLUG_WORKER_DONE, .job = 1};
    g_autoptr(GArray) pools = g_array_new(FALSE, FALSE, sizeof pool);
    g_autoptr(Bench) bench = bench_new();

    g_array_append_val(pools, pool);
    bench->world.pools = pools;
    bring_to_offlining(bench, 1, 8, "mmm");
    set_pool(bench, 34);
    worker_done(bench, 1, 8, "ooo", 0);
    verified(bench, 1, 8, "ooo");
    bring_to_offlining(bench, 2, 12, "mmm");
    look(bench, 8, "g");
    look(bench, 9, "mm");
    expect(bench, "journal; 1 rolling-back; timer 2000");
    journal_all(bench);
    wait_ms(bench, 3000);
    tick(bench);
    expect(bench, "yield 2; timer 27000");
    tick(bench);
    tick(bench);
    expect(bench, "timer 27000; timer 27000");
    worker_done(bench, 2, 12, "o", 0);
    expect(bench, "pools 1=38");
    set_pool(bench, 38);
    feed(bench, &done);
    expect(bench, "journal; 1 failed; offline 2:13,14");
    expect_codes(bench, 1, "onlined-elsewhere:9:0 onlined-elsewhere:10:0 hugepages-lost");
}

/* Memory for one of them only. */
static void test_part_for_want_of_memory(void)
{
    g_autoptr(Bench) bench = bring_two_to_offlining();

    worker_ended(bench, 1, 8, "oomm", ECANCELED, ATTEMPT_LOW_MEMORY);
    expect(bench, "journal; 1 rolling-back; 1 offlining");
    journal_all(bench);
    expect(bench, "verify 1");
    verified(bench, 1, 8, "oo");
    expect(bench, "journal; 1 ready; timer 60000");
    expect_devices(bench, "ready", "in-use");
    expect_codes(bench, 1, "low-memory:10:0");
}

static void test_cancel_while_a_part_is_given_back(void)
{
    g_autoptr(Bench) bench = bring_two_to_offlining();

    worker_done(bench, 1, 8, "ooom", EPERM);
    expect(bench, "journal; 1 rolling-back; rollback 1:10; timer 2000");
    g_assert_true(unplug_machine_holds(bench->machine, 8, 1008)); /* it goes */
    cancel(bench, 1);
    expect(bench, "journal");
    worker_done(bench, 1, 10, "m", 0);
    expect(bench, "timer 50");
    wait_ms(bench, 50);
    tick(bench);
    expect(bench, "rollback 1:8,9");
    worker_done(bench, 1, 8, "mm", 0);
    expect(bench, "journal; 1 cancelled");
}

static void test_onlined_while_ready(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_ready(bench, 7, 8, 2);
    wait_ms(bench, 1000);
    look(bench, 8, "oo");
    expect(bench, "");
    look(bench, 9, "k");
    expect(bench, "journal; 1 offlining; timer 5000");
    journaled(bench, 0);
    expect(bench, "offline 1:9");
    wait_ms(bench, 10);
    worker_done(bench, 1, 9, "o", 0);
    expect(bench, "verify 1");
    verified(bench, 1, 8, "oo");
    expect(bench, "journal; 1 ready; timer 58990"); /* the same lease */

    /* once is enough */
    look(bench, 8, "m");
    expect(bench, "journal; 1 rolling-back; timer 2000");
    wait_ms(bench, 2000); /* who onlined one may be about to online the next */
    tick(bench);
    expect(bench, "rollback 1:9");
    worker_done(bench, 1, 9, "m", 0);
    expect(bench, "journal; 1 failed");
    expect_codes(bench, 1, "onlined-elsewhere:8:0");
}

/* The kernel's mem-on-off-test onlines all blocks, one after the other: it is not fought with. */
static void test_second_block_comes_back(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_ready(bench, 7, 8, 4);
    look(bench, 8, "m");
    journal_all(bench);
    expect(bench, "journal; 1 offlining; timer 5000; offline 1:8");
    look(bench, 9, "m");
    expect(bench, "kill 1; journal; 1 rolling-back; timer 2000");
    worker_done(bench, 1, 8, "m", EINTR);
    wait_ms(bench, 1000);
    look(bench, 10, "m"); /* and on it goes: the rest is left to it until it is quiet */
    wait_ms(bench, 1500);
    look(bench, 11, "m");
    expect_state(bench, 1, "failed");
    expect_codes(bench, 1, "onlined-elsewhere:8:0 onlined-elsewhere:9:0");
    g_assert_null(strstr(bench->done->str, "rollback"));
}

static void test_changing_while_ready(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_ready(bench, 7, 8, 2);
    look(bench, 9, "c");
    journaled(bench, 0);
    expect(bench, "journal; 1 offlining; timer 5000; verify 1");
    verified(bench, 1, 8, "oo");
    expect(bench, "journal; 1 ready; timer 60000");
}

static void test_not_taken_back(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_ready(bench, 7, 8, 2);
    look(bench, 9, "m");
    journaled(bench, 0);
    wait_ms(bench, 4990);
    worker_done(bench, 1, 9, "m", EBUSY);
    wait_ms(bench, 10);
    forget(bench);
    tick(bench);
    expect(bench, "journal; 1 rolling-back; rollback 1:8; timer 2000");
    worker_done(bench, 1, 8, "m", 0);
    expect_state(bench, 1, "failed");
    expect_codes(bench, 1, "onlined-elsewhere:9:0 busy-pages:9:16");
}

/* The lease ends while a block is taken back: what counts is the lease. */
static void test_lease_ends_meanwhile(void)
{
    g_autoptr(Bench) bench = bench_new();
    UnplugProgress progress;

    bring_to_ready(bench, 7, 8, 2);
    wait_ms(bench, 58000);
    look(bench, 9, "m");
    expect(bench, "journal; 1 offlining"); /* to the end of the lease: that timer runs */
    journaled(bench, 0);
    progress = unplug_job_progress(job_of(bench, 1), bench->world.now_usec);
    g_assert_cmpint(progress.lease_left_usec, ==, 2 * USEC_PER_SEC);
    wait_ms(bench, 2000);
    forget(bench);
    tick(bench);
    expect(bench, "kill 1; journal; 1 rolling-back; timer 2000");
    worker_done(bench, 1, 9, "m", EINTR);
    worker_done(bench, 1, 8, "m", 0);
    expect_state(bench, 1, "expired");
}

static void test_identities(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_ready(bench, 7, 8, 2);
    g_assert_true(unplug_machine_holds(bench->machine, 8, 1008));
    g_assert_false(unplug_machine_holds(bench->machine, 8, 2008));
    g_assert_cmpuint(unplug_machine_owner(bench->machine, 8, 1008)->id, ==, 1);
    look_inode(bench, 8, 900, 'g'); /* one that was gone before this one came */
    look_inode(bench, 8, 0, 'o');   /* nobody knows whose */
    look_inode(bench, 77, 1077, 'm');
    expect(bench, "");
    look_inode(bench, 8, 2008, 'm'); /* a new DIMM at the old address */
    expect(bench, "");
    g_assert_cmpint(g_array_index(job_of(bench, 1)->blocks, JobBlock, 0).phase, ==, JOB_BLOCK_GONE);
    look_inode(bench, 9, 0, 'g');
    expect(bench, "journal; 1 unplugged; timer off");
    g_assert_null(unplug_machine_owner(bench->machine, 8, 1008));
}

static void test_rollback_retries(void)
{
    static const gint64 pauses_ms[] = {50, 100, 200, 400, 800, 1600, 3200, 5000, 5000};
    g_autoptr(Bench) bench = bench_new();
    const Reason *reason;

    bring_to_ready(bench, 7, 8, 4);
    cancel(bench, 1);
    forget(bench);
    for (guint i = 0; i < G_N_ELEMENTS(pauses_ms); i++) {
        g_autofree char *timer = g_strdup_printf("timer %" G_GINT64_FORMAT, pauses_ms[i]);

        worker_done(bench, 1, 8, "oooo", EBUSY);
        expect(bench, timer);
        g_assert_cmpuint(job_of(bench, 1)->reasons->len, ==, 1);
        wait_ms(bench, pauses_ms[i]);
        tick(bench);
        expect(bench, "rollback 1:8,9,10,11");
    }
    worker_done(bench, 1, 8, "mo-c", EBUSY);
    expect(bench, "timer 50"); /* it gets on */
    reason = g_ptr_array_index(job_of(bench, 1)->reasons, 0);
    g_assert_cmpint(reason->code, ==, REASON_KERNEL_BUSY);
    g_assert_cmpint(reason->error, ==, EBUSY);
    g_assert_nonnull(strstr(reason->desc, "3 blocks are not back online yet (9-11)"));
    look(bench, 10, "m"); /* somebody else was quicker */
    expect(bench, "");
    wait_ms(bench, 50);
    tick(bench);
    expect(bench, "rollback 1:9,11");
    look(bench, 9, "m"); /* the worker is at it: it will tell */
    worker_done(bench, 1, 9, "m-g", 0);
    expect(bench, "journal; 1 cancelled");
    expect_codes(bench, 1, "");
}

static void test_barrier_error(void)
{
    BlockReport still = {8, 1008, TRUTH_OFFLINE, 0};
    UnplugEvent event = {.kind = UNPLUG_WORKER_DONE, .job = 1};
    g_autoptr(Bench) bench = bench_new();
    const Reason *reason;

    bring_to_ready(bench, 7, 8, 1);
    cancel(bench, 1);
    forget(bench);
    event.blocks.reports = &still;
    event.blocks.n_reports = 1;
    event.blocks.barrier_error = EIO;
    feed(bench, &event);
    expect(bench, "timer 50");
    reason = g_ptr_array_index(job_of(bench, 1)->reasons, 0);
    g_assert_cmpint(reason->error, ==, EIO);
    event.job = 99; /* nobody's */
    feed(bench, &event);
    expect(bench, "");
}

static void test_rollback_zones(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_ready(bench, 7, 8, 3);
    cancel(bench, 1);
    worker_done(bench, 1, 8, "kmg", 0);
    expect_state(bench, 1, "cancelled");
    expect_codes(bench, 1, "onlined-elsewhere:8:0");
}

static void test_rollback_of_what_is_gone(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_ready(bench, 7, 8, 2);
    cancel(bench, 1);
    forget(bench);
    worker_done(bench, 1, 8, "gg", 0);
    expect(bench, "journal; 1 unplugged; timer off");
}

static void test_rollback_goes_first(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_ready(bench, 1, 8, 1);
    bring_to_ready(bench, 2, 12, 1);
    bring_to_offlining(bench, 3, 16, "mm");
    submit(bench, 4);
    cancel(bench, 2);
    cancel(bench, 1);
    expect(bench, "journal; 4 queued; yield 3; journal; 2 rolling-back; timer 2000; journal; "
                  "1 rolling-back");
    wait_ms(bench, 10);
    worker_done(bench, 3, 16, "o", 0);
    expect(bench, "rollback 1:8"); /* job 3's deadline goes on */
    worker_done(bench, 1, 8, "o", EBUSY);
    expect(bench, "rollback 2:12");
    worker_done(bench, 2, 12, "m", 0);
    expect(bench, "journal; 2 cancelled; timer 50");
    wait_ms(bench, 50);
    tick(bench);
    expect(bench, "rollback 1:8; timer 29940");
    worker_done(bench, 1, 8, "m", 0);
    expect(bench, "journal; 1 cancelled; offline 3:17");
    wait_ms(bench, 1);
    worker_done(bench, 3, 17, "o", 0);
    forget(bench);
    verified(bench, 3, 16, "oo");
    expect(bench, "journal; 3 ready; 4 checking; check 4; timer 60000");
}

/* A job that has seconds to take a block back goes before the one that takes its first. */
static void test_taking_back_goes_first(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_ready(bench, 1, 8, 1);
    bring_to_offlining(bench, 3, 16, "mm");
    wait_ms(bench, 10);
    look(bench, 8, "m");
    journal_all(bench);
    expect(bench, "journal; 1 offlining; timer 5000; yield 2");
    wait_ms(bench, 10);
    worker_done(bench, 2, 16, "o", 0);
    expect(bench, "offline 1:8");
    wait_ms(bench, 10);
    worker_done(bench, 1, 8, "o", 0);
    expect(bench, "verify 1; offline 2:17");
}

static void test_cancel(void)
{
    g_autoptr(Bench) bench = bench_new();

    cancel(bench, 1);
    g_assert_cmpint(bench->result, ==, UNPLUG_NO_SUCH_JOB);

    submit(bench, 1);
    submit(bench, 2);
    forget(bench);
    cancel(bench, 2);
    expect(bench, "journal; 2 cancelled");
    cancel(bench, 2); /* ended: no change */
    g_assert_cmpint(bench->result, ==, UNPLUG_OK);
    expect(bench, "");
    cancel(bench, 1); /* checking */
    expect(bench, "journal; 1 cancelled");
    checked(bench, 1, 8, "m", NULL);
    expect(bench, "");

    /* offlining: before the journal is written, in an attempt, between attempts */
    submit(bench, 3);
    checked(bench, 3, 8, "m", NULL);
    forget(bench);
    cancel(bench, 3);
    expect(bench, "journal; 3 rolling-back; 3 cancelled; timer off");
    journal_all(bench);
    expect(bench, "");
    bring_to_offlining(bench, 4, 8, "m");
    cancel(bench, 4);
    expect(bench, "kill 4; journal; 4 rolling-back; timer 2000");
    cancel(bench, 4);
    expect(bench, "");
    worker_done(bench, 4, 8, "m", EINTR);
    expect(bench, "journal; 4 cancelled; timer off");
    bring_to_offlining(bench, 5, 8, "m");
    worker_done(bench, 5, 8, "m", EBUSY);
    forget(bench);
    cancel(bench, 5);
    expect(bench, "journal; 5 rolling-back; 5 cancelled; timer off");

    /* while it is verified: the answer comes late */
    bring_to_offlining(bench, 6, 8, "m");
    worker_done(bench, 6, 8, "o", 0);
    forget(bench);
    cancel(bench, 6);
    expect(bench, "journal; 6 rolling-back; rollback 6:8; timer 2000");
    verified(bench, 6, 8, "o");
    expect(bench, "");
    worker_done(bench, 6, 8, "m", 0);
    expect(bench, "journal; 6 cancelled; timer off");
}

static void test_cancel_of_what_failed(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_ready(bench, 1, 8, 1);
    wait_ms(bench, 60000);
    tick(bench);
    forget(bench);
    cancel(bench, 1);
    expect(bench, "");
    worker_done(bench, 1, 8, "m", 0);
    expect_state(bench, 1, "expired");
}

static void test_stop_idle(void)
{
    g_autoptr(Bench) bench = bench_new();

    stop(bench);
    expect(bench, "stopped");
    stop(bench);
    tick(bench);
    expect(bench, "");
    submit(bench, 1);
    g_assert_cmpint(bench->result, ==, UNPLUG_STOPPING);
}

static void test_stop(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_ready(bench, 1, 8, 1);
    bring_to_ready(bench, 2, 12, 1);
    cancel(bench, 2);
    submit(bench, 3);
    worker_done(bench, 2, 12, "m", 0);
    checked(bench, 3, 16, "m", NULL);
    journal_all(bench);
    submit(bench, 4);
    forget(bench);
    stop(bench);
    expect(bench, "kill 3; journal; 1 rolling-back; 3 rolling-back; 4 failed; timer 2000");
    worker_done(bench, 3, 16, "m", EINTR);
    expect(bench, "journal; rollback 1:8; 3 failed");
    worker_done(bench, 1, 8, "m", 0);
    expect(bench, "journal; 1 failed; timer off; stopped");
    for (guint64 id = 1; id <= 4; id++) {
        if (id == 2)
            expect_codes(bench, id, "");
        else
            expect_codes(bench, id, "agent-stopped");
    }
}

static void test_stop_while_checking(void)
{
    g_autoptr(Bench) bench = bench_new();

    submit(bench, 1);
    forget(bench);
    stop(bench);
    expect(bench, "journal; 1 failed; stopped");
    checked(bench, 1, 8, "m", NULL);
    expect(bench, "");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/unplug-back/lease", test_lease);
    g_test_add_func("/unplug-back/part-at-the-deadline", test_part_at_the_deadline);
    g_test_add_func("/unplug-back/part-that-is-refused", test_part_that_is_refused);
    g_test_add_func("/unplug-back/part-for-want-of-memory", test_part_for_want_of_memory);
    g_test_add_func("/unplug-back/pools-wait-for-a-list", test_pools_wait_for_a_list);
    g_test_add_func("/unplug-back/cancel-while-a-part-is-given-back",
                    test_cancel_while_a_part_is_given_back);
    g_test_add_func("/unplug-back/slow-rollback", test_slow_rollback_is_told);
    g_test_add_func("/unplug-back/lease-half-ejected", test_lease_half_ejected);
    g_test_add_func("/unplug-back/onlined-while-ready", test_onlined_while_ready);
    g_test_add_func("/unplug-back/second-block", test_second_block_comes_back);
    g_test_add_func("/unplug-back/changing-while-ready", test_changing_while_ready);
    g_test_add_func("/unplug-back/not-taken-back", test_not_taken_back);
    g_test_add_func("/unplug-back/lease-ends-meanwhile", test_lease_ends_meanwhile);
    g_test_add_func("/unplug-back/identities", test_identities);
    g_test_add_func("/unplug-back/rollback-retries", test_rollback_retries);
    g_test_add_func("/unplug-back/barrier-error", test_barrier_error);
    g_test_add_func("/unplug-back/rollback-zones", test_rollback_zones);
    g_test_add_func("/unplug-back/rollback-of-what-is-gone", test_rollback_of_what_is_gone);
    g_test_add_func("/unplug-back/rollback-goes-first", test_rollback_goes_first);
    g_test_add_func("/unplug-back/taking-back-goes-first", test_taking_back_goes_first);
    g_test_add_func("/unplug-back/cancel", test_cancel);
    g_test_add_func("/unplug-back/cancel-of-what-failed", test_cancel_of_what_failed);
    g_test_add_func("/unplug-back/stop-idle", test_stop_idle);
    g_test_add_func("/unplug-back/stop", test_stop);
    g_test_add_func("/unplug-back/stop-while-checking", test_stop_while_checking);
    return g_test_run();
}
