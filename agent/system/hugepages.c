/*
 * Reads /sys/kernel/mm/hugepages/hugepages-NkB (mm/hugetlb_sysfs.c).
 */
#include "system/hugepages.h"

#include <string.h>

#include "system/units.h"

#define DIR "sys/kernel/mm/hugepages"
#define PREFIX "hugepages-"
#define SUFFIX "kB"
#define SIZES_MAX 16 /* HUGE_MAX_HSTATE is at most 4 */
#define GIGANTIC_BYTES                                                                             \
    GIB /* larger than the buddy allocator's largest piece, wherever they exist */

static gboolean collect_size(const char *name, gpointer user_data)
{
    GArray *pools = user_data;
    char *end;

    if (!g_str_has_prefix(name, PREFIX))
        return TRUE;
    guint64 kib = g_ascii_strtoull(name + strlen(PREFIX), &end, 10);
    if (kib > 0 && kib <= G_MAXUINT64 / KIB && g_str_equal(end, SUFFIX)) {
        HugepagePool pool = {.page_bytes = kib * KIB};
        g_array_append_val(pools, pool);
    }
    return pools->len < SIZES_MAX;
}

static gint compare_sizes(gconstpointer a, gconstpointer b)
{
    guint64 left = ((const HugepagePool *)a)->page_bytes;
    guint64 right = ((const HugepagePool *)b)->page_bytes;

    return left < right ? -1 : left > right;
}

static void read_figure(const AttrIo *io, const HugepagePool *pool, const char *name, guint64 *out)
{
    char path[ATTR_PATH_MAX];

    g_snprintf(path, sizeof path, DIR "/" PREFIX "%" G_GUINT64_FORMAT SUFFIX "/%s",
               pool->page_bytes / KIB, name);
    attr_read_uint64(io, path, 10, out);
}

GArray *hugepages_read(const AttrIo *io)
{
    GArray *pools = g_array_new(FALSE, FALSE, sizeof(HugepagePool));
    guint64 gigantic = 0;

    attr_list(io, DIR, collect_size, pools);
    g_array_sort(pools, compare_sizes);
    attr_read_uint64(io, "proc/sys/vm/movable_gigantic_pages", 10, &gigantic);
    for (guint i = 0; i < pools->len; i++) {
        HugepagePool *pool = &g_array_index(pools, HugepagePool, i);
        read_figure(io, pool, "nr_hugepages", &pool->total);
        read_figure(io, pool, "free_hugepages", &pool->free);
        read_figure(io, pool, "resv_hugepages", &pool->reserved);
        pool->can_be_movable = pool->page_bytes < GIGANTIC_BYTES || gigantic == 1;
    }
    return pools;
}
