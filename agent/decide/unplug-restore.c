/*
 * Taking jobs over from the journal of an earlier run of the same boot.
 *
 * The journal is a file, so it may be damaged or hostile: what contradicts itself is refused, and
 * what is merely out of bounds is put within them. And it may be older than the last write to
 * sysfs, so no restored job does anything before a look at all of its blocks.
 */
#include "decide/unplug-private.h"

#include <string.h>

static gboolean is_text(const char *text, gsize max_bytes)
{
    if (text == NULL)
        return TRUE;
    return strnlen(text, max_bytes + 1) <= max_bytes && g_utf8_validate(text, -1, NULL);
}

static gboolean is_sound_block(const UnplugJob *job, const JobBlock *block)
{
    return block->device < job->devices->len && block->phase <= JOB_BLOCK_GONE;
}

/* Whether JOB, a copy with all lists, can have been a job at all. */
static gboolean is_sound(const UnplugMachine *machine, const UnplugJob *job)
{
    if (job->id == 0 || job->id == G_MAXUINT64 || machine_find(machine, job->id) != NULL)
        return FALSE;
    if ((guint)job->state > JOB_EXPIRED || !is_text(job->key, UNPLUG_KEY_MAX))
        return FALSE;
    if (job->n_selectors == 0 || job->n_selectors > UNPLUG_DEVICES_MAX ||
        job->devices->len > UNPLUG_DEVICES_MAX)
        return FALSE;
    for (guint i = 0; i < job->n_selectors; i++) {
        if ((guint)job->selectors[i].kind > SELECT_ID)
            return FALSE;
    }
    for (guint i = 0; i < job->blocks->len; i++) {
        if (!is_sound_block(job, &g_array_index(job->blocks, JobBlock, i)))
            return FALSE;
    }
    if (job->state == JOB_ASKING || job->state == JOB_OFFLINING || job->state == JOB_READY ||
        job->state == JOB_ROLLING_BACK)
        return job->blocks->len > 0 && job->block_size_bytes > 0;
    return TRUE;
}

static void drop_unsound_reasons(GPtrArray *reasons)
{
    for (guint i = reasons->len; i > 0; i--) {
        const Reason *reason = g_ptr_array_index(reasons, i - 1);

        if ((guint)reason->code >= REASON_COUNT || reason->desc == NULL)
            g_ptr_array_remove_index(reasons, i - 1);
    }
}

static void put_within_bounds(UnplugJob *job)
{
    job->timeout_ms = MIN(job->timeout_ms, UNPLUG_TIMEOUT_MAX_MS);
    job->lease_ms = MIN(job->lease_ms, UNPLUG_LEASE_MAX_MS);
    job->was_reoffline = job->was_reoffline != FALSE;
    job->attempt_running = FALSE;
    if (job->outcome != JOB_CANCELLED && job->outcome != JOB_EXPIRED &&
        !(job->outcome == JOB_OFFLINING && job->allow_partial))
        job->outcome = JOB_FAILED;
    for (guint i = 0; i < job->n_selectors; i++)
        job->selectors[i].id[DEVICE_ID_MAX - 1] = '\0';
    for (guint i = 0; i < job->devices->len; i++)
        drop_unsound_reasons(g_array_index(job->devices, JobDevice, i).reasons);
    drop_unsound_reasons(job->reasons);
}

static gboolean has_block_of_another(const UnplugMachine *machine, const Job *job)
{
    for (guint i = 0; i < job->pub.blocks->len; i++) {
        const JobBlock *block = job_block(job, i);

        if (unplug_machine_owner(machine, block->index, block->inode) != NULL)
            return TRUE;
    }
    return FALSE;
}

static gint compare_ids(gconstpointer a, gconstpointer b)
{
    const Job *job_a = *(Job *const *)a;
    const Job *job_b = *(Job *const *)b;

    return (job_a->pub.id > job_b->pub.id) - (job_a->pub.id < job_b->pub.id);
}

/* Takes a copy of JOB over, before the first step: see the header. */
gboolean unplug_machine_restore(UnplugMachine *machine, const UnplugJob *job)
{
    UnplugJob *pub = unplug_job_copy(job);
    Job *restored = job_new(pub);
    gboolean can_have = is_sound(machine, pub) && job_index_blocks(restored);

    g_free(pub); /* its contents are the restored job's now */
    if (can_have && restored->pub.state <= JOB_CHECKING) {
        job_reset(restored);
        /* one more than can be queued: the job that was being checked */
        can_have = machine_count(machine, JOB_QUEUED) <= UNPLUG_QUEUE_MAX;
    } else if (can_have && !job_state_is_ended(restored->pub.state)) {
        can_have = !has_block_of_another(machine, restored);
        gboolean had_begun = restored->pub.state != JOB_ASKING; /* else its check is before it */
        restored->verify = had_begun ? VERIFY_RESTORE : VERIFY_NONE;
        restored->had_worker = had_begun && restored->pub.state != JOB_READY;
        restored->is_haunted = restored->had_worker;
    }
    if (!can_have) {
        job_free(restored);
        return FALSE;
    }
    put_within_bounds(&restored->pub);
    machine->next_id = MAX(machine->next_id, restored->pub.id + 1);
    g_ptr_array_add(machine->jobs, restored);
    g_ptr_array_sort(machine->jobs, compare_ids);
    unplug_drop_ended(machine);
    return TRUE;
}

static void clip_times(UnplugJob *job, gint64 now_usec)
{
    job->submitted_usec = CLAMP(job->submitted_usec, 0, now_usec);
    job->started_usec = CLAMP(job->started_usec, 0, now_usec);
    job->ask_end_usec = CLAMP(job->ask_end_usec, 0, now_usec);
    job->ended_usec = CLAMP(job->ended_usec, 0, now_usec);
    job->deadline_usec =
        CLAMP(job->deadline_usec, 0, now_usec + UNPLUG_TIMEOUT_MAX_MS * G_GINT64_CONSTANT(1000));
    job->lease_end_usec =
        CLAMP(job->lease_end_usec, 0, now_usec + UNPLUG_LEASE_MAX_MS * G_GINT64_CONSTANT(1000));
    if (job->state == JOB_READY && job->lease_end_usec == 0)
        job->lease_end_usec = now_usec;
}

/* After the last restore, once: the restored jobs go on. */
void unplug_machine_resume(UnplugMachine *machine, const UnplugWorld *world, GArray *actions)
{
    Step step;

    step_begin(&step, machine, world);
    for (guint i = 0; i < machine->jobs->len; i++) {
        Job *job = machine_job(machine, i);

        clip_times(&job->pub, world->now_usec);
        if (job->pub.state == JOB_ROLLING_BACK)
            job->tell_usec = world->now_usec + UNPLUG_ROLLBACK_TELL_USEC;
        if (job->verify == VERIFY_RESTORE)
            job_ask_verify(&step, job, VERIFY_RESTORE);
    }
    step_end(&step, actions);
}
