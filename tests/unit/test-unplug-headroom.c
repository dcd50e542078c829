/*
 * The check's figures: what must find room elsewhere, and every kind of room that can be missing.
 */
#include <string.h>

#include <errno.h>

#include "decide/reason.h"
#include "decide/unplug-check.h"
#include "fake-kernel.h"
#include "system/units.h"

#define BLOCK_BYTES (128 * MIB)
#define DIMM_BYTES (8 * BLOCK_BYTES)

typedef struct {
    FakeKernel *fake;
    AttrIo *io;
    Snapshot *snapshot;
    Meminfo meminfo;
    DeviceSelector selector;
    UnplugCheckInput input;
    GArray *pools; /* of HugepagePool; see set_pool() */
} Fixture;

/* A DIMM of 1 GiB in slot 0, all online as movable, and memory enough. */
static void set_up(Fixture *fixture)
{
    *fixture = (Fixture){.fake = fake_kernel_new(BLOCK_BYTES),
                         .pools = g_array_new(FALSE, FALSE, sizeof(HugepagePool))};
    fake_kernel_add_boot(fixture->fake, 0, 8);
    fake_kernel_add_dimm(fixture->fake, 0, 32, 8);
    for (guint i = 32; i < 40; i++)
        fake_kernel_set_state(fixture->fake, i, "online", "Movable");
    fixture->io = fake_kernel_io(fixture->fake);
    fixture->snapshot = snapshot_scan(fixture->io, NULL);
    g_assert_nonnull(fixture->snapshot);
    fixture->meminfo = (Meminfo){.total_bytes = 2 * GIB,
                                 .available_bytes = 3 * GIB / 2,
                                 .free_bytes = 3 * GIB / 2,
                                 .commit_limit_bytes = GIB,
                                 .committed_bytes = GIB / 4,
                                 .hugepage_size_bytes = 2 * MIB};
    fixture->selector = (DeviceSelector){.kind = SELECT_SLOT};
    fixture->input = (UnplugCheckInput){.snapshot = fixture->snapshot,
                                        .meminfo = &fixture->meminfo,
                                        .selectors = &fixture->selector,
                                        .n_selectors = 1};
}

static void tear_down(Fixture *fixture)
{
    g_array_unref(fixture->pools);
    snapshot_unref(fixture->snapshot);
    attr_io_free(fixture->io);
    fake_kernel_free(fixture->fake);
}

/* The one reason of the check, or none (CODE: REASON_COUNT). Return (transfer full). */
static UnplugVerdict *check(Fixture *fixture, ReasonCode code, guint64 bytes)
{
    UnplugVerdict *verdict = unplug_check(&fixture->input);

    if (code == REASON_COUNT) {
        g_assert_cmpuint(verdict->reasons->len, ==, 0);
        g_assert_true(verdict->can_prepare);
        return verdict;
    }
    g_assert_cmpuint(verdict->reasons->len, ==, 1);
    const Reason *reason = verdict->reasons->pdata[0];
    g_assert_cmpstr(reason_code_name(reason->code), ==, reason_code_name(code));
    g_assert_cmpuint(reason->bytes, ==, bytes);
    g_assert_true(verdict->can_prepare ==
                  (code == REASON_BALLOON_ACTIVE || code == REASON_HUGEPAGES_LOST ||
                   code == REASON_LAST_OF_NODE));
    return verdict;
}

static void test_available(void)
{
    Fixture fixture;

    set_up(&fixture);
    g_autoptr(UnplugVerdict) enough = check(&fixture, REASON_COUNT, 0);
    g_assert_cmpuint(enough->needed_bytes, ==, DIMM_BYTES);
    g_assert_cmpuint(enough->available_bytes, ==, 3 * GIB / 2);
    g_assert_cmpuint(enough->reserve_bytes, ==, 64 * MIB); /* 5 % of 1 GiB is less */
    fixture.meminfo.available_bytes = DIMM_BYTES + 64 * MIB;
    g_autoptr(UnplugVerdict) just = check(&fixture, REASON_COUNT, 0);
    fixture.meminfo.available_bytes--;
    g_autoptr(UnplugVerdict) low = check(&fixture, REASON_LOW_MEMORY, 1);
    const Reason *reason = low->reasons->pdata[0];
    g_assert_true(g_str_has_suffix(reason->desc, "or unplug less"));
    fixture.input.uncounted = (Uncounted){8 * GIB, 992 * MIB};
    g_autoptr(UnplugVerdict) told = check(&fixture, REASON_LOW_MEMORY, 1);
    reason = told->reasons->pdata[0];
    g_assert_nonnull(strstr(reason->desc, "; 8 GiB of free swap is not counted"));
    g_assert_nonnull(strstr(reason->desc, "; 992 MiB that ZFS may give back"));
    fixture.meminfo.total_bytes = 101 * GIB;
    g_autoptr(UnplugVerdict) large = unplug_check(&fixture.input);
    g_assert_cmpuint(large->reserve_bytes, ==, 5 * GIB);
    fixture.input.reserve_bytes = MIB;
    g_autoptr(UnplugVerdict) set = check(&fixture, REASON_COUNT, 0);
    g_assert_cmpuint(set->reserve_bytes, ==, MIB);
    tear_down(&fixture);
}

