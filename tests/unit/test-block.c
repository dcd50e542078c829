/*
 * One block's directory: what is read from it, in which order, and what is never read.
 */
#include "system/block.h"

#include <errno.h>
#include <string.h>

#include "system/units.h"
#include "tests/unit/fake-kernel.h"

typedef struct {
    FakeKernel *fake;
    AttrIo *io;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    (void)data;
    f->fake = fake_kernel_new(128 * MIB);
    f->io = fake_kernel_io(f->fake);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    g_assert_cmpuint(fake_kernel_traps(f->fake), ==, 0);
    attr_io_free(f->io);
    fake_kernel_free(f->fake);
}

static Block read_block(Fixture *f, guint32 index)
{
    Block block;

    memset(&block, 0xff, sizeof block);
    g_assert_cmpint(block_read(f->io, index, NULL, &block), ==, 0);
    g_assert_cmpuint(block.index, ==, index);
    g_assert_cmpint(block.device, ==, -1);
    g_assert_false(block.is_new);
    g_assert_false(block.look_again);
    return block;
}

static void test_names(void)
{
    static const char *const bad[] = {"memory",   "memory012", "memory00", "memoryfoo",
                                      "memory1a", "memory-1",  "memory 1", "memory+1",
                                      "emory1",   "Memory1",   "",         "memory4294967296",
                                      "power",    "probe",     "memory1 ", "memory99999999999999"};
    guint32 index = 77;

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(block_parse_name(bad[i], &index));
    g_assert_cmpuint(index, ==, 77);
    g_assert_true(block_parse_name("memory0", &index));
    g_assert_cmpuint(index, ==, 0);
    g_assert_true(block_parse_name("memory10", &index));
    g_assert_cmpuint(index, ==, 10);
    g_assert_true(block_parse_name("memory4294967295", &index));
    g_assert_cmpuint(index, ==, G_MAXUINT32);
}

static void test_words(void)
{
    g_assert_cmpstr(block_state_name(BLOCK_STATE_GOING_OFFLINE), ==, "going-offline");
    g_assert_cmpstr(block_state_name(BLOCK_STATE_UNKNOWN), ==, "unknown");
    g_assert_cmpstr(block_state_name(99), ==, "unknown");
    g_assert_cmpstr(zone_name(ZONE_MOVABLE), ==, "Movable");
    g_assert_cmpstr(zone_name(ZONE_SEVERAL), ==, "none");
    g_assert_cmpstr(zone_name(99), ==, "unknown");
    g_assert_true(zone_is_kernel(ZONE_DMA));
    g_assert_true(zone_is_kernel(ZONE_DMA32));
    g_assert_true(zone_is_kernel(ZONE_NORMAL));
    g_assert_true(zone_is_kernel(ZONE_HIGHMEM));
    g_assert_false(zone_is_kernel(ZONE_MOVABLE));
    g_assert_false(zone_is_kernel(ZONE_DEVICE));
    g_assert_false(zone_is_kernel(ZONE_SEVERAL));
    g_assert_false(zone_is_kernel(ZONE_UNKNOWN));
}

static void test_paths(void)
{
    char buf[BLOCK_PATH_MAX];

    g_assert_cmpstr(block_path(7, "", buf), ==, "sys/devices/system/memory/memory7");
    g_assert_cmpstr(block_path(G_MAXUINT32, "firmware_node/path", buf), ==,
                    "sys/devices/system/memory/memory4294967295/firmware_node/path");
}

static void test_dimm(Fixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_add_dimm(f->fake, 0x1f, 40, 2);
    fake_kernel_set_state(f->fake, 41, "online", "Movable");

    Block block = read_block(f, 40);
    g_assert_cmpint(block.state, ==, BLOCK_STATE_OFFLINE);
    g_assert_cmpint(block.zone, ==, ZONE_NORMAL);
    g_assert_true(block.can_be_movable);
    g_assert_cmpint(block.node, ==, 0);
    g_assert_cmpint(block.backing, ==, BLOCK_BACKING_ACPI);
    g_assert_cmpuint(block.acpi_number, ==, 0x1f);
    g_assert_cmpuint(block.inode, ==, fake_kernel_inode(f->fake, 40));

    block = read_block(f, 41);
    g_assert_cmpint(block.state, ==, BLOCK_STATE_ONLINE);
    g_assert_cmpint(block.zone, ==, ZONE_MOVABLE);
    g_assert_true(block.can_be_movable);
    g_assert_cmpuint(block.inode, !=, fake_kernel_inode(f->fake, 40));
}

