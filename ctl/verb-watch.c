/*
 * watch: the status screen again whenever something has changed, and below it what changed. Where
 * standard output is no terminal, the changes alone, a line each; with --json the status, a line
 * each. A daemon that goes away is waited for: being restarted is one of the things to watch.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/ask.h"
#include "ctl/interrupt.h"
#include "ctl/json.h"
#include "ctl/text.h"

/* Where nothing goes on, events tell when to look; how far a job is, none tells. */
#define LOOK_MS 1000
#define LOOK_IDLE_MS 10000
#define RECONNECT_MS 1000
#define LINES_KEPT 8

/* What was seen last: "slot0" -> "in-use, 1 GiB movable", "job 3" -> "ready". */
typedef struct {
    GHashTable *seen;
    char *status;     /* the status itself, as text */
    GQueue *lines;    /* the last changes, of char * */
    gboolean is_lost; /* the daemon; it is said already */
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
    JsonObject *status = ctl_json_as_object(screen->status);
    JsonArray *devices = ctl_json_as_array(screen->devices);
    JsonArray *jobs = ctl_json_as_array(screen->jobs);

    g_hash_table_insert(into, g_strdup("policy"), text_safe(ctl_json_string(status, "policy")));
    if (!devices) /* not for this user, but the figure is */
        g_hash_table_insert(into, g_strdup("online"),
                            text_size(ctl_json_uint(status, "guest-current")));
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

/* Whether the status is another one than before. */
static gboolean take_status(Watch *watch, const Screen *screen)
{
    g_autofree char *text = json_to_string(screen->status, FALSE);
    gboolean differs = g_strcmp0(text, watch->status) != 0;

    g_free(watch->status);
    watch->status = g_steal_pointer(&text);
    return differs;
}

/* Notes what differs. Returns whether anything does. */
static gboolean compare(Watch *watch, const Screen *screen)
{
    g_autoptr(GHashTable) now = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GHashTableIter iter;
    gpointer name, text;
    gboolean is_first = watch->seen == NULL, differs = take_status(watch, screen);

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

/* Waits with signals held back only meanwhile: a daemon that hangs must not keep a person from
 * leaving. FALSE: leave. */
static gboolean wait_for_news(Ctl *ctl, guint pause_ms)
{
    int interrupt = interrupt_open();
    Wake wake = client_wait(ctl->client, interrupt, pause_ms);
    gboolean goes_on = wake != WAKE_INTERRUPTED && interrupt_take(interrupt) == 0;

    interrupt_close(interrupt);
    return goes_on;
}

/* The daemon is gone. FALSE: leave. */
static gboolean wait_for_daemon(Ctl *ctl, Watch *watch)
{
    int interrupt = interrupt_open();
    struct pollfd fd = {.fd = interrupt, .events = POLLIN};

    if (!watch->is_lost && ctl->terminal.is_live)
        terminal_print(&ctl->terminal, COLOUR_WARN, "memplugd does not answer; waiting for it");
    else if (!watch->is_lost)
        fputs("memplugctl: memplugd does not answer; waiting for it\n", stderr);
    watch->is_lost = TRUE;
    gboolean goes_on = poll(&fd, 1, RECONNECT_MS) == 0;
    interrupt_close(interrupt);
    if (goes_on && ask_connect(ctl, NULL))
        client_subscribe(ctl->client);
    return goes_on;
}

static CtlStatus run(Ctl *ctl, Watch *watch, GError **error)
{
    for (;;) {
        g_autoptr(GError) wrong = NULL;
        Screen screen;
        gboolean is_there = ctl->client && ask_screen(ctl, &screen, &wrong);
        if (!is_there && (!watch->seen || (wrong && wrong->code != CTL_NO_CONNECTION))) {
            g_propagate_error(error, g_steal_pointer(&wrong));
            return CTL_REFUSED;
        }
        if (!is_there && !wait_for_daemon(ctl, watch))
            return CTL_DONE;
        if (!is_there)
            continue;
        watch->is_lost = FALSE;
        /* On a terminal always: what a job has done so far, and its lease, are on the screen too.
         */
        if (compare(watch, &screen) || (ctl->terminal.is_live && !ctl->line->json))
            show(ctl, watch, &screen);
        guint pause_ms = is_busy(&screen) ? LOOK_MS : LOOK_IDLE_MS;
        screen_clear(&screen);
        if (!wait_for_news(ctl, pause_ms))
            return CTL_DONE;
    }
}

CtlStatus verb_watch(Ctl *ctl, GError **error)
{
    Watch watch = {.lines = g_queue_new()};

    client_subscribe(ctl->client);
    CtlStatus status = run(ctl, &watch, error);
    g_clear_pointer(&watch.seen, g_hash_table_unref);
    g_free(watch.status);
    g_queue_free_full(watch.lines, g_free);
    return status;
}
