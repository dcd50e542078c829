/*
 * The online policy: which offline blocks become memory, and in which zone. Decides only, and only
 * about blocks that hot-added memory may be behind: never boot RAM, never another driver's.
 */
#include "decide/online-policy.h"

#include <string.h>

const char *online_policy_name(OnlinePolicy policy)
{
    return policy == ONLINE_POLICY_MOVABLE ? "movable" : "none";
}

gboolean online_policy_parse(const char *name, OnlinePolicy *policy)
{
    for (OnlinePolicy each = ONLINE_POLICY_MOVABLE; each <= ONLINE_POLICY_NONE; each++) {
        if (strcmp(name, online_policy_name(each)) == 0) {
            *policy = each;
            return TRUE;
        }
    }
    return FALSE;
}

static gint compare_steps(gconstpointer a, gconstpointer b)
{
    guint32 left = ((const OnlineStep *)a)->index, right = ((const OnlineStep *)b)->index;

    return left < right ? -1 : left > right;
}

static gboolean is_ours(const Snapshot *snapshot, const Block *block)
{
    const Device *device = snapshot_block_device(snapshot, block);

    return device == NULL || device->kind == DEVICE_DIMM || device->kind == DEVICE_VIRTIO_MEM;
}

GArray *online_policy_decide(OnlinePolicy policy, const Snapshot *snapshot,
                             const guint32 *candidates, guint n_candidates, BlockOwnedFunc is_owned,
                             gpointer user_data)
{
    GArray *steps = g_array_new(FALSE, FALSE, sizeof(OnlineStep));
    guint kept = 0;

    if (policy == ONLINE_POLICY_NONE)
        return steps;
    for (guint i = 0; i < n_candidates; i++) {
        const Block *block = snapshot_find_block(snapshot, candidates[i]);

        if (block == NULL || block->state != BLOCK_STATE_OFFLINE || !is_ours(snapshot, block))
            continue;
        if (is_owned != NULL && is_owned(block->index, block->inode, user_data))
            continue;
        OnlineStep step = {
            .index = block->index,
            .inode = block->inode,
            .verb = "online_movable",
        };
        g_array_append_val(steps, step);
    }
    g_array_sort(steps, compare_steps);
    for (guint i = 0; i < steps->len; i++) {
        const OnlineStep *step = &g_array_index(steps, OnlineStep, i);

        if (kept == 0 || g_array_index(steps, OnlineStep, kept - 1).index != step->index)
            g_array_index(steps, OnlineStep, kept++) = *step;
    }
    g_array_set_size(steps, kept);
    return steps;
}
