/*
 * How a request's words find a device.
 */
#include "tests/unit/snapshot-fixture.h"

static void check_select(const Snapshot *s, guint64 address, guint64 size, SelectResult result,
                         const char *id)
{
    DeviceSelector selector = {.kind = SELECT_RANGE, .address = address, .size_bytes = size};
    const Device *device = (const Device *)s;

    g_test_message("%#" G_GINT64_MODIFIER "x+%#" G_GINT64_MODIFIER "x", address, size);
    g_assert_cmpint(snapshot_select(s, &selector, &device), ==, result);
    g_assert_cmpstr(device != NULL ? device->id : NULL, ==, id);
}

static void test_select_range(SnapshotFixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_add_dimm(f->fake, 0, 32, 8);
    fake_kernel_add_dimm(f->fake, 1, 40, 8);
    fake_kernel_add_virtio_mem(f->fake, 0, 64, 8, 2);
    snapshot_fixture_scan(f);
    fake_kernel_add_block(f->fake, 56);
    const Snapshot *s = snapshot_fixture_refresh_one(f, 56);

    check_select(s, 32 * BS, 8 * BS, SELECT_FOUND, "slot0");
    check_select(s, 40 * BS, 8 * BS, SELECT_FOUND, "slot1");
    check_select(s, 32 * BS, 4 * BS, SELECT_PARTIAL, "slot0");
    check_select(s, 36 * BS, 4 * BS, SELECT_PARTIAL, "slot0");
    check_select(s, 36 * BS, 8 * BS, SELECT_PARTIAL, "slot0");
    check_select(s, 32 * BS, 16 * BS, SELECT_PARTIAL, "slot0");
    check_select(s, 40 * BS, 9 * BS - BS + 1, SELECT_PARTIAL, "slot1");
    check_select(s, 40 * BS, 16 * BS, SELECT_PARTIAL, "slot1");
    check_select(s, 32 * BS + 1, 8 * BS - 1, SELECT_PARTIAL, "slot0");
    check_select(s, 32 * BS, 8 * BS - 1, SELECT_PARTIAL, "slot0");
    check_select(s, 32 * BS - 1, 8 * BS + 1, SELECT_PARTIAL, "slot0");
    check_select(s, 40 * BS + 1, 8 * BS, SELECT_PARTIAL, "slot1");
    check_select(s, 40 * BS - 1, 8 * BS + 1, SELECT_PARTIAL, "slot0");
    check_select(s, 20 * BS, 4 * BS, SELECT_NO_DEVICE, NULL);
    check_select(s, 20 * BS + 5, 7, SELECT_NO_DEVICE, NULL);
    check_select(s, 32 * BS, 0, SELECT_NO_DEVICE, NULL);
    check_select(s, 48 * BS, 8 * BS, SELECT_NO_DEVICE, NULL);
    check_select(s, 56 * BS, BS, SELECT_PARTIAL, NULL);
    check_select(s, 0, 8 * BS, SELECT_FOUND, "boot");
    check_select(s, 0, BS, SELECT_PARTIAL, "boot");
    check_select(s, 32 * BS, G_MAXUINT64, SELECT_PARTIAL, "slot0");
    check_select(s, G_MAXUINT64, G_MAXUINT64, SELECT_NO_DEVICE, NULL);
    /* QEMU prints what is plugged of a virtio-mem device, in steps of 2 MiB. */
    check_select(s, 64 * BS, BS + 2 * MIB, SELECT_FOUND, "virtio0");
    check_select(s, 64 * BS, 8 * BS, SELECT_FOUND, "virtio0");
    check_select(s, 64 * BS, BS, SELECT_PARTIAL, "virtio0");
    check_select(s, 65 * BS, BS, SELECT_PARTIAL, "virtio0");
    check_select(s, 64 * BS, 9 * BS, SELECT_PARTIAL, "virtio0");
}