static void test_boot(Fixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_add_boot(f->fake, 31, 2);
    Block block = read_block(f, 31);
    g_assert_cmpint(block.zone, ==, ZONE_DMA32);
    g_assert_false(block.can_be_movable);
    g_assert_cmpint(block.backing, ==, BLOCK_BACKING_UNRESOLVED);
    block = read_block(f, 32);
    g_assert_cmpint(block.zone, ==, ZONE_NORMAL);
}

/* Trap 1: the fixture's tear-down fails if valid_zones was read before there was a node. */
static void test_early(Fixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_add_block(f->fake, 40);
    Block block = read_block(f, 40);
    g_assert_cmpint(block.state, ==, BLOCK_STATE_OFFLINE);
    g_assert_cmpint(block.node, ==, -1);
    g_assert_cmpint(block.zone, ==, ZONE_UNKNOWN);
    g_assert_false(block.can_be_movable);

    fake_kernel_set_state(f->fake, 40, "going-offline", NULL);
    block = read_block(f, 40);
    g_assert_cmpint(block.zone, ==, ZONE_UNKNOWN);

    fake_kernel_set_state(f->fake, 40, "some-new-word", NULL);
    block = read_block(f, 40);
    g_assert_cmpint(block.zone, ==, ZONE_UNKNOWN);

    fake_kernel_set_state(f->fake, 40, "offline", NULL);
    fake_kernel_set_node(f->fake, 40, 3);
    block = read_block(f, 40);
    g_assert_cmpint(block.node, ==, 3);
    g_assert_cmpint(block.zone, ==, ZONE_NORMAL);
}

/* A kernel without NUMA: no node link ever, but an online block's zones are safe. */
static void test_no_numa(Fixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_add_block(f->fake, 40);
    fake_kernel_set_state(f->fake, 40, "online", "Movable");
    Block block = read_block(f, 40);
    g_assert_cmpint(block.node, ==, -1);
    g_assert_cmpint(block.zone, ==, ZONE_MOVABLE);
}

static void test_zones(Fixture *f, gconstpointer data)
{
    static const struct {
        const char *state;
        const char *zones;
        Zone zone;
        gboolean can_be_movable;
    } cases[] = {
        {"online", "none", ZONE_SEVERAL, FALSE},
        {"online", "DMA", ZONE_DMA, FALSE},
        {"online", "HighMem", ZONE_HIGHMEM, FALSE},
        {"online", "Device", ZONE_DEVICE, FALSE},
        {"online", "Sideways", ZONE_UNKNOWN, FALSE},
        {"online", "Normal Movable", ZONE_UNKNOWN, FALSE}, /* cannot be, whatever the file says */
        {"offline", "Movable Normal", ZONE_MOVABLE, TRUE},
        {"offline", "Normal Movable", ZONE_NORMAL, TRUE},
        {"offline", "Normal", ZONE_NORMAL, FALSE},
        {"offline", "  Normal   Movable ", ZONE_NORMAL, TRUE},
        {"offline", "Movables", ZONE_UNKNOWN, FALSE},
        {"going-offline", "Movable Normal", ZONE_MOVABLE, TRUE},
    };

    (void)data;
    fake_kernel_add_dimm(f->fake, 0, 40, 1);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        fake_kernel_set_state(f->fake, 40, cases[i].state, cases[i].zones);
        Block block = read_block(f, 40);

        g_test_message("%s: %s", cases[i].state, cases[i].zones);
        g_assert_cmpint(block.zone, ==, cases[i].zone);
        g_assert_cmpint(block.can_be_movable, ==, cases[i].can_be_movable);
    }
}

static void test_states(Fixture *f, gconstpointer data)
{
    static const struct {
        const char *word;
        BlockState state;
    } cases[] = {
        {"online", BLOCK_STATE_ONLINE},
        {"offline", BLOCK_STATE_OFFLINE},
        {"going-offline", BLOCK_STATE_GOING_OFFLINE},
        {"prepare", BLOCK_STATE_UNKNOWN},
        {"unknown", BLOCK_STATE_UNKNOWN},
        {"", BLOCK_STATE_UNKNOWN},
        {"ERROR-UNKNOWN-12345678", BLOCK_STATE_UNKNOWN},
        {"on\nline", BLOCK_STATE_UNKNOWN},
    };

    (void)data;
    fake_kernel_add_dimm(f->fake, 0, 40, 1);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        fake_kernel_set_state(f->fake, 40, cases[i].word, NULL);
        g_assert_cmpint(read_block(f, 40).state, ==, cases[i].state);
    }
}

