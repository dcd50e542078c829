/*
 * memory-check-unplug, memory-prepare-unplug, memory-query-unplug, memory-cancel-unplug.
 */
#include <string.h>

#include "decide/unplug.h"
#include "front/agent-private.h"
#include "front/arguments.h"
#include "front/reply.h"

#define LISTED_MAX 4096

static void check_unplug(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    Agent *agent = user_data;
    g_autoptr(GError) error = NULL;
    guint n = 0;

    g_autofree DeviceSelector *selectors = arguments_selectors(
        arguments, model_keeper_catch_up_for_answer(agent->keeper), UNPLUG_DEVICES_MAX, &n, &error);
    if (!selectors) {
        qga_call_fail_error(call, error);
        return;
    }
    g_autoptr(UnplugVerdict) verdict = unplugger_check(agent->unplugger, selectors, n, TRUE);
    QgaWriter *writer = qga_call_begin_return(call);
    qga_writer_begin_object(writer);
    qga_writer_member_bool(writer, "ready-to-prepare", verdict->can_prepare);
    qga_writer_member_uint(writer, "needed-bytes", verdict->needed_bytes);
    qga_writer_member_uint(writer, "available-bytes", verdict->available_bytes);
    qga_writer_member_uint(writer, "reserve-bytes", verdict->reserve_bytes);
    reply_reasons(writer, "reasons", verdict->reasons);
    qga_writer_end_object(writer);
    qga_call_end_return(call);
}

static gboolean is_asked(JsonObject *arguments, const char *name)
{
    return json_object_has_member(arguments, name) &&
           json_object_get_boolean_member(arguments, name);
}

static gboolean parse_submit(JsonObject *arguments, guint64 default_lease_ms, UnplugSubmit *submit,
                             GError **error)
{
    if (!arguments_uint(arguments, "timeout-ms", 1, UNPLUG_TIMEOUT_MAX_MS, 0, &submit->timeout_ms,
                        error) ||
        !arguments_uint(arguments, "lease-ms", 1, UNPLUG_LEASE_MAX_MS, default_lease_ms,
                        &submit->lease_ms, error))
        return FALSE;
    submit->allow_partial = is_asked(arguments, "allow-partial");
    submit->reclaim = is_asked(arguments, "reclaim");
    if (json_object_has_member(arguments, "key"))
        submit->key = json_object_get_string_member(arguments, "key");
    if (submit->key && (submit->key[0] == '\0' || strlen(submit->key) > UNPLUG_KEY_MAX)) {
        g_set_error(error, QGA_ERROR, QGA_CLASS_GENERIC, "Parameter 'key' must have 1 to %d bytes",
                    UNPLUG_KEY_MAX);
        return FALSE;
    }
    return TRUE;
}

static void fail_submit(QgaCall *call, UnplugResult result)
{
    switch (result) {
    case UNPLUG_QUEUE_FULL:
        qga_call_fail(call, QGA_CLASS_GENERIC, "%d jobs are queued already", UNPLUG_QUEUE_MAX);
        return;
    case UNPLUG_KEY_CONFLICT:
        qga_call_fail(call, QGA_CLASS_GENERIC,
                      "Parameter 'key' belongs to a job with other devices");
        return;
    case UNPLUG_STOPPING:
        qga_call_fail(call, QGA_CLASS_GENERIC, "The agent is stopping");
        return;
    case UNPLUG_NO_SUCH_JOB:
    case UNPLUG_OK:
        break;
    }
    qga_call_fail(call, QGA_CLASS_GENERIC, "The job was refused");
}

