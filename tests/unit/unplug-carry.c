/*
 * What the machine asks for, carried out; and the answers.
 */
#include "unplug-carry.h"

static void copy_journal(World *world)
{
    g_autoptr(GPtrArray) jobs = unplug_machine_list(world->machine);
    GPtrArray *journal = g_ptr_array_new_with_free_func((GDestroyNotify)unplug_job_free);

    for (guint i = 0; i < jobs->len; i++)
        g_ptr_array_add(journal, unplug_job_copy(g_ptr_array_index(jobs, i)));
    g_ptr_array_unref(world->journal);
    world->journal = journal;
    world->journal_next_id = unplug_machine_next_job_id(world->machine);
}

static void start_worker(World *world, const UnplugAction *action)
{
    CHECK(world, !is_at_work(world), "two workers");
    world->worker = (Worker){.kind = action->kind, .job = action->job};
    world->worker.n_blocks = action->n_blocks;
    world->worker.pools = action->pools != NULL ? g_array_ref(action->pools) : NULL;
    for (guint i = 0; i < action->n_blocks; i++)
        world->worker.blocks[i] = action->blocks[i];
    for (guint i = 0; i < action->n_blocks; i++)
        world->worker.errors[i] = ECANCELED;
    if (action->kind == ACTION_OFFLINE)
        start_offline(world);
    else
        world->worker.ends_usec =
            later(world, world->is_friendly || chance(world, 90) ? 500 : 60000);
    if (action->kind != ACTION_OFFLINE && !world->is_friendly && chance(world, 3))
        world->worker.end = ATTEMPT_NO_WORKER;
    else if (has_ghost(world)) /* no write passes before it */
        world->worker.ends_usec = MAX(world->worker.ends_usec, world->ghost.ends_usec);
}

static void carry_out(World *world, const UnplugAction *action, gboolean *was_journal)
{
    switch (action->kind) {
    case ACTION_CHECK:
        push(world, UNPLUG_CHECKED, action->job, 0);
        break;
    case ACTION_JOURNAL:
        CHECK(world, !*was_journal, "two journals in a step");
        *was_journal = TRUE;
        push(world, UNPLUG_JOURNALED, 0, world->journal_fails ? ENOSPC : 0);
        world->is_journal_old = world->journal_fails;
        if (!world->journal_fails)
            copy_journal(world);
        break;
    case ACTION_OFFLINE:
        check_offline(world, action);
        start_worker(world, action);
        break;
    case ACTION_YIELD:
        CHECK(world, is_offlining(world) && world->worker.job == action->job, "nothing yields");
        CHECK(world, !world->worker.is_yielding && !world->worker.is_killed, "yields twice");
        world->worker.is_yielding = TRUE;
        break;
    case ACTION_KILL:
        CHECK(world, is_offlining(world) && world->worker.job == action->job, "kills nobody");
        CHECK(world, !world->worker.is_killed, "kills twice");
        check_kill(world, action->job);
        world->worker.is_killed = TRUE;
        if (world->worker.end == ATTEMPT_OVER || world->worker.end == ATTEMPT_STALLED)
            world->worker.end = ATTEMPT_CANCELLED;
        /* the longer one: asleep where no signal ends it */
        world->worker.ends_usec =
            later(world, world->is_friendly || chance(world, 90) ? 50 : 60000);
        break;
    case ACTION_ROLLBACK:
        check_rollback(world, action);
        start_worker(world, action);
        break;
    case ACTION_POOLS:
        check_pools(world, action);
        start_worker(world, action);
        break;
    case ACTION_VERIFY:
        push(world, UNPLUG_VERIFIED, action->job, 0);
        break;
    case ACTION_TIMER:
        CHECK(world, action->at_usec != world->timer_usec, "the same timer again");
        world->timer_usec = action->at_usec;
        break;
    case ACTION_CHANGED:
        check_changed(world, action, *was_journal);
        break;
    case ACTION_STOPPED:
        CHECK(world, world->is_stopping && !world->is_stopped, "stopped, but when?");
        CHECK(world, unplug_machine_is_idle(world->machine), "stopped too early");
        world->is_stopped = TRUE;
        break;
    }
}

