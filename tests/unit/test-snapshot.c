/*
 * Snapshots of the fake kernel and of trees on disk: which block belongs to which device.
 */
#include <string.h>

#include <errno.h>

#include "tests/unit/snapshot-fixture.h"
#include "tests/unit/temp-tree.h"

static const Device *find_device(const Snapshot *s, const char *id)
{
    for (guint32 i = 0; i < s->device_count; i++) {
        if (strcmp(s->devices[i].id, id) == 0)
            return &s->devices[i];
    }
    return NULL;
}

static void test_devices(SnapshotFixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_add_dimm(f->fake, 3, 40, 8);
    fake_kernel_add_dimm(f->fake, 0x10, 32, 8);
    fake_kernel_set_state(f->fake, 41, "online", "Movable");
    fake_kernel_set_state(f->fake, 42, "online", "Normal");
    fake_kernel_set_state(f->fake, 43, "online", "none");
    fake_kernel_set_state(f->fake, 44, "going-offline", NULL);
    fake_kernel_set_node(f->fake, 40, 2);

    const Snapshot *s = snapshot_fixture_scan(f);
    g_assert_cmpuint(s->block_size_bytes, ==, BS);
    g_assert_cmpuint(s->block_count, ==, 24);
    g_assert_cmpuint(s->device_count, ==, 3);

    const Device *boot = &s->devices[0];
    g_assert_cmpint(boot->kind, ==, DEVICE_BOOT);
    g_assert_cmpstr(boot->id, ==, "boot");
    g_assert_cmpint(boot->slot, ==, -1);
    g_assert_cmpuint(boot->size_bytes, ==, 8 * BS);
    g_assert_cmpuint(boot->online_kernel_bytes, ==, 8 * BS);

    g_assert_cmpstr(s->devices[1].id, ==, "slot16");
    const Device *dimm = &s->devices[2];
    g_assert_cmpstr(dimm->id, ==, "slot3");
    g_assert_cmpint(dimm->kind, ==, DEVICE_DIMM);
    g_assert_cmpint(dimm->slot, ==, 3);
    g_assert_cmpstr(dimm->acpi_path, ==, "\\_SB_.MHPC.MP03");
    g_assert_cmpuint(dimm->acpi_number, ==, 3);
    g_assert_cmpuint(dimm->address, ==, 40 * BS);
    g_assert_cmpuint(dimm->size_bytes, ==, GIB);
    g_assert_cmpint(dimm->node, ==, 2);
    g_assert_cmpuint(dimm->first_block, ==, 40);
    g_assert_cmpuint(dimm->block_count, ==, 8);
    g_assert_cmpuint(dimm->online_movable_bytes, ==, BS);
    g_assert_cmpuint(dimm->online_kernel_bytes, ==, 2 * BS);
    g_assert_cmpuint(dimm->offline_bytes, ==, 5 * BS);
    g_assert_true(snapshot_device_of(s, 47) == dimm);
    g_assert_null(snapshot_find_block(s, 48));
    g_assert_null(snapshot_find_block(s, 8));
    g_assert_null(snapshot_find_block(s, G_MAXUINT32));
}

static void test_virtio_mem(SnapshotFixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_add_virtio_mem(f->fake, 2, 64, 128, 4);
    fake_kernel_set_state(f->fake, 64, "online", "Movable");
    const Snapshot *s = snapshot_fixture_scan(f);
    const Device *device = snapshot_device_of(s, 67);
    g_assert_cmpint(device->kind, ==, DEVICE_VIRTIO_MEM);
    g_assert_cmpstr(device->id, ==, "virtio2");
    g_assert_cmpuint(device->address, ==, 64 * BS);
    g_assert_cmpuint(device->size_bytes, ==, 128 * BS);
    g_assert_cmpuint(device->block_count, ==, 4);
    g_assert_cmpuint(device->online_movable_bytes, ==, BS);
    g_assert_cmpuint(device->offline_bytes, ==, 3 * BS);
    g_assert_cmpint(device->slot, ==, -1);
}

