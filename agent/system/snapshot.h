/*
 * The model: all blocks and devices at one moment, immutable and shared by reference.
 *
 * A full scan makes the first one; afterwards each batch of uevents makes the next out of the last
 * by reading again only the blocks that the events named. Whoever holds a reference sees one
 * consistent moment for as long as it likes. Nothing here watches, waits or decides.
 */
#pragma once

#include <glib.h>

#include "system/attr.h"
#include "system/block.h"
#include "system/device.h"

typedef struct {
    guint64 block_size_bytes;
    guint32 block_count;
    guint32 device_count;
    const Block *blocks;   /* ascending by index, no index twice */
    const Device *devices; /* ascending by address */
    const GArray *ram;     /* of IomemRange: see firmware_ram_read(). NULL or empty: not known */
    /* Why there is nothing to go by: the errno of FAULT_PATH (static; the memory directory, its
     * block_size_bytes, or /proc/iomem, which tells who backs blocks). 0: there is. Else the block
     * size is 0, and there is no device. */
    int fault;
    const char *fault_path;
} Snapshot;

/* snapshot_scan: reads everything. A block that vanishes during the scan is left out, one that is
 * there and cannot be read gets BLOCK_STATE_UNKNOWN: one bad block must not hide the others. NULL
 * and ERROR (G_FILE_ERROR, naming the path) if the memory directory, the block size or /proc/iomem
 * cannot be read.
 */
Snapshot *snapshot_scan(const AttrIo *io, GError **error);

/* snapshot_scan_or_fault: like snapshot_scan(), but a snapshot without blocks that has a `fault`
 * instead of NULL: for kernels that have no memory blocks (CONFIG_MEMORY_HOTPLUG). */
Snapshot *snapshot_scan_or_fault(const AttrIo *io);

/* snapshot_rescan: like snapshot_scan, for when events were lost (ENOBUFS). Blocks that OLD does
 * not know are new ones, as in snapshot_refresh(): a scan alone would take a DIMM that is being
 * added at this moment for boot RAM. OLD may be NULL and stays the caller's. */
Snapshot *snapshot_rescan(const Snapshot *old, const AttrIo *io, GError **error);

/**
 * snapshot_refresh: @old with some blocks read again.
 * @indices: the blocks to read again, in any order, repeats allowed; ones that @old does not know
 *   are added, ones that are gone are dropped. Beside these, blocks whose node or device @old could
 *   not tell yet (the kernel links both after the last uevent, a device at a time and in ascending
 *   order) are looked at again: of adjacent ones the first, and the next once that is linked; with
 *   @n 0 all of them. /proc/iomem is read again if a block was added. A block that is there and
 *   cannot be read gets BLOCK_STATE_UNKNOWN.
 *
 * Return: (transfer full): a new snapshot, or a new reference to @old if nothing differs.
 */
Snapshot *snapshot_refresh(Snapshot *old, const AttrIo *io, const guint32 *indices, guint n);

/* Whether a refresh might see more though no event has come: a block whose node or device could not
 * be told yet, or whose state was on its way. Reads nothing. */
gboolean snapshot_has_loose_ends(const Snapshot *snapshot);

/* Makes a snapshot of BLOCKS (any order, `device` ignored) and what IO tells of devices: the part
 * of a scan after the blocks are read. For the two functions above and for tests. */
Snapshot *snapshot_build(const AttrIo *io, guint64 block_size_bytes, const Block *blocks, guint n);

Snapshot *snapshot_ref(Snapshot *snapshot);
void snapshot_unref(Snapshot *snapshot); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Snapshot, snapshot_unref)

/* The block with INDEX, or NULL. Binary search. */
const Block *snapshot_find_block(const Snapshot *snapshot, guint32 index);
/* Positions in `blocks`, *BEGIN to before *END, between which all blocks of DEVICE (of SNAPSHOT)
 * lie; others may lie there too. */
void snapshot_device_range(const Snapshot *snapshot, const Device *device, guint32 *begin,
                           guint32 *end);
/* The device of BLOCK, or NULL if that is not known (yet). */
const Device *snapshot_block_device(const Snapshot *snapshot, const Block *block);

typedef enum {
    SELECT_FOUND,
    SELECT_NO_DEVICE, /* nothing has this slot, id or range */
    SELECT_PARTIAL,   /* the range covers part of a device (*device is it) or no whole blocks */
} SelectResult;

/* Resolves SELECTOR. *DEVICE is set for FOUND, and for PARTIAL where one device is meant. */
SelectResult snapshot_select(const Snapshot *snapshot, const DeviceSelector *selector,
                             const Device **device);
