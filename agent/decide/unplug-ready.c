/*
 * Ready, and what sysfs says of the blocks of a job: a look that was asked for, or an uevent's.
 *
 * Ready is a promise about now. So a job becomes ready by a look at all of its blocks only, and a
 * block that reads anything but offline or gone takes it out of ready at once.
 */
#include "decide/unplug-private.h"

#include "system/units.h"

/* What is due for JOB, which is ready. TRUE if something was done. */
gboolean ready_run(Step *step, Job *job)
{
    if (step->world.now_usec < job->pub.lease_end_usec)
        return FALSE;
    rollback_enter(step, job, JOB_EXPIRED);
    return TRUE;
}

static gboolean is_offline_or_gone(const Job *job)
{
    for (guint i = 0; i < job->pub.blocks->len; i++) {
        if (job_block(job, i)->phase == JOB_BLOCK_ONLINE || job_track(job, i)->is_changing)
            return FALSE;
    }
    return TRUE;
}

static gboolean is_gone(const Job *job)
{
    return job_count(job, JOB_BLOCK_GONE) == job->pub.blocks->len;
}

/* Something was learnt of the blocks of JOB, which is ready. */
static void look_while_ready(Step *step, Job *job)
{
    if (is_gone(job)) {
        job_enter(step, job, JOB_UNPLUGGED);
    } else if (is_offline_or_gone(job)) {
        return;
    } else if (!job->pub.was_reoffline && job_count(job, JOB_BLOCK_ONLINE) < 2) {
        job->pub.was_reoffline = TRUE;
        offline_enter(step, job,
                      MIN(step->world.now_usec + UNPLUG_REOFFLINE_USEC, job->pub.lease_end_usec));
    } else {
        rollback_enter_onlined(step, job, JOB_FAILED);
    }
}

/* A block of JOB has come back online that the job had offline. Of a job that was ready before, the
 * second one tells that somebody brings the device back, and not a rule one block. */
static void came_back(Step *step, Job *job)
{
    gint64 now_usec = step->world.now_usec;

    if (job->pub.state == JOB_OFFLINING && job->pub.lease_end_usec != 0)
        rollback_enter_onlined(step, job, JOB_FAILED);
    else if (job->pub.state == JOB_ROLLING_BACK && job->quiet_usec != 0)
        job->retry_usec = MIN(now_usec + UNPLUG_QUIET_USEC, job->quiet_usec);
}

/* One block of JOB, which is under way, as sysfs says. Until a restored job was looked at, a block
 * that the journal has as online may have been taken offline since. */
static void see_block(Step *step, Job *job, guint position, BlockTruth truth)
{
    JobBlock *block = job_block(job, position);
    gboolean is_rolling_back = job->pub.state == JOB_ROLLING_BACK;
    gboolean is_doubtful = job->verify == VERIFY_RESTORE;

    if (block->phase == JOB_BLOCK_GONE)
        return;
    job_track(job, position)->is_changing = truth == TRUTH_CHANGING;
    switch (truth) {
    case TRUTH_GONE:
        block->phase = JOB_BLOCK_GONE;
        job_track(job, position)->is_listed = FALSE;
        break;
    case TRUTH_OFFLINE:
        if (block->phase == JOB_BLOCK_ONLINE && job->pub.state == JOB_ASKING)
            block->phase = JOB_BLOCK_WAS_OFFLINE; /* not by this job, which has not begun */
        else if (block->phase == JOB_BLOCK_ONLINE && (!is_rolling_back || is_doubtful))
            block->phase = JOB_BLOCK_OFFLINED;
        break;
    case TRUTH_CHANGING:
        break;
    case TRUTH_ONLINE_MOVABLE:
    case TRUTH_ONLINE_KERNEL:
        if (block->phase == JOB_BLOCK_WAS_OFFLINE && !is_rolling_back)
            job_wait_for_journal(step, job); /* it becomes this job's to offline */
        if (block->phase != JOB_BLOCK_ONLINE) {
            rollback_block_back(job, position, truth);
            if (!is_doubtful)
                came_back(step, job);
        }
        break;
    }
}

