/*
 * Carries the online policy out. What a write said is not believed: the block is read again, and a
 * racing winner who did the right thing is a success.
 *
 * Where the kernel brings new blocks online itself as the policy says, nothing is written for them.
 * Blocks that are still offline after a while are the net's: they are brought online by hand, a few
 * times with growing pauses.
 */
#include "engine/onliner.h"

#include <errno.h>

#include "engine/kernel-floor.h"
#include "engine/kernel-setter.h"
#include "engine/mark-keeper.h"
#include "engine/rezoner.h"
#include "system/zone-stats.h"

/* The net: looks so long after the last block came, then twice as long each time. */
#define NET_MS 2000
#define NET_ROUNDS 6
/* Looks at who backs a block, each after the kernel has let go of its hotplug lock. */
#define RESOLVE_ROUNDS 5

struct Onliner {
    OnlinerConfig config;
    OnlineConfig online;
    MarkKeeper *mark_keeper;
    Rezoner *rezoner;
    KernelSetter *setter;
    GHashTable *tasks; /* of Task: those that have not called back */
    GArray *waiting;   /* of guint32: new blocks that may still be offline */
    guint net;
    guint net_round;
    guint resolve_round;
    gboolean is_resolving;
    gboolean is_blind;      /* said once: nothing is known of the zones */
    gboolean has_floor;     /* the floor has sent a block to a kernel zone */
    gboolean was_read_only; /* said once: /sys cannot be written */
    gboolean is_stopping;
    gboolean is_restored; /* the stop is all but told */
    OnlinerStoppedFunc on_stopped;
    gpointer on_stopped_data;
};

/* One batch that is with the worker. */
typedef struct {
    Onliner *onliner;
    GArray *steps; /* of OnlineStep */
    guint id;
} Task;

static void submit_new(Onliner *onliner, const guint32 *indices, guint n);

static void task_free(Task *task)
{
    g_array_unref(task->steps);
    g_free(task);
}

static const Snapshot *snapshot_of(const Onliner *onliner)
{
    return model_keeper_snapshot(onliner->config.keeper);
}

gboolean onliner_is_held(guint32 index, guint64 inode, gpointer user_data)
{
    const Onliner *onliner = user_data;

    return onliner->config.is_held(index, inode, onliner->config.user_data) ||
           rezoner_holds(onliner->rezoner, index, inode);
}

/* Leaves those of INDICES that are not known to be online. Returns how many were. */
static guint keep_offline(const Onliner *onliner, GArray *indices)
{
    guint n = 0, n_before = indices->len;

    for (guint i = 0; i < n_before; i++) {
        guint32 index = g_array_index(indices, guint32, i);
        const Block *block = snapshot_find_block(snapshot_of(onliner), index);
        if (!block || block->state != BLOCK_STATE_ONLINE)
            g_array_index(indices, guint32, n++) = index;
    }
    g_array_set_size(indices, n);
    return n_before - n;
}

/* --- the net --- */

static gboolean on_net(gpointer user_data);

static void cast_net(Onliner *onliner, guint32 index)
{
    g_array_append_val(onliner->waiting, index);
    if (onliner->net_round >= NET_ROUNDS || onliner->is_stopping)
        return;
    if (!onliner->net)
        onliner->net = g_timeout_add(NET_MS << onliner->net_round, on_net, onliner);
}

static gboolean on_net(gpointer user_data)
{
    Onliner *onliner = user_data;
    g_autoptr(GArray) waiting = g_steal_pointer(&onliner->waiting);

    onliner->net = 0;
    onliner->waiting = g_array_new(FALSE, FALSE, sizeof(guint32));
    if (keep_offline(onliner, waiting) > 0 && onliner->net_round == 0) {
        /* The kernel is at it, a device at a time, and holds the lock that we would wait for. */
        for (guint i = 0; i < waiting->len; i++)
            cast_net(onliner, g_array_index(waiting, guint32, i));
        return G_SOURCE_REMOVE;
    }
    if (waiting->len == 0)
        return G_SOURCE_REMOVE;
    onliner->net_round++;
    model_keeper_reread(onliner->config.keeper, (const guint32 *)waiting->data, waiting->len);
    submit_new(onliner, (const guint32 *)waiting->data, waiting->len);
    return G_SOURCE_REMOVE;
}