/* The fake's blocks are on node 0, so what is in them must fit on node 1. */
static void test_nodes(void)
{
    Fixture fixture;
    NodeMeminfo nodes[] = {
        {.node = 0, .total_bytes = 2 * GIB, .free_bytes = GIB / 2},
        {.node = 1, .total_bytes = 2 * GIB, .free_bytes = GIB / 2, .reclaimable_bytes = GIB / 2}};
    g_autoptr(GArray) array = g_array_new(FALSE, FALSE, sizeof(NodeMeminfo));

    set_up(&fixture);
    g_array_append_vals(array, nodes, 2);
    fixture.input.nodes = array;
    g_autoptr(UnplugVerdict) fits = check(&fixture, REASON_COUNT, 0);
    NodeMeminfo *other = &g_array_index(array, NodeMeminfo, 1);
    other->reclaimable_bytes -= MIB;
    g_autoptr(UnplugVerdict) low = check(&fixture, REASON_LOW_MEMORY, MIB);
    /* What is not in use on the node need not move. */
    g_array_index(array, NodeMeminfo, 0).free_bytes += GIB / 2 + MIB;
    g_autoptr(UnplugVerdict) empty = check(&fixture, REASON_COUNT, 0);
    /* One node alone: the kernel falls back to it. */
    g_array_set_size(array, 1);
    g_autoptr(UnplugVerdict) alone = check(&fixture, REASON_COUNT, 0);
    tear_down(&fixture);
}

static void test_commit_limit(void)
{
    Fixture fixture;

    set_up(&fixture);
    fixture.meminfo.committed_bytes = GIB; /* right at the limit */
    g_autoptr(UnplugVerdict) lenient = check(&fixture, REASON_COUNT, 0);
    fixture.input.overcommit = (Overcommit){.is_strict = TRUE, .ratio_percent = 50};
    g_autoptr(UnplugVerdict) strict = check(&fixture, REASON_LOW_MEMORY, DIMM_BYTES / 100 * 50);
    fixture.meminfo.committed_bytes = GIB / 2;
    g_autoptr(UnplugVerdict) fits = check(&fixture, REASON_COUNT, 0);
    fixture.meminfo.committed_bytes = GIB;
    fixture.input.overcommit.ratio_percent = 0; /* vm.overcommit_kbytes */
    g_autoptr(UnplugVerdict) fixed = check(&fixture, REASON_COUNT, 0);
    tear_down(&fixture);
}

/* The pools of the guest, as the next check sees them. */
static void set_pool(Fixture *fixture, HugepagePool pool)
{
    g_array_set_size(fixture->pools, 0);
    g_array_append_val(fixture->pools, pool);
    fixture->input.hugepages = fixture->pools;
}

static HugepagePool pool_of(guint64 total, guint64 free, guint64 reserved)
{
    return (HugepagePool){.page_bytes = 2 * MIB,
                          .total = total,
                          .free = free,
                          .reserved = reserved,
                          .can_be_movable = TRUE};
}

static void test_hugepages_in_use(void)
{
    Fixture fixture;

    set_up(&fixture);
    fixture.meminfo.free_bytes = 64 * MIB; /* all of it in reserve */
    fixture.input.hugetlb.in_use_bytes = 24 * MIB;
    set_pool(&fixture, pool_of(12, 0, 0));
    g_autoptr(UnplugVerdict) none = check(&fixture, REASON_HUGEPAGES, 24 * MIB);
    set_pool(&fixture, pool_of(24, 12, 0));
    g_autoptr(UnplugVerdict) pool = check(&fixture, REASON_COUNT, 0);
    set_pool(&fixture, pool_of(24, 12, 2)); /* what is reserved is no room */
    g_autoptr(UnplugVerdict) reserved = check(&fixture, REASON_HUGEPAGES, 4 * MIB);
    fixture.meminfo.free_bytes += 4 * MIB; /* the kernel can make fresh ones */
    g_autoptr(UnplugVerdict) fresh = check(&fixture, REASON_COUNT, 0);
    HugepagePool giant = {
        .page_bytes = GIB, .total = 1, .free = 0, .reserved = 0, .can_be_movable = TRUE};
    set_pool(&fixture, giant); /* but none of 1 GiB */
    fixture.meminfo.free_bytes = 100 * GIB;
    fixture.input.hugetlb.in_use_bytes = GIB;
    g_autoptr(UnplugVerdict) no_giant = check(&fixture, REASON_HUGEPAGES, GIB);
    giant.can_be_movable = FALSE; /* it lies elsewhere, whatever the look at the device said */
    set_pool(&fixture, giant);
    g_autoptr(UnplugVerdict) elsewhere = check(&fixture, REASON_COUNT, 0);
    tear_down(&fixture);
}

