/*
 * What this guest's kernel can do about memory, as its files tell; each with the reason if it
 * cannot.
 */
#pragma once

#include <glib.h>

#include "system/snapshot.h"

typedef enum {
    CAPABILITY_DIMM_PLUG,    /* the kernel takes DIMMs that are added */
    CAPABILITY_DIMM_UNPLUG,  /* and gives them back */
    CAPABILITY_VIRTIO_MEM,   /* the driver is loaded */
    CAPABILITY_CONFIDENTIAL, /* the guest's memory is hidden from the host */
    CAPABILITY_COUNT
} CapabilityName;

typedef struct {
    const char *name; /* static: "dimm-plug", "dimm-unplug", "virtio-mem", "confidential" */
    gboolean is_available;
    char *desc; /* owned: why it is not there, or what it is; NULL: nothing to say */
} Capability;

/**
 * capabilities_read: all of them, in the order of CapabilityName.
 * @is_gated: the daemon itself keeps hotplug/memory/enabled at 0 between jobs.
 *
 * Where they are read, and where that errs:
 *   dimm-plug     /sys/devices/system/memory (CONFIG_MEMORY_HOTPLUG; drivers/base/memory.c) and
 *                 /sys/firmware/acpi/hotplug/memory (CONFIG_ACPI_HOTPLUG_MEMORY, not with
 *                 acpi_no_memhotplug; acpi_memory_hotplug_init(), drivers/acpi/acpi_memhotplug.c).
 *                 Whether the hypervisor has a slot free is not the kernel's to know.
 *   dimm-unplug   the same, `enabled` there (0: every eject is refused), and `removable` of a
 * block: 0 says that CONFIG_MEMORY_HOTREMOVE is missing. Before Linux 5.9 it spoke of the one
 * block, so the first and the last one are asked. virtio-mem    /sys/bus/virtio/drivers/virtio_mem,
 * and no device without it (virtio_mem_find_driverless()). A module that udev loads with the first
 * device is not there before it. confidential /sys/devices/virtual/misc/{sev-guest,tdx_guest},
 * "tdx_guest" in /proc/cpuinfo, /sys/devices/platform/arm-cca-dev,
 * /sys/firmware/uv/prot_virt_guest, /sys/devices/system/cpu/svm. AMD's SEV and SEV-ES without SNP
 * show in the kernel's log only: such a guest reads as not confidential.
 *
 * Return (transfer full): CAPABILITY_COUNT of them; free with capabilities_free().
 */
Capability *capabilities_read(const AttrIo *io, const Snapshot *snapshot, gboolean is_gated);
void capabilities_free(Capability *capabilities); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Capability, capabilities_free)
