/*
 * The unplug state machine's way up: queued, checking, offlining, ready; one test for each
 * transition, with every action that it gives. The way back is in test-unplug-back.c, the queue and
 * what clients see of jobs in test-unplug-jobs.c.
 */
#include "unplug-bench.h"

static void test_success(void)
{
    g_autoptr(Bench) bench = bench_new();

    submit(bench, 7);
    expect(bench, "journal; 1 queued; 1 checking; check 1");
    journaled(bench, 0);
    expect(bench, "");
    checked(bench, 1, 8, "mm", NULL);
    expect(bench, "journal; 1 offlining; timer 30000");
    journaled(bench, 0);
    expect(bench, "offline 1:8,9");
    wait_ms(bench, 20);
    worker_done(bench, 1, 8, "oo", 0);
    expect(bench, "verify 1");
    verified(bench, 1, 8, "oo");
    expect(bench, "journal; 1 ready; timer 60000");
    journaled(bench, 0);
    look(bench, 8, "gg");
    expect(bench, "journal; 1 unplugged; timer off");
    g_assert_true(unplug_machine_is_idle(bench->machine));
    g_assert_cmpstr(unplug_job_device_state(job_of(bench, 1), 0), ==, "unplugged");
    expect_codes(bench, 1, "");
}

static void test_refused(void)
{
    g_autoptr(Bench) bench = bench_new();
    g_autoptr(GPtrArray) reasons = reason_list_new();
    const JobDevice *device;

    g_ptr_array_add(reasons, reason_new(REASON_NOT_MOVABLE, "slot7", 8, 0, "in a kernel zone"));
    g_ptr_array_add(reasons, reason_new(REASON_BALLOON_ACTIVE, NULL, -1, 0, "a balloon"));
    submit(bench, 7);
    device = &g_array_index(job_of(bench, 1)->devices, JobDevice, 0);
    g_assert_cmpstr(device->id, ==, "slot7");
    forget(bench);
    checked(bench, 1, 8, "mm", reasons);
    expect(bench, "journal; 1 failed");
    expect_codes(bench, 1, "not-movable:8:0 balloon-active");
    device = &g_array_index(job_of(bench, 1)->devices, JobDevice, 0);
    g_assert_cmpuint(device->reasons->len, ==, 1);
    g_assert_cmpstr(unplug_job_device_state(job_of(bench, 1), 0), ==, "in-use");
    g_assert_null(unplug_machine_owner(bench->machine, 8, 1008));
    checked(bench, 1, 8, "mm", NULL);
    expect(bench, "");

    /* a warning refuses nothing */
    g_ptr_array_remove_index(reasons, 0);
    submit(bench, 7);
    forget(bench);
    checked(bench, 2, 8, "m", reasons);
    expect(bench, "journal; 2 offlining; timer 30000");
}

static void test_was_offline(void)
{
    g_autoptr(Bench) bench = bench_new();

    submit(bench, 7);
    checked(bench, 1, 8, "oo", NULL);
    journaled(bench, 0);
    forget(bench);
    journaled(bench, 0);
    expect(bench, "verify 1");
    verified(bench, 1, 8, "oo");
    expect(bench, "journal; 1 ready; timer 60000");
    g_assert_true(unplug_machine_holds(bench->machine, 8, 1008));
    wait_ms(bench, 60000);
    tick(bench);
    expect(bench, "journal; 1 rolling-back; 1 expired");
    g_assert_cmpstr(unplug_job_device_state(job_of(bench, 1), 0), ==, "offline");
}

static void test_no_journal(void)
{
    g_autoptr(Bench) bench = bench_new();

    submit(bench, 7);
    checked(bench, 1, 8, "mm", NULL);
    forget(bench);
    journaled(bench, ENOSPC); /* the one of submit: not what is waited for */
    expect(bench, "");
    journaled(bench, ENOSPC);
    expect(bench, "journal; 1 rolling-back; 1 failed; timer off");
    expect_codes(bench, 1, "error");
    journaled(bench, 0);
    journaled(bench, 0); /* one too many */
    expect(bench, "");
}

static void test_memory_before(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_offlining(bench, 7, 8, "mm");
    bench->world.available_bytes = RESERVE_BYTES + BLOCK_BYTES - 1;
    worker_done(bench, 1, 8, "o", 0);
    expect(bench, "journal; 1 rolling-back; rollback 1:8; timer 2000");
    worker_done(bench, 1, 8, "m", 0);
    expect(bench, "journal; 1 failed; timer off");
    expect_codes(bench, 1, "low-memory:9:0");

    bench->world.available_bytes = RESERVE_BYTES + BLOCK_BYTES;
    bring_to_offlining(bench, 7, 8, "mm");
    g_assert_true(job_of(bench, 2)->attempt_running);
}

