/*
 * The unplug state machine: one step, and what can be asked of the machine.
 *
 * A step hands the event to the state that it concerns, does what is due, and puts the actions in
 * order. Nothing in here (nor in the other files unplug*.c) may do I/O, ask for the time or log.
 */
#include "decide/unplug-private.h"

static void destroy_job(gpointer job)
{
    job_free(job);
}

/* A machine without jobs. Return (transfer full). */
UnplugMachine *unplug_machine_new(guint64 first_job_id)
{
    UnplugMachine *machine = g_new0(UnplugMachine, 1);

    machine->jobs = g_ptr_array_new_with_free_func(destroy_job);
    machine->list = g_array_new(FALSE, FALSE, sizeof(guint));
    machine->next_id = MAX(first_job_id, 1);
    return machine;
}

/* Accepts NULL. */
void unplug_machine_free(UnplugMachine *machine)
{
    if (machine == NULL)
        return;
    g_ptr_array_unref(machine->jobs);
    g_array_unref(machine->list);
    g_free(machine);
}

static void action_clear(gpointer data)
{
    UnplugAction *action = data;

    g_free(action->blocks);
    g_clear_pointer(&action->pools, g_array_unref);
}

/* An empty list that frees what its actions own. Return (transfer full): g_array_unref(). */
GArray *unplug_actions_new(void)
{
    GArray *actions = g_array_new(FALSE, TRUE, sizeof(UnplugAction));

    g_array_set_clear_func(actions, action_clear);
    return actions;
}

/* Begins STEP; step_end() must follow. */
void step_begin(Step *step, UnplugMachine *machine, const UnplugWorld *world)
{
    *step = (Step){
        .machine = machine,
        .world = *world,
        .actions = g_array_new(FALSE, TRUE, sizeof(UnplugAction)),
    };
}

