/*
 * Looks for misplaced blocks. Where the kernel says several zones, the block cannot go offline at
 * all, so it is not looked at.
 */
#include "decide/rezone-find.h"

static gboolean is_misplaced(const OnlineConfig *config, const Block *block, MarkWant want,
                             gboolean *to_kernel)
{
    *to_kernel = config->policy == ONLINE_POLICY_MOVABLE && want == MARK_WANT_KERNEL &&
                 block->zone == ZONE_MOVABLE;
    if (*to_kernel)
        return TRUE;
    if (!zone_is_kernel(block->zone))
        return FALSE;
    switch (config->policy) {
    case ONLINE_POLICY_MOVABLE:
        return want != MARK_WANT_KERNEL;
    case ONLINE_POLICY_AUTO:
        return want == MARK_WANT_MOVABLE;
    case ONLINE_POLICY_KERNEL:
    case ONLINE_POLICY_NONE:
        break;
    }
    return FALSE;
}

GArray *rezone_find(const OnlineConfig *config, const Snapshot *snapshot, const BlockMarks *marks,
                    BlockOwnedFunc is_owned, gpointer user_data)
{
    GArray *found = g_array_new(FALSE, FALSE, sizeof(RezoneBlock));

    for (guint32 i = 0; i < snapshot->block_count && config->rezone; i++) {
        const Block *block = &snapshot->blocks[i];
        const Device *device = snapshot_block_device(snapshot, block);
        RezoneBlock wanted = {.index = block->index, .inode = block->inode};

        if (!device || device->kind != DEVICE_DIMM || block->state != BLOCK_STATE_ONLINE ||
            !is_misplaced(config, block, block_marks_want(marks, block->index, block->inode),
                          &wanted.to_kernel))
            continue;
        if (!is_owned || !is_owned(block->index, block->inode, user_data))
            g_array_append_val(found, wanted);
    }
    return found;
}
