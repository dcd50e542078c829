/*
 * Rolling back: what a job took offline is brought online again as movable, until nothing is left.
 *
 * It is never given up while the kernel refuses: the job stays `rolling-back` and says which blocks
 * are missing. It never onlines what the job did not offline, and never starts beside an attempt.
 */
#include "decide/unplug-private.h"

static void start_rollback(Step *step, Job *job)
{
    guint n_blocks = partial_count_back(job);
    UnplugAction *action = step_add_action(step, ACTION_ROLLBACK, job);

    action->barrier = TRUE;
    action->blocks = g_new(JobBlock, n_blocks);
    for (guint i = 0; i < job->pub.blocks->len; i++) {
        if (job_block(job, i)->phase == JOB_BLOCK_OFFLINED && !partial_is_kept(job, i))
            action->blocks[action->n_blocks++] = *job_block(job, i);
    }
    step->machine->worker = (Worker){.kind = WORKER_ROLLBACK, .job = job->pub.id};
}

/* What JOB, some of whose blocks are not back yet, waits for. */
static HeldBy held_by(const Step *step, const Job *job)
{
    const Worker *worker = &step->machine->worker;

    if (step->world.is_worker_away)
        return HELD_BY_WRITE;
    if (worker->kind != WORKER_IDLE && worker->job != job->pub.id)
        return HELD_BY_JOB;
    if (worker->kind == WORKER_OFFLINE)
        return HELD_BY_ATTEMPT;
    return job->quiet_usec != 0 ? HELD_BY_ONLINER : HELD_BY_KERNEL;
}

/* A rollback may stand behind an eject, in the kernel, or behind another's write, for any time. */
static void tell_if_slow(Step *step, Job *job)
{
    HeldBy by = held_by(step, job);
    guint64 by_job = by == HELD_BY_JOB ? step->machine->worker.job : 0;
    gboolean is_told = job->tell_usec == 0;

    if (is_told ? by == job->held_by && by_job == job->held_by_job
                : step->world.now_usec < job->tell_usec)
        return;
    if (is_told && job->held_by != HELD_BY_NOTHING && step->machine->worker.kind == WORKER_IDLE)
        return; /* between two tries: what the last came to is what is told */
    job->tell_usec = 0;
    job->held_by = by;
    job->held_by_job = by_job;
    reasons_set_held(job, by, by_job, 0);
}

/* Of a job no block of which is known to be offline, one counts as tried. Writing to it waits for
 * the kernel's hotplug lock, and so for whoever may still take another one offline. */
static void claim_one(Job *job)
{
    if (partial_count_back(job) > 0)
        return;
    for (guint i = 0; i < job->pub.blocks->len; i++) {
        if (job_block(job, i)->phase != JOB_BLOCK_ONLINE || partial_is_kept(job, i))
            continue;
        job_block(job, i)->phase = JOB_BLOCK_OFFLINED;
        return;
    }
}

/* What is due for JOB, which is rolling back. TRUE if something was done. */
gboolean rollback_run(Step *step, Job *job)
{
    Worker *worker = &step->machine->worker;

    if (job->is_haunted && job->verify == VERIFY_NONE)
        claim_one(job);
    if (partial_count_back(job) > 0)
        tell_if_slow(step, job);
    else if (step->world.now_usec >= job->tell_usec)
        job->tell_usec = 0; /* it waits for a look, or for its attempt on a block that is back */
    if (job->verify != VERIFY_NONE || (worker->kind != WORKER_IDLE && worker->job == job->pub.id))
        return FALSE;
    if (partial_count_back(job) == 0) {
        gboolean is_gone = job_count(job, JOB_BLOCK_GONE) == job->pub.blocks->len;

        if (!is_gone && !pools_run(step, job))
            return FALSE;
        reasons_drop_held(job);
        if (job->pub.outcome == JOB_OFFLINING && !is_gone) {
            partial_drop(job);
            if (job->pub.ask_end_usec == 0) /* applications have heard that it begins */
                job->pub.ask_end_usec = step->world.now_usec;
            offline_enter(
                step, job,
                MAX(job->pub.deadline_usec, step->world.now_usec + UNPLUG_REOFFLINE_USEC));
            return TRUE;
        }
        job_enter(step, job, is_gone ? JOB_UNPLUGGED : job->pub.outcome);
        return TRUE;
    }
    if (step->world.now_usec < job->retry_usec)
        return FALSE;
    if (worker->kind != WORKER_IDLE) {
        step_yield(step);
        return FALSE;
    }
    job->quiet_usec = 0;
    start_rollback(step, job);
    return TRUE;
}

