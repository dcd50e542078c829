/*
 * The loop between the state machine and the world, and what each action means there.
 *
 * Actions are carried out strictly in their order; an action whose answer is at hand (a check, the
 * journal, a look) feeds it at once, and what the machine wants then goes to the end of the queue.
 */
#include <errno.h>

#include "engine/block-report.h"
#include "engine/contents.h"
#include "engine/unplugger-private.h"
#include "os/journal.h"
#include "os/loop.h"
#include "system/meminfo.h"
#include "system/units.h"

/* Blocks and reasons of ended jobs that the journal keeps: they are for queries only, clients can
 * end many large jobs, and the journal is written whole at each change. */
#define JOURNAL_ENDED_MAX 1024
/* The journal keeps so many ids for jobs to come: an id is given before its job is written. */
#define JOB_IDS_AHEAD 16

/* --- journal --- */

static guint weigh(const UnplugJob *job)
{
    guint weight = job->blocks->len + job->reasons->len;

    for (guint i = 0; i < job->devices->len; i++)
        weight += g_array_index(job->devices, JobDevice, i).reasons->len + 1;
    return weight;
}

/* The jobs that a next daemon must know, and the last ended ones: as many as fit, and the very last
 * in any case. Borrowed. */
static void add_jobs(const Unplugger *unplugger, GPtrArray *kept)
{
    g_autoptr(GPtrArray) jobs = unplug_machine_list(unplugger->machine);
    guint weight = 0;

    for (guint i = jobs->len; i-- > 0;) {
        UnplugJob *job = jobs->pdata[i];
        gboolean is_first = weight == 0;
        if (job_state_is_ended(job->state)) {
            weight += weigh(job);
            if (weight > JOURNAL_ENDED_MAX && !is_first)
                continue;
        }
        g_ptr_array_insert(kept, 0, job);
    }
}

/* The way back from g_file_error_from_errno(), for what happens to a file of ours. */
static int errno_of(const GError *error)
{
    static const int known[] = {ENOSPC,  EROFS,  EACCES, EPERM, ENOENT,
                                ENOTDIR, ENOMEM, EMFILE, ENFILE};

    for (guint i = 0; i < G_N_ELEMENTS(known); i++) {
        if (g_error_matches(error, G_FILE_ERROR, (gint)g_file_error_from_errno(known[i])))
            return known[i];
    }
    return EIO;
}

static int write_journal(Unplugger *unplugger)
{
    g_autoptr(JournalState) state = journal_state_new();
    g_autoptr(GError) error = NULL;

    if (!unplugger->config.state_dir)
        return 0;
    state->boot_id = g_strdup(unplugger->config.boot_id);
    state->next_job_id = unplug_machine_next_job_id(unplugger->machine) +
                         (unplugger->is_stopped ? 0 : JOB_IDS_AHEAD);
    state->eject_enabled = eject_gate_original(unplugger->gate);
    g_ptr_array_set_free_func(state->jobs, NULL);
    add_jobs(unplugger, state->jobs);
    gboolean is_saved = journal_save(unplugger->config.state_dir, state, &error);
    if (is_saved)
        unplugger->reserved_job_id = state->next_job_id;
    else if (!unplugger->has_warned)
        g_warning("cannot write the journal: %s", error->message);
    unplugger->has_warned = !is_saved;
    return is_saved ? 0 : errno_of(error);
}

void unplugger_skip_to_clock(Unplugger *unplugger)
{
    unplug_machine_skip_job_ids(unplugger->machine, (guint64)g_get_monotonic_time());
}

void unplugger_reserve_job_id(Unplugger *unplugger)
{
    if (!unplugger->config.state_dir ||
        unplug_machine_next_job_id(unplugger->machine) < unplugger->reserved_job_id)
        return;
    if (write_journal(unplugger) != 0)
        unplugger_skip_to_clock(unplugger);
}

static void act_journal(Unplugger *unplugger)
{
    UnplugEvent event = {.kind = UNPLUG_JOURNALED,
                         .journaled = {.error = write_journal(unplugger)}};

    unplugger_feed(unplugger, &event, NULL);
}

/* --- check --- */

static void act_check(Unplugger *unplugger, guint64 job_id);

typedef struct {
    Unplugger *unplugger;
    guint64 job;
} Reclaim;

