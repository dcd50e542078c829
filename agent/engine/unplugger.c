/*
 * Events in: what clients, the model and an earlier daemon say, to the state machine. Nothing in
 * here decides anything.
 */
#include "engine/unplugger.h"

#include <string.h>

#include "engine/block-report.h"
#include "engine/unplugger-private.h"
#include "os/journal.h"
#include "os/log.h"

/* What the kernel's eject switch is where nobody has touched it. A journal that is lost may have
 * known better, but a switch that an earlier daemon left at 0 would refuse every eject from now on.
 */
#define EJECT_DEFAULT 1

UnplugResult unplugger_submit(Unplugger *unplugger, const UnplugSubmit *submit, guint64 *job_id)
{
    UnplugEvent event = {.kind = UNPLUG_SUBMIT, .submit = *submit};
    g_autofree DeviceSelector *bound =
        unplugger_bind(unplugger, submit->selectors, submit->n_selectors);

    event.submit.selectors = bound;
    if (event.submit.timeout_ms == 0)
        event.submit.timeout_ms = unplugger->config.timeout_ms;
    unplugger_reserve_job_id(unplugger);
    return unplugger_feed(unplugger, &event, job_id);
}

UnplugResult unplugger_cancel(Unplugger *unplugger, guint64 job_id)
{
    UnplugEvent event = {.kind = UNPLUG_CANCEL, .job = job_id};

    return unplugger_feed(unplugger, &event, NULL);
}

void unplugger_on_change(Unplugger *unplugger, const ModelChange *change)
{
    if (change->n_touched == 0 || unplug_machine_is_idle(unplugger->machine))
        return;

    g_autofree BlockReport *reports = g_new(BlockReport, change->n_touched);
    for (guint i = 0; i < change->n_touched; i++)
        reports[i] = block_report_at(change->now, change->touched[i]);
    UnplugEvent event = {.kind = UNPLUG_BLOCKS,
                         .blocks = {.reports = reports, .n_reports = change->n_touched}};
    unplugger_feed(unplugger, &event, NULL);
}

void unplugger_verify(Unplugger *unplugger, guint64 job_id)
{
    const UnplugJob *job = unplug_machine_find(unplugger->machine, job_id);

    if (job && job->state == JOB_READY)
        unplugger_look_at_job(unplugger, job);
}

void unplugger_stop(Unplugger *unplugger, UnplugStoppedFunc func, gpointer user_data)
{
    UnplugEvent event = {.kind = UNPLUG_STOP};

    unplugger->on_stopped = func;
    unplugger->on_stopped_data = user_data;
    unplugger_feed(unplugger, &event, NULL);
}

/* What an earlier daemon left. FALSE: a job of it makes no sense, and its blocks have no owner. */
static gboolean take_over(Unplugger *unplugger, JournalState *state)
{
    gboolean is_whole = TRUE;

    for (guint i = 0; i < state->jobs->len; i++) {
        const UnplugJob *job = state->jobs->pdata[i];
        if (!unplug_machine_restore(unplugger->machine, job)) {
            g_warning("the journal's job %" G_GUINT64_FORMAT " makes no sense; left out", job->id);
            is_whole = FALSE;
        } else if (!job_state_is_ended(job->state)) {
            log_event(
                LOG_JOB_STATE, G_LOG_LEVEL_MESSAGE, &(LogSubject){.job = job->id, .block = -1},
                "taking job %" G_GUINT64_FORMAT " over (%s)", job->id, job_state_name(job->state));
        }
    }
    return is_whole;
}

Unplugger *unplugger_new(const UnpluggerConfig *config, UnplugChangedFunc func, gpointer user_data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JournalState) state = NULL;
    Unplugger *unplugger = g_new0(Unplugger, 1);

    unplugger->config = *config;
    unplugger->on_changed = func;
    unplugger->on_changed_data = user_data;
    unplugger->actions = unplug_actions_new();
    unplugger->inhibitors = inhibitors_new();
    if (config->state_dir)
        state = journal_load(config->state_dir, config->boot_id, &error);
    if (error)
        g_warning("the journal is not used: %s", error->message);
    unplugger->machine = unplug_machine_new(state ? state->next_job_id : 1);
    unplugger_make_gate(unplugger, state ? (int)state->eject_enabled : error ? EJECT_DEFAULT : -1);
    if (state ? !take_over(unplugger, state) : error != NULL) {
        unplugger_skip_to_clock(unplugger);
        unplugger_recover(unplugger);
    }
    return unplugger;
}

void unplugger_set_application_delay(Unplugger *unplugger, guint64 delay_ms)
{
    unplugger->config.application_delay_ms = delay_ms;
}

guint unplugger_swap_percent(const Unplugger *unplugger)
{
    return unplugger->config.swap_percent;
}

void unplugger_set_limits(Unplugger *unplugger, guint64 timeout_ms, guint64 reserve_bytes,
                          guint swap_percent)
{
    unplugger->config.swap_percent = swap_percent;
    unplugger->config.timeout_ms = timeout_ms;
    unplugger->config.reserve_bytes = reserve_bytes;
}

guint64 unplugger_reserve_bytes(const Unplugger *unplugger, const Meminfo *meminfo,
                                guint64 leaving_bytes)
{
    return attempt_reserve_after(unplugger->config.reserve_bytes, meminfo->total_bytes,
                                 leaving_bytes);
}

void unplugger_resume(Unplugger *unplugger)
{
    UnplugWorld world = unplugger_world(unplugger);

    unplug_machine_resume(unplugger->machine, &world, unplugger->actions);
    unplugger_carry_out(unplugger);
    eject_gate_start(unplugger->gate);
}

void unplugger_free(Unplugger *unplugger)
{
    if (!unplugger)
        return;
    g_clear_handle_id(&unplugger->timer, g_source_remove);
    g_array_unref(unplugger->actions);
    unplug_machine_free(unplugger->machine);
    inhibitors_free(unplugger->inhibitors);
    eject_gate_free(unplugger->gate);
    g_array_unref(unplugger->waiting);
    g_clear_pointer(&unplugger->pools, g_array_unref);
    g_free(unplugger);
}

gboolean unplugger_is_held(guint32 index, guint64 inode, gpointer user_data)
{
    const Unplugger *unplugger = user_data;

    return unplug_machine_holds(unplugger->machine, index, inode);
}

static void tell_locks(Unplugger *unplugger)
{
    UnplugEvent event = {.kind = UNPLUG_LOCKS};

    if (!unplug_machine_is_idle(unplugger->machine))
        unplugger_feed(unplugger, &event, NULL);
}

guint64 unplugger_inhibit(Unplugger *unplugger, const Inhibitor *request, const char **problem)
{
    guint64 id = inhibitors_add(unplugger->inhibitors, request, problem);

    tell_locks(unplugger);
    return id;
}

void unplugger_release(Unplugger *unplugger, guint64 id)
{
    inhibitors_remove(unplugger->inhibitors, id);
    tell_locks(unplugger);
}

const Inhibitors *unplugger_inhibitors(const Unplugger *unplugger)
{
    return unplugger->inhibitors;
}

const UnplugMachine *unplugger_machine(const Unplugger *unplugger)
{
    return unplugger->machine;
}
