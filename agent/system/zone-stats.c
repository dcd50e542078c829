/*
 * Reads /proc/zoneinfo (zoneinfo_show_print(), mm/vmstat.c) zone by zone. Lines that it does not
 * know are passed over.
 */
#include "system/zone-stats.h"
#include "system/units.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ZONEINFO_MAX_BYTES (4 * 1024 * 1024)

/* "Node 1, zone   Normal". FALSE for a zone whose pages nobody can allocate. */
static gboolean parse_head(const char *line, ZoneStats *zone)
{
    char name[16];
    int node;

    if (sscanf(line, "Node %d, zone %15s", &node, name) != 2 || node < 0 || node > G_MAXINT16)
        return FALSE;
    *zone = (ZoneStats){.node = (gint16)node, .is_movable = strcmp(name, "Movable") == 0};
    return strcmp(name, "Device") != 0;
}

/* LINE is "  NAME   123". Where NAME is one of the figures, adds it; FALSE if it is no number. */
static gboolean take_figure(char *line, guint64 page_size_bytes, ZoneStats *zone)
{
    const struct {
        const char *name;
        guint64 *sum;
    } figures[] = {
        {"pages free", &zone->free_bytes},          {"high", &zone->high_bytes},
        {"present", &zone->present_bytes},          {"cma", &zone->cma_bytes},
        {"nr_zone_active_file", &zone->file_bytes}, {"nr_zone_inactive_file", &zone->file_bytes},
        {"nr_slab_reclaimable", &zone->file_bytes},
    };
    guint64 pages, bytes;

    line = g_strstrip(line);
    for (guint i = 0; i < G_N_ELEMENTS(figures); i++) {
        gsize length = strlen(figures[i].name);
        /* A colon follows the name in the lines about single CPUs ("high:  14"). */
        if (strncmp(line, figures[i].name, length) != 0 || line[length] != ' ')
            continue;
        return g_ascii_string_to_unsigned(g_strchug(line + length), 10, 0, G_MAXUINT64, &pages,
                                          NULL) &&
               u64_multiply(&bytes, pages, page_size_bytes) &&
               u64_add(figures[i].sum, *figures[i].sum, bytes);
    }
    return TRUE;
}

GArray *zone_stats_parse(const char *text, guint64 page_size_bytes)
{
    g_autoptr(GArray) zones = g_array_new(FALSE, FALSE, sizeof(ZoneStats));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    ZoneStats zone;
    gboolean is_in_zone = FALSE;

    for (char **line = lines; *line; line++) {
        if (g_str_has_prefix(*line, "Node ")) {
            if (is_in_zone && zone.present_bytes > 0)
                g_array_append_val(zones, zone);
            is_in_zone = parse_head(*line, &zone);
        } else if (is_in_zone && !take_figure(*line, page_size_bytes, &zone)) {
            return NULL;
        }
    }
    if (is_in_zone && zone.present_bytes > 0)
        g_array_append_val(zones, zone);
    return zones->len > 0 ? g_steal_pointer(&zones) : NULL;
}

GArray *zone_stats_read(const AttrIo *io)
{
    g_autofree char *text = NULL;

    if (attr_read_all(io, "proc/zoneinfo", ZONEINFO_MAX_BYTES, &text) < 0)
        return NULL;
    return zone_stats_parse(text, (guint64)sysconf(_SC_PAGESIZE));
}
