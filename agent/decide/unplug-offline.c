/*
 * Offlining: one block at a time, in short attempts, until all are offline or the deadline passes.
 *
 * The worker's errno is hardly more than a sentence: what counts is what sysfs said afterwards. An
 * attempt that was begun is waited for, always, also after it was told to end; and none begins
 * while another job gives blocks back, before the journal is written, or below the reserve.
 */
#include "decide/unplug-private.h"

#include <errno.h>

/* JOB takes its blocks, or takes them again, until DEADLINE_USEC. */
void offline_enter(Step *step, Job *job, gint64 deadline_usec)
{
    for (guint i = 0; i < job->tracks->len; i++) {
        job_track(job, i)->last_error = 0; /* of what a ready job was before, nothing counts */
        job_track(job, i)->n_failed = 0;
    }
    job->pub.deadline_usec = deadline_usec;
    job->next_block = 0;
    job->pause_usec = 0;
    job->retry_usec = 0;
    job_enter(step, job, JOB_OFFLINING);
    job_wait_for_journal(step, job);
}

/* Looks at the attempt that is under way: is there memory left, and time? */
void offline_guard(Step *step)
{
    Worker *worker = &step->machine->worker;
    gint64 now_usec = step->world.now_usec;
    Job *job;

    if (worker->kind != WORKER_OFFLINE || worker->is_killed)
        return;
    if (now_usec >= worker->guard_usec)
        worker->guard_usec = now_usec + UNPLUG_GUARD_USEC;
    job = machine_find(step->machine, worker->job);
    if (step->world.available_bytes < job->pub.reserve_bytes) {
        reasons_add_low_during(job, worker->block, step->world.available_bytes);
        rollback_enter(step, job, JOB_FAILED);
    } else if (now_usec >= MIN(worker->attempt_end_usec, job->pub.deadline_usec)) {
        step_kill_attempt(step);
    }
}

/* The next block that is still online, those not tried for longest first. */
static gboolean find_online_block(const Job *job, guint *position)
{
    guint n_blocks = job->pub.blocks->len;

    for (guint i = 0; i < n_blocks; i++) {
        guint candidate = (job->next_block + i) % n_blocks;

        if (job_block(job, candidate)->phase == JOB_BLOCK_ONLINE) {
            *position = candidate;
            return TRUE;
        }
    }
    return FALSE;
}

static void start_attempt(Step *step, Job *job, guint position)
{
    gint64 now_usec = step->world.now_usec;
    JobBlock *block = job_block(job, position);
    UnplugAction *action;

    block->phase = JOB_BLOCK_OFFLINED; /* the intent: it may work although we never hear of it */
    job->pub.attempt_running = TRUE;
    step->machine->worker = (Worker){
        .kind = WORKER_OFFLINE,
        .job = job->pub.id,
        .block = position,
        .attempt_end_usec = now_usec + UNPLUG_ATTEMPT_MAX_USEC,
        .guard_usec = now_usec + UNPLUG_GUARD_USEC,
    };
    action = step_add_action(step, ACTION_OFFLINE, job);
    action->blocks = g_new(JobBlock, 1);
    action->blocks[0] = *block;
    action->n_blocks = 1;
}

/* The deadline has passed. Where a ready job had five seconds to take a block back, what matters is
 * who brought it online; and if its lease ended meanwhile, it has expired. */
static void give_up(Step *step, Job *job)
{
    gint64 lease_end_usec = job->pub.lease_end_usec;
    gboolean is_expired = lease_end_usec != 0 && step->world.now_usec >= lease_end_usec;

    if (lease_end_usec != 0)
        reasons_add_onlined(job);
    else
        reasons_add_timeout(job);
    rollback_enter(step, job, is_expired ? JOB_EXPIRED : JOB_FAILED);
}

static gboolean is_enough_memory(const Step *step, const Job *job)
{
    guint64 available_bytes = step->world.available_bytes;

    return available_bytes >= job->pub.block_size_bytes &&
           available_bytes - job->pub.block_size_bytes >= job->pub.reserve_bytes;
}