static void test_iomem(SnapshotFixture *f, gconstpointer data)
{
    static const char text[] =
        "00000000-00000fff : Reserved\n"
        "00001000-3fffffff : System RAM\n"
        "  01000000-01ffffff : Kernel code\n"
        "100000000-107ffffff : System RAM (kmem)\n" /* block 32 */
        "110000000-17fffffff : Persistent Memory\n" /* 34 … */
        "  110000000-11fffffff : dax0.0\n"
        "    110000000-11fffffff : System RAM (kmem)\n"     /* 34, 35 */
        "180000000-1ffffffff : virtio7\n"                   /* 48 … 63 */
        "  188000000-18fffffff : System RAM (virtio_mem)\n" /* 49 */
        "200000000-27fffffff : virtio8\n"                   /* nothing of it is plugged */
        "300000000-303ffffff : System RAM (half)\n"         /* half of 96 */
        "380000000-3ffffffff : virtio9x\n"                  /* not a virtio device's name */
        "  380000000-387ffffff : System RAM (virtio_mem)\n" /* 112 */
        "        400000000-407ffffff : System RAM (kmem)\n" /* 128, below nothing */
        "garbage\n"
        "12-\n";

    (void)data;
    for (guint32 i = 32; i < 36; i++)
        fake_kernel_add_block(f->fake, i);
    fake_kernel_add_block(f->fake, 49);
    fake_kernel_add_block(f->fake, 96);
    fake_kernel_add_block(f->fake, 112);
    fake_kernel_add_block(f->fake, 128);
    for (guint32 i = 0; i < 3; i++) /* nothing is told of them */
        fake_kernel_set_state(f->fake, (const guint32[]){33, 96, 128}[i], "online", "Normal");
    fake_kernel_set_file(f->fake, "proc/iomem", text);
    const Snapshot *s = snapshot_fixture_scan(f);
    g_assert_cmpstr(snapshot_device_of(s, 32)->id, ==, "other0");
    g_assert_cmpint(snapshot_device_of(s, 32)->kind, ==, DEVICE_OTHER);
    g_assert_cmpstr(snapshot_device_of(s, 33)->id, ==, "boot");
    g_assert_cmpstr(snapshot_device_of(s, 34)->id, ==, "other1");
    g_assert_cmpstr(snapshot_device_of(s, 35)->id, ==, "other1");
    g_assert_cmpuint(snapshot_device_of(s, 35)->size_bytes, ==, 2 * BS);
    g_assert_cmpstr(snapshot_device_of(s, 49)->id, ==, "virtio7");
    g_assert_cmpuint(snapshot_device_of(s, 49)->size_bytes, ==, 16 * BS);
    g_assert_null(find_device(s, "virtio8"));
    g_assert_cmpstr(snapshot_device_of(s, 96)->id, ==, "boot");
    g_assert_cmpstr(snapshot_device_of(s, 112)->id, ==, "other2");
    g_assert_cmpstr(snapshot_device_of(s, 128)->id, ==, "boot");
}

/* Offline from the start and backed by nothing: nobody's, and so it stays when it comes online. */
static void test_standby(SnapshotFixture *f, gconstpointer data)
{
    (void)data;
    for (guint32 i = 8; i < 11; i++)
        fake_kernel_add_block(f->fake, i);
    const Snapshot *s = snapshot_fixture_scan(f);
    g_assert_cmpint(snapshot_device_of(s, 8)->kind, ==, DEVICE_OTHER);
    g_assert_cmpuint(snapshot_device_of(s, 8)->block_count, ==, 3);
    fake_kernel_set_state(f->fake, 9, "online", "Normal");
    s = snapshot_fixture_refresh_one(f, 9);
    g_assert_cmpint(snapshot_device_of(s, 9)->kind, ==, DEVICE_OTHER);
    g_autoptr(Snapshot) again = snapshot_rescan(s, f->io, NULL);
    g_assert_cmpint(snapshot_device_of(again, 9)->kind, ==, DEVICE_OTHER);
    g_assert_cmpint(snapshot_device_of(again, 10)->kind, ==, DEVICE_OTHER);
    /* Its link comes late: a DIMM's after all. */
    fake_kernel_add_dimm(f->fake, 3, 40, 1);
    fake_kernel_set_firmware_node(f->fake, 10, "../PNP0C80:03");
    s = snapshot_fixture_refresh_one(f, 10);
    g_assert_cmpint(snapshot_device_of(s, 10)->kind, ==, DEVICE_DIMM);
}