/* Whether what is read of the block at POSITION may be stale before the worker is done. One that is
 * to go offline can be offline, and one whose turn has not come can vanish. */
static gboolean is_in_work(const UnplugMachine *machine, const Job *job, guint position,
                           BlockTruth truth)
{
    const BlockTrack *track = job_track(job, position);

    return (track->is_listed && (truth != TRUTH_GONE || track->is_tried)) ||
           (machine_worker_is(machine, WORKER_ROLLBACK, job) &&
            job_block(job, position)->phase == JOB_BLOCK_OFFLINED);
}

static void see_report(Step *step, Job *job, const BlockReport *report)
{
    BlockTruth truth = report->truth;
    guint position;

    if (!job_find_block(job, report->index, &position))
        return;
    if (report->inode != job_block(job, position)->inode) {
        /* Another block has taken the index, or none has; a report of one gone long ago is no
         * news. */
        if (truth == TRUTH_GONE ? report->inode != 0 : report->inode == 0)
            return;
        truth = TRUTH_GONE;
    }
    if (truth == TRUTH_OFFLINE && job_track(job, position)->is_listed)
        offline_see_done(step->machine, job, position);
    else if (!is_in_work(step->machine, job, position, truth))
        see_block(step, job, position, truth);
}

/* BLOCKS: what was read of some blocks, whoever's they are. */
void truth_blocks(Step *step, const BlockReport *reports, guint n_reports)
{
    for (guint i = 0; i < step->machine->jobs->len; i++) {
        Job *job = machine_job(step->machine, i);

        if (job_state_is_ended(job->pub.state))
            continue;
        for (guint j = 0; j < n_reports; j++)
            see_report(step, job, &reports[j]);
        if (job->pub.state == JOB_READY)
            look_while_ready(step, job);
    }
}

/* A restored job's block that cannot be told may be going offline by the job's hand. */
static void claim_unknown(Job *job)
{
    for (guint i = 0; i < job->pub.blocks->len; i++) {
        if (job_block(job, i)->phase == JOB_BLOCK_ONLINE && job_track(job, i)->is_changing)
            job_block(job, i)->phase = JOB_BLOCK_OFFLINED;
    }
}

/* JOB was ready when the last daemon ended. It is not while the eject gate is not known to be open,
 * and has its time once more to see to that. */
static void wait_for_gate(Step *step, Job *job, int gate_error)
{
    gint64 end_usec = step->world.now_usec + (gint64)job->pub.timeout_ms * USEC_PER_MSEC;

    if (gate_error == 0 || job->pub.state != JOB_READY ||
        step->world.now_usec >= job->pub.lease_end_usec)
        return;
    offline_enter(step, job, MIN(end_usec, job->pub.lease_end_usec));
    job->gate_error = gate_error;
}

/* VERIFIED: a look at all blocks of JOB, at once. What it does not mention is not known. */
void truth_verified(Step *step, Job *job, const BlockReport *reports, guint n_reports,
                    int gate_error)
{
    if (job->verify == VERIFY_NONE)
        return;
    for (guint i = 0; i < job->pub.blocks->len; i++)
        job_track(job, i)->is_changing = job_block(job, i)->phase != JOB_BLOCK_GONE;
    for (guint i = 0; i < n_reports; i++)
        see_report(step, job, &reports[i]);
    if (job->verify == VERIFY_RESTORE)
        claim_unknown(job);
    job->verify = VERIFY_NONE;
    job->had_worker = FALSE;
    if (job->pub.state == JOB_READY) {
        look_while_ready(step, job);
        wait_for_gate(step, job, gate_error);
    } else if (job->pub.state == JOB_OFFLINING) {
        job->gate_error = is_offline_or_gone(job) ? gate_error : 0;
        if (is_gone(job))
            job_enter(step, job, JOB_UNPLUGGED);
        else if (is_offline_or_gone(job) && gate_error == 0)
            ready_enter(step, job);
        else
            job_pause(step, job, UNPLUG_PAUSE_MAX_USEC);
    }
}
