#include "ctl/views.h"

#include <string.h>

#include "ctl/json.h"
#include "ctl/table.h"
#include "ctl/text.h"

#define PROGRESS_CELLS 24
#define PROGRESS_CELLS_MIN 4
#define PROGRESS_FRAME 4 /* "[] ", and a column where the cursor stands */
#define COLUMNS_PLAIN 120

void screen_clear(Screen *screen)
{
    JsonNode **nodes[] = {&screen->status, &screen->devices, &screen->map, &screen->jobs};

    for (guint i = 0; i < G_N_ELEMENTS(nodes); i++)
        g_clear_pointer(nodes[i], json_node_unref);
}

void view_reasons(Terminal *terminal, JsonArray *reasons, Colour colour)
{
    for (guint i = 0; i < ctl_json_length(reasons); i++) {
        JsonObject *reason = ctl_json_object_at(reasons, i);
        g_autofree char *code = text_safe(ctl_json_string(reason, "code"));
        g_autofree char *desc = text_safe(ctl_json_string(reason, "desc"));
        terminal_print(terminal, colour, "  %s: %s", code, desc);
    }
}

/* "low-memory, hugepages": each code once. */
static char *codes_of(JsonArray *reasons)
{
    g_autoptr(GPtrArray) codes = g_ptr_array_new();

    for (guint i = 0; i < ctl_json_length(reasons); i++) {
        const char *code = ctl_json_string(ctl_json_object_at(reasons, i), "code");
        if (!g_ptr_array_find_with_equal_func(codes, code, g_str_equal, NULL))
            g_ptr_array_add(codes, (char *)code);
    }
    g_ptr_array_add(codes, NULL);
    return g_strjoinv(", ", (char **)codes->pdata);
}

/* Of virtio-mem alone; without such a device there is no column for it. */
static gboolean has_plugged(JsonArray *devices)
{
    for (guint i = 0; i < ctl_json_length(devices); i++) {
        JsonObject *device = ctl_json_object_at(devices, i);
        if (device && json_object_has_member(device, "plugged"))
            return TRUE;
    }
    return FALSE;
}

void view_devices(Terminal *terminal, JsonArray *devices)
{
    static const char *const headings[] = {"DEVICE",   "KIND",  ">SIZE",    ">MOVABLE", ">KERNEL",
                                           ">OFFLINE", "STATE", "BLOCKERS", NULL};
    static const char *const with_plugged[] = {"DEVICE",   "KIND",    ">SIZE",    ">PLUGGED",
                                               ">MOVABLE", ">KERNEL", ">OFFLINE", "STATE",
                                               "BLOCKERS", NULL};
    gboolean is_wide = has_plugged(devices);
    g_autoptr(Table) table = table_new(is_wide ? with_plugged : headings);

    for (guint i = 0; i < ctl_json_length(devices); i++) {
        JsonObject *device = ctl_json_object_at(devices, i);
        g_autofree char *codes = codes_of(ctl_json_array(device, "blockers"));
        table_add(table, "%s", ctl_json_string(device, "id"));
        table_add(table, "%s", ctl_json_string(device, "kind"));
        table_add_size(table, ctl_json_uint(device, "size"));
        if (is_wide)
            table_add_size(table, ctl_json_uint(device, "plugged"));
        table_add_size(table, ctl_json_uint(device, "online-movable"));
        table_add_size(table, ctl_json_uint(device, "online-kernel"));
        table_add_size(table, ctl_json_uint(device, "offline"));
        table_add(table, "%s", ctl_json_string(device, "state"));
        table_add(table, "%s", codes);
    }
    table_print(table, terminal);
}

void view_map(Terminal *terminal, JsonArray *map)
{
    static const char *const headings[] = {">FIRST", ">BLOCKS", "STATE", "ZONE",
                                           ">NODE",  "DEVICE",  NULL};
    g_autoptr(Table) table = table_new(headings);

    for (guint i = 0; i < ctl_json_length(map); i++) {
        JsonObject *run = ctl_json_object_at(map, i);
        table_add(table, "%" G_GUINT64_FORMAT, ctl_json_uint(run, "first-block"));
        table_add(table, "%" G_GUINT64_FORMAT, ctl_json_uint(run, "block-count"));
        table_add(table, "%s", ctl_json_string(run, "state"));
        table_add(table, "%s", ctl_json_string(run, "zone"));
        table_add(table, "%" G_GINT64_FORMAT, ctl_json_int(run, "node", -1));
        table_add(table, "%s", ctl_json_string(run, "device"));
    }
    table_print(table, terminal);
}

/* --- jobs --- */