/* Without privileges every address reads zero: then nothing tells foreign memory from the boot's,
 * which is not as if there were none. A sandbox may hide the file. */
static void test_no_iomem(SnapshotFixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_add_virtio_mem(f->fake, 0, 64, 8, 1);
    fake_kernel_set_file(f->fake, "proc/iomem",
                         "00000000-00000000 : virtio0\n"
                         "  00000000-00000000 : System RAM (virtio_mem)\n");
    g_autoptr(GError) error = NULL;
    g_assert_null(snapshot_scan(f->io, &error));
    g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_PERM);
    g_autoptr(Snapshot) faulty = snapshot_scan_or_fault(f->io);
    g_assert_cmpint(faulty->fault, ==, EPERM);
    fake_kernel_set_file(f->fake, "proc/iomem", NULL);
    const Snapshot *s = snapshot_fixture_scan(f);
    g_assert_cmpuint(s->device_count, ==, 2);
    g_assert_cmpstr(snapshot_device_of(s, 64)->id, ==, "other0");
}

static void test_foreign_and_gaps(SnapshotFixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_add_boot(f->fake, 32, 2);
    fake_kernel_add_block(f->fake, 50);
    fake_kernel_add_block(f->fake, 51);
    fake_kernel_add_block(f->fake, 53);
    for (guint32 i = 50; i < 54; i += i == 51 ? 2 : 1)
        fake_kernel_set_firmware_node(f->fake, i, "../../ACPI0017:00");
    const Snapshot *s = snapshot_fixture_scan(f);
    g_assert_true(snapshot_device_of(s, 0) == snapshot_device_of(s, 33));
    g_assert_cmpuint(snapshot_device_of(s, 0)->block_count, ==, 10);
    g_assert_true(snapshot_device_of(s, 50) == snapshot_device_of(s, 51));
    g_assert_cmpstr(snapshot_device_of(s, 50)->id, ==, "other0");
    g_assert_cmpstr(snapshot_device_of(s, 53)->id, ==, "other1");
}

/* Two devices never have one id, and a slot that cannot be read has no number. */
static void test_bad_slots(SnapshotFixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_add_dimm(f->fake, 1, 32, 1);
    fake_kernel_add_dimm(f->fake, 2, 33, 1);
    fake_kernel_add_dimm(f->fake, 3, 34, 1);
    fake_kernel_set_file(f->fake, BLOCK_DIR "/memory33/firmware_node/uid", "0x01\n");
    fake_kernel_set_file(f->fake, BLOCK_DIR "/memory34/firmware_node/uid", "DIMM A\n");
    fake_kernel_set_file(f->fake, BLOCK_DIR "/memory34/firmware_node/path", NULL);
    const Snapshot *s = snapshot_fixture_scan(f);
    g_assert_cmpstr(snapshot_device_of(s, 32)->id, ==, "slot1");
    g_assert_cmpstr(snapshot_device_of(s, 33)->id, ==, "acpi02");
    g_assert_cmpint(snapshot_device_of(s, 33)->slot, ==, -1);
    g_assert_cmpstr(snapshot_device_of(s, 34)->id, ==, "acpi03");
    g_assert_cmpstr(snapshot_device_of(s, 34)->acpi_path, ==, "");
    g_assert_cmpint(snapshot_device_of(s, 34)->kind, ==, DEVICE_DIMM);
    /* An integer _UID is decimal; a word of hexadecimal digits is no number. */
    fake_kernel_set_file(f->fake, BLOCK_DIR "/memory33/firmware_node/uid", "10\n");
    fake_kernel_set_file(f->fake, BLOCK_DIR "/memory34/firmware_node/uid", "0B\n");
    s = snapshot_fixture_scan(f);
    g_assert_cmpint(snapshot_device_of(s, 33)->slot, ==, 10);
    g_assert_cmpstr(snapshot_device_of(s, 33)->id, ==, "slot10");
    g_assert_cmpint(snapshot_device_of(s, 34)->slot, ==, -1);
    /* What could not be read is tried again, not taken over. */
    fake_kernel_set_file(f->fake, BLOCK_DIR "/memory34/firmware_node/uid", "0x03\n");
    fake_kernel_set_state(f->fake, 34, "online", "Movable");
    g_assert_cmpstr(snapshot_device_of(snapshot_fixture_refresh_one(f, 34), 34)->id, ==, "slot3");
}

