/*
 * What answers look like to a person. Every view takes answers as they came, from whomever, and
 * prints what it finds in them.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "ctl/terminal.h"

/* One screen. STATUS: memory-get-status; DEVICES, MAP, JOBS: the answers of memory-get-devices,
 * memory-get-map, memory-query-unplug, each may be NULL. */
typedef struct {
    JsonNode *status, *devices, *map, *jobs;
} Screen;
void view_screen(Terminal *terminal, const Screen *screen);
void screen_clear(Screen *screen);

void view_devices(Terminal *terminal, JsonArray *devices);
void view_map(Terminal *terminal, JsonArray *map);
/* The whole of memory as one bar, a cell so and so many blocks, with the devices below it. */
void view_bar(Terminal *terminal, JsonArray *map, JsonArray *devices);
void view_jobs(Terminal *terminal, JsonArray *jobs);
/* Applications that want to be asked, or say no; nothing where there are none. */
void view_locks(Terminal *terminal, JsonArray *inhibitors);
/* "  code: desc", one a line. */
void view_reasons(Terminal *terminal, JsonArray *reasons, Colour colour);
/* What goes on in JOB, on one line: "job 3 offlining [####----] 4/8". (transfer full) */
char *view_progress(const Terminal *terminal, JsonObject *job);
