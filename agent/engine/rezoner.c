/*
 * The loop between the rezone state machine and the world. Nothing in here decides anything.
 */
#include "engine/rezoner.h"

#include <errno.h>

#include "decide/rezone.h"
#include "engine/block-report.h"
#include "os/loop.h"
#include "system/meminfo.h"
#include "system/units.h"

struct Rezoner {
    const AttrIo *io;
    ModelKeeper *keeper;
    Executor *executor;
    MarkKeeper *mark_keeper;
    BlockOwnedFunc is_owned;
    gpointer user_data;
    RezoneMachine *machine;
    GArray *actions; /* of RezoneAction: [next_action…] are still to be carried out */
    guint next_action;
    gboolean is_carrying_out;
    guint64 reserve_bytes; /* as configured */
    guint swap_percent;
    RezoneBlock running;
    guint n_block_steps; /* of its task; behind them it fills the pools of huge pages again */
    guint timer;
    gboolean was_read_only; /* said once: /sys cannot be written */
    RezonerStoppedFunc on_stopped;
    gpointer on_stopped_data;
};

static void feed(Rezoner *rezoner, const RezoneEvent *event);

static void on_task_done(const WorkResult *result, gpointer user_data)
{
    Rezoner *rezoner = user_data;
    RezoneBlock block = rezoner->running;
    int error = result->errors[0];

    for (guint i = 1; i < rezoner->n_block_steps && error == 0; i++)
        error = result->errors[i];
    model_keeper_reread(rezoner->keeper, &block.index, 1);
    if (result->attempt.end != ATTEMPT_NO_WORKER) /* online, no worker will take it offline now */
        mark_keeper_learn(rezoner->mark_keeper, model_keeper_snapshot(rezoner->keeper),
                          &block.index, 1);
    BlockReport report =
        block_report_of(model_keeper_snapshot(rezoner->keeper), block.index, block.inode, error);
    RezoneEvent event = {
        .kind = REZONE_DONE, .truth = report.truth, .error = error, .attempt = result->attempt};
    feed(rezoner, &event);
}

static gboolean has_readable_pools(const Rezoner *rezoner)
{
    int error;
    g_autoptr(GArray) pools = node_pools_read(rezoner->io, &error);

    return error == 0;
}

static RezoneWorld look(const Rezoner *rezoner)
{
    Meminfo meminfo = {.available_bytes = 0};
    guint64 block_size_bytes = model_keeper_snapshot(rezoner->keeper)->block_size_bytes;

    /* unreadable: nothing to spare, so no offline */
    meminfo_read_spare(rezoner->io, rezoner->swap_percent, &meminfo, NULL);
    if (meminfo.hugetlb_bytes > 0 && !has_readable_pools(rezoner)) /* they could not come back */
        meminfo.available_bytes = 0;
    return (RezoneWorld){.now_usec = g_get_monotonic_time(),
                         .available_bytes = meminfo.available_bytes,
                         .reserve_bytes = attempt_reserve_after(
                             rezoner->reserve_bytes, meminfo.total_bytes, block_size_bytes),
                         .block_size_bytes = block_size_bytes};
}

static void add_step(GArray *steps, const RezoneBlock *block, const char *verb)
{
    WorkStep step = {
        .kind = STEP_BLOCK, .index = block->index, .inode = block->inode, .verb = verb};

    g_array_append_val(steps, step);
}

/* Free huge pages in the block leave their pools as it goes offline: afterwards each pool of its
 * node is to have as many as now. */
static void add_pools(const Rezoner *rezoner, GArray *steps, guint32 index)
{
    const Block *block = snapshot_find_block(model_keeper_snapshot(rezoner->keeper), index);
    int error; /* look() has seen to it */
    g_autoptr(GArray) pools = node_pools_read(rezoner->io, &error);

    for (guint i = 0; i < pools->len; i++) {
        WorkStep step = {.kind = STEP_POOL, .pool = g_array_index(pools, NodePool, i)};
        if (step.pool.node < 0 || (block && block->node == step.pool.node))
            g_array_append_val(steps, step);
    }
}

