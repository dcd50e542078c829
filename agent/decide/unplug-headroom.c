/*
 * Room for what is in the devices: in all of the guest, in the other nodes, under a strict commit
 * limit, for huge pages. Each is a reason of its own, and where a figure is not known it is none.
 */
#include "decide/unplug-headroom.h"

#include "decide/attempt.h"
#include "decide/reason.h"
#include "system/balloon.h"
#include "system/units.h"

static void add(UnplugVerdict *verdict, Reason *reason, guint64 bytes)
{
    reason->bytes = bytes;
    g_ptr_array_add(verdict->reasons, reason);
}

char *headroom_uncounted(const Uncounted *uncounted)
{
    GString *text = g_string_new(NULL);
    char size[UNITS_BYTES_MAX];

    if (uncounted->swap_bytes > 0)
        g_string_append_printf(text, "; %s of free swap is not counted ([unplug] use-swap)",
                               units_format_bytes(uncounted->swap_bytes, size));
    if (uncounted->arc_bytes > 0)
        g_string_append_printf(text,
                               "; %s that ZFS may give back of its cache is not counted (a lower "
                               "zfs_arc_max frees it)",
                               units_format_bytes(uncounted->arc_bytes, size));
    return g_string_free(text, FALSE);
}

static void check_available(UnplugVerdict *verdict, const UnplugCheckInput *input)
{
    char needed[UNITS_BYTES_MAX], available[UNITS_BYTES_MAX], reserve[UNITS_BYTES_MAX];
    guint64 demand;

    verdict->available_bytes = input->meminfo->available_bytes;
    verdict->reserve_bytes = attempt_reserve_after(
        input->reserve_bytes, input->meminfo->total_bytes, verdict->leaving_bytes);
    if (!u64_add(&demand, verdict->needed_bytes, verdict->reserve_bytes))
        demand = G_MAXUINT64;
    /* Memory that is offline already costs nobody anything. */
    if (verdict->needed_bytes == 0 || verdict->available_bytes >= demand)
        return;
    g_autofree char *uncounted = headroom_uncounted(&input->uncounted);
    add(verdict,
        reason_new(REASON_LOW_MEMORY, NULL, -1, 0,
                   "%s must move elsewhere and %s must stay available, but only %s is "
                   "(%" G_GUINT64_FORMAT " + %" G_GUINT64_FORMAT " > %" G_GUINT64_FORMAT
                   " bytes); free memory in the guest or unplug less%s",
                   units_format_bytes(verdict->needed_bytes, needed),
                   units_format_bytes(verdict->reserve_bytes, reserve),
                   units_format_bytes(verdict->available_bytes, available), verdict->needed_bytes,
                   verdict->reserve_bytes, verdict->available_bytes, uncounted),
        demand - verdict->available_bytes);
}

/* --- nodes --- */

/* What the named devices have on one node. */
typedef struct {
    guint64 leaving_bytes; /* online, in the DIMMs */
    guint64 given_bytes;   /* what virtio-mem devices shall give back */
    gboolean is_kept;      /* something else is online there than the DIMMs */
} NodeShare;

/* What DEVICE, a virtio-mem device, shall give back. */
static guint64 given_bytes(const UnplugCheckInput *input, const Device *device)
{
    guint64 online = device->online_movable_bytes + device->online_kernel_bytes;

    for (guint i = 0; i < input->n_selectors; i++) {
        const Device *named = NULL;
        if (input->selectors[i].bytes > 0 &&
            snapshot_select(input->snapshot, &input->selectors[i], &named) == SELECT_FOUND &&
            named == device)
            return MIN(input->selectors[i].bytes, online);
    }
    return online;
}

/* NODES_MAX of them. Return (transfer full): g_free(). */
static NodeShare *share_nodes(const UnplugVerdict *verdict, const UnplugCheckInput *input)
{
    const Snapshot *snapshot = input->snapshot;
    NodeShare *shares = g_new0(NodeShare, NODES_MAX);
    g_autofree gboolean *leaves = g_new0(gboolean, snapshot->device_count + 1);

    for (guint i = 0; i < verdict->devices->len; i++) {
        const Device *device = verdict->devices->pdata[i];
        leaves[device - snapshot->devices] = device->kind == DEVICE_DIMM;
        if (device->kind == DEVICE_VIRTIO_MEM && device->node >= 0 && device->node < NODES_MAX)
            shares[device->node].given_bytes += given_bytes(input, device);
    }
    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];

        if (block->node < 0 || block->node >= NODES_MAX || block->state != BLOCK_STATE_ONLINE)
            continue;
        if (block->device >= 0 && leaves[block->device])
            shares[block->node].leaving_bytes += snapshot->block_size_bytes;
        else
            shares[block->node].is_kept = TRUE;
    }
    return shares;
}