static void test_memory_during(void)
{
    g_autoptr(Bench) bench = bench_new();

    /* the executor has ended the attempt */
    bring_to_offlining(bench, 7, 8, "mm");
    worker_done(bench, 1, 8, "o", 0);
    forget(bench);
    worker_ended(bench, 1, 9, "m", EINTR, ATTEMPT_LOW_MEMORY);
    expect(bench, "journal; 1 rolling-back; rollback 1:8; timer 2000");
    worker_done(bench, 1, 8, "m", 0);
    expect(bench, "journal; 1 failed; timer off");
    expect_codes(bench, 1, "low-memory:9:0");

    /* it won the race, and comes back */
    bring_to_offlining(bench, 7, 8, "mm");
    worker_ended(bench, 2, 8, "o", 0, ATTEMPT_LOW_MEMORY);
    expect(bench, "journal; 2 rolling-back; rollback 2:8; timer 2000");
    expect_codes(bench, 2, "low-memory:9:0"); /* which could not begin */
    worker_done(bench, 2, 8, "m", 0);
    forget(bench);

    /* the worker did not begin it */
    bring_to_offlining(bench, 7, 8, "mm");
    worker_ended(bench, 3, 8, "m", ECANCELED, ATTEMPT_LOW_MEMORY);
    expect(bench, "journal; 3 rolling-back; 3 failed; timer off");
    expect_codes(bench, 3, "low-memory:8:0");
}

static guint blocks_done(const Bench *bench, guint64 job)
{
    return unplug_job_progress(job_of(bench, job), bench->world.now_usec).blocks_done;
}

/* While the worker goes through its list, what is seen offline tells how far it is. */
static void test_progress_in_the_list(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_offlining(bench, 7, 8, "mmmm");
    g_assert_cmpuint(blocks_done(bench, 1), ==, 0);
    look(bench, 8, "mmmm"); /* read before they were written to */
    g_assert_cmpuint(blocks_done(bench, 1), ==, 0);
    look(bench, 8, "oocm");
    g_assert_cmpuint(blocks_done(bench, 1), ==, 2);
    g_assert_true(job_of(bench, 1)->attempt_running);
    g_assert_true(unplug_machine_holds(bench->machine, 11, 1011)); /* its turn may have come */
    look(bench, 8, "m"); /* something else has brought it back */
    g_assert_cmpuint(blocks_done(bench, 1), ==, 1);
    look(bench, 11, "g");
    look(bench, 10, "o");
    g_assert_cmpuint(blocks_done(bench, 1), ==, 3);
    g_assert_false(job_of(bench, 1)->attempt_running);
    expect(bench, "");
    worker_done(bench, 1, 8, "mo-g", 0);
    expect(bench, "offline 1:8");
}

/* Ended in the middle of its list: what was done comes back, also where no event told of it. */
static void test_cancel_in_the_list(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_offlining(bench, 7, 8, "mmmm");
    look(bench, 8, "o");
    cancel(bench, 1);
    expect(bench, "kill 1; journal; 1 rolling-back; timer 2000");
    look(bench, 9, "o"); /* done before the worker was ended */
    worker_ended(bench, 1, 8, "ooo", EINTR, ATTEMPT_CANCELLED);
    expect(bench, "rollback 1:8,9,10");
    worker_done(bench, 1, 8, "mmm", 0);
    expect(bench, "journal; 1 cancelled; timer off");
}

/* Nothing but the deadline makes the machine end an attempt, however long it lasts. */
static void test_long_attempt(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_offlining(bench, 7, 8, "mm");
    for (gint64 left_ms = 29000; left_ms > 0; left_ms -= 1000) {
        g_autofree char *timer = g_strdup_printf("timer %" G_GINT64_FORMAT, left_ms);

        wait_ms(bench, 1000);
        tick(bench);
        expect(bench, timer);
    }
    worker_done(bench, 1, 8, "o", 0);
    expect(bench, "offline 1:9");
}

