/*
 * The reserve and the guard, on a fake clock: when an attempt must end, when it must go on, and
 * what is told of it.
 */
#include "decide/attempt.h"

#include "system/units.h"

#define RESERVE_BYTES (64 * MIB)
#define START_USEC (1000 * USEC_PER_SEC)
#define PART_PAGES 2048

typedef struct {
    AttemptGuard guard;
    AttemptLook look;
    AttemptOutcome outcome;
    guint n_looks;
    gint64 used_pages[ATTEMPT_PARTS];
} Bench;

static Bench bench_new(gint64 deadline_usec)
{
    Bench bench = {.look = {.now_usec = START_USEC, .available_bytes = GIB, .is_begun = TRUE}};
    AttemptLimits limits = {
        .reserve_bytes = RESERVE_BYTES, .block_bytes = 128 * MIB, .deadline_usec = deadline_usec};

    attempt_guard_start(&bench.guard, &limits, START_USEC);
    for (guint i = 0; i < ATTEMPT_PARTS; i++)
        bench.used_pages[i] = PART_PAGES;
    return bench;
}

static gboolean look_after(Bench *bench, gint64 ms)
{
    bench->look.now_usec += ms * USEC_PER_MSEC;
    bench->look.used_pages = bench->used_pages[attempt_guard_part(&bench->guard)];
    bench->n_looks++;
    return attempt_guard_look(&bench->guard, &bench->look, &bench->outcome);
}

/* How long it takes, in looks of MS each, until the attempt must end. */
static gint64 ms_until_end(Bench *bench, gint64 ms)
{
    gint64 start_usec = bench->look.now_usec;

    while (!look_after(bench, ms))
        g_assert_cmpuint(bench->n_looks, <, 100000);
    return (bench->look.now_usec - start_usec) / USEC_PER_MSEC;
}

static void test_reserve(void)
{
    g_assert_cmpuint(attempt_reserve_bytes(0, GIB), ==, 64 * MIB);
    g_assert_cmpuint(attempt_reserve_bytes(0, 20 * GIB), ==, GIB);
    g_assert_cmpuint(attempt_reserve_bytes(MIB, 20 * GIB), ==, MIB);
    g_assert_cmpuint(attempt_reserve_after(0, 40 * GIB, 20 * GIB), ==, GIB);
    g_assert_cmpuint(attempt_reserve_after(0, GIB, 2 * GIB), ==, 64 * MIB);
    g_assert_true(attempt_has_room(3 * GIB, 2 * GIB, GIB));
    g_assert_false(attempt_has_room(3 * GIB - 1, 2 * GIB, GIB));
    g_assert_false(attempt_has_room(GIB, 2 * GIB, 0));
    g_assert_false(attempt_has_room(3 * GIB, 2 * GIB, G_MAXUINT64));
}

static void test_stalled(void)
{
    Bench bench = bench_new(0);

    g_assert_cmpint(ms_until_end(&bench, 100), ==, 5100);
    g_assert_cmpint(bench.outcome.end, ==, ATTEMPT_STALLED);
    g_assert_false(bench.outcome.is_asleep);
    g_assert_false(bench.outcome.is_waiting);

    bench = bench_new(0);
    bench.look.is_asleep = TRUE;
    ms_until_end(&bench, 100);
    g_assert_true(bench.outcome.is_asleep);

    /* not begun: another holds the hotplug lock; what is freed in the block meanwhile is nothing */
    bench = bench_new(0);
    bench.look.is_begun = FALSE;
    for (guint i = 0; !look_after(&bench, 100); i++)
        bench.used_pages[i % ATTEMPT_PARTS] = 0;
    g_assert_cmpint(bench.look.now_usec - START_USEC, ==, ATTEMPT_STALL_USEC);
    g_assert_true(bench.outcome.is_waiting);
}

/* One page now and then is enough, in whatever part, at whatever speed the guest runs. */
static void test_moving(void)
{
    for (guint step_ms = 100; step_ms <= 800; step_ms += 100) {
        Bench bench = bench_new(0);
        for (guint i = 0; i < 2000; i++) {
            g_assert_false(look_after(&bench, step_ms));
            if (i % 8 == 0)
                bench.used_pages[i / 8 % ATTEMPT_PARTS]--;
        }
    }
}

/* A page that comes and goes is none that left; and what is put back does not count anew. */
static void test_flicker(void)
{
    Bench bench = bench_new(0);

    for (guint i = 0; !look_after(&bench, 100); i++)
        bench.used_pages[3] = PART_PAGES - (i / ATTEMPT_PARTS) % 2;
    g_assert_cmpint(bench.outcome.end, ==, ATTEMPT_STALLED);
    g_assert_cmpint(bench.look.now_usec - START_USEC, <, 12 * USEC_PER_SEC);
}

/* A guest that stood still as a whole has not stalled. */
static void test_gap(void)
{
    Bench bench = bench_new(0);

    for (guint i = 0; i < 10; i++)
        g_assert_false(look_after(&bench, 100));
    g_assert_false(look_after(&bench, 3600 * 1000));
    for (guint i = 0; i < 20; i++)
        g_assert_false(look_after(&bench, 100));
    g_assert_cmpint(ms_until_end(&bench, 100), <=, 3000);
}

static void test_not_known(void)
{
    Bench bench = bench_new(START_USEC + 60 * USEC_PER_SEC);

    for (guint i = 0; i < ATTEMPT_PARTS; i++)
        bench.used_pages[i] = -2; /* no kpageflags: no stall is seen, the deadline is */
    g_assert_cmpint(ms_until_end(&bench, 100), ==, 60000);
    g_assert_cmpint(bench.outcome.end, ==, ATTEMPT_LATE);
}

static void test_low_memory(void)
{
    Bench bench = bench_new(START_USEC + 200 * USEC_PER_MSEC);

    bench.look.available_bytes = RESERVE_BYTES;
    g_assert_false(look_after(&bench, 100));
    bench.look.available_bytes = RESERVE_BYTES - 1;
    g_assert_true(look_after(&bench, 100)); /* also at the deadline: it is the worse */
    g_assert_cmpint(bench.outcome.end, ==, ATTEMPT_LOW_MEMORY);
    g_assert_cmpuint(bench.outcome.available_bytes, ==, RESERVE_BYTES - 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/attempt/reserve", test_reserve);
    g_test_add_func("/attempt/stalled", test_stalled);
    g_test_add_func("/attempt/moving", test_moving);
    g_test_add_func("/attempt/flicker", test_flicker);
    g_test_add_func("/attempt/gap", test_gap);
    g_test_add_func("/attempt/not-known", test_not_known);
    g_test_add_func("/attempt/low-memory", test_low_memory);
    return g_test_run();
}
