/*
 * Two ways, the gentle one first. nodeN/reclaim (kernels from 6.17 on) takes the pages that were
 * used least, and as many as it is told to; with swappiness=0 no anonymous ones. drop_caches takes
 * all that is clean. memory.reclaim of control groups is left alone: the root has none, what
 * belongs to no group is not reached by it, and before 6.9 it cannot be kept from swapping.
 */
#include "system/reclaim.h"

#include "system/meminfo.h"
#include "system/pressure.h"

#define PIECE "64M swappiness=0"

static gboolean is_enough(const AttrIo *io, guint64 wanted_bytes, guint swap_percent)
{
    Meminfo meminfo = {.available_bytes = 0};

    meminfo_read_spare(io, swap_percent, &meminfo, NULL);
    return meminfo.available_bytes >= wanted_bytes;
}

/* TRUE: enough is available. Where a node has no whole piece left (EAGAIN), or no such file, the
 * next one follows. */
static gboolean reclaim_nodes(const AttrIo *io, guint64 wanted_bytes, guint swap_percent)
{
    g_autoptr(GArray) nodes = node_meminfo_read(io, 0);

    for (guint i = 0; i < nodes->len; i++) {
        int node = g_array_index(nodes, NodeMeminfo, i).node;
        g_autofree char *dir = g_strdup_printf("sys/devices/system/node/node%d", node);
        int r = 0;

        while (r == 0 && !is_enough(io, wanted_bytes, swap_percent))
            r = attr_write(io, dir, 0, "reclaim", PIECE);
        if (r == 0)
            return TRUE;
    }
    return FALSE;
}

int reclaim_caches(const AttrIo *io, guint64 wanted_bytes, guint swap_percent)
{
    static const char *const drops[] = {"1", "2"}; /* page cache, then slab */
    int r = 0;

    if (reclaim_nodes(io, wanted_bytes, swap_percent))
        return 0;
    for (guint i = 0; i < G_N_ELEMENTS(drops); i++) {
        if (is_enough(io, wanted_bytes, swap_percent))
            return 0;
        r = attr_write(io, "proc/sys/vm", 0, "drop_caches", drops[i]);
    }
    return r;
}
