/*
 * A job's way to its first attempt: queued, then checking.
 *
 * Nothing in here touches a block. A refusal is a job that failed, with reasons; only what cannot
 * be a job (a full queue, a key that means something else, a daemon that ends) is refused as such.
 */
#include "decide/unplug-private.h"

#include <string.h>

#include "system/units.h"

/* By the words of the request alone: a device of it may be gone by now, or another be there. The
 * id of a DIMM is made of its slot, so that these two are the same words. */
static gboolean selector_equal(const DeviceSelector *a, const DeviceSelector *b)
{
    char text_a[DEVICE_SELECTOR_TEXT_MAX], text_b[DEVICE_SELECTOR_TEXT_MAX];

    if ((a->kind == SELECT_RANGE) != (b->kind == SELECT_RANGE) || a->bytes != b->bytes)
        return FALSE;
    if (a->kind == SELECT_RANGE)
        return a->address == b->address && a->size_bytes == b->size_bytes;
    format_selector(a, text_a);
    format_selector(b, text_b);
    return g_str_equal(text_a, text_b);
}

static gboolean asks_for_the_same(const UnplugJob *job, const UnplugSubmit *submit)
{
    if (job->n_selectors != submit->n_selectors || job->allow_partial != submit->allow_partial ||
        job->reclaim != submit->reclaim)
        return FALSE;
    for (guint i = 0; i < submit->n_selectors; i++) {
        if (!selector_equal(&job->selectors[i], &submit->selectors[i]))
            return FALSE;
    }
    return TRUE;
}

static Job *find_by_key(const UnplugMachine *machine, const char *key)
{
    for (guint i = 0; key != NULL && i < machine->jobs->len; i++) {
        Job *job = machine_job(machine, i);

        if (!job_state_is_ended(job->pub.state) && g_strcmp0(job->pub.key, key) == 0)
            return job;
    }
    return NULL;
}

static Job *add_job(Step *step, const UnplugSubmit *submit)
{
    UnplugJob request = {
        .id = step->machine->next_id++,
        .state = JOB_QUEUED,
        .outcome = JOB_FAILED,
        .key = (char *)submit->key,
        .selectors = (DeviceSelector *)submit->selectors,
        .n_selectors = submit->n_selectors,
        .timeout_ms = MIN(submit->timeout_ms, UNPLUG_TIMEOUT_MAX_MS),
        .lease_ms = MIN(submit->lease_ms, UNPLUG_LEASE_MAX_MS),
        .allow_partial = submit->allow_partial,
        .reclaim = submit->reclaim,
        .submitted_usec = step->world.now_usec,
    };
    UnplugJob *pub = unplug_job_copy(&request);
    Job *job = job_new(pub);

    g_free(pub); /* its contents are the job's now */
    job_reset(job);
    g_ptr_array_add(step->machine->jobs, job);
    return job;
}

/* SUBMIT. *JOB_ID (may be NULL) is written on success only. */
UnplugResult submit_job(Step *step, const UnplugSubmit *submit, guint64 *job_id)
{
    Job *job;

    if (step->machine->is_stopping)
        return UNPLUG_STOPPING;
    job = find_by_key(step->machine, submit->key);
    if (job != NULL && !asks_for_the_same(&job->pub, submit))
        return UNPLUG_KEY_CONFLICT;
    if (job != NULL) {
        if (job->pub.state == JOB_READY)
            ready_renew(step, job, submit->lease_ms);
    } else {
        if (machine_count(step->machine, JOB_QUEUED) >= UNPLUG_QUEUE_MAX)
            return UNPLUG_QUEUE_FULL;
        job = add_job(step, submit);
        job_enter(step, job, JOB_QUEUED);
    }
    if (job_id != NULL)
        *job_id = job->pub.id;
    return UNPLUG_OK;
}

/* The job that waits longest, once no other occupies the worker. */
gboolean submit_start_next(Step *step)
{
    UnplugMachine *machine = step->machine;

    if (machine_count(machine, JOB_CHECKING) > 0 || machine_count(machine, JOB_ASKING) > 0 ||
        machine_count(machine, JOB_OFFLINING) > 0 || machine_count(machine, JOB_ROLLING_BACK) > 0)
        return FALSE;
    for (guint i = 0; i < machine->jobs->len; i++) {
        Job *job = machine_job(machine, i);

        if (job->pub.state != JOB_QUEUED)
            continue;
        job->pub.started_usec = step->world.now_usec;
        job_enter(step, job, JOB_CHECKING);
        step_add_action(step, ACTION_CHECK, job);
        return TRUE;
    }
    return FALSE;
}

