/*
 * Whether a balloon driver is at work: it takes pages from the guest wherever it likes, and gives
 * the host memory back beside memory hot-unplug, so the two defeat each other.
 */
#pragma once

#include <glib.h>

#include "system/attr.h"

typedef struct {
    const char *driver;  /* static: "virtio_balloon", …; NULL: none is bound to a device */
    gboolean is_counted; /* whether held_bytes is known: not of hv_balloon and xen-balloon, whose
                          * drivers do not count in /proc/vmstat */
    guint64 held_bytes;  /* what the balloon holds now */
} Balloon;

Balloon balloon_read(const AttrIo *io, guint64 page_size_bytes);
/* Only what balloons hold: pages inflated less those deflated since boot. 0 where the kernel does
 * not count them; a negative errno, and *HELD_BYTES 0, where /proc/vmstat cannot be read. */
#define VMSTAT_PATH "proc/vmstat"
int balloon_held_bytes(const AttrIo *io, guint64 page_size_bytes, guint64 *held_bytes);
