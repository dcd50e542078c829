/*
 * The check's figures: what must find room elsewhere, and every kind of room that can be missing.
 */
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
} Fixture;

/* A DIMM of 1 GiB in slot 0, all online as movable, and memory enough. */
static void set_up(Fixture *fixture)
{
    *fixture = (Fixture){.fake = fake_kernel_new(BLOCK_BYTES)};
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
    g_assert_true(verdict->can_prepare == (code == REASON_BALLOON_ACTIVE));
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

static void test_hugepages(void)
{
    Fixture fixture;

    set_up(&fixture);
    fixture.meminfo.free_bytes = 64 * MIB; /* all of it in reserve */
    fixture.input.hugetlb_in_use_bytes = 24 * MIB;
    g_autoptr(UnplugVerdict) none = check(&fixture, REASON_HUGEPAGES, 24 * MIB);
    fixture.meminfo.hugepages_free = 12;
    g_autoptr(UnplugVerdict) pool = check(&fixture, REASON_COUNT, 0);
    fixture.input.hugetlb_other_bytes = 4 * MIB; /* two of the free ones lie in the DIMM itself */
    g_autoptr(UnplugVerdict) own = check(&fixture, REASON_HUGEPAGES, 4 * MIB);
    fixture.meminfo.free_bytes += 4 * MIB; /* the kernel can make fresh ones */
    g_autoptr(UnplugVerdict) fresh = check(&fixture, REASON_COUNT, 0);
    fixture.meminfo.hugepage_size_bytes = GIB; /* but none of 1 GiB */
    fixture.meminfo.hugepages_free = 0;
    fixture.meminfo.free_bytes = 100 * GIB;
    fixture.input.hugetlb_in_use_bytes = GIB;
    g_autoptr(UnplugVerdict) giant = check(&fixture, REASON_HUGEPAGES, GIB);
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
    fixture.input.hugetlb_in_use_bytes = 2 * MIB;
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
    g_test_add_func("/unplug-headroom/hugepages", test_hugepages);
    g_test_add_func("/unplug-headroom/balloon-warns", test_balloon_warns);
    g_test_add_func("/unplug-headroom/every-reason", test_every_reason);
    return g_test_run();
}
