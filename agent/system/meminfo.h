/*
 * How much memory the guest has to spare: /proc/meminfo.
 */
#pragma once

#include <glib.h>

#include "system/attr.h"

typedef struct {
    guint64 total_bytes;         /* MemTotal */
    guint64 free_bytes;          /* MemFree */
    guint64 available_bytes;     /* MemAvailable */
    guint64 commit_limit_bytes;  /* CommitLimit */
    guint64 committed_bytes;     /* Committed_AS */
    guint64 swap_free_bytes;     /* SwapFree */
    guint64 hugepage_size_bytes; /* Hugepagesize (the default size) */
    guint64 hugepages_total;     /* of the default size */
    guint64 hugepages_free;
    guint64 hugetlb_bytes; /* Hugetlb: of all sizes */
} Meminfo;

/* Return 0 or a negative errno; -EPROTO if MemTotal or MemAvailable is missing. */
int meminfo_read(const AttrIo *io, Meminfo *out);
