/*
 * Which blocks belong to which device. For the snapshot alone.
 */
#pragma once

#include <glib.h>

#include "system/attr.h"
#include "system/block.h"
#include "system/device.h"
#include "system/snapshot.h"

/**
 * devices_derive: the devices behind blocks.
 * @old: its DIMMs' slots and paths are taken over where the DIMM is still the same, which spares
 *   reading them again. May be NULL.
 * @ranges: of IomemRange, as iomem_parse() gives them.
 * @blocks: ascending by index; `device` is set in each.
 *
 * Return: (transfer full): a GArray of Device, ascending by address, with figures.
 */
GArray *devices_derive(const AttrIo *io, const Snapshot *old, const GArray *ranges,
                       guint64 block_size_bytes, Block *blocks, guint n_blocks);

/* Whether a DIMM is being added at this moment: an ACPI memory device is enabled and has no block
 * linked yet (acpi_bind_memory_blocks(), drivers/acpi/acpi_memhotplug.c, comes last). */
gboolean devices_is_dimm_coming(const AttrIo *io);
