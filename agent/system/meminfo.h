/*
 * How much memory the guest has to spare: /proc/meminfo, the nodes' meminfo, /proc/zoneinfo.
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
} Meminfo;

/* Pages of the zones that the kernel itself may use, and of Movable (all nodes together). */
typedef struct {
    guint64 kernel_managed_bytes;
    guint64 kernel_free_bytes;
    guint64 kernel_high_watermark_bytes;
    guint64 movable_managed_bytes;
    guint64 movable_free_bytes;
} Zoneinfo;

/* Return 0 or a negative errno; -EPROTO if MemTotal or MemAvailable is missing. */
int meminfo_read(const AttrIo *io, Meminfo *out);
/* PAGE_SIZE_BYTES: of this machine (sysconf). */
int zoneinfo_read(const AttrIo *io, guint64 page_size_bytes, Zoneinfo *out);
