/*
 * The check, fed with what the guest shows at this moment.
 */
#include <stdlib.h>

#include "engine/contents.h"
#include "engine/unplugger-private.h"
#include "system/balloon.h"
#include "system/meminfo.h"
#include "system/pressure.h"

static gboolean is_taken(guint32 index, guint64 inode, gpointer user_data)
{
    Unplugger *unplugger = user_data;
    const UnplugJob *owner = unplug_machine_owner(unplugger->machine, index, inode);

    return owner && owner->id != unplugger->checking_job;
}

/* The smallest huge pages that the guest has; 0: it has none. */
static guint64 hugepage_bytes(const GArray *pools)
{
    for (guint i = 0; i < pools->len; i++) {
        const HugepagePool *pool = &g_array_index(pools, HugepagePool, i);
        if (pool->total > 0)
            return pool->page_bytes;
    }
    return 0;
}

/* Huge pages in the devices that SELECTORS name. Looked for only where the guest has any. */
static void count_hugepages(const Unplugger *unplugger, UnplugCheckInput *input)
{
    g_autoptr(GPtrArray) devices = g_ptr_array_new();

    if (hugepage_bytes(input->hugepages) == 0)
        return;
    for (guint i = 0; i < input->n_selectors; i++) {
        const Device *device = NULL;
        if (snapshot_select(input->snapshot, &input->selectors[i], &device) == SELECT_FOUND &&
            device->kind == DEVICE_DIMM && !g_ptr_array_find(devices, device, NULL))
            g_ptr_array_add(devices, (gpointer)device);
    }
    g_autofree HugepageShare *shares = contents_hugepages(
        unplugger->config.io, input->snapshot, (const Device *const *)devices->pdata, devices->len,
        hugepage_bytes(input->hugepages));
    for (guint i = 0; i < devices->len; i++) {
        input->hugetlb.in_use_bytes += shares[i].in_use_bytes;
        input->hugetlb.other_bytes += shares[i].other_bytes;
    }
}

/* errno for which a job would not know what to put back into the pools; 0: none. */
static int node_pools_error(const AttrIo *io, const Meminfo *meminfo)
{
    int error = 0;

    if (meminfo->hugetlb_bytes == 0)
        return 0;
    g_autoptr(GArray) pools = node_pools_read(io, &error);
    return error;
}

/* What every check looks at; MEMINFO and NODES, which it fills in, are the caller's. */
static UnplugCheckInput gather(Unplugger *unplugger, Meminfo *meminfo, GArray **nodes)
{
    const AttrIo *io = unplugger->config.io;
    Uncounted uncounted;

    *meminfo = (Meminfo){.available_bytes = 0}; /* unreadable: nothing to spare */
    meminfo_read_spare(io, unplugger->config.swap_percent, meminfo, &uncounted);
    *nodes = node_meminfo_read(io, meminfo->hugepage_size_bytes);
    return (UnplugCheckInput){
        .uncounted = uncounted,
        .snapshot = model_keeper_snapshot(unplugger->config.keeper),
        .meminfo = meminfo,
        .reserve_bytes = unplugger->config.reserve_bytes,
        .is_taken = is_taken,
        .user_data = unplugger,
        .nodes = *nodes,
        .overcommit = overcommit_read(io),
        .inhibitors = unplugger->inhibitors,
        .is_brief = TRUE,
    };
}

