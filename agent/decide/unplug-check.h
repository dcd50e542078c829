/*
 * Can these devices be prepared? Every reason at once, not the first. Pure: changes nothing.
 */
#pragma once

#include <glib.h>

#include "decide/inhibitors.h"
#include "system/cpusets.h"
#include "system/device.h"
#include "system/hugepages.h"
#include "system/meminfo.h"
#include "system/pressure.h"
#include "system/snapshot.h"

/* 30 s and 5 s for each GiB begun of BYTES: the time for one prepare. */
guint64 unplug_timeout_default_ms(guint64 bytes);

/* hugetlb pages in a DIMM or in several. */
typedef struct {
    guint64 in_use_bytes;
    guint64 other_bytes; /* free, or not mapped */
} HugepageShare;

typedef struct {
    const Snapshot *snapshot;
    const Meminfo *meminfo; /* by meminfo_read_spare() */
    Uncounted uncounted;
    const DeviceSelector *selectors;
    guint n_selectors;
    guint64 reserve_bytes; /* 0: attempt_reserve_bytes() says it */
    /* Tells whether a job keeps or is taking this block; then `already-preparing`. May be NULL. */
    gboolean (*is_taken)(guint32 index, guint64 inode, gpointer user_data);
    gpointer user_data;
    /* TRUE for memory-check-unplug, where a virtio-mem device may be named with `bytes`; FALSE for
     * a prepare, where it is `not-a-dimm`. */
    gboolean allow_virtio_mem;
    /* What else presses; NULL and 0 where it is not known, and then it refuses nothing. */
    const GArray *nodes;     /* of NodeMeminfo */
    const GArray *cpusets;   /* of NodeSet */
    const GArray *hugepages; /* of HugepagePool */
    const Inhibitors *inhibitors;
    gboolean is_brief; /* the oldest block lock stands for all of them */
    Overcommit overcommit;
    guint64 balloon_bytes; /* what a balloon holds now */
    /* errno for which it could not be read; 0: it was */
    int balloon_error, hugepages_error, node_pools_error, cpusets_error;
    HugepageShare hugetlb; /* in the devices */
} UnplugCheckInput;

typedef struct {
    GPtrArray *reasons;     /* of Reason, owned; warnings too */
    GPtrArray *devices;     /* of const Device *, those that were found, in the order asked; they
                             * live as long as the snapshot */
    guint n_device_reasons; /* so many of the reasons are about single devices; they come first */
    gboolean *is_refused;   /* owned: of each selector, whether such a reason refuses it */
    GPtrArray *left_out;    /* of Reason, owned: why devices are not among `devices`, which may go
                             * without them; NULL: all are */
    gboolean can_prepare;   /* no reason refuses */
    guint64 leaving_bytes;  /* online memory of the devices */
    guint64 needed_bytes;   /* what of it must fit elsewhere */
    guint64 available_bytes;
    guint64 reserve_bytes;
} UnplugVerdict;

/* Return (transfer full): free with unplug_verdict_free(). */
UnplugVerdict *unplug_check(const UnplugCheckInput *input);
void unplug_verdict_free(UnplugVerdict *verdict);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(UnplugVerdict, unplug_verdict_free)