/* Once the settings are back and no task is left that is to be waited for. */
static void finish_stop(Onliner *onliner)
{
    if (!onliner->is_restored || (onliner->config.is_last && g_hash_table_size(onliner->tasks) > 0))
        return;
    onliner->is_restored = FALSE;
    mark_keeper_save(onliner->mark_keeper);
    onliner->on_stopped(onliner->on_stopped_data);
}

/* --- by hand --- */

static void report(Onliner *onliner, const OnlineStep *step, int error, const char *prefix)
{
    const Block *block = snapshot_find_block(snapshot_of(onliner), step->index);

    if (!block || block->inode != step->inode || block->state == BLOCK_STATE_ONLINE)
        return; /* gone again, or done by whomever; where it is, the rezoner looks at */
    if (error == EROFS || error == EACCES) {
        if (!onliner->was_read_only)
            g_warning("block %u stays offline, as others may: /sys cannot be written (%s)",
                      step->index, g_strerror(error));
        onliner->was_read_only = TRUE;
        return;
    }
    gboolean is_over = onliner->net_round >= NET_ROUNDS;
    g_warning("block %u could not be brought online%s: %s%s", step->index,
              is_over ? ", and is left" : "; it is tried again", prefix,
              error ? g_strerror(error) : block_state_name(block->state));
    cast_net(onliner, step->index);
}

static void on_done(const WorkResult *result, gpointer user_data)
{
    Task *task = user_data;
    Onliner *onliner = task->onliner;
    g_autoptr(GArray) indices = g_array_new(FALSE, FALSE, sizeof(guint32));

    for (guint i = 0; i < result->n_steps; i++)
        g_array_append_val(indices, g_array_index(task->steps, OnlineStep, i).index);
    model_keeper_catch_up(onliner->config.keeper);
    keep_offline(onliner, indices); /* of the others an event has told */
    model_keeper_reread(onliner->config.keeper, (const guint32 *)indices->data, indices->len);
    for (guint i = 0; i < result->n_steps; i++)
        report(onliner, &g_array_index(task->steps, OnlineStep, i), result->errors[i],
               work_result_prefix(result));
    g_hash_table_remove(onliner->tasks, task);
    finish_stop(onliner);
}

static void submit(Onliner *onliner, GArray *plan)
{
    g_autofree WorkStep *steps = g_new0(WorkStep, plan->len);

    for (guint i = 0; i < plan->len; i++) {
        const OnlineStep *planned = &g_array_index(plan, OnlineStep, i);
        steps[i] = (WorkStep){.kind = STEP_BLOCK,
                              .index = planned->index,
                              .inode = planned->inode,
                              .verb = planned->verb};
    }
    Task *task = g_new0(Task, 1);
    task->onliner = onliner;
    task->steps = g_array_ref(plan);
    g_hash_table_add(onliner->tasks, task);
    task->id = executor_submit(onliner->config.executor, EXECUTOR_LATER, steps, plan->len, NULL,
                               on_done, task, NULL);
}

/* --- who backs a block --- */

/* The errors tell nothing: EINVAL, as the block is offline already. */
static void on_resolved(const WorkResult *result, gpointer user_data)
{
    Task *task = user_data;
    Onliner *onliner = task->onliner;
    g_autoptr(GArray) indices = g_array_new(FALSE, FALSE, sizeof(guint32));

    for (guint i = 0; i < task->steps->len; i++)
        g_array_append_val(indices, g_array_index(task->steps, OnlineStep, i).index);
    g_hash_table_remove(onliner->tasks, task);
    finish_stop(onliner);
    onliner->is_resolving = FALSE;
    if (result->attempt.end == ATTEMPT_NO_WORKER) { /* so nothing was waited for */
        onliner->resolve_round--;
        for (guint i = 0; i < indices->len; i++)
            cast_net(onliner, g_array_index(indices, guint32, i));
        return;
    }
    model_keeper_reread(onliner->config.keeper, (const guint32 *)indices->data, indices->len);
    submit_new(onliner, (const guint32 *)indices->data, indices->len);
}

