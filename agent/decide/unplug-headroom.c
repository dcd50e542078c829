/*
 * Room for what is in the devices: in all of the guest, in the other nodes, under a strict commit
 * limit, for huge pages. Each is a reason of its own, and where a figure is not known it is none.
 */
#include "decide/unplug-headroom.h"

#include "decide/attempt.h"
#include "decide/reason.h"
#include "system/units.h"

static void add(UnplugVerdict *verdict, Reason *reason, guint64 bytes)
{
    reason->bytes = bytes;
    g_ptr_array_add(verdict->reasons, reason);
}

static void check_available(UnplugVerdict *verdict, const UnplugCheckInput *input)
{
    char needed[UNITS_BYTES_MAX], available[UNITS_BYTES_MAX], reserve[UNITS_BYTES_MAX];
    guint64 demand;

    verdict->available_bytes = input->meminfo->available_bytes;
    verdict->reserve_bytes = attempt_reserve_after(
        input->reserve_bytes, input->meminfo->total_bytes, verdict->needed_bytes);
    if (!u64_add(&demand, verdict->needed_bytes, verdict->reserve_bytes))
        demand = G_MAXUINT64;
    /* Memory that is offline already costs nobody anything. */
    if (verdict->needed_bytes == 0 || verdict->available_bytes >= demand)
        return;
    add(verdict,
        reason_new(REASON_LOW_MEMORY, NULL, -1, 0,
                   "%s must move elsewhere and %s must stay available, but only %s is "
                   "(%" G_GUINT64_FORMAT " + %" G_GUINT64_FORMAT " > %" G_GUINT64_FORMAT
                   " bytes); free memory in the guest or unplug less",
                   units_format_bytes(verdict->needed_bytes, needed),
                   units_format_bytes(verdict->reserve_bytes, reserve),
                   units_format_bytes(verdict->available_bytes, available), verdict->needed_bytes,
                   verdict->reserve_bytes, verdict->available_bytes),
        demand - verdict->available_bytes);
}

/* --- nodes --- */

/* Bytes of the named devices that are online on NODE. */
static guint64 online_bytes_on(const UnplugVerdict *verdict, const UnplugCheckInput *input,
                               gint16 node)
{
    const Snapshot *snapshot = input->snapshot;
    guint64 bytes = 0;

    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];
        const Device *device = snapshot_block_device(snapshot, block);

        if (block->node == node && block->state == BLOCK_STATE_ONLINE && device != NULL &&
            device->kind == DEVICE_DIMM && g_ptr_array_find(verdict->devices, device, NULL))
            bytes += snapshot->block_size_bytes;
    }
    return bytes;
}

/* Pages move to other nodes only, where there are any: do_migrate_range() in mm/memory_hotplug.c
 * takes the node of the block out of those that may be allocated from. */
static void check_node(UnplugVerdict *verdict, const UnplugCheckInput *input,
                       const NodeMeminfo *source)
{
    guint64 online = online_bytes_on(verdict, input, source->node);
    guint64 used = source->total_bytes - MIN(source->free_bytes, source->total_bytes);
    guint64 needed = MIN(online, used);
    guint64 spare = 0;
    char needed_text[UNITS_BYTES_MAX], spare_text[UNITS_BYTES_MAX];

    if (needed == 0)
        return;
    for (guint i = 0; i < input->nodes->len; i++) {
        const NodeMeminfo *other = &g_array_index(input->nodes, NodeMeminfo, i);
        guint64 leaving =
            other->node == source->node ? 0 : online_bytes_on(verdict, input, other->node);
        guint64 there = other->free_bytes + other->reclaimable_bytes;

        if (other->node != source->node && there > leaving)
            spare += there - leaving;
    }
    if (spare >= needed)
        return;
    add(verdict,
        reason_new(REASON_LOW_MEMORY, NULL, -1, 0,
                   "%s of node %d must move to other nodes, and only %s is available there "
                   "(%" G_GUINT64_FORMAT " > %" G_GUINT64_FORMAT
                   " bytes); free memory on the other nodes or unplug less",
                   units_format_bytes(needed, needed_text), source->node,
                   units_format_bytes(spare, spare_text), needed, spare),
        needed - spare);
}

