/*
 * Parses /proc/iomem. A driver that adds memory by add_memory_driver_managed() names its resource
 * "System RAM (TAG)" (mm/memory_hotplug.c); the virtio-mem driver puts these into a region that has
 * the virtio device's name (virtio_mem_create_resource(), drivers/virtio/virtio_mem.c).
 */
#include "system/iomem.h"

#include <errno.h>
#include <string.h>

#define IOMEM_MAX_BYTES (4 * 1024 * 1024)
/* The kernel shows at most so many levels (MAX_IORES_LEVEL, kernel/resource.c). */
#define LEVELS_MAX 8

typedef struct {
    guint64 start;
    guint64 last;
    guint level;
    const char *name; /* not NUL-terminated */
    gsize name_length;
} Line;

static gboolean parse_hex(const char **at, guint64 *number)
{
    const char *start = *at;

    *number = 0;
    for (; g_ascii_isxdigit(**at); (*at)++) {
        if (*number >> 60 != 0)
            return FALSE;
        *number = *number << 4 | (guint64)g_ascii_xdigit_value(**at);
    }
    return *at != start;
}

/* "  140000000-147ffffff : System RAM (virtio_mem)" */
static gboolean parse_line(const char *text, gsize length, Line *line)
{
    const char *at = text + strspn(text, " ");

    line->level = (guint)(at - text) / 2;
    if (!parse_hex(&at, &line->start) || *at++ != '-' || !parse_hex(&at, &line->last))
        return FALSE;
    if (strncmp(at, " : ", 3) != 0)
        return FALSE;
    line->name = at + 3;
    line->name_length = length - (gsize)(line->name - text);
    return TRUE;
}

/* "virtio" and a number. */
static gboolean is_virtio_name(const Line *line)
{
    gsize prefix = strlen("virtio");

    if (line->name_length <= prefix || line->name_length >= DEVICE_ID_MAX ||
        strncmp(line->name, "virtio", prefix) != 0)
        return FALSE;
    for (gsize i = prefix; i < line->name_length; i++) {
        if (!g_ascii_isdigit(line->name[i]))
            return FALSE;
    }
    return TRUE;
}

static gboolean has_name(const Line *line, const char *name)
{
    return line->name_length == strlen(name) && memcmp(line->name, name, line->name_length) == 0;
}

static gint compare_ranges(gconstpointer a, gconstpointer b)
{
    const IomemRange *left = a, *right = b;

    return left->start < right->start ? -1 : left->start > right->start;
}

static void add_range(GArray *ranges, const Line *line, gboolean is_virtio_mem)
{
    IomemRange range = {.start = line->start, .last = line->last, .is_virtio_mem = is_virtio_mem};

    /* Zeroes are what the kernel shows to those who may not know. */
    if (range.last <= range.start)
        return;
    if (is_virtio_mem)
        memcpy(range.name, line->name, line->name_length);
    for (guint i = 0; i < ranges->len; i++) {
        const IomemRange *other = &g_array_index(ranges, IomemRange, i);

        if (range.start <= other->last && other->start <= range.last)
            return;
    }
    g_array_append_val(ranges, range);
}

GArray *iomem_parse(const char *text)
{
    GArray *ranges = g_array_new(FALSE, TRUE, sizeof(IomemRange));
    Line parents[LEVELS_MAX];
    guint depth = 0; /* how many of PARENTS are above the line */

    while (*text != '\0') {
        gsize length = strcspn(text, "\n");
        Line line;

        if (parse_line(text, length, &line) && line.level <= depth && line.level < LEVELS_MAX) {
            const Line *device = NULL;

            for (guint i = 0; i < line.level; i++) {
                if (is_virtio_name(&parents[i]))
                    device = &parents[i];
            }
            if (device != NULL && has_name(&line, "System RAM (virtio_mem)"))
                add_range(ranges, device, TRUE);
            else if (line.name_length > 0 && g_str_has_prefix(line.name, "System RAM ("))
                add_range(ranges, &line, FALSE);
            parents[line.level] = line;
            depth = line.level + 1;
        }
        text += length;
        if (*text == '\n')
            text++;
    }
    g_array_sort(ranges, compare_ranges);
    return ranges;
}

/* Whether TEXT has lines, and not one address in them. */
static gboolean is_veiled(const char *text)
{
    guint n = 0;

    for (const char *at = text; *at != '\0'; at += *at == '\n') {
        gsize length = strcspn(at, "\n");
        Line line;

        if (parse_line(at, length, &line)) {
            if (line.last != 0)
                return FALSE;
            n++;
        }
        at += length;
    }
    return n > 0;
}

int iomem_read(const AttrIo *io, GArray **ranges)
{
    g_autofree char *text = NULL;
    gssize n = attr_read_all(io, IOMEM_PATH, IOMEM_MAX_BYTES, &text);

    if (n < 0 && n != -ENOENT)
        return (int)n;
    if (n > 0 && is_veiled(text))
        return -EPERM;
    *ranges = iomem_parse(n < 0 ? "" : text);
    return 0;
}

/* --- the firmware's RAM --- */

#define MEMMAP_DIR "sys/firmware/memmap"
#define RAM_NAME "System RAM"

typedef struct {
    const AttrIo *io;
    GArray *ranges;
} RamSearch;

static gboolean see_map_entry(const char *name, gpointer user_data)
{
    RamSearch *search = user_data;
    char path[ATTR_PATH_MAX], type[64];
    IomemRange range = {.is_virtio_mem = FALSE};

    g_snprintf(path, sizeof path, MEMMAP_DIR "/%s/type", name);
    if (attr_read_line(search->io, path, type, sizeof type) < 0 || !g_str_equal(type, RAM_NAME))
        return TRUE;
    g_snprintf(path, sizeof path, MEMMAP_DIR "/%s/start", name);
    if (attr_read_uint64(search->io, path, 16, &range.start) < 0)
        return TRUE;
    g_snprintf(path, sizeof path, MEMMAP_DIR "/%s/end", name);
    if (attr_read_uint64(search->io, path, 16, &range.last) == 0 && range.last > range.start)
        g_array_append_val(search->ranges, range);
    return TRUE;
}

static void add_iomem_ram(const char *text, GArray *ranges)
{
    for (const char *at = text; *at != '\0';) {
        gsize length = strcspn(at, "\n");
        Line line;

        if (parse_line(at, length, &line) && line.level == 0 && has_name(&line, RAM_NAME))
            add_range(ranges, &line, FALSE);
        at += length;
        at += *at == '\n';
    }
}

GArray *firmware_ram_read(const AttrIo *io, gboolean *has_map)
{
    RamSearch search = {.io = io, .ranges = g_array_new(FALSE, TRUE, sizeof(IomemRange))};
    g_autofree char *text = NULL;

    attr_list(io, MEMMAP_DIR, see_map_entry, &search);
    *has_map = search.ranges->len > 0;
    if (!*has_map && attr_read_all(io, "proc/iomem", IOMEM_MAX_BYTES, &text) >= 0)
        add_iomem_ram(text, search.ranges);
    g_array_sort(search.ranges, compare_ranges);
    return search.ranges;
}

guint64 iomem_overlap_bytes(const GArray *ranges, guint64 start, guint64 last)
{
    guint64 bytes = 0;

    for (guint i = 0; i < ranges->len; i++) {
        const IomemRange *range = &g_array_index(ranges, IomemRange, i);
        guint64 from = MAX(range->start, start), to = MIN(range->last, last);

        if (from <= to)
            bytes += to - from + 1;
    }
    return bytes;
}
