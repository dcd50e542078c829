/*
 * Offlining: one block at a time, until all are offline or the deadline passes. An attempt goes on
 * for as long as pages move: the executor ends one that stalls, or that would cross the reserve.
 *
 * The worker gets a list of all blocks that are left, and does one after the other until one fails.
 * Where it is in its list is told by the blocks that are seen offline; what came of all by its end.
 *
 * The worker's errno is hardly more than a sentence: what counts is what sysfs said afterwards. An
 * attempt that was begun is waited for, always, also after it was told to end; and none begins
 * while another job gives blocks back, before the journal is written, or below the reserve.
 */
#include "decide/unplug-private.h"

#include <errno.h>

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

/* The attempt on what the worker is at, as far as that is known. The phase is the intent: it may
 * work although we never hear of it. */
static void mark_attempt(UnplugMachine *machine, Job *job)
{
    Worker *worker = &machine->worker;

    job->pub.attempt_running = FALSE;
    for (; worker->at < machine->list->len; worker->at++) {
        guint position = g_array_index(machine->list, guint, worker->at);

        if (job_block(job, position)->phase != JOB_BLOCK_ONLINE)
            continue; /* it has vanished since */
        job_track(job, position)->is_tried = TRUE;
        job_block(job, position)->phase = JOB_BLOCK_OFFLINED;
        job->pub.attempt_running = TRUE;
        return;
    }
}

/* On all blocks that are still online, from POSITION on. */
static void start_attempts(Step *step, Job *job, guint position)
{
    UnplugMachine *machine = step->machine;
    UnplugAction *action = step_add_action(step, ACTION_OFFLINE, job);
    guint n_blocks = job->pub.blocks->len;

    machine->worker = (Worker){.kind = WORKER_OFFLINE, .job = job->pub.id};
    g_array_set_size(machine->list, 0);
    action->blocks = g_new(JobBlock, n_blocks);
    for (guint i = 0; i < n_blocks; i++) {
        guint candidate = (position + i) % n_blocks;

        if (job_block(job, candidate)->phase != JOB_BLOCK_ONLINE)
            continue;
        g_array_append_val(machine->list, candidate);
        job_track(job, candidate)->is_listed = TRUE;
        action->blocks[action->n_blocks++] = *job_block(job, candidate);
    }
    mark_attempt(machine, job);
}

/* The block at POSITION, which is in the worker's list, is offline: so the worker is behind it. */
void offline_see_done(UnplugMachine *machine, Job *job, guint position)
{
    Worker *worker = &machine->worker;

    job_block(job, position)->phase = JOB_BLOCK_OFFLINED;
    job_track(job, position)->is_listed = FALSE;
    job_track(job, position)->is_changing = FALSE;
    for (guint i = worker->at; i < machine->list->len; i++) {
        if (g_array_index(machine->list, guint, i) != position)
            continue;
        job_track(job, g_array_index(machine->list, guint, worker->at))->is_tried = FALSE;
        worker->at = i + 1;
        mark_attempt(machine, job);
        return;
    }
}

/* The device of the block at POSITION, or, where that is negative, each that is not done, does not
 * go: nor does any other, unless the job may be ready with the rest. */
static void leave(Step *step, Job *job, gint64 position)
{
    gboolean goes_on = partial_give_back(job, position);

    if (goes_on)
        reasons_add_given_back(job);
    rollback_enter(step, job, goes_on ? JOB_OFFLINING : JOB_FAILED);
}

/* The worker does not come back from its attempt, so that its end tells nothing in time. */
static void note_stuck(Step *step, Job *job)
{
    const StuckAttempt *stuck = step->world.stuck;
    UnplugMachine *machine = step->machine;

    if (!stuck || !job->pub.attempt_running || machine->worker.at >= machine->list->len)
        return;
    guint position = g_array_index(machine->list, guint, machine->worker.at);
    BlockTrack *track = job_track(job, position);
    if (job_block(job, position)->index != stuck->index)
        return;
    track->last = stuck->attempt;
    track->last_error = EINTR;
    track->contents = stuck->contents;
    track->n_failed++;
    reasons_add_kept(job, position);
}

/* The deadline has passed. Where a ready job had five seconds to take a block back, what matters is
 * who brought it online; and if its lease ended meanwhile, it has expired. */
