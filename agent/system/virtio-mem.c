/*
 * Asks each device of the two buses what it is. A device's `driver` is a link once one has bound to
 * it; a probe that failed leaves none (driver_sysfs_remove(), drivers/base/dd.c).
 */
#include "system/virtio-mem.h"

#define DEVICES_MAX 4096

typedef struct {
    const AttrIo *io;
    const char *bus;        /* its directory of devices */
    guint64 vendor, device; /* VENDOR 0: any */
    guint n_seen;
    char *found;
} Search;

static gboolean has_number(const Search *search, const char *name, const char *attribute,
                           guint64 wanted)
{
    char path[ATTR_PATH_MAX];
    guint64 number;

    g_snprintf(path, sizeof path, "%s/%s/%s", search->bus, name, attribute);
    return attr_read_uint64(search->io, path, 16, &number) == 0 && number == wanted;
}

static gboolean see_device(const char *name, gpointer user_data)
{
    Search *search = user_data;
    char path[ATTR_PATH_MAX], target[ATTR_PATH_MAX];

    g_snprintf(path, sizeof path, "%s/%s/driver", search->bus, name);
    if ((search->vendor == 0 || has_number(search, name, "vendor", search->vendor)) &&
        has_number(search, name, "device", search->device) &&
        attr_follow(search->io, path, target, sizeof target) < 0)
        search->found = g_strdup(name);
    return search->found == NULL && ++search->n_seen < DEVICES_MAX;
}

char *virtio_mem_find_driverless(const AttrIo *io)
{
    /* VIRTIO_ID_MEM is 24; a modern PCI device of virtio's is 0x1040 and that. */
    Search buses[] = {
        {.io = io, .bus = "sys/bus/virtio/devices", .device = 0x0018},
        {.io = io, .bus = "sys/bus/pci/devices", .vendor = 0x1af4, .device = 0x1058},
    };

    for (guint i = 0; i < G_N_ELEMENTS(buses); i++) {
        attr_list(io, buses[i].bus, see_device, &buses[i]);
        if (buses[i].found)
            return buses[i].found;
    }
    return NULL;
}
