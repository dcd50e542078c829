/*
 * Finds runs. A gap between blocks ends one, as does a difference in any field that is told.
 *
 * The zone that the kernel names for an offline block is only its default were it onlined now, and
 * changes with the block's neighbours and without an event: so it is not told.
 */
#include "system/map.h"

static Zone told_zone(const Block *block)
{
    return block->state == BLOCK_STATE_ONLINE ? block->zone : ZONE_SEVERAL;
}

static gboolean agree(const Block *a, const Block *b)
{
    return a->state == b->state && told_zone(a) == told_zone(b) && a->node == b->node &&
           a->device == b->device;
}

gboolean map_run_at(const Snapshot *snapshot, guint32 position, MapRun *run)
{
    if (position >= snapshot->block_count)
        return FALSE;

    const Block *first = &snapshot->blocks[position];
    const Block *end = snapshot->blocks + snapshot->block_count, *next = first + 1;
    while (next < end && next->index == next[-1].index + 1 && agree(first, next))
        next++;
    *run = (MapRun){
        .first_block = first->index,
        .block_count = (guint32)(next - first),
        .state = first->state,
        .zone = told_zone(first),
        .node = first->node,
        .device = snapshot_block_device(snapshot, first),
    };
    return TRUE;
}
