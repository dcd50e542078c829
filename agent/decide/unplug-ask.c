/*
 * Asking: applications that hold a delay lock make room before memory leaves.
 *
 * It ends when each lock that stood at its beginning is released, and at ask_end_usec in any case.
 * Then the devices are checked again, as everything may be otherwise by now; a block lock that an
 * application takes meanwhile is found there too. No block is touched in this state, so a job ends
 * out of it at once. After a restart of the daemon no lock stands, and nobody is waited for.
 */
#include "decide/unplug-private.h"

#include "system/units.h"

/* The check of JOB has left no other reason than want of memory: applications may cure that. At
 * most half of the time that is left goes to them. */
void ask_enter(Step *step, Job *job, guint64 delay_ms)
{
    gint64 left_usec = MAX(job->pub.deadline_usec - step->world.now_usec, 0);

    job->pub.ask_end_usec =
        step->world.now_usec + MIN((gint64)delay_ms * USEC_PER_MSEC, left_usec / 2);
    job->last_lock = step->world.last_lock;
    job_enter(step, job, JOB_ASKING);
}

static gboolean is_waited_for(const Step *step, const Job *job)
{
    guint64 oldest = step->world.oldest_delay;

    return oldest != 0 && oldest <= job->last_lock && !step->world.is_blocked &&
           step->world.now_usec < job->pub.ask_end_usec;
}

/* What is due for JOB, which is asking. TRUE if something was done. */
gboolean ask_run(Step *step, Job *job)
{
    if (job->is_rechecking || is_waited_for(step, job))
        return FALSE;
    job->is_rechecking = TRUE;
    step_add_action(step, ACTION_CHECK, job);
    return TRUE;
}

/* CHECKED, while JOB asks. TRUE: it asks no more, and CHECKED says what it takes or why it fails;
 * what the first check said is forgotten. */
gboolean ask_is_over(const Step *step, Job *job, const UnplugChecked *checked)
{
    const GPtrArray *reasons = checked->reasons;
    gboolean is_refused =
        reasons != NULL && reason_list_refuses(reasons) && !reason_list_lacks_room(reasons);

    if (!job->is_rechecking)
        return FALSE;
    job->is_rechecking = FALSE;
    if (is_waited_for(step, job) && !is_refused)
        return FALSE; /* it was a block lock that stands no more */
    job_drop_reasons(job);
    g_array_set_size(job->pub.blocks, 0);
    job_index_blocks(job);
    return TRUE;
}
