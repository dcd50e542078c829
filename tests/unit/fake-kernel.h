/*
 * A kernel for unit tests: memory blocks behind an AttrIo, and nothing of the machine's own.
 *
 * It answers as drivers/base/memory.c does: the same words, the same errors, the same waiting. All
 * of it lies in memory that forked children share, so what a forked worker writes is seen by the
 * test that forked it, and a worker that dies in the middle of an offline leaves what the kernel
 * would leave. It also keeps a log of writes, and counts the traps that were stepped into
 * (valid_zones read before the node is set; `online` read or written), so that a test can say what
 * must never happen.
 *
 * Mistakes of a test (a block added twice, a full log) end the program with a message.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

#include "system/attr.h"

#define FAKE_INDEX_MAX 65536 /* block indices are below this */
#define FAKE_SLOT_MAX 256
#define FAKE_FOR_EVER (-1)
#define FAKE_PENDING 1 /* FakeWrite.result: not over, or the writer died in it */

typedef struct FakeKernel FakeKernel;

/* One attempt to write. */
typedef struct {
    pid_t pid;
    char path[96]; /* "sys/devices/system/memory/memory12/state" */
    char value[32];
    int result; /* 0, a negative errno, or FAKE_PENDING */
} FakeWrite;

/* Nothing: no block, no device, an empty log, enabled = 1. */
FakeKernel *fake_kernel_new(guint64 block_size_bytes);
void fake_kernel_free(FakeKernel *fake); /* accepts NULL; ends with every AttrIo of it */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FakeKernel, fake_kernel_free)
/* Return (transfer full): free with attr_io_free() before the fake. */
AttrIo *fake_kernel_io(FakeKernel *fake);

/* --- what there is --- */

/* Online blocks: the first 4 GiB in DMA32, the rest in Normal. Node 0. */
void fake_kernel_add_boot(FakeKernel *fake, guint32 first, guint32 count);
/* A plugged DIMM: offline blocks, linked to node 0 and to the ACPI device of SLOT. */
void fake_kernel_add_dimm(FakeKernel *fake, int slot, guint32 first, guint32 count);
/* A virtio-mem device "virtioNUMBER" with a region of REGION_COUNT blocks from FIRST, of which
 * COUNT have been added: offline, node 0. */
void fake_kernel_add_virtio_mem(FakeKernel *fake, int number, guint32 first, guint32 region_count,
                                guint32 count);
/* A block as right after its `add` uevent: offline, no node, no firmware_node. */
void fake_kernel_add_block(FakeKernel *fake, guint32 index);
/* Removes blocks, as the end of an eject does. A DIMM's slot is empty afterwards. Blocks that are
 * added at an old address get a new inode. */
void fake_kernel_remove(FakeKernel *fake, guint32 first, guint32 count);
void fake_kernel_remove_dimm(FakeKernel *fake, int slot);

/* STATE is any word. ZONES is what valid_zones reads until the next change of state; NULL: what the
 * kernel would say. */
void fake_kernel_set_state(FakeKernel *fake, guint32 index, const char *state, const char *zones);
/* -1: no link. */
void fake_kernel_set_node(FakeKernel *fake, guint32 index, int node);
/* The target of firmware_node; NULL: no link. */
void fake_kernel_set_firmware_node(FakeKernel *fake, guint32 index, const char *target);
/* The zone that a plain "online" means, "Normal" at first. */
void fake_kernel_set_default_zone(FakeKernel *fake, const char *zone);

/* Return what there is now, without stepping into anything. NULL or 0: no such block. */
const char *fake_kernel_state(FakeKernel *fake, guint32 index);
const char *fake_kernel_zone(FakeKernel *fake, guint32 index); /* "" unless online */
guint64 fake_kernel_inode(FakeKernel *fake, guint32 index);

/* /proc/meminfo: MemTotal follows the online blocks; MemAvailable is set here, and then falls and
 * rises by a block's size with each block. */
void fake_kernel_set_available(FakeKernel *fake, guint64 available_bytes);
guint64 fake_kernel_available(FakeKernel *fake);
/* Huge pages of 2 MiB on node 0, all free: each block that goes offline takes PER_BLOCK of them
 * along, and no write raises their number above MAX. */
void fake_kernel_set_pool(FakeKernel *fake, guint n_pages, guint per_block, guint max);
guint fake_kernel_pool(FakeKernel *fake);
/* What writes of 1 and of 2 to drop_caches make available, once, each after MS (or FAKE_FOR_EVER).
 */
void fake_kernel_set_caches(FakeKernel *fake, guint64 page_bytes, guint64 slab_bytes, int ms);
/* Any other file, or one of the above by another text. NULL: not there. */
void fake_kernel_set_file(FakeKernel *fake, const char *path, const char *text);

/* --- what goes wrong --- */

/* Reading PATH, any file or a directory without files, fails with ERROR (positive); 0: no longer.
 */
void fake_kernel_fail_read(FakeKernel *fake, const char *path, int error);

/* The next TIMES (or FAKE_FOR_EVER) writes of VERB (NULL: any) to the block's state fail with ERROR
 * (positive). 0 times: no more. */
void fake_kernel_fail(FakeKernel *fake, guint32 index, const char *verb, int error, int times);
/* Offlining takes MS (or FAKE_FOR_EVER), reads "going-offline" meanwhile, and ends with EINTR and
 * the block online when a signal comes. */
void fake_kernel_set_offline_ms(FakeKernel *fake, guint32 index, int ms);
/* From now on there is a /proc/kpageflags, in which so many pages of this block, its first ones,
 * are anonymous memory in use; all others, of all blocks, are free. */
void fake_kernel_set_used_pages(FakeKernel *fake, guint32 index, guint n_pages);
/* The block goes away at the next access to it, or at the next write of its state,
 * before that acts. */
void fake_kernel_vanish_on_access(FakeKernel *fake, guint32 index);
void fake_kernel_vanish_on_write(FakeKernel *fake, guint32 index);
/* An eject of the DIMM in SLOT (-1: of something that has no blocks) that goes on for MS, then
 * removes it. Until then writes of `state` and of hotplug/memory/enabled wait, the latter even if a
 * signal comes. Returns FALSE, and does nothing, where enabled is 0: the kernel refuses. */
gboolean fake_kernel_start_eject(FakeKernel *fake, int slot, int ms);
/* A kernel without /sys/firmware/acpi/hotplug/memory. */
void fake_kernel_hide_hotplug_flag(FakeKernel *fake);
int fake_kernel_hotplug_flag(FakeKernel *fake);

/* --- what was done --- */

/* The log, oldest first, until the next call that changes it. */
const FakeWrite *fake_kernel_writes(FakeKernel *fake, guint *n_writes);
/* Whether a failure that fake_kernel_fail() ordered for block INDEX is yet to come: a write is
 * counted before it is acted upon. */
gboolean fake_kernel_will_fail(FakeKernel *fake, guint32 index);
/* Writes of VERB (NULL: any) to the state of block INDEX (-1: any). */
guint fake_kernel_count_writes(FakeKernel *fake, gint64 index, const char *verb);
void fake_kernel_clear_writes(FakeKernel *fake);
/* Traps stepped into. A test that respects the kernel ends with 0. */
guint fake_kernel_traps(FakeKernel *fake);
/* Operations of any kind so far: what a read costs. */
guint64 fake_kernel_operations(FakeKernel *fake);
