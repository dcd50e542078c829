/*
 * The pools of huge pages (hugetlbfs), one for each size.
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
 * cannot be read is 0. Return (transfer full): a GArray of HugepagePool. */
GArray *hugepages_read(const AttrIo *io);
