/*
 * Reads /proc/meminfo, /proc/swaps and ZFS's arcstats. Lines and keys that are not known are passed
 * over: each kernel has its own.
 */
#include "system/meminfo.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "system/units.h"

#define MEMINFO_MAX_BYTES (64 * 1024)

/* The next line of *TEXT, NUL-terminated in place, or NULL at the end. */
static char *next_line(char **text)
{
    char *line = *text;

    if (*line == '\0')
        return NULL;
    char *end = line + strcspn(line, "\n");
    *text = *end == '\n' ? end + 1 : end;
    *end = '\0';
    return line;
}

/* "    123 kB": a number of bytes, or a bare number. */
static gboolean parse_amount(const char *text, guint64 *amount)
{
    guint64 number = 0;

    text += strspn(text, " \t");
    if (!g_ascii_isdigit(*text))
        return FALSE;
    for (; g_ascii_isdigit(*text); text++) {
        if (!u64_multiply(&number, number, 10) || !u64_add(&number, number, (guint64)(*text - '0')))
            return FALSE;
    }
    if (strcmp(text, " kB") == 0) {
        if (!u64_multiply(&number, number, KIB))
            return FALSE;
    } else if (*text != '\0') {
        return FALSE;
    }
    *amount = number;
    return TRUE;
}

int meminfo_read(const AttrIo *io, Meminfo *out)
{
    static const struct {
        const char *key;
        gsize offset;
    } fields[] = {
        {"MemTotal", offsetof(Meminfo, total_bytes)},
        {"MemAvailable", offsetof(Meminfo, available_bytes)},
        {"MemFree", offsetof(Meminfo, free_bytes)},
        {"CommitLimit", offsetof(Meminfo, commit_limit_bytes)},
        {"Committed_AS", offsetof(Meminfo, committed_bytes)},
        {"SwapFree", offsetof(Meminfo, swap_free_bytes)},
        {"Hugepagesize", offsetof(Meminfo, hugepage_size_bytes)},
        {"HugePages_Total", offsetof(Meminfo, hugepages_total)},
        {"HugePages_Free", offsetof(Meminfo, hugepages_free)},
        {"Dirty", offsetof(Meminfo, dirty_bytes)},
        {"Writeback", offsetof(Meminfo, writeback_bytes)},
        {"Hugetlb", offsetof(Meminfo, hugetlb_bytes)},
    };
    g_autofree char *text = NULL;
    Meminfo info = {0};
    guint seen = 0;
    char *line;

    gssize n = attr_read_all(io, "proc/meminfo", MEMINFO_MAX_BYTES, &text);
    if (n < 0)
        return (int)n;
    for (char *rest = text; (line = next_line(&rest)) != NULL;) {
        char *colon = strchr(line, ':');

        if (colon == NULL)
            continue;
        *colon = '\0';
        for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
            if (strcmp(line, fields[i].key) != 0)
                continue;
            if (parse_amount(colon + 1, G_STRUCT_MEMBER_P(&info, fields[i].offset)))
                seen |= 1u << i;
            break;
        }
    }
    /* The first two of the table. */
    if ((seen & 3u) != 3u)
        return -EPROTO;
    *out = info;
    return 0;
}

/* "/dev/zram0  partition  4194300  1024  100": name, type, size and used in KiB, priority
 * (swap_show(), mm/swapfile.c; blanks in names are escaped). */
static guint64 free_of_swap(const char *line)
{
    guint64 size_kib, used_kib, free_bytes;
    g_autofree char *copy = g_strdup(line);
    g_auto(GStrv) words = g_strsplit_set(g_strstrip(copy), " \t", -1);
    const char *fields[4] = {NULL};
    guint n = 0;

    for (char **word = words; *word != NULL && n < G_N_ELEMENTS(fields); word++) {
        if (**word != '\0')
            fields[n++] = *word;
    }
    if (n < G_N_ELEMENTS(fields) || g_str_has_prefix(fields[0], "/dev/zram") ||
        !g_ascii_string_to_unsigned(fields[2], 10, 0, G_MAXUINT64, &size_kib, NULL) ||
        !g_ascii_string_to_unsigned(fields[3], 10, 0, size_kib, &used_kib, NULL) ||
        !u64_multiply(&free_bytes, size_kib - used_kib, KIB))
        return 0;
    return free_bytes;
}

static guint64 free_swap_bytes(const AttrIo *io)
{
    g_autofree char *text = NULL;
    guint64 sum = 0;
    char *line;

    if (attr_read_all(io, "proc/swaps", MEMINFO_MAX_BYTES, &text) < 0)
        return 0;
    for (char *rest = text; (line = next_line(&rest)) != NULL;) {
        guint64 free_bytes = free_of_swap(line);
        sum += MIN(free_bytes, G_MAXUINT64 - sum);
    }
    return sum;
}

/* "c_min                           4    33554432": name, type, value (kstat_seq_show_named(), ZFS).
 */
static guint64 arc_spare_bytes(const AttrIo *io)
{
    g_autofree char *text = NULL;
    guint64 size = 0, least = 0;
    char *line;

    if (attr_read_all(io, "proc/spl/kstat/zfs/arcstats", MEMINFO_MAX_BYTES, &text) < 0)
        return 0;
    for (char *rest = text; (line = next_line(&rest)) != NULL;) {
        gsize length = strcspn(line, " ");
        guint64 *figure = length == 4 && strncmp(line, "size", length) == 0    ? &size
                          : length == 5 && strncmp(line, "c_min", length) == 0 ? &least
                                                                               : NULL;
        const char *value = strrchr(line, ' ');

        if (figure != NULL && value != NULL &&
            !g_ascii_string_to_unsigned(value + 1, 10, 0, G_MAXUINT64, figure, NULL))
            return 0;
    }
    return size - MIN(least, size);
}

int meminfo_read_spare(const AttrIo *io, guint swap_percent, Meminfo *out, Uncounted *uncounted)
{
    int r = meminfo_read(io, out);

    if (uncounted != NULL)
        *uncounted = (Uncounted){.swap_bytes = 0};
    if (r < 0)
        return r;
    guint64 swap_bytes = 0;
    if (out->swap_free_bytes > 0 && (swap_percent > 0 || uncounted != NULL))
        swap_bytes = free_swap_bytes(io);
    guint64 counted = swap_bytes / 100 * MIN(swap_percent, 100);
    out->available_bytes += MIN(counted, G_MAXUINT64 - out->available_bytes);
    if (uncounted != NULL)
        *uncounted = (Uncounted){swap_bytes - counted, arc_spare_bytes(io)};
    return 0;
}
