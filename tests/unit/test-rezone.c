/*
 * The rezone state machine: what it must never do, on a fake clock, in a made-up world with random
 * blocks that go offline at once, refuse, hang, vanish, or do not come back; and the finder's
 * table.
 */
#include <errno.h>

#include "decide/rezone.h"
#include "fake-kernel.h"
#include "system/units.h"

#define N_BLOCKS 6
#define N_SEEDS 2000
#define BLOCK_BYTES (128 * MIB)
#define RESERVE_BYTES (64 * MIB)

typedef enum { EASY, BUSY, HANGING, VANISHING, STUBBORN, N_MOODS } Mood;

typedef struct {
    BlockTruth truth;
    Mood mood;
    guint refusals; /* STUBBORN: so many times it does not come back online */
    guint n_moves;
    guint n_failed;                         /* moves, without those that were put off */
    gint64 moved_usec[REZONE_ATTEMPTS_MAX]; /* when the first moves began */
    gboolean is_given_up;
} FakeBlock;

typedef struct {
    RezoneMachine *machine;
    GArray *actions;
    GRand *rand;
    gint64 now_usec;
    gint64 timer_usec;
    guint64 available_bytes;
    FakeBlock blocks[N_BLOCKS];
    int running; /* block, or -1 */
    gboolean is_move;
    gint64 ends_usec; /* the worker's attempt */
    gboolean is_stopped;
    gboolean is_certain; /* nothing is put off */
} World;

static void step(World *world, const RezoneEvent *event)
{
    RezoneWorld seen = {.now_usec = world->now_usec,
                        .available_bytes = world->available_bytes,
                        .reserve_bytes = RESERVE_BYTES,
                        .block_size_bytes = BLOCK_BYTES};

    g_array_set_size(world->actions, 0);
    rezone_machine_step(world->machine, &seen, event, world->actions);
    for (guint i = 0; i < world->actions->len; i++) {
        const RezoneAction *action = &g_array_index(world->actions, RezoneAction, i);
        FakeBlock *block = &world->blocks[action->block.index];
        switch (action->kind) {
        case REZONE_ACT_MOVE:
            g_assert_cmpuint(world->available_bytes, >=, RESERVE_BYTES + BLOCK_BYTES);
            g_assert_cmpint(block->truth, !=, TRUTH_OFFLINE);
            if (block->n_moves < REZONE_ATTEMPTS_MAX)
                block->moved_usec[block->n_moves] = world->now_usec;
            block->n_moves++;
            g_assert_cmpuint(block->n_failed, <, REZONE_ATTEMPTS_MAX);
            g_assert_false(world->is_stopped);
            /* fall through */
        case REZONE_ACT_RETURN:
            g_assert_cmpint(world->running, ==, -1); /* one at a time */
            world->running = (int)action->block.index;
            world->is_move = action->kind == REZONE_ACT_MOVE;
            world->ends_usec =
                world->now_usec + (world->is_move && block->mood == HANGING ? ATTEMPT_STALL_USEC
                                                                            : 20 * USEC_PER_MSEC);
            g_assert_true(rezone_machine_holds(world->machine, action->block.index, 1));
            g_assert_cmpint(rezone_machine_progress(world->machine, action->block.index, 1), ==,
                            BLOCK_MOVING);
            break;
        case REZONE_ACT_TIMER:
            world->timer_usec = action->at_usec;
            break;
        case REZONE_ACT_MOVED:
            g_assert_cmpint(block->truth, ==, TRUTH_ONLINE_MOVABLE);
            break;
        case REZONE_ACT_GIVE_UP:
            g_assert_cmpint(rezone_machine_progress(world->machine, action->block.index, 1), ==,
                            BLOCK_STUCK);
            g_assert_cmpint(block->truth, ==, TRUTH_ONLINE_KERNEL); /* never while offline */
            g_assert_true(action->error != 0 || action->attempt.end != ATTEMPT_OVER);
            g_assert_cmpint(action->attempt.end, !=, ATTEMPT_NO_WORKER);
            g_assert_cmpint(action->attempt.end, !=, ATTEMPT_CANCELLED);
            block->is_given_up = TRUE;
            break;
        case REZONE_ACT_STOPPED:
            g_assert_false(world->is_stopped);
            g_assert_cmpint(world->running, ==, -1);
            world->is_stopped = TRUE;
            break;
        }
    }
}

static void review(World *world)
{
    RezoneBlock wanted[N_BLOCKS];
    RezoneEvent event = {.kind = REZONE_WANTED, .blocks = wanted};

    for (guint i = 0; i < N_BLOCKS; i++) {
        if (world->blocks[i].truth == TRUTH_ONLINE_KERNEL)
            wanted[event.n_blocks++] = (RezoneBlock){.index = i, .inode = 1};
    }
    step(world, &event);
}

