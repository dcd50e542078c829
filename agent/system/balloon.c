/*
 * Looks for a device that a balloon driver is bound to, and at the kernel's two counters of pages
 * that went into balloons and came out (mm/vmstat.c, CONFIG_MEMORY_BALLOON).
 */
#include "system/balloon.h"

#include <errno.h>
#include <string.h>

#define VMSTAT_MAX_BYTES (64 * 1024)

/* A driver's directory has a link for each device that it is bound to. */
static const struct {
    const char *driver;
    const char *directory;
    const char *device_prefix;
    gboolean is_counted; /* balloon_page_enqueue() and _dequeue() (mm/balloon_compaction.c) count */
} drivers[] = {
    {"virtio_balloon", "sys/bus/virtio/drivers/virtio_balloon", "virtio", TRUE},
    {"hv_balloon", "sys/bus/vmbus/drivers/hv_balloon", "vmbus", FALSE},
    {"xen-balloon", "sys/devices/system/xen_memory", "xen_memory", FALSE},
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

/* The number behind KEY and a space at the start of a line; FALSE if there is none. */
static gboolean counter(const char *text, const char *key, guint64 *value)
{
    gsize length = strlen(key);

    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) != 0 || line[length] != ' ')
            continue;
        const char *start = line + length + 1;
        g_autofree char *number = g_strndup(start, strcspn(start, "\n"));
        return g_ascii_string_to_unsigned(number, 10, 0, G_MAXUINT64, value, NULL);
    }
    return FALSE;
}

/* -ENOENT: the kernel counts none. */
static int read_held(const AttrIo *io, guint64 page_size_bytes, guint64 *held_bytes)
{
    g_autofree char *text = NULL;
    guint64 in, out;

    *held_bytes = 0;
    gssize n = attr_read_all(io, VMSTAT_PATH, VMSTAT_MAX_BYTES, &text);
    if (n < 0)
        return (int)n;
    if (!counter(text, "balloon_inflate", &in) || !counter(text, "balloon_deflate", &out))
        return -ENOENT;
    if (in > out && in - out <= G_MAXUINT64 / page_size_bytes)
        *held_bytes = (in - out) * page_size_bytes;
    return 0;
}

int balloon_held_bytes(const AttrIo *io, guint64 page_size_bytes, guint64 *held_bytes)
{
    int result = read_held(io, page_size_bytes, held_bytes);

    return result == -ENOENT ? 0 : result;
}

Balloon balloon_read(const AttrIo *io, guint64 page_size_bytes)
{
    for (guint i = 0; i < G_N_ELEMENTS(drivers); i++) {
        Search search = {.prefix = drivers[i].device_prefix};

        if (attr_list(io, drivers[i].directory, see_entry, &search) != 0 || !search.is_found)
            continue;
        Balloon balloon = {.driver = drivers[i].driver};
        balloon.is_counted =
            read_held(io, page_size_bytes, &balloon.held_bytes) == 0 && drivers[i].is_counted;
        return balloon;
    }
    return (Balloon){0};
}