static void give_up(Step *step, Job *job)
{
    gint64 lease_end_usec = job->pub.lease_end_usec;
    gboolean is_expired = lease_end_usec != 0 && step->world.now_usec >= lease_end_usec;

    if (job->verify != VERIFY_NONE || job->gate_error != 0)
        reasons_add_gate(job);
    else if (lease_end_usec != 0)
        reasons_add_onlined(job);
    else
        reasons_add_timeout(job);
    if (machine_worker_is(step->machine, WORKER_OFFLINE, job))
        note_stuck(step, job);
    if (lease_end_usec == 0 && job->verify == VERIFY_NONE && job->gate_error == 0)
        leave(step, job, -1);
    else
        rollback_enter(step, job, is_expired ? JOB_EXPIRED : JOB_FAILED);
    job->is_late = job->pub.attempt_running;
}

/* At the deadline of its job the attempt that is under way is told to end, and the job's state
 * changes then: the attempt may sleep in the kernel where no signal ends it. */
void offline_end_late(Step *step)
{
    const Worker *worker = &step->machine->worker;
    Job *job;

    if (worker->kind != WORKER_OFFLINE)
        return;
    job = machine_find(step->machine, worker->job);
    if (job->pub.state == JOB_OFFLINING && step->world.now_usec >= job->pub.deadline_usec)
        give_up(step, job);
}

