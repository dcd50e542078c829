/*
 * The status line. It takes the model as it is and never makes it look: a line for a person is not
 * worth a system call.
 */
#include "front/status-line.h"

#include "front/agent-private.h"
#include "system/units.h"

static void append_memory(GString *line, const Snapshot *snapshot)
{
    guint64 movable_bytes = 0, online_bytes = 0;
    char movable[UNITS_BYTES_MAX], online[UNITS_BYTES_MAX];

    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];
        const Device *device = snapshot_block_device(snapshot, block);
        if (block->state != BLOCK_STATE_ONLINE)
            continue;
        online_bytes += snapshot->block_size_bytes;
        if (block->zone == ZONE_MOVABLE && (!device || device->kind != DEVICE_BOOT))
            movable_bytes += snapshot->block_size_bytes;
    }
    g_string_append_printf(line, "%s of %s is online as movable",
                           units_format_bytes(movable_bytes, movable),
                           units_format_bytes(online_bytes, online));
}

static void append_job(GString *line, const UnplugJob *job)
{
    UnplugProgress progress = unplug_job_progress(job, g_get_monotonic_time());

    g_string_append_printf(line, "; job %" G_GUINT64_FORMAT " %s", job->id,
                           job_state_name(job->state));
    if (progress.blocks_total > 0)
        g_string_append_printf(line, " (%u of %u blocks)", progress.blocks_done,
                               progress.blocks_total);
}

char *status_line(Agent *agent)
{
    GString *line = g_string_new(NULL);
    g_autoptr(GPtrArray) jobs = unplug_machine_list(unplugger_machine(agent->unplugger));

    append_memory(line, model_keeper_snapshot(agent->keeper));
    for (guint i = 0; i < jobs->len; i++) {
        const UnplugJob *job = jobs->pdata[i];
        if (!job_state_is_ended(job->state))
            append_job(line, job);
    }
    if (*channel_error(agent->channel))
        g_string_append_printf(line, "; %s", channel_error(agent->channel));
    return g_string_free(line, FALSE);
}

static gboolean on_idle(gpointer user_data)
{
    Agent *agent = user_data;
    g_autofree char *line = status_line(agent);

    agent->status_idle = 0;
    service_status(agent->service, line);
    return G_SOURCE_REMOVE;
}

void status_line_queue_update(Agent *agent)
{
    /* Before it is up there is nothing to tell, and once it stops there is only one thing. */
    if (agent->is_up && !agent->status_idle)
        agent->status_idle = g_idle_add(on_idle, agent);
}
