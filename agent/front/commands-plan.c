/*
 * memory-plan-unplug: which DIMMs to take for that many bytes. A plan is advice for the moment in
 * which it is made: it holds nothing, and whether all that it names fits elsewhere at once is the
 * check's to say.
 */
#include "decide/plan.h"
#include "engine/contents.h"
#include "front/agent-private.h"
#include "front/arguments.h"
#include "front/reply.h"
#include "system/cpusets.h"

/* A device that cannot be chosen, and why. */
typedef struct {
    const Device *device;
    UnplugVerdict *verdict; /* owned */
} Excluded;

static void excluded_clear(gpointer data)
{
    Excluded *excluded = data;

    unplug_verdict_free(excluded->verdict);
}

/* CANDIDATES: of const Device *; EXCLUDED: of Excluded. NODE: no other device is asked about; -1:
 * all are. */
static void sort_out(Agent *agent, const Snapshot *snapshot, gint64 node, GPtrArray *candidates,
                     GArray *excluded)
{
    for (guint32 i = 0; i < snapshot->device_count; i++) {
        const Device *device = &snapshot->devices[i];
        if (node >= 0 && device->node != node)
            continue;
        UnplugVerdict *verdict = unplugger_check_briefly(agent->unplugger, device, FALSE);

        if (verdict->can_prepare && device->block_count > 0 && candidates->len < PLAN_DEVICES_MAX) {
            g_ptr_array_add(candidates, (gpointer)device);
            unplug_verdict_free(verdict);
            continue;
        }
        Excluded entry = {.device = device, .verdict = verdict};
        g_array_append_val(excluded, entry);
    }
}

static UnplugPlan *make_plan(Agent *agent, const Snapshot *snapshot, const GPtrArray *candidates,
                             guint64 bytes, gboolean allow_more)
{
    g_autofree PlanDevice *devices = g_new0(PlanDevice, candidates->len + 1);
    g_autofree PageSample *samples =
        contents_of_devices(agent->io, snapshot, (const Device *const *)candidates->pdata,
                            candidates->len, CONTENTS_BUDGET_USEC);

    for (guint i = 0; i < candidates->len; i++) {
        const Device *device = candidates->pdata[i];
        guint64 online = device->online_movable_bytes + device->online_kernel_bytes;
        devices[i].size_bytes = device->size_bytes;
        devices[i].has_cpus = node_has_cpus(agent->io, device->node);
        devices[i].used_pages = page_sample_estimate_used(&samples[i], pages_in_bytes(online));
    }
    return unplug_plan(devices, candidates->len, bytes, allow_more);
}

static void reply_choice(QgaWriter *writer, const PlanChoice *choice, const GPtrArray *candidates)
{
    qga_writer_member_uint(writer, "bytes", choice->bytes);
    qga_writer_member_array(writer, "devices");
    for (guint i = 0; i < choice->n_devices; i++) {
        const Device *device = candidates->pdata[choice->devices[i]];
        qga_writer_string(writer, device->id);
    }
    qga_writer_end_array(writer);
}

static void reply_plan(QgaWriter *writer, const UnplugPlan *plan, const GPtrArray *candidates,
                       const GArray *excluded)
{
    qga_writer_begin_object(writer);
    reply_choice(writer, &plan->best, candidates);
    if (plan->has_next_above) {
        qga_writer_member_object(writer, "next-above");
        reply_choice(writer, &plan->next_above, candidates);
        qga_writer_end_object(writer);
    }
    qga_writer_member_array(writer, "excluded");
    for (guint i = 0; i < excluded->len; i++) {
        const Excluded *entry = &g_array_index(excluded, Excluded, i);
        qga_writer_begin_object(writer);
        qga_writer_member_string(writer, "device", entry->device->id);
        reply_reasons(writer, "reasons", entry->verdict->reasons);
        qga_writer_end_object(writer);
    }
    qga_writer_end_array(writer);
    qga_writer_end_object(writer);
}

static void plan_unplug(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    Agent *agent = user_data;
    const Snapshot *snapshot = model_keeper_catch_up_for_answer(agent->keeper);
    guint64 bytes = (guint64)json_object_get_int_member(arguments, "bytes");
    gboolean allow_more = json_object_has_member(arguments, "allow-more") &&
                          json_object_get_boolean_member(arguments, "allow-more");
    g_autoptr(GPtrArray) candidates = g_ptr_array_new();
    g_autoptr(GArray) excluded = g_array_new(FALSE, FALSE, sizeof(Excluded));
    g_autoptr(GError) error = NULL;
    guint64 node;

    if (!arguments_uint(arguments, "node", 0, NODES_MAX - 1, G_MAXUINT64, &node, &error)) {
        qga_call_fail_error(call, error);
        return;
    }
    g_array_set_clear_func(excluded, excluded_clear);
    sort_out(agent, snapshot, (gint64)node, candidates, excluded);
    g_autoptr(UnplugPlan) plan = make_plan(agent, snapshot, candidates, bytes, allow_more);
    if (!plan) {
        qga_call_fail(call, QGA_CLASS_GENERIC,
                      "The sizes of the memory devices have too little in common to plan with");
        return;
    }
    reply_plan(qga_call_begin_return(call), plan, candidates, excluded);
    qga_call_end_return(call);
}

void commands_plan_register(QgaDispatch *dispatch, Agent *agent)
{
    qga_dispatch_register(dispatch, "memory-plan-unplug", plan_unplug, agent);
}