static void start_task(Rezoner *rezoner, const RezoneAction *action)
{
    g_autoptr(GArray) steps = g_array_new(FALSE, TRUE, sizeof(WorkStep));
    const RezoneBlock *block = &action->block;
    RezoneWorld world = look(rezoner);
    AttemptLimits limits = {.reserve_bytes = world.reserve_bytes,
                            .block_bytes = world.block_size_bytes,
                            .swap_percent = rezoner->swap_percent,
                            .yield_usec = world.now_usec + REZONE_YIELD_USEC};

    if (action->kind == REZONE_ACT_MOVE) {
        /* Before it goes offline: whoever finds it so shall know that nobody chose that. */
        mark_keeper_expect(
            rezoner->mark_keeper, block->index, block->inode,
            block_marks_want(mark_keeper_marks(rezoner->mark_keeper), block->index, block->inode));
        mark_keeper_save(rezoner->mark_keeper);
        add_step(steps, block, "offline");
    }
    add_step(steps, block, action->verb);
    rezoner->running = *block;
    rezoner->n_block_steps = steps->len;
    if (action->kind == REZONE_ACT_MOVE)
        add_pools(rezoner, steps, block->index);
    executor_submit(rezoner->executor, EXECUTOR_LATER, (const WorkStep *)steps->data, steps->len,
                    action->kind == REZONE_ACT_MOVE ? &limits : NULL, on_task_done, rezoner, NULL);
}

static gboolean on_timer(gpointer user_data)
{
    Rezoner *rezoner = user_data;
    RezoneEvent event = {.kind = REZONE_TICK};

    rezoner->timer = 0;
    feed(rezoner, &event);
    return G_SOURCE_REMOVE;
}

static void set_timer(Rezoner *rezoner, gint64 at_usec)
{
    g_clear_handle_id(&rezoner->timer, g_source_remove);
    if (at_usec == 0)
        return;
    rezoner->timer = loop_add_due(at_usec - g_get_monotonic_time(), on_timer, rezoner);
}

/* What the last attempt came to. */
static const char *why(const RezoneAction *action)
{
    switch (action->attempt.end) {
    case ATTEMPT_LOW_MEMORY:
        return "too little memory is available to take it offline and leave the reserve";
    case ATTEMPT_STALLED:
        return action->attempt.is_waiting
                   ? "another memory operation of the kernel's went on for too long"
               : action->attempt.is_asleep
                   ? "no page of it moved for 5 s, while the kernel waited (for a disk, perhaps)"
                   : "no page of it moved for 5 s, however often the kernel tried";
    case ATTEMPT_OVER:
    case ATTEMPT_NO_WORKER:
    case ATTEMPT_LATE:
    case ATTEMPT_CANCELLED:
        break;
    }
    switch (action->error) {
    case 0:
        return "something else brought it back each time";
    case EBUSY:
        return "the kernel cannot move something in it";
    case ENOMEM:
        return "the kernel found no memory to move its contents to";
    case EINTR:
        return "a signal from outside of memplug ended the attempt";
    default:
        return g_strerror(action->error);
    }
}

static void give_up(Rezoner *rezoner, const RezoneAction *action)
{
    if (action->error == EROFS || action->error == EACCES) {
        if (!rezoner->was_read_only)
            g_warning("block %u is in the wrong zone and stays there, as others may: /sys cannot "
                      "be written (%s)",
                      action->block.index, g_strerror(action->error));
        rezoner->was_read_only = TRUE;
        return;
    }
    g_warning("block %u stays in the wrong zone, where it cannot be unplugged from: %s",
              action->block.index, why(action));
}

static void carry_out(Rezoner *rezoner, const RezoneAction *action)
{
    switch (action->kind) {
    case REZONE_ACT_MOVE:
    case REZONE_ACT_RETURN:
        start_task(rezoner, action);
        break;
    case REZONE_ACT_TIMER:
        set_timer(rezoner, action->at_usec);
        break;
    case REZONE_ACT_MOVED:
        g_message("block %u was in the wrong zone, and is online as %s now", action->block.index,
                  action->block.to_kernel ? "kernel memory" : "movable");
        break;
    case REZONE_ACT_GIVE_UP:
        give_up(rezoner, action);
        break;
    case REZONE_ACT_STOPPED:
        if (rezoner->on_stopped)
            rezoner->on_stopped(rezoner->on_stopped_data);
        break;
    }
}