static char *device_names(JsonObject *job)
{
    JsonArray *devices = ctl_json_array(job, "devices");
    GString *names = g_string_new(NULL);

    for (guint i = 0; i < ctl_json_length(devices); i++)
        g_string_append_printf(names, "%s%s", i ? "," : "",
                               ctl_json_string(ctl_json_object_at(devices, i), "id"));
    return g_string_free(names, FALSE);
}

static void add_seconds(Table *table, JsonObject *job, const char *name)
{
    gint64 ms = ctl_json_int(job, name, -1);

    if (ms < 0)
        table_add(table, "-");
    else
        table_add(table, "%.1f s", (double)ms / 1000);
}

void view_jobs(Terminal *terminal, JsonArray *jobs)
{
    static const char *const headings[] = {">JOB",  "STATE",    "DEVICES", ">BLOCKS",
                                           ">SIZE", ">ELAPSED", ">LEASE",  NULL};
    g_autoptr(Table) table = table_new(headings);

    for (guint i = 0; i < ctl_json_length(jobs); i++) {
        JsonObject *job = ctl_json_object_at(jobs, i);
        g_autofree char *names = device_names(job);
        table_add(table, "%" G_GUINT64_FORMAT, ctl_json_uint(job, "job"));
        table_add(table, "%s", ctl_json_string(job, "state"));
        table_add(table, "%s", names);
        table_add(table, "%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT,
                  ctl_json_uint(job, "blocks-done"), ctl_json_uint(job, "blocks-total"));
        table_add_size(table, ctl_json_uint(job, "bytes"));
        add_seconds(table, job, "elapsed-ms");
        add_seconds(table, job, "lease-left-ms");
    }
    table_print(table, terminal);
    for (guint i = 0; i < ctl_json_length(jobs); i++) {
        JsonObject *job = ctl_json_object_at(jobs, i);
        JsonArray *reasons = ctl_json_array(job, "reasons");
        if (ctl_json_length(reasons) > 0)
            terminal_print(terminal, COLOUR_NONE, "job %" G_GUINT64_FORMAT ":",
                           ctl_json_uint(job, "job"));
        view_reasons(terminal, reasons, COLOUR_WARN);
    }
}

static void append_progress_bar(GString *line, const Terminal *terminal, guint64 done,
                                guint64 total, guint cells)
{
    guint full = (guint)(MIN(done, total) * cells / total);

    g_string_append_printf(line, "[%s", terminal_on(terminal, COLOUR_GOOD));
    for (guint i = 0; i < cells; i++)
        g_string_append_c(line, i < full ? '#' : '-');
    g_string_append_printf(line, "%s] ", terminal_off(terminal));
}

char *view_progress(const Terminal *terminal, JsonObject *job)
{
    guint64 done = ctl_json_uint(job, "blocks-done"), total = ctl_json_uint(job, "blocks-total");
    g_autofree char *state = text_safe(ctl_json_string(job, "state"));
    g_autofree char *size = text_size(ctl_json_uint(job, "bytes"));
    gint64 lease_ms = ctl_json_int(job, "lease-left-ms", -1);
    GString *line = g_string_new(NULL);
    g_autoptr(GString) figures = g_string_new(NULL);

    g_string_printf(line, "job %" G_GUINT64_FORMAT " %-12s ", ctl_json_uint(job, "job"), state);
    if (total > 0)
        g_string_append_printf(figures, "%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT " blocks, %s",
                               done, total, size);
    if (lease_ms >= 0)
        g_string_append_printf(figures, "%sheld for %" G_GINT64_FORMAT " s", total ? ", " : "",
                               lease_ms / 1000);
    /* A line that is drawn over must be one line. The bar takes what is left; without room for one
     * the figures say it too, as far as they go. */
    guint columns = terminal->columns ? terminal->columns : COLUMNS_PLAIN;
    guint used = text_width(line->str) + (guint)figures->len + PROGRESS_FRAME;
    guint cells = used < columns ? MIN(columns - used, PROGRESS_CELLS) : 0;
    if (total > 0 && cells >= PROGRESS_CELLS_MIN)
        append_progress_bar(line, terminal, done, total, cells);
    else
        text_cut(figures, columns - MIN(text_width(line->str) + 1, columns));
    g_string_append(line, figures->str);
    return g_string_free(line, FALSE);
}

/* --- the screen --- */

typedef struct {
    const char *label, *member;
} Figure;

