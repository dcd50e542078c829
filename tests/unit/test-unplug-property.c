/*
 * Random events against the unplug state machine, under a fake clock and in a small made-up world:
 * blocks that go offline at once, late, or never, vanish, or are brought online by somebody else;
 * memory that runs low; a journal that fails; a daemon that crashes at any point and takes over
 * what it had journaled. After each step the promises of the design are checked against that world,
 * which keeps its own books: it never believes the machine.
 *
 * One world is one seed, and is the same each time:
 *   test-unplug-property [SEED [COUNT]], or UNPLUG_SEED=SEED
 * Without one, the seeds 1 to 3000 run. A failure prints its seed.
 */
#include <errno.h>
#include <stdlib.h>

#include "decide/unplug.h"
#include "ground/units.h"

#define N_SEEDS 3000
#define N_ROUNDS 250
#define N_FRIENDLY_ROUNDS 20000
#define N_SLOTS 5
#define SLOT_BLOCKS 3
#define N_BLOCKS (N_SLOTS * SLOT_BLOCKS)
#define BLOCK_BYTES (128 * MIB)
#define RESERVE_BYTES (256 * MIB)
#define FREE_BYTES (N_BLOCKS * BLOCK_BYTES + RESERVE_BYTES + 64 * MIB)
#define NEVER G_MAXINT64

/* What happens to a block that is to go offline. */
typedef enum { EASY, SLOW, BUSY, PINNED, FORBIDDEN, NO_MEMORY, SIGNALLED, N_MOODS } Mood;

typedef struct {
    guint64 inode;
    BlockTruth truth;
    BlockTruth before; /* an attempt: what it comes back to */
    Mood mood;
    guint refusals;      /* so many rollbacks fail */
    guint64 owner;       /* the job whose write took it offline; 0: nobody's */
    gint64 settles_usec; /* CHANGING with no worker: when it is over; 0: does not apply */
    guint64 settles_for; /* the job whose it is then, if it went offline; 0: comes back online */
} Block;

typedef struct {
    UnplugActionKind kind;
    guint64 job;
    JobBlock blocks[N_BLOCKS];
    guint n_blocks; /* 0: idle */
    gint64 ends_usec;
    gboolean is_killed;
} Worker;

/* An answer that the machine waits for, or a look at some blocks. */
typedef struct {
    UnplugEventKind kind; /* CHECKED, JOURNALED, VERIFIED, BLOCKS */
    guint64 job;
    int error;
    guint first;
    guint count;
} Pending;

typedef struct {
    guint32 seed;
    guint n_steps;
    GRand *rand;
    UnplugMachine *machine;
    gint64 now_usec;
    gint64 timer_usec;
    Block blocks[N_BLOCKS];
    guint64 hog_bytes;
    guint64 next_inode;
    Worker worker;
    GQueue pending;     /* of Pending */
    GHashTable *states; /* id -> JobState + 1, as CHANGED told */
    GPtrArray *journal; /* of UnplugJob: the last journal that could be written */
    guint64 journal_next_id;
    gboolean journal_fails;
    gboolean is_friendly;
    gboolean is_stopping;
    gboolean is_stopped;
} World;

static guint64 transitions[JOB_EXPIRED + 1][JOB_EXPIRED + 1];
static guint64 n_crashes;
static guint64 n_steps_all;

/* The table of the design, "Jobs", and what the header of the machine adds to it. */
static const gboolean allowed[JOB_EXPIRED + 1][JOB_EXPIRED + 1] = {
    [JOB_QUEUED] = { [JOB_CHECKING] = TRUE, [JOB_CANCELLED] = TRUE, [JOB_FAILED] = TRUE },
    [JOB_CHECKING] = { [JOB_OFFLINING] = TRUE, [JOB_FAILED] = TRUE, [JOB_CANCELLED] = TRUE },
    [JOB_OFFLINING] = { [JOB_READY] = TRUE, [JOB_ROLLING_BACK] = TRUE, [JOB_UNPLUGGED] = TRUE },
    [JOB_READY] = { [JOB_UNPLUGGED] = TRUE, [JOB_ROLLING_BACK] = TRUE, [JOB_OFFLINING] = TRUE },
    [JOB_ROLLING_BACK] = { [JOB_FAILED] = TRUE,
                           [JOB_CANCELLED] = TRUE,
                           [JOB_EXPIRED] = TRUE,
                           [JOB_UNPLUGGED] = TRUE },
};

