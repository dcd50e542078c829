/*
 * Page cache and slab given back to the free memory, in a worker: it sleeps as long as the kernel
 * likes. It ends where enough is available, and a signal ends it.
 *
 * Most of the cache counts as available already. What it is good for is the rest: the part that the
 * kernel holds back (half of it, up to the low watermarks: si_mem_available(), mm/show_mem.c), and
 * caches in no such count, ZFS's and XFS's among them.
 */
#pragma once

#include "system/attr.h"

/* Until WANTED_BYTES are available, as meminfo_read_spare() counts with SWAP_PERCENT. Nothing is
 * swapped out for it. Return 0, or a negative errno where the kernel let nothing be done. */
int reclaim_caches(const AttrIo *io, guint64 wanted_bytes, guint swap_percent);
