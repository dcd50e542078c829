/*
 * One memory block of the kernel's, as its sysfs directory tells (drivers/base/memory.c).
 *
 * Reading valid_zones before the block's node is set oopses some kernels, so this is the only file
 * that reads it, and only when memoryN/nodeY exists or the state already is "online". It never
 * reads `online` (which waits for the device lock) nor `removable` (which says nothing).
 */
#pragma once

#include <glib.h>

#include "system/attr.h"

#define BLOCK_DIR "sys/devices/system/memory"

typedef enum {
    BLOCK_STATE_UNKNOWN, /* any word that this program does not know */
    BLOCK_STATE_OFFLINE,
    BLOCK_STATE_ONLINE,
    BLOCK_STATE_GOING_OFFLINE,
} BlockState;

typedef enum {
    ZONE_UNKNOWN, /* not read, because it is not safe yet, or a word that we do not know */
    ZONE_DMA,
    ZONE_DMA32,
    ZONE_NORMAL,
    ZONE_HIGHMEM,
    ZONE_MOVABLE,
    ZONE_DEVICE,
    ZONE_SEVERAL, /* the kernel says "none": more than one zone, cannot go offline */
} Zone;

/* Which blocks belong together is the device's matter (device.h); here is only what the block's
 * own directory says. */
typedef enum {
    BLOCK_BACKING_UNRESOLVED, /* no firmware_node (yet) */
    BLOCK_BACKING_ACPI,       /* firmware_node is a PNP0C80 device: acpi_number tells which */
    BLOCK_BACKING_FOREIGN,    /* firmware_node is something else */
} BlockBacking;

typedef struct {
    guint64 inode;       /* of the directory: with the index, the block's identity */
    guint32 index;       /* N of memoryN */
    guint32 acpi_number; /* xx of PNP0C80:xx (hexadecimal there) */
    gint32 device;       /* index into the snapshot's devices, -1: none. Set by the snapshot */
    gint16 node;         /* NUMA node, -1: no link (yet) */
    guint8 state;        /* BlockState */
    guint8 zone;         /* Zone: where it is online, or the kernel's default were it onlined now */
    guint8 can_be_movable; /* boolean: online in, or may be onlined to, ZONE_MOVABLE */
    guint8 backing;        /* BlockBacking */
    guint8 is_new;         /* boolean: came after the first scan, so it is not the firmware's RAM,
                            * even where nothing tells (yet) what backs it. Set by the snapshot */
    guint8 look_again; /* boolean: an event named it while nothing told what backs it, so the next
                        * refresh looks for its firmware_node again. Set by the snapshot */
    guint8 is_standby; /* boolean: never seen online, and no RAM of the firmware's: standby memory
                        * (s390). Set by the snapshot */
} Block;

/* "memory12" -> 12. FALSE for everything that is not "memory" and decimal digits ("memory012"
 * neither), so that sysfs entries that are not blocks are passed over. */
gboolean block_parse_name(const char *name, guint32 *index);

/* Room for the path of an attribute of a block. */
#define BLOCK_PATH_MAX 96

/* The path of ATTRIBUTE ("state", "firmware_node/uid"; "": the directory) of block INDEX. Returns
 * BUF. */
const char *block_path(guint32 index, const char *attribute, char buf[BLOCK_PATH_MAX]);

/**
 * block_read: reads what the directory of block @index says.
 * @before: what it said earlier, or NULL. The node and the firmware_node of the same block never
 *   change, so what is known of them is not read again.
 * @out: written on success only; its device is -1, is_new, look_again and is_standby are FALSE.
 *
 * Return: 0, -ENOENT/-ENODEV if there is no such block (any more), another negative errno.
 */
int block_read(const AttrIo *io, guint32 index, const Block *before, Block *out);

/* What firmware_node of block INDEX says; *ACPI_NUMBER is set for BLOCK_BACKING_ACPI. One system
 * call: for looking again whether the link has come. */
BlockBacking block_read_backing(const AttrIo *io, guint32 index, guint32 *acpi_number);

/* Writes VERB ("offline", "online_movable", "online_kernel", "online") to the `state` of the block
 * with this identity. Blocks as long as the kernel likes: for the forked worker only. Returns 0 or
 * a negative errno, -ESTALE if another block has taken that index. */
int block_write_state(const AttrIo *io, guint32 index, guint64 inode, const char *verb);

/* The kernel's words: "online", …, "Movable", …; never NULL. */
const char *block_state_name(BlockState state);
const char *zone_name(Zone zone);
/* A zone of the kernel's own allocations, from which memory cannot be given back. */
gboolean zone_is_kernel(Zone zone);
