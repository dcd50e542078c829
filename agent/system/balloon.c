/*
 * Looks for a device that a balloon driver is bound to, and at the kernel's two counters of pages
 * that went into balloons and came out (mm/vmstat.c, CONFIG_MEMORY_BALLOON).
 */
#include "system/balloon.h"

#include <string.h>

#define VMSTAT_MAX_BYTES (64 * 1024)

/* A driver's directory has a link for each device that it is bound to. */
static const struct {
    const char *driver;
    const char *directory;
    const char *device_prefix;
} drivers[] = {
    {"virtio_balloon", "sys/bus/virtio/drivers/virtio_balloon", "virtio"},
    {"hv_balloon", "sys/bus/vmbus/drivers/hv_balloon", "vmbus"},
    {"xen-balloon", "sys/devices/system/xen_memory", "xen_memory"},
};

typedef struct {
    const char *prefix;
    gboolean is_found;
} Search;

static gboolean see_entry(const char *name, gpointer user_data)
{
    Search *search = user_data;

    search->is_found = g_str_has_prefix(name, search->prefix);
    return !search->is_found;
}

/* The number behind KEY and a space at the start of a line; 0 if there is none. */
static guint64 counter(const char *text, const char *key)
{
    gsize length = strlen(key);

    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) == 0 && line[length] == ' ')
            return g_ascii_strtoull(line + length, NULL, 10);
    }
    return 0;
}

guint64 balloon_held_bytes(const AttrIo *io, guint64 page_size_bytes)
{
    g_autofree char *text = NULL;

    if (attr_read_all(io, "proc/vmstat", VMSTAT_MAX_BYTES, &text) < 0)
        return 0;
    guint64 in = counter(text, "balloon_inflate"), out = counter(text, "balloon_deflate");
    return in > out ? (in - out) * page_size_bytes : 0;
}

Balloon balloon_read(const AttrIo *io, guint64 page_size_bytes)
{
    for (guint i = 0; i < G_N_ELEMENTS(drivers); i++) {
        Search search = {.prefix = drivers[i].device_prefix};

        if (attr_list(io, drivers[i].directory, see_entry, &search) == 0 && search.is_found)
            return (Balloon){.driver = drivers[i].driver,
                             .held_bytes = balloon_held_bytes(io, page_size_bytes)};
    }
    return (Balloon){0};
}