void trace(const World *world, const char *what, guint64 job, const JobBlock *blocks,
           guint n_blocks)
{
    g_autoptr(GString) list = g_string_new(NULL);

    for (guint i = 0; i < n_blocks; i++)
        g_string_append_printf(list, " %u", blocks[i].index);
    g_string_append(list, "   world:");
    for (guint i = 0; i < N_BLOCKS; i++)
        g_string_append_printf(list, " %c%" G_GUINT64_FORMAT, "goMKc"[world->blocks[i].truth],
                               world -> blocks[i].owner);
    g_printerr("%4u %10" G_GINT64_FORMAT " %s job %" G_GUINT64_FORMAT "%s\n", world->n_steps,
               world->now_usec, what, job, list->str);
}

static void trace_action(const World *world, const UnplugAction *action)
{
    static const char *const names[] = {"CHECK", "JOURNAL",  "OFFLINE", "YIELD",
                                        "KILL",  "ROLLBACK", "POOLS",   "VERIFY",
                                        "TIMER", "CHANGED",  "STOPPED"};
    g_autofree char *what =
        g_strdup_printf("     %s %s", names[action->kind],
                        action->kind == ACTION_CHANGED ? job_state_name(action->state) : "");

    if (action->kind != ACTION_TIMER)
        trace(world, what, action->job, action->blocks, action->n_blocks);
}

void carry_out_all(World *world, GArray *actions)
{
    gboolean was_journal = FALSE;

    for (guint i = 0; world->tally->is_traced && i < actions->len; i++)
        trace_action(world, &g_array_index(actions, UnplugAction, i));
    for (guint i = 0; i < actions->len; i++)
        carry_out(world, &g_array_index(actions, UnplugAction, i), &was_journal);
    check_jobs(world);
    check_blocks(world);
    CHECK(world,
          world->is_stopped || !world->is_stopping || !unplug_machine_is_idle(world->machine),
          "stopped, but not told");
    world->tally->n_steps++;
    world->n_steps++;
}

UnplugResult step_machine(World *world, const UnplugEvent *event, guint64 *job_id)
{
    g_autoptr(GArray) actions = unplug_actions_new();
    UnplugWorld seen = what_is_seen(world);
    static const char *const names[] = {"submit", "checked",  "journaled", "worker-done", "locks",
                                        "blocks", "verified", "cancel",    "tick",        "stop"};
    UnplugResult result;

    if (world->tally->is_traced)
        trace(world, names[event->kind], event->job, NULL, 0);
    result = unplug_machine_step(world->machine, &seen, event, actions, job_id);
    carry_out_all(world, actions);
    return result;
}

static void refuse(GPtrArray *reasons, ReasonCode code, const char *device, guint block)
{
    g_ptr_array_add(reasons, reason_new(code, device, block, 0, "no"));
}