/* ACPI links a DIMM's blocks to it before it lets go of the hotplug lock, which every write of
 * `state` takes: so a write that changes nothing returns when they are linked. */
static void resolve(Onliner *onliner, const GArray *undecided)
{
    const Snapshot *snapshot = snapshot_of(onliner);
    GArray *steps = g_array_new(FALSE, TRUE, sizeof(OnlineStep));

    for (guint i = 0; i < undecided->len; i++) {
        const Block *block = snapshot_find_block(snapshot, g_array_index(undecided, guint32, i));
        OnlineStep step = {.index = block->index, .inode = block->inode, .verb = "offline"};
        g_array_append_val(steps, step);
    }
    const OnlineStep *first = &g_array_index(steps, OnlineStep, 0);
    if (onliner->resolve_round++ >= RESOLVE_ROUNDS) {
        g_warning("nothing tells what backs block %u: it stays offline", first->index);
        g_array_unref(steps);
        return;
    }
    WorkStep barrier = {
        .kind = STEP_BLOCK, .index = first->index, .inode = first->inode, .verb = first->verb};
    Task *task = g_new0(Task, 1);
    task->onliner = onliner;
    task->steps = steps;
    onliner->is_resolving = TRUE;
    g_hash_table_add(onliner->tasks, task);
    task->id = executor_submit(onliner->config.executor, EXECUTOR_LATER, &barrier, 1, NULL,
                               on_resolved, task, NULL);
}

/* --- new blocks --- */

static GArray *decide(Onliner *onliner, const GArray *zones, const guint32 *indices, guint n,
                      GArray **undecided)
{
    OnlineWorld world = {.snapshot = snapshot_of(onliner),
                         .zones = zones,
                         .is_numa_aware = kernel_floor_is_numa_aware(onliner->config.io),
                         .is_owned = onliner_is_held,
                         .user_data = onliner};

    return online_policy_decide(&onliner->online, &world, indices, n, undecided);
}

static MarkWant want_of(const Onliner *onliner, const OnlineStep *step)
{
    if (step->is_floor)
        return MARK_WANT_KERNEL;
    if (onliner->online.policy != ONLINE_POLICY_AUTO)
        return MARK_WANT_POLICY;
    return g_str_equal(step->verb, "online_movable") ? MARK_WANT_MOVABLE : MARK_WANT_KERNEL;
}

BlockProgress onliner_progress(guint32 index, guint64 inode, gpointer onliner)
{
    return rezoner_progress(((const Onliner *)onliner)->rezoner, index, inode);
}

GArray *onliner_plan(Onliner *onliner, const guint32 *indices, guint n)
{
    g_autoptr(GArray) zones = zone_stats_read(onliner->config.io);
    GArray *plan = decide(onliner, zones, indices, n, NULL);

    for (guint i = 0; i < plan->len; i++) {
        const OnlineStep *step = &g_array_index(plan, OnlineStep, i);
        mark_keeper_expect(onliner->mark_keeper, step->index, step->inode, want_of(onliner, step));
    }
    return plan;
}

/* Brings those of the blocks that are offline online, whatever the kernel does. */
static void submit_new(Onliner *onliner, const guint32 *indices, guint n)
{
    g_autoptr(GArray) zones = zone_stats_read(onliner->config.io);
    g_autoptr(GArray) undecided = NULL;
    g_autoptr(GArray) plan = decide(onliner, zones, indices, n, &undecided);

    if (onliner->is_stopping)
        return;
    for (guint i = 0; i < plan->len; i++) {
        const OnlineStep *step = &g_array_index(plan, OnlineStep, i);
        if (step->is_floor && (i == 0 || !g_array_index(plan, OnlineStep, i - 1).is_floor))
            kernel_floor_warn(&onliner->online, zones, step->index); /* once for all of them */
        onliner->has_floor |= step->is_floor;
        mark_keeper_expect(onliner->mark_keeper, step->index, step->inode, want_of(onliner, step));
    }
    if (plan->len > 0)
        submit(onliner, plan);
    if (undecided->len > 0 && !onliner->is_resolving)
        resolve(onliner, undecided);
    else
        for (guint i = 0; i < undecided->len; i++)
            cast_net(onliner, g_array_index(undecided, guint32, i));
}

