/*
 * Nodes, overcommit and balloon, from files of a temporary root.
 */
#include <errno.h>

#include "system/balloon.h"
#include "system/pressure.h"
#include "system/units.h"
#include "temp-tree.h"

static void test_nodes(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = attr_io_open(tree->root, ATTR_READ_ONLY, NULL);
    g_autoptr(GArray) none = node_meminfo_read(io, 2 * MIB);

    g_assert_cmpuint(none->len, ==, 0);
    temp_tree_write(tree, "sys/devices/system/node/node10/meminfo",
                    "Node 10 MemTotal:       2000 kB\nNode 10 MemFree:         700 kB\n"
                    "Node 10 Active(anon):    900 kB\nNode 10 Active(file):     30 kB\n"
                    "Node 10 Inactive(file):   20 kB\nNode 10 SReclaimable:      4 kB\n"
                    "Node 10 HugePages_Free:      3\n");
    temp_tree_write(tree, "sys/devices/system/node/node2/meminfo",
                    "Node 2 MemTotal: 100 kB\nNode 2 MemFree: x kB\nNonsense\n");
    temp_tree_write(tree, "sys/devices/system/node/node3/meminfo", "Node 3 MemTotal: 0 kB\n");
    temp_tree_mkdir(tree, "sys/devices/system/node/node4");
    temp_tree_mkdir(tree, "sys/devices/system/node/nodes");
    temp_tree_write(tree, "sys/devices/system/node/online", "2-4,10\n");
    g_autoptr(GArray) nodes = node_meminfo_read(io, 2 * MIB);

    g_assert_cmpuint(nodes->len, ==, 2);
    const NodeMeminfo *first = &g_array_index(nodes, NodeMeminfo, 0);
    const NodeMeminfo *last = &g_array_index(nodes, NodeMeminfo, 1);
    g_assert_cmpint(first->node, ==, 2);
    g_assert_cmpuint(first->total_bytes, ==, 100 * KIB);
    g_assert_cmpuint(first->free_bytes, ==, 0);
    g_assert_cmpint(last->node, ==, 10);
    g_assert_cmpuint(last->free_bytes, ==, 700 * KIB);
    g_assert_cmpuint(last->reclaimable_bytes, ==, 54 * KIB);
    g_assert_cmpuint(last->hugetlb_free_bytes, ==, 6 * MIB);
}

static void test_overcommit(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = attr_io_open(tree->root, ATTR_READ_ONLY, NULL);

    g_assert_false(overcommit_read(io).is_strict);
    temp_tree_write(tree, "proc/sys/vm/overcommit_memory", "0\n");
    temp_tree_write(tree, "proc/sys/vm/overcommit_ratio", "80\n");
    temp_tree_write(tree, "proc/sys/vm/overcommit_kbytes", "0\n");
    g_assert_false(overcommit_read(io).is_strict);
    temp_tree_write(tree, "proc/sys/vm/overcommit_memory", "2\n");
    g_assert_true(overcommit_read(io).is_strict);
    g_assert_cmpuint(overcommit_read(io).ratio_percent, ==, 80);
    temp_tree_write(tree, "proc/sys/vm/overcommit_kbytes", "123456\n");
    g_assert_true(overcommit_read(io).is_strict);
    g_assert_cmpuint(overcommit_read(io).ratio_percent, ==, 0);
}

static guint64 held_bytes(const AttrIo *io)
{
    guint64 bytes = 1;

    g_assert_cmpint(balloon_held_bytes(io, 4 * KIB, &bytes), ==, 0);
    return bytes;
}

static void test_balloon(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = attr_io_open(tree->root, ATTR_READ_ONLY, NULL);

    g_assert_cmpuint(held_bytes(io), ==, 0);
    temp_tree_write(
        tree, "proc/vmstat",
        "nr_free_pages 5\nballoon_inflate 300\nballoon_deflate 44\nballoon_migrate 9\n");
    g_assert_cmpuint(held_bytes(io), ==, 256 * 4 * KIB);
    temp_tree_write(tree, "proc/vmstat", "balloon_inflate 300\nballoon_deflate 300\n");
    g_assert_cmpuint(held_bytes(io), ==, 0);
    temp_tree_remove(tree, "proc/vmstat");
    temp_tree_mkdir(tree, "proc/vmstat");
    guint64 bytes = 1;
    g_assert_cmpint(balloon_held_bytes(io, 4 * KIB, &bytes), ==, -EISDIR);
}

static void test_stall(void)
{
    static const char *const bad[] = {"", "some avg10=0.10 avg60=0.00 avg300=0.00 total=5\n",
                                      "full avg10=0.10 avg60=0.00 avg300=0.00 total=5\n",
                                      "some avg10=x avg60=0.00\nfull avg10=0.00 avg60=0.00\n",
                                      "some avg10=101.00 avg60=0.00\nfull avg10=0.00 avg60=0.00\n"};
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = attr_io_open(tree->root, ATTR_READ_ONLY, NULL);
    Stall stall = {7, 7};

    g_assert_false(stall_read(io, &stall));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        temp_tree_write(tree, "proc/pressure/memory", bad[i]);
        g_assert_false(stall_read(io, &stall));
    }
    g_assert_cmpuint(stall.some_avg10, ==, 7);
    temp_tree_write(tree, "proc/pressure/memory",
                    "some avg10=100.00 avg60=1.50 avg300=0.31 total=123456\n"
                    "full avg10=12.07 avg60=0.99 avg300=0.20 total=1234\n");
    g_assert_true(stall_read(io, &stall));
    g_assert_cmpuint(stall.some_avg10, ==, 10000);
    g_assert_cmpuint(stall.full_avg10, ==, 1207);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pressure/nodes", test_nodes);
    g_test_add_func("/pressure/overcommit", test_overcommit);
    g_test_add_func("/pressure/balloon", test_balloon);
    g_test_add_func("/pressure/stall", test_stall);
    return g_test_run();
}