static UnplugVerdict *check(Unplugger *unplugger, const DeviceSelector *selectors, guint n,
                            gboolean allow_virtio_mem, gboolean is_thorough)
{
    const AttrIo *io = unplugger->config.io;
    Meminfo meminfo;
    g_autoptr(GArray) nodes = NULL;
    g_autoptr(GArray) hugepages = NULL;
    g_autoptr(GArray) cpusets = NULL;
    UnplugCheckInput input = gather(unplugger, &meminfo, &nodes);

    input.selectors = selectors;
    input.n_selectors = n;
    input.allow_virtio_mem = allow_virtio_mem;
    input.is_brief = !is_thorough;
    if (is_thorough) {
        input.hugepages = hugepages = hugepages_read(io, &input.hugepages_error);
        input.node_pools_error = node_pools_error(io, &meminfo);
        input.cpusets = cpusets = nodes->len > 1 ? cpusets_read(io, &input.cpusets_error) : NULL;
        input.balloon_error = -balloon_held_bytes(io, bytes_of_pages(1), &input.balloon_bytes);
        count_hugepages(unplugger, &input);
    }
    return unplug_check(&input);
}

UnplugVerdict *unplugger_check(Unplugger *unplugger, const DeviceSelector *selectors, guint n,
                               gboolean allow_virtio_mem)
{
    return check(unplugger, selectors, n, allow_virtio_mem, TRUE);
}

/* --- a part of the devices --- */

/* How many of SELECTORS, from the first on, can go together: all but the last ones that are too
 * much for what the guest can spare. N of them cannot. */
static guint find_most(Unplugger *unplugger, const DeviceSelector *selectors, guint n)
{
    guint can = 0, cannot = n;

    while (cannot - can > 1) {
        guint middle = can + (cannot - can) / 2;
        g_autoptr(UnplugVerdict) verdict = check(unplugger, selectors, middle, FALSE, TRUE);
        if (verdict->can_prepare)
            can = middle;
        else
            cannot = middle;
    }
    return can;
}

/* The last N - CAN of SELECTORS are left out, because with one more the check says REFUSED. */
static void leave_out(const Unplugger *unplugger, const DeviceSelector *selectors, guint can,
                      guint n, const UnplugVerdict *refused, GPtrArray *left_out)
{
    const Reason *why = NULL;

    for (guint i = 0; i < refused->reasons->len && (!why || why->is_warning); i++)
        why = refused->reasons->pdata[i];
    for (guint i = can; why && i < n; i++) {
        const Device *device = NULL;
        if (snapshot_select(model_keeper_snapshot(unplugger->config.keeper), &selectors[i],
                            &device) != SELECT_FOUND)
            continue;
        Reason *reason =
            reason_new(why->code, device->id, -1, why->error,
                       "%s is left out, because it is too much: %s", device->id, why->desc);
        reason->bytes = why->bytes;
        g_ptr_array_add(left_out, reason);
    }
}

UnplugVerdict *unplugger_check_part(Unplugger *unplugger, const DeviceSelector *selectors, guint n)
{
    UnplugVerdict *verdict = check(unplugger, selectors, n, FALSE, TRUE);
    unplugger_check_binding(unplugger, selectors, n, verdict);
    g_autofree DeviceSelector *kept = g_new(DeviceSelector, n + 1);
    g_autoptr(GPtrArray) left_out = reason_list_new();
    guint n_kept = 0;

    for (guint i = 0; i < n; i++) {
        if (!verdict->is_refused[i])
            kept[n_kept++] = selectors[i];
    }
    if (verdict->can_prepare || n_kept == 0)
        return verdict;
    for (guint i = 0; i < verdict->n_device_reasons; i++)
        g_ptr_array_add(left_out, reason_copy(verdict->reasons->pdata[i]));
    unplug_verdict_free(verdict);
    verdict = check(unplugger, kept, n_kept, FALSE, TRUE);
    guint can = verdict->can_prepare ? n_kept : find_most(unplugger, kept, n_kept);
    if (can > 0 && can < n_kept) {
        g_autoptr(UnplugVerdict) refused = check(unplugger, kept, can + 1, FALSE, TRUE);
        leave_out(unplugger, kept, can, n_kept, refused, left_out);
        unplug_verdict_free(verdict);
        verdict = check(unplugger, kept, can, FALSE, TRUE);
    }
    verdict->left_out = g_steal_pointer(&left_out);
    return verdict;
}