/* New and offline, and nobody's choice: a later policy may bring them online. */
static void remember_new(Onliner *onliner, const guint32 *indices, guint n, gboolean has_net)
{
    for (guint i = 0; i < n; i++) {
        const Block *block = snapshot_find_block(snapshot_of(onliner), indices[i]);
        if (!block || block->state == BLOCK_STATE_ONLINE)
            continue;
        mark_keeper_expect(onliner->mark_keeper, block->index, block->inode, MARK_WANT_POLICY);
        if (has_net)
            cast_net(onliner, block->index);
    }
}

static void take_new(Onliner *onliner, const guint32 *indices, guint n)
{
    g_autoptr(GArray) zones = zone_stats_read(onliner->config.io);

    onliner->net_round = 0;
    onliner->resolve_round = 0;
    kernel_floor_check_online(&onliner->online, zones, snapshot_of(onliner), onliner->mark_keeper,
                              indices, n);
    if (kernel_setter_is_enough(onliner->setter, &onliner->online))
        remember_new(onliner, indices, n, TRUE);
    else
        submit_new(onliner, indices, n);
}

/* After the blocks that came before: the settings as they were are what these came online by. */
static void apply_to_kernel(Onliner *onliner)
{
    g_autoptr(GArray) zones = zone_stats_read(onliner->config.io);

    if (!zones && !onliner->is_blind)
        g_warning(
            "/proc/zoneinfo cannot be read: kernel-floor-bytes is not in force, and policy auto "
            "brings memory online as the kernel's");
    onliner->is_blind = !zones;
    kernel_setter_apply(onliner->setter, &onliner->online,
                        kernel_floor_has_room(&onliner->online, zones));
}

void onliner_on_change(Onliner *onliner, const ModelChange *change)
{
    if (!onliner->config.is_live || onliner->is_stopping)
        return;
    mark_keeper_learn(onliner->mark_keeper, change->now, change->touched, change->n_touched);
    if (change->n_added > 0 && onliner->online.policy == ONLINE_POLICY_NONE)
        remember_new(onliner, change->added, change->n_added, FALSE);
    else if (change->n_added > 0)
        take_new(onliner, change->added, change->n_added);
    if (onliner->has_floor && onliner->online.policy == ONLINE_POLICY_MOVABLE)
        placement_unify(onliner->mark_keeper, change->now);
    if (change->now->block_count < change->before->block_count)
        mark_keeper_prune(onliner->mark_keeper, change->now);
    apply_to_kernel(onliner);
    rezoner_review(onliner->rezoner, &onliner->online);
}

/* Offline blocks that were never seen online: nobody chose that. HAS_UNKNOWN: those too of which
 * nothing is known. */
static void adopt(Onliner *onliner, gboolean has_unknown)
{
    const Snapshot *snapshot = snapshot_of(onliner);
    const BlockMarks *marks = mark_keeper_marks(onliner->mark_keeper);
    g_autoptr(GArray) adopted = g_array_new(FALSE, FALSE, sizeof(guint32));

    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];
        const BlockMark *mark = block_marks_find(marks, block->index, block->inode);
        if (block->state == BLOCK_STATE_OFFLINE && (mark ? !mark->is_seen : has_unknown))
            g_array_append_val(adopted, block->index);
    }
    submit_new(onliner, (const guint32 *)adopted->data, adopted->len);
}

void onliner_review(Onliner *onliner)
{
    if (!onliner->config.is_live || onliner->is_stopping)
        return;
    adopt(onliner, FALSE); /* what was new when a job took it was passed over */
    rezoner_review(onliner->rezoner, &onliner->online);
}