static void append_action(GArray *actions, UnplugActionKind kind, guint64 job, gint64 at_usec)
{
    UnplugAction action = {.kind = kind, .job = job, .at_usec = at_usec};

    g_array_append_val(actions, action);
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

/* Does everything that is due now. The order is the machine's idea of what is urgent: leases that
 * end, blocks to be given back, blocks to be taken, jobs that wait. It must end: everything that it
 * does either brings a job further along its states or waits for an event or a time. */
static void run_due(Step *step)
{
    gboolean is_changed;

    offline_end_late(step);
    do {
        is_changed = run_state(step, JOB_READY, ready_run);
        is_changed |= run_state(step, JOB_ROLLING_BACK, rollback_run);
        is_changed |= run_state(step, JOB_OFFLINING, run_reoffline);
        is_changed |= run_state(step, JOB_OFFLINING, offline_run);
        is_changed |= run_state(step, JOB_ASKING, ask_run);
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
    case JOB_ASKING:
        return job->is_rechecking ? 0 : job->pub.ask_end_usec;
    case JOB_OFFLINING:
        return offline_next_timer(machine, job);
    case JOB_READY:
        return job->pub.lease_end_usec;
    case JOB_ROLLING_BACK:
        if ((machine->worker.kind == WORKER_IDLE || worker_can_yield(machine)) &&
            job->verify == VERIFY_NONE)
            return earlier(job->retry_usec, job->tell_usec);
        return job->tell_usec;
    default:
        return 0;
    }
}

/* When something will be due without another event; 0: never. */
static gint64 next_timer(const UnplugMachine *machine)
{
    gint64 at_usec = 0;

    for (guint i = 0; i < machine->jobs->len; i++)
        at_usec = earlier(at_usec, job_next_timer(machine, machine_job(machine, i)));
    return at_usec;
}

/* Does what is due and appends all actions of STEP: a KILL first, since memory may be short and the
 * journal slow; then the journal, before anything is said or begun. */
void step_end(Step *step, GArray *actions)
{
    UnplugMachine *machine = step->machine;
    gint64 timer_usec;

    run_due(step);
    unplug_drop_ended(machine);
    timer_usec = next_timer(machine);

    if (step->kill_job != 0)
        append_action(actions, ACTION_KILL, step->kill_job, 0);
    if (step->yield_job != 0)
        append_action(actions, ACTION_YIELD, step->yield_job, 0);
    if (step->needs_journal) {
        machine->journals_asked++;
        append_action(actions, ACTION_JOURNAL, 0, 0);
    }
    if (step->actions->len > 0)
        g_array_append_vals(actions, step->actions->data, step->actions->len);
    g_array_unref(step->actions); /* what the actions own has moved */
    if (timer_usec != machine->timer_usec) {
        machine->timer_usec = timer_usec;
        append_action(actions, ACTION_TIMER, 0, timer_usec);
    }
    if (machine->is_stopping && !machine->was_stopped && unplug_machine_is_idle(machine)) {
        machine->was_stopped = TRUE;
        append_action(actions, ACTION_STOPPED, 0, 0);
    }
}

static void worker_done(Step *step, const UnplugEvent *event)
{
    Worker *worker = &step->machine->worker;
    Job *job = machine_find(step->machine, event->job);

    if (job == NULL || worker->kind == WORKER_IDLE || worker->job != event->job)
        return;
    if (worker->kind == WORKER_OFFLINE)
        offline_worker_done(step, job, event);
    else if (worker->kind == WORKER_POOLS)
        pools_worker_done(step, job, event);
    else
        rollback_worker_done(step, job, event);
}

static UnplugResult dispatch(Step *step, const UnplugEvent *event, guint64 *job_id)
{
    Job *job = machine_find(step->machine, event->job);

    switch (event->kind) {
    case UNPLUG_SUBMIT:
        return submit_job(step, &event->submit, job_id);
    case UNPLUG_CHECKED:
        if (job != NULL)
            submit_checked(step, job, &event->checked);
        break;
    case UNPLUG_JOURNALED:
        offline_journaled(step, event->journaled.error);
        break;
    case UNPLUG_WORKER_DONE:
        worker_done(step, event);
        break;
    case UNPLUG_BLOCKS:
        truth_blocks(step, event->blocks.reports, event->blocks.n_reports);
        break;
    case UNPLUG_VERIFIED:
        if (job != NULL)
            truth_verified(step, job, event->blocks.reports, event->blocks.n_reports,
                           event->blocks.gate_error);
        break;
    case UNPLUG_CANCEL:
        if (job == NULL)
            return UNPLUG_NO_SUCH_JOB;
        rollback_cancel(step, job);
        break;
    case UNPLUG_LOCKS:
        break;
    case UNPLUG_TICK:
        step->machine->timer_usec = 0;
        break;
    case UNPLUG_STOP:
        rollback_stop(step);
        break;
    }
    return UNPLUG_OK;
}

/* One event: see the header. */
UnplugResult unplug_machine_step(UnplugMachine *machine, const UnplugWorld *world,
                                 const UnplugEvent *event, GArray *actions, guint64 *job_id)
{
    UnplugResult result;
    Step step;

    step_begin(&step, machine, world);
    pools_see(&step);
    result = dispatch(&step, event, job_id);
    step_end(&step, actions);
    return result;
}

/* The job, or NULL. */
const UnplugJob *unplug_machine_find(const UnplugMachine *machine, guint64 job_id)
{
    Job *job = machine_find(machine, job_id);

    return job != NULL ? &job->pub : NULL;
}

/* All jobs, ascending by id. Return (transfer container): g_ptr_array_unref(). */
GPtrArray *unplug_machine_list(const UnplugMachine *machine)
{
    GPtrArray *list = g_ptr_array_new();

    for (guint i = 0; i < machine->jobs->len; i++)
        g_ptr_array_add(list, &machine_job(machine, i)->pub);
    return list;
}

/* Whether nothing else may bring this block online. */
gboolean unplug_machine_holds(const UnplugMachine *machine, guint32 index, guint64 inode)
{
    guint position;
    Job *job = machine_owner(machine, index, inode, &position);

    if (job == NULL)
        return FALSE;
    if (job_track(job, position)->is_listed)
        return TRUE;
    switch ((JobBlockPhase)job_block(job, position)->phase) {
    case JOB_BLOCK_OFFLINED:
        return TRUE;
    case JOB_BLOCK_WAS_OFFLINE:
        return job->pub.state != JOB_ROLLING_BACK || partial_is_kept(job, position);
    default:
        return FALSE;
    }
}

/* The id that the next new job gets. */
guint64 unplug_machine_next_job_id(const UnplugMachine *machine)
{
    return machine->next_id;
}

/* No new job gets an id below FIRST. */
void unplug_machine_skip_job_ids(UnplugMachine *machine, guint64 first)
{
    machine->next_id = MAX(machine->next_id, first);
}

/* Whether every job has ended. */
gboolean unplug_machine_is_idle(const UnplugMachine *machine)
{
    for (guint i = 0; i < machine->jobs->len; i++) {
        if (!job_state_is_ended(machine_job(machine, i)->pub.state))
            return FALSE;
    }
    return TRUE;
}
