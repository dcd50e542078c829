/*
 * Readers of what the check asks beside memory: pools of huge pages, nodes that cpusets allow.
 */
#include <errno.h>

#include "fake-kernel.h"
#include "system/cpusets.h"
#include "system/hugepages.h"
#include "system/units.h"
#include "temp-tree.h"

#define DIR "sys/kernel/mm/hugepages/"

static const HugepagePool *pool_at(const GArray *pools, guint i)
{
    g_assert_cmpuint(i, <, pools->len);
    return &g_array_index(pools, HugepagePool, i);
}

static void test_pools(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();

    temp_tree_write(tree, DIR "hugepages-1048576kB/nr_hugepages", "2\n");
    temp_tree_write(tree, DIR "hugepages-1048576kB/free_hugepages", "1\n");
    temp_tree_write(tree, DIR "hugepages-1048576kB/resv_hugepages", "0\n");
    temp_tree_write(tree, DIR "hugepages-2048kB/nr_hugepages", "400\n");
    temp_tree_write(tree, DIR "hugepages-2048kB/free_hugepages", "300\n");
    temp_tree_write(tree, DIR "hugepages-2048kB/resv_hugepages", "200\n");
    temp_tree_write(tree, DIR "hugepages-/nr_hugepages", "1\n");
    temp_tree_write(tree, DIR "hugepages-4096KB/nr_hugepages", "1\n");
    g_autoptr(AttrIo) io = attr_io_open(tree->root, ATTR_READ_ONLY, NULL);
    g_autoptr(GArray) pools = hugepages_read(io, NULL);
    g_assert_cmpuint(pools->len, ==, 2);
    g_assert_cmpuint(pool_at(pools, 0)->page_bytes, ==, 2 * MIB);
    g_assert_cmpuint(pool_at(pools, 0)->total, ==, 400);
    g_assert_cmpuint(pool_at(pools, 0)->free, ==, 300);
    g_assert_cmpuint(pool_at(pools, 0)->reserved, ==, 200);
    g_assert_true(pool_at(pools, 0)->can_be_movable);
    g_assert_cmpuint(pool_at(pools, 1)->page_bytes, ==, GIB);
    g_assert_false(pool_at(pools, 1)->can_be_movable);

    temp_tree_write(tree, "proc/sys/vm/movable_gigantic_pages", "1\n");
    g_autoptr(GArray) movable = hugepages_read(io, NULL);
    g_assert_true(pool_at(movable, 1)->can_be_movable);
}

#define NODE "sys/devices/system/node/node%d/hugepages/hugepages-%skB/%s"

static void write_node(TempTree *tree, int node, const char *kib, const char *name,
                       const char *text)
{
    g_autofree char *path = g_strdup_printf(NODE, node, kib, name);

    temp_tree_write(tree, path, text);
}

static guint64 count_on(const GArray *pools, gint32 node, guint64 page_bytes)
{
    for (guint i = 0; i < pools->len; i++) {
        const NodePool *pool = &g_array_index(pools, NodePool, i);

        if (pool->node == node && pool->page_bytes == page_bytes)
            return pool->count;
    }
    g_assert_not_reached();
}

static void test_node_pools(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();

    temp_tree_write(tree, DIR "hugepages-2048kB/nr_hugepages", "77\n");
    temp_tree_write(tree, "sys/devices/system/node/online", "0,11\n");
    write_node(tree, 0, "2048", "nr_hugepages", "70\n");
    write_node(tree, 0, "2048", "surplus_hugepages", "0\n");
    write_node(tree, 11, "2048", "nr_hugepages", "7\n");
    write_node(tree, 11, "2048", "surplus_hugepages", "5\n");
    write_node(tree, 11, "1048576", "nr_hugepages", "1\n");
    g_autoptr(AttrIo) io = attr_io_open(tree->root, ATTR_READ_WRITE, NULL);
    int error = -1;
    g_autoptr(GArray) pools = node_pools_read(io, &error);
    g_assert_cmpint(error, ==, 0);
    g_assert_cmpuint(pools->len, ==, 3);
    g_assert_cmpuint(count_on(pools, 0, 2 * MIB), ==, 70);
    g_assert_cmpuint(count_on(pools, 11, 2 * MIB), ==, 2);
    g_assert_cmpuint(count_on(pools, 11, GIB), ==, 1);

    const NodePool wanted = {.node = 11, .page_bytes = 2 * MIB, .count = 9};
    const NodePool fewer = {.node = 0, .page_bytes = 2 * MIB, .count = 69};
    g_assert_cmpint(node_pool_fill(io, &fewer), ==, 0);
    g_assert_cmpint(node_pool_fill(io, &wanted), ==, 0);
    g_autoptr(GArray) now = node_pools_read(io, &error);
    g_assert_cmpuint(count_on(now, 0, 2 * MIB), ==, 70);
    g_autofree char *path = g_strdup_printf(NODE, 11, "2048", "nr_hugepages");
    g_autofree char *text = temp_tree_read(tree, path);
    g_assert_cmpstr(text, ==, "9\n");
}

