/*
 * Random events against the unplug state machine, under a fake clock and in a small made-up world:
 * blocks that go offline at once, late, or never, vanish, or are brought online by somebody else;
 * memory that runs low; a journal that fails; a daemon that crashes at any point and takes over
 * what it had journaled. After each step the promises of the design are checked against that world,
 * which keeps its own books: it never believes the machine.
 *
 * One world is one seed, and is the same each time:
 *   test-unplug-property [SEED [COUNT]], or UNPLUG_SEED=SEED
 * Without one, the seeds 1 to 6000 run. A failure prints its seed.
 */
#include <string.h>

#include "unplug-carry.h"
#include "unplug-promises.h"
#include "unplug-world.h"

#define N_SEEDS 6000
#define N_ROUNDS 250
#define N_FRIENDLY_ROUNDS 20000

static guint32 first_seed = 1;
static guint32 n_seeds = N_SEEDS;

/* --- what clients, time and bad luck do --- */

static void submit(World *world)
{
    static const guint64 timeouts_ms[] = {0, 800, 6000, 30000, G_MAXUINT64};
    static const guint64 leases_ms[] = {0, 500, 5000, 60000, G_MAXUINT64};
    static const char *const keys[] = {NULL, NULL, NULL, "a", "b"};
    DeviceSelector selectors[2] = {{.kind = SELECT_SLOT}, {.kind = SELECT_SLOT}};
    UnplugEvent event = {.kind = UNPLUG_SUBMIT};
    guint64 next_id = unplug_machine_next_job_id(world->machine);
    guint64 id = 0;
    UnplugResult result;

    selectors[0].slot = pick(world, N_SLOTS);
    selectors[1].slot = pick(world, N_SLOTS); /* may be the same device twice */
    event.submit = (UnplugSubmit){
        .selectors = selectors,
        .n_selectors = 1 + pick(world, 2),
        .timeout_ms = timeouts_ms[pick(world, G_N_ELEMENTS(timeouts_ms))],
        .lease_ms = leases_ms[pick(world, G_N_ELEMENTS(leases_ms))],
        .key = keys[pick(world, G_N_ELEMENTS(keys))],
        .allow_partial = chance(world, 50),
    };
    result = step_machine(world, &event, &id);
    if (world->is_stopping)
        CHECK(world, result == UNPLUG_STOPPING, "a job after stop");
    else if (result == UNPLUG_OK)
        CHECK(world, id == next_id || (event.submit.key != NULL && id < next_id), "what id?");
}

static void cancel(World *world)
{
    guint64 next_id = unplug_machine_next_job_id(world->machine);
    UnplugEvent event = {.kind = UNPLUG_CANCEL};

    event.job = next_id - pick(world, MIN(next_id, 5));
    CHECK(world,
          (unplug_machine_find(world->machine, event.job) == NULL) ==
              (step_machine(world, &event, NULL) == UNPLUG_NO_SUCH_JOB),
          "cancel of no job");
}

static void end_work(World *world)
{
    BlockReport reports[N_BLOCKS];
    UnplugEvent event = {.kind = UNPLUG_WORKER_DONE, .job = world->worker.job};

    if (is_offlining(world) && go_on(world))
        return;
    AttemptEnd end = world->worker.end;
    event.blocks.barrier_error = end == ATTEMPT_NO_WORKER ? EAGAIN : chance(world, 2) ? EIO : 0;
    event.blocks.attempt = (AttemptOutcome){.end = end, .error = EAGAIN};
    if (world->worker.pools != NULL)
        end_pools(world);
    event.blocks.n_reports = end_worker(world, reports);
    event.blocks.reports = reports;
    step_machine(world, &event, NULL);
    const UnplugJob *job = unplug_machine_find(world->machine, event.job);
    CHECK(world,
          end != ATTEMPT_LOW_MEMORY || job->state == JOB_ROLLING_BACK || job->allow_partial ||
              job_state_is_ended(job->state),
          "the reserve was crossed, and the job goes on");
}

static void tick(World *world)
{
    UnplugEvent event = {.kind = UNPLUG_TICK};

    world->timer_usec = 0;
    step_machine(world, &event, NULL);
}

/* On to whatever comes next, or a little less. A tick may be late. */
static void pass_time(World *world)
{
    gint64 next_usec = later(world, chance(world, 90) ? 500 : 20000);
    gboolean is_worker_next;

    for (guint i = 0; i < N_BLOCKS; i++) {
        if (world->blocks[i].settles_usec != 0)
            next_usec = MIN(next_usec, world->blocks[i].settles_usec);
    }
    if (has_ghost(world))
        next_usec = MIN(next_usec, world->ghost.ends_usec);
    if (world->timer_usec != 0)
        next_usec = world->is_friendly ? world->timer_usec : MIN(next_usec, world->timer_usec);
    is_worker_next = is_at_work(world) && world->worker.ends_usec <= next_usec;
    if (is_worker_next)
        next_usec = world->worker.ends_usec;
    world->now_usec = MAX(next_usec, world->now_usec);
    if (chance(world, 10) && !world->is_friendly)
        world->now_usec += pick(world, 30000);
    settle(world);
    end_ghost(world);
    guard(world);
    if (world->timer_usec != 0 && world->timer_usec <= world->now_usec)
        tick(world);
    else if (is_worker_next)
        end_work(world);
}

