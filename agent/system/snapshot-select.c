/*
 * Finds the device that a request names. A range is only as good as a name if it covers one device
 * and all of it: everything else is the caller's mistake, or a device that changed meanwhile.
 */
#include <string.h>

#include "system/snapshot.h"
#include "system/units.h"

static SelectResult select_dimm(const Snapshot *snapshot, gint64 slot, const Device **device)
{
    for (guint32 i = 0; i < snapshot->device_count; i++) {
        if (snapshot->devices[i].kind == DEVICE_DIMM && snapshot->devices[i].slot >= 0 &&
            snapshot->devices[i].slot == slot) {
            *device = &snapshot->devices[i];
            return SELECT_FOUND;
        }
    }
    return SELECT_NO_DEVICE;
}

static SelectResult select_id(const Snapshot *snapshot, const char *id, const Device **device)
{
    for (guint32 i = 0; i < snapshot->device_count; i++) {
        if (strcmp(snapshot->devices[i].id, id) == 0) {
            *device = &snapshot->devices[i];
            return SELECT_FOUND;
        }
    }
    return SELECT_NO_DEVICE;
}

/* What a virtio-mem device offers changes all the time, and QEMU's query-memory-devices prints the
 * size that is plugged at the moment: its start names it. Of the others the size must be right. */
static gboolean is_whole(const Device *device, guint64 address, guint64 size_bytes,
                         guint32 n_touched)
{
    if (device->address != address || device->block_count != n_touched)
        return FALSE;
    return device->kind == DEVICE_VIRTIO_MEM ? size_bytes <= device->size_bytes
                                             : size_bytes == device->size_bytes;
}

static SelectResult select_range(const Snapshot *snapshot, guint64 address, guint64 size_bytes,
                                 const Device **device)
{
    guint64 block_size = snapshot->block_size_bytes;
    guint64 end; /* saturated: an address space ends nowhere else */
    const Device *first = NULL;
    guint32 n_touched = 0;
    gboolean has_others = FALSE;

    if (size_bytes == 0)
        return SELECT_NO_DEVICE;
    if (!u64_add(&end, address, size_bytes))
        end = G_MAXUINT64;
    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];
        guint64 start = block->index * block_size;

        if (start >= end)
            break;
        if (start + (block_size - 1) < address)
            continue;
        const Device *owner = snapshot_block_device(snapshot, block);
        if (n_touched++ == 0)
            first = owner;
        else if (owner != first)
            has_others = TRUE;
        if (first == NULL)
            first = owner;
    }
    if (n_touched == 0)
        return SELECT_NO_DEVICE;
    if (first != NULL)
        *device = first;
    return first != NULL && !has_others && is_whole(first, address, size_bytes, n_touched)
               ? SELECT_FOUND
               : SELECT_PARTIAL;
}

SelectResult snapshot_select(const Snapshot *snapshot, const DeviceSelector *selector,
                             const Device **device)
{
    *device = NULL;
    switch (selector->kind) {
    case SELECT_SLOT:
        return select_dimm(snapshot, selector->slot, device);
    case SELECT_RANGE:
        return select_range(snapshot, selector->address, selector->size_bytes, device);
    case SELECT_ID:
        return select_id(snapshot, selector->id, device);
    }
    return SELECT_NO_DEVICE;
}
