/*
 * One request is one task of the worker, guarded as every offlining is, and one timer for the
 * answer.
 */
#include "engine/block-requests.h"

#include <errno.h>
#include <string.h>

#include "decide/online-policy.h"
#include "engine/block-report.h"
#include "os/loop.h"
#include "system/meminfo.h"
#include "system/units.h"

#define ANSWER_MS (BLOCK_REQUESTS_LIMIT_MS - 200)

struct BlockRequests {
    const AttrIo *io;
    ModelKeeper *keeper;
    Executor *executor;
    Unplugger *unplugger;
    BlockPlanFunc plan;
    gpointer user_data;
    guint n_requests; /* that the executor still knows */
};

typedef struct {
    BlockRequests *requests;
    BlockSetEntry *entries;
    guint n_entries;
    GArray *positions; /* of guint: the entry of each step */
    BlockSetFunc func; /* NULL: answered */
    gpointer user_data;
    guint timer; /* of the answer */
} Request;

static void request_free(Request *request)
{
    g_clear_handle_id(&request->timer, g_source_remove);
    g_array_unref(request->positions);
    g_free(request->entries);
    g_free(request);
}

static gboolean is_as_wanted(const Block *block, gboolean online)
{
    return block->state == (online ? BLOCK_STATE_ONLINE : BLOCK_STATE_OFFLINE);
}

/* Why a block is not even tried, as the errno that the kernel would give; 0: it is. */
static int refusal(const BlockRequests *requests, const Snapshot *snapshot, const Block *block,
                   gboolean online)
{
    const Device *device = snapshot_block_device(snapshot, block);

    if (device && device->kind == DEVICE_OTHER)
        return EPERM; /* another driver's, or another tool's, to bring online and offline */
    if (unplug_machine_owner(unplugger_machine(requests->unplugger), block->index, block->inode))
        return EBUSY; /* the job will say what becomes of it */
    if (!online && block->zone == ZONE_SEVERAL)
        return EINVAL;
    if (!online && block->zone != ZONE_MOVABLE)
        return EBUSY; /* as can-offline says */
    return 0;
}

/* What a block needs: TRUE if a write, else ENTRY's result is final. */
static gboolean needs_write(const BlockRequests *requests, BlockSetEntry *entry)
{
    const Snapshot *snapshot = model_keeper_snapshot(requests->keeper);
    const Block *block = entry->phys_index <= G_MAXUINT32
                             ? snapshot_find_block(snapshot, (guint32)entry->phys_index)
                             : NULL;

    if (!block) {
        entry->result = BLOCK_SET_NOT_FOUND;
        entry->error = ENOENT;
        return FALSE;
    }
    if (is_as_wanted(block, entry->online)) {
        entry->result = BLOCK_SET_SUCCESS;
        return FALSE;
    }
    entry->result = BLOCK_SET_FAILED;
    entry->error = refusal(requests, snapshot, block, entry->online);
    return entry->error == 0;
}

static gboolean is_boot(const Snapshot *snapshot, const Block *block)
{
    const Device *device = snapshot_block_device(snapshot, block);

    return device && device->kind == DEVICE_BOOT;
}

static gint compare_steps(gconstpointer a, gconstpointer b)
{
    guint32 left = ((const OnlineStep *)a)->index, right = ((const OnlineStep *)b)->index;

    return left < right ? -1 : left > right;
}

/* Boot memory goes back to where the kernel puts it; everything else where PLAN says. That has no
 * step for a block which the policy leaves to others: then the host's word counts, and movable is
 * what can be given back. */
static const char *online_verb(const Snapshot *snapshot, const Block *block, const GArray *plan)
{
    OnlineStep key = {.index = block->index};
    guint position;

    if (is_boot(snapshot, block))
        return "online";
    if (g_array_binary_search((GArray *)plan, &key, compare_steps, &position))
        return g_array_index(plan, OnlineStep, position).verb;
    return "online_movable";
}

/* Why STEP was not done, in an errno. RESULT NULL: the time is up, or the daemon ends. */
static int step_error(const WorkResult *result, guint step)
{
    int error = result ? result->errors[step] : STEP_NOT_DONE;

    if (error != 0 && error != STEP_NOT_DONE && error != EINTR)
        return error; /* the kernel's own, or that of a process that could not be had */
    if (result && result->attempt.end == ATTEMPT_LOW_MEMORY && error != 0)
        return ENOMEM;
    if (result && result->attempt.end == ATTEMPT_OVER)
        return error != 0 ? error : EBUSY; /* a signal from outside; or undone by somebody else */
    return ETIMEDOUT;
}

static void settle(Request *request, const WorkResult *result)
{
    const Snapshot *snapshot = model_keeper_snapshot(request->requests->keeper);

    for (guint i = 0; i < request->positions->len; i++) {
        BlockSetEntry *entry = &request->entries[g_array_index(request->positions, guint, i)];
        const Block *block = snapshot_find_block(snapshot, (guint32)entry->phys_index);
        if (!block) {
            entry->result = BLOCK_SET_NOT_FOUND;
            entry->error = ENOENT;
        } else if (is_as_wanted(block, entry->online)) {
            entry->result = BLOCK_SET_SUCCESS; /* whatever the write said */
        } else {
            entry->result = BLOCK_SET_FAILED;
            entry->error = step_error(result, i);
        }
    }
}

static void look(Request *request)
{
    g_autofree guint32 *indices = g_new(guint32, request->positions->len);

    for (guint i = 0; i < request->positions->len; i++)
        indices[i] =
            (guint32)request->entries[g_array_index(request->positions, guint, i)].phys_index;
    model_keeper_reread(request->requests->keeper, indices, request->positions->len);
}