static void on_reclaimed(const WorkResult *result, gpointer user_data)
{
    const Reclaim *reclaim = user_data;
    Unplugger *unplugger = reclaim->unplugger;
    const UnplugJob *job = unplug_machine_find(unplugger->machine, reclaim->job);

    if (unplugger->reclaim_job == reclaim->job)
        unplugger->reclaim_task = 0;
    if (!job || (job->state != JOB_CHECKING && job->state != JOB_ASKING))
        return; /* it was cancelled meanwhile */
    g_info("job %" G_GUINT64_FORMAT ": caches were reclaimed%s%s", job->id,
           result->errors[0] != 0 ? ": " : "",
           result->errors[0] != 0 ? g_strerror(result->errors[0]) : "");
    act_check(unplugger, job->id);
}

/* Whether the check of JOB has found nothing but want of memory, and may wait until caches have
 * been reclaimed: once for a job. */
static gboolean reclaim_first(Unplugger *unplugger, const UnplugJob *job)
{
    if (!job->reclaim || unplugger->reclaim_job == job->id)
        return FALSE;
    g_autoptr(UnplugVerdict) verdict =
        unplugger_check(unplugger, job->selectors, job->n_selectors, FALSE);
    guint64 wanted_bytes = verdict->needed_bytes + verdict->reserve_bytes;
    if (verdict->needed_bytes == 0 || verdict->available_bytes >= wanted_bytes ||
        (!job->allow_partial && !reason_list_lacks_room(verdict->reasons)))
        return FALSE;
    gint64 limit_usec = UNPLUG_RECLAIM_MAX_USEC;
    if (job->timeout_ms != 0)
        limit_usec = MIN(limit_usec, (gint64)job->timeout_ms * USEC_PER_MSEC / 2);
    WorkStep step = {.kind = STEP_RECLAIM, .wanted_bytes = wanted_bytes};
    AttemptLimits limits = {.deadline_usec = g_get_monotonic_time() + limit_usec,
                            .swap_percent = unplugger->config.swap_percent};
    Reclaim *reclaim = g_new(Reclaim, 1);
    *reclaim = (Reclaim){.unplugger = unplugger, .job = job->id};
    unplugger->reclaim_job = job->id;
    unplugger->reclaim_task = executor_submit(unplugger->config.executor, EXECUTOR_LATER, &step, 1,
                                              &limits, on_reclaimed, reclaim, g_free);
    return TRUE;
}

static void act_check(Unplugger *unplugger, guint64 job_id)
{
    /* A job may have waited long in the queue, and links of blocks come without events. */
    model_keeper_catch_up(unplugger->config.keeper);
    const UnplugJob *job = unplug_machine_find(unplugger->machine, job_id);

    unplugger->checking_job = job_id;
    if (reclaim_first(unplugger, job)) {
        unplugger->checking_job = 0;
        return;
    }
    g_autoptr(UnplugVerdict) verdict =
        job->allow_partial ? unplugger_check_part(unplugger, job->selectors, job->n_selectors)
                           : unplugger_check(unplugger, job->selectors, job->n_selectors, FALSE);
    unplugger->checking_job = 0;
    if (!job->allow_partial)
        unplugger_check_binding(unplugger, job->selectors, job->n_selectors, verdict);

    g_autofree char(*ids)[DEVICE_ID_MAX] = g_malloc0_n(verdict->devices->len + 1, DEVICE_ID_MAX);
    for (guint i = 0; i < verdict->devices->len; i++)
        g_strlcpy(ids[i], ((const Device *)verdict->devices->pdata[i])->id, DEVICE_ID_MAX);
    g_autoptr(GArray) blocks = unplugger_blocks_to_offline(unplugger, verdict, job->allow_partial);
    guint64 block_size_bytes = model_keeper_snapshot(unplugger->config.keeper)->block_size_bytes;
    UnplugEvent event = {
        .kind = UNPLUG_CHECKED,
        .job = job_id,
        .checked = {.reasons = verdict->reasons,
                    .left_out = verdict->left_out,
                    .device_ids = (const char(*)[DEVICE_ID_MAX])ids,
                    .n_devices = verdict->devices->len,
                    .blocks = (const JobBlock *)blocks->data,
                    .n_blocks = blocks->len,
                    .block_size_bytes = block_size_bytes,
                    .reserve_bytes = verdict->reserve_bytes,
                    .default_timeout_ms = unplug_timeout_default_ms(blocks->len * block_size_bytes),
                    .application_delay_ms = unplugger->config.application_delay_ms}};
    unplugger_feed(unplugger, &event, NULL);
}

