/*
 * Makes snapshots out of what the kernel shows now. Reads only: never writes, waits or decides, and
 * never takes a block that it cannot see for one that it can.
 */
#include <errno.h>
#include <string.h>

#include "system/devices.h"
#include "system/iomem.h"
#include "system/snapshot-private.h"

static GArray *new_blocks(guint room)
{
    return g_array_sized_new(FALSE, FALSE, sizeof(Block), room);
}

static GArray *new_indices(void)
{
    return g_array_new(FALSE, FALSE, sizeof(guint32));
}

static gint compare_indices(gconstpointer a, gconstpointer b)
{
    guint32 left = *(const guint32 *)a, right = *(const guint32 *)b;

    return left < right ? -1 : left > right;
}

static gint compare_blocks(gconstpointer a, gconstpointer b)
{
    guint32 left = ((const Block *)a)->index, right = ((const Block *)b)->index;

    return left < right ? -1 : left > right;
}

/* Ascending, each once: a directory that changes while it is listed may name an entry twice. */
static void sort_indices(GArray *indices)
{
    guint kept = 0;

    g_array_sort(indices, compare_indices);
    for (guint i = 0; i < indices->len; i++) {
        guint32 index = g_array_index(indices, guint32, i);

        if (kept == 0 || g_array_index(indices, guint32, kept - 1) != index)
            g_array_index(indices, guint32, kept++) = index;
    }
    g_array_set_size(indices, kept);
}

static gboolean see_name(const char *name, gpointer user_data)
{
    guint32 index;

    if (block_parse_name(name, &index))
        g_array_append_val((GArray *)user_data, index);
    return TRUE;
}

static gboolean is_gone(int error)
{
    return error == -ENOENT || error == -ENODEV || error == -ENOTDIR;
}

static const char block_size_path[] = BLOCK_DIR "/block_size_bytes";

/* Return 0 or a negative errno. */
static int read_block_size(const AttrIo *io, guint64 *block_size_bytes)
{
    guint64 size;
    int result = attr_read_uint64(io, block_size_path, 16, &size);

    /* A power of two (memory_dev_init(), drivers/base/memory.c); any index times 2 GiB fits. */
    if (result == 0 && (size == 0 || (size & (size - 1)) != 0 || size >> 32 != 0))
        result = -EINVAL;
    if (result == 0)
        *block_size_bytes = size;
    return result;
}

/* Whether BLOCK's directory has to be read whole. HAS_NODES: the kernel knows NUMA, so a block
 * without a node will get one. */
static gboolean is_in_flux(const Block *block, gboolean has_nodes)
{
    if (block->node < 0 && has_nodes && block->state != BLOCK_STATE_ONLINE)
        return TRUE;
    return block->state == BLOCK_STATE_UNKNOWN || block->state == BLOCK_STATE_GOING_OFFLINE;
}

/* Whether its firmware_node may still come. */
static gboolean is_unlinked(const Block *block)
{
    return block->device < 0 || block->look_again;
}

static gboolean has_nodes(const Block *blocks, guint n)
{
    for (guint i = 0; i < n; i++) {
        if (blocks[i].node >= 0)
            return TRUE;
    }
    return FALSE;
}

/* What snapshot_has_loose_ends() will say of BLOCKS, whose devices are set. */
static gboolean find_loose_ends(const Block *blocks, guint n)
{
    gboolean nodes = has_nodes(blocks, n);

    for (guint i = 0; i < n; i++) {
        if (is_in_flux(&blocks[i], nodes) || is_unlinked(&blocks[i]))
            return TRUE;
    }
    return FALSE;
}

/**
 * make: the one place where a snapshot is put together.
 * @old: what may be taken over of it (devices_derive()), or NULL.
 * @blocks: (transfer full): a GArray of Block, ascending by index, no index twice.
 * @ranges, @ram: (transfer full): GArrays of IomemRange.
 */