static void watch_restored(World *world)
{
    g_autoptr(GPtrArray) jobs = unplug_machine_list(world->machine);

    g_hash_table_remove_all(world->states);
    for (guint i = 0; i < jobs->len; i++) {
        const UnplugJob *job = g_ptr_array_index(jobs, i);

        g_hash_table_insert(world->states, GSIZE_TO_POINTER(job->id),
                            GUINT_TO_POINTER(job->state + 1));
        g_hash_table_insert(world->since, GSIZE_TO_POINTER(job->id),
                            GSIZE_TO_POINTER(world->now_usec));
    }
}

/* Whose huge pages are missing is known after a crash only where the journal was up to date, and no
 * two jobs may have had the worker since. */
static void note_crash(World *world)
{
    guint n_going = 0;

    for (guint i = 0; i < world->journal->len; i++) {
        JobState state = ((const UnplugJob *)g_ptr_array_index(world->journal, i))->state;
        n_going += state == JOB_OFFLINING || state == JOB_ROLLING_BACK;
    }
    world->is_owed_unknown |= world->is_journal_old || n_going > 1;
}

/* No lock outlives the daemon. */
static void drop_locks(World *world)
{
    memset(world->delays, 0, sizeof world->delays);
    world->is_blocked = FALSE;
    world->asked_lock = 0;
}

/* An application takes a lock or releases one. */
static void change_locks(World *world)
{
    UnplugEvent event = {.kind = UNPLUG_LOCKS};
    guint64 *delay = &world->delays[pick(world, G_N_ELEMENTS(world->delays))];

    if (chance(world, 10)) {
        world->is_blocked = !world->is_blocked;
        world->last_lock += world->is_blocked;
    } else {
        *delay = *delay != 0 ? 0 : ++world->last_lock;
    }
    step_machine(world, &event, NULL);
}

static void crash(World *world)
{
    g_autoptr(GArray) actions = unplug_actions_new();
    UnplugWorld seen;
    BlockReport reports[N_BLOCKS];

    world->tally->n_crashes++;
    if (world->tally->is_traced)
        trace(world, "crash", world->worker.job, world->worker.blocks, world->worker.n_blocks);
    if (is_offlining(world) && !has_ghost(world) && world->worker.end != ATTEMPT_NO_WORKER &&
        chance(world, 30))
        make_ghost(world);
    if (is_at_work(world)) {
        world->worker.is_killed = world->worker.kind == ACTION_OFFLINE;
        if (world->worker.end != ATTEMPT_NO_WORKER)
            world->worker.end = world->worker.is_killed ? ATTEMPT_CANCELLED : ATTEMPT_OVER;
        if (world->worker.pools != NULL)
            end_pools(world);
        if (is_offlining(world))
            go_on(world);
        end_worker(world, reports);
    }
    note_crash(world);
    g_queue_clear_full(&world->pending, g_free);
    unplug_machine_free(world->machine);
    world->machine = unplug_machine_new(chance(world, 50) ? 1 : world->journal_next_id);
    world->timer_usec = 0;
    drop_locks(world);
    for (guint i = 0; i < world->journal->len; i++) {
        const UnplugJob *job = g_ptr_array_index(world->journal, i);

        CHECK(world, unplug_machine_restore(world->machine, job),
              "job %" G_GUINT64_FORMAT " cannot be restored", job->id);
        CHECK(world, !unplug_machine_restore(world->machine, job), "restored twice");
    }
    CHECK(world,
          world->journal->len == 0 ||
              unplug_machine_next_job_id(world->machine) == world->journal_next_id,
          "ids repeat");
    world->now_usec += pick(world, 3000000);
    watch_restored(world);
    settle(world);
    end_ghost(world);
    seen = what_is_seen(world);
    unplug_machine_resume(world->machine, &seen, actions);
    carry_out_all(world, actions);
    for (guint i = 0; i < 3 && chance(world, 30); i++) /* before the first look */
        cancel(world);
}

static void stop(World *world)
{
    UnplugEvent event = {.kind = UNPLUG_STOP};

    world->is_stopping = TRUE;
    step_machine(world, &event, NULL);
}

