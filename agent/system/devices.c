/*
 * Derives devices from blocks. The order of belief: a block's firmware_node (a DIMM), /proc/iomem
 * (virtio-mem, other drivers), a foreign firmware_node; what remains is RAM of the firmware's map,
 * if it was there from the start and is in that map, or has been online. Never guesses: a new block
 * of which nothing tells has no device.
 */
#include "system/devices.h"

#include <string.h>

#include "system/acpi-memory.h"
#include "system/iomem.h"

typedef struct {
    GArray *devices;   /* of Device, in the order of their first block */
    GHashTable *dimms; /* acpi_number -> index + 1 in DEVICES */
    const GArray *ranges;
    gint32 *range_devices; /* of each virtio-mem range: index in DEVICES */
    guint range;           /* the first range that does not end before the current block */
    gint32 boot;           /* index in DEVICES, or -1 */
    guint n_others;
    guint64 block_size_bytes;
} Derivation;

static Device *device_at(const GArray *devices, gint32 index)
{
    return &g_array_index(devices, Device, index);
}

static gint32 add_device(Derivation *d, DeviceKind kind, guint64 address)
{
    Device device = {.kind = kind, .slot = -1, .node = -1, .address = address};

    device.first_block = (guint32)(address / d->block_size_bytes);
    g_array_append_val(d->devices, device);
    return (gint32)d->devices->len - 1;
}

/* virtio-mem devices are there with or without blocks. */
static void add_virtio_devices(Derivation *d)
{
    for (guint i = 0; i < d->ranges->len; i++) {
        const IomemRange *range = &g_array_index(d->ranges, IomemRange, i);

        if (!range->is_virtio_mem)
            continue;
        d->range_devices[i] = add_device(d, DEVICE_VIRTIO_MEM, range->start);
        Device *device = device_at(d->devices, d->range_devices[i]);
        device->size_bytes = range->last - range->start + 1;
        g_strlcpy(device->id, range->name, sizeof device->id);
    }
}

static gint32 dimm_of(Derivation *d, const Block *block, guint64 address)
{
    gpointer key = GUINT_TO_POINTER(block->acpi_number);
    gint32 found = GPOINTER_TO_INT(g_hash_table_lookup(d->dimms, key)) - 1;

    if (found < 0) {
        found = add_device(d, DEVICE_DIMM, address);
        device_at(d->devices, found)->acpi_number = block->acpi_number;
        g_hash_table_insert(d->dimms, key, GINT_TO_POINTER(found + 1));
    }
    return found;
}

/* The range that the block lies in, or -1. Blocks must come in ascending order. */
static gint32 range_of(Derivation *d, guint64 address)
{
    guint64 last = address + d->block_size_bytes - 1;

    while (d->range < d->ranges->len) {
        const IomemRange *range = &g_array_index(d->ranges, IomemRange, d->range);

        if (range->last >= address)
            return range->start <= address && range->last >= last ? (gint32)d->range : -1;
        d->range++;
    }
    return -1;
}

static gint32 other_of(Derivation *d, const Block *previous, const Block *block, guint64 address)
{
    if (previous != NULL && previous->device >= 0 && previous->index + 1 == block->index &&
        device_at(d->devices, previous->device)->kind == DEVICE_OTHER)
        return previous->device;

    gint32 index = add_device(d, DEVICE_OTHER, address);
    Device *device = device_at(d->devices, index);
    g_snprintf(device->id, sizeof device->id, "other%u", d->n_others++);
    return index;
}

static gint32 device_of(Derivation *d, const Block *previous, const Block *block)
{
    guint64 address = block->index * d->block_size_bytes;

    if (block->backing == BLOCK_BACKING_ACPI)
        return dimm_of(d, block, address);

    gint32 range = range_of(d, address);
    if (range >= 0 && d->range_devices[range] >= 0)
        return d->range_devices[range];
    if (range >= 0 || block->backing == BLOCK_BACKING_FOREIGN || block->is_standby)
        return other_of(d, previous, block, address);
    if (block->is_new)
        return -1;
    if (d->boot < 0) {
        d->boot = add_device(d, DEVICE_BOOT, address);
        g_strlcpy(device_at(d->devices, d->boot)->id, "boot", DEVICE_ID_MAX);
    }
    return d->boot;
}

static void add_figures(Device *device, const Block *block, guint64 block_size_bytes)
{
    if (device->block_count++ == 0) {
        device->first_block = block->index;
        device->node = block->node;
    }
    if (device->kind != DEVICE_VIRTIO_MEM)
        device->size_bytes += block_size_bytes;
    if (block->state != BLOCK_STATE_ONLINE)
        device->offline_bytes += block_size_bytes;
    else if (block->zone == ZONE_MOVABLE)
        device->online_movable_bytes += block_size_bytes;
    else
        device->online_kernel_bytes += block_size_bytes;
}

/* Takes slot and path over from the DIMM of OLD whose first block is still there: then the ACPI
 * device was never gone, and its number is nobody else's. */