static Snapshot *make(const AttrIo *io, const Snapshot *old, guint64 block_size_bytes,
                      GArray *blocks, GArray *ranges, GArray *ram)
{
    SnapshotData *data = g_new0(SnapshotData, 1);
    guint n = blocks->len;

    data->refs = 1;
    data->ranges = ranges;
    data->ram = ram;
    /* No more room than needed: a snapshot lives long. */
    data->blocks = g_new(Block, MAX(n, 1));
    if (n > 0)
        memcpy(data->blocks, blocks->data, n * sizeof(Block));
    g_array_free(blocks, TRUE);
    data->devices = devices_derive(io, old, ranges, block_size_bytes, data->blocks, n);
    /* Asked before every answer, so it is found once. */
    data->has_loose_ends = find_loose_ends(data->blocks, n);
    data->public = (Snapshot){
        .block_size_bytes = block_size_bytes,
        .block_count = n,
        .device_count = data->devices->len,
        .blocks = data->blocks,
        .devices = (const Device *)data->devices->data,
        .ram = ram,
    };
    return &data->public;
}

/* What PROC/IOMEM tells, or KEEP's copy, or nothing. */
static GArray *ranges_read_or(const AttrIo *io, const GArray *keep)
{
    GArray *ranges;

    if (iomem_read(io, &ranges) == 0)
        return ranges;
    ranges = g_array_new(FALSE, TRUE, sizeof(IomemRange));
    if (keep != NULL)
        g_array_append_vals(ranges, keep->data, keep->len);
    return ranges;
}

/* At the first scan a block is taken for boot RAM where nothing else is told of it. While a DIMM is
 * being added (IS_COMING, asked before the blocks were read) that may be wrong, so then blocks that
 * no one has brought online yet stay without a device until they are linked, and the others are
 * looked at again. So are those right behind a DIMM's: its links are made one after the other. */
static void doubt_blocks(GArray *blocks, gboolean is_coming)
{
    const Block *behind_dimm = NULL; /* the last block, if it is one or may be */

    for (guint i = 0; i < blocks->len; i++) {
        Block *block = &g_array_index(blocks, Block, i);
        gboolean is_behind = behind_dimm != NULL && behind_dimm->index + 1 == block->index;

        behind_dimm = block->backing == BLOCK_BACKING_ACPI || is_behind ? block : NULL;
        if (block->backing != BLOCK_BACKING_UNRESOLVED)
            continue;
        block->is_new = is_coming && block->state == BLOCK_STATE_OFFLINE;
        block->look_again = is_coming || is_behind;
    }
}

/* Memory that may be there or not at the administrator's will, and so far is not. RAM, the
 * firmware's map, tells it from RAM that somebody has taken offline; without one, what is offline
 * counts as standby. */
static void find_standby(GArray *blocks, guint64 block_size_bytes, const GArray *ram)
{
    for (guint i = 0; i < blocks->len; i++) {
        Block *block = &g_array_index(blocks, Block, i);
        guint64 start = block->index * block_size_bytes;

        block->is_standby =
            block->state == BLOCK_STATE_OFFLINE && block->backing == BLOCK_BACKING_UNRESOLVED &&
            !block->is_new &&
            (!ram || iomem_overlap_bytes(ram, start, start + block_size_bytes - 1) == 0);
    }
}

/* A block that OLD knew by the same identity stays what it was; any other has come since. */
static void mark_new_blocks(GArray *blocks, const Snapshot *old)
{
    for (guint i = 0; i < blocks->len; i++) {
        Block *block = &g_array_index(blocks, Block, i);
        const Block *before = snapshot_find_block(old, block->index);

        block->is_new = before == NULL || before->inode != block->inode || before->is_new;
        block->look_again =
            before != NULL && before->look_again && block->backing == BLOCK_BACKING_UNRESOLVED;
        block->is_standby = before != NULL && before->is_standby && !block->is_new;
    }
}

/* FALSE if there is no such block (any more). */
static gboolean read_or_doubt(const AttrIo *io, guint32 index, Block *block)
{
    char path[BLOCK_PATH_MAX];
    int result = block_read(io, index, NULL, block);

    if (result == 0)
        return TRUE;
    *block = (Block){.index = index, .device = -1, .node = -1, .state = BLOCK_STATE_UNKNOWN};
    return !is_gone(result) && attr_identify(io, block_path(index, "", path), &block->inode) == 0;
}