#define CHECK(world, condition, ...)                                                              \
    do {                                                                                          \
        if (!(condition))                                                                         \
            broken(world, G_STRINGIFY(__LINE__) ": " #condition, __VA_ARGS__);                    \
    } while (0)

static void broken(const World *world, const char *where, const char *format, ...)
    G_GNUC_PRINTF(3, 4) G_GNUC_NORETURN;

static void broken(const World *world, const char *where, const char *format, ...)
{
    g_autofree char *what = NULL;
    va_list args;

    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    g_printerr("seed %u, step %u, at %" G_GINT64_FORMAT " us: %s (line %s)\n"
               "again with: test-unplug-property %u\n",
               world->seed, world->n_steps, world->now_usec, what, where, world->seed);
    abort();
}

static gboolean chance(World *world, guint percent)
{
    return g_rand_int_range(world->rand, 0, 100) < (gint32)percent;
}

static guint pick(World *world, guint below)
{
    return g_rand_int_range(world->rand, 0, below);
}

static gint64 later(World *world, guint max_ms)
{
    return world->now_usec + (1 + pick(world, max_ms)) * USEC_PER_MSEC;
}

static guint64 available_bytes(const World *world)
{
    guint64 used_bytes = world->hog_bytes;

    for (guint i = 0; i < N_BLOCKS; i++)
        used_bytes += world->blocks[i].truth == TRUTH_OFFLINE ? BLOCK_BYTES : 0;
    return used_bytes < FREE_BYTES ? FREE_BYTES - used_bytes : 0;
}

static gboolean is_offlining(const World *world)
{
    return world->worker.n_blocks > 0 && world->worker.kind == ACTION_OFFLINE;
}

static gboolean is_in_work(const World *world, guint index)
{
    for (guint i = 0; i < world->worker.n_blocks; i++) {
        if (world->worker.blocks[i].index == index)
            return TRUE;
    }
    return FALSE;
}

static void push(World *world, UnplugEventKind kind, guint64 job, int error)
{
    Pending *pending = g_new0(Pending, 1);

    pending->kind = kind;
    pending->job = job;
    pending->error = error;
    g_queue_push_tail(&world->pending, pending);
}

static void push_look(World *world, guint first, guint count)
{
    push(world, UNPLUG_BLOCKS, 0, 0);
    ((Pending *)g_queue_peek_tail(&world->pending))->first = first;
    ((Pending *)g_queue_peek_tail(&world->pending))->count = count;
}

/* --- the world's own events --- */

static Mood any_mood(World *world)
{
    if (world->is_friendly || chance(world, 60))
        return EASY;
    return pick(world, N_MOODS);
}

static void set_truth(World *world, guint index, BlockTruth truth, guint64 owner)
{
    world->blocks[index].truth = truth;
    world->blocks[index].owner = owner;
    world->blocks[index].settles_usec = 0;
}

static BlockTruth any_online(World *world)
{
    return chance(world, 80) ? TRUTH_ONLINE_MOVABLE : TRUTH_ONLINE_KERNEL;
}

static void plug(World *world, guint slot)
{
    for (guint i = slot * SLOT_BLOCKS; i < (slot + 1) * SLOT_BLOCKS; i++) {
        Block *block = &world->blocks[i];

        block->inode = world->next_inode++;
        block->mood = any_mood(world);
        block->refusals = world->is_friendly || chance(world, 80) ? 0 : pick(world, 8);
        set_truth(world, i, chance(world, 90) ? TRUTH_ONLINE_MOVABLE : TRUTH_OFFLINE, 0);
    }
    push_look(world, slot * SLOT_BLOCKS, SLOT_BLOCKS);
}

static void vanish(World *world, guint slot)
{
    guint count = chance(world, 90) ? SLOT_BLOCKS : 1;

    for (guint i = 0; i < count; i++)
        set_truth(world, slot * SLOT_BLOCKS + i, TRUTH_GONE, 0);
    push_look(world, slot * SLOT_BLOCKS, count);
}

static void online_elsewhere(World *world, guint index)
{
    if (world->blocks[index].truth != TRUTH_OFFLINE || is_in_work(world, index))
        return;
    set_truth(world, index, any_online(world), 0);
    push_look(world, index, 1);
}

static void settle(World *world)
{
    for (guint i = 0; i < N_BLOCKS; i++) {
        Block *block = &world->blocks[i];

        if (block->truth != TRUTH_CHANGING || block->settles_usec == 0 ||
            block->settles_usec > world->now_usec)
            continue;
        set_truth(world, i, block->settles_for != 0 ? TRUTH_OFFLINE : TRUTH_ONLINE_MOVABLE,
                  block->settles_for);
        push_look(world, i, 1);
    }
}

/* --- the worker --- */

static void start_offline(World *world)
{
    Block *block = &world->blocks[world->worker.blocks[0].index];

    block->before = block->truth;
    world->worker.ends_usec = later(world, 50);
    if (block->truth != TRUTH_ONLINE_MOVABLE && block->truth != TRUTH_ONLINE_KERNEL)
        return;
    if (block->mood == EASY)
        world->worker.ends_usec = later(world, 300);
    else if (block->mood == SLOW)
        world->worker.ends_usec = later(world, 12000);
    else if (block->mood == PINNED)
        world->worker.ends_usec = NEVER;
    block->truth = TRUTH_CHANGING;
    block->settles_usec = 0;
}

/* The end of an attempt on a block that is still there: its errno. */
static int end_offline(World *world, guint index)
{
    static const int errors[N_MOODS] = { 0, 0, EBUSY, 0, EPERM, ENOMEM, EINTR };
    Block *block = &world->blocks[index];
    guint64 job = world->worker.job;
    int error = errors[block->mood];

    if (block->before != TRUTH_ONLINE_MOVABLE && block->before != TRUTH_ONLINE_KERNEL)
        return EINVAL;
    if (world->worker.is_killed) {
        guint luck = pick(world, 100);

        error = luck < 80 ? EINTR : luck < 85 ? ECANCELED : 0;
        if (luck >= 95 && !world->is_friendly) {
            block->settles_usec = later(world, 3000);
            block->settles_for = chance(world, 50) ? job : 0;
            return EINTR;
        }
    }
    if (error == 0)
        set_truth(world, index, TRUTH_OFFLINE, job);
    else
        set_truth(world, index, block->before, 0);
    push_look(world, index, 1);
    if (error == 0 && !world->is_friendly && chance(world, 3))
        set_truth(world, index, any_online(world), 0);
    return error;
}

static int end_rollback(World *world, guint index)
{
    Block *block = &world->blocks[index];

    if (block->truth != TRUTH_OFFLINE)
        return block->truth == TRUTH_CHANGING ? EINVAL : 0;
    if (block->refusals > 0) {
        block->refusals--;
        return EBUSY;
    }
    set_truth(world, index, any_online(world), 0);
    push_look(world, index, 1);
    return 0;
}

static BlockReport report_of(const World *world, const JobBlock *asked)
{
    const Block *block = &world->blocks[asked->index];
    gboolean is_same = block->inode == asked->inode;

    return (BlockReport){ .index = asked->index,
                          .inode = asked->inode,
                          .truth = is_same ? block->truth : TRUTH_GONE };
}

/* Lets the kernel finish; REPORTS has room for all. Returns how many reports there are. */
static guint end_worker(World *world, BlockReport *reports)
{
    Worker *worker = &world->worker;
    guint n_reports = 0;

    for (guint i = 0; i < worker->n_blocks; i++) {
        BlockReport report = report_of(world, &worker->blocks[i]);
        int error = ENODEV;

        if (report.truth != TRUTH_GONE)
            error = worker->kind == ACTION_OFFLINE ? end_offline(world, report.index)
                                                   : end_rollback(world, report.index);
        report = report_of(world, &worker->blocks[i]);
        report.error = error;
        if (world->is_friendly || !chance(world, 2))
            reports[n_reports++] = report;
    }
    worker->n_blocks = 0;
    return n_reports;
}

/* --- the promises --- */

static JobState told_state(const World *world, guint64 job)
{
    gpointer state = g_hash_table_lookup(world->states, GSIZE_TO_POINTER(job));

    CHECK(world, state != NULL, "job %" G_GUINT64_FORMAT " was never told of", job);
    return GPOINTER_TO_UINT(state) - 1;
}

static void check_ready(const World *world, const UnplugJob *job)
{
    for (guint i = 0; i < job->blocks->len; i++) {
        BlockReport report = report_of(world, &g_array_index(job->blocks, JobBlock, i));

        CHECK(world, report.truth == TRUTH_OFFLINE || report.truth == TRUTH_GONE,
              "job %" G_GUINT64_FORMAT " is ready with block %u not offline", job->id,
              report.index);
    }
}

static void check_changed(World *world, const UnplugAction *action, gboolean was_journal)
{
    gpointer told = g_hash_table_lookup(world->states, GSIZE_TO_POINTER(action->job));

    CHECK(world, was_journal, "changed before the journal");
    if (told == NULL) {
        CHECK(world, action->state == JOB_QUEUED, "a job begins as %s",
              job_state_name(action->state));
    } else {
        JobState from = GPOINTER_TO_UINT(told) - 1;

        CHECK(world, allowed[from][action->state], "%s -> %s", job_state_name(from),
              job_state_name(action->state));
        transitions[from][action->state]++;
    }
    g_hash_table_insert(world->states, GSIZE_TO_POINTER(action->job),
                        GUINT_TO_POINTER(action->state + 1));
    if (action->state == JOB_READY)
        check_ready(world, unplug_machine_find(world->machine, action->job));
}

static const UnplugJob *find_journaled(const World *world, guint64 id)
{
    for (guint i = 0; i < world->journal->len; i++) {
        const UnplugJob *job = g_ptr_array_index(world->journal, i);

        if (job->id == id)
            return job;
    }
    return NULL;
}

static void check_offline(const World *world, const UnplugAction *action)
{
    const UnplugJob *job = unplug_machine_find(world->machine, action->job);
    const UnplugJob *journaled = find_journaled(world, action->job);
    gboolean is_listed = FALSE;

    CHECK(world, job != NULL && job->state == JOB_OFFLINING, "an attempt out of offlining");
    CHECK(world, action->n_blocks == 1, "%u blocks at a time", action->n_blocks);
    CHECK(world, available_bytes(world) >= BLOCK_BYTES + RESERVE_BYTES, "the reserve is crossed");
    CHECK(world, journaled != NULL && journaled->state == JOB_OFFLINING, "not journaled");
    for (guint i = 0; i < journaled->blocks->len; i++) {
        const JobBlock *block = &g_array_index(journaled->blocks, JobBlock, i);

        if (block->index == action->blocks[0].index)
            is_listed = block->phase != JOB_BLOCK_WAS_OFFLINE && block->phase != JOB_BLOCK_GONE;
    }
    CHECK(world, is_listed, "block %u is not journaled as the job's", action->blocks[0].index);
    CHECK(world, unplug_machine_holds(world->machine, action->blocks[0].index,
                                      action->blocks[0].inode), "the intent is not noted");
    for (guint i = 0; i < N_BLOCKS; i++)
        CHECK(world, world->blocks[i].owner == 0 ||
              told_state(world, world->blocks[i].owner) != JOB_ROLLING_BACK,
              "an attempt while block %u is to be given back", i);
}

static void check_rollback(const World *world, const UnplugAction *action)
{
    const UnplugJob *job = unplug_machine_find(world->machine, action->job);

    CHECK(world, job != NULL && job->state == JOB_ROLLING_BACK, "a rollback out of its state");
    CHECK(world, action->barrier && action->n_blocks > 0, "no barrier, or no blocks");
    for (guint i = 0; i < action->n_blocks; i++) {
        const JobBlock *asked = &action->blocks[i];
        const Block *block = &world->blocks[asked->index];

        CHECK(world, block->inode != asked->inode || block->truth != TRUTH_OFFLINE ||
              block->owner == action->job, "block %u was not offlined by this job", asked->index);
    }
}

static void check_timer(const World *world, guint n_live, guint n_timed, gint64 lease_end_usec)
{
    if (n_live == 0)
        CHECK(world, world->timer_usec == 0, "a timer runs for nothing");
    if (n_live > 0 && n_timed == 0 && lease_end_usec == 0 && world->worker.n_blocks > 0)
        CHECK(world, world->timer_usec == 0, "a timer runs beside a rollback");
    if (n_timed == 0 && lease_end_usec != 0 && world->worker.n_blocks > 0)
        CHECK(world, world->timer_usec == lease_end_usec, "not the lease's timer");
    if (world->timer_usec != 0)
        CHECK(world, world->timer_usec > world->now_usec, "what is due was not done");
    if (is_offlining(world) && !world->worker.is_killed)
        CHECK(world, world->timer_usec != 0 &&
              world->timer_usec <= world->now_usec + UNPLUG_GUARD_USEC, "nobody guards");
    if (n_live > 0)
        CHECK(world, world->timer_usec != 0 || world->worker.n_blocks > 0 ||
              world->pending.length > 0, "%u jobs wait for nothing", n_live);
}

static void check_jobs(const World *world)
{
    g_autoptr(GPtrArray) jobs = unplug_machine_list(world->machine);
    guint n_ended = 0;
    guint n_timed = 0; /* may have a timer other than the lease's */
    guint n_first = 0; /* between queued and ready, for the first time */
    gint64 lease_end_usec = 0;

    for (guint i = 0; i < jobs->len; i++) {
        const UnplugJob *job = g_ptr_array_index(jobs, i);

        CHECK(world, told_state(world, job->id) == job->state, "a change was not told");
        n_ended += job_state_is_ended(job->state);
        n_timed += job->state == JOB_OFFLINING;
        n_first += job->state == JOB_CHECKING ||
                   (job->state == JOB_OFFLINING && !job->was_reoffline);
        if (job->state == JOB_READY && (lease_end_usec == 0 || job->lease_end_usec < lease_end_usec))
            lease_end_usec = job->lease_end_usec;
        if (job->state == JOB_OFFLINING && !job->attempt_running)
            CHECK(world, job->deadline_usec > world->now_usec || world->pending.length > 0,
                  "job %" G_GUINT64_FORMAT " is past its deadline", job->id);
        if (job->attempt_running)
            CHECK(world, is_offlining(world) && world->worker.job == job->id, "no such attempt");
    }
    CHECK(world, n_ended <= UNPLUG_ENDED_MAX, "%u ended jobs", n_ended);
    CHECK(world, n_first <= 1, "%u jobs at once", n_first);
    CHECK(world, (jobs->len == n_ended) == unplug_machine_is_idle(world->machine), "idle?");
    check_timer(world, jobs->len - n_ended, n_timed, lease_end_usec);
}

/* No block is offline by the hand of a job that is over. */
static void check_blocks(const World *world)
{
    for (guint i = 0; i < N_BLOCKS; i++) {
        const Block *block = &world->blocks[i];
        const UnplugJob *owner;

        if (block->truth != TRUTH_OFFLINE || block->owner == 0)
            continue;
        owner = unplug_machine_owner(world->machine, i, block->inode);
        CHECK(world, owner != NULL && owner->id == block->owner,
              "block %u is left behind by job %" G_GUINT64_FORMAT, i, block->owner);
    }
}

/* --- carrying out --- */

static void copy_journal(World *world)
{
    g_autoptr(GPtrArray) jobs = unplug_machine_list(world->machine);
    GPtrArray *journal = g_ptr_array_new_with_free_func((GDestroyNotify)unplug_job_free);

    for (guint i = 0; i < jobs->len; i++)
        g_ptr_array_add(journal, unplug_job_copy(g_ptr_array_index(jobs, i)));
    g_ptr_array_unref(world->journal);
    world->journal = journal;
    world->journal_next_id = unplug_machine_next_job_id(world->machine);
}

static void start_worker(World *world, const UnplugAction *action)
{
    CHECK(world, world->worker.n_blocks == 0, "two workers");
    world->worker = (Worker){ .kind = action->kind, .job = action->job };
    world->worker.n_blocks = action->n_blocks;
    for (guint i = 0; i < action->n_blocks; i++)
        world->worker.blocks[i] = action->blocks[i];
    if (action->kind == ACTION_OFFLINE)
        start_offline(world);
    else
        world->worker.ends_usec = later(world, world->is_friendly || chance(world, 90) ? 500 : 60000);
}

static void carry_out(World *world, const UnplugAction *action, gboolean *was_journal)
{
    switch (action->kind) {
    case ACTION_CHECK:
        push(world, UNPLUG_CHECKED, action->job, 0);
        break;
    case ACTION_JOURNAL:
        CHECK(world, !*was_journal, "two journals in a step");
        *was_journal = TRUE;
        push(world, UNPLUG_JOURNALED, 0, world->journal_fails ? ENOSPC : 0);
        if (!world->journal_fails)
            copy_journal(world);
        break;
    case ACTION_OFFLINE:
        check_offline(world, action);
        start_worker(world, action);
        break;
    case ACTION_KILL:
        CHECK(world, is_offlining(world) && world->worker.job == action->job, "kills nobody");
        CHECK(world, !world->worker.is_killed, "kills twice");
        world->worker.is_killed = TRUE;
        world->worker.ends_usec = later(world, 50);
        break;
    case ACTION_ROLLBACK:
        check_rollback(world, action);
        start_worker(world, action);
        break;
    case ACTION_VERIFY:
        push(world, UNPLUG_VERIFIED, action->job, 0);
        break;
    case ACTION_TIMER:
        CHECK(world, action->at_usec != world->timer_usec, "the same timer again");
        world->timer_usec = action->at_usec;
        break;
    case ACTION_CHANGED:
        check_changed(world, action, *was_journal);
        break;
    case ACTION_STOPPED:
        CHECK(world, world->is_stopping && !world->is_stopped, "stopped, but when?");
        CHECK(world, unplug_machine_is_idle(world->machine), "stopped too early");
        world->is_stopped = TRUE;
        break;
    }
}

static void carry_out_all(World *world, GArray *actions)
{
    gboolean was_journal = FALSE;

    for (guint i = 0; i < actions->len; i++)
        carry_out(world, &g_array_index(actions, UnplugAction, i), &was_journal);
    check_jobs(world);
    check_blocks(world);
    CHECK(world, world->is_stopped || !world->is_stopping ||
          !unplug_machine_is_idle(world->machine), "stopped, but not told");
    n_steps_all++;
    world->n_steps++;
}

static UnplugResult feed(World *world, const UnplugEvent *event, guint64 *job_id)
{
    g_autoptr(GArray) actions = unplug_actions_new();
    UnplugWorld seen = { world->now_usec, available_bytes(world) };
    gboolean must_kill = is_offlining(world) && !world->worker.is_killed &&
                         seen.available_bytes < RESERVE_BYTES;
    UnplugResult result;

    result = unplug_machine_step(world->machine, &seen, event, actions, job_id);
    carry_out_all(world, actions);
    CHECK(world, !must_kill || world->worker.is_killed || !is_offlining(world),
          "the reserve is crossed, and the attempt goes on");
    return result;
}

/* --- answers --- */

static void refuse(GPtrArray *reasons, ReasonCode code, const char *device, guint block)
{
    g_ptr_array_add(reasons, reason_new(code, device, block, 0, "no"));
}

static void feed_checked(World *world, guint64 id)
{
    const UnplugJob *job = unplug_machine_find(world->machine, id);
    g_autoptr(GPtrArray) reasons = reason_list_new();
    char names[2][DEVICE_ID_MAX] = { "", "" };
    JobBlock blocks[2 * SLOT_BLOCKS];
    UnplugEvent event = { .kind = UNPLUG_CHECKED, .job = id };
    guint n_blocks = 0;

    for (guint i = 0; i < job->n_selectors; i++) {
        guint slot = job->selectors[i].slot;

        g_snprintf(names[i], DEVICE_ID_MAX, "slot%u", slot);
        for (guint j = slot * SLOT_BLOCKS; j < (slot + 1) * SLOT_BLOCKS; j++) {
            const Block *block = &world->blocks[j];
            gboolean is_offline = block->truth == TRUTH_OFFLINE;

            if (block->truth == TRUTH_GONE)
                continue;
            if (unplug_machine_owner(world->machine, j, block->inode) != NULL && chance(world, 50))
                refuse(reasons, REASON_ALREADY_PREPARING, names[i], j);
            if (block->truth == TRUTH_ONLINE_KERNEL && !world->is_friendly && chance(world, 50))
                refuse(reasons, REASON_NOT_MOVABLE, names[i], j);
            if (block->truth == TRUTH_CHANGING)
                refuse(reasons, REASON_GOING_OFFLINE, names[i], j);
            blocks[n_blocks++] = (JobBlock){
                .index = j,
                .inode = block->inode,
                .device = i,
                .phase = is_offline ? JOB_BLOCK_WAS_OFFLINE : JOB_BLOCK_ONLINE,
            };
        }
    }
    if (chance(world, 10))
        refuse(reasons, REASON_BALLOON_ACTIVE, NULL, 0);
    event.checked = (UnplugChecked){
        .reasons = reasons,
        .device_ids = (const char(*)[DEVICE_ID_MAX])names,
        .n_devices = job->n_selectors,
        .blocks = blocks,
        .n_blocks = n_blocks,
        .block_size_bytes = BLOCK_BYTES,
        .reserve_bytes = RESERVE_BYTES,
        .default_timeout_ms = 20000,
    };
    feed(world, &event, NULL);
}

static void feed_verified(World *world, guint64 id)
{
    const UnplugJob *job = unplug_machine_find(world->machine, id);
    UnplugEvent event = { .kind = UNPLUG_VERIFIED, .job = id };
    BlockReport reports[2 * SLOT_BLOCKS];

    for (guint i = 0; job != NULL && i < job->blocks->len; i++) {
        if (!world->is_friendly && chance(world, 1))
            continue;
        reports[event.blocks.n_reports++] =
            report_of(world, &g_array_index(job->blocks, JobBlock, i));
    }
    event.blocks.reports = reports;
    feed(world, &event, NULL);
}

static void feed_look(World *world, guint first, guint count)
{
    UnplugEvent event = { .kind = UNPLUG_BLOCKS };
    BlockReport reports[N_BLOCKS];

    for (guint i = 0; i < count; i++) {
        const Block *block = &world->blocks[first + i];
        gboolean is_gone = block->truth == TRUTH_GONE;

        reports[i] = (BlockReport){ .index = first + i,
                                    .inode = is_gone && chance(world, 50) ? 0 : block->inode,
                                    .truth = block->truth };
    }
    event.blocks.reports = reports;
    event.blocks.n_reports = count;
    feed(world, &event, NULL);
    for (guint i = 0; i < count; i++) {
        const UnplugJob *job =
            unplug_machine_owner(world->machine, first + i, world->blocks[first + i].inode);

        CHECK(world, job == NULL || job->state != JOB_READY || reports[i].truth == TRUTH_OFFLINE ||
              reports[i].truth == TRUTH_GONE, "ready although block %u came back", first + i);
    }
}

static void answer(World *world)
{
    g_autofree Pending *pending = g_queue_pop_head(&world->pending);
    UnplugEvent event = { .kind = UNPLUG_JOURNALED };

    switch (pending->kind) {
    case UNPLUG_CHECKED:
        if (unplug_machine_find(world->machine, pending->job) != NULL)
            feed_checked(world, pending->job);
        break;
    case UNPLUG_VERIFIED:
        feed_verified(world, pending->job);
        break;
    case UNPLUG_BLOCKS:
        feed_look(world, pending->first, pending->count);
        break;
    default:
        event.journaled.error = pending->error;
        feed(world, &event, NULL);
        break;
    }
}

/* --- what clients, time and bad luck do --- */

static void submit(World *world)
{
    static const guint64 timeouts_ms[] = { 0, 800, 6000, 30000, G_MAXUINT64 };
    static const guint64 leases_ms[] = { 0, 500, 5000, 60000, G_MAXUINT64 };
    static const char *const keys[] = { NULL, NULL, NULL, "a", "b" };
    DeviceSelector selectors[2] = { { .kind = SELECT_SLOT }, { .kind = SELECT_SLOT } };
    UnplugEvent event = { .kind = UNPLUG_SUBMIT };
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
    };
    result = feed(world, &event, &id);
    if (world->is_stopping)
        CHECK(world, result == UNPLUG_STOPPING, "a job after stop");
    else if (result == UNPLUG_OK)
        CHECK(world, id == next_id || (event.submit.key != NULL && id < next_id), "what id?");
}

