/*
 * Finds runs. A gap between blocks ends one, as does a difference in any field that is told.
 *
 * The zone that the kernel names for an offline block is only its default were it onlined now, and
 * changes with the block's neighbours and without an event: so it is not told.
 */
#include "model/map.h"

static MapRun run_of(const Snapshot *snapshot, const Block *block)
{
    return (MapRun){
        .first_block = block->index,
        .block_count = 1,
        .state = block->state,
        .zone = block->state == BLOCK_STATE_ONLINE ? block->zone : ZONE_SEVERAL,
        .node = block->node,
        .device = snapshot_block_device(snapshot, block),
    };
}

gboolean map_run_at(const Snapshot *snapshot, guint32 position, MapRun *run)
{
    if (position >= snapshot->block_count)
        return FALSE;
    *run = run_of(snapshot, &snapshot->blocks[position]);
    while (++position < snapshot->block_count) {
        MapRun next = run_of(snapshot, &snapshot->blocks[position]);

        if (next.first_block - run->first_block != run->block_count || next.state != run->state ||
            next.zone != run->zone || next.node != run->node || next.device != run->device)
            break;
        run->block_count++;
    }
    return TRUE;
}
