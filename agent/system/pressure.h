/*
 * What beside free memory decides whether memory can be spared: each node's share, strict
 * overcommit, and for how long processes wait for memory already.
 */
#pragma once

#include <glib.h>

#include "system/attr.h"

typedef struct {
    gint16 node;
    guint64 total_bytes; /* MemTotal of the node */
    guint64 free_bytes;
    guint64 hugetlb_free_bytes; /* free huge pages of the default size */
    guint64 reclaimable_bytes;  /* page cache on the file lists and reclaimable slab: what the node
                                 * could free. The kernel tells no MemAvailable for a node */
} NodeMeminfo;

/* The nodes that have memory, ascending; empty where the kernel knows no nodes. HUGEPAGE_BYTES: the
 * default size of huge pages. Return (transfer
 * full): a GArray of NodeMeminfo. */
GArray *node_meminfo_read(const AttrIo *io, guint64 hugepage_bytes);

typedef struct {
    gboolean is_strict;  /* vm.overcommit_memory is 2: CommitLimit binds */
    guint ratio_percent; /* of RAM that counts towards CommitLimit; 0: it does not follow RAM
                          * (vm.overcommit_kbytes) */
} Overcommit;

/* What cannot be read is not strict. */
Overcommit overcommit_read(const AttrIo *io);

/* The kernel's own averages over 10 s (/proc/pressure/memory), in hundredths of a percent. */
typedef struct {
    guint some_avg10; /* of the time in which at least one task waited for memory */
    guint full_avg10; /* in which all did that had something to do */
} Stall;

/* FALSE where the kernel does not tell (CONFIG_PSI, psi=0). */
gboolean stall_read(const AttrIo *io, Stall *stall);