/* The blocks as the check found them, each once. A block that another job has is a refusal: the
 * check has been told so, but two jobs with one block would break every promise. */
static void take_blocks(const UnplugMachine *machine, Job *job, const UnplugChecked *checked)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    for (guint i = 0; i < checked->n_blocks; i++) {
        JobBlock block = checked->blocks[i];
        const UnplugJob *owner = unplug_machine_owner(machine, block.index, block.inode);

        if (block.device >= checked->n_devices)
            continue;
        if (!g_hash_table_add(seen, GUINT_TO_POINTER(block.index)))
            continue;
        if (owner != NULL)
            job_add_reason(job, reason_new(REASON_ALREADY_PREPARING,
                                           checked->device_ids[block.device], block.index, 0,
                                           "job %" G_GUINT64_FORMAT " has block %u; wait for it or "
                                           "cancel it",
                                           owner->id, block.index));
        if (block.phase != JOB_BLOCK_WAS_OFFLINE)
            block.phase = JOB_BLOCK_ONLINE;
        g_array_append_val(job->pub.blocks, block);
    }
}

/* Devices that the check has left out of JOB, each with its reason. */
static void leave_out(Job *job, const GPtrArray *reasons)
{
    for (guint i = 0; reasons != NULL && i < reasons->len; i++) {
        const Reason *reason = g_ptr_array_index(reasons, i);
        JobDevice *device = NULL;

        for (guint d = 0; reason->device != NULL && d < job->pub.devices->len; d++) {
            if (g_str_equal(g_array_index(job->pub.devices, JobDevice, d).id, reason->device))
                device = &g_array_index(job->pub.devices, JobDevice, d);
        }
        if (device == NULL && reason->device != NULL &&
            job->pub.devices->len < UNPLUG_DEVICES_MAX) {
            job_add_device(&job->pub, reason->device);
            device = &g_array_index(job->pub.devices, JobDevice, job->pub.devices->len - 1);
        }
        if (device != NULL)
            device->is_given_back = TRUE;
        job_add_reason(job, reason_copy(reason));
    }
}

/* Where applications are asked first, want of memory alone refuses nothing yet. */
static gboolean is_refused(const UnplugJob *job, gboolean asks)
{
    return reason_list_refuses(job->reasons) && !(asks && reason_list_lacks_room(job->reasons));
}

/* CHECKED: the check of JOB is over. */
void submit_checked(Step *step, Job *job, const UnplugChecked *checked)
{
    UnplugJob *pub = &job->pub;
    gboolean asks = step->world.oldest_delay != 0 && checked->application_delay_ms > 0;

    if (pub->state == JOB_ASKING ? !ask_is_over(step, job, checked) : pub->state != JOB_CHECKING)
        return;
    asks &= pub->state == JOB_CHECKING;
    if (checked->n_devices > 0)
        g_array_set_size(pub->devices, 0);
    for (guint i = 0; i < checked->n_devices; i++)
        job_add_device(pub, checked->device_ids[i]);
    job_add_reasons(job, checked->reasons);
    if (pub->timeout_ms == 0)
        pub->timeout_ms = MIN(checked->default_timeout_ms, UNPLUG_TIMEOUT_MAX_MS);
    pub->block_size_bytes = checked->block_size_bytes;
    pub->reserve_bytes = checked->reserve_bytes;
    if (!is_refused(pub, asks))
        take_blocks(step->machine, job, checked);
    if (!is_refused(pub, asks) && pub->blocks->len == 0)
        job_add_reason(job,
                       reason_new(REASON_ERROR, NULL, -1, 0,
                                  "the devices have no memory blocks; nothing can be unplugged"));
    if (is_refused(pub, asks)) {
        g_array_set_size(pub->blocks, 0);
        leave_out(job, checked->left_out);
        job_enter(step, job, JOB_FAILED);
        return;
    }
    leave_out(job, checked->left_out);
    job_index_blocks(job);
    pub->deadline_usec = pub->started_usec + (gint64)pub->timeout_ms * USEC_PER_MSEC;
    if (asks) {
        ask_enter(step, job, checked->application_delay_ms);
        return;
    }
    pools_begin(step, job);
    offline_enter(step, job, pub->deadline_usec);
}