static void test_hugepages_free(void)
{
    Fixture fixture;

    set_up(&fixture);
    fixture.input.hugetlb.other_bytes = 600 * MIB;
    set_pool(&fixture, pool_of(300, 300, 0));
    g_autoptr(UnplugVerdict) lost = check(&fixture, REASON_HUGEPAGES_LOST, 600 * MIB);
    set_pool(&fixture, pool_of(300, 300, 300)); /* mapped and not touched */
    g_autoptr(UnplugVerdict) all = check(&fixture, REASON_HUGEPAGES, 600 * MIB);
    g_assert_nonnull(strstr(((const Reason *)all->reasons->pdata[0])->desc, " 300 huge pages"));
    set_pool(&fixture, pool_of(400, 400, 100));
    g_autoptr(UnplugVerdict) just = check(&fixture, REASON_HUGEPAGES_LOST, 600 * MIB);
    set_pool(&fixture, pool_of(400, 400, 101));
    g_autoptr(UnplugVerdict) one_short = check(&fixture, REASON_HUGEPAGES, 2 * MIB);
    tear_down(&fixture);
}

/* Free huge pages in the DIMM are no available memory, and need none. */
static void test_hugepages_need_no_room(void)
{
    Fixture fixture;
    g_autoptr(GArray) nodes = g_array_new(FALSE, FALSE, sizeof(NodeMeminfo));
    NodeMeminfo info[] = {
        {.node = 0, .total_bytes = 2 * GIB, .hugetlb_free_bytes = 600 * MIB, .free_bytes = GIB},
        {.node = 1, .total_bytes = GIB, .free_bytes = 424 * MIB}};

    set_up(&fixture);
    g_array_append_vals(nodes, info, 2);
    fixture.input.nodes = nodes;
    fixture.input.hugetlb.other_bytes = 600 * MIB;
    set_pool(&fixture, pool_of(300, 300, 0));
    fixture.meminfo.available_bytes = 424 * MIB + 64 * MIB;
    g_autoptr(UnplugVerdict) just = check(&fixture, REASON_HUGEPAGES_LOST, 600 * MIB);
    g_assert_cmpuint(just->needed_bytes, ==, 424 * MIB);
    fixture.meminfo.available_bytes--;
    g_autoptr(UnplugVerdict) low = unplug_check(&fixture.input);
    g_assert_false(low->can_prepare);
    fixture.meminfo.available_bytes = GIB;
    g_array_index(nodes, NodeMeminfo, 1).free_bytes -= MIB;
    g_autoptr(UnplugVerdict) low_node = unplug_check(&fixture.input);
    g_assert_false(low_node->can_prepare);
    /* Nothing of the pool is free: its pages are files in hugetlbfs, and have to move. */
    fixture.input.nodes = NULL;
    set_pool(&fixture, pool_of(300, 0, 0));
    g_autoptr(UnplugVerdict) files = check(&fixture, REASON_LOW_MEMORY, 64 * MIB);
    g_assert_cmpuint(files->needed_bytes, ==, DIMM_BYTES);
    tear_down(&fixture);
}

