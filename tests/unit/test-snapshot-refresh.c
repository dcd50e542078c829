/*
 * Snapshots made out of older ones: what a refresh reads again, keeps, adds and drops.
 */
#include <string.h>

#include "tests/unit/snapshot-fixture.h"

static void test_refresh_state(SnapshotFixture *f, gconstpointer data)
{
    static const guint32 many[] = {33, 32, 33, 99, 0, 33};

    (void)data;
    fake_kernel_add_dimm(f->fake, 0, 32, 2);
    snapshot_fixture_scan(f);
    g_autoptr(Snapshot) before = snapshot_ref(f->snapshot);
    g_assert_true(snapshot_fixture_refresh(f, many + 3, 1) == before);
    g_assert_true(snapshot_fixture_refresh(f, NULL, 0) == before);

    fake_kernel_set_state(f->fake, 32, "online", "Movable");
    fake_kernel_set_state(f->fake, 33, "online", "Movable");
    /* Only what is named is read. */
    const Snapshot *s = snapshot_fixture_refresh_one(f, 33);
    g_assert_cmpuint(snapshot_device_of(s, 33)->online_movable_bytes, ==, BS);
    s = snapshot_fixture_refresh(f, many, G_N_ELEMENTS(many));
    g_assert_cmpuint(snapshot_device_of(s, 33)->online_movable_bytes, ==, 2 * BS);
    /* Whoever holds the old one sees the old moment. */
    g_assert_cmpint(snapshot_find_block(before, 33)->state, ==, BLOCK_STATE_OFFLINE);
}

static void test_refresh_add_remove(SnapshotFixture *f, gconstpointer data)
{
    static const guint32 dimm[] = {35, 34, 33, 32};

    (void)data;
    snapshot_fixture_scan(f);
    fake_kernel_add_dimm(f->fake, 4, 32, 4);
    const Snapshot *s = snapshot_fixture_refresh(f, dimm, 4);
    g_assert_cmpuint(s->block_count, ==, 12);
    g_assert_cmpstr(snapshot_device_of(s, 35)->id, ==, "slot4");
    g_assert_true(snapshot_find_block(s, 35)->is_new);
    g_assert_false(snapshot_find_block(s, 0)->is_new);

    fake_kernel_remove_dimm(f->fake, 4);
    s = snapshot_fixture_refresh(f, dimm, 4);
    g_assert_cmpuint(s->block_count, ==, 8);
    g_assert_cmpuint(s->device_count, ==, 1);
}

/* A new DIMM in another slot at the old address: new blocks, and nothing of the old one's name. */
static void test_refresh_replaced(SnapshotFixture *f, gconstpointer data)
{
    static const guint32 dimm[] = {32, 33};

    (void)data;
    fake_kernel_add_dimm(f->fake, 4, 32, 2);
    snapshot_fixture_scan(f);
    guint64 inode = snapshot_find_block(f->snapshot, 32)->inode;
    fake_kernel_remove_dimm(f->fake, 4);
    fake_kernel_add_dimm(f->fake, 5, 32, 2);
    const Snapshot *s = snapshot_fixture_refresh(f, dimm, 2);
    g_assert_cmpstr(snapshot_device_of(s, 32)->id, ==, "slot5");
    g_assert_cmpuint(snapshot_find_block(s, 32)->inode, !=, inode);
    g_assert_true(snapshot_find_block(s, 32)->is_new);

    /* The same ACPI number with another slot behind it. */
    fake_kernel_remove_dimm(f->fake, 5);
    fake_kernel_add_dimm(f->fake, 5, 32, 2);
    fake_kernel_set_file(f->fake, BLOCK_DIR "/memory32/firmware_node/uid", "0x09\n");
    g_assert_cmpstr(snapshot_device_of(snapshot_fixture_refresh(f, dimm, 2), 32)->id, ==, "slot9");
}

/* The kernel links firmware_node after the last uevent. */
static void test_late_link(SnapshotFixture *f, gconstpointer data)
{
    (void)data;
    snapshot_fixture_scan(f);
    fake_kernel_add_block(f->fake, 32);
    const Snapshot *s = snapshot_fixture_refresh_one(f, 32);
    g_assert_null(snapshot_device_of(s, 32));
    g_assert_cmpint(snapshot_find_block(s, 32)->zone, ==, ZONE_UNKNOWN);

    /* The node comes: no event, and yet it is seen. */
    fake_kernel_set_node(f->fake, 32, 0);
    s = snapshot_fixture_refresh(f, NULL, 0);
    g_assert_cmpint(snapshot_find_block(s, 32)->node, ==, 0);
    g_assert_cmpint(snapshot_find_block(s, 32)->zone, ==, ZONE_NORMAL);
    g_assert_null(snapshot_device_of(s, 32));

    fake_kernel_set_state(f->fake, 32, "online", "Movable");
    s = snapshot_fixture_refresh_one(f, 32);
    g_assert_null(snapshot_device_of(s, 32));
    fake_kernel_set_firmware_node(f->fake, 32, "x/PNP0C80:07");
    s = snapshot_fixture_refresh(f, NULL, 0);
    g_assert_cmpstr(snapshot_device_of(s, 32)->id, ==, "slot7");
    /* Known now: it is not read any more. */
    fake_kernel_set_firmware_node(f->fake, 32, NULL);
    g_assert_true(snapshot_fixture_refresh(f, NULL, 0) == s);
}

