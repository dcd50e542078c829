/*
 * What the states of a job have in common, and the loop that does whatever is due.
 *
 * The order in the loop is the machine's idea of what is urgent: leases that end, blocks to be
 * given back, blocks to be taken, jobs that wait. It must end: everything that it does either
 * brings a job further along its states or waits for an event or a time.
 */
#include "decide/unplug-private.h"

/* The job at POSITION of the machine's list. */
Job *machine_job(const UnplugMachine *machine, guint position)
{
    return g_ptr_array_index(machine->jobs, position);
}

/* The job JOB_ID, or NULL. */
Job *machine_find(const UnplugMachine *machine, guint64 job_id)
{
    for (guint i = 0; i < machine->jobs->len; i++) {
        if (machine_job(machine, i)->pub.id == job_id)
            return machine_job(machine, i);
    }
    return NULL;
}

/* How many jobs are in STATE. */
guint machine_count(const UnplugMachine *machine, JobState state)
{
    guint count = 0;

    for (guint i = 0; i < machine->jobs->len; i++)
        count += machine_job(machine, i)->pub.state == state;
    return count;
}

/* Whether the worker does KIND for JOB. */
gboolean machine_worker_is(const UnplugMachine *machine, WorkerKind kind, const Job *job)
{
    return machine->worker.kind == kind && machine->worker.job == job->pub.id;
}

/* An action of JOB; the pointer lives until the next action is added. */
UnplugAction *step_add_action(Step *step, UnplugActionKind kind, const Job *job)
{
    UnplugAction action = {.kind = kind, .job = job->pub.id};

    g_array_append_val(step->actions, action);
    return &g_array_index(step->actions, UnplugAction, step->actions->len - 1);
}

/* Asks, once, for the end of the offlining that is under way. */
void step_kill_attempt(Step *step)
{
    Worker *worker = &step->machine->worker;

    if (worker->kind != WORKER_OFFLINE || worker->is_killed)
        return;
    worker->is_killed = TRUE;
    step->kill_job = worker->job;
}

/* JOB is in STATE from now on. */
void job_enter(Step *step, Job *job, JobState state)
{
    job->pub.state = state;
    if (job_state_is_ended(state))
        job->pub.ended_usec = step->world.now_usec;
    step->needs_journal = TRUE;
    step_add_action(step, ACTION_CHANGED, job)->state = state;
}

/* Nothing is tried for JOB before the journal that this step asks for is written. */
void job_wait_for_journal(Step *step, Job *job)
{
    step->needs_journal = TRUE;
    job->journal_wait = step->machine->journals_asked + 1;
}

/* Asks for a look at all blocks of JOB. */
void job_ask_verify(Step *step, Job *job, VerifyState verify)
{
    job->verify = verify;
    step_add_action(step, ACTION_VERIFY, job);
}

/* JOB waits before it tries again: longer each time, up to MAX_USEC. */
void job_pause(const Step *step, Job *job, gint64 max_usec)
{
    job->pause_usec = CLAMP(job->pause_usec * 2, UNPLUG_PAUSE_MIN_USEC, max_usec);
    job->retry_usec = step->world.now_usec + job->pause_usec;
}

static gboolean run_state(Step *step, JobState state, gboolean (*run)(Step *, Job *))
{
    gboolean is_changed = FALSE;

    for (guint i = 0; i < step->machine->jobs->len; i++) {
        Job *job = machine_job(step->machine, i);

        if (job->pub.state == state)
            is_changed |= run(step, job);
    }
    return is_changed;
}

/* Jobs that offline again have seconds only, so they go before the one that offlines first. */
static gboolean run_reoffline(Step *step, Job *job)
{
    return job->pub.was_reoffline && offline_run(step, job);
}

/* Does everything that is due now. */
void unplug_run(Step *step)
{
    gboolean is_changed;

    offline_end_late(step);
    do {
        is_changed = run_state(step, JOB_READY, ready_run);
        is_changed |= run_state(step, JOB_ROLLING_BACK, rollback_run);
        is_changed |= run_state(step, JOB_OFFLINING, run_reoffline);
        is_changed |= run_state(step, JOB_OFFLINING, offline_run);
        is_changed |= submit_start_next(step);
    } while (is_changed);
}

static gint64 earlier(gint64 a, gint64 b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static gint64 job_next_timer(const UnplugMachine *machine, const Job *job)
{
    switch (job->pub.state) {
    case JOB_OFFLINING:
        return offline_next_timer(machine, job);
    case JOB_READY:
        return job->pub.lease_end_usec;
    case JOB_ROLLING_BACK:
        if (machine_worker_is(machine, WORKER_ROLLBACK, job))
            return machine->worker.tell_usec;
        if (machine->worker.kind == WORKER_IDLE && job->verify == VERIFY_NONE)
            return job->retry_usec;
        return 0;
    default:
        return 0;
    }
}

/* When something will be due without another event; 0: never. */
gint64 unplug_next_timer(const UnplugMachine *machine)
{
    gint64 at_usec = 0;

    for (guint i = 0; i < machine->jobs->len; i++)
        at_usec = earlier(at_usec, job_next_timer(machine, machine_job(machine, i)));
    return at_usec;
}

/* Forgets the jobs that ended first, beyond the number that is kept. */
void unplug_drop_ended(UnplugMachine *machine)
{
    for (;;) {
        guint n_ended = 0;
        guint oldest = 0;

        for (guint i = 0; i < machine->jobs->len; i++) {
            const UnplugJob *job = &machine_job(machine, i)->pub;

            if (!job_state_is_ended(job->state))
                continue;
            if (n_ended == 0 || job->ended_usec < machine_job(machine, oldest)->pub.ended_usec)
                oldest = i;
            n_ended++;
        }
        if (n_ended <= UNPLUG_ENDED_MAX)
            return;
        g_ptr_array_remove_index(machine->jobs, oldest);
    }
}