/* --- verify --- */

void unplugger_look_at_job(Unplugger *unplugger, const UnplugJob *job)
{
    g_autofree guint32 *indices = g_new(guint32, job->blocks->len);
    guint n = job->blocks->len;

    for (guint i = 0; i < n; i++)
        indices[i] = g_array_index(job->blocks, JobBlock, i).index;
    model_keeper_reread(unplugger->config.keeper, indices, n); /* JOB may be another from here on */
}

/* What the model says of BLOCKS (of JobBlock). ERRORS may be NULL. (transfer full) */
static BlockReport *report_blocks(const Unplugger *unplugger, const GArray *blocks,
                                  const int *errors)
{
    const Snapshot *snapshot = model_keeper_snapshot(unplugger->config.keeper);
    BlockReport *reports = g_new(BlockReport, blocks->len);

    for (guint i = 0; i < blocks->len; i++) {
        const JobBlock *block = &g_array_index(blocks, JobBlock, i);
        reports[i] = block_report_of(snapshot, block->index, block->inode, errors ? errors[i] : 0);
    }
    return reports;
}

static void verify(Unplugger *unplugger, guint64 job_id)
{
    const UnplugJob *job = unplug_machine_find(unplugger->machine, job_id);

    if (!job)
        return; /* it waited for the gate, and ended long ago */
    unplugger_look_at_job(unplugger, job);
    job = unplug_machine_find(unplugger->machine, job_id);
    g_autofree BlockReport *reports = report_blocks(unplugger, job->blocks, NULL);
    UnplugEvent event = {.kind = UNPLUG_VERIFIED,
                         .job = job_id,
                         .blocks = {.reports = reports,
                                    .n_reports = job->blocks->len,
                                    .gate_error = eject_gate_error(unplugger->gate)}};
    unplugger_feed(unplugger, &event, NULL);
}

/* A job becomes ready by its verify, and then the host may eject at once: so the gate opens first.
 */
static void act_verify(Unplugger *unplugger, const UnplugAction *action)
{
    if (!action->needs_gate || eject_gate_is_open(unplugger->gate)) {
        verify(unplugger, action->job);
        return;
    }
    g_array_append_val(unplugger->waiting, action->job);
    eject_gate_try_open(unplugger->gate); /* also where another job is ready, and the gate shut */
}

/* --- gate --- */

static void on_gate_save(gpointer user_data)
{
    write_journal(user_data);
}

static void on_gate_settled(gpointer user_data)
{
    Unplugger *unplugger = user_data;
    guint n = unplugger->waiting->len;

    /* They stay in the list until all are done, or the gate would shut between a look and "ready".
     */
    for (guint i = 0; i < n; i++)
        verify(unplugger, g_array_index(unplugger->waiting, guint64, i));
    g_array_remove_range(unplugger->waiting, 0, n);
    unplugger_tell_gate(unplugger);
}

static void on_gate_stopped(gpointer user_data)
{
    Unplugger *unplugger = user_data;

    unplugger->is_stopped = TRUE; /* no job comes any more: the next daemon goes on without a gap */
    write_journal(unplugger);
    if (unplugger->on_stopped)
        unplugger->on_stopped(unplugger->on_stopped_data);
}

void unplugger_make_gate(Unplugger *unplugger, int original)
{
    EjectGateConfig config = {.io = unplugger->config.io,
                              .executor = unplugger->config.executor,
                              .is_gated = unplugger->config.gate,
                              .original = original,
                              .save = on_gate_save,
                              .settled = on_gate_settled,
                              .user_data = unplugger};

    unplugger->waiting = g_array_new(FALSE, FALSE, sizeof(guint64));
    unplugger->gate = eject_gate_new(&config);
}

void unplugger_tell_gate(Unplugger *unplugger)
{
    g_autoptr(GPtrArray) jobs = unplug_machine_list(unplugger->machine);
    gboolean is_wanted = FALSE;

    for (guint i = 0; i < unplugger->waiting->len; i++) {
        guint64 id = g_array_index(unplugger->waiting, guint64, i);
        const UnplugJob *job = unplug_machine_find(unplugger->machine, id);
        is_wanted |= job && job->state == JOB_OFFLINING; /* else it waited too long, or was ended */
    }
    for (guint i = 0; i < jobs->len; i++)
        is_wanted |= ((const UnplugJob *)jobs->pdata[i])->state == JOB_READY;
    eject_gate_want_open(unplugger->gate, is_wanted);
}

