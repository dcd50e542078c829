/*
 * The data of the jobs: making, copying, freeing and finding them, the figures that clients see,
 * and the few things that every state does to a job (enter a state, wait, ask for a look).
 *
 * Nothing in here decides what happens to a job.
 */
#include "decide/unplug-private.h"

#include <string.h>

static const char *const state_names[] = {
    [JOB_QUEUED] = "queued",       [JOB_CHECKING] = "checking", [JOB_ASKING] = "asking",
    [JOB_OFFLINING] = "offlining", [JOB_READY] = "ready",       [JOB_ROLLING_BACK] = "rolling-back",
    [JOB_UNPLUGGED] = "unplugged", [JOB_FAILED] = "failed",     [JOB_CANCELLED] = "cancelled",
    [JOB_EXPIRED] = "expired",
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
    copy->pools = g_array_new(FALSE, TRUE, sizeof(JobPool));
    if (job->pools != NULL && job->pools->len > 0)
        g_array_append_vals(copy->pools, job->pools->data, job->pools->len);
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
    g_clear_pointer(&pub->pools, g_array_unref);
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

/* Whether the block at POSITION does not count as offline. */
gboolean job_is_missing(const Job *job, guint position)
{
    const BlockTrack *track = job_track(job, position);

    return job_block(job, position)->phase == JOB_BLOCK_ONLINE || track->is_changing ||
           track->is_tried;
}

/* What a device in a request is called until a check has found it, into
 * TEXT[DEVICE_SELECTOR_TEXT_MAX]. */
void format_selector(const DeviceSelector *selector, char *text)
{
    const gsize size = DEVICE_SELECTOR_TEXT_MAX;

    switch (selector->kind) {
    case SELECT_SLOT:
        g_snprintf(text, size, "slot%" G_GINT64_FORMAT, selector->slot);
        break;
    case SELECT_ID:
        g_strlcpy(text, selector->id, MIN(size, sizeof(selector->id)));
        break;
    case SELECT_RANGE:
    default:
        g_snprintf(text, size, "0x%" G_GINT64_MODIFIER "x", selector->address);
        break;
    }
}

static void add_selected_device(UnplugJob *pub, const DeviceSelector *selector)
{
    char text[DEVICE_SELECTOR_TEXT_MAX];

    format_selector(selector, text);
    job_add_device(pub, text);
}

/* JOB has no reasons any more, and its devices neither. */
void job_drop_reasons(Job *job)
{
    g_ptr_array_set_size(job->pub.reasons, 0);
    for (guint i = 0; i < job->pub.devices->len; i++)
        g_ptr_array_set_size(g_array_index(job->pub.devices, JobDevice, i).reasons, 0);
    job->rest = NULL;
    job->n_left_out = 0;
}

/* Puts a job back to what SUBMIT made of it: nothing is known but what was asked. */
void job_reset(Job *job)
{
    UnplugJob *pub = &job->pub;

    g_array_set_size(pub->devices, 0);
    for (guint i = 0; i < pub->n_selectors; i++)
        add_selected_device(pub, &pub->selectors[i]);
    g_array_set_size(pub->blocks, 0);
    g_array_set_size(pub->pools, 0);
    job_index_blocks(job);
    job_drop_reasons(job);
    pub->state = JOB_QUEUED;
    pub->started_usec = 0;
    pub->deadline_usec = 0;
    pub->ask_end_usec = 0;
    pub->lease_end_usec = 0;
    pub->ended_usec = 0;
    pub->was_reoffline = FALSE;
    pub->attempt_running = FALSE;
}

/* Takes REASON over, which has no room in the list: it only counts. The reason that counts has the
 * code of the first one that refuses, as a job with a refusal must not be taken for one without. */
static void count_reason(Job *job, Reason *reason)
{
    GPtrArray *reasons = job->pub.reasons;

    job->n_left_out++;
    if (!job->rest) {
        if (reasons->len >= UNPLUG_REASONS_MAX) { /* full since a restart of the daemon */
            reason_free(reason);
            return;
        }
        job->rest = reason_new(reason->code, NULL, -1, 0, "%s", "");
        job->rest->is_warning = reason->is_warning;
        g_ptr_array_add(reasons, job->rest);
    } else if (job->rest->is_warning && !reason->is_warning) {
        job->rest->code = reason->code;
        job->rest->is_warning = FALSE;
    }
    reason_free(reason);
    g_free(job->rest->desc);
    job->rest->desc = g_strdup_printf("and %u more reasons, which are not listed", job->n_left_out);
}

/* Takes REASON over. A copy goes to the device that it names, if the job has that. */
void job_add_reason(Job *job, Reason *reason)
{
    gboolean is_named = reason->device != NULL || reason->block >= 0;
    guint max = is_named ? UNPLUG_REASONS_NAMED_MAX : UNPLUG_REASONS_MAX - 1;

    if (job->pub.reasons->len >= max) {
        count_reason(job, reason);
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

/* Copies of REASONS (NULL: none). */
void job_add_reasons(Job *job, const GPtrArray *reasons)
{
    for (guint i = 0; reasons != NULL && i < reasons->len; i++)
        job_add_reason(job, reason_copy(g_ptr_array_index(reasons, i)));
}

gboolean unplug_job_begins(const UnplugJob *job, JobState state)
{
    return state == JOB_ASKING ||
           (state == JOB_OFFLINING && job->ask_end_usec == 0 && job->lease_end_usec == 0);
}

/* A job that the check refuses has no blocks. */
gboolean unplug_job_had_begun(const UnplugJob *job)
{
    return job->blocks->len > 0 || job->ask_end_usec != 0;
}

guint64 unplug_job_gone_bytes(const UnplugJob *job)
{
    guint64 bytes = 0;

    for (guint i = 0; i < job->blocks->len; i++) {
        if (g_array_index(job->blocks, JobBlock, i).phase == JOB_BLOCK_GONE)
            bytes += job->block_size_bytes;
    }
    return bytes;
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

/* Whether nothing answered to the name of the device at position DEVICE. */
static gboolean is_absent(const UnplugJob *job, guint device)
{
    for (guint i = 0; i < job->reasons->len; i++) {
        const Reason *reason = job->reasons->pdata[i];
        if (reason->code == REASON_NO_SUCH_DEVICE &&
            g_strcmp0(reason->device, g_array_index(job->devices, JobDevice, device).id) == 0)
            return TRUE;
    }
    return FALSE;
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
    if (n_blocks == 0 && g_array_index(job->devices, JobDevice, device).is_given_back)
        return "in-use";
    if (job->state == JOB_READY)
        return "ready";
    if (!job_state_is_ended(job->state))
        return "preparing";
    if (n_blocks == 0 && is_absent(job, device))
        return "absent";
    return n_blocks > 0 && n_gone + n_was_offline == n_blocks ? "offline" : "in-use";
}

/* --- the machine's jobs, and what all states share --- */

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

/* The job that has not ended and has the block (INDEX, INODE), or NULL. *POSITION: where. */
Job *machine_owner(const UnplugMachine *machine, guint32 index, guint64 inode, guint *position)
{
    for (guint i = 0; i < machine->jobs->len; i++) {
        Job *job = machine_job(machine, i);

        if (!job_state_is_ended(job->pub.state) && job_find_block(job, index, position) &&
            job_block(job, *position)->inode == inode)
            return job;
    }
    return NULL;
}

/* The job that has not ended and has this block, or NULL. */
const UnplugJob *unplug_machine_owner(const UnplugMachine *machine, guint32 index, guint64 inode)
{
    guint position;
    Job *job = machine_owner(machine, index, inode, &position);

    return job != NULL ? &job->pub : NULL;
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

/* Whether an offlining is under way that has a block to leave to later, and was not asked to. */
gboolean worker_can_yield(const UnplugMachine *machine)
{
    const Worker *worker = &machine->worker;

    return worker->kind == WORKER_OFFLINE && !worker->is_killed && !worker->is_yielding &&
           worker->at + 1 < machine->list->len;
}

/* Asks, once, that the offlining that is under way ends after the block that it is at. */
void step_yield(Step *step)
{
    if (!worker_can_yield(step->machine))
        return;
    step->machine->worker.is_yielding = TRUE;
    step->yield_job = step->machine->worker.job;
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
    step_add_action(step, ACTION_VERIFY, job)->needs_gate =
        verify == VERIFY_ASKED && job->pub.state == JOB_OFFLINING;
}

/* JOB waits before it tries again: longer each time, up to MAX_USEC. */
void job_pause(const Step *step, Job *job, gint64 max_usec)
{
    job->pause_usec = CLAMP(job->pause_usec * 2, UNPLUG_PAUSE_MIN_USEC, max_usec);
    job->retry_usec = step->world.now_usec + job->pause_usec;
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