static void test_firmware_node(Fixture *f, gconstpointer data)
{
    static const struct {
        const char *target;
        BlockBacking backing;
        guint32 number;
    } cases[] = {
        {"../../../LNXSYSTM:00/LNXSYBUS:00/PNP0A08:00/PNP0C80:0a", BLOCK_BACKING_ACPI, 10},
        {"PNP0C80:ff", BLOCK_BACKING_ACPI, 255},
        {"x/PNP0C80:100", BLOCK_BACKING_ACPI, 256},
        {"x/PNP0C80:", BLOCK_BACKING_FOREIGN, 0},
        {"x/PNP0C80:0g", BLOCK_BACKING_FOREIGN, 0},
        {"x/PNP0C80:123456789", BLOCK_BACKING_FOREIGN, 0},
        {"x/PNP0C80:00/ACPI0012:00", BLOCK_BACKING_FOREIGN, 0},
        {"x/device:00", BLOCK_BACKING_FOREIGN, 0},
        {NULL, BLOCK_BACKING_UNRESOLVED, 0},
    };

    (void)data;
    fake_kernel_add_dimm(f->fake, 0, 40, 1);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint32 number = 0;

        fake_kernel_set_firmware_node(f->fake, 40, cases[i].target);
        Block block = read_block(f, 40);
        g_assert_cmpint(block.backing, ==, cases[i].backing);
        if (cases[i].backing == BLOCK_BACKING_ACPI)
            g_assert_cmpuint(block.acpi_number, ==, cases[i].number);
        g_assert_cmpint(block_read_backing(f->io, 40, &number), ==, cases[i].backing);
        if (cases[i].backing == BLOCK_BACKING_ACPI)
            g_assert_cmpuint(number, ==, cases[i].number);
    }
}

static void test_gone(Fixture *f, gconstpointer data)
{
    Block block = {.index = 4711};

    (void)data;
    g_assert_cmpint(block_read(f->io, 40, NULL, &block), ==, -ENOENT);
    fake_kernel_add_dimm(f->fake, 0, 40, 1);
    fake_kernel_vanish_on_access(f->fake, 40);
    g_assert_cmpint(block_read(f->io, 40, NULL, &block), ==, -ENOENT);
    g_assert_cmpuint(block.index, ==, 4711);
    /* What belongs to others is not touched. */
    fake_kernel_set_file(f->fake, "sys/devices/system/memory/memory41/state", "online");
    g_assert_cmpint(block_read(f->io, 41, NULL, &block), ==, -ENOENT);
}

static void test_write(Fixture *f, gconstpointer data)
{
    guint64 inode;

    (void)data;
    fake_kernel_add_dimm(f->fake, 0, 40, 1);
    inode = fake_kernel_inode(f->fake, 40);
    g_assert_cmpint(block_write_state(f->io, 40, inode, "online_movable"), ==, 0);
    g_assert_cmpstr(fake_kernel_zone(f->fake, 40), ==, "Movable");
    g_assert_cmpint(block_write_state(f->io, 40, inode, "online_movable"), ==, -EINVAL);
    g_assert_cmpint(block_write_state(f->io, 40, inode + 1, "offline"), ==, -ESTALE);
    g_assert_cmpstr(fake_kernel_state(f->fake, 40), ==, "online");
    g_assert_cmpint(block_write_state(f->io, 40, inode, "offline"), ==, 0);
    g_assert_cmpstr(fake_kernel_state(f->fake, 40), ==, "offline");
}

/* What a scan of 32,768 blocks is made of. */
static void test_cost(Fixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_add_dimm(f->fake, 0, 40, 1);
    fake_kernel_set_state(f->fake, 40, "online", "Movable");
    guint64 before = fake_kernel_operations(f->fake);
    read_block(f, 40);
    g_assert_cmpuint(fake_kernel_operations(f->fake) - before, <=, 5);
    g_assert_cmpuint(sizeof(Block), <=, 32);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/block/names", test_names);
    g_test_add_func("/block/words", test_words);
    g_test_add_func("/block/paths", test_paths);
#define ADD(path, func) g_test_add(path, Fixture, NULL, set_up, func, tear_down)
    ADD("/block/dimm", test_dimm);
    ADD("/block/boot", test_boot);
    ADD("/block/early", test_early);
    ADD("/block/no-numa", test_no_numa);
    ADD("/block/zones", test_zones);
    ADD("/block/states", test_states);
    ADD("/block/firmware-node", test_firmware_node);
    ADD("/block/gone", test_gone);
    ADD("/block/write", test_write);
    ADD("/block/cost", test_cost);
    return g_test_run();
}