/* Boot RAM on both sides of a DIMM: as many bytes and blocks as it has, but not its own. */
static void test_select_around(SnapshotFixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_add_dimm(f->fake, 0, 8, 2);
    fake_kernel_add_boot(f->fake, 12, 2);
    const Snapshot *s = snapshot_fixture_scan(f);
    check_select(s, 0, 10 * BS, SELECT_PARTIAL, "boot");
    check_select(s, 8 * BS, 2 * BS, SELECT_FOUND, "slot0");
}

static void test_select_name(SnapshotFixture *f, gconstpointer data)
{
    DeviceSelector selector = {.kind = SELECT_SLOT, .slot = 2};
    const Device *device;

    (void)data;
    fake_kernel_add_dimm(f->fake, 2, 32, 8);
    const Snapshot *s = snapshot_fixture_scan(f);
    g_assert_cmpint(snapshot_select(s, &selector, &device), ==, SELECT_FOUND);
    g_assert_cmpstr(device->id, ==, "slot2");
    /* Boot RAM has the slot -1, which nobody can mean. */
    for (gint64 slot = -1; slot < 2; slot++) {
        selector.slot = slot;
        g_assert_cmpint(snapshot_select(s, &selector, &device), ==, SELECT_NO_DEVICE);
        g_assert_null(device);
    }
    selector.slot = 2 + ((gint64)1 << 32);
    g_assert_cmpint(snapshot_select(s, &selector, &device), ==, SELECT_NO_DEVICE);

    selector = (DeviceSelector){.kind = SELECT_ID, .id = "slot2"};
    g_assert_cmpint(snapshot_select(s, &selector, &device), ==, SELECT_FOUND);
    g_assert_cmpint(device->slot, ==, 2);
    selector = (DeviceSelector){.kind = SELECT_ID, .id = "boot"};
    g_assert_cmpint(snapshot_select(s, &selector, &device), ==, SELECT_FOUND);
    selector = (DeviceSelector){.kind = SELECT_ID, .id = "slot"};
    g_assert_cmpint(snapshot_select(s, &selector, &device), ==, SELECT_NO_DEVICE);
    selector = (DeviceSelector){.kind = SELECT_ID, .id = ""};
    g_assert_cmpint(snapshot_select(s, &selector, &device), ==, SELECT_NO_DEVICE);
}

static void test_selector_text(void)
{
    DeviceSelector selector = {.kind = SELECT_SLOT, .slot = G_MININT64};
    char buf[DEVICE_SELECTOR_TEXT_MAX];

    g_assert_cmpstr(device_selector_format(&selector, buf), ==, "slot -9223372036854775808");
    selector.slot = 3;
    g_assert_cmpstr(device_selector_format(&selector, buf), ==, "slot 3");
    selector =
        (DeviceSelector){.kind = SELECT_RANGE, .address = 0x140000000, .size_bytes = 0x40000000};
    g_assert_cmpstr(device_selector_format(&selector, buf), ==, "0x140000000+0x40000000");
    selector = (DeviceSelector){.kind = SELECT_ID, .id = "virtio0"};
    g_assert_cmpstr(device_selector_format(&selector, buf), ==, "virtio0");
    g_assert_cmpstr(device_kind_name(DEVICE_DIMM), ==, "dimm");
    g_assert_cmpstr(device_kind_name(DEVICE_VIRTIO_MEM), ==, "virtio-mem");
    g_assert_cmpstr(device_kind_name(DEVICE_BOOT), ==, "boot");
    g_assert_cmpstr(device_kind_name(DEVICE_OTHER), ==, "other");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, func)                                                                            \
    g_test_add(path, SnapshotFixture, NULL, snapshot_fixture_set_up, func,                         \
               snapshot_fixture_tear_down)
    ADD("/select/range", test_select_range);
    ADD("/select/around", test_select_around);
    ADD("/select/name", test_select_name);
    g_test_add_func("/select/text", test_selector_text);
    return g_test_run();
}