UnplugVerdict *unplugger_check_briefly(Unplugger *unplugger, const Device *device,
                                       gboolean allow_virtio_mem)
{
    DeviceSelector selector = {.kind = SELECT_ID};

    g_strlcpy(selector.id, device->id, sizeof selector.id);
    return check(unplugger, &selector, 1, allow_virtio_mem, FALSE);
}

/* In each device of INPUT's snapshot; only DIMMs have any. (transfer full) */
static HugepageShare *find_hugepages(const Unplugger *unplugger, const UnplugCheckInput *input)
{
    const Snapshot *snapshot = input->snapshot;
    HugepageShare *all = g_new0(HugepageShare, snapshot->device_count + 1);
    g_autoptr(GPtrArray) dimms = g_ptr_array_new();

    for (guint32 i = 0; i < snapshot->device_count; i++) {
        if (snapshot->devices[i].kind == DEVICE_DIMM)
            g_ptr_array_add(dimms, (gpointer)&snapshot->devices[i]);
    }
    g_autofree HugepageShare *shares =
        contents_hugepages(unplugger->config.io, snapshot, (const Device *const *)dimms->pdata,
                           dimms->len, hugepage_bytes(input->hugepages));
    for (guint i = 0; i < dimms->len; i++)
        all[(const Device *)dimms->pdata[i] - snapshot->devices] = shares[i];
    return all;
}

UnplugLimit unplugger_limit(Unplugger *unplugger)
{
    Meminfo meminfo;
    g_autoptr(GArray) nodes = NULL;
    int error;
    g_autoptr(GArray) hugepages = hugepages_read(unplugger->config.io, &error);
    UnplugCheckInput input = gather(unplugger, &meminfo, &nodes);
    g_autofree HugepageShare *shares = NULL;

    if (hugepage_bytes(hugepages) > 0) {
        input.hugepages = hugepages;
        shares = find_hugepages(unplugger, &input);
    }
    UnplugLimit limit = unplug_limit(&input, shares);
    if (error != 0 || node_pools_error(unplugger->config.io, &meminfo) != 0)
        /* no check would pass */
        limit.limit_bytes = 0;
    return limit;
}

/* --- which devices a job that waits means --- */

static guint64 first_inode(const Snapshot *snapshot, const DeviceSelector *selector)
{
    const Device *device = NULL;

    if (snapshot_select(snapshot, selector, &device) != SELECT_FOUND)
        return SELECTED_NOTHING;
    const Block *block = snapshot_find_block(snapshot, device->first_block);
    return block ? block->inode : 0;
}

DeviceSelector *unplugger_bind(const Unplugger *unplugger, const DeviceSelector *selectors, guint n)
{
    DeviceSelector *bound = g_new(DeviceSelector, n);

    for (guint i = 0; i < n; i++) {
        bound[i] = selectors[i];
        bound[i].first_inode =
            first_inode(model_keeper_snapshot(unplugger->config.keeper), &selectors[i]);
    }
    return bound;
}

void unplugger_check_binding(const Unplugger *unplugger, const DeviceSelector *selectors, guint n,
                             UnplugVerdict *verdict)
{
    const Snapshot *snapshot = model_keeper_snapshot(unplugger->config.keeper);

    for (guint i = 0; i < n; i++) {
        const DeviceSelector *selector = &selectors[i];
        gboolean was_there = selector->first_inode != SELECTED_NOTHING;
        char asked[DEVICE_SELECTOR_TEXT_MAX];
        if (selector->first_inode == 0 || verdict->is_refused[i] ||
            selector->first_inode == first_inode(snapshot, selector))
            continue;
        device_selector_format(selector, asked);
        g_ptr_array_insert(verdict->reasons, (gint)verdict->n_device_reasons++,
                           reason_new(REASON_NO_SUCH_DEVICE, asked, -1, 0,
                                      was_there
                                          ? "the memory device %s that was asked for has gone "
                                            "while the job waited; what is in its place now was "
                                            "not asked for"
                                          : "there was no memory device %s when it was asked "
                                            "for; ask again for the one that has come since",
                                      asked));
        verdict->is_refused[i] = TRUE;
        verdict->can_prepare = FALSE;
    }
}