static void disturb(World *world)
{
    guint slot = pick(world, N_SLOTS);
    guint index = pick(world, N_BLOCKS);

    switch (pick(world, 12)) {
    case 0:
        vanish(world, slot);
        break;
    case 1:
        if (world->blocks[slot * SLOT_BLOCKS].truth == TRUTH_GONE)
            plug(world, slot);
        break;
    case 2:
    case 3:
        online_elsewhere(world, index);
        break;
    case 4:
        world->hog_bytes = chance(world, 70) ? 0 : pick(world, 20) * BLOCK_BYTES;
        break;
    case 5:
        world->journal_fails = chance(world, 20);
        world->is_short = chance(world, 20);
        break;
    case 6:
        world->blocks[index].mood = any_mood(world);
        break;
    case 7:
        push_look(world, index, 1);
        break;
    case 8:
        for (guint i = 0; i < 20 && chance(world, 30); i++)
            submit(world);
        break;
    default:
        change_locks(world);
        break;
    }
}

static void play_round(World *world)
{
    guint dice = pick(world, 1000);

    if (world->pending.length > 0 && chance(world, 75))
        answer(world);
    else if (dice < 120)
        submit(world);
    else if (dice < 150)
        cancel(world);
    else if (dice < 280)
        disturb(world);
    else if (dice < (is_offlining(world) ? 310 : 290) && !world->is_stopping)
        crash(world);
    else if (dice > 998 && !world->is_stopping)
        stop(world);
    else
        pass_time(world);
}

/* From here on nothing goes wrong any more, so every job must come to its end. */
static void make_friendly(World *world)
{
    world->is_friendly = TRUE;
    world->hog_bytes = 0;
    world->is_short = FALSE;
    world->journal_fails = FALSE;
    for (guint i = 0; i < N_BLOCKS; i++) {
        world->blocks[i].mood = EASY;
        world->blocks[i].refusals = 0;
    }
    if (!world->is_stopping && chance(world, 30))
        stop(world);
    for (guint i = 0; i < N_FRIENDLY_ROUNDS; i++) {
        if (world->pending.length > 0)
            answer(world);
        else if (unplug_machine_is_idle(world->machine))
            return;
        else
            pass_time(world);
    }
    CHECK(world, FALSE, "jobs that never end");
}

static void play(Tally *tally, guint32 seed)
{
    World world = {.tally = tally, .seed = seed, .now_usec = 1 + seed % 1000, .next_inode = 100};

    world.rand = g_rand_new_with_seed(seed);
    world.machine = unplug_machine_new(1);
    world.states = g_hash_table_new(NULL, NULL);
    world.since = g_hash_table_new(NULL, NULL);
    world.journal = g_ptr_array_new_with_free_func((GDestroyNotify)unplug_job_free);
    world.journal_next_id = 1;
    world.owed = g_hash_table_new(NULL, NULL);
    world.pools = g_array_new(FALSE, FALSE, sizeof(NodePool));
    for (guint i = 0; i < 4; i++) {
        NodePool pool = {.node = i % 2, .page_bytes = i < 2 ? 2 * MIB : GIB, .count = 20 * (3 - i)};
        g_array_append_val(world.pools, pool);
    }
    g_queue_init(&world.pending);
    for (guint slot = 0; slot < N_SLOTS; slot++)
        plug(&world, slot);

    for (guint i = 0; i < N_ROUNDS; i++)
        play_round(&world);
    make_friendly(&world);
    CHECK(&world, world.timer_usec == 0, "a timer is left");
    for (guint i = 0; i < N_BLOCKS; i++)
        CHECK(&world, world.blocks[i].owner == 0 || world.blocks[i].truth != TRUTH_OFFLINE,
              "block %u is left behind", i);

    g_queue_clear_full(&world.pending, g_free);
    unplug_machine_free(world.machine);
    g_hash_table_unref(world.states);
    g_hash_table_unref(world.since);
    g_ptr_array_unref(world.journal);
    g_hash_table_unref(world.owed);
    g_array_unref(world.pools);
    g_rand_free(world.rand);
}

static void test_promises(void)
{
    Tally tally = {.is_traced = n_seeds == 1};

    for (guint32 i = 0; i < n_seeds; i++)
        play(&tally, first_seed + i);
    g_test_message("%u seeds, %" G_GUINT64_FORMAT " steps, %" G_GUINT64_FORMAT " crashes", n_seeds,
                   tally.n_steps, tally.n_crashes);
    for (guint from = 0; from <= JOB_EXPIRED; from++) {
        for (guint to = 0; to <= JOB_EXPIRED; to++) {
            if (!promise_allows(from, to))
                continue;
            g_test_message("%s -> %s: %" G_GUINT64_FORMAT, job_state_name(from), job_state_name(to),
                           tally.transitions[from][to]);
            if (n_seeds == N_SEEDS)
                g_assert_cmpuint(tally.transitions[from][to], >, 0);
        }
    }
}

int main(int argc, char **argv)
{
    const char *seed = g_getenv("UNPLUG_SEED");

    g_test_init(&argc, &argv, NULL);
    if (argc > 1)
        seed = argv[1];
    if (seed != NULL) {
        first_seed = g_ascii_strtoull(seed, NULL, 10);
        n_seeds = argc > 2 ? g_ascii_strtoull(argv[2], NULL, 10) : 1;
    }
    g_test_add_func("/unplug/promises", test_promises);
    return g_test_run();
}