/* Pages move to other nodes only, where there are any: do_migrate_range() in mm/memory_hotplug.c
 * takes the node of the block out of those that may be allocated from. */
static void check_node(UnplugVerdict *verdict, const GArray *nodes, const NodeShare *shares,
                       const NodeMeminfo *source)
{
    guint64 idle = source->free_bytes + source->hugetlb_free_bytes; /* wherever on the node */
    guint64 used = source->total_bytes - MIN(idle, source->total_bytes);
    guint64 needed = MIN(shares[source->node].leaving_bytes, used);
    guint64 spare = 0;
    char needed_text[UNITS_BYTES_MAX], spare_text[UNITS_BYTES_MAX];

    for (guint i = 0; i < nodes->len; i++) {
        const NodeMeminfo *other = &g_array_index(nodes, NodeMeminfo, i);
        guint64 leaving = shares[other->node].leaving_bytes;
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

static gboolean confines_a_cpuset(const NodeSet *emptied, const GArray *cpusets)
{
    for (guint i = 0; cpusets != NULL && i < cpusets->len; i++) {
        if (node_set_is_within(&g_array_index(cpusets, NodeSet, i), emptied))
            return TRUE;
    }
    return FALSE;
}

/* Whether nothing is left on NODE. Of virtio-mem's blocks only a part may be plugged, which the
 * node's figure is exact about. */
static gboolean is_emptied(const NodeMeminfo *node, const NodeShare *share)
{
    guint64 going_bytes = share->leaving_bytes + share->given_bytes;

    return (share->leaving_bytes > 0 && !share->is_kept) ||
           (share->given_bytes > 0 && going_bytes >= node->total_bytes);
}

/* A process that may use no other node finds no memory any more, and the kernel kills it
 * (CONSTRAINT_MEMORY_POLICY, mm/oom_kill.c), however much is free elsewhere. */
static void check_last_of_node(UnplugVerdict *verdict, const UnplugCheckInput *input,
                               const NodeShare *shares)
{
    NodeSet emptied = {{0}};

    for (guint i = 0; i < input->nodes->len; i++) {
        const NodeMeminfo *node = &g_array_index(input->nodes, NodeMeminfo, i);
        if (is_emptied(node, &shares[node->node]))
            node_set_add(&emptied, (guint)node->node);
    }
    gboolean is_confined = confines_a_cpuset(&emptied, input->cpusets);
    for (guint node = 0; node < NODES_MAX; node++) {
        if (!node_set_has(&emptied, node))
            continue;
        if (!is_confined && input->cpusets_error != 0) {
            add(verdict,
                reason_new(REASON_ERROR, NULL, -1, input->cpusets_error,
                           "node %u would have no memory left, and whether a cpuset allows no "
                           "other is not known: /" CPUSETS_DIR ": %s",
                           node, g_strerror(input->cpusets_error)),
                shares[node].leaving_bytes);
            continue;
        }
        Reason *reason = reason_new(
            REASON_LAST_OF_NODE, NULL, -1, 0,
            is_confined ? "node %u would have no memory left, and a cpuset allows no other "
                          "node; allow it another node or leave memory on this one"
                        : "node %u would have no memory left; the kernel kills a process that "
                          "is bound to it (numactl --membind) and needs memory",
            node);
        reason->is_warning = !is_confined;
        add(verdict, reason, shares[node].leaving_bytes + shares[node].given_bytes);
    }
}

/* virtio-mem's driver empties a piece only where each free huge page in it can be replaced on the
 * same node (alloc_and_dissolve_hugetlb_folio(), mm/hugetlb.c): none leaves the pool, unlike those
 * of a block that goes offline. */
static void check_given(UnplugVerdict *verdict, const NodeMeminfo *node, const NodeShare *share)
{
    guint64 leaving = share->leaving_bytes + share->given_bytes;
    guint64 left = node->total_bytes - MIN(leaving, node->total_bytes);
    char left_text[UNITS_BYTES_MAX], pool_text[UNITS_BYTES_MAX];

    if (share->given_bytes == 0 || node->hugetlb_free_bytes <= left)
        return;
    add(verdict,
        reason_new(REASON_HUGEPAGES, NULL, -1, 0,
                   "node %d has %s of free huge pages, which virtio-mem's driver can only move "
                   "within the node, and %s would be left there; free huge pages "
                   "(vm.nr_hugepages) or ask for less",
                   node->node, units_format_bytes(node->hugetlb_free_bytes, pool_text),
                   units_format_bytes(left, left_text)),
        node->hugetlb_free_bytes - left);
}

static gboolean has_virtio_mem(const UnplugVerdict *verdict)
{
    for (guint i = 0; i < verdict->devices->len; i++) {
        if (((const Device *)verdict->devices->pdata[i])->kind == DEVICE_VIRTIO_MEM)
            return TRUE;
    }
    return FALSE;
}

/* Of a single node only virtio-mem wants to know: the shares are a walk over all blocks, and a
 * report checks each device. */
static void check_nodes(UnplugVerdict *verdict, const UnplugCheckInput *input)
{
    if (input->nodes == NULL || (input->nodes->len < 2 && !has_virtio_mem(verdict)))
        return;
    g_autofree NodeShare *shares = share_nodes(verdict, input);
    for (guint i = 0; i < input->nodes->len; i++) {
        const NodeMeminfo *node = &g_array_index(input->nodes, NodeMeminfo, i);
        if (input->nodes->len > 1)
            check_node(verdict, input->nodes, shares, node);
        check_given(verdict, node, &shares[node->node]);
    }
    if (input->nodes->len > 1)
        check_last_of_node(verdict, input, shares);
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

/* The pools whose pages may lie in a device, taken together: which size a page is of, a look at it
 * does not tell, and hardly any guest has two sizes. */
typedef struct {
    guint64 free_bytes;
    guint64 reserved_bytes;
    guint64 reserved;       /* pages */
    guint64 page_bytes_max; /* of those that there are */
} Hugepages;

static Hugepages sum_pools(const GArray *pools)
{
    Hugepages sum = {.free_bytes = 0};

    for (guint i = 0; pools != NULL && i < pools->len; i++) {
        const HugepagePool *pool = &g_array_index(pools, HugepagePool, i);
        guint64 reserved = MIN(pool->reserved, pool->free);

        if (pool->total == 0 || !pool->can_be_movable)
            continue;
        sum.free_bytes += pool->free * pool->page_bytes;
        sum.reserved_bytes += reserved * pool->page_bytes;
        sum.reserved += reserved;
        sum.page_bytes_max = MAX(sum.page_bytes_max, pool->page_bytes);
    }
    return sum;
}

/* Free pages in the devices. What is neither mapped nor free is in use too: files in hugetlbfs. */
static guint64 lost_hugepages(const Hugepages *pools, const UnplugCheckInput *input)
{
    return MIN(input->hugetlb.other_bytes, pools->free_bytes);
}

/* Free huge pages need no room: they are not available memory before, and are gone after. */
static void find_needed(UnplugVerdict *verdict, const UnplugCheckInput *input)
{
    Hugepages pools = sum_pools(input->hugepages);
    guint64 lost = lost_hugepages(&pools, input);

    verdict->needed_bytes = verdict->leaving_bytes - MIN(lost, verdict->leaving_bytes);
}

/* A free page goes back to the kernel as its block goes offline, and the pool is smaller by it
 * (dissolve_free_huge_page(), mm/hugetlb.c). That is refused with EBUSY where it would leave less
 * than what is reserved. */
static void check_free_hugepages(UnplugVerdict *verdict, const Hugepages *pools, guint64 lost_bytes)
{
    guint64 spare = pools->free_bytes - pools->reserved_bytes;
    char lost_text[UNITS_BYTES_MAX], spare_text[UNITS_BYTES_MAX];

    units_format_bytes(lost_bytes, lost_text);
    if (lost_bytes > spare)
        add(verdict,
            reason_new(REASON_HUGEPAGES, NULL, -1, 0,
                       "the devices hold %s of free huge pages, and %" G_GUINT64_FORMAT
                       " huge pages are reserved for mappings that have not touched them, so that "
                       "only %s may go; end what has reserved them or raise vm.nr_hugepages",
                       lost_text, pools->reserved, units_format_bytes(spare, spare_text)),
            lost_bytes - spare);
    else if (lost_bytes > 0)
        add(verdict,
            reason_new(REASON_HUGEPAGES_LOST, NULL, -1, 0,
                       "the devices hold %s of free huge pages, which leave the pool "
                       "(vm.nr_hugepages) with them",
                       lost_text),
            lost_bytes);
}

/* A page in use moves to a free one of the pool elsewhere, else to a fresh one of free memory
 * (alloc_hugetlb_folio_nodemask(), mm/hugetlb.c), which for 1 GiB pages is not to be had. */
static void check_hugepages(UnplugVerdict *verdict, const UnplugCheckInput *input)
{
    Hugepages pools = sum_pools(input->hugepages);
    guint64 lost = lost_hugepages(&pools, input);
    guint64 in_use = input->hugetlb.in_use_bytes + (input->hugetlb.other_bytes - lost);
    guint64 spare = pools.free_bytes - pools.reserved_bytes;
    guint64 elsewhere = spare - MIN(spare, lost);
    guint64 free_bytes = input->meminfo->free_bytes;
    guint64 fresh =
        pools.page_bytes_max >= GIB ? 0 : free_bytes - MIN(verdict->reserve_bytes, free_bytes);
    guint64 targets;
    char in_use_text[UNITS_BYTES_MAX], target_text[UNITS_BYTES_MAX];

    if (input->hugepages_error != 0)
        add(verdict,
            reason_new(REASON_ERROR, NULL, -1, input->hugepages_error,
                       "how many huge pages would have to move is not known: "
                       "/" HUGEPAGES_DIR ": %s",
                       g_strerror(input->hugepages_error)),
            0);
    if (input->node_pools_error != 0)
        add(verdict,
            reason_new(REASON_ERROR, NULL, -1, input->node_pools_error,
                       "how many huge pages each node has is not known, so that they could not be "
                       "put back: /sys/devices/system/node: %s",
                       g_strerror(input->node_pools_error)),
            0);
    if (pools.page_bytes_max == 0)
        return;
    check_free_hugepages(verdict, &pools, lost);
    if (!u64_add(&targets, elsewhere, fresh) || in_use <= targets)
        return;
    add(verdict,
        reason_new(
            REASON_HUGEPAGES, NULL, -1, 0,
            "the devices hold %s of huge pages in use, and there are free ones and free "
            "memory for %s of them elsewhere; free huge pages (vm.nr_hugepages) or memory, or "
            "unplug less",
            units_format_bytes(in_use, in_use_text), units_format_bytes(targets, target_text)),
        in_use - targets);
}

/* --- balloon --- */

/* A warning: two hands take memory from the same guest, and the balloon's figures follow neither.
 */
static void check_balloon(UnplugVerdict *verdict, const UnplugCheckInput *input)
{
    char held[UNITS_BYTES_MAX];

    if (input->balloon_error != 0)
        add(verdict,
            reason_new(REASON_BALLOON_ACTIVE, NULL, -1, input->balloon_error,
                       "whether a balloon holds memory is not known: /" VMSTAT_PATH ": %s",
                       g_strerror(input->balloon_error)),
            0);
    if (input->balloon_bytes == 0)
        return;
    add(verdict,
        reason_new(REASON_BALLOON_ACTIVE, NULL, -1, 0,
                   "a balloon holds %s of the guest's memory; deflate it before unplugging, or the "
                   "host takes memory away twice",
                   units_format_bytes(input->balloon_bytes, held)),
        input->balloon_bytes);
}

void headroom_add_to_verdict(UnplugVerdict *verdict, const UnplugCheckInput *input)
{
    find_needed(verdict, input);
    check_available(verdict, input);
    check_nodes(verdict, input);
    check_commit(verdict, input);
    check_hugepages(verdict, input);
    check_balloon(verdict, input);
}