/* --- the blocks of a job --- */

/* The blocks of DEVICE, which is the job's device number DEVICE_NUMBER. */
static void append_blocks(GArray *blocks, const Snapshot *snapshot, const Device *device,
                          guint device_number)
{
    guint32 begin, end;

    snapshot_device_range(snapshot, device, &begin, &end);
    for (guint32 i = begin; i < end; i++) {
        const Block *block = &snapshot->blocks[i];
        if (snapshot_block_device(snapshot, block) != device)
            continue;
        JobBlock job_block = {.index = block->index,
                              .inode = block->inode,
                              .device = (guint16)device_number,
                              .phase = block->state == BLOCK_STATE_OFFLINE ? JOB_BLOCK_WAS_OFFLINE
                                                                           : JOB_BLOCK_ONLINE};
        g_array_append_val(blocks, job_block);
    }
}

/* What would have to move out of one block. */
typedef struct {
    JobBlock block;
    guint turn; /* those of a lower one go first, however full they are */
    guint64 used_pages;
} Load;

static gint compare_loads(gconstpointer a, gconstpointer b)
{
    const Load *x = a, *y = b;

    if (x->turn != y->turn)
        return x->turn < y->turn ? -1 : 1;
    if (x->used_pages != y->used_pages)
        return x->used_pages < y->used_pages ? -1 : 1;
    return (x->block.index < y->block.index) - (x->block.index > y->block.index);
}

/* The emptiest first, and of those that look the same the last: most of the memory is out of use
 * before anything much has to move, and where it does not all fit, less was moved in vain. Above
 * all a page moves once. The kernel moves pages to where movable memory is free, so into the
 * device's other blocks while there is room; and it fills a device from its first block on. */
static void order_blocks(const Unplugger *unplugger, GArray *blocks, gboolean by_device)
{
    const Snapshot *snapshot = model_keeper_snapshot(unplugger->config.keeper);
    g_autofree guint32 *indices = g_new(guint32, blocks->len + 1);
    g_autofree Load *loads = g_new(Load, blocks->len + 1);
    guint n = blocks->len;

    for (guint i = 0; i < n; i++) {
        loads[i].block = g_array_index(blocks, JobBlock, i);
        loads[i].turn = by_device ? loads[i].block.device : 0;
        indices[i] = loads[i].block.index;
    }
    g_autofree PageSample *samples =
        contents_of_blocks(unplugger->config.io, snapshot, indices, n, CONTENTS_BUDGET_USEC);
    for (guint i = 0; i < n; i++)
        loads[i].used_pages =
            page_sample_estimate_used(&samples[i], pages_in_bytes(snapshot->block_size_bytes));
    if (n > 0)
        qsort(loads, n, sizeof *loads, compare_loads);
    for (guint i = 0; i < n; i++)
        g_array_index(blocks, JobBlock, i) = loads[i].block;
}

GArray *unplugger_blocks_to_offline(const Unplugger *unplugger, const UnplugVerdict *verdict,
                                    gboolean by_device)
{
    const Snapshot *snapshot = model_keeper_snapshot(unplugger->config.keeper);
    GArray *blocks = g_array_new(FALSE, FALSE, sizeof(JobBlock));

    gboolean may_go = verdict->can_prepare || reason_list_lacks_room(verdict->reasons);

    for (guint i = 0; may_go && i < verdict->devices->len; i++)
        append_blocks(blocks, snapshot, verdict->devices->pdata[i], i);
    order_blocks(unplugger, blocks, by_device);
    return blocks;
}
