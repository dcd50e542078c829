/*
 * The huge pages that a job takes from the pools as its blocks go offline, and how they come back.
 *
 * What it took is what the pools lost while its own writes were under way; whatever else changes a
 * pool is somebody's wish. So a job that gives its blocks back asks for no more than it took, and
 * for no more than makes the pool as large as it was before.
 */
#include "decide/unplug-private.h"

static JobPool *pool_at(const Job *job, guint i)
{
    return &g_array_index(job->pub.pools, JobPool, i);
}

static gint64 count_now(const GArray *pools, const JobPool *of)
{
    for (guint i = 0; i < pools->len; i++) {
        const NodePool *pool = &g_array_index(pools, NodePool, i);

        if (pool->node == of->node && pool->page_bytes == of->page_bytes)
            return (gint64)MIN(pool->count, G_MAXINT32);
    }
    return 0; /* with its last memory a node may lose the directory too */
}

/* What the other jobs have taken from POOL. */
static gint64 taken_by_others(const UnplugMachine *machine, const Job *job, const NodePool *pool)
{
    gint64 taken = 0;

    for (guint i = 0; i < machine->jobs->len; i++) {
        const Job *other = machine_job(machine, i);

        if (other == job || job_state_is_ended(other->pub.state))
            continue;
        for (guint j = 0; j < other->pub.pools->len; j++) {
            const JobPool *theirs = pool_at(other, j);
            if (theirs->node == pool->node && theirs->page_bytes == pool->page_bytes)
                taken += MAX(theirs->taken, 0);
        }
    }
    return taken;
}

/* JOB is about to take its first block. */
void pools_begin(Step *step, Job *job)
{
    const GArray *pools = step->world.pools;

    g_array_set_size(job->pub.pools, 0);
    for (guint i = 0; pools != NULL && i < pools->len; i++) {
        const NodePool *pool = &g_array_index(pools, NodePool, i);
        JobPool entry = {.node = pool->node, .page_bytes = pool->page_bytes};

        entry.last = count_now(pools, &entry);
        entry.before = entry.last + taken_by_others(step->machine, job, pool);
        g_array_append_val(job->pub.pools, entry);
    }
}

/* A step begins: what has changed since the last one is the doing of the job that the worker is at.
 * After a restart of the daemon that was a job that offlined or gave back when it ended; of two
 * that did, each is thought to have done it all. */
void pools_see(Step *step)
{
    const Worker *worker = &step->machine->worker;

    for (guint i = 0; step->world.pools != NULL && i < step->machine->jobs->len; i++) {
        const Job *job = machine_job(step->machine, i);
        gboolean is_its =
            worker->kind == WORKER_IDLE ? job->had_worker : worker->job == job->pub.id;

        for (guint j = 0; !job_state_is_ended(job->pub.state) && j < job->pub.pools->len; j++) {
            JobPool *pool = pool_at(job, j);
            gint64 now = count_now(step->world.pools, pool);

            if (is_its)
                pool->taken += pool->last - now;
            pool->last = now;
        }
    }
}

/* How many pages of pool I of JOB are to come back. Over all nodes no more than are missing: pages
 * in use that moved from one node to another are not. */
static guint64 pools_lost(const Job *job, guint i)
{
    const JobPool *pool = pool_at(job, i);
    gint64 taken = 0, missing = 0, nodes_before = 0;

    for (guint j = 0; j < job->pub.pools->len; j++) {
        const JobPool *other = pool_at(job, j);

        if (other->page_bytes != pool->page_bytes)
            continue;
        taken += other->taken - other->kept;
        missing += other->before - other->last;
        nodes_before += j < i ? MAX(other->taken - other->kept, 0) : 0;
    }
    return (guint64)CLAMP(MIN(taken, missing) - nodes_before, 0, MAX(pool->taken - pool->kept, 0));
}