/* Events were lost: a block that came meanwhile is still not boot RAM. */
static void test_rescan(SnapshotFixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    (void)data;
    snapshot_fixture_scan(f);
    fake_kernel_add_block(f->fake, 32);
    g_autoptr(Snapshot) next = snapshot_rescan(f->snapshot, f->io, &error);
    g_assert_no_error(error);
    snapshot_assert_sane(next);
    g_assert_null(snapshot_device_of(next, 32));
    g_assert_true(snapshot_find_block(next, 32)->is_new);
    g_assert_cmpstr(snapshot_device_of(next, 0)->id, ==, "boot");
    /* And stays so at the one after that. */
    g_autoptr(Snapshot) third = snapshot_rescan(next, f->io, &error);
    g_assert_no_error(error);
    g_assert_null(snapshot_device_of(third, 32));
    /* A plain scan cannot know: it may be standby memory. */
    g_assert_cmpstr(snapshot_device_of(snapshot_fixture_scan(f), 32)->id, ==, "other0");
}

/* The daemon starts while a DIMM is being added: it is enabled, and nothing is linked to it yet. */
static void test_scan_during_add(SnapshotFixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_add_dimm(f->fake, 3, 32, 2);
    fake_kernel_set_firmware_node(f->fake, 32, NULL);
    fake_kernel_set_firmware_node(f->fake, 33, NULL);
    fake_kernel_set_state(f->fake, 33, "online", "Normal");
    const Snapshot *s = snapshot_fixture_scan(f);
    g_assert_null(snapshot_device_of(s, 32));
    /* This one an auto-onlining kernel was faster with; an event names it, and the link comes. */
    g_assert_cmpstr(snapshot_device_of(s, 33)->id, ==, "boot");
    s = snapshot_fixture_refresh_one(f, 33);
    g_assert_cmpstr(snapshot_device_of(s, 33)->id, ==, "boot");
    fake_kernel_set_firmware_node(f->fake, 32, "x/PNP0C80:03");
    fake_kernel_set_firmware_node(f->fake, 33, "x/PNP0C80:03");
    s = snapshot_fixture_refresh(f, NULL, 0);
    g_assert_cmpstr(snapshot_device_of(s, 32)->id, ==, "slot3");
    g_assert_cmpstr(snapshot_device_of(s, 33)->id, ==, "slot3");
    g_assert_cmpuint(s->devices[0].block_count, ==, 8);
}

/* The same, and its events were sent before the daemon listened: the links are looked for. */
static void test_scan_between_events_and_links(SnapshotFixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_add_dimm(f->fake, 3, 32, 4);
    for (guint32 round = 0; round < 2; round++) {
        for (guint32 i = 32; i < 36; i++) {
            /* In the second round the first of them is linked already. */
            fake_kernel_set_firmware_node(f->fake, i, i < 32 + round ? "x/PNP0C80:03" : NULL);
            fake_kernel_set_state(f->fake, i, i % 2 ? "online" : "offline", NULL);
        }
        snapshot_fixture_scan(f);
        for (guint32 i = 32; i < 36; i++)
            fake_kernel_set_firmware_node(f->fake, i, "x/PNP0C80:03");
        const Snapshot *s = snapshot_fixture_refresh(f, NULL, 0);
        for (guint32 i = 32; i < 36; i++)
            g_assert_cmpstr(snapshot_device_of(s, i)->id, ==, "slot3");
    }
}

/* Boot RAM that an administrator takes offline is boot RAM. (What is offline from the start is so
 * only by the firmware's map: tests/protocol/test_odd_blocks.py.) */
static void test_offline_boot(SnapshotFixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_add_dimm(f->fake, 3, 32, 2);
    snapshot_fixture_scan(f);
    fake_kernel_set_state(f->fake, 6, "offline", NULL);
    g_assert_cmpstr(snapshot_device_of(snapshot_fixture_refresh_one(f, 6), 6)->id, ==, "boot");
    g_assert_cmpuint(f->snapshot->devices[0].offline_bytes, ==, BS);
}

static void test_virtio_grows(SnapshotFixture *f, gconstpointer data)
{
    (void)data;
    snapshot_fixture_scan(f);
    fake_kernel_add_virtio_mem(f->fake, 0, 64, 8, 2);
    const Snapshot *s = snapshot_fixture_refresh_one(f, 64);
    g_assert_cmpstr(snapshot_device_of(s, 64)->id, ==, "virtio0");
    g_assert_null(snapshot_find_block(s, 65));
    s = snapshot_fixture_refresh_one(f, 65);
    g_assert_cmpuint(snapshot_device_of(s, 65)->block_count, ==, 2);
    /* iomem is not needed to see blocks go. */
    fake_kernel_remove(f->fake, 64, 1);
    fake_kernel_set_file(f->fake, "proc/iomem", NULL);
    s = snapshot_fixture_refresh_one(f, 64);
    g_assert_cmpuint(snapshot_device_of(s, 65)->block_count, ==, 1);
    g_assert_cmpuint(snapshot_device_of(s, 65)->address, ==, 64 * BS);
    g_assert_cmpuint(snapshot_device_of(s, 65)->first_block, ==, 65);
}