/* What is due for JOB, which is offlining. TRUE if something was done. */
gboolean offline_run(Step *step, Job *job)
{
    gint64 now_usec = step->world.now_usec;
    gboolean is_pausing = now_usec < job->retry_usec;
    guint position;

    if (machine_worker_is(step->machine, WORKER_OFFLINE, job) || job->verify != VERIFY_NONE)
        return FALSE;
    if (!find_online_block(job, &position)) {
        if (!is_pausing && job->journal_wait == 0) {
            job_ask_verify(step, job, VERIFY_ASKED);
            return TRUE;
        }
        if (now_usec >= job->pub.deadline_usec) {
            give_up(step, job);
            return TRUE;
        }
        return FALSE;
    }
    if (now_usec >= job->pub.deadline_usec) {
        give_up(step, job);
        return TRUE;
    }
    if (is_pausing || job->journal_wait != 0 || step->machine->worker.kind != WORKER_IDLE ||
        machine_count(step->machine, JOB_ROLLING_BACK) > 0)
        return FALSE;
    if (!is_enough_memory(step, job)) {
        reasons_add_low_before(job, position, step->world.available_bytes);
        rollback_enter(step, job, JOB_FAILED);
        return TRUE;
    }
    start_attempt(step, job, position);
    return TRUE;
}

/* When something will be due for JOB, which is offlining; 0: only an event brings it further. */
gint64 offline_next_timer(const UnplugMachine *machine, const Job *job)
{
    const Worker *worker = &machine->worker;
    gint64 deadline_usec = job->pub.deadline_usec;
    gboolean can_retry = job->journal_wait == 0;
    guint position;

    if (machine_worker_is(machine, WORKER_OFFLINE, job))
        return worker->is_killed
                   ? 0
                   : MIN(MIN(worker->guard_usec, worker->attempt_end_usec), deadline_usec);
    if (job->verify != VERIFY_NONE)
        return 0;
    if (find_online_block(job, &position))
        can_retry = can_retry && worker->kind == WORKER_IDLE &&
                    machine_count(machine, JOB_ROLLING_BACK) == 0;
    return can_retry && job->retry_usec != 0 ? MIN(job->retry_usec, deadline_usec) : deadline_usec;
}

/* The journal that was asked for first is written, or could not be. */
void offline_journaled(Step *step, int error)
{
    UnplugMachine *machine = step->machine;

    if (machine->journals_done == machine->journals_asked)
        return;
    machine->journals_done++;
    for (guint i = 0; i < machine->jobs->len; i++) {
        Job *job = machine_job(machine, i);

        if (job->journal_wait == 0 || job->journal_wait > machine->journals_done)
            continue;
        job->journal_wait = 0;
        if (error == 0 || job->pub.state != JOB_OFFLINING)
            continue;
        reasons_add_no_journal(job, error);
        rollback_enter(step, job, JOB_FAILED);
    }
}

/* Errors that no second try can cure: somebody with a say refuses, or we may not write at all. */
static gboolean is_final(int error)
{
    return error == EPERM || error == EACCES || error == EROFS;
}

static void note_failure(Step *step, Job *job, guint position, int error, gboolean was_killed,
                         const BlockContents *contents)
{
    BlockTrack *track = job_track(job, position);

    job_pause(step, job, UNPLUG_PAUSE_MAX_USEC);
    job->next_block = position + 1;
    if (error == ECANCELED)
        return; /* ended before it was begun */
    track->last_error = error;
    track->contents = contents != NULL ? *contents : (BlockContents){.hugepages_free = 0};
    track->was_killed = was_killed;
    track->n_failed++;
}

/* The attempt is over, whether by itself or because it was killed. JOB may be rolling back. */
void offline_worker_done(Step *step, Job *job, const BlockReport *reports, guint n_reports,
                         const BlockContents *contents)
{
    guint position = step->machine->worker.block;
    gboolean was_killed = step->machine->worker.is_killed;
    JobBlock *block = job_block(job, position);
    BlockReport report = {.truth = TRUTH_CHANGING};

    step->machine->worker = (Worker){.kind = WORKER_IDLE};
    job->pub.attempt_running = FALSE;
    for (guint i = 0; i < n_reports; i++) {
        if (reports[i].index == block->index && reports[i].inode == block->inode)
            report = reports[i];
    }
    job_track(job, position)->is_changing = report.truth == TRUTH_CHANGING;
    switch (report.truth) {
    case TRUTH_GONE:
        block->phase = JOB_BLOCK_GONE;
        return;
    case TRUTH_OFFLINE:
        block->phase = JOB_BLOCK_OFFLINED;
        job->pause_usec = 0;
        return;
    case TRUTH_CHANGING: /* stays OFFLINED until a look says more */
        break;
    case TRUTH_ONLINE_MOVABLE:
    case TRUTH_ONLINE_KERNEL:
        rollback_block_back(job, position, report.truth);
        break;
    }
    if (job->pub.state == JOB_ROLLING_BACK)
        return;
    note_failure(step, job, position, report.error, was_killed, contents);
    if (block->phase == JOB_BLOCK_ONLINE && is_final(report.error)) {
        reasons_add_kept(job, position);
        rollback_enter(step, job, JOB_FAILED);
    }
}
