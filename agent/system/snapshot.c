/*
 * A snapshot's life and its look-ups. A snapshot never changes once it is made, and nothing here
 * reads a file.
 */
#include "system/snapshot.h"

#include "system/snapshot-private.h"

gboolean snapshot_has_loose_ends(const Snapshot *snapshot)
{
    return snapshot_data(snapshot)->has_loose_ends;
}

Snapshot *snapshot_ref(Snapshot *snapshot)
{
    g_atomic_int_inc(&((SnapshotData *)snapshot)->refs);
    return snapshot;
}

void snapshot_unref(Snapshot *snapshot)
{
    SnapshotData *data = (SnapshotData *)snapshot;

    if (data == NULL || !g_atomic_int_dec_and_test(&data->refs))
        return;
    g_free(data->blocks);
    g_array_free(data->devices, TRUE);
    g_array_free(data->ranges, TRUE);
    g_free(data);
}

const Block *snapshot_find_block(const Snapshot *snapshot, guint32 index)
{
    guint32 low = 0, high = snapshot->block_count;

    while (low < high) {
        guint32 middle = low + (high - low) / 2;

        if (snapshot->blocks[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low < snapshot->block_count && snapshot->blocks[low].index == index
               ? &snapshot->blocks[low]
               : NULL;
}

const Device *snapshot_block_device(const Snapshot *snapshot, const Block *block)
{
    if (block->device < 0 || (guint32)block->device >= snapshot->device_count)
        return NULL;
    return &snapshot->devices[block->device];
}