static void cancel(World *world)
{
    guint64 next_id = unplug_machine_next_job_id(world->machine);
    UnplugEvent event = { .kind = UNPLUG_CANCEL };

    event.job = next_id - pick(world, MIN(next_id, 5));
    CHECK(world, (unplug_machine_find(world->machine, event.job) == NULL) ==
          (feed(world, &event, NULL) == UNPLUG_NO_SUCH_JOB), "cancel of no job");
}

static void end_work(World *world)
{
    BlockReport reports[N_BLOCKS];
    UnplugEvent event = { .kind = UNPLUG_WORKER_DONE, .job = world->worker.job };

    event.blocks.barrier_error = chance(world, 2) ? EIO : 0;
    event.blocks.n_reports = end_worker(world, reports);
    event.blocks.reports = reports;
    feed(world, &event, NULL);
}

static void tick(World *world)
{
    UnplugEvent event = { .kind = UNPLUG_TICK };

    world->timer_usec = 0;
    feed(world, &event, NULL);
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
    if (world->timer_usec != 0)
        next_usec = world->is_friendly ? world->timer_usec : MIN(next_usec, world->timer_usec);
    is_worker_next = world->worker.n_blocks > 0 && world->worker.ends_usec <= next_usec;
    if (is_worker_next)
        next_usec = world->worker.ends_usec;
    world->now_usec = MAX(next_usec, world->now_usec);
    if (chance(world, 10) && !world->is_friendly)
        world->now_usec += pick(world, 30000);
    settle(world);
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
    }
}