/* The worker's attempt is over. */
static void finish(World *world)
{
    FakeBlock *block = &world->blocks[world->running];
    RezoneEvent event = {.kind = REZONE_DONE};

    block->n_failed += world->is_move;
    if (g_rand_int_range(world->rand, 0, 10) == 0 && !world->is_certain) {
        /* There is no process, or another task goes first: that says nothing of the block. */
        block->n_failed -= world->is_move;
        event.attempt.end = g_rand_boolean(world->rand) ? ATTEMPT_NO_WORKER : ATTEMPT_CANCELLED;
        event.error = EAGAIN;
    } else if (world->is_move && block->mood == HANGING) {
        event.error = EINTR;
        event.attempt.end = ATTEMPT_STALLED;
    } else if (world->is_move && world->available_bytes < RESERVE_BYTES) {
        event.error = EINTR;
        event.attempt.end = ATTEMPT_LOW_MEMORY;
    } else if (!world->is_move && block->truth == TRUTH_ONLINE_KERNEL &&
               g_rand_boolean(world->rand)) {
        event.error = EINVAL; /* inherited, and nobody had taken it offline */
    } else if (block->mood == BUSY) {
        event.error = EBUSY;
    } else if (block->mood == VANISHING) {
        block->truth = TRUTH_GONE;
    } else if (block->mood == STUBBORN && block->refusals > 0) {
        block->refusals--;
        block->truth = TRUTH_OFFLINE;
        event.error = EPERM;
    } else {
        block->truth = TRUTH_ONLINE_MOVABLE;
    }
    event.truth = block->truth;
    world->running = -1;
    step(world, &event);
}

static gboolean advance(World *world)
{
    gint64 next = world->timer_usec ? world->timer_usec : G_MAXINT64;

    if (world->running >= 0)
        next = MIN(next, world->ends_usec);
    if (next == G_MAXINT64)
        return FALSE;
    world->now_usec = MAX(world->now_usec, next);
    if (world->running >= 0 && world->ends_usec <= world->now_usec) {
        finish(world);
    } else {
        RezoneEvent event = {.kind = REZONE_TICK};
        world->timer_usec = 0;
        step(world, &event);
    }
    return TRUE;
}

static World world_new(guint32 seed)
{
    World world = {.machine = rezone_machine_new(),
                   .actions = g_array_new(FALSE, FALSE, sizeof(RezoneAction)),
                   .rand = g_rand_new_with_seed(seed),
                   .now_usec = 1000,
                   .available_bytes = GIB,
                   .running = -1};

    for (guint i = 0; i < N_BLOCKS; i++)
        world.blocks[i] = (FakeBlock){.truth = TRUTH_ONLINE_KERNEL,
                                      .mood = (Mood)g_rand_int_range(world.rand, 0, N_MOODS),
                                      .refusals = (guint)g_rand_int_range(world.rand, 1, 9)};
    return world;
}

static void world_clear(World *world)
{
    rezone_machine_free(world->machine);
    g_array_unref(world->actions);
    g_rand_free(world->rand);
}

/* Some of the blocks were in the hands of an earlier daemon. */
static void inherit(World *world)
{
    RezoneBlock blocks[N_BLOCKS];
    RezoneEvent event = {.kind = REZONE_INHERITED, .blocks = blocks};

    for (guint i = 0; i < N_BLOCKS; i++) {
        if (g_rand_int_range(world->rand, 0, 3) == 0)
            blocks[event.n_blocks++] = (RezoneBlock){.index = i, .inode = 1};
    }
    step(world, &event);
}

/* A write of ours has waited for the kernel's lock, and the block is online: it is let go. */
static void test_inherited(void)
{
    World world = world_new(1);
    RezoneBlock block = {.index = 0, .inode = 1};
    RezoneEvent inherited = {.kind = REZONE_INHERITED, .blocks = &block, .n_blocks = 1};
    RezoneEvent no_process = {.kind = REZONE_DONE,
                              .truth = TRUTH_ONLINE_KERNEL,
                              .error = EAGAIN,
                              .attempt = {.end = ATTEMPT_NO_WORKER}};
    RezoneEvent done = {.kind = REZONE_DONE, .truth = TRUTH_ONLINE_KERNEL, .error = EINVAL};

    world.available_bytes = 0; /* no move could begin */
    step(&world, &inherited);
    g_assert_cmpint(world.running, ==, 0);
    g_assert_false(world.is_move);
    world.running = -1;
    step(&world, &no_process);
    g_assert_true(rezone_machine_holds(world.machine, 0, 1));
    g_assert_cmpint(world.timer_usec, >, 0);
    world.now_usec = world.timer_usec;
    step(&world, &(RezoneEvent){.kind = REZONE_TICK});
    g_assert_cmpint(world.running, ==, 0);
    world.running = -1;
    step(&world, &done);
    g_assert_true(rezone_machine_is_idle(world.machine));
    world_clear(&world);
}