static void test_vanish_during_scan(SnapshotFixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_add_dimm(f->fake, 0, 32, 3);
    fake_kernel_vanish_on_access(f->fake, 33);
    const Snapshot *s = snapshot_fixture_scan(f);
    g_assert_cmpuint(s->block_count, ==, 10);
    g_assert_null(snapshot_find_block(s, 33));
}

static void test_errors(SnapshotFixture *f, gconstpointer data)
{
    static const char *const bad[] = {NULL, "", "0", "7ffffff", "123456789", "zz"};
    g_autoptr(GError) error = NULL;

    (void)data;
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        fake_kernel_set_file(f->fake, BLOCK_DIR "/block_size_bytes", bad[i]);
        g_assert_null(snapshot_scan(f->io, &error));
        g_assert_nonnull(error);
        g_assert_true(error->domain == G_FILE_ERROR);
        g_assert_cmpint(error->code, ==, bad[i] == NULL ? G_FILE_ERROR_NOENT : G_FILE_ERROR_INVAL);
        g_assert_nonnull(strstr(error->message, "/" BLOCK_DIR "/block_size_bytes"));
        g_clear_error(&error);
    }
}

static void test_build(SnapshotFixture *f, gconstpointer data)
{
    Block blocks[] = {
        {.index = 9, .inode = 3, .node = 0, .state = BLOCK_STATE_OFFLINE, .is_new = TRUE},
        {.index = 1, .inode = 1, .node = 0, .state = BLOCK_STATE_ONLINE, .zone = ZONE_NORMAL},
        {.index = 4, .inode = 2, .node = 0, .state = BLOCK_STATE_OFFLINE, .device = 7},
    };

    (void)data;
    f->snapshot = snapshot_build(f->io, 2 * GIB, blocks, G_N_ELEMENTS(blocks));
    snapshot_assert_sane(f->snapshot);
    g_assert_cmpuint(f->snapshot->blocks[0].index, ==, 1);
    g_assert_null(snapshot_device_of(f->snapshot, 9));
    g_assert_cmpuint(snapshot_device_of(f->snapshot, 4)->size_bytes, ==, 4 * GIB);
    g_autoptr(Snapshot) empty = snapshot_build(f->io, BS, NULL, 0);
    snapshot_assert_sane(empty);
    g_assert_cmpuint(empty->block_count, ==, 0);
    g_autoptr(Snapshot) same = snapshot_refresh(empty, f->io, NULL, 0);
    g_assert_true(same == empty);
}

