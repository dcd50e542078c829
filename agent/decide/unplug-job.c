/*
 * The data of one unplug job: making, copying and freeing it, and the figures that clients see.
 *
 * Nothing in here decides what happens to a job.
 */
#include "decide/unplug-private.h"

#include <string.h>

static const char *const state_names[] = {
    [JOB_QUEUED] = "queued", [JOB_CHECKING] = "checking",         [JOB_OFFLINING] = "offlining",
    [JOB_READY] = "ready",   [JOB_ROLLING_BACK] = "rolling-back", [JOB_UNPLUGGED] = "unplugged",
    [JOB_FAILED] = "failed", [JOB_CANCELLED] = "cancelled",       [JOB_EXPIRED] = "expired",
};

/* STATE as the protocol writes it. Static; "failed" for what is no state. */
const char *job_state_name(JobState state)
{
    return (guint)state < G_N_ELEMENTS(state_names) ? state_names[state] : "failed";
}

/* The state that NAME (not NULL) stands for. *STATE is written on success only. */
gboolean job_state_parse(const char *name, JobState *state)
{
    for (guint i = 0; i < G_N_ELEMENTS(state_names); i++) {
        if (g_str_equal(name, state_names[i])) {
            *state = i;
            return TRUE;
        }
    }
    return FALSE;
}

/* Whether nothing more happens to a job in STATE. */
gboolean job_state_is_ended(JobState state)
{
    return state >= JOB_UNPLUGGED;
}

static void device_clear(gpointer data)
{
    JobDevice *device = data;

    g_ptr_array_unref(device->reasons);
}

/* An empty list of devices that frees what they own. */
GArray *job_devices_new(void)
{
    GArray *devices = g_array_new(FALSE, TRUE, sizeof(JobDevice));

    g_array_set_clear_func(devices, device_clear);
    return devices;
}

/* Appends a device without reasons. An ID that is too long is cut. */
void job_add_device(UnplugJob *pub, const char *id)
{
    JobDevice device = {.reasons = reason_list_new()};

    g_strlcpy(device.id, id, sizeof(device.id));
    g_array_append_val(pub->devices, device);
}

static GPtrArray *reasons_copy(const GPtrArray *reasons)
{
    GPtrArray *copy = reason_list_new();

    for (guint i = 0; reasons != NULL && i < reasons->len && i < UNPLUG_REASONS_MAX; i++)
        g_ptr_array_add(copy, reason_copy(g_ptr_array_index(reasons, i)));
    return copy;
}

/* A job that shares nothing with JOB; lists that are NULL there are empty here. */
UnplugJob *unplug_job_copy(const UnplugJob *job)
{
    UnplugJob *copy = g_new0(UnplugJob, 1);

    *copy = *job;
    copy->key = g_strdup(job->key);
    copy->selectors = g_new0(DeviceSelector, job->n_selectors);
    if (job->n_selectors > 0)
        memcpy(copy->selectors, job->selectors, job->n_selectors * sizeof(DeviceSelector));
    copy->reasons = reasons_copy(job->reasons);
    copy->blocks = g_array_new(FALSE, TRUE, sizeof(JobBlock));
    if (job->blocks != NULL && job->blocks->len > 0)
        g_array_append_vals(copy->blocks, job->blocks->data, job->blocks->len);
    copy->devices = job_devices_new();
    for (guint i = 0; job->devices != NULL && i < job->devices->len; i++) {
        JobDevice device = g_array_index(job->devices, JobDevice, i);

        device.id[sizeof(device.id) - 1] = '\0';
        device.reasons = reasons_copy(device.reasons);
        g_array_append_val(copy->devices, device);
    }
    return copy;
}

/* Frees what PUB owns, not PUB itself. Lists may be NULL. */
void unplug_job_clear(UnplugJob *pub)
{
    g_free(pub->key);
    g_free(pub->selectors);
    g_clear_pointer(&pub->devices, g_array_unref);
    g_clear_pointer(&pub->blocks, g_array_unref);
    g_clear_pointer(&pub->reasons, g_ptr_array_unref);
}

/* Accepts NULL. */
void unplug_job_free(UnplugJob *job)
{
    if (job == NULL)
        return;
    unplug_job_clear(job);
    g_free(job);
}

/* PUB's contents are moved: it must not be used or cleared afterwards. */
Job *job_new(const UnplugJob *pub)
{
    Job *job = g_new0(Job, 1);

    job->pub = *pub;
    job->tracks = g_array_new(FALSE, TRUE, sizeof(BlockTrack));
    job->by_index = g_array_new(FALSE, FALSE, sizeof(guint32));
    return job;
}

/* Accepts NULL. */
void job_free(Job *job)
{
    if (job == NULL)
        return;
    unplug_job_clear(&job->pub);
    g_array_unref(job->tracks);
    g_array_unref(job->by_index);
    g_free(job);
}

JobBlock *job_block(const Job *job, guint position)
{
    return &g_array_index(job->pub.blocks, JobBlock, position);
}

BlockTrack *job_track(const Job *job, guint position)
{
    return &g_array_index(job->tracks, BlockTrack, position);
}

static int compare_positions(gconstpointer a, gconstpointer b, gpointer user_data)
{
    const Job *job = user_data;
    guint32 index_a = job_block(job, *(const guint32 *)a)->index;
    guint32 index_b = job_block(job, *(const guint32 *)b)->index;

    return (index_a > index_b) - (index_a < index_b);
}

