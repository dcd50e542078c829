/*
 * Reads /sys/kernel/mm/hugepages/hugepages-NkB (mm/hugetlb_sysfs.c) and the same of each node.
 */
#include "system/hugepages.h"

#include <errno.h>
#include <string.h>

#include "system/cpusets.h"
#include "system/units.h"

#define PREFIX "hugepages-"
#define SUFFIX "kB"
#define SIZES_MAX 16 /* HUGE_MAX_HSTATE is at most 4 */
#define GIGANTIC_BYTES                                                                             \
    GIB /* larger than the buddy allocator's largest piece, wherever they exist */

/* "hugepages-2048kB" -> 2 MiB; 0: no such name. */
static guint64 parse_size(const char *name)
{
    char *end;

    if (!g_str_has_prefix(name, PREFIX))
        return 0;
    guint64 kib = g_ascii_strtoull(name + strlen(PREFIX), &end, 10);
    return kib <= G_MAXUINT64 / KIB && g_str_equal(end, SUFFIX) ? kib * KIB : 0;
}

static gboolean collect_size(const char *name, gpointer user_data)
{
    GArray *pools = user_data;
    HugepagePool pool = {.page_bytes = parse_size(name)};

    if (pool.page_bytes > 0)
        g_array_append_val(pools, pool);
    return pools->len < SIZES_MAX;
}

static gint compare_sizes(gconstpointer a, gconstpointer b)
{
    guint64 left = ((const HugepagePool *)a)->page_bytes;
    guint64 right = ((const HugepagePool *)b)->page_bytes;

    return left < right ? -1 : left > right;
}

static void read_figure(const AttrIo *io, const HugepagePool *pool, const char *name, guint64 *out,
                        int *error)
{
    char path[ATTR_PATH_MAX];

    g_snprintf(path, sizeof path, HUGEPAGES_DIR "/" PREFIX "%" G_GUINT64_FORMAT SUFFIX "/%s",
               pool->page_bytes / KIB, name);
    int result = attr_read_uint64(io, path, 10, out);
    if (result < 0 && result != -ENOENT && *error == 0)
        *error = -result;
}

GArray *hugepages_read(const AttrIo *io, int *error)
{
    GArray *pools = g_array_new(FALSE, FALSE, sizeof(HugepagePool));
    guint64 gigantic = 0;
    int result = attr_list(io, HUGEPAGES_DIR, collect_size, pools);
    int problem = result < 0 && result != -ENOENT ? -result : 0;

    g_array_sort(pools, compare_sizes);
    attr_read_uint64(io, "proc/sys/vm/movable_gigantic_pages", 10, &gigantic);
    for (guint i = 0; i < pools->len; i++) {
        HugepagePool *pool = &g_array_index(pools, HugepagePool, i);
        read_figure(io, pool, "nr_hugepages", &pool->total, &problem);
        read_figure(io, pool, "free_hugepages", &pool->free, &problem);
        read_figure(io, pool, "resv_hugepages", &pool->reserved, &problem);
        pool->can_be_movable = pool->page_bytes < GIGANTIC_BYTES || gigantic == 1;
    }
    if (error)
        *error = problem;
    return pools;
}

guint64 hugepages_free_bytes(const AttrIo *io)
{
    g_autoptr(GArray) pools = hugepages_read(io, NULL);
    guint64 bytes = 0;

    for (guint i = 0; i < pools->len; i++) {
        const HugepagePool *pool = &g_array_index(pools, HugepagePool, i);
        if (pool->can_be_movable)
            bytes += pool->free * pool->page_bytes;
    }
    return bytes;
}

/* --- nodes --- */

#define NODE_DIR "sys/devices/system/node"

/* The directory of POOL, into PATH. */
static const char *node_pool_dir(const NodePool *pool, char path[ATTR_PATH_MAX])
{
    g_autofree char *parent = pool->node < 0
                                  ? g_strdup(HUGEPAGES_DIR)
                                  : g_strdup_printf(NODE_DIR "/node%d/hugepages", pool->node);

    g_snprintf(path, ATTR_PATH_MAX, "%s/" PREFIX "%" G_GUINT64_FORMAT SUFFIX, parent,
               pool->page_bytes / KIB);
    return path;
}

/* 0, or a negative errno; what is not there is 0 pages. */
static int read_node_figure(const AttrIo *io, const char *dir, const char *name, guint64 *figure)
{
    g_autofree char *path = g_strdup_printf("%s/%s", dir, name);
    int result = attr_read_uint64(io, path, 10, figure);

    return result == -ENOENT ? 0 : MIN(result, 0);
}

typedef struct {
    const AttrIo *io;
    gint32 node;
    GArray *pools; /* of NodePool */
    int error;     /* the first; negative errno */
} NodeWalk;

/* Reads POOL's count. 0, or a negative errno. */
static int read_count(const AttrIo *io, NodePool *pool)
{
    char dir[ATTR_PATH_MAX];
    guint64 total = 0, surplus = 0;

    node_pool_dir(pool, dir);
    int result = read_node_figure(io, dir, "nr_hugepages", &total);
    if (result == 0)
        result = read_node_figure(io, dir, "surplus_hugepages", &surplus);
    pool->count = total - MIN(surplus, total);
    return result;
}

static void note_error(NodeWalk *walk, int result)
{
    if (result < 0 && result != -ENOENT && walk->error == 0)
        walk->error = result;
}

static gboolean collect_node_size(const char *name, gpointer user_data)
{
    NodeWalk *walk = user_data;
    NodePool pool = {.node = walk->node, .page_bytes = parse_size(name)};

    if (pool.page_bytes == 0)
        return TRUE;
    note_error(walk, read_count(walk->io, &pool));
    g_array_append_val(walk->pools, pool);
    return TRUE;
}

static gboolean collect_node(const char *name, gpointer user_data)
{
    NodeWalk *walk = user_data;
    guint64 node;

    if (!g_str_has_prefix(name, "node") ||
        !g_ascii_string_to_unsigned(name + strlen("node"), 10, 0, NODES_MAX - 1, &node, NULL))
        return TRUE;
    g_autofree char *path = g_strdup_printf(NODE_DIR "/%s/hugepages", name);
    walk->node = (gint32)node;
    note_error(walk, attr_list(walk->io, path, collect_node_size, walk));
    return TRUE;
}

GArray *node_pools_read(const AttrIo *io, int *error)
{
    NodeWalk walk = {.io = io, .node = -1, .pools = g_array_new(FALSE, FALSE, sizeof(NodePool))};
    guint64 sum = 0;

    int result = attr_list(io, NODE_DIR, collect_node, &walk);
    note_error(&walk, result);
    if (result == -ENOENT)
        note_error(&walk, attr_list(io, HUGEPAGES_DIR, collect_node_size, &walk));
    *error = -walk.error;
    for (guint i = 0; i < walk.pools->len; i++)
        sum += g_array_index(walk.pools, NodePool, i).count;
    if (sum == 0)
        g_array_set_size(walk.pools, 0);
    return walk.pools;
}

int node_pool_fill(const AttrIo *io, const NodePool *pool)
{
    g_autofree char *value = g_strdup_printf("%" G_GUINT64_FORMAT, pool->count);
    NodePool now = *pool;
    char dir[ATTR_PATH_MAX];

    int result = read_count(io, &now);
    if (result < 0 || now.count >= pool->count)
        return result;
    return attr_write(io, node_pool_dir(pool, dir), 0, "nr_hugepages", value);
}
