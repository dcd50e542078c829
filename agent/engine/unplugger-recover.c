/*
 * Where the journal cannot be believed: the blocks that an earlier daemon may have kept offline are
 * found by looking.
 *
 * Every block of a DIMM that is offline and that no other job has becomes part of one job that is
 * rolling back. So they come back as any rolled back block does: behind the barrier (an eject may
 * be in flight, for one of the lost jobs may have been ready), as movable, tried until the kernel
 * lets it, and shown to clients. This goes for blocks that an administrator took offline too:
 * nothing tells them apart any more, and memory that is online by mistake hurts less than memory
 * that is lost.
 */
#include "engine/unplugger-private.h"

/* DEVICE's number in JOB, added if need be; UNPLUG_DEVICES_MAX: JOB has no room for it. */
static guint add_device(UnplugJob *job, GArray *selectors, const Device *device)
{
    for (guint i = 0; i < job->devices->len; i++) {
        if (g_str_equal(g_array_index(job->devices, JobDevice, i).id, device->id))
            return i;
    }
    if (job->devices->len == UNPLUG_DEVICES_MAX)
        return UNPLUG_DEVICES_MAX;
    JobDevice entry = {.reasons = reason_list_new()};
    DeviceSelector selector = {.kind = SELECT_ID};
    g_strlcpy(entry.id, device->id, sizeof entry.id);
    g_strlcpy(selector.id, device->id, sizeof selector.id);
    g_array_append_val(job->devices, entry);
    g_array_append_val(selectors, selector);
    return job->devices->len - 1;
}

static void add_blocks(const Unplugger *unplugger, UnplugJob *job, GArray *selectors)
{
    const Snapshot *snapshot = model_keeper_snapshot(unplugger->config.keeper);

    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];
        const Device *device = snapshot_block_device(snapshot, block);

        if (block->state == BLOCK_STATE_ONLINE || device == NULL || device->kind != DEVICE_DIMM ||
            unplug_machine_owner(unplugger->machine, block->index, block->inode))
            continue;
        guint number = add_device(job, selectors, device);
        if (number == UNPLUG_DEVICES_MAX)
            continue;
        JobBlock entry = {.index = block->index,
                          .inode = block->inode,
                          .device = (guint16)number,
                          .phase = JOB_BLOCK_OFFLINED};
        g_array_append_val(job->blocks, entry);
    }
}

void unplugger_recover(Unplugger *unplugger)
{
    g_autoptr(GArray) selectors = g_array_new(FALSE, TRUE, sizeof(DeviceSelector));
    gint64 now_usec = g_get_monotonic_time();
    const UnplugJob empty = {.id = unplug_machine_next_job_id(unplugger->machine),
                             .state = JOB_ROLLING_BACK,
                             .outcome = JOB_FAILED,
                             .submitted_usec = now_usec,
                             .started_usec = now_usec,
                             .block_size_bytes =
                                 model_keeper_snapshot(unplugger->config.keeper)->block_size_bytes};
    g_autoptr(UnplugJob) job = unplug_job_copy(&empty); /* with empty lists */

    add_blocks(unplugger, job, selectors);
    if (job->blocks->len == 0)
        return;
    g_free(job->selectors);
    job->n_selectors = selectors->len;
    job->selectors = g_new(DeviceSelector, selectors->len);
    for (guint i = 0; i < selectors->len; i++)
        job->selectors[i] = g_array_index(selectors, DeviceSelector, i);
    g_ptr_array_add(
        job->reasons,
        reason_new(REASON_ERROR, NULL, -1, 0,
                   "the journal of an earlier daemon could not be used, so the %u blocks "
                   "that it may have kept offline are brought back; see the log",
                   job->blocks->len));
    if (unplug_machine_restore(unplugger->machine, job))
        g_message("job %" G_GUINT64_FORMAT " brings %u blocks back that no job of the journal owns",
                  job->id, job->blocks->len);
}
