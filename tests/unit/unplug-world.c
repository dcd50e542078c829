/*
 * The made-up world.
 */
#include "unplug-world.h"

void broken(const World *world, const char *where, const char *format, ...)
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

gboolean chance(World *world, guint percent)
{
    return g_rand_int_range(world->rand, 0, 100) < (gint32)percent;
}

guint pick(World *world, guint below)
{
    return g_rand_int_range(world->rand, 0, below);
}

gint64 later(World *world, guint max_ms)
{
    return world->now_usec + (1 + pick(world, max_ms)) * USEC_PER_MSEC;
}

guint64 available_bytes(const World *world)
{
    guint64 used_bytes = world->hog_bytes;

    for (guint i = 0; i < N_BLOCKS; i++)
        used_bytes += world->blocks[i].truth == TRUTH_OFFLINE ? BLOCK_BYTES : 0;
    return used_bytes < FREE_BYTES ? FREE_BYTES - used_bytes : 0;
}

guint64 oldest_delay(const World *world)
{
    guint64 oldest = 0;

    for (guint i = 0; i < G_N_ELEMENTS(world->delays); i++) {
        if (world->delays[i] != 0 && (oldest == 0 || world->delays[i] < oldest))
            oldest = world->delays[i];
    }
    return oldest;
}

UnplugWorld what_is_seen(World *world)
{
    return (UnplugWorld){
        .now_usec = world->now_usec,
        .available_bytes = available_bytes(world),
        .pools = world->pools,
        .is_worker_away = !world->is_friendly && chance(world, 2),
        .oldest_delay = oldest_delay(world),
        .last_lock = world->last_lock,
        .is_blocked = world->is_blocked,
    };
}

gboolean is_offlining(const World *world)
{
    return world->worker.n_blocks > 0 && world->worker.kind == ACTION_OFFLINE;
}

gboolean is_at_work(const World *world)
{
    return world->worker.n_blocks > 0 || world->worker.pools != NULL;
}

static gboolean is_in_work(const World *world, guint index)
{
    if (is_offlining(world))
        return world->worker.blocks[world->worker.at].index == index;
    for (guint i = 0; i < world->worker.n_blocks; i++) {
        if (world->worker.blocks[i].index == index)
            return TRUE;
    }
    return FALSE;
}

guint64 *pool_count(World *world, guint i)
{
    return &g_array_index(world->pools, NodePool, i).count;
}

static void owe(World *world, guint64 job, gint64 n_pages)
{
    gpointer key = GSIZE_TO_POINTER(job);
    gint64 owed = (gint64)GPOINTER_TO_SIZE(g_hash_table_lookup(world->owed, key)) + n_pages;

    g_hash_table_insert(world->owed, key, GSIZE_TO_POINTER(MAX(owed, 0)));
}

/* Some of a block's pages are free ones of a pool, and some in use, which move to the other node.
 */
static void take_huge_pages(World *world, guint64 job)
{
    guint i = pick(world, 4);
    guint64 n_free = pick(world, 5);

    n_free = MIN(n_free, *pool_count(world, i));
    *pool_count(world, i) -= n_free;
    owe(world, job, (gint64)n_free);
    if (chance(world, 20) && *pool_count(world, i) > 0) {
        (*pool_count(world, i))--;
        (*pool_count(world, i ^ 1))++;
    }
}

void end_pools(World *world)
{
    GArray *wanted = world->worker.pools;

    for (guint i = 0; i < wanted->len && world->worker.end != ATTEMPT_NO_WORKER; i++) {
        const NodePool *pool = &g_array_index(wanted, NodePool, i);
        guint64 *count = pool_count(world, pool->node + (pool->page_bytes == GIB ? 2 : 0));
        guint64 given = pool->count - MIN(*count, pool->count);

        if (world->is_short && given > 0)
            given = pick(world, (guint)given);
        *count += given;
        owe(world, world->worker.job, -(gint64)given);
    }
    g_clear_pointer(&world->worker.pools, g_array_unref);
}

void push(World *world, UnplugEventKind kind, guint64 job, int error)
{
    Pending *pending = g_new0(Pending, 1);

    pending->kind = kind;
    pending->job = job;
    pending->error = error;
    g_queue_push_tail(&world->pending, pending);
}

void push_look(World *world, guint first, guint count)
{
    push(world, UNPLUG_BLOCKS, 0, 0);
    ((Pending *)g_queue_peek_tail(&world->pending))->first = first;
    ((Pending *)g_queue_peek_tail(&world->pending))->count = count;
}

Mood any_mood(World *world)
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

void plug(World *world, guint slot)
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

void vanish(World *world, guint slot)
{
    guint count = chance(world, 90) ? SLOT_BLOCKS : 1;

    for (guint i = 0; i < count; i++)
        set_truth(world, slot * SLOT_BLOCKS + i, TRUTH_GONE, 0);
    push_look(world, slot * SLOT_BLOCKS, count);
}

void online_elsewhere(World *world, guint index)
{
    if (world->blocks[index].truth != TRUTH_OFFLINE || is_in_work(world, index))
        return;
    set_truth(world, index, any_online(world), 0);
    push_look(world, index, 1);
}

void settle(World *world)
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

/* Nothing moves: the executor ends it, or only the machine does, at the deadline. */
static void stall(World *world)
{
    gboolean is_seen = chance(world, 80);

    world->worker.ends_usec = is_seen ? world->now_usec + ATTEMPT_STALL_USEC : NEVER;
    world->worker.end = is_seen ? ATTEMPT_STALLED : ATTEMPT_OVER;
}