static void crash(World *world)
{
    g_autoptr(GArray) actions = unplug_actions_new();
    UnplugWorld seen;
    BlockReport reports[N_BLOCKS];

    n_crashes++;
    if (world->worker.n_blocks > 0) {
        world->worker.is_killed = world->worker.kind == ACTION_OFFLINE;
        end_worker(world, reports);
    }
    g_queue_clear_full(&world->pending, g_free);
    unplug_machine_free(world->machine);
    world->machine = unplug_machine_new(chance(world, 50) ? 1 : world->journal_next_id);
    world->timer_usec = 0;
    for (guint i = 0; i < world->journal->len; i++) {
        const UnplugJob *job = g_ptr_array_index(world->journal, i);

        CHECK(world, unplug_machine_restore(world->machine, job),
              "job %" G_GUINT64_FORMAT " cannot be restored", job->id);
        CHECK(world, !unplug_machine_restore(world->machine, job), "restored twice");
    }
    CHECK(world, world->journal->len == 0 ||
          unplug_machine_next_job_id(world->machine) == world->journal_next_id, "ids repeat");
    watch_restored(world);
    world->now_usec += pick(world, 3000000);
    settle(world);
    seen = (UnplugWorld){ world->now_usec, available_bytes(world) };
    unplug_machine_resume(world->machine, &seen, actions);
    carry_out_all(world, actions);
}