static void test_stalled_attempt(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_offlining(bench, 7, 8, "mm");
    wait_ms(bench, 5000);
    worker_ended(bench, 1, 8, "m", EINTR, ATTEMPT_STALLED);
    expect(bench, "timer 50");
    wait_ms(bench, 50);
    tick(bench); /* the other block has its turn */
    expect(bench, "offline 1:9,8; timer 24950");
    wait_ms(bench, 1);
    worker_done(bench, 1, 9, "o", 0);
    expect(bench, "offline 1:8");
}

/* Without a process nothing was tried: the same block has its turn again, until the deadline. */
static void test_no_worker(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_offlining(bench, 7, 8, "mm");
    worker_ended(bench, 1, 8, "m", EAGAIN, ATTEMPT_NO_WORKER);
    expect(bench, "timer 50");
    wait_ms(bench, 50);
    tick(bench);
    expect(bench, "offline 1:8,9; timer 29950");
    worker_ended(bench, 1, 8, "m", EAGAIN, ATTEMPT_NO_WORKER);
    wait_ms(bench, 29950);
    tick(bench);
    expect_state(bench, 1, "failed");
    expect_codes(bench, 1, "timeout error:8:11");
    g_assert_nonnull(strstr(((const Reason *)g_ptr_array_index(job_of(bench, 1)->reasons, 1))->desc,
                            "no process"));

    /* what is offline already comes back when there is one */
    bring_to_ready(bench, 7, 8, 1);
    cancel(bench, 2);
    journal_all(bench);
    worker_ended(bench, 2, 8, "o", EAGAIN, ATTEMPT_NO_WORKER);
    expect_state(bench, 2, "rolling-back");
    expect_codes(bench, 2, "kernel-busy");
    g_assert_nonnull(strstr(((const Reason *)g_ptr_array_index(job_of(bench, 2)->reasons, 0))->desc,
                            "no process"));
}

static void test_pauses(void)
{
    static const gint64 pauses_ms[] = {50, 100, 200, 400, 800, 1600, 2000, 2000};
    g_autoptr(Bench) bench = bench_new();
    gint64 left_ms = 30000;

    bring_to_offlining(bench, 7, 8, "m");
    for (guint i = 0; i < G_N_ELEMENTS(pauses_ms); i++) {
        g_autofree char *timer = g_strdup_printf("timer %" G_GINT64_FORMAT, pauses_ms[i]);

        wait_ms(bench, 7);
        worker_done(bench, 1, 8, "m", EBUSY);
        expect(bench, timer);
        wait_ms(bench, pauses_ms[i]);
        left_ms -= 7 + pauses_ms[i];
        tick(bench);
        g_autofree char *again = g_strdup_printf("offline 1:8; timer %" G_GINT64_FORMAT, left_ms);
        expect(bench, again);
    }
}

static void test_deadline(void)
{
    static const struct {
        int error;
        AttemptEnd end;
        const char *codes;
    } rows[] = {
        {EBUSY, ATTEMPT_OVER, "timeout busy-pages:8:16"},
        {EAGAIN, ATTEMPT_OVER, "timeout busy-pages:8:11"},
        {EINTR, ATTEMPT_OVER, "timeout interrupted:8:4"},
        {ENOMEM, ATTEMPT_OVER, "timeout low-memory:8:12"},
        {EIO, ATTEMPT_OVER, "timeout error:8:5"},
        {0, ATTEMPT_OVER, "timeout onlined-elsewhere:8:0"},
        {ECANCELED, ATTEMPT_CANCELLED, "timeout"},
        {EINTR, ATTEMPT_STALLED, "timeout busy-pages:8:0"},
        {EINTR, ATTEMPT_LATE, "timeout timeout:8:0"},
        {EAGAIN, ATTEMPT_NO_WORKER, "timeout error:8:11"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Bench) bench = bench_new();

        bring_to_offlining(bench, 7, 8, "mm");
        wait_ms(bench, 29990);
        worker_ended(bench, 1, 8, "m", rows[i].error, rows[i].end);
        expect(bench, ""); /* the deadline's timer runs already */
        wait_ms(bench, 10);
        tick(bench);
        expect(bench, "journal; 1 rolling-back; 1 failed");
        expect_codes(bench, 1, rows[i].codes);
    }
}

