/*
 * What /proc/zoneinfo tells of each zone of each node: figures for decisions, nothing decided.
 */
#pragma once

#include <glib.h>

#include "system/attr.h"

typedef struct {
    gint16 node;
    gboolean is_movable; /* ZONE_MOVABLE; else a zone of the kernel's own allocations */
    guint64 free_bytes;  /* pages nobody uses */
    guint64 file_bytes;  /* page cache (nr_zone_active_file, nr_zone_inactive_file), and in a node's
                          * first zone, where the kernel tells it, reclaimable slab of all */
    guint64 high_bytes;  /* the high watermark */
    guint64 present_bytes; /* with hot-added memory */
    guint64 cma_bytes;     /* of these: for movable allocations only */
} ZoneStats;

/* Pure. PAGE_SIZE_BYTES: of this machine (sysconf). Zones of no pages and ZONE_DEVICE are left out.
 * Return (transfer full): a GArray of ZoneStats, or NULL where TEXT has no zone or a number in it
 * makes no sense. */
GArray *zone_stats_parse(const char *text, guint64 page_size_bytes);

/* Reads /proc/zoneinfo. Return (transfer full), or NULL if it cannot be read or parsed. */
GArray *zone_stats_read(const AttrIo *io);