/* --- worker --- */

/* Looks at those of the worker's blocks that an event has not told to be as they were to become. */
static void look_at_task(Unplugger *unplugger, const WorkResult *result, guint first)
{
    const GArray *blocks = unplugger->task_blocks;
    BlockTruth wanted = unplugger->task_is_offline ? TRUTH_OFFLINE : TRUTH_ONLINE_MOVABLE;
    g_autofree guint32 *indices = g_new(guint32, blocks->len);
    guint n = 0;

    const Snapshot *snapshot = model_keeper_catch_up(unplugger->config.keeper);
    for (guint i = 0; i < blocks->len; i++) {
        const JobBlock *block = &g_array_index(blocks, JobBlock, i);
        if (result->errors[first + i] != STEP_NOT_DONE &&
            block_report_of(snapshot, block->index, block->inode, 0).truth != wanted)
            indices[n++] = block->index;
    }
    model_keeper_reread(unplugger->config.keeper, indices, n);
}

static void read_contents(const Unplugger *unplugger, guint32 index, BlockContents *contents)
{
    const Snapshot *snapshot = model_keeper_snapshot(unplugger->config.keeper);
    Meminfo meminfo = {.hugepages_free = 0};
    g_autofree PageSample *sample =
        contents_of_blocks(unplugger->config.io, snapshot, &index, 1, CONTENTS_BUDGET_USEC);

    meminfo_read(unplugger->config.io, &meminfo);
    *contents = (BlockContents){
        .pages = page_sample_scale(sample, pages_in_bytes(snapshot->block_size_bytes)),
        .hugepages_free = meminfo.hugepages_free,
        .dirty_bytes = meminfo.dirty_bytes,
        .writeback_bytes = meminfo.writeback_bytes};
}

/* What is in the block that offlining failed at and left online: TRUE, and CONTENTS. */
static gboolean look_into(const Unplugger *unplugger, const BlockReport *reports, guint n,
                          BlockContents *contents)
{
    guint at = 0;

    while (at < n && reports[at].truth == TRUTH_OFFLINE)
        at++;
    if (at == n || reports[at].error == STEP_NOT_DONE ||
        (reports[at].truth != TRUTH_ONLINE_MOVABLE && reports[at].truth != TRUTH_ONLINE_KERNEL))
        return FALSE;
    read_contents(unplugger, reports[at].index, contents);
    return TRUE;
}

static void on_task_done(const WorkResult *result, gpointer user_data)
{
    Unplugger *unplugger = user_data;
    guint first = unplugger->task_has_barrier ? 1 : 0;
    int barrier_error = first ? result->errors[0] : 0;

    for (guint i = unplugger->task_blocks->len;
         first == 0 && i < result->n_steps && barrier_error == 0; i++)
        barrier_error = result->errors[i]; /* of the pools */

    unplugger->task = 0;
    if (unplugger->task_has_barrier)
        eject_gate_end_barrier(unplugger->gate, result->errors[result->n_steps - 1]);

    look_at_task(unplugger, result, first);
    g_autoptr(GArray) blocks = g_steal_pointer(&unplugger->task_blocks);
    g_autofree BlockReport *reports = report_blocks(unplugger, blocks, result->errors + first);
    BlockContents contents;
    UnplugEvent event = {.kind = UNPLUG_WORKER_DONE,
                         .job = unplugger->task_job,
                         .blocks = {.reports = reports,
                                    .n_reports = blocks->len,
                                    .barrier_error = barrier_error,
                                    .attempt = result->attempt}};
    if (unplugger->task_is_offline && look_into(unplugger, reports, blocks->len, &contents))
        event.blocks.contents = &contents;
    unplugger_feed(unplugger, &event, NULL);
}