static void answer(Request *request, const WorkResult *result)
{
    BlockSetFunc func = request->func;

    if (!func)
        return;
    request->func = NULL;
    look(request);
    settle(request, result);
    func(request->entries, request->n_entries, request->user_data);
}

static void on_done(const WorkResult *result, gpointer user_data)
{
    answer(user_data, result);
}

/* The executor knows the task no more. What was not answered was not done. */
static void on_forgotten(gpointer user_data)
{
    Request *request = user_data;

    if (request->func) {
        settle(request, NULL);
        request->func(request->entries, request->n_entries, request->user_data);
    }
    request->requests->n_requests--;
    request_free(request);
}

/* The worker may be stuck in the kernel: it is not waited for. The executor ends it, if it can. */
static gboolean on_late(gpointer user_data)
{
    Request *request = user_data;

    request->timer = 0;
    answer(request, NULL);
    return G_SOURCE_REMOVE;
}

static void start(Request *request, GArray *steps, AttemptLimits *limits)
{
    BlockRequests *requests = request->requests;

    requests->n_requests++;
    limits->deadline_usec = g_get_monotonic_time() + ANSWER_MS * USEC_PER_MSEC;
    executor_submit(requests->executor, EXECUTOR_SOON, (const WorkStep *)steps->data, steps->len,
                    limits, on_done, request, on_forgotten);
    request->timer = loop_add_due(ANSWER_MS * USEC_PER_MSEC, on_late, request);
}

/* Finds what can be told at once. What the others need goes to STEPS, with the verb of those that
 * are to come online left open, and to the request's positions. Fills in LIMITS. */
static void sort_out(Request *request, GArray *steps, AttemptLimits *limits)
{
    const BlockRequests *requests = request->requests;
    const Snapshot *snapshot = model_keeper_snapshot(requests->keeper);
    guint64 block_bytes = snapshot->block_size_bytes;
    guint64 leaving_bytes = 0;
    Meminfo meminfo = {.available_bytes = 0};

    limits->block_bytes = block_bytes;
    limits->swap_percent = unplugger_swap_percent(requests->unplugger);
    /* once: a request may name thousands of blocks */
    meminfo_read_spare(requests->io, limits->swap_percent, &meminfo, NULL);

    for (guint i = 0; i < request->n_entries; i++) {
        BlockSetEntry *entry = &request->entries[i];
        if (!needs_write(requests, entry))
            continue;
        const Block *block = snapshot_find_block(snapshot, (guint32)entry->phys_index);
        if (!entry->online) {
            guint64 reserve_bytes =
                unplugger_reserve_bytes(requests->unplugger, &meminfo, leaving_bytes + block_bytes);
            if (!attempt_has_room(meminfo.available_bytes, leaving_bytes + block_bytes,
                                  reserve_bytes)) {
                entry->result = BLOCK_SET_FAILED;
                entry->error = ENOMEM;
                continue;
            }
            leaving_bytes += block_bytes;
            limits->reserve_bytes = reserve_bytes;
        }
        WorkStep step = {.kind = STEP_BLOCK,
                         .index = block->index,
                         .inode = block->inode,
                         .verb = entry->online ? NULL : "offline"};
        g_array_append_val(steps, step);
        g_array_append_val(request->positions, i);
    }
}

static void plan_online(const BlockRequests *requests, GArray *steps)
{
    const Snapshot *snapshot = model_keeper_snapshot(requests->keeper);
    g_autoptr(GArray) indices = g_array_new(FALSE, FALSE, sizeof(guint32));

    for (guint i = 0; i < steps->len; i++) {
        if (!g_array_index(steps, WorkStep, i).verb)
            g_array_append_val(indices, g_array_index(steps, WorkStep, i).index);
    }
    if (indices->len == 0)
        return;
    g_autoptr(GArray) plan =
        requests->plan((const guint32 *)indices->data, indices->len, requests->user_data);
    for (guint i = 0; i < steps->len; i++) {
        WorkStep *step = &g_array_index(steps, WorkStep, i);
        if (!step->verb)
            step->verb = online_verb(snapshot, snapshot_find_block(snapshot, step->index), plan);
    }
}

gboolean block_requests_add(BlockRequests *requests, const BlockSetEntry *entries, guint n,
                            BlockSetFunc func, gpointer user_data)
{
    g_autoptr(GArray) steps = g_array_new(FALSE, TRUE, sizeof(WorkStep));
    AttemptLimits limits = {.reserve_bytes = 0};

    if (requests->n_requests >= BLOCK_REQUESTS_MAX)
        return FALSE;
    Request *request = g_new0(Request, 1);
    request->requests = requests;
    request->entries = g_new(BlockSetEntry, MAX(n, 1));
    memcpy(request->entries, entries, n * sizeof *entries);
    request->n_entries = n;
    request->positions = g_array_new(FALSE, FALSE, sizeof(guint));
    request->func = func;
    request->user_data = user_data;
    sort_out(request, steps, &limits);
    plan_online(requests, steps);
    if (steps->len > 0) {
        start(request, steps, &limits);
    } else {
        func(request->entries, n, user_data);
        request_free(request);
    }
    return TRUE;
}

BlockRequests *block_requests_new(const AttrIo *io, ModelKeeper *keeper, Executor *executor,
                                  Unplugger *unplugger, BlockPlanFunc plan, gpointer user_data)
{
    BlockRequests *requests = g_new0(BlockRequests, 1);

    requests->io = io;
    requests->keeper = keeper;
    requests->executor = executor;
    requests->unplugger = unplugger;
    requests->plan = plan;
    requests->user_data = user_data;
    return requests;
}

void block_requests_free(BlockRequests *requests)
{
    g_free(requests);
}