static void feed_checked(World *world, guint64 id)
{
    const UnplugJob *job = unplug_machine_find(world->machine, id);
    g_autoptr(GPtrArray) reasons = reason_list_new();
    char names[2][DEVICE_ID_MAX] = {"", ""};
    JobBlock blocks[2 * SLOT_BLOCKS];
    UnplugEvent event = {.kind = UNPLUG_CHECKED, .job = id};
    guint n_blocks = 0;

    for (guint i = 0; i < job->n_selectors; i++) {
        guint slot = job->selectors[i].slot;

        g_snprintf(names[i], DEVICE_ID_MAX, "slot%u", slot);
        for (guint j = slot * SLOT_BLOCKS; j < (slot + 1) * SLOT_BLOCKS; j++) {
            const Block *block = &world->blocks[j];
            gboolean is_offline = block->truth == TRUTH_OFFLINE;

            if (block->truth == TRUTH_GONE)
                continue;
            const UnplugJob *owner = unplug_machine_owner(world->machine, j, block->inode);
            if (owner != NULL && owner->id != id && chance(world, 50))
                refuse(reasons, REASON_ALREADY_PREPARING, names[i], j);
            if (block->truth == TRUTH_ONLINE_KERNEL && !world->is_friendly && chance(world, 50))
                refuse(reasons, REASON_NOT_MOVABLE, names[i], j);
            if (block->truth == TRUTH_CHANGING)
                refuse(reasons, REASON_GOING_OFFLINE, names[i], j);
            blocks[n_blocks++] = (JobBlock){
                .index = j,
                .inode = block->inode,
                .device = i,
                .phase = is_offline ? JOB_BLOCK_WAS_OFFLINE : JOB_BLOCK_ONLINE,
            };
        }
    }
    if (chance(world, 10))
        refuse(reasons, REASON_BALLOON_ACTIVE, NULL, 0);
    if (world->is_blocked)
        refuse(reasons, REASON_INHIBITED, NULL, 0);
    if (available_bytes(world) < n_blocks * BLOCK_BYTES + RESERVE_BYTES && chance(world, 50))
        refuse(reasons, REASON_LOW_MEMORY, NULL, 0);
    event.checked = (UnplugChecked){
        .reasons = reasons,
        .device_ids = (const char(*)[DEVICE_ID_MAX])names,
        .n_devices = job->n_selectors,
        .blocks = blocks,
        .n_blocks = n_blocks,
        .block_size_bytes = BLOCK_BYTES,
        .reserve_bytes = RESERVE_BYTES,
        .default_timeout_ms = 20000,
        .application_delay_ms = chance(world, 80) ? APPLICATION_DELAY_MS : 0,
    };
    step_machine(world, &event, NULL);
}

static void feed_verified(World *world, guint64 id)
{
    const UnplugJob *job = unplug_machine_find(world->machine, id);
    UnplugEvent event = {.kind = UNPLUG_VERIFIED, .job = id};
    BlockReport reports[2 * SLOT_BLOCKS];

    for (guint i = 0; job != NULL && i < job->blocks->len; i++) {
        if (!world->is_friendly && chance(world, 1))
            continue;
        reports[event.blocks.n_reports++] =
            report_of(world, &g_array_index(job->blocks, JobBlock, i));
    }
    event.blocks.reports = reports;
    event.blocks.gate_error = !world->is_friendly && chance(world, 5) ? EAGAIN : 0;
    step_machine(world, &event, NULL);
    CHECK(world, job == NULL || event.blocks.gate_error == 0 || told_state(world, id) != JOB_READY,
          "job %" G_GUINT64_FORMAT " is ready, and the gate shut", id);
}

static void feed_look(World *world, guint first, guint count)
{
    UnplugEvent event = {.kind = UNPLUG_BLOCKS};
    BlockReport reports[N_BLOCKS];

    for (guint i = 0; i < count; i++) {
        const Block *block = &world->blocks[first + i];
        gboolean is_gone = block->truth == TRUTH_GONE;

        reports[i] = (BlockReport){.index = first + i,
                                   .inode = is_gone && chance(world, 50) ? 0 : block->inode,
                                   .truth = block->truth};
    }
    event.blocks.reports = reports;
    event.blocks.n_reports = count;
    step_machine(world, &event, NULL);
    for (guint i = 0; i < count; i++) {
        const UnplugJob *job =
            unplug_machine_owner(world->machine, first + i, world->blocks[first + i].inode);

        CHECK(world,
              job == NULL || job->state != JOB_READY || reports[i].truth == TRUTH_OFFLINE ||
                  reports[i].truth == TRUTH_GONE,
              "ready although block %u came back", first + i);
    }
}

void answer(World *world)
{
    g_autofree Pending *pending = g_queue_pop_head(&world->pending);
    UnplugEvent event = {.kind = UNPLUG_JOURNALED};

    switch (pending->kind) {
    case UNPLUG_CHECKED:
        if (unplug_machine_find(world->machine, pending->job) != NULL)
            feed_checked(world, pending->job);
        break;
    case UNPLUG_VERIFIED:
        feed_verified(world, pending->job);
        break;
    case UNPLUG_BLOCKS:
        feed_look(world, pending->first, pending->count);
        break;
    default:
        event.journaled.error = pending->error;
        step_machine(world, &event, NULL);
        break;
    }
}