/* Node 1 has nothing but the DIMM. */
static void test_last_of_node(void)
{
    Fixture fixture;
    g_autoptr(GArray) nodes = g_array_new(FALSE, FALSE, sizeof(NodeMeminfo));
    g_autoptr(GArray) cpusets = g_array_new(FALSE, FALSE, sizeof(NodeSet));
    NodeMeminfo info[] = {{.node = 0, .total_bytes = GIB, .free_bytes = GIB},
                          {.node = 1, .total_bytes = DIMM_BYTES, .free_bytes = DIMM_BYTES}};
    NodeSet both = {{3}}, second = {{2}};

    set_up(&fixture);
    g_array_append_vals(nodes, info, 2);
    g_array_append_val(cpusets, both);
    fixture.input.nodes = nodes;
    fixture.input.cpusets = cpusets;
    g_autoptr(UnplugVerdict) shared = check(&fixture, REASON_COUNT, 0); /* node 0 has boot RAM */
    for (guint i = 32; i < 40; i++)
        fake_kernel_set_node(fixture.fake, i, 1);
    snapshot_unref(fixture.snapshot);
    fixture.snapshot = snapshot_scan(fixture.io, NULL);
    fixture.input.snapshot = fixture.snapshot;
    g_autoptr(UnplugVerdict) warned = check(&fixture, REASON_LAST_OF_NODE, DIMM_BYTES);
    g_assert_true(warned->can_prepare);
    fixture.input.cpusets_error = EACCES;
    g_autoptr(UnplugVerdict) unknown = check(&fixture, REASON_ERROR, DIMM_BYTES);
    fixture.input.cpusets_error = 0;
    g_array_append_val(cpusets, second);
    g_autoptr(UnplugVerdict) refused = unplug_check(&fixture.input);
    g_assert_cmpuint(refused->reasons->len, ==, 1);
    g_assert_cmpint(((const Reason *)refused->reasons->pdata[0])->code, ==, REASON_LAST_OF_NODE);
    g_assert_false(refused->can_prepare);
    tear_down(&fixture);
}

/* Node 1 has nothing but virtio-mem; what free huge pages it has must stay on it. */
static void test_virtio_mem_of_a_node(void)
{
    Fixture fixture;
    g_autoptr(GArray) nodes = g_array_new(FALSE, FALSE, sizeof(NodeMeminfo));
    NodeMeminfo info[] = {{.node = 0, .total_bytes = 2 * GIB, .free_bytes = 2 * GIB},
                          {.node = 1,
                           .total_bytes = DIMM_BYTES,
                           .hugetlb_free_bytes = 130 * MIB,
                           .free_bytes = DIMM_BYTES - 130 * MIB}};

    set_up(&fixture);
    fake_kernel_add_virtio_mem(fixture.fake, 0, 64, 16, 8);
    for (guint32 i = 64; i < 72; i++) {
        fake_kernel_set_state(fixture.fake, i, "online", "Movable");
        fake_kernel_set_node(fixture.fake, i, 1);
    }
    snapshot_unref(fixture.snapshot);
    fixture.input.snapshot = fixture.snapshot = snapshot_scan(fixture.io, NULL);
    g_array_append_vals(nodes, info, 2);
    fixture.input.nodes = nodes;
    fixture.input.allow_virtio_mem = TRUE;
    fixture.selector = (DeviceSelector){.kind = SELECT_ID, .id = "virtio0"};
    fixture.selector.bytes = DIMM_BYTES - 130 * MIB;
    g_autoptr(UnplugVerdict) most = check(&fixture, REASON_COUNT, 0);
    fixture.selector.bytes += MIB;
    g_autoptr(UnplugVerdict) more = check(&fixture, REASON_HUGEPAGES, MIB);
    g_array_index(nodes, NodeMeminfo, 1).hugetlb_free_bytes = 0;
    g_autoptr(UnplugVerdict) part = check(&fixture, REASON_COUNT, 0);
    fixture.selector.bytes = DIMM_BYTES;
    g_autoptr(UnplugVerdict) all = check(&fixture, REASON_LAST_OF_NODE, DIMM_BYTES);
    /* Of the last block a part is plugged. */
    g_array_index(nodes, NodeMeminfo, 1).total_bytes -= 66 * MIB;
    fixture.selector.bytes = DIMM_BYTES - 66 * MIB;
    g_autoptr(UnplugVerdict) plugged = check(&fixture, REASON_LAST_OF_NODE, DIMM_BYTES - 66 * MIB);
    tear_down(&fixture);
}

/* Huge pages are in virtio-mem's way on a machine of one node too. */
static void test_virtio_mem_of_the_only_node(void)
{
    Fixture fixture;
    g_autoptr(GArray) nodes = g_array_new(FALSE, FALSE, sizeof(NodeMeminfo));
    NodeMeminfo only = {.node = 0,
                        .total_bytes = 2 * DIMM_BYTES,
                        .hugetlb_free_bytes = DIMM_BYTES + MIB,
                        .free_bytes = DIMM_BYTES - MIB};

    set_up(&fixture);
    fake_kernel_add_virtio_mem(fixture.fake, 0, 64, 16, 8);
    for (guint32 i = 64; i < 72; i++)
        fake_kernel_set_state(fixture.fake, i, "online", "Movable");
    snapshot_unref(fixture.snapshot);
    fixture.input.snapshot = fixture.snapshot = snapshot_scan(fixture.io, NULL);
    g_array_append_val(nodes, only);
    fixture.input.nodes = nodes;
    fixture.input.allow_virtio_mem = TRUE;
    fixture.selector = (DeviceSelector){.kind = SELECT_ID, .id = "virtio0"};
    fixture.selector.bytes = DIMM_BYTES;
    g_autoptr(UnplugVerdict) all = check(&fixture, REASON_HUGEPAGES, MIB);
    fixture.selector.bytes = DIMM_BYTES - MIB;
    g_autoptr(UnplugVerdict) most = check(&fixture, REASON_COUNT, 0);
    tear_down(&fixture);
}

