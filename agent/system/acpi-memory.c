/*
 * Walks the ACPI bus. Empty slots are listed there too; their status says so.
 */
#include "system/acpi-memory.h"

#include <errno.h>

#define ACPI_DEVICES_DIR "sys/bus/acpi/devices"
/* _STA: present and enabled (ACPI specification 6.3.7). */
#define STATUS_ENABLED 3
#define PATH_MAX_BYTES 128

typedef struct {
    const AttrIo *io;
    GArray *found; /* of AcpiMemory */
} Search;

static const char *path_of(const char *device, const char *attribute, char buf[PATH_MAX_BYTES])
{
    g_snprintf(buf, PATH_MAX_BYTES, ACPI_DEVICES_DIR "/%s/%s", device, attribute);
    return buf;
}

/* QEMU's _UID is the string "0x0A" (hw/acpi/memory_hotplug.c), which the kernel prints as it is.
 * Where firmware has an integer, ACPICA makes it decimal (acpi_ut_execute_UID(),
 * drivers/acpi/acpica/utids.c). Other strings tell no slot. */
gint32 acpi_memory_read_slot(const AttrIo *io, const char *uid_path)
{
    guint64 number;

    return attr_read_uint64(io, uid_path, 0, &number) == 0 && number <= G_MAXINT32 ? (gint32)number
                                                                                   : -1;
}

/* What _STA says. The kernel has no file for a device without that method, and takes the device for
 * a working one (acpi_bus_get_status(), drivers/acpi/bus.c). */
static gboolean is_enabled(const AttrIo *io, const char *status_path)
{
    guint64 status;
    int result = attr_read_uint64(io, status_path, 10, &status);

    return result == -ENOENT || (result == 0 && (status & STATUS_ENABLED) == STATUS_ENABLED);
}

static gboolean see_device(const char *name, gpointer user_data)
{
    Search *search = user_data;
    char path[PATH_MAX_BYTES], target[ATTR_VALUE_MAX];
    AcpiMemory memory = {.slot = -1};

    if (!g_str_has_prefix(name, "PNP0C80:") ||
        g_strlcpy(memory.name, name, sizeof memory.name) >= sizeof memory.name)
        return TRUE;
    if (!is_enabled(search->io, path_of(name, "status", path)))
        return TRUE;
    if (attr_follow(search->io, path_of(name, "physical_node", path), target, sizeof target) !=
        -ENOENT)
        return TRUE;
    memory.slot = acpi_memory_read_slot(search->io, path_of(name, "uid", path));
    if (attr_read_line(search->io, path_of(name, "path", path), memory.acpi_path,
                       sizeof memory.acpi_path) < 0)
        memory.acpi_path[0] = '\0';
    g_array_append_val(search->found, memory);
    return TRUE;
}

GArray *acpi_memory_find_blockless(const AttrIo *io)
{
    GArray *found = g_array_new(FALSE, TRUE, sizeof(AcpiMemory));
    Search search = {.io = io, .found = found};

    attr_list(io, ACPI_DEVICES_DIR, see_device, &search);
    return found;
}