static void print_line(Terminal *terminal, JsonObject *status, const Figure *figures, guint n)
{
    g_autoptr(GString) line = g_string_new(NULL);

    for (guint i = 0; i < n; i++) {
        if (!json_object_has_member(status, figures[i].member))
            continue;
        g_autofree char *size = text_size(ctl_json_uint(status, figures[i].member));
        g_string_append_printf(line, "%s%-7s %-9s", line->len ? "   " : "", figures[i].label, size);
    }
    if (line->len > 0)
        terminal_print(terminal, COLOUR_NONE, "  %s", g_strchomp(line->str));
}

static void print_figures(Terminal *terminal, JsonObject *status)
{
    static const Figure whole[] = {
        {"online", "guest-current"}, {"at boot", "guest-at-boot"}, {"wanted", "guest-requested"}};
    static const Figure parts[] = {{"movable", "online-movable"},
                                   {"kernel", "online-kernel"},
                                   {"offline", "offline"},
                                   {"ready", "ready"}};
    static const Figure room[] = {{"avail", "available"},
                                  {"grow", "plug-limit"},
                                  {"shrink", "unplug-limit"},
                                  {"balloon", "balloon"}};

    print_line(terminal, status, whole, G_N_ELEMENTS(whole));
    print_line(terminal, status, parts, G_N_ELEMENTS(parts));
    print_line(terminal, status, room, G_N_ELEMENTS(room));
}

static void print_head(Terminal *terminal, JsonObject *status)
{
    g_autofree char *policy = text_safe(ctl_json_string(status, "policy"));
    g_autofree char *kernel = text_safe(ctl_json_string(status, "kernel-release"));
    g_autofree char *block = text_size(ctl_json_uint(status, "block-size"));

    terminal_print(terminal, COLOUR_BOLD, "memplug: policy %s, blocks of %s%s%s", policy, block,
                   *kernel ? ", Linux " : "", kernel);
}

/* Jobs that have not ended come first in a person's mind; of the others, the last few. */
static void print_jobs(Terminal *terminal, JsonArray *jobs)
{
    guint n = ctl_json_length(jobs), first = n > 5 ? n - 5 : 0;
    g_autoptr(JsonArray) shown = json_array_new();

    for (guint i = 0; i < n; i++) {
        static const char *const ended[] = {"unplugged", "failed", "cancelled", "expired", NULL};
        const char *state = ctl_json_string(ctl_json_object_at(jobs, i), "state");
        if (i >= first || !g_strv_contains(ended, state))
            json_array_add_element(shown, json_node_ref(json_array_get_element(jobs, i)));
    }
    if (json_array_get_length(shown) == 0)
        return;
    terminal_print(terminal, COLOUR_NONE, "%s", "");
    view_jobs(terminal, shown);
}

void view_locks(Terminal *terminal, JsonArray *inhibitors)
{
    if (ctl_json_length(inhibitors) > 0)
        terminal_print(terminal, COLOUR_BOLD, "\nLOCKS OF APPLICATIONS");
    for (guint i = 0; i < ctl_json_length(inhibitors); i++) {
        JsonObject *inhibitor = ctl_json_object_at(inhibitors, i);
        g_autofree char *mode = text_safe(ctl_json_string(inhibitor, "mode"));
        g_autofree char *who = text_safe(ctl_json_string(inhibitor, "who"));
        g_autofree char *why = text_safe(ctl_json_string(inhibitor, "why"));
        terminal_print(terminal, strcmp(mode, "block") == 0 ? COLOUR_WARN : COLOUR_NONE,
                       "  %s: %s: %s", mode, who, why);
    }
}

void view_screen(Terminal *terminal, const Screen *screen)
{
    JsonObject *status = ctl_json_as_object(screen->status);
    JsonArray *devices = ctl_json_as_array(screen->devices);

    if (!status)
        return;
    print_head(terminal, status);
    print_figures(terminal, status);
    if (*ctl_json_string(status, "port-error")) {
        g_autofree char *port_error = text_safe(ctl_json_string(status, "port-error"));
        terminal_print(terminal, COLOUR_BAD, "  no host can reach this daemon: %s", port_error);
    }
    if (screen->map)
        terminal_print(terminal, COLOUR_NONE, "%s", "");
    view_bar(terminal, ctl_json_as_array(screen->map), devices);
    if (ctl_json_length(devices) > 0) {
        terminal_print(terminal, COLOUR_NONE, "%s", "");
        view_devices(terminal, devices);
    }
    JsonArray *warnings = ctl_json_array(status, "warnings");
    if (ctl_json_length(warnings) > 0)
        terminal_print(terminal, COLOUR_BOLD, "\nWARNINGS");
    view_reasons(terminal, warnings, COLOUR_WARN);
    view_locks(terminal, ctl_json_array(status, "inhibitors"));
    print_jobs(terminal, ctl_json_as_array(screen->jobs));
}
