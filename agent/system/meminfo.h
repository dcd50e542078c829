/*
 * How much memory the guest has to spare: /proc/meminfo.
 */
#pragma once

#include <glib.h>

#include "system/attr.h"

typedef struct {
    guint64 total_bytes;         /* MemTotal */
    guint64 free_bytes;          /* MemFree */
    guint64 available_bytes;     /* MemAvailable, and what meminfo_read_spare() counts beside it */
    guint64 commit_limit_bytes;  /* CommitLimit */
    guint64 committed_bytes;     /* Committed_AS */
    guint64 swap_free_bytes;     /* SwapFree */
    guint64 hugepage_size_bytes; /* Hugepagesize (the default size) */
    guint64 hugepages_total;     /* of the default size */
    guint64 hugepages_free;
    guint64 dirty_bytes;     /* Dirty */
    guint64 writeback_bytes; /* Writeback */
    guint64 hugetlb_bytes;   /* Hugetlb: of all sizes */
} Meminfo;

/* What might be had beside MemAvailable, and is not counted there. */
typedef struct {
    guint64 swap_bytes; /* free swap; not that on zram, which is memory itself */
    guint64 arc_bytes;  /* what ZFS could give back of its cache: arcstats' size - c_min */
} Uncounted;

/* Return 0 or a negative errno; -EPROTO if MemTotal or MemAvailable is missing. */
int meminfo_read(const AttrIo *io, Meminfo *out);
/* The same for who is about to take memory away: SWAP_PERCENT of the free swap counts as available.
 * This is what every guard and every check reads. UNCOUNTED may be NULL. */
int meminfo_read_spare(const AttrIo *io, guint swap_percent, Meminfo *out, Uncounted *uncounted);