void onliner_start(Onliner *onliner, OnlinerStartedFunc func, gpointer user_data)
{
    const Snapshot *snapshot = snapshot_of(onliner);
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(guint32));

    if (!onliner->config.is_live)
        return;
    rezoner_inherit(onliner->rezoner, &onliner->online);
    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];
        if (!rezoner_holds(onliner->rezoner, block->index, block->inode))
            g_array_append_val(all, block->index);
    }
    mark_keeper_prune(onliner->mark_keeper, snapshot);
    mark_keeper_learn(onliner->mark_keeper, snapshot, (const guint32 *)all->data, all->len);
    apply_to_kernel(onliner);
    adopt(onliner, onliner->config.adopt_existing);
    rezoner_review(onliner->rezoner, &onliner->online);
    kernel_setter_wait(onliner->setter, func, user_data);
}

const OnlineConfig *onliner_config(const Onliner *onliner)
{
    return &onliner->online;
}

void onliner_set_config(Onliner *onliner, const OnlineConfig *config)
{
    onliner->online = *config;
    if (!onliner->config.is_live || onliner->is_stopping)
        return;
    mark_keeper_set_policy(onliner->mark_keeper, config->policy);
    apply_to_kernel(onliner);
    onliner_review(onliner); /* the last policy may have left new blocks offline, or elsewhere */
}

void onliner_set_reserve(Onliner *onliner, guint64 reserve_bytes, guint swap_percent)
{
    rezoner_set_reserve(onliner->rezoner, reserve_bytes, swap_percent);
}

gboolean onliner_owns_auto_online(const Onliner *onliner, const char *word)
{
    return kernel_setter_is_ours(onliner->setter, &onliner->online, word);
}

/* --- the end --- */

static void on_settings_back(gpointer user_data)
{
    Onliner *onliner = user_data;

    onliner->is_restored = TRUE;
    finish_stop(onliner);
}

static void on_rezoner_stopped(gpointer user_data)
{
    Onliner *onliner = user_data;

    kernel_setter_restore(onliner->setter, on_settings_back, onliner);
}

void onliner_stop(Onliner *onliner, OnlinerStoppedFunc func, gpointer user_data)
{
    GHashTableIter iter;
    gpointer task;

    onliner->is_stopping = TRUE;
    onliner->on_stopped = func;
    onliner->on_stopped_data = user_data;
    g_clear_handle_id(&onliner->net, g_source_remove);
    /* What waits for the kernel's hotplug lock would make the end wait too. */
    g_hash_table_iter_init(&iter, onliner->tasks);
    while (!onliner->config.is_last && g_hash_table_iter_next(&iter, &task, NULL))
        executor_cancel(onliner->config.executor, ((Task *)task)->id);
    rezoner_stop(onliner->rezoner, on_rezoner_stopped, onliner);
}

Onliner *onliner_new(const OnlinerConfig *config)
{
    Onliner *onliner = g_new0(Onliner, 1);

    onliner->config = *config;
    onliner->online = config->online;
    if (!config->is_live)
        onliner->online.policy = ONLINE_POLICY_NONE;
    onliner->tasks = g_hash_table_new_full(NULL, NULL, (GDestroyNotify)task_free, NULL);
    onliner->waiting = g_array_new(FALSE, FALSE, sizeof(guint32));
    onliner->mark_keeper =
        mark_keeper_new(config->state_dir, config->boot_id, onliner->online.policy);
    onliner->rezoner = rezoner_new(config->io, config->keeper, config->executor,
                                   onliner->mark_keeper, config->is_owned, config->user_data);
    rezoner_set_reserve(onliner->rezoner, config->reserve_bytes, config->swap_percent);
    onliner->setter =
        kernel_setter_new(config->io, config->executor, config->state_dir, config->boot_id);
    return onliner;
}

void onliner_free(Onliner *onliner)
{
    if (!onliner)
        return;
    g_clear_handle_id(&onliner->net, g_source_remove);
    g_hash_table_unref(onliner->tasks); /* the executor, freed before, calls nobody back */
    g_array_unref(onliner->waiting);
    kernel_setter_free(onliner->setter);
    rezoner_free(onliner->rezoner);
    mark_keeper_free(onliner->mark_keeper);
    g_free(onliner);
}