/* After pub.blocks was filled: makes its blocks findable. FALSE if two have the same index. */
gboolean job_index_blocks(Job *job)
{
    guint n_blocks = job->pub.blocks->len;

    g_array_set_size(job->tracks, 0);
    g_array_set_size(job->tracks, n_blocks);
    g_array_set_size(job->by_index, 0);
    for (guint32 i = 0; i < n_blocks; i++)
        g_array_append_val(job->by_index, i);
    g_array_sort_with_data(job->by_index, compare_positions, job);
    for (guint i = 1; i < n_blocks; i++) {
        if (compare_positions(&g_array_index(job->by_index, guint32, i - 1),
                              &g_array_index(job->by_index, guint32, i), job) == 0)
            return FALSE;
    }
    return TRUE;
}

/* The position of the block INDEX, whatever its inode. *POSITION is written on success only. */
gboolean job_find_block(const Job *job, guint32 index, guint *position)
{
    guint low = 0;
    guint high = job->by_index->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        guint32 candidate = g_array_index(job->by_index, guint32, middle);
        guint32 found = job_block(job, candidate)->index;

        if (found == index) {
            *position = candidate;
            return TRUE;
        }
        if (found < index)
            low = middle + 1;
        else
            high = middle;
    }
    return FALSE;
}

/* How many blocks are in PHASE. */
guint job_count(const Job *job, JobBlockPhase phase)
{
    guint count = 0;

    for (guint i = 0; i < job->pub.blocks->len; i++)
        count += job_block(job, i)->phase == phase;
    return count;
}

/* What a device in a request is called until a check has found it. */
static void add_selected_device(UnplugJob *pub, const DeviceSelector *selector)
{
    char text[DEVICE_SELECTOR_TEXT_MAX];

    switch (selector->kind) {
    case SELECT_SLOT:
        g_snprintf(text, sizeof(text), "slot%" G_GINT64_FORMAT, selector->slot);
        break;
    case SELECT_ID:
        g_strlcpy(text, selector->id, MIN(sizeof(text), sizeof(selector->id)));
        break;
    case SELECT_RANGE:
    default:
        g_snprintf(text, sizeof(text), "0x%" G_GINT64_MODIFIER "x", selector->address);
        break;
    }
    job_add_device(pub, text);
}

/* Puts a job back to what SUBMIT made of it: nothing is known but what was asked. */
void job_reset(Job *job)
{
    UnplugJob *pub = &job->pub;

    g_array_set_size(pub->devices, 0);
    for (guint i = 0; i < pub->n_selectors; i++)
        add_selected_device(pub, &pub->selectors[i]);
    g_array_set_size(pub->blocks, 0);
    job_index_blocks(job);
    g_ptr_array_set_size(pub->reasons, 0);
    pub->state = JOB_QUEUED;
    pub->started_usec = 0;
    pub->deadline_usec = 0;
    pub->lease_end_usec = 0;
    pub->ended_usec = 0;
    pub->was_reoffline = FALSE;
    pub->attempt_running = FALSE;
}

/* Takes REASON over. A copy goes to the device that it names, if the job has that. */
void job_add_reason(Job *job, Reason *reason)
{
    if (job->pub.reasons->len >= UNPLUG_REASONS_MAX) {
        reason_free(reason);
        return;
    }
    for (guint i = 0; reason->device != NULL && i < job->pub.devices->len; i++) {
        JobDevice *device = &g_array_index(job->pub.devices, JobDevice, i);

        if (g_str_equal(device->id, reason->device)) {
            g_ptr_array_add(device->reasons, reason_copy(reason));
            break;
        }
    }
    g_ptr_array_add(job->pub.reasons, reason);
}

/* What clients see of JOB's progress. */
UnplugProgress unplug_job_progress(const UnplugJob *job, gint64 now_usec)
{
    UnplugProgress progress = {.lease_left_usec = -1};
    gint64 until_usec = job_state_is_ended(job->state) ? job->ended_usec : now_usec;

    progress.blocks_total = job->blocks->len;
    for (guint i = 0; i < job->blocks->len; i++)
        progress.blocks_done += g_array_index(job->blocks, JobBlock, i).phase != JOB_BLOCK_ONLINE;
    if (job->attempt_running && progress.blocks_done > 0)
        progress.blocks_done--;
    progress.bytes = job->blocks->len * job->block_size_bytes;
    progress.elapsed_usec = MAX(until_usec - job->submitted_usec, 0);
    if (job->state == JOB_READY || (job->state == JOB_OFFLINING && job->lease_end_usec != 0))
        progress.lease_left_usec = MAX(job->lease_end_usec - now_usec, 0);
    return progress;
}

/* The state of the device at position DEVICE of JOB, as a static word. */
const char *unplug_job_device_state(const UnplugJob *job, guint device)
{
    guint n_blocks = 0;
    guint n_gone = 0;
    guint n_was_offline = 0;

    for (guint i = 0; i < job->blocks->len; i++) {
        const JobBlock *block = &g_array_index(job->blocks, JobBlock, i);

        if (block->device != device)
            continue;
        n_blocks++;
        n_gone += block->phase == JOB_BLOCK_GONE;
        n_was_offline += block->phase == JOB_BLOCK_WAS_OFFLINE;
    }
    if (n_blocks > 0 && n_gone == n_blocks)
        return "unplugged";
    if (job->state == JOB_READY)
        return "ready";
    if (!job_state_is_ended(job->state))
        return "preparing";
    return n_blocks > 0 && n_gone + n_was_offline == n_blocks ? "offline" : "in-use";
}
