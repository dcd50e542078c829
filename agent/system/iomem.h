/*
 * What /proc/iomem tells of memory that drivers added: virtio-mem and other tagged System RAM.
 *
 * For the snapshot alone. Without CAP_SYS_ADMIN the kernel shows every address as zero
 * (kernel/resource.c): that is EPERM.
 */
#pragma once

#include <glib.h>

#include "system/attr.h"
#include "system/device.h"

typedef struct {
    guint64 start;            /* guest-physical */
    guint64 last;             /* of the last byte */
    gboolean is_virtio_mem;   /* else another driver's memory, such as kmem's */
    char name[DEVICE_ID_MAX]; /* virtio-mem: "virtio0"; else "" */
} IomemRange;

/* Pure. Return (transfer full): a GArray of IomemRange, ascending by start, none within another. */
GArray *iomem_parse(const char *text);

#define IOMEM_PATH "proc/iomem"
/* Reads it. Return 0 and (transfer full) *RANGES, empty where there is no such file; or a negative
 * errno: then nothing tells a driver's memory from that of the boot. */
int iomem_read(const AttrIo *io, GArray **ranges);

/* RAM that the firmware gave the kernel, to the byte: /sys/firmware/memmap where there is one
 * (CONFIG_FIRMWARE_MEMMAP, x86), else the "System RAM" of /proc/iomem. The kernel adds DIMMs to
 * both when they come. HAS_MAP: whether it is the firmware's own map. Return (transfer full): a
 * GArray of IomemRange, ascending; empty where neither can be read. */
GArray *firmware_ram_read(const AttrIo *io, gboolean *has_map);
/* How many of the bytes from START to LAST are in RANGES. */
guint64 iomem_overlap_bytes(const GArray *ranges, guint64 start, guint64 last);
