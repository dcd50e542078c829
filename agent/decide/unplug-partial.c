/*
 * allow-partial: devices that cannot go are given back, and the job goes on with the rest.
 *
 * Such a device is marked, and its blocks stay the job's until they are online again: the job is
 * rolling back meanwhile, and offlines again afterwards. Then the job has these blocks no more, so
 * that everything else (ready, the lease, the end) knows only of devices that go.
 */
#include "decide/unplug-private.h"

static JobDevice *device_at(const Job *job, guint device)
{
    return &g_array_index(job->pub.devices, JobDevice, device);
}

/* Whether the block at POSITION is of a device that goes, while the job gives others back. */
gboolean partial_is_kept(const Job *job, guint position)
{
    return job->pub.state == JOB_ROLLING_BACK && job->pub.outcome == JOB_OFFLINING &&
           !device_at(job, job_block(job, position)->device)->is_given_back;
}

/* How many blocks JOB has to bring back. */
guint partial_count_back(const Job *job)
{
    guint count = 0;

    for (guint i = 0; i < job->pub.blocks->len; i++)
        count += job_block(job, i)->phase == JOB_BLOCK_OFFLINED && !partial_is_kept(job, i);
    return count;
}

/* Marks the device of the block at POSITION, or, where that is negative, each that has a block
 * missing. FALSE, and nothing is marked: then none would be left that goes, or JOB goes as a whole
 * or not at all, and must not go on. */
gboolean partial_give_back(Job *job, gint64 position)
{
    guint n_devices = job->pub.devices->len;
    g_autofree gboolean *goes = g_new0(gboolean, n_devices);
    g_autofree gboolean *leaves = g_new0(gboolean, n_devices);
    guint n_going = 0, n_leaving = 0;

    if (!job->pub.allow_partial || job->pub.lease_end_usec != 0)
        return FALSE;
    for (guint i = 0; i < job->pub.blocks->len; i++) {
        guint device = job_block(job, i)->device;

        goes[device] |= job_block(job, i)->phase != JOB_BLOCK_GONE;
        leaves[device] |= position < 0 ? job_is_missing(job, i) : (guint)position == i;
    }
    for (guint i = 0; i < n_devices; i++) {
        n_going += goes[i] && !leaves[i];
        n_leaving += leaves[i];
    }
    if (n_going == 0 || n_leaving == 0)
        return FALSE;
    for (guint i = 0; i < n_devices; i++)
        device_at(job, i)->is_given_back |= leaves[i];
    return TRUE;
}

/* What JOB gave back is back: it has those blocks no more. */
void partial_drop(Job *job)
{
    for (guint i = job->pub.blocks->len; i > 0; i--) {
        if (device_at(job, job_block(job, i - 1)->device)->is_given_back)
            g_array_remove_index(job->pub.blocks, i - 1);
    }
    job->n_let_go = MIN(job->n_let_go, job_count(job, JOB_BLOCK_GONE));
    job_index_blocks(job);
}
