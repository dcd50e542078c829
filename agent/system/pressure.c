/*
 * Reads /sys/devices/system/node/nodeN/meminfo, /proc/sys/vm, /proc/pressure. What a kernel does
 * not have reads as "no such pressure".
 */
#include "system/pressure.h"

#include <stdio.h>
#include <string.h>

#include "system/cpusets.h"
#include "system/units.h"

#define NODE_DIR "sys/devices/system/node"
#define TEXT_MAX_BYTES (64 * 1024)

/* The number behind KEY and blanks at the beginning of LINE. */
static gboolean parse_line(const char *line, const char *key, guint64 *number)
{
    gsize length = strlen(key);
    char *end;

    if (strncmp(line, key, length) != 0)
        return FALSE;
    line += length;
    if (*line != ':' && *line != ' ')
        return FALSE;
    line += strspn(line, ": ");
    if (!g_ascii_isdigit(*line))
        return FALSE;
    *number = g_ascii_strtoull(line, &end, 10);
    return end != line;
}

/* --- nodes --- */

static gboolean collect_node(const char *name, gpointer user_data)
{
    GArray *nodes = user_data;
    guint64 number;

    if (g_str_has_prefix(name, "node") &&
        g_ascii_string_to_unsigned(name + 4, 10, 0, NODES_MAX - 1, &number, NULL)) {
        NodeMeminfo info = {.node = (gint16)number};
        g_array_append_val(nodes, info);
    }
    return nodes->len < NODES_MAX;
}

static gint compare_nodes(gconstpointer a, gconstpointer b)
{
    return ((const NodeMeminfo *)a)->node - ((const NodeMeminfo *)b)->node;
}

/* Lines are "Node 0 MemTotal:       1000 kB" (node_read_meminfo(), drivers/base/node.c). */
static void read_node(const AttrIo *io, guint64 hugepage_bytes, NodeMeminfo *info)
{
    g_autofree char *path = g_strdup_printf(NODE_DIR "/node%d/meminfo", info->node);
    g_autofree char *text = NULL;

    if (attr_read_all(io, path, TEXT_MAX_BYTES, &text) < 0)
        return;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        const char *key = strncmp(*line, "Node ", 5) == 0 ? strchr(*line + 5, ' ') : NULL;
        guint64 kib; /* or pages */

        if (key == NULL)
            continue;
        key++;
        if (parse_line(key, "MemTotal", &kib))
            info->total_bytes = kib * KIB;
        else if (parse_line(key, "MemFree", &kib))
            info->free_bytes = kib * KIB;
        else if (parse_line(key, "Active(file)", &kib) || parse_line(key, "Inactive(file)", &kib) ||
                 parse_line(key, "SReclaimable", &kib))
            info->reclaimable_bytes += kib * KIB;
        else if (parse_line(key, "HugePages_Free", &kib) &&
                 !u64_multiply(&info->hugetlb_free_bytes, kib, hugepage_bytes))
            info->hugetlb_free_bytes = 0;
    }
}

GArray *node_meminfo_read(const AttrIo *io, guint64 hugepage_bytes)
{
    GArray *nodes = g_array_new(FALSE, FALSE, sizeof(NodeMeminfo));

    attr_list(io, NODE_DIR, collect_node, nodes);
    g_array_sort(nodes, compare_nodes);
    for (guint i = nodes->len; i > 0; i--) {
        NodeMeminfo *info = &g_array_index(nodes, NodeMeminfo, i - 1);

        read_node(io, hugepage_bytes, info);
        if (info->total_bytes == 0)
            g_array_remove_index(nodes, i - 1);
    }
    return nodes;
}

/* --- overcommit --- */

Overcommit overcommit_read(const AttrIo *io)
{
    Overcommit overcommit = {.is_strict = FALSE};
    guint64 mode = 0, kib = 0, ratio = 0;

    if (attr_read_uint64(io, "proc/sys/vm/overcommit_memory", 10, &mode) < 0 || mode != 2)
        return overcommit;
    overcommit.is_strict = TRUE;
    attr_read_uint64(io, "proc/sys/vm/overcommit_kbytes", 10, &kib);
    if (kib == 0 && attr_read_uint64(io, "proc/sys/vm/overcommit_ratio", 10, &ratio) == 0)
        overcommit.ratio_percent = (guint)MIN(ratio, 10000);
    return overcommit;
}

/* --- stalls --- */

/* The hundredths behind "KIND avg10=" (psi_show(), kernel/sched/psi.c: two decimals, always). */
static gboolean parse_avg10(const char *text, const char *kind, guint *hundredths)
{
    g_autofree char *key = g_strdup_printf("%s avg10=", kind);
    const char *at = strstr(text, key);
    guint whole, part;

    if (!at || sscanf(at + strlen(key), "%3u.%2u ", &whole, &part) != 2 || whole > 100)
        return FALSE;
    *hundredths = whole * 100 + part;
    return TRUE;
}

gboolean stall_read(const AttrIo *io, Stall *stall)
{
    Stall read = {0, 0};
    char text[512];

    /* Switched off at the boot, the file is there and a read of it fails (EOPNOTSUPP). */
    if (attr_read(io, "proc/pressure/memory", text, sizeof text) < 0 ||
        !parse_avg10(text, "some", &read.some_avg10) ||
        !parse_avg10(text, "full", &read.full_avg10))
        return FALSE;
    *stall = read;
    return TRUE;
}
