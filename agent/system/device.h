/*
 * What backs blocks: a DIMM, a virtio-mem device, the firmware's RAM, or something else.
 */
#pragma once

#include <glib.h>

typedef enum {
    DEVICE_DIMM,       /* an ACPI PNP0C80 device: can be prepared */
    DEVICE_VIRTIO_MEM, /* takes sub-blocks out of online memory itself: checked, never prepared */
    DEVICE_BOOT,       /* RAM of the firmware's map: never touched */
    DEVICE_OTHER,      /* CXL/kmem, Hyper-V, s390 standby: reported, never touched */
} DeviceKind;

#define DEVICE_ID_MAX 24
#define DEVICE_ACPI_PATH_MAX 64

typedef struct {
    DeviceKind kind;
    char id[DEVICE_ID_MAX]; /* "slot3", "virtio0", "boot", "other0" (one for each run of blocks):
                             * as memory-get-devices prints. A DIMM whose slot cannot be told, or
                             * is another's already: "acpi1f", by its acpi_number */
    gint32 slot;            /* DIMMs: QEMU's slot (ACPI uid), -1 if that cannot be told; else -1 */
    char acpi_path[DEVICE_ACPI_PATH_MAX]; /* DIMMs: "\_SB_.MHPC.MP03"; else "" */
    guint32 acpi_number;                  /* DIMMs: xx of PNP0C80:xx */
    guint64 address;                      /* guest-physical, of the first byte */
    guint64 size_bytes;  /* DIMM, boot, other: of its blocks; virtio-mem: of its region */
    gint16 node;         /* of the first block, -1: none */
    guint32 first_block; /* index of the first block */
    guint32 block_count; /* blocks that exist (boot RAM may have gaps between them) */
    guint64 online_movable_bytes;
    guint64 online_kernel_bytes; /* online in any other zone, or in several */
    guint64 offline_bytes;       /* everything that is not online */
} Device;

/* How a request names a device (design: "A device is named by"). */
typedef enum { SELECT_SLOT, SELECT_RANGE, SELECT_ID } SelectorKind;

#define SELECTED_NOTHING G_MAXUINT64

typedef struct {
    SelectorKind kind;
    gint64 slot;
    guint64 address;
    guint64 size_bytes;
    char id[DEVICE_ID_MAX];
    guint64 first_inode; /* a job's: of the first block of what it named, which no other device ever
                          * has. 0: not known; SELECTED_NOTHING: nothing was there */
    guint64 bytes;       /* virtio-mem in a check: how much it shall give back; 0: not said */
} DeviceSelector;

/* "dimm", "virtio-mem", "boot", "other". */
const char *device_kind_name(DeviceKind kind);

/* SELECTOR for a person: "slot 3", "0x140000000+0x40000000", "slot3". BUF has room for 64. */
#define DEVICE_SELECTOR_TEXT_MAX 64
const char *device_selector_format(const DeviceSelector *selector,
                                   char buf[DEVICE_SELECTOR_TEXT_MAX]);