static void start_task(Unplugger *unplugger, const UnplugAction *action, const char *verb)
{
    g_autoptr(GArray) steps = g_array_new(FALSE, TRUE, sizeof(WorkStep));
    WorkStep first, last;
    gboolean has_barrier =
        action->barrier && eject_gate_begin_barrier(unplugger->gate, &first, &last);

    if (has_barrier)
        g_array_append_val(steps, first);
    for (guint i = 0; i < action->n_blocks; i++) {
        WorkStep step = {.kind = STEP_BLOCK,
                         .index = action->blocks[i].index,
                         .inode = action->blocks[i].inode,
                         .verb = verb};
        g_array_append_val(steps, step);
    }
    if (has_barrier)
        g_array_append_val(steps, last);
    unplugger->task_job = action->job;
    unplugger->task_has_barrier = has_barrier;
    unplugger->task_is_offline = action->kind == ACTION_OFFLINE;
    unplugger->task_blocks = g_array_new(FALSE, FALSE, sizeof(JobBlock));
    g_array_append_vals(unplugger->task_blocks, action->blocks, action->n_blocks);
    /* The deadline is the machine's: the job's state changes with it. */
    const UnplugJob *job = unplug_machine_find(unplugger->machine, action->job);
    AttemptLimits limits = {.reserve_bytes = job->reserve_bytes,
                            .block_bytes = job->block_size_bytes,
                            .swap_percent = unplugger->config.swap_percent,
                            .is_resumed = TRUE};
    unplugger->task = executor_submit(
        unplugger->config.executor, action->barrier ? EXECUTOR_SOON : EXECUTOR_LATER,
        (const WorkStep *)steps->data, steps->len, action->kind == ACTION_OFFLINE ? &limits : NULL,
        on_task_done, unplugger, NULL);
}

static void start_pools(Unplugger *unplugger, const UnplugAction *action)
{
    g_autoptr(GArray) steps = g_array_new(FALSE, TRUE, sizeof(WorkStep));
    AttemptLimits limits = {.deadline_usec = g_get_monotonic_time() + UNPLUG_POOL_TRY_USEC};

    for (guint i = 0; i < action->pools->len; i++) {
        WorkStep step = {.kind = STEP_POOL, .pool = g_array_index(action->pools, NodePool, i)};
        g_array_append_val(steps, step);
    }
    unplugger->task_job = action->job;
    unplugger->task_has_barrier = FALSE;
    unplugger->task_is_offline = FALSE;
    unplugger->task_blocks = g_array_new(FALSE, FALSE, sizeof(JobBlock));
    unplugger->task =
        executor_submit(unplugger->config.executor, EXECUTOR_SOON, (const WorkStep *)steps->data,
                        steps->len, &limits, on_task_done, unplugger, NULL);
}

/* --- timer and news --- */

static gboolean on_timer(gpointer user_data)
{
    Unplugger *unplugger = user_data;
    UnplugEvent event = {.kind = UNPLUG_TICK};

    unplugger->timer = 0;
    unplugger_feed(unplugger, &event, NULL);
    return G_SOURCE_REMOVE;
}

static void act_timer(Unplugger *unplugger, gint64 at_usec)
{
    g_clear_handle_id(&unplugger->timer, g_source_remove);
    if (at_usec == 0)
        return;
    unplugger->timer = loop_add_due(at_usec - g_get_monotonic_time(), on_timer, unplugger);
}

static void act_changed(Unplugger *unplugger, const UnplugAction *action)
{
    const UnplugJob *job = unplug_machine_find(unplugger->machine, action->job);

    if (job)
        unplugger->on_changed(job, action->state, unplugger->on_changed_data);
    if (unplugger->reclaim_task != 0 && action->job == unplugger->reclaim_job &&
        job_state_is_ended(action->state))
        executor_cancel(unplugger->config.executor, unplugger->reclaim_task);
}

static void act(Unplugger *unplugger, const UnplugAction *action)
{
    switch (action->kind) {
    case ACTION_CHECK:
        act_check(unplugger, action->job);
        break;
    case ACTION_JOURNAL:
        act_journal(unplugger);
        break;
    case ACTION_OFFLINE:
        start_task(unplugger, action, "offline");
        break;
    case ACTION_ROLLBACK:
        start_task(unplugger, action, "online_movable");
        break;
    case ACTION_POOLS:
        start_pools(unplugger, action);
        break;
    case ACTION_YIELD:
        executor_yield(unplugger->config.executor, unplugger->task);
        break;
    case ACTION_KILL:
        executor_cancel(unplugger->config.executor, unplugger->task);
        break;
    case ACTION_VERIFY:
        act_verify(unplugger, action);
        break;
    case ACTION_TIMER:
        act_timer(unplugger, action->at_usec);
        break;
    case ACTION_CHANGED:
        act_changed(unplugger, action);
        break;
    case ACTION_STOPPED:
        eject_gate_stop(unplugger->gate, on_gate_stopped, unplugger);
        break;
    }
}