/* A tree on disk, as --sysroot sees it: symbolic links, entries that are not blocks, big blocks. */
static void test_tree(gconstpointer data)
{
    guint64 block_size = *(const guint64 *)data;
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *size = g_strdup_printf("%" G_GINT64_MODIFIER "x\n", block_size);

    temp_tree_write(tree, BLOCK_DIR "/block_size_bytes", size);
    temp_tree_write(tree, BLOCK_DIR "/auto_online_blocks", "offline\n");
    temp_tree_write(tree, BLOCK_DIR "/memory012/state", "online\n");
    temp_tree_write(tree, BLOCK_DIR "/memoryfoo/state", "online\n");
    temp_tree_write(tree, BLOCK_DIR "/memory6", "a file\n");
    temp_tree_mkdir(tree, BLOCK_DIR "/memory7");
    temp_tree_mkdir(tree, BLOCK_DIR "/power");
    temp_tree_write(tree, BLOCK_DIR "/memory0/state", "online\n");
    temp_tree_write(tree, BLOCK_DIR "/memory0/valid_zones", "none\n");
    temp_tree_link(tree, BLOCK_DIR "/memory0/node0", "../../node/node0");
    temp_tree_write(tree, BLOCK_DIR "/memory40/state", "online\n");
    temp_tree_write(tree, BLOCK_DIR "/memory40/valid_zones", "Movable\n");
    temp_tree_link(tree, BLOCK_DIR "/memory40/node1", "../../node/node1");
    temp_tree_link(tree, BLOCK_DIR "/memory40/firmware_node",
                   "../../../LNXSYSTM:00/LNXSYBUS:00/PNP0C80:0b");
    temp_tree_write(tree, "sys/devices/LNXSYSTM:00/LNXSYBUS:00/PNP0C80:0b/uid", "0x0B\n");
    temp_tree_write(tree, "sys/devices/LNXSYSTM:00/LNXSYBUS:00/PNP0C80:0b/path",
                    "\\_SB_.MHPC.MP0B\n");

    g_autoptr(AttrIo) io = attr_io_open(tree->root, ATTR_READ_ONLY, &error);
    g_assert_no_error(error);
    g_autoptr(Snapshot) s = snapshot_scan(io, &error);
    g_assert_no_error(error);
    snapshot_assert_sane(s);
    g_assert_cmpuint(s->block_size_bytes, ==, block_size);
    g_assert_cmpuint(s->block_count, ==, 2);
    g_assert_cmpint(s->blocks[0].zone, ==, ZONE_SEVERAL);
    g_assert_cmpstr(snapshot_device_of(s, 0)->id, ==, "boot");
    g_assert_cmpuint(snapshot_device_of(s, 0)->online_kernel_bytes, ==, block_size);
    const Device *dimm = snapshot_device_of(s, 40);
    g_assert_cmpstr(dimm->id, ==, "slot11");
    g_assert_cmpstr(dimm->acpi_path, ==, "\\_SB_.MHPC.MP0B");
    g_assert_cmpint(dimm->node, ==, 1);
    g_assert_cmpuint(dimm->address, ==, 40 * block_size);

    temp_tree_remove(tree, BLOCK_DIR "/memory40");
    guint32 gone = 40;
    g_autoptr(Snapshot) next = snapshot_refresh(s, io, &gone, 1);
    g_assert_cmpuint(next->device_count, ==, 1);
}

/* The highest index with the largest blocks: no address overflows. */
static void test_high(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = attr_io_open(tree->root, ATTR_READ_ONLY, NULL);

    temp_tree_write(tree, BLOCK_DIR "/block_size_bytes", "80000000\n");
    temp_tree_write(tree, BLOCK_DIR "/memory4294967295/state", "offline\n");
    g_autoptr(Snapshot) s = snapshot_scan(io, NULL);
    snapshot_assert_sane(s);
    g_assert_cmpuint(s->devices[0].address, ==, G_GUINT64_CONSTANT(0x7fffffff80000000));
    DeviceSelector selector = {
        .kind = SELECT_RANGE, .address = s->devices[0].address, .size_bytes = 2 * GIB};
    const Device *device;
    g_assert_cmpint(snapshot_select(s, &selector, &device), ==, SELECT_FOUND);
}

int main(int argc, char **argv)
{
    static const guint64 sizes[] = {128 * MIB, 256 * MIB, GIB, 2 * GIB};

    g_test_init(&argc, &argv, NULL);
#define ADD(path, func)                                                                            \
    g_test_add(path, SnapshotFixture, NULL, snapshot_fixture_set_up, func,                         \
               snapshot_fixture_tear_down)
    ADD("/snapshot/devices", test_devices);
    ADD("/snapshot/virtio-mem", test_virtio_mem);
    ADD("/snapshot/iomem", test_iomem);
    ADD("/snapshot/standby", test_standby);
    ADD("/snapshot/no-iomem", test_no_iomem);
    ADD("/snapshot/foreign-and-gaps", test_foreign_and_gaps);
    ADD("/snapshot/bad-slots", test_bad_slots);
    ADD("/snapshot/vanish-during-scan", test_vanish_during_scan);
    ADD("/snapshot/errors", test_errors);
    ADD("/snapshot/build", test_build);
    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *path =
            g_strdup_printf("/snapshot/tree/%" G_GUINT64_FORMAT "-MiB", sizes[i] / MIB);
        g_test_add_data_func(path, &sizes[i], test_tree);
    }
    g_test_add_func("/snapshot/high", test_high);
    return g_test_run();
}