static void feed(Rezoner *rezoner, const RezoneEvent *event)
{
    RezoneWorld world = look(rezoner);

    rezone_machine_step(rezoner->machine, &world, event, rezoner->actions);
    if (rezoner->is_carrying_out)
        return; /* further up the stack; it will get to what was appended */
    rezoner->is_carrying_out = TRUE;
    while (rezoner->next_action < rezoner->actions->len) {
        RezoneAction action = g_array_index(rezoner->actions, RezoneAction, rezoner->next_action++);
        carry_out(rezoner, &action);
    }
    g_array_set_size(rezoner->actions, 0);
    rezoner->next_action = 0;
    rezoner->is_carrying_out = FALSE;
}

Rezoner *rezoner_new(const AttrIo *io, ModelKeeper *keeper, Executor *executor,
                     MarkKeeper *mark_keeper, BlockOwnedFunc is_owned, gpointer user_data)
{
    Rezoner *rezoner = g_new0(Rezoner, 1);

    rezoner->io = io;
    rezoner->keeper = keeper;
    rezoner->executor = executor;
    rezoner->mark_keeper = mark_keeper;
    rezoner->is_owned = is_owned;
    rezoner->user_data = user_data;
    rezoner->machine = rezone_machine_new();
    rezoner->actions = g_array_new(FALSE, FALSE, sizeof(RezoneAction));
    return rezoner;
}

void rezoner_free(Rezoner *rezoner)
{
    if (!rezoner)
        return;
    g_clear_handle_id(&rezoner->timer, g_source_remove);
    g_array_unref(rezoner->actions);
    rezone_machine_free(rezoner->machine);
    g_free(rezoner);
}

void rezoner_inherit(Rezoner *rezoner, const OnlineConfig *config)
{
    const Snapshot *snapshot = model_keeper_snapshot(rezoner->keeper);
    const BlockMarks *marks = mark_keeper_marks(rezoner->mark_keeper);
    g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(RezoneBlock));

    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];
        const Device *device = snapshot_block_device(snapshot, block);
        const BlockMark *mark = block_marks_find(marks, block->index, block->inode);
        if (!mark || mark->is_seen || block->state == BLOCK_STATE_OFFLINE || !device ||
            device->kind != DEVICE_DIMM ||
            rezoner->is_owned(block->index, block->inode, rezoner->user_data))
            continue;
        RezoneBlock inherited = {.index = block->index,
                                 .inode = block->inode,
                                 .to_kernel = mark->want == MARK_WANT_KERNEL ||
                                              config->policy == ONLINE_POLICY_KERNEL};
        g_array_append_val(found, inherited);
    }
    RezoneEvent event = {.kind = REZONE_INHERITED,
                         .blocks = (const RezoneBlock *)found->data,
                         .n_blocks = found->len};
    if (found->len > 0)
        feed(rezoner, &event);
}

void rezoner_review(Rezoner *rezoner, const OnlineConfig *config)
{
    g_autoptr(GArray) found =
        rezone_find(config, model_keeper_snapshot(rezoner->keeper),
                    mark_keeper_marks(rezoner->mark_keeper), rezoner->is_owned, rezoner->user_data);
    RezoneEvent event = {
        .kind = REZONE_WANTED, .blocks = (const RezoneBlock *)found->data, .n_blocks = found->len};

    if (found->len > 0 || !rezone_machine_is_idle(rezoner->machine))
        feed(rezoner, &event);
}

void rezoner_set_reserve(Rezoner *rezoner, guint64 reserve_bytes, guint swap_percent)
{
    rezoner->swap_percent = swap_percent;
    rezoner->reserve_bytes = reserve_bytes;
}

gboolean rezoner_holds(const Rezoner *rezoner, guint32 index, guint64 inode)
{
    return rezone_machine_holds(rezoner->machine, index, inode);
}

BlockProgress rezoner_progress(const Rezoner *rezoner, guint32 index, guint64 inode)
{
    return rezone_machine_progress(rezoner->machine, index, inode);
}

void rezoner_stop(Rezoner *rezoner, RezonerStoppedFunc func, gpointer user_data)
{
    RezoneEvent event = {.kind = REZONE_STOP};

    rezoner->on_stopped = func;
    rezoner->on_stopped_data = user_data;
    feed(rezoner, &event);
}
