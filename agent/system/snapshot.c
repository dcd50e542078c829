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
    g_array_unref(data->ram);
    g_free(data);
}

/* The position of the first block whose index is not below INDEX. */
static guint32 lower_bound(const Snapshot *snapshot, guint64 index)
{
    guint32 low = 0, high = snapshot->block_count;

    while (low < high) {
        guint32 middle = low + (high - low) / 2;

        if (snapshot->blocks[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const Block *snapshot_find_block(const Snapshot *snapshot, guint32 index)
{
    guint32 at = lower_bound(snapshot, index);

    return at < snapshot->block_count && snapshot->blocks[at].index == index ? &snapshot->blocks[at]
                                                                             : NULL;
}

void snapshot_device_range(const Snapshot *snapshot, const Device *device, guint32 *begin,
                           guint32 *end)
{
    gint32 own = (gint32)(device - snapshot->devices);
    guint64 left = device->size_bytes / MAX(snapshot->block_size_bytes, 1);

    *begin = *end = lower_bound(snapshot, device->first_block);
    /* A virtio-mem device's size is its region's, which need not be full. */
    if (device->kind == DEVICE_VIRTIO_MEM)
        left = G_MAXUINT64;
    for (; left > 0 && *end < snapshot->block_count; ++*end)
        left -= snapshot->blocks[*end].device == own ? 1 : 0;
}

const Device *snapshot_block_device(const Snapshot *snapshot, const Block *block)
{
    if (block->device < 0 || (guint32)block->device >= snapshot->device_count)
        return NULL;
    return &snapshot->devices[block->device];
}