static gboolean inherit_dimm(Device *device, const Snapshot *old, const Block *blocks, guint n)
{
    for (guint i = 0; old != NULL && i < old->device_count; i++) {
        const Device *known = &old->devices[i];

        if (known->kind != DEVICE_DIMM || known->acpi_number != device->acpi_number ||
            known->slot < 0)
            continue;
        const Block *before = snapshot_find_block(old, known->first_block);
        guint low = 0, high = n;
        while (low < high) {
            guint middle = low + (high - low) / 2;
            if (blocks[middle].index < known->first_block)
                low = middle + 1;
            else
                high = middle;
        }
        if (before == NULL || low == n || blocks[low].index != before->index ||
            blocks[low].inode != before->inode)
            return FALSE;
        device->slot = known->slot;
        g_strlcpy(device->acpi_path, known->acpi_path, sizeof device->acpi_path);
        return TRUE;
    }
    return FALSE;
}

static void read_dimm(const AttrIo *io, Device *device)
{
    char path[BLOCK_PATH_MAX];

    device->slot =
        acpi_memory_read_slot(io, block_path(device->first_block, "firmware_node/uid", path));
    if (attr_read_line(io, block_path(device->first_block, "firmware_node/path", path),
                       device->acpi_path, sizeof device->acpi_path) < 0)
        device->acpi_path[0] = '\0';
}

/* Two devices never have one name, whatever the firmware says. */
static void name_dimm(Device *device, GHashTable *slots)
{
    if (device->slot >= 0 && !g_hash_table_add(slots, GINT_TO_POINTER(device->slot)))
        device->slot = -1;
    if (device->slot >= 0)
        g_snprintf(device->id, sizeof device->id, "slot%d", device->slot);
    else
        g_snprintf(device->id, sizeof device->id, "acpi%02x", device->acpi_number);
}

static gint compare_devices(gconstpointer a, gconstpointer b, gpointer user_data)
{
    const GArray *devices = user_data;
    const Device *left = device_at(devices, *(const gint32 *)a);
    const Device *right = device_at(devices, *(const gint32 *)b);

    if (left->address != right->address)
        return left->address < right->address ? -1 : 1;
    return strcmp(left->id, right->id);
}

/* Brings the devices into the order of their addresses, and the blocks' indices with them. */
static GArray *sort_devices(GArray *devices, Block *blocks, guint n_blocks)
{
    guint n = devices->len;
    g_autofree gint32 *order = g_new(gint32, n + 1);
    g_autofree gint32 *place = g_new(gint32, n + 1);
    GArray *sorted = g_array_sized_new(FALSE, FALSE, sizeof(Device), n);

    for (guint i = 0; i < n; i++)
        order[i] = (gint32)i;
    g_qsort_with_data(order, (gint)n, sizeof *order, compare_devices, devices);
    for (guint i = 0; i < n; i++) {
        place[order[i]] = (gint32)i;
        g_array_append_val(sorted, *device_at(devices, order[i]));
    }
    for (guint i = 0; i < n_blocks; i++) {
        if (blocks[i].device >= 0)
            blocks[i].device = place[blocks[i].device];
    }
    g_array_free(devices, TRUE);
    return sorted;
}

GArray *devices_derive(const AttrIo *io, const Snapshot *old, const GArray *ranges,
                       guint64 block_size_bytes, Block *blocks, guint n_blocks)
{
    g_autoptr(GHashTable) dimms = g_hash_table_new(NULL, NULL);
    g_autoptr(GHashTable) slots = g_hash_table_new(NULL, NULL);
    g_autofree gint32 *range_devices = g_new(gint32, ranges->len + 1);
    Derivation d = {
        .devices = g_array_new(FALSE, FALSE, sizeof(Device)),
        .dimms = dimms,
        .ranges = ranges,
        .range_devices = range_devices,
        .boot = -1,
        .block_size_bytes = block_size_bytes,
    };

    memset(range_devices, 0xff, (ranges->len + 1) * sizeof *range_devices);
    add_virtio_devices(&d);
    for (guint i = 0; i < n_blocks; i++) {
        blocks[i].device = device_of(&d, i > 0 ? &blocks[i - 1] : NULL, &blocks[i]);
        if (blocks[i].device >= 0)
            add_figures(device_at(d.devices, blocks[i].device), &blocks[i], block_size_bytes);
    }
    for (guint i = 0; i < d.devices->len; i++) {
        Device *device = device_at(d.devices, (gint32)i);

        if (device->kind != DEVICE_DIMM)
            continue;
        if (!inherit_dimm(device, old, blocks, n_blocks))
            read_dimm(io, device);
        name_dimm(device, slots);
    }
    return sort_devices(d.devices, blocks, n_blocks);
}

gboolean devices_is_dimm_coming(const AttrIo *io)
{
    g_autoptr(GArray) blockless = acpi_memory_find_blockless(io);

    return blockless->len > 0;
}
