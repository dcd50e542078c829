/*
 * Carries the online policy out. What a write said is not believed: the block is read again, and a
 * racing winner who did the right thing is a success.
 */
#include "wiring/onliner.h"

struct Onliner {
    ModelKeeper *keeper;
    Executor *executor;
    OnlinePolicy policy;
    BlockOwnedFunc is_held;
    gpointer user_data;
    GHashTable *tasks; /* of Task: those that have not called back */
};

/* One batch that is with the worker. */
typedef struct {
    Onliner *onliner;
    GArray *steps;    /* of OnlineStep */
} Task;

static void task_free(Task *task)
{
    g_array_unref(task->steps);
    g_free(task);
}

static void report(const Onliner *onliner, const OnlineStep *step, int error)
{
    const Block *block = snapshot_find_block(model_keeper_snapshot(onliner->keeper), step->index);

    if (!block || block->inode != step->inode)
        return; /* gone again */
    if (block->state != BLOCK_STATE_ONLINE)
        g_warning("block %u could not be brought online: %s", step->index,
                  error ? g_strerror(error) : block_state_name(block->state));
    else if (block->zone != ZONE_MOVABLE)
        g_warning("block %u came online in zone %s: it cannot be unplugged from there",
                  step->index, zone_name(block->zone));
}

static void on_done(const int *errors, guint n_steps, gpointer user_data)
{
    Task *task = user_data;
    Onliner *onliner = task->onliner;
    g_autofree guint32 *indices = g_new(guint32, n_steps);

    for (guint i = 0; i < n_steps; i++)
        indices[i] = g_array_index(task->steps, OnlineStep, i).index;
    model_keeper_look(onliner->keeper, indices, n_steps);
    for (guint i = 0; i < n_steps; i++)
        report(onliner, &g_array_index(task->steps, OnlineStep, i), errors[i]);
    g_message("%u blocks brought online (policy %s)", n_steps,
              online_policy_name(onliner->policy));
    g_hash_table_remove(onliner->tasks, task);
}

void onliner_added(Onliner *onliner, const guint32 *indices, guint n)
{
    g_autoptr(GArray) plan =
        online_policy_decide(onliner->policy, model_keeper_snapshot(onliner->keeper), indices, n,
                             onliner->is_held, onliner->user_data);
    if (plan->len == 0)
        return;

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
    executor_submit(onliner->executor, EXECUTOR_LATER, steps, plan->len, on_done, task);
}

void onliner_adopt(Onliner *onliner)
{
    const Snapshot *snapshot = model_keeper_snapshot(onliner->keeper);
    g_autoptr(GArray) offline = g_array_new(FALSE, FALSE, sizeof(guint32));

    for (guint32 i = 0; i < snapshot->block_count; i++) {
        if (snapshot->blocks[i].state == BLOCK_STATE_OFFLINE)
            g_array_append_val(offline, snapshot->blocks[i].index);
    }
    onliner_added(onliner, (const guint32 *)offline->data, offline->len);
}

Onliner *onliner_new(ModelKeeper *keeper, Executor *executor, OnlinePolicy policy,
                     BlockOwnedFunc is_held, gpointer user_data)
{
    Onliner *onliner = g_new0(Onliner, 1);

    onliner->keeper = keeper;
    onliner->executor = executor;
    onliner->policy = policy;
    onliner->is_held = is_held;
    onliner->user_data = user_data;
    onliner->tasks = g_hash_table_new_full(NULL, NULL, (GDestroyNotify)task_free, NULL);
    return onliner;
}

void onliner_free(Onliner *onliner)
{
    if (!onliner)
        return;
    g_hash_table_unref(onliner->tasks); /* the executor, freed before, calls nobody back */
    g_free(onliner);
}

OnlinePolicy onliner_policy(const Onliner *onliner)
{
    return onliner->policy;
}

void onliner_set_policy(Onliner *onliner, OnlinePolicy policy)
{
    onliner->policy = policy;
}