static void test_deadline_in_attempt(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_offlining(bench, 7, 8, "mm");
    wait_ms(bench, 4999);
    worker_done(bench, 1, 8, "o", 0);
    expect(bench, "offline 1:9");
    wait_ms(bench, 25000);
    tick(bench);
    expect(bench, "timer 1");
    wait_ms(bench, 1);
    tick(bench);
    expect(bench, "kill 1; journal; 1 rolling-back; timer 2000");
    expect_codes(bench, 1, "timeout");
    tick(bench);
    expect(bench, "timer 2000");
    worker_ended(bench, 1, 9, "m", EINTR, ATTEMPT_CANCELLED);
    expect(bench, "rollback 1:8");
    expect_codes(bench, 1, "timeout timeout:9:0");
}

/* What the kernel said of a block is not lost behind an attempt that memplug ended, or that had no
 * process. The deadline tells it at once, also where that attempt never ends. */
static void test_earlier_reason(void)
{
    static const struct {
        int error;
        AttemptEnd end;
        const char *codes;
    } rows[] = {
        {EINTR, ATTEMPT_LATE, "timeout busy-pages:8:16"},
        {EINTR, ATTEMPT_CANCELLED, "timeout busy-pages:8:16"},
        {EINTR, ATTEMPT_STALLED, "timeout busy-pages:8:16"},
        {EAGAIN, ATTEMPT_NO_WORKER, "timeout busy-pages:8:16 error:8:11"},
        {ENOMEM, ATTEMPT_CANCELLED, "timeout low-memory:8:12"}, /* the kernel was faster */
        {EINTR, ATTEMPT_OVER, "timeout interrupted:8:4"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Bench) bench = bench_new();

        bring_to_offlining(bench, 7, 8, "m");
        worker_done(bench, 1, 8, "m", EBUSY);
        wait_ms(bench, 50);
        tick(bench);
        worker_ended(bench, 1, 8, "m", rows[i].error, rows[i].end);
        wait_ms(bench, 29950);
        tick(bench);
        expect_state(bench, 1, "failed");
        expect_codes(bench, 1, rows[i].codes);
    }

    g_autoptr(Bench) bench = bench_new();
    bring_to_offlining(bench, 7, 8, "m");
    worker_done(bench, 1, 8, "m", EBUSY);
    wait_ms(bench, 50);
    tick(bench);
    wait_ms(bench, 29950);
    tick(bench);
    expect_state(bench, 1, "rolling-back");
    expect_codes(bench, 1, "timeout busy-pages:8:16");
    worker_ended(bench, 1, 8, "m", EINTR, ATTEMPT_CANCELLED);
    expect_state(bench, 1, "failed");
    expect_codes(bench, 1, "timeout busy-pages:8:16");
}

static const char *last_desc(const Bench *bench, guint64 job)
{
    GPtrArray *reasons = job_of(bench, job)->reasons;

    return ((const Reason *)g_ptr_array_index(reasons, reasons->len - 1))->desc;
}

/* No signal ends the attempt: its job and another change on time, and say who has the worker. */
static void test_worker_that_never_ends(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_ready(bench, 1, 8, 1);
    bring_to_offlining(bench, 2, 16, "mm");
    wait_ms(bench, 10);
    worker_done(bench, 2, 16, "o", 0);
    expect(bench, "offline 2:17");
    wait_ms(bench, 29990);
    tick(bench);
    expect(bench, "kill 2; journal; 2 rolling-back; timer 2000");
    wait_ms(bench, 2000);
    tick(bench);
    expect(bench, "timer 28000"); /* the lease of the other */
    expect_codes(bench, 2, "timeout kernel-busy");
    g_assert_nonnull(strstr(last_desc(bench, 2), "the last attempt to take a block offline"));
    wait_ms(bench, 28000);
    tick(bench);
    expect(bench, "journal; 1 rolling-back; timer 2000");
    wait_ms(bench, 2000);
    tick(bench);
    expect_codes(bench, 1, "kernel-busy");
    g_assert_nonnull(strstr(last_desc(bench, 1), "a write of job 2"));
    wait_ms(bench, 3600000); /* an hour later it ends after all */
    forget(bench);
    worker_ended(bench, 2, 17, "o", EINTR, ATTEMPT_CANCELLED);
    worker_done(bench, 1, 8, "m", 0);
    worker_done(bench, 2, 16, "mm", 0);
    expect_state(bench, 1, "expired");
    expect_state(bench, 2, "failed");
    expect_codes(bench, 1, "");
    expect_codes(bench, 2, "timeout");
}