static void test_balloon_warns(void)
{
    Fixture fixture;

    set_up(&fixture);
    fixture.input.balloon_bytes = 300 * MIB;
    g_autoptr(UnplugVerdict) verdict = check(&fixture, REASON_BALLOON_ACTIVE, 300 * MIB);
    tear_down(&fixture);
}

/* No where it cannot tell; of a balloon it only warns. */
static void test_unreadable(void)
{
    Fixture fixture;

    set_up(&fixture);
    fixture.input.balloon_error = EACCES;
    g_autoptr(UnplugVerdict) balloon = check(&fixture, REASON_BALLOON_ACTIVE, 0);
    g_assert_true(balloon->can_prepare);
    fixture.input.balloon_error = 0;
    fixture.input.hugepages_error = EACCES;
    g_autoptr(UnplugVerdict) pools = check(&fixture, REASON_ERROR, 0);
    g_assert_false(pools->can_prepare);
    fixture.input.hugepages_error = 0;
    fixture.input.node_pools_error = EACCES;
    g_autoptr(UnplugVerdict) nodes = check(&fixture, REASON_ERROR, 0);
    g_assert_false(nodes->can_prepare);
    tear_down(&fixture);
}

/* All of them at once, not the first. */
static void test_every_reason(void)
{
    Fixture fixture;

    set_up(&fixture);
    fake_kernel_set_state(fixture.fake, 33, "online", "Normal");
    fake_kernel_set_state(fixture.fake, 34, "going-offline", NULL);
    snapshot_unref(fixture.snapshot);
    fixture.snapshot = snapshot_scan(fixture.io, NULL);
    fixture.input.snapshot = fixture.snapshot;
    fixture.meminfo.available_bytes = 0;
    fixture.meminfo.free_bytes = 0;
    fixture.input.hugetlb.in_use_bytes = 2 * MIB;
    set_pool(&fixture, pool_of(1, 0, 0));
    fixture.input.balloon_bytes = MIB;
    fixture.input.overcommit = (Overcommit){.is_strict = TRUE, .ratio_percent = 100};
    g_autoptr(UnplugVerdict) verdict = unplug_check(&fixture.input);
    guint seen = 0;

    for (guint i = 0; i < verdict->reasons->len; i++)
        seen |= 1u << ((const Reason *)verdict->reasons->pdata[i])->code;
    g_assert_cmpuint(seen, ==,
                     1u << REASON_NOT_MOVABLE | 1u << REASON_GOING_OFFLINE |
                         1u << REASON_LOW_MEMORY | 1u << REASON_HUGEPAGES |
                         1u << REASON_BALLOON_ACTIVE);
    g_assert_cmpuint(verdict->reasons->len, ==, 6); /* two are low-memory */
    g_assert_false(verdict->can_prepare);
    tear_down(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/unplug-headroom/available", test_available);
    g_test_add_func("/unplug-headroom/nodes", test_nodes);
    g_test_add_func("/unplug-headroom/commit-limit", test_commit_limit);
    g_test_add_func("/unplug-headroom/hugepages-in-use", test_hugepages_in_use);
    g_test_add_func("/unplug-headroom/hugepages-free", test_hugepages_free);
    g_test_add_func("/unplug-headroom/hugepages-need-no-room", test_hugepages_need_no_room);
    g_test_add_func("/unplug-headroom/last-of-node", test_last_of_node);
    g_test_add_func("/unplug-headroom/virtio-mem-of-a-node", test_virtio_mem_of_a_node);
    g_test_add_func("/unplug-headroom/virtio-mem-of-the-only-node",
                    test_virtio_mem_of_the_only_node);
    g_test_add_func("/unplug-headroom/balloon-warns", test_balloon_warns);
    g_test_add_func("/unplug-headroom/unreadable", test_unreadable);
    g_test_add_func("/unplug-headroom/every-reason", test_every_reason);
    return g_test_run();
}
