/*
 * How a job comes into offlining, ready and rolling-back, from whichever state it was in.
 *
 * The states' own files call down here, and never each other.
 */
#include "decide/unplug-private.h"

#include "system/units.h"

/* JOB takes its blocks, or takes them again, until DEADLINE_USEC. */
void offline_enter(Step *step, Job *job, gint64 deadline_usec)
{
    for (guint i = 0; i < job->tracks->len; i++) {
        job_track(job, i)->last_error = 0; /* of what a ready job was before, nothing counts */
        job_track(job, i)->n_failed = 0;
        job_track(job, i)->no_worker_error = 0;
        job_track(job, i)->last = (AttemptOutcome){.end = ATTEMPT_OVER};
    }
    job->pub.deadline_usec = deadline_usec;
    job->next_block = 0;
    job->pause_usec = 0;
    job->retry_usec = 0;
    job->gate_error = 0;
    job_enter(step, job, JOB_OFFLINING);
    job_wait_for_journal(step, job);
}

/* JOB was just seen with every block offline or gone. A lease that runs already goes on: a block
 * was taken back in between. */
void ready_enter(Step *step, Job *job)
{
    if (job->pub.lease_end_usec == 0)
        job->pub.lease_end_usec = step->world.now_usec + (gint64)job->pub.lease_ms * USEC_PER_MSEC;
    job_enter(step, job, JOB_READY);
}

/* The lease begins anew, with LEASE_MS. */
void ready_renew(Step *step, Job *job, guint64 lease_ms)
{
    job->pub.lease_ms = MIN(lease_ms, UNPLUG_LEASE_MAX_MS);
    job->pub.lease_end_usec = step->world.now_usec + (gint64)job->pub.lease_ms * USEC_PER_MSEC;
    step->needs_journal = TRUE;
}

/* JOB gives everything back, and then ends as OUTCOME (unless all of it turns out to be gone). An
 * attempt that is under way is told to end. */
void rollback_enter(Step *step, Job *job, JobState outcome)
{
    if (machine_worker_is(step->machine, WORKER_OFFLINE, job))
        step_kill_attempt(step);
    if (job->pub.state == JOB_OFFLINING && outcome == JOB_FAILED)
        reasons_add_vanished(job);
    if (job->verify == VERIFY_ASKED)
        job->verify = VERIFY_NONE;
    job->journal_wait = 0;
    job->pause_usec = 0;
    job->retry_usec = 0;
    job->quiet_usec = 0;
    job->pool_tries = 0;
    job->tell_usec = step->world.now_usec + UNPLUG_ROLLBACK_TELL_USEC;
    job->pub.outcome = outcome;
    job_enter(step, job, JOB_ROLLING_BACK);
}

/* The same, because something else brings JOB's blocks online: what it is about to write to must
 * not be online before, or its write fails. */
void rollback_enter_onlined(Step *step, Job *job, JobState outcome)
{
    reasons_add_onlined(job);
    rollback_enter(step, job, outcome);
    job->quiet_usec = step->world.now_usec + UNPLUG_QUIET_MAX_USEC;
    job->retry_usec = step->world.now_usec + UNPLUG_QUIET_USEC;
}

/* The block at POSITION, not gone, reads online. While the job gives blocks back, a kernel zone is
 * worth a reason: the block is back, but it cannot be unplugged as it is. */
void rollback_block_back(Job *job, guint position, BlockTruth truth)
{
    JobBlock *block = job_block(job, position);

    if (job->pub.state == JOB_ROLLING_BACK && block->phase == JOB_BLOCK_OFFLINED &&
        truth == TRUTH_ONLINE_KERNEL)
        reasons_add_kernel_zone(job, position);
    block->phase = JOB_BLOCK_ONLINE;
}