void guard(World *world)
{
    if (!is_offlining(world) || world->worker.is_killed || world->worker.end != ATTEMPT_OVER ||
        available_bytes(world) >= RESERVE_BYTES)
        return;
    world->worker.end = ATTEMPT_LOW_MEMORY;
    world->worker.ends_usec = later(world, 50);
}

void start_offline(World *world)
{
    Block *block = &world->blocks[world->worker.blocks[world->worker.at].index];

    block->before = block->truth;
    world->worker.ends_usec = later(world, 50);
    if (world->worker.at == 0 && !world->is_friendly && chance(world, 3)) {
        world->worker.end = ATTEMPT_NO_WORKER;
        return;
    }
    if (block->truth != TRUTH_ONLINE_MOVABLE && block->truth != TRUTH_ONLINE_KERNEL)
        return;
    if (block->mood == EASY)
        world->worker.ends_usec = later(world, 300);
    else if (block->mood == SLOW)
        world->worker.ends_usec = later(world, 12000);
    else if (block->mood == PINNED)
        stall(world);
    block->settles_usec = 0;
    if (!chance(world, 20)) /* else it waits for the hotplug lock, and reads as before */
        block->truth = TRUTH_CHANGING;
}

gboolean has_ghost(const World *world)
{
    return world->ghost.n_blocks > 0;
}

void make_ghost(World *world)
{
    world->ghost = world->worker;
    world->ghost.blocks[0] = world->worker.blocks[world->worker.at]; /* and it goes no further */
    world->ghost.n_blocks = 1;
    world->ghost.ends_usec = later(world, chance(world, 50) ? 500 : 20000);
    world->worker.n_blocks = 0;
}

void end_ghost(World *world)
{
    const JobBlock *tried = &world->ghost.blocks[0];
    Block *block = &world->blocks[tried->index];

    if (!has_ghost(world) || world->ghost.ends_usec > world->now_usec)
        return;
    world->ghost.n_blocks = 0;
    if (block->inode != tried->inode || block->truth == TRUTH_GONE || block->truth == TRUTH_OFFLINE)
        return;
    if (chance(world, 60))
        set_truth(world, tried->index, TRUTH_OFFLINE, world->ghost.job);
    else
        set_truth(world, tried->index, block->before, 0);
    push_look(world, tried->index, 1);
}

/* The end of an attempt on a block that is still there: its errno. */
static int end_offline(World *world, guint index)
{
    static const int errors[N_MOODS] = {0, 0, EBUSY, 0, EPERM, ENOMEM, EINTR};
    Block *block = &world->blocks[index];
    guint64 job = world->worker.job;
    int error = errors[block->mood];

    if (block->before != TRUTH_ONLINE_MOVABLE && block->before != TRUTH_ONLINE_KERNEL)
        return EINVAL;
    if (world->worker.is_killed && has_ghost(world)) { /* it never had the lock */
        set_truth(world, index, block->before, 0);
        return EINTR;
    }
    if (world->worker.is_killed || world->worker.end != ATTEMPT_OVER) {
        guint luck = pick(world, 100);

        error = luck < 80 ? EINTR : luck < 85 ? ECANCELED : 0;
        if (luck >= 95 && !world->is_friendly) {
            block->truth = TRUTH_CHANGING;
            block->settles_usec = later(world, 3000);
            block->settles_for = chance(world, 50) ? job : 0;
            return EINTR;
        }
    }
    if (error == 0)
        take_huge_pages(world, job);
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

BlockReport report_of(const World *world, const JobBlock *asked)
{
    const Block *block = &world->blocks[asked->index];
    gboolean is_same = block->inode == asked->inode;

    return (BlockReport){
        .index = asked->index, .inode = asked->inode, .truth = is_same ? block->truth : TRUTH_GONE};
}

gboolean go_on(World *world)
{
    Worker *worker = &world->worker;
    int error = ENODEV;

    if (worker->end == ATTEMPT_NO_WORKER)
        return FALSE;
    if (report_of(world, &worker->blocks[worker->at]).truth != TRUTH_GONE)
        error = end_offline(world, worker->blocks[worker->at].index);
    worker->errors[worker->at] = error;
    if (error != 0 || worker->end != ATTEMPT_OVER || worker->is_killed || worker->is_yielding ||
        worker->at + 1 == worker->n_blocks || chance(world, 5)) /* another task waits */
        return FALSE;
    if (available_bytes(world) < BLOCK_BYTES + RESERVE_BYTES) {
        worker->end = ATTEMPT_LOW_MEMORY;
        return FALSE;
    }
    worker->at++;
    start_offline(world);
    return TRUE;
}

guint end_worker(World *world, BlockReport *reports)
{
    Worker *worker = &world->worker;
    guint n_reports = 0;

    for (guint i = 0; i < worker->n_blocks; i++) {
        BlockReport report = report_of(world, &worker->blocks[i]);
        int error = ENODEV;

        if (worker->end == ATTEMPT_NO_WORKER)
            error = EAGAIN;
        else if (worker->kind == ACTION_OFFLINE)
            error = worker->errors[i];
        else if (report.truth != TRUTH_GONE)
            error = end_rollback(world, report.index);
        report = report_of(world, &worker->blocks[i]);
        report.error = error;
        if (world->is_friendly || !chance(world, 2))
            reports[n_reports++] = report;
    }
    worker->n_blocks = 0;
    return n_reports;
}