static guint64 lost_of_all(const Job *job)
{
    guint64 n_lost = 0;

    for (guint i = 0; i < job->pub.pools->len; i++)
        n_lost += pools_lost(job, i);
    return n_lost;
}

/* Blocks that were unplugged have taken their share of the pages with them, and those of devices
 * that go keep theirs for now. Which block a page was in is
 * not known, so that the share is that of the blocks. A block takes its share once, however often
 * this is asked. */
static void let_go(Job *job)
{
    guint n_gone_now = job_count(job, JOB_BLOCK_GONE);
    gint64 n_gone = n_gone_now - MIN(job->n_let_go, n_gone_now);
    gint64 n_kept = 0, n_back = 0;
    guint64 n_lost;

    for (guint i = 0; i < job->pub.blocks->len; i++) {
        gboolean is_kept = partial_is_kept(job, i);

        n_kept += is_kept && job_block(job, i)->phase == JOB_BLOCK_OFFLINED;
        n_back += !is_kept && job_block(job, i)->phase == JOB_BLOCK_ONLINE;
    }
    for (guint i = 0; i < job->pub.pools->len; i++)
        pool_at(job, i)->kept = 0;
    job->n_let_go = n_gone_now;
    n_lost = lost_of_all(job);
    for (guint i = 0; n_lost > 0 && i < job->pub.pools->len; i++) {
        JobPool *pool = pool_at(job, i);

        pool->taken -= MAX(pool->taken, 0) * n_gone / (n_gone + n_kept + MAX(n_back, 1));
        pool->kept = MAX(pool->taken, 0) * n_kept / (n_kept + MAX(n_back, 1));
    }
    if (n_gone > 0 && n_lost > 0)
        reasons_add_pools_gone(job, n_lost * (guint64)n_gone / (guint64)(n_gone + n_kept + n_back));
}

static void tell(Job *job, gboolean is_final)
{
    reasons_drop_pools(job);
    for (guint i = 0; i < job->pub.pools->len; i++) {
        guint64 n_lost = pools_lost(job, i);

        if (n_lost > 0)
            reasons_add_pool(job, pool_at(job, i), n_lost, is_final);
    }
}

static void start(Step *step, Job *job)
{
    UnplugAction *action = step_add_action(step, ACTION_POOLS, job);

    action->pools = g_array_new(FALSE, FALSE, sizeof(NodePool));
    for (guint i = 0; i < job->pub.pools->len; i++) {
        const JobPool *pool = pool_at(job, i);
        NodePool wanted = {.node = pool->node,
                           .page_bytes = pool->page_bytes,
                           .count = (guint64)pool->last + pools_lost(job, i)};

        if (pools_lost(job, i) > 0)
            g_array_append_val(action->pools, wanted);
    }
    job->pool_tries++;
    step->machine->worker = (Worker){.kind = WORKER_POOLS, .job = job->pub.id};
}

/* All blocks of JOB are back, or some are gone. TRUE: so are the huge pages, or those that are not
 * are told; FALSE: not yet. */
gboolean pools_run(Step *step, Job *job)
{
    if (job->pool_tries == 0)
        let_go(job);
    if (lost_of_all(job) == 0 || job->pool_tries == UNPLUG_POOL_TRIES_MAX) {
        tell(job, TRUE);
        return TRUE;
    }
    tell(job, FALSE);
    if (step->world.now_usec < job->retry_usec)
        return FALSE;
    if (step->machine->worker.kind == WORKER_IDLE)
        start(step, job);
    else
        step_yield(step);
    return FALSE;
}

/* A try is over; what came of it pools_see() has seen. */
void pools_worker_done(Step *step, Job *job, const UnplugEvent *event)
{
    step->machine->worker = (Worker){.kind = WORKER_IDLE};
    job->pool_error = event->blocks.barrier_error;
    step->needs_journal = TRUE;
    job_pause(step, job, UNPLUG_PAUSE_MAX_USEC);
}