/* going-offline ends without an event when it fails. */
static void test_going_offline_is_watched(SnapshotFixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_add_dimm(f->fake, 0, 32, 1);
    fake_kernel_set_state(f->fake, 32, "going-offline", NULL);
    snapshot_fixture_scan(f);
    fake_kernel_set_state(f->fake, 32, "online", "Movable");
    const Snapshot *s = snapshot_fixture_refresh(f, NULL, 0);
    g_assert_cmpint(snapshot_find_block(s, 32)->state, ==, BLOCK_STATE_ONLINE);
}

/* What a refresh costs does not grow with the blocks that nothing happens to; of a known block its
 * identity, state and zones are read, and not the links again. */
static void test_refresh_cost(SnapshotFixture *f, gconstpointer data)
{
    guint64 costs[2];

    (void)data;
    for (guint i = 0; i < 2; i++) {
        fake_kernel_add_dimm(f->fake, (int)i, 1000 + 1000 * i, i == 0 ? 8 : 1000);
        for (guint32 b = 0; b < (i == 0 ? 8 : 1000); b++)
            fake_kernel_set_state(f->fake, 1000 + 1000 * i + b, "online", "Movable");
        snapshot_fixture_scan(f);
        fake_kernel_set_state(f->fake, 1003, i == 0 ? "offline" : "online", NULL);
        guint64 before = fake_kernel_operations(f->fake);
        snapshot_fixture_refresh_one(f, 1003);
        costs[i] = fake_kernel_operations(f->fake) - before;
    }
    g_assert_cmpuint(costs[0], ==, costs[1]);
    g_assert_cmpuint(costs[0], ==, 3);
}

/* Events come a block at a time, nodes and links after the last: what a block costs does not grow
 * with those that wait before it. */
static void test_cost_of_a_dimm_that_comes(SnapshotFixture *f, gconstpointer data)
{
    const guint32 first = 32, n = 256;
    guint64 costs[2];

    (void)data;
    snapshot_fixture_scan(f);
    for (guint32 b = 0; b < n; b++) {
        guint64 before = fake_kernel_operations(f->fake);
        fake_kernel_add_block(f->fake, first + b);
        snapshot_fixture_refresh_one(f, first + b);
        costs[b > 1] = fake_kernel_operations(f->fake) - before;
    }
    g_assert_cmpuint(costs[1], <=, costs[0] + 1);

    /* Linked up to the middle when an event comes: it is seen up to there. */
    for (guint32 b = 0; b < n / 2; b++) {
        fake_kernel_set_node(f->fake, first + b, 0);
        fake_kernel_set_firmware_node(f->fake, first + b, "x/PNP0C80:07");
    }
    const Snapshot *s = snapshot_fixture_refresh_one(f, 0);
    g_assert_cmpstr(snapshot_device_of(s, first + n / 2 - 1)->id, ==, "slot7");
    g_assert_null(snapshot_device_of(s, first + n / 2));
    /* And an unusual order is seen when somebody asks. */
    fake_kernel_set_node(f->fake, first + n - 1, 0);
    fake_kernel_set_firmware_node(f->fake, first + n - 1, "x/PNP0C80:07");
    s = snapshot_fixture_refresh(f, NULL, 0);
    g_assert_cmpstr(snapshot_device_of(s, first + n - 1)->id, ==, "slot7");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, func)                                                                            \
    g_test_add(path, SnapshotFixture, NULL, snapshot_fixture_set_up, func,                         \
               snapshot_fixture_tear_down)
    ADD("/snapshot/refresh/state", test_refresh_state);
    ADD("/snapshot/refresh/add-remove", test_refresh_add_remove);
    ADD("/snapshot/refresh/replaced", test_refresh_replaced);
    ADD("/snapshot/refresh/late-link", test_late_link);
    ADD("/snapshot/refresh/rescan", test_rescan);
    ADD("/snapshot/refresh/scan-during-add", test_scan_during_add);
    ADD("/snapshot/refresh/scan-between-events-and-links", test_scan_between_events_and_links);
    ADD("/snapshot/refresh/offline-boot", test_offline_boot);
    ADD("/snapshot/refresh/virtio-grows", test_virtio_grows);
    ADD("/snapshot/refresh/going-offline", test_going_offline_is_watched);
    ADD("/snapshot/refresh/cost", test_refresh_cost);
    ADD("/snapshot/refresh/cost-of-a-dimm", test_cost_of_a_dimm_that_comes);
    return g_test_run();
}
