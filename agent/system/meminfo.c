/*
 * Reads /proc/meminfo and /proc/zoneinfo. Lines and keys that are not known are passed over: each
 * kernel has its own.
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