/* A kernel without nodes (CONFIG_NUMA=n) has the guest's pools only. */
static void test_pools_without_nodes(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();

    temp_tree_write(tree, DIR "hugepages-2048kB/nr_hugepages", "77\n");
    g_autoptr(AttrIo) io = attr_io_open(tree->root, ATTR_READ_WRITE, NULL);
    int error = -1;
    g_autoptr(GArray) pools = node_pools_read(io, &error);
    g_assert_cmpint(error, ==, 0);
    g_assert_cmpuint(pools->len, ==, 1);
    g_assert_cmpuint(count_on(pools, -1, 2 * MIB), ==, 77);
    const NodePool wanted = {.node = -1, .page_bytes = 2 * MIB, .count = 80};
    g_assert_cmpint(node_pool_fill(io, &wanted), ==, 0);
    g_autoptr(GArray) again = node_pools_read(io, &error);
    g_assert_cmpuint(count_on(again, -1, 2 * MIB), ==, 80);
    temp_tree_write(tree, DIR "hugepages-2048kB/nr_hugepages", "0\n");
    g_autoptr(GArray) none = node_pools_read(io, &error);
    g_assert_cmpuint(none->len, ==, 0);
}

static void test_no_pools(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = attr_io_open(tree->root, ATTR_READ_ONLY, NULL);
    g_autoptr(GArray) pools = hugepages_read(io, NULL);

    g_assert_cmpuint(pools->len, ==, 0);
}

static void test_node_lists(void)
{
    static const char *const bad[] = {
        "", ",", "1,", "-1", "1-", "2-1", "0x1", "1 ", "1024", "0-1024", "99999999999999999999",
        "a"};
    NodeSet set = {{0}};

    g_assert_true(node_set_parse("0-1,3,64", &set));
    g_assert_cmphex(set.bits[0], ==, 0xb);
    g_assert_cmphex(set.bits[1], ==, 1);
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(node_set_parse(bad[i], &set));
        g_assert_cmphex(set.bits[0], ==, 0xb);
    }
    NodeSet none = {{0}}, three = {{8}};
    g_assert_true(node_set_is_within(&three, &set));
    g_assert_false(node_set_is_within(&set, &three));
    g_assert_false(node_set_is_within(&none, &set));
}

static void test_nodes_with_cpus(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = attr_io_open(tree->root, ATTR_READ_ONLY, NULL);

    g_assert_true(node_has_cpus(io, 2)); /* not known */
    temp_tree_write(tree, "sys/devices/system/node/has_cpu", "0-1,3\n");
    g_assert_true(node_has_cpus(io, 1));
    g_assert_false(node_has_cpus(io, 2));
    g_assert_true(node_has_cpus(io, -1));
}

static void test_cpusets(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();

    temp_tree_write(tree, "sys/fs/cgroup/cpuset.mems.effective", "0-1\n");
    temp_tree_write(tree, "sys/fs/cgroup/user.slice/cpuset.mems", "\n"); /* inherits */
    temp_tree_write(tree, "sys/fs/cgroup/db.slice/redis.service/cpuset.mems", "1\n");
    temp_tree_write(tree, "sys/fs/cgroup/db.slice/sql.service/cpuset.mems", "1\n");
    temp_tree_write(tree, "sys/fs/cgroup/cpuset/old/cpuset.mems", "0,2\n"); /* v1 */
    g_autoptr(AttrIo) io = attr_io_open(tree->root, ATTR_READ_ONLY, NULL);
    int error;
    g_autoptr(GArray) sets = cpusets_read(io, &error);
    guint64 seen = 0;

    g_assert_cmpint(error, ==, 0);
    g_assert_cmpuint(sets->len, ==, 2);
    for (guint i = 0; i < sets->len; i++)
        seen |= G_GUINT64_CONSTANT(1) << g_array_index(sets, NodeSet, i).bits[0];
    g_assert_cmphex(seen, ==, 1 << 2 | 1 << 5);
}