/* Waiting for the eject gate counts, whether its write fails or does not end. */
static void test_gate(void)
{
    g_autoptr(Bench) bench = bench_new();
    BlockReport report = {8, 1008, TRUTH_OFFLINE, 0};
    UnplugEvent event = {.kind = UNPLUG_VERIFIED, .job = 1};

    bring_to_offlining(bench, 1, 8, "m");
    worker_done(bench, 1, 8, "o", 0);
    expect(bench, "verify 1");
    event.blocks.reports = &report;
    event.blocks.n_reports = 1;
    event.blocks.gate_error = EIO;
    feed(bench, &event);
    expect(bench, "timer 50");
    expect_state(bench, 1, "offlining");
    wait_ms(bench, 30000);
    tick(bench);
    feed(bench, &event);
    expect_state(bench, 1, "rolling-back");
    expect_codes(bench, 1, "kernel-busy");
    g_assert_nonnull(strstr(last_desc(bench, 1), g_strerror(EIO)));
    worker_done(bench, 1, 8, "m", 0);
    expect_state(bench, 1, "failed");
    expect_codes(bench, 1, "kernel-busy");

    bring_to_offlining(bench, 2, 8, "m");
    worker_done(bench, 2, 8, "o", 0);
    wait_ms(bench, 30000); /* no answer at all */
    tick(bench);
    expect_state(bench, 2, "rolling-back");
    g_assert_nonnull(strstr(last_desc(bench, 2), "has not ended"));
}

static void test_final_error(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_offlining(bench, 7, 8, "mm");
    worker_done(bench, 1, 8, "o", 0);
    forget(bench);
    worker_done(bench, 1, 9, "m", EPERM);
    expect(bench, "journal; 1 rolling-back; rollback 1:8; timer 2000");
    expect_codes(bench, 1, "error:9:1");
}

static void test_vanishing(void)
{
    g_autoptr(Bench) bench = bench_new();

    /* one block, and the rest gets ready */
    bring_to_offlining(bench, 7, 8, "mm");
    worker_done(bench, 1, 8, "g", ENODEV);
    expect(bench, "offline 1:9"); /* the guard's timer runs already */
    worker_done(bench, 1, 9, "o", 0);
    verified(bench, 1, 8, "-o");
    expect_state(bench, 1, "ready");
    cancel(bench, 1);
    worker_done(bench, 1, 9, "m", 0);
    expect_state(bench, 1, "cancelled");

    /* all: the host did not wait */
    bring_to_offlining(bench, 7, 8, "mm");
    look(bench, 9, "g");
    worker_done(bench, 2, 8, "g", ENODEV);
    expect(bench, "verify 2");
    verified(bench, 2, 8, "gg");
    expect(bench, "journal; 2 unplugged; timer off");

    /* one, and the other cannot go */
    bring_to_offlining(bench, 7, 8, "mm");
    look(bench, 9, "g");
    worker_done(bench, 3, 8, "m", EPERM);
    expect_state(bench, 3, "failed");
    expect_codes(bench, 3, "error:8:1 vanished");
}

static void test_verify(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_offlining(bench, 7, 8, "mmo");
    verified(bench, 1, 8, "ooo"); /* nobody asked */
    expect(bench, "");
    worker_done(bench, 1, 8, "c", EINTR);
    expect(bench, "timer 50");
    wait_ms(bench, 50);
    tick(bench);
    worker_done(bench, 1, 9, "o", 0);
    expect(bench, "offline 1:9; timer 29950; verify 1");
    verified(bench, 1, 8, "coo");
    expect(bench, "timer 50");
    wait_ms(bench, 50);
    tick(bench);
    expect(bench, "verify 1; timer 29900");
    verified(bench, 1, 8, "o-o"); /* what is not mentioned is not offline */
    expect(bench, "timer 100");
    wait_ms(bench, 100);
    tick(bench);
    verified(bench, 1, 8, "oom"); /* was offline before, and is online now: journaled first */
    expect(bench, "verify 1; timer 29800; journal");
    journaled(bench, 0);
    expect(bench, "timer 200");
    wait_ms(bench, 200);
    tick(bench);
    worker_done(bench, 1, 10, "o", 0);
    expect(bench, "offline 1:10; timer 29600; verify 1");
    verified(bench, 1, 8, "ooo");
    expect(bench, "journal; 1 ready; timer 60000");
    verified(bench, 1, 8, "mmm"); /* late */
    expect(bench, "");
}

