/*
 * What a snapshot says of a block, for the state machine.
 */
#include "engine/block-report.h"

static BlockTruth judge(const Block *block)
{
    switch ((BlockState)block->state) {
    case BLOCK_STATE_OFFLINE:
        return TRUTH_OFFLINE;
    case BLOCK_STATE_ONLINE:
        return block->zone == ZONE_MOVABLE ? TRUTH_ONLINE_MOVABLE : TRUTH_ONLINE_KERNEL;
    case BLOCK_STATE_GOING_OFFLINE:
    case BLOCK_STATE_UNKNOWN:
        break;
    }
    return TRUTH_CHANGING;
}

BlockReport block_report_of(const Snapshot *snapshot, guint32 index, guint64 inode, int error)
{
    const Block *block = snapshot_find_block(snapshot, index);
    BlockReport report = {.index = index, .inode = inode, .truth = TRUTH_GONE, .error = error};

    if (block && block->inode == inode)
        report.truth = judge(block);
    return report;
}

BlockReport block_report_at(const Snapshot *snapshot, guint32 index)
{
    const Block *block = snapshot_find_block(snapshot, index);
    BlockReport report = {.index = index, .inode = 0, .truth = TRUTH_GONE};

    if (block) {
        report.inode = block->inode;
        report.truth = judge(block);
    }
    return report;
}
