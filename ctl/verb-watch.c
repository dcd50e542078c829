/*
 * watch: the status screen again whenever something has changed, and below it what changed. Where
 * standard output is no terminal, the changes alone, a line each; with --json the status, a line each.
 */
#include <string.h>
#include <time.h>

#include "ctl/ask.h"
#include "ctl/interrupt.h"
#include "ctl/json.h"
#include "ctl/text.h"

/* Where nothing goes on, events tell when to look; how far a job is, none tells. */
#define LOOK_MS 1000
#define LOOK_IDLE_MS 10000
#define LINES_KEPT 8

/* What was seen last: "slot0" -> "in-use, 1 GiB movable", "job 3" -> "ready". */
typedef struct {
    GHashTable *seen;
    GQueue *lines; /* the last changes, of char * */
} Watch;

static char *describe_device(JsonObject *device)
{
    g_autofree char *state = text_safe(ctl_json_string(device, "state"));
    g_autofree char *size = text_size(ctl_json_uint(device, "size"));
    g_autofree char *movable = text_size(ctl_json_uint(device, "online-movable"));
    g_autofree char *kernel = text_size(ctl_json_uint(device, "online-kernel"));
    g_autofree char *offline = text_size(ctl_json_uint(device, "offline"));

    return g_strdup_printf("%s, %s: %s movable, %s kernel, %s offline", size, state, movable,
                           kernel, offline);
}

static void collect(GHashTable *into, const Screen *screen)
{
    JsonArray *devices = ctl_json_as_array(screen->devices);
    JsonArray *jobs = ctl_json_as_array(screen->jobs);

    for (guint i = 0; i < ctl_json_length(devices); i++) {
        JsonObject *device = ctl_json_object_at(devices, i);
        g_hash_table_insert(into, text_safe(ctl_json_string(device, "id")),
                            describe_device(device));
    }
    for (guint i = 0; i < ctl_json_length(jobs); i++) {
        JsonObject *job = ctl_json_object_at(jobs, i);
        g_hash_table_insert(into,
                            g_strdup_printf("job %" G_GUINT64_FORMAT, ctl_json_uint(job, "job")),
                            text_safe(ctl_json_string(job, "state")));
    }
}

static void note(Watch *watch, const char *name, const char *text)
{
    time_t now = time(NULL);
    struct tm local;
    char clock[16] = "";

    if (localtime_r(&now, &local))
        strftime(clock, sizeof clock, "%H:%M:%S", &local);
    g_queue_push_tail(watch->lines, g_strdup_printf("%s %s: %s", clock, name, text));
}

/* Notes what differs. Returns whether anything does. */
static gboolean compare(Watch *watch, const Screen *screen)
{
    g_autoptr(GHashTable) now = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GHashTableIter iter;
    gpointer name, text;
    gboolean is_first = watch->seen == NULL, differs = is_first;

    collect(now, screen);
    g_hash_table_iter_init(&iter, now);
    while (!is_first && g_hash_table_iter_next(&iter, &name, &text)) {
        const char *before = g_hash_table_lookup(watch->seen, name);
        if (g_strcmp0(before, text) == 0)
            continue;
        g_autofree char *arrived = before ? NULL : g_strdup_printf("new: %s", (char *)text);
        note(watch, name, arrived ? arrived : text);
        differs = TRUE;
    }
    if (!is_first)
        g_hash_table_iter_init(&iter, watch->seen);
    while (!is_first && g_hash_table_iter_next(&iter, &name, &text)) {
        if (g_hash_table_contains(now, name))
            continue;
        note(watch, name, "gone");
        differs = TRUE;
    }
    g_clear_pointer(&watch->seen, g_hash_table_unref);
    watch->seen = g_steal_pointer(&now);
    return differs;
}

static void show(Ctl *ctl, Watch *watch, const Screen *screen)
{
    if (ctl->line->json) {
        ctl_json_print(screen->status);
    } else if (ctl->terminal.is_live) {
        while (g_queue_get_length(watch->lines) > LINES_KEPT)
            g_free(g_queue_pop_head(watch->lines));
        ctl->terminal = terminal_open(); /* its size may have changed */
        terminal_clear(&ctl->terminal);
        view_screen(&ctl->terminal, screen);
        terminal_print(&ctl->terminal, COLOUR_NONE, "%s", "");
        for (GList *line = watch->lines->head; line; line = line->next)
            terminal_print(&ctl->terminal, COLOUR_DIM, "%s", (char *)line->data);
    } else {
        char *line;
        while ((line = g_queue_pop_head(watch->lines))) {
            terminal_print(&ctl->terminal, COLOUR_NONE, "%s", line);
            g_free(line);
        }
    }
}

static gboolean is_busy(const Screen *screen)
{
    JsonArray *jobs = ctl_json_as_array(screen->jobs);

    for (guint i = 0; i < ctl_json_length(jobs); i++) {
        if (!job_has_ended(ctl_json_object_at(jobs, i)))
            return TRUE;
    }
    return FALSE;
}

static CtlStatus run(Ctl *ctl, Watch *watch, int interrupt, GError **error)
{
    for (;;) {
        Screen screen;
        if (!ask_screen(ctl, &screen, error))
            return CTL_REFUSED;
        if (compare(watch, &screen))
            show(ctl, watch, &screen);
        guint pause_ms = is_busy(&screen) ? LOOK_MS : LOOK_IDLE_MS;
        screen_clear(&screen);
        Wake wake = client_wait(ctl->client, interrupt, pause_ms);
        if (wake == WAKE_INTERRUPTED)
            return CTL_DONE;
        if (wake == WAKE_LOST) {
            g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION, "the connection is gone");
            return CTL_NO_CONNECTION;
        }
    }
}

CtlStatus verb_watch(Ctl *ctl, GError **error)
{
    Watch watch = {.lines = g_queue_new()};
    int interrupt = interrupt_open();

    client_subscribe(ctl->client);
    CtlStatus status = run(ctl, &watch, interrupt, error);
    interrupt_close(interrupt);
    g_clear_pointer(&watch.seen, g_hash_table_unref);
    g_queue_free_full(watch.lines, g_free);
    return status;
}