/* NULL with *RESULT, a negative errno, of *PATH. */
static Snapshot *scan(const Snapshot *old, const AttrIo *io, int *result, const char **path)
{
    g_autoptr(GArray) indices = new_indices();
    guint64 block_size_bytes = 0;

    *path = BLOCK_DIR;
    *result = attr_list(io, BLOCK_DIR, see_name, indices);
    if (*result == 0) {
        *path = block_size_path;
        *result = read_block_size(io, &block_size_bytes);
    }
    if (*result < 0)
        return NULL;
    sort_indices(indices);

    gboolean is_coming = old == NULL && devices_is_dimm_coming(io);
    gboolean has_map = FALSE;
    GArray *ram =
        old != NULL ? g_array_ref(snapshot_data(old)->ram) : firmware_ram_read(io, &has_map);
    GArray *blocks = new_blocks(indices->len);
    for (guint i = 0; i < indices->len; i++) {
        Block block;

        if (read_or_doubt(io, g_array_index(indices, guint32, i), &block))
            g_array_append_val(blocks, block);
    }
    if (old != NULL) {
        mark_new_blocks(blocks, old);
    } else {
        doubt_blocks(blocks, is_coming);
        find_standby(blocks, block_size_bytes, has_map ? ram : NULL);
    }
    /* After the blocks: a driver's resource is there before its blocks are. */
    GArray *ranges = NULL;
    *path = IOMEM_PATH;
    *result = iomem_read(io, &ranges);
    if (*result == 0)
        return make(io, old, block_size_bytes, blocks, ranges, ram);
    g_array_unref(blocks);
    g_array_unref(ram);
    return NULL;
}

Snapshot *snapshot_scan_or_fault(const AttrIo *io)
{
    const char *path;
    int result;
    Snapshot *snapshot = scan(NULL, io, &result, &path);

    if (snapshot != NULL)
        return snapshot;
    snapshot = make(io, NULL, 0, new_blocks(0), g_array_new(FALSE, TRUE, sizeof(IomemRange)),
                    g_array_new(FALSE, TRUE, sizeof(IomemRange)));
    snapshot->fault = -result;
    snapshot->fault_path = path;
    return snapshot;
}

Snapshot *snapshot_rescan(const Snapshot *old, const AttrIo *io, GError **error)
{
    const char *path;
    int result;
    Snapshot *snapshot = scan(old, io, &result, &path);

    if (snapshot == NULL)
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(-result), "cannot read /%s: %s",
                    path, g_strerror(-result));
    return snapshot;
}

Snapshot *snapshot_scan(const AttrIo *io, GError **error)
{
    return snapshot_rescan(NULL, io, error);
}

Snapshot *snapshot_build(const AttrIo *io, guint64 block_size_bytes, const Block *blocks, guint n)
{
    GArray *copy = new_blocks(n);
    gboolean has_map;

    g_array_append_vals(copy, blocks, n);
    g_array_sort(copy, compare_blocks);
    return make(io, NULL, block_size_bytes, copy, ranges_read_or(io, NULL),
                firmware_ram_read(io, &has_map));
}

/* --- refresh --- */

typedef struct {
    const Snapshot *old;
    const AttrIo *io;
    GArray *blocks;
    guint32 waiting;      /* the block before the next one still waits for its links: its index */
    gboolean has_waiting; /* whether there is such a block */
    gboolean is_thorough; /* every block that waits is looked at; else the first of each run */
    gboolean has_nodes;   /* see is_in_flux() */
    gboolean is_changed;
    gboolean is_added;
} Refresh;

static gboolean block_equal(const Block *a, const Block *b)
{
    return a->inode == b->inode && a->index == b->index && a->acpi_number == b->acpi_number &&
           a->node == b->node && a->state == b->state && a->zone == b->zone &&
           a->can_be_movable == b->can_be_movable && a->backing == b->backing &&
           a->is_new == b->is_new && a->look_again == b->look_again &&
           a->is_standby == b->is_standby;
}

static gboolean is_boot(const Snapshot *snapshot, const Block *block)
{
    const Device *device = snapshot_block_device(snapshot, block);

    return device != NULL && device->kind == DEVICE_BOOT;
}

static gboolean waits(const Refresh *r, const Block *block)
{
    return (is_unlinked(block) && block->backing == BLOCK_BACKING_UNRESOLVED) ||
           is_in_flux(block, r->has_nodes);
}