/* The worker has tried to bring JOB's blocks back. What it does not mention is still offline. */
void rollback_worker_done(Step *step, Job *job, const UnplugEvent *event)
{
    guint n_before = partial_count_back(job);
    guint n_left;
    int error = event->blocks.barrier_error;
    gboolean has_passed = FALSE;

    step->machine->worker = (Worker){.kind = WORKER_IDLE};
    for (guint i = 0; i < event->blocks.n_reports; i++) {
        const BlockReport *report = &event->blocks.reports[i];
        guint position;

        has_passed |= report->truth != TRUTH_GONE;
        if (!job_find_block(job, report->index, &position))
            continue;
        if (job_block(job, position)->inode != report->inode ||
            job_block(job, position)->phase != JOB_BLOCK_OFFLINED)
            continue;
        if (report->truth == TRUTH_GONE)
            job_block(job, position)->phase = JOB_BLOCK_GONE;
        else if (report->truth == TRUTH_ONLINE_MOVABLE || report->truth == TRUTH_ONLINE_KERNEL)
            rollback_block_back(job, position, report->truth);
        else if (error == 0)
            error = report->error;
    }
    if (job->is_haunted && has_passed && event->blocks.attempt.end == ATTEMPT_OVER) {
        job->is_haunted = FALSE;
        job_ask_verify(step, job, VERIFY_RESTORE);
    }
    n_left = partial_count_back(job);
    if (n_left == 0) {
        if (job->is_haunted)
            job_pause(step, job, UNPLUG_ROLLBACK_PAUSE_MAX_USEC);
        return;
    }
    if (n_left < n_before)
        job->pause_usec = 0;
    job_pause(step, job, UNPLUG_ROLLBACK_PAUSE_MAX_USEC);
    job->tell_usec = 0;
    job->held_by =
        event->blocks.attempt.end == ATTEMPT_NO_WORKER ? HELD_BY_NO_WORKER : HELD_BY_KERNEL;
    job->held_by_job = 0;
    reasons_set_held(job, job->held_by, 0, error);
}

/* JOB, which gives a part back, gives back everything, and ends as OUTCOME. */
static void rollback_enter_all(Step *step, Job *job, JobState outcome)
{
    job->pub.outcome = outcome;
    job->pool_tries = 0;
    if (job->tell_usec == 0)
        job->tell_usec = step->world.now_usec;
    step->needs_journal = TRUE;
}

/* CANCEL. A job that gives everything back goes on and ends as what made it roll back. */
void rollback_cancel(Step *step, Job *job)
{
    switch (job->pub.state) {
    case JOB_QUEUED:
    case JOB_CHECKING:
    case JOB_ASKING:
        job_enter(step, job, JOB_CANCELLED);
        break;
    case JOB_OFFLINING:
    case JOB_READY:
        rollback_enter(step, job, JOB_CANCELLED);
        break;
    case JOB_ROLLING_BACK:
        if (job->pub.outcome == JOB_OFFLINING)
            rollback_enter_all(step, job, JOB_CANCELLED);
        break;
    default:
        break;
    }
}

/* STOP: no job goes on, and no new one is taken. */
void rollback_stop(Step *step)
{
    step->machine->is_stopping = TRUE;
    for (guint i = 0; i < step->machine->jobs->len; i++) {
        Job *job = machine_job(step->machine, i);

        switch (job->pub.state) {
        case JOB_QUEUED:
        case JOB_CHECKING:
        case JOB_ASKING:
            reasons_add_stopped(job);
            job_enter(step, job, JOB_FAILED);
            break;
        case JOB_OFFLINING:
        case JOB_READY:
            reasons_add_stopped(job);
            rollback_enter(step, job, JOB_FAILED);
            break;
        case JOB_ROLLING_BACK:
            if (job->pub.outcome != JOB_OFFLINING)
                break;
            reasons_add_stopped(job);
            rollback_enter_all(step, job, JOB_FAILED);
            break;
        default:
            break;
        }
    }
}
