/*
 * The bar of the memory map. A cell shows the block in its middle; with fewer blocks than cells a
 * block is several cells.
 */
#include <string.h>

#include "ctl/json.h"
#include "ctl/text.h"
#include "ctl/views.h"

#define CELLS_MAX 100
#define CELLS_PLAIN 72
#define BLOCKS_MAX (G_GUINT64_CONSTANT(1) << 32)

/* The run that has the block at POSITION (counted over all runs), NULL: none. */
static JsonObject *run_at(JsonArray *map, guint64 position)
{
    for (guint i = 0; i < ctl_json_length(map); i++) {
        JsonObject *run = ctl_json_object_at(map, i);
        guint64 count = MIN(ctl_json_uint(run, "block-count"), BLOCKS_MAX);
        if (position < count)
            return run;
        position -= count;
    }
    return NULL;
}

static gboolean is_ready(JsonArray *devices, const char *id)
{
    for (guint i = 0; i < ctl_json_length(devices); i++) {
        JsonObject *device = ctl_json_object_at(devices, i);
        if (strcmp(ctl_json_string(device, "id"), id) == 0)
            return strcmp(ctl_json_string(device, "state"), "ready") == 0;
    }
    return FALSE;
}

static char symbol_of(JsonObject *run, JsonArray *devices, Colour *colour)
{
    const char *state = ctl_json_string(run, "state"), *zone = ctl_json_string(run, "zone");

    *colour = COLOUR_NONE;
    if (strcmp(state, "online") == 0 && g_ascii_strcasecmp(zone, "movable") == 0) {
        *colour = COLOUR_MOVABLE;
        return 'M';
    }
    if (strcmp(state, "online") == 0) {
        *colour = COLOUR_KERNEL;
        return 'K';
    }
    if (strcmp(state, "offline") != 0)
        return '~';
    *colour = COLOUR_WARN;
    return is_ready(devices, ctl_json_string(run, "device")) ? 'r' : '.';
}

static guint64 count_blocks(JsonArray *map)
{
    guint64 blocks = 0;

    for (guint i = 0; i < ctl_json_length(map); i++)
        blocks += MIN(ctl_json_uint(ctl_json_object_at(map, i), "block-count"), BLOCKS_MAX);
    return blocks;
}

static void append_label(GString *labels, const char *id, guint cell, guint cells)
{
    g_autofree char *safe = text_safe(id);

    if (labels->len > cell || cell + text_width(safe) + 1 > cells)
        return; /* no room: the table below has it */
    g_string_append_printf(labels, "%*s|%s", (int)(cell - labels->len), "", safe);
}

void view_bar(Terminal *terminal, JsonArray *map, JsonArray *devices)
{
    guint cells = terminal->columns ? MIN(terminal->columns - 4, CELLS_MAX) : CELLS_PLAIN;
    guint64 blocks = count_blocks(map);
    g_autoptr(GString) bar = g_string_new(NULL);
    g_autoptr(GString) labels = g_string_new(NULL);
    const char *last_id = NULL;

    if (blocks == 0)
        return;
    for (guint cell = 0; cell < cells; cell++) {
        Colour colour;
        JsonObject *run = run_at(map, (2 * cell + 1) * blocks / (2 * cells));
        char symbol = symbol_of(run, devices, &colour);
        const char *id = ctl_json_string(run, "device");
        g_string_append_printf(bar, "%s%c%s", terminal_on(terminal, colour), symbol,
                               colour == COLOUR_NONE ? "" : terminal_off(terminal));
        if (!last_id || strcmp(id, last_id) != 0)
            append_label(labels, id, cell, cells);
        last_id = id;
    }
    terminal_print(terminal, COLOUR_NONE, "  %s", bar->str);
    terminal_print(terminal, COLOUR_DIM, "  %s", labels->str);
    terminal_print(terminal, COLOUR_DIM, "  %s",
                   "K kernel zones  M movable  . offline  r ready to go  ~ changing");
}