/* --- the loop --- */

static gboolean is_worker_away(const Unplugger *unplugger)
{
    guint running = executor_running(unplugger->config.executor);

    return running != 0 && running != unplugger->task;
}

static gboolean has_pools(const Unplugger *unplugger)
{
    g_autoptr(GPtrArray) jobs = unplug_machine_list(unplugger->machine);

    for (guint i = 0; i < jobs->len; i++) {
        const UnplugJob *job = jobs->pdata[i];
        if (!job_state_is_ended(job->state) && job->pools->len > 0)
            return TRUE;
    }
    return FALSE;
}

/* Hardly any guest has huge pages, and their files are many. What cannot be read is not looked at:
 * a job knows what was there before. */
static const GArray *look_at_pools(Unplugger *unplugger, const Meminfo *meminfo)
{
    int error = 0;

    g_clear_pointer(&unplugger->pools, g_array_unref);
    if (meminfo->hugetlb_bytes > 0 || has_pools(unplugger))
        unplugger->pools = node_pools_read(unplugger->config.io, &error);
    if (error != 0)
        g_clear_pointer(&unplugger->pools, g_array_unref);
    return unplugger->pools;
}

/* Looked into once; what is in the block then is what it stalled at. */
static const StuckAttempt *look_at_stuck(Unplugger *unplugger)
{
    AttemptOutcome outcome;
    guint at;

    if (unplugger->task == 0 || !unplugger->task_is_offline ||
        !executor_is_stuck(unplugger->config.executor, unplugger->task, &at, &outcome) ||
        at >= unplugger->task_blocks->len)
        return NULL;
    if (unplugger->stuck_task != unplugger->task) {
        unplugger->stuck_task = unplugger->task;
        unplugger->stuck.index = g_array_index(unplugger->task_blocks, JobBlock, at).index;
        unplugger->stuck.attempt = outcome;
        read_contents(unplugger, unplugger->stuck.index, &unplugger->stuck.contents);
    }
    return &unplugger->stuck;
}

UnplugWorld unplugger_world(Unplugger *unplugger)
{
    Meminfo meminfo = {.available_bytes = 0};
    Uncounted uncounted;
    const Inhibitor *delay = inhibitors_oldest(unplugger->inhibitors, INHIBIT_DELAY);

    /* unreadable: nothing to spare, so no offline */
    meminfo_read_spare(unplugger->config.io, unplugger->config.swap_percent, &meminfo, &uncounted);
    return (UnplugWorld){
        .now_usec = g_get_monotonic_time(),
        .available_bytes = meminfo.available_bytes,
        .uncounted = uncounted,
        .is_worker_away = is_worker_away(unplugger),
        .stuck = look_at_stuck(unplugger),
        .pools = look_at_pools(unplugger, &meminfo),
        .hugetlb_free_bytes =
            meminfo.hugetlb_bytes > 0 ? hugepages_free_bytes(unplugger->config.io) : 0,
        .oldest_delay = delay ? delay->id : 0,
        .last_lock = inhibitors_last_id(unplugger->inhibitors),
        .is_blocked = inhibitors_oldest(unplugger->inhibitors, INHIBIT_BLOCK) != NULL,
    };
}

void unplugger_carry_out(Unplugger *unplugger)
{
    if (unplugger->is_carrying_out)
        return; /* further up the stack; it will get to what was appended */
    unplugger->is_carrying_out = TRUE;
    while (unplugger->next_action < unplugger->actions->len) {
        /* Copied: the array may grow, and so move, while the action is carried out. */
        UnplugAction action =
            g_array_index(unplugger->actions, UnplugAction, unplugger->next_action++);
        act(unplugger, &action);
    }
    g_array_set_size(unplugger->actions, 0);
    unplugger->next_action = 0;
    unplugger->is_carrying_out = FALSE;
    unplugger_tell_gate(unplugger);
}

UnplugResult unplugger_feed(Unplugger *unplugger, const UnplugEvent *event, guint64 *job_id)
{
    UnplugWorld world = unplugger_world(unplugger);
    UnplugResult result =
        unplug_machine_step(unplugger->machine, &world, event, unplugger->actions, job_id);

    unplugger_carry_out(unplugger);
    return result;
}