static void test_random(void)
{
    for (guint32 seed = 1; seed <= N_SEEDS; seed++) {
        World world = world_new(seed);
        guint n_steps = 0;

        if (seed % 2 == 0)
            inherit(&world);
        review(&world);
        while (advance(&world)) {
            g_assert_cmpuint(++n_steps, <, 20000); /* it comes to an end */
            if (g_rand_int_range(world.rand, 0, 4) == 0)
                world.available_bytes =
                    g_rand_int_range(world.rand, 0, 8) == 0 ? RESERVE_BYTES / 2 : GIB;
            if (g_rand_int_range(world.rand, 0, 4) == 0)
                review(&world);
        }
        for (guint i = 0; i < N_BLOCKS; i++) {
            const FakeBlock *block = &world.blocks[i];
            g_assert_cmpint(block->truth, !=, TRUTH_OFFLINE);
            g_assert_true(block->truth != TRUTH_ONLINE_KERNEL || block->is_given_up);
            g_assert_true(block->mood != BUSY || block->is_given_up);
        }
        g_assert_cmpint(world.timer_usec, ==, 0); /* silence costs nothing */
        world_clear(&world);
    }
}

static void test_stop(void)
{
    for (guint32 seed = 1; seed <= N_SEEDS; seed++) {
        World world = world_new(seed);
        RezoneEvent stop = {.kind = REZONE_STOP};
        guint n_steps = 0;

        review(&world);
        for (gint i = g_rand_int_range(world.rand, 0, 12); i > 0 && advance(&world); i--)
            ;
        step(&world, &stop);
        guint moves = 0, after = 0;
        for (guint i = 0; i < N_BLOCKS; i++)
            moves += world.blocks[i].n_moves;
        while (!world.is_stopped && advance(&world))
            g_assert_cmpuint(++n_steps, <, 1000);
        g_assert_true(world.is_stopped);
        for (guint i = 0; i < N_BLOCKS; i++)
            after += world.blocks[i].n_moves;
        g_assert_cmpuint(after, ==, moves);
        world_clear(&world);
    }
}

/* A failed eject puts eight blocks in a kernel zone: they are back well within 5 s. */
static void test_at_once(void)
{
    World world = world_new(1);

    for (guint i = 0; i < N_BLOCKS; i++)
        world.blocks[i].mood = EASY;
    world.is_certain = TRUE;
    review(&world);
    while (advance(&world))
        ;
    for (guint i = 0; i < N_BLOCKS; i++)
        g_assert_cmpint(world.blocks[i].truth, ==, TRUTH_ONLINE_MOVABLE);
    g_assert_cmpint(world.now_usec, <, USEC_PER_SEC);
    world_clear(&world);
}

/* Each try at a block that does not move is dumped pages in the kernel's log, and time that others
 * could have had: few, at growing distances, the last block first. */
static void test_few_tries(void)
{
    for (Mood mood = BUSY; mood <= HANGING; mood++) {
        World world = world_new(1);
        guint n_tries = mood == BUSY ? 4 : 2;

        for (guint i = 0; i < N_BLOCKS; i++)
            world.blocks[i].mood = mood;
        world.is_certain = TRUE;
        review(&world);
        while (advance(&world))
            ;
        for (guint i = 0; i < N_BLOCKS; i++) {
            const FakeBlock *block = &world.blocks[i];
            g_assert_true(block->is_given_up);
            g_assert_cmpuint(block->n_moves, ==, n_tries);
            for (guint n = 0; i > 0 && n < n_tries; n++)
                g_assert_cmpint(block->moved_usec[n], <, block[-1].moved_usec[n]);
            for (guint n = 2; n < n_tries; n++)
                g_assert_cmpint(block->moved_usec[n] - block->moved_usec[n - 1], >,
                                5 * (block->moved_usec[n - 1] - block->moved_usec[n - 2]));
        }
        world_clear(&world);
    }
}