static void test_verify_until_deadline(void)
{
    g_autoptr(Bench) bench = bench_new();

    bring_to_offlining(bench, 7, 8, "m");
    worker_done(bench, 1, 8, "o", 0);
    wait_ms(bench, 30000);
    verified(bench, 1, 8, "c");
    expect_state(bench, 1, "rolling-back");
    expect_codes(bench, 1, "timeout going-offline:8:0");
}

/* Pages that have to be written first are told as that, where they are what is left; and what is
 * not known is not guessed. */
static void test_dirty_pages(void)
{
    static const struct {
        guint64 unwritten, anonymous;
        const char *codes;
    } cases[] = {
        {300, 10, "dirty-pages:8:16"}, {300, 2000, "busy-pages:8:16"}, {0, 0, "busy-pages:8:16"}};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Bench) bench = bench_new();
        BlockContents contents = {.pages = {.sampled = 32768, .unwritten = cases[i].unwritten},
                                  .dirty_bytes = 7 * MIB};
        BlockReport report = {8, 1008, TRUTH_ONLINE_MOVABLE, EBUSY};
        UnplugEvent event = {.kind = UNPLUG_WORKER_DONE, .job = 1};

        contents.pages.counts[PAGE_CACHE] = cases[i].unwritten;
        contents.pages.counts[PAGE_ANONYMOUS] = cases[i].anonymous;
        bring_to_offlining(bench, 7, 8, "m");
        event.blocks.reports = &report;
        event.blocks.n_reports = 1;
        event.blocks.contents = &contents;
        feed(bench, &event);
        wait_ms(bench, 30000);
        tick(bench);
        g_autofree char *codes = codes_of(bench, 1);
        g_assert_nonnull(strstr(codes, cases[i].codes));
        const Reason *reason = g_ptr_array_index(job_of(bench, 1)->reasons, 1);
        g_assert_true(i != 0 || strstr(reason->desc, "7 MiB dirty") != NULL);
        g_assert_null(strstr(reason->desc, "pinned"));
    }
}

/* The worker sleeps where no signal ends it: what it stalled at is told at the deadline. */
static void test_stuck_attempt(void)
{
    g_autoptr(Bench) bench = bench_new();
    StuckAttempt stuck = {.index = 8,
                          .attempt = {.end = ATTEMPT_STALLED, .is_asleep = TRUE},
                          .contents = {.pages = {.sampled = 32768, .unwritten = 300}}};

    stuck.contents.pages.counts[PAGE_CACHE] = 300;
    bring_to_offlining(bench, 7, 8, "m");
    bench->world.stuck = &stuck;
    wait_ms(bench, 30000);
    tick(bench);
    g_assert_cmpint(job_of(bench, 1)->state, ==, JOB_ROLLING_BACK);
    g_autofree char *codes = codes_of(bench, 1);
    g_assert_nonnull(strstr(codes, "dirty-pages:8"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/unplug/success", test_success);
    g_test_add_func("/unplug/refused", test_refused);
    g_test_add_func("/unplug/was-offline", test_was_offline);
    g_test_add_func("/unplug/no-journal", test_no_journal);
    g_test_add_func("/unplug/memory-before", test_memory_before);
    g_test_add_func("/unplug/memory-during", test_memory_during);
    g_test_add_func("/unplug/progress-in-the-list", test_progress_in_the_list);
    g_test_add_func("/unplug/cancel-in-the-list", test_cancel_in_the_list);
    g_test_add_func("/unplug/long-attempt", test_long_attempt);
    g_test_add_func("/unplug/stalled-attempt", test_stalled_attempt);
    g_test_add_func("/unplug/no-worker", test_no_worker);
    g_test_add_func("/unplug/pauses", test_pauses);
    g_test_add_func("/unplug/deadline", test_deadline);
    g_test_add_func("/unplug/deadline-in-attempt", test_deadline_in_attempt);
    g_test_add_func("/unplug/earlier-reason", test_earlier_reason);
    g_test_add_func("/unplug/worker-that-never-ends", test_worker_that_never_ends);
    g_test_add_func("/unplug/gate", test_gate);
    g_test_add_func("/unplug/final-error", test_final_error);
    g_test_add_func("/unplug/vanishing", test_vanishing);
    g_test_add_func("/unplug/verify", test_verify);
    g_test_add_func("/unplug/verify-until-deadline", test_verify_until_deadline);
    g_test_add_func("/unplug/dirty-pages", test_dirty_pages);
    g_test_add_func("/unplug/stuck-attempt", test_stuck_attempt);
    return g_test_run();
}