static void prepare_unplug(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    Agent *agent = user_data;
    g_autoptr(GError) error = NULL;
    UnplugSubmit submit = {.key = NULL};
    guint64 job_id = 0;

    g_autofree DeviceSelector *selectors =
        arguments_selectors(arguments, model_keeper_catch_up_for_answer(agent->keeper),
                            UNPLUG_DEVICES_MAX, &submit.n_selectors, &error);
    submit.selectors = selectors;
    if (!selectors ||
        !parse_submit(arguments, agent->options->settings->lease_ms, &submit, &error)) {
        qga_call_fail_error(call, error);
        return;
    }
    UnplugResult result = unplugger_submit(agent->unplugger, &submit, &job_id);
    if (result != UNPLUG_OK) {
        fail_submit(call, result);
        return;
    }
    QgaWriter *writer = qga_call_begin_return(call);
    qga_writer_begin_object(writer);
    qga_writer_member_uint(writer, "job", job_id);
    qga_writer_end_object(writer);
    qga_call_end_return(call);
}

static void fail_no_job(QgaCall *call, guint64 job_id)
{
    qga_call_fail(call, QGA_CLASS_GENERIC, "There is no job %" G_GUINT64_FORMAT, job_id);
}

static void query_one(QgaCall *call, Agent *agent, guint64 job_id)
{
    unplugger_verify(agent->unplugger, job_id);
    const UnplugJob *job = unplug_machine_find(unplugger_machine(agent->unplugger), job_id);
    if (!job) {
        fail_no_job(call, job_id);
        return;
    }
    reply_job(qga_call_begin_return(call), job, g_get_monotonic_time());
    qga_call_end_return(call);
}

/* Jobs from here on are told in the answer about all: those that have ended take so many devices
 * and reasons at most, and the last of them is told in any case. */
static guint first_told(const GPtrArray *jobs)
{
    guint weight = 0, first = jobs->len;

    for (guint i = jobs->len; i-- > 0;) {
        const UnplugJob *job = jobs->pdata[i];
        gboolean is_last = weight == 0;
        if (job_state_is_ended(job->state))
            weight += job->devices->len + 2 * job->reasons->len + 1;
        if (weight > LISTED_MAX && !is_last)
            break;
        first = i;
    }
    return first;
}

static void query_all(QgaCall *call, Agent *agent)
{
    const UnplugMachine *machine = unplugger_machine(agent->unplugger);
    g_autoptr(GPtrArray) jobs = unplug_machine_list(machine);
    g_autofree guint64 *ids = g_new(guint64, jobs->len + 1);
    guint first = first_told(jobs);
    guint n = 0;

    for (guint i = 0; i < jobs->len; i++) {
        const UnplugJob *job = jobs->pdata[i];
        if (i >= first || !job_state_is_ended(job->state))
            ids[n++] = job->id;
    }
    for (guint i = 0; i < n; i++)
        unplugger_verify(agent->unplugger, ids[i]);

    QgaWriter *writer = qga_call_begin_return(call);
    qga_writer_begin_array(writer);
    for (guint i = 0; i < n; i++) {
        const UnplugJob *job = unplug_machine_find(machine, ids[i]);
        if (job)
            reply_job(writer, job, g_get_monotonic_time());
    }
    qga_writer_end_array(writer);
    qga_call_end_return(call);
}

static void query_unplug(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    Agent *agent = user_data;

    model_keeper_catch_up_for_answer(agent->keeper);
    if (json_object_has_member(arguments, "job"))
        query_one(call, agent, (guint64)json_object_get_int_member(arguments, "job"));
    else
        query_all(call, agent);
}

static void cancel_unplug(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    Agent *agent = user_data;
    guint64 job_id = (guint64)json_object_get_int_member(arguments, "job");

    if (unplugger_cancel(agent->unplugger, job_id) == UNPLUG_NO_SUCH_JOB)
        fail_no_job(call, job_id);
    else
        qga_call_return_empty(call);
}

void commands_unplug_register(QgaDispatch *dispatch, Agent *agent)
{
    qga_dispatch_register(dispatch, "memory-check-unplug", check_unplug, agent);
    qga_dispatch_register(dispatch, "memory-prepare-unplug", prepare_unplug, agent);
    qga_dispatch_register(dispatch, "memory-query-unplug", query_unplug, agent);
    qga_dispatch_register(dispatch, "memory-cancel-unplug", cancel_unplug, agent);
}