/* What is due for JOB, which is offlining. TRUE if something was done. */
gboolean offline_run(Step *step, Job *job)
{
    gint64 now_usec = step->world.now_usec;
    gboolean is_pausing = now_usec < job->retry_usec;
    guint position;

    if (machine_worker_is(step->machine, WORKER_OFFLINE, job) || job->verify == VERIFY_RESTORE)
        return FALSE;
    if (job->verify == VERIFY_ASKED) { /* it waits for the gate */
        if (now_usec >= job->pub.deadline_usec)
            give_up(step, job);
        return job->pub.state != JOB_OFFLINING;
    }
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
    if (is_pausing || job->journal_wait != 0 || machine_count(step->machine, JOB_ROLLING_BACK) > 0)
        return FALSE;
    if (step->machine->worker.kind != WORKER_IDLE) {
        if (job->pub.was_reoffline) /* it has seconds only */
            step_yield(step);
        return FALSE;
    }
    /* How much of a block is free huge pages, which need no room, is for the worker to see. */
    guint64 block_bytes = job->pub.block_size_bytes;
    guint64 needed_bytes = block_bytes - MIN(step->world.hugetlb_free_bytes, block_bytes);
    if (!attempt_has_room(step->world.available_bytes, needed_bytes, job->pub.reserve_bytes)) {
        reasons_add_low_before(job, position, step->world.available_bytes, &step->world.uncounted);
        leave(step, job, position);
        return TRUE;
    }
    start_attempts(step, job, position);
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
        return deadline_usec;
    if (job->verify != VERIFY_NONE)
        return job->verify == VERIFY_ASKED ? deadline_usec : 0;
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

/* Whether the attempt says less of its block than one before it: memplug itself ended this one. */
static gboolean tells_less(const BlockTrack *track, const AttemptOutcome *attempt, int error)
{
    if (track->n_failed == 0 || error != EINTR)
        return FALSE;
    if (attempt->end == ATTEMPT_STALLED)
        return !attempt->is_asleep && track->last.end == ATTEMPT_OVER && track->last_error != 0;
    return attempt->end == ATTEMPT_LATE || attempt->end == ATTEMPT_CANCELLED;
}

static void note_failure(Step *step, Job *job, guint position, int error, const UnplugEvent *event)
{
    BlockTrack *track = job_track(job, position);
    const BlockContents *contents = event->blocks.contents;
    const AttemptOutcome *attempt = &event->blocks.attempt;

    job_pause(step, job, UNPLUG_PAUSE_MAX_USEC);
    if (error == ECANCELED)
        return; /* ended before it was begun */
    track->no_worker_error = attempt->end == ATTEMPT_NO_WORKER ? attempt->error : 0;
    if (track->no_worker_error != 0)
        return; /* the block has still its turn */
    job->next_block = position + 1;
    if (!tells_less(track, attempt, error)) {
        track->last = *attempt;
        track->last_error = error;
        if (error != EINTR) /* the kernel was faster than memplug */
            track->last.end = ATTEMPT_OVER;
    }
    track->contents = contents != NULL ? *contents : (BlockContents){.hugepages_free = 0};
    track->n_failed++;
}

/* The attempt crossed the reserve, or would have. Also where it got done in the end: then the
 * block must come back. */
static void give_back(Step *step, Job *job, guint position, int error, guint64 available_bytes)
{
    if (error == ECANCELED)
        reasons_add_low_before(job, position, available_bytes, &step->world.uncounted);
    else
        reasons_add_low_during(job, position, available_bytes, &step->world.uncounted);
    leave(step, job, position);
}

/* What the worker says of BLOCK, most likely at GUESS; what it does not mention is not known. */
static BlockReport find_report(const UnplugEvent *event, const JobBlock *block, guint guess)
{
    guint n = event->blocks.n_reports;

    for (guint i = 0; i < n; i++) {
        const BlockReport *report = &event->blocks.reports[(guess + i) % n];
        if (report->index == block->index && report->inode == block->inode)
            return *report;
    }
    return (BlockReport){.truth = TRUTH_CHANGING};
}

/* TRUE: the block at POSITION is offline or gone. */
static gboolean settle(Job *job, guint position, const BlockReport *report)
{
    JobBlock *block = job_block(job, position);

    job_track(job, position)->is_changing = report->truth == TRUTH_CHANGING;
    switch (report->truth) {
    case TRUTH_GONE:
        block->phase = JOB_BLOCK_GONE;
        return TRUE;
    case TRUTH_OFFLINE:
        block->phase = JOB_BLOCK_OFFLINED;
        return TRUE;
    case TRUTH_CHANGING: /* until a look says more */
        block->phase = JOB_BLOCK_OFFLINED;
        break;
    case TRUTH_ONLINE_MOVABLE:
    case TRUTH_ONLINE_KERNEL:
        rollback_block_back(job, position, report->truth);
        break;
    }
    return FALSE;
}

/* What became of the worker's list, in its order. FALSE: all of it is offline or gone. *POSITION is
 * the first block that is not, else the last one; *ERROR is that of the write to it. */
static gboolean settle_list(UnplugMachine *machine, Job *job, const UnplugEvent *event,
                            guint *position, int *error)
{
    gboolean is_failed = FALSE;

    machine->worker = (Worker){.kind = WORKER_IDLE};
    job->pub.attempt_running = FALSE;
    for (guint i = 0; i < machine->list->len; i++) {
        guint candidate = g_array_index(machine->list, guint, i);
        BlockTrack *track = job_track(job, candidate);
        BlockReport report = find_report(event, job_block(job, candidate), i);
        gboolean is_done = !track->is_listed || settle(job, candidate, &report);

        track->is_listed = FALSE;
        track->is_tried = FALSE;
        if (is_failed)
            continue;
        is_failed = !is_done;
        *position = candidate;
        *error = report.error;
        if (is_done)
            job->pause_usec = 0;
    }
    return is_failed;
}

/* The deadline has ended the attempt on the block at POSITION: only now it is known what kept one
 * that never failed before. */
static void add_kept_late(Step *step, Job *job, guint position, int error, const UnplugEvent *event)
{
    gboolean is_told = job_track(job, position)->n_failed > 0;

    note_failure(step, job, position, error, event);
    if (!is_told)
        reasons_add_kept(job, position);
    job->pause_usec = 0;
    job->retry_usec = 0;
}

/* The attempts are over, whether by themselves or because the worker was ended. JOB may be rolling
 * back. */
void offline_worker_done(Step *step, Job *job, const UnplugEvent *event)
{
    const AttemptOutcome *attempt = &event->blocks.attempt;
    guint position = 0;
    int error = 0;
    gboolean is_failed = settle_list(step->machine, job, event, &position, &error);

    if (job->pub.state == JOB_ROLLING_BACK) {
        if (is_failed && job->is_late)
            add_kept_late(step, job, position, error, event);
        job->is_late = FALSE;
    } else if (attempt->end == ATTEMPT_LOW_MEMORY) {
        give_back(step, job, position, error, attempt->available_bytes);
    } else if (is_failed && (error != ECANCELED || attempt->end != ATTEMPT_OVER)) {
        note_failure(step, job, position, error, event);
        if (job_block(job, position)->phase == JOB_BLOCK_ONLINE && attempt->end == ATTEMPT_OVER &&
            is_final(error)) {
            reasons_add_kept(job, position);
            leave(step, job, position);
        }
    } /* else all is done, or it made room for another */
}