/* BLOCK is kept, as the next in order. */
static void keep(Refresh *r, const Block *block)
{
    r->has_waiting = waits(r, block);
    r->waiting = block->index;
    g_array_append_val(r->blocks, *block);
}

/* The kernel links blocks in ascending order, a device at a time: where the one before still waits,
 * so does this one. With an event a block, looking at each would cost the square of their number.
 */
static gboolean waits_behind(const Refresh *r, const Block *block)
{
    return !r->is_thorough && r->has_waiting && r->waiting + 1 == block->index &&
           block->state != BLOCK_STATE_UNKNOWN && block->state != BLOCK_STATE_GOING_OFFLINE;
}

/* Reads block INDEX again; BEFORE is what OLD knew of it, or NULL. */
static void take_again(Refresh *r, guint32 index, const Block *before, gboolean is_named)
{
    Block block;
    int result = block_read(r->io, index, before, &block);

    if (is_gone(result) || (result < 0 && before == NULL)) {
        r->is_changed |= before != NULL;
        return;
    }
    if (result < 0) {
        block = *before;
        block.state = BLOCK_STATE_UNKNOWN;
        block.zone = ZONE_UNKNOWN;
        block.can_be_movable = FALSE;
    }
    gboolean is_same = before != NULL && before->inode == block.inode;
    block.is_new = !is_same || before->is_new;
    /* Boot RAM that was brought online or offline, or a DIMM's block from before the first scan
     * whose link is still to come: only the link can tell. */
    block.look_again = block.backing == BLOCK_BACKING_UNRESOLVED && is_same &&
                       (before->look_again || (is_named && is_boot(r->old, before)));
    block.is_standby = is_same && before->is_standby;
    block.device = is_same ? before->device : -1;
    r->is_added |= !is_same;
    r->is_changed |= !is_same || !block_equal(&block, before);
    keep(r, &block);
}

/* BEFORE, of which no event told: links come without events, and all else with one. */
static void take(Refresh *r, const Block *before)
{
    Block block = *before;

    if (waits_behind(r, before)) {
        keep(r, before);
        return;
    }
    if (is_in_flux(before, r->has_nodes)) {
        take_again(r, before->index, before, FALSE);
        return;
    }
    if (is_unlinked(before) && before->backing == BLOCK_BACKING_UNRESOLVED)
        block.backing = (guint8)block_read_backing(r->io, block.index, &block.acpi_number);
    if (block.backing != before->backing) {
        block.look_again = FALSE;
        r->is_changed = TRUE;
    }
    keep(r, &block);
}

Snapshot *snapshot_refresh(Snapshot *old, const AttrIo *io, const guint32 *indices, guint n)
{
    g_autoptr(GArray) named = new_indices();
    Refresh r = {
        .old = old, .io = io, .blocks = new_blocks(old->block_count + n), .is_thorough = n == 0};
    guint at = 0;

    g_array_append_vals(named, indices, n);
    sort_indices(named);
    r.has_nodes = has_nodes(old->blocks, old->block_count);

    for (guint32 i = 0; i < old->block_count || at < named->len;) {
        const Block *before = i < old->block_count ? &old->blocks[i] : NULL;
        const guint32 *name = at < named->len ? &g_array_index(named, guint32, at) : NULL;

        if (name == NULL || (before != NULL && before->index < *name)) {
            take(&r, before);
            i++;
        } else if (before == NULL || *name < before->index) {
            take_again(&r, *name, NULL, TRUE);
            at++;
        } else {
            take_again(&r, *name, before, TRUE);
            at++;
            i++;
        }
    }

    if (!r.is_changed) {
        g_array_free(r.blocks, TRUE);
        return snapshot_ref(old);
    }
    const GArray *known = snapshot_data(old)->ranges;
    GArray *ranges;
    if (r.is_added) {
        ranges = ranges_read_or(io, known);
    } else {
        ranges = g_array_new(FALSE, TRUE, sizeof(IomemRange));
        g_array_append_vals(ranges, known->data, known->len);
    }
    return make(io, old, old->block_size_bytes, r.blocks, ranges,
                g_array_ref(snapshot_data(old)->ram));
}
