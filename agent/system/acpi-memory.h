/*
 * ACPI memory devices (PNP0C80) that have no block: a DIMM that is being added at this moment, or
 * one that the kernel did not take. The kernel links a DIMM's blocks last of all
 * (acpi_bind_memory_blocks(), drivers/acpi/acpi_memhotplug.c).
 */
#pragma once

#include <glib.h>

#include "system/attr.h"
#include "system/device.h"

typedef struct {
    char name[DEVICE_ID_MAX];             /* "PNP0C80:03" */
    gint32 slot;                          /* QEMU's, -1: cannot be told */
    char acpi_path[DEVICE_ACPI_PATH_MAX]; /* "\_SB_.MHPC.MP03", or "" */
} AcpiMemory;

/* The slot that the file UID_PATH of an ACPI device tells, -1 where it tells none. */
gint32 acpi_memory_read_slot(const AttrIo *io, const char *uid_path);

/* Return (transfer full): a GArray of AcpiMemory, those that are present and enabled and have no
 * block; any order. Empty where there is no ACPI. */
GArray *acpi_memory_find_blockless(const AttrIo *io);
