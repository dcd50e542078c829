/*
 * The pools of huge pages (hugetlbfs), one for each size, and what of them is on each node.
 */
#pragma once

#include <glib.h>

#include "system/attr.h"

typedef struct {
    guint64 page_bytes;
    guint64 total;    /* pages: nr_hugepages, surplus ones included */
    guint64 free;     /* of them: nobody has them; reserved ones included */
    guint64 reserved; /* of the free ones: promised to a mapping that has not touched them yet */
    /* Whether such pages can lie in ZONE_MOVABLE: hugepage_movable_supported() in
     * include/linux/hugetlb.h refuses gigantic ones, unless vm.movable_gigantic_pages (Linux 7.0)
     * allows them. */
    gboolean can_be_movable;
} HugepagePool;

/* From /sys/kernel/mm/hugepages; empty where the kernel has none, ascending by size. A figure that
 * cannot be read is 0, and *ERROR (may be NULL) the errno for it, else 0. Return (transfer full): a
 * GArray of HugepagePool. */
#define HUGEPAGES_DIR "sys/kernel/mm/hugepages"
GArray *hugepages_read(const AttrIo *io, int *error);
/* What is free of those pools whose pages can be movable, reserved pages included. */
guint64 hugepages_free_bytes(const AttrIo *io);

/* One size on one node. */
typedef struct {
    gint32 node; /* -1: this kernel has no nodes, and the figure is the guest's */
    guint64 page_bytes;
    guint64 count; /* pages that stay: without surplus ones, which go with their last user */
} NodePool;

/* All sizes on all nodes; empty where no size has a page. A count that cannot be read is 0, and
 * *ERROR the errno for it, else 0. Return (transfer full): a GArray of NodePool. */
GArray *node_pools_read(const AttrIo *io, int *error);
/* Asks for as many pages as POOL says, where there are fewer; where it cannot tell, for none. It
 * may take as long as the kernel needs to find them, and ends early at a signal; the kernel gives
 * what it finds, so 0 does not say that all are there. Return 0 or a negative errno. */
int node_pool_fill(const AttrIo *io, const NodePool *pool);