static void test_find(void)
{
    static const struct {
        OnlinePolicy policy;
        gboolean rezone;
        MarkWant want;
        const char *zone;     /* of the DIMM's block */
        const char *expected; /* what becomes of it: "", "movable", "kernel" */
    } table[] = {
        {ONLINE_POLICY_MOVABLE, TRUE, MARK_WANT_POLICY, "Normal", "movable"},
        {ONLINE_POLICY_MOVABLE, TRUE, MARK_WANT_POLICY, "Movable", ""},
        {ONLINE_POLICY_MOVABLE, TRUE, MARK_WANT_POLICY, "none", ""},
        {ONLINE_POLICY_MOVABLE, TRUE, MARK_WANT_KERNEL, "Normal", ""},
        {ONLINE_POLICY_MOVABLE, TRUE, MARK_WANT_KERNEL, "Movable", "kernel"},
        {ONLINE_POLICY_MOVABLE, FALSE, MARK_WANT_POLICY, "Normal", ""},
        {ONLINE_POLICY_AUTO, TRUE, MARK_WANT_MOVABLE, "Normal", "movable"},
        {ONLINE_POLICY_AUTO, TRUE, MARK_WANT_KERNEL, "Normal", ""},
        {ONLINE_POLICY_AUTO, TRUE, MARK_WANT_POLICY, "Normal", ""},
        {ONLINE_POLICY_KERNEL, TRUE, MARK_WANT_POLICY, "Normal", ""},
        {ONLINE_POLICY_KERNEL, TRUE, MARK_WANT_POLICY, "Movable", ""},
        {ONLINE_POLICY_NONE, TRUE, MARK_WANT_POLICY, "Normal", ""},
    };

    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(FakeKernel) fake = fake_kernel_new(BLOCK_BYTES);
        g_autoptr(BlockMarks) marks = block_marks_new();
        OnlineConfig config = {.policy = table[i].policy, .rezone = table[i].rezone};
        fake_kernel_add_boot(fake, 0, 8);
        fake_kernel_add_dimm(fake, 0, 40, 1);
        fake_kernel_set_state(fake, 40, "online", table[i].zone);
        fake_kernel_add_virtio_mem(fake, 0, 60, 8, 1);
        fake_kernel_set_state(fake, 60, "online", "Normal");
        g_autoptr(AttrIo) io = fake_kernel_io(fake);
        g_autoptr(Snapshot) snapshot = snapshot_scan(io, NULL);
        BlockMark mark = {.inode = fake_kernel_inode(fake, 40), .want = table[i].want};
        block_marks_set(marks, 40, &mark);
        g_autoptr(GArray) found = rezone_find(&config, snapshot, marks, NULL, NULL);
        g_assert_cmpuint(found->len, ==, table[i].expected[0] ? 1 : 0);
        if (found->len == 1) {
            const RezoneBlock *block = &g_array_index(found, RezoneBlock, 0);
            g_assert_cmpuint(block->index, ==, 40);
            g_assert_cmpint(block->to_kernel, ==, g_str_equal(table[i].expected, "kernel"));
        }
    }
}

static void test_marks(void)
{
    g_autoptr(BlockMarks) marks = block_marks_new();
    BlockMark mark = {.inode = 77, .is_seen = TRUE, .want = MARK_WANT_KERNEL};

    g_assert_false(block_marks_is_dirty(marks));
    block_marks_set(marks, 40, &mark);
    g_assert_true(block_marks_is_dirty(marks));
    block_marks_clean(marks);
    block_marks_set(marks, 40, &mark);
    g_assert_false(block_marks_is_dirty(marks)); /* nothing new */
    g_autofree char *text = block_marks_format(marks);
    g_autoptr(BlockMarks) again = block_marks_parse(text);
    g_assert_nonnull(again);
    g_assert_nonnull(block_marks_find(again, 40, 77));
    g_assert_true(block_marks_find(again, 40, 77)->is_seen);
    g_assert_cmpint(block_marks_want(again, 40, 77), ==, MARK_WANT_KERNEL);
    g_assert_null(block_marks_find(again, 40, 78)); /* another block at its place */
    block_marks_forget_wants(again);
    g_assert_cmpint(block_marks_want(again, 40, 77), ==, MARK_WANT_POLICY);

    static const char *const bad[] = {"40",          "40 77 1",      "40 77 2 0\n",
                                      "40 77 1 3\n", "40 77 1 0",    "4294967296 1 1 1\n",
                                      "x 77 1 1\n",  "40 77 1 0 5\n"};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_null(block_marks_parse(bad[i]));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rezone/random", test_random);
    g_test_add_func("/rezone/inherited", test_inherited);
    g_test_add_func("/rezone/few-tries", test_few_tries);
    g_test_add_func("/rezone/stop", test_stop);
    g_test_add_func("/rezone/at-once", test_at_once);
    g_test_add_func("/rezone/find", test_find);
    g_test_add_func("/rezone/marks", test_marks);
    return g_test_run();
}