static void stop(World *world)
{
    UnplugEvent event = { .kind = UNPLUG_STOP };

    world->is_stopping = TRUE;
    feed(world, &event, NULL);
}

static void disturb(World *world)
{
    guint slot = pick(world, N_SLOTS);
    guint index = pick(world, N_BLOCKS);

    switch (pick(world, 9)) {
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
    else if (dice < 292 && !world->is_stopping)
        crash(world);
    else if (dice < 293 && !world->is_stopping)
        stop(world);
    else
        pass_time(world);
}

/* From here on nothing goes wrong any more, so every job must come to its end. */
static void make_friendly(World *world)
{
    world->is_friendly = TRUE;
    world->hog_bytes = 0;
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

static void play(guint32 seed)
{
    World world = { .seed = seed, .now_usec = 1 + seed % 1000, .next_inode = 100 };

    world.rand = g_rand_new_with_seed(seed);
    world.machine = unplug_machine_new(1);
    world.states = g_hash_table_new(NULL, NULL);
    world.journal = g_ptr_array_new_with_free_func((GDestroyNotify)unplug_job_free);
    world.journal_next_id = 1;
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
    g_ptr_array_unref(world.journal);
    g_rand_free(world.rand);
}

static guint32 first_seed = 1;
static guint32 n_seeds = N_SEEDS;

static void test_promises(void)
{
    for (guint32 i = 0; i < n_seeds; i++)
        play(first_seed + i);
    g_test_message("%u seeds, %" G_GUINT64_FORMAT " steps, %" G_GUINT64_FORMAT " crashes", n_seeds,
                   n_steps_all, n_crashes);
    for (guint from = 0; from <= JOB_EXPIRED; from++) {
        for (guint to = 0; to <= JOB_EXPIRED; to++) {
            if (!allowed[from][to])
                continue;
            g_test_message("%s -> %s: %" G_GUINT64_FORMAT, job_state_name(from),
                           job_state_name(to), transitions[from][to]);
            if (n_seeds == N_SEEDS)
                g_assert_cmpuint(transitions[from][to], >, 0);
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
