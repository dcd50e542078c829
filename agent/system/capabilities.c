/*
 * Looks at a few files; a file that is there and cannot be read is told as that.
 */
#include "system/capabilities.h"

#include <errno.h>
#include <string.h>

#include "system/virtio-mem.h"

#define HOTPLUG_DIR "sys/firmware/acpi/hotplug/memory"
#define VIRTIO_MEM_DIR "sys/bus/virtio/drivers/virtio_mem"
#define CPUINFO_PATH "proc/cpuinfo"
#define CPUINFO_BYTES 8192 /* the flags of the first CPU are in its first lines */

static const char *const names[] = {
    [CAPABILITY_DIMM_PLUG] = "dimm-plug",
    [CAPABILITY_DIMM_UNPLUG] = "dimm-unplug",
    [CAPABILITY_VIRTIO_MEM] = "virtio-mem",
    [CAPABILITY_CONFIDENTIAL] = "confidential",
};

/* Why PATH, a directory, cannot be used; NULL: it is there. */
static char *fault_of(const AttrIo *io, const char *path, const char *missing)
{
    guint64 inode;
    int result = attr_identify(io, path, &inode);

    if (result == 0)
        return NULL;
    if (result == -ENOENT)
        return g_strdup_printf("there is no /%s: %s", path, missing);
    return g_strdup_printf("/%s: %s", path, g_strerror(-result));
}

static char *block_fault(const Snapshot *snapshot)
{
    if (!snapshot->fault)
        return NULL;
    return g_strdup_printf("/%s: %s%s", snapshot->fault_path, g_strerror(snapshot->fault),
                           snapshot->fault == ENOENT ? ": the kernel shows no memory blocks, as "
                                                       "one without CONFIG_MEMORY_HOTPLUG"
                                                     : "");
}

static char *plug_fault(const AttrIo *io, const Snapshot *snapshot)
{
    char *fault = block_fault(snapshot);

    return fault ? fault
                 : fault_of(io, HOTPLUG_DIR,
                            "the kernel does not take DIMMs by ACPI (CONFIG_ACPI_HOTPLUG_MEMORY, "
                            "acpi_no_memhotplug)");
}

static gboolean is_fixed(const AttrIo *io, const Block *block)
{
    char path[BLOCK_PATH_MAX];
    guint64 removable;

    return attr_read_uint64(io, block_path(block->index, "removable", path), 10, &removable) == 0 &&
           removable == 0;
}

static char *unplug_fault(const AttrIo *io, const Snapshot *snapshot, gboolean is_gated)
{
    char *fault = plug_fault(io, snapshot);
    guint32 n = snapshot->block_count;
    guint64 enabled;

    if (fault)
        return fault;
    if (n > 0 && is_fixed(io, &snapshot->blocks[0]) && is_fixed(io, &snapshot->blocks[n - 1]))
        return g_strdup("the kernel was built without CONFIG_MEMORY_HOTREMOVE");
    if (!is_gated && attr_read_uint64(io, HOTPLUG_DIR "/enabled", 10, &enabled) == 0 &&
        enabled == 0)
        return g_strdup("/" HOTPLUG_DIR "/enabled is 0: the kernel refuses every eject");
    return NULL;
}

static char *virtio_mem_fault(const AttrIo *io, const Snapshot *snapshot)
{
    char *fault = block_fault(snapshot);
    g_autofree char *driverless = virtio_mem_find_driverless(io);

    if (fault)
        return fault;
    if (driverless)
        return g_strdup_printf("no driver has the virtio-mem device %s", driverless);
    return fault_of(io, VIRTIO_MEM_DIR, "the driver virtio_mem is not loaded");
}

/* Whether the first CPU has FLAG. */
static gboolean has_cpu_flag(const AttrIo *io, const char *flag)
{
    char text[CPUINFO_BYTES];

    if (attr_read(io, CPUINFO_PATH, text, sizeof text) < 0)
        return FALSE;
    char *line = strstr(text, "\nflags");
    if (line == NULL)
        return FALSE;
    line[1 + strcspn(line + 1, "\n")] = '\0';
    g_auto(GStrv) words = g_strsplit_set(line, " \t\n", -1);
    return g_strv_contains((const char *const *)words, flag);
}

/* What hides the guest's memory from the host; NULL: nothing that shows. Static. */
static const char *confidential_kind(const AttrIo *io)
{
    static const struct {
        const char *kind, *directory, *number;
    } signs[] = {
        {"AMD SEV-SNP", "sys/devices/virtual/misc/sev-guest", NULL},
        {"Intel TDX", "sys/devices/virtual/misc/tdx_guest", NULL},
        {"Arm CCA", "sys/devices/platform/arm-cca-dev", NULL},
        {"IBM Secure Execution", NULL, "sys/firmware/uv/prot_virt_guest"},
        {"a POWER secure virtual machine", NULL, "sys/devices/system/cpu/svm"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(signs); i++) {
        guint64 value;
        if (signs[i].directory ? attr_identify(io, signs[i].directory, &value) == 0
                               : attr_read_uint64(io, signs[i].number, 10, &value) == 0 && value)
            return signs[i].kind;
    }
    return has_cpu_flag(io, "tdx_guest") ? "Intel TDX" : NULL;
}

Capability *capabilities_read(const AttrIo *io, const Snapshot *snapshot, gboolean is_gated)
{
    Capability *all = g_new0(Capability, CAPABILITY_COUNT);
    const char *kind = confidential_kind(io);

    all[CAPABILITY_DIMM_PLUG].desc = plug_fault(io, snapshot);
    all[CAPABILITY_DIMM_UNPLUG].desc = unplug_fault(io, snapshot, is_gated);
    all[CAPABILITY_VIRTIO_MEM].desc = virtio_mem_fault(io, snapshot);
    for (guint i = 0; i < CAPABILITY_COUNT; i++) {
        all[i].name = names[i];
        all[i].is_available = all[i].desc == NULL;
    }
    all[CAPABILITY_CONFIDENTIAL].is_available = kind != NULL;
    all[CAPABILITY_CONFIDENTIAL].desc =
        kind ? g_strdup_printf("the guest's memory is protected from the host by %s", kind) : NULL;
    return all;
}

void capabilities_free(Capability *capabilities)
{
    for (guint i = 0; capabilities && i < CAPABILITY_COUNT; i++)
        g_free(capabilities[i].desc);
    g_free(capabilities);
}