/* What cannot be read is not what is not there. */
static void test_unreadable(void)
{
    static const char *const figures[] = {"nr_hugepages", "free_hugepages", "resv_hugepages"};
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = attr_io_open(tree->root, ATTR_READ_ONLY, NULL);
    int error = -1;

    g_autoptr(GArray) none = hugepages_read(io, &error);
    g_assert_cmpint(error, ==, 0);
    temp_tree_write(tree, "sys/kernel/mm/hugepages", "no directory\n");
    g_autoptr(GArray) unlisted = hugepages_read(io, &error);
    g_assert_cmpint(error, ==, ENOTDIR);
    temp_tree_remove(tree, "sys/kernel/mm/hugepages");
    temp_tree_mkdir(tree, DIR "hugepages-2048kB");
    g_autoptr(GArray) bare = hugepages_read(io, &error);
    g_assert_cmpint(error, ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS(figures); i++) {
        g_autofree char *path = g_strconcat(DIR "hugepages-2048kB/", figures[i], NULL);
        temp_tree_mkdir(tree, path);
        g_autoptr(GArray) pools = hugepages_read(io, &error);
        g_assert_cmpint(error, !=, 0);
        temp_tree_remove(tree, path);
        temp_tree_write(tree, path, "1\n");
    }
    g_autoptr(GArray) pools = hugepages_read(io, &error);
    g_assert_cmpint(error, ==, 0);

    temp_tree_mkdir(tree, "sys/fs/cgroup/db.slice/cpuset.mems");
    g_autoptr(GArray) sets = cpusets_read(io, &error);
    g_assert_cmpint(error, ==, EISDIR);
}

/* A pool that cannot be read is not empty, and nothing is asked of it. */
static void unreadable_pool(gint32 node, const char *dir)
{
    static const char *const figures[] = {"nr_hugepages", "surplus_hugepages"};
    const NodePool wanted = {.node = node, .page_bytes = 2 * MIB, .count = 9};
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = attr_io_open(tree->root, ATTR_READ_WRITE, NULL);
    int error = -1;

    for (guint i = 0; i < G_N_ELEMENTS(figures); i++) {
        g_autofree char *path = g_strdup_printf("%s/hugepages-2048kB/%s", dir, figures[i]);
        g_autofree char *first = g_strdup_printf("%s/hugepages-2048kB/%s", dir, figures[0]);
        temp_tree_mkdir(tree, path);
        g_autoptr(GArray) pools = node_pools_read(io, &error);
        g_assert_cmpint(error, ==, EISDIR);
        g_assert_cmpint(node_pool_fill(io, &wanted), ==, -EISDIR);
        temp_tree_remove(tree, path);
        temp_tree_write(tree, path, "1\n");
        g_autofree char *text = temp_tree_read(tree, first);
        g_assert_cmpstr(text, ==, "1\n");
    }
    g_autoptr(GArray) pools = node_pools_read(io, &error);
    g_assert_cmpint(error, ==, 0);
    temp_tree_remove(tree, dir);
    temp_tree_write(tree, dir, "no directory\n");
    g_autoptr(GArray) unlisted = node_pools_read(io, &error);
    g_assert_cmpint(error, ==, ENOTDIR);
}

static void test_unreadable_pools(void)
{
    unreadable_pool(-1, "sys/kernel/mm/hugepages");
    unreadable_pool(3, "sys/devices/system/node/node3/hugepages");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hugepages/pools", test_pools);
    g_test_add_func("/hugepages/nodes", test_node_pools);
    g_test_add_func("/hugepages/without-nodes", test_pools_without_nodes);
    g_test_add_func("/hugepages/none", test_no_pools);
    g_test_add_func("/hugepages/unreadable", test_unreadable);
    g_test_add_func("/hugepages/unreadable-pools", test_unreadable_pools);
    g_test_add_func("/cpusets/node-lists", test_node_lists);
    g_test_add_func("/cpusets/nodes-with-cpus", test_nodes_with_cpus);
    g_test_add_func("/cpusets/tree", test_cpusets);
    return g_test_run();
}