static void check_nodes(UnplugVerdict *verdict, const UnplugCheckInput *input)
{
    if (input->nodes == NULL || input->nodes->len < 2)
        return;
    for (guint i = 0; i < input->nodes->len; i++)
        check_node(verdict, input, &g_array_index(input->nodes, NodeMeminfo, i));
}

/* --- commit limit --- */

/* CommitLimit is a share of RAM, so it falls with it (vm_commit_limit(), mm/util.c). Below what is
 * committed already, every new allocation of every process fails. */
static void check_commit(UnplugVerdict *verdict, const UnplugCheckInput *input)
{
    const Meminfo *meminfo = input->meminfo;
    guint64 lost = verdict->needed_bytes / 100 * input->overcommit.ratio_percent;
    guint64 limit = meminfo->commit_limit_bytes - MIN(lost, meminfo->commit_limit_bytes);
    char committed_text[UNITS_BYTES_MAX], limit_text[UNITS_BYTES_MAX];

    if (!input->overcommit.is_strict || lost == 0 || meminfo->committed_bytes <= limit)
        return;
    add(verdict,
        reason_new(
            REASON_LOW_MEMORY, NULL, -1, 0,
            "the guest does not overcommit (vm.overcommit_memory is 2), and CommitLimit would "
            "fall to %s while %s is committed (%" G_GUINT64_FORMAT " < %" G_GUINT64_FORMAT
            " bytes); end processes, raise vm.overcommit_ratio or unplug less",
            units_format_bytes(limit, limit_text),
            units_format_bytes(meminfo->committed_bytes, committed_text), limit,
            meminfo->committed_bytes),
        meminfo->committed_bytes - limit);
}

/* --- huge pages --- */

/* A hugetlb page moves to a free one of the pool elsewhere, else to a fresh one of free memory
 * (alloc_huge_page_nodemask(), mm/hugetlb.c), which for 1 GiB pages is not to be had. */
static void check_hugepages(UnplugVerdict *verdict, const UnplugCheckInput *input)
{
    const Meminfo *meminfo = input->meminfo;
    guint64 size = meminfo->hugepage_size_bytes;
    guint64 pool_free = meminfo->hugepages_free * size;
    guint64 elsewhere = pool_free - MIN(pool_free, input->hugetlb_other_bytes);
    guint64 fresh =
        size >= GIB ? 0 : meminfo->free_bytes - MIN(verdict->reserve_bytes, meminfo->free_bytes);
    guint64 targets;
    char in_use_text[UNITS_BYTES_MAX], target_text[UNITS_BYTES_MAX];

    if (!u64_add(&targets, elsewhere, fresh) || size == 0 || input->hugetlb_in_use_bytes <= targets)
        return;
    add(verdict,
        reason_new(
            REASON_HUGEPAGES, NULL, -1, 0,
            "the devices hold %s of huge pages in use, and there are free ones and free "
            "memory for %s of them elsewhere; free huge pages (vm.nr_hugepages) or memory, or "
            "unplug less",
            units_format_bytes(input->hugetlb_in_use_bytes, in_use_text),
            units_format_bytes(targets, target_text)),
        input->hugetlb_in_use_bytes - targets);
}

/* --- balloon --- */

/* A warning: two hands take memory from the same guest, and the balloon's figures follow neither.
 */
static void check_balloon(UnplugVerdict *verdict, const UnplugCheckInput *input)
{
    char held[UNITS_BYTES_MAX];

    if (input->balloon_bytes == 0)
        return;
    add(verdict,
        reason_new(REASON_BALLOON_ACTIVE, NULL, -1, 0,
                   "a balloon holds %s of the guest's memory; deflate it before unplugging, or the "
                   "host takes memory away twice",
                   units_format_bytes(input->balloon_bytes, held)),
        input->balloon_bytes);
}

void headroom_check(UnplugVerdict *verdict, const UnplugCheckInput *input)
{
    check_available(verdict, input);
    check_nodes(verdict, input);
    check_commit(verdict, input);
    check_hugepages(verdict, input);
    check_balloon(verdict, input);
}
