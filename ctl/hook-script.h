/*
 * The scripts of an administrator that are run before and after memory leaves: which there are, and
 * one run of one of them. Nothing of a run goes on for longer than it may.
 */
#pragma once

#include <glib.h>

#define HOOK_SCRIPTS_MAX 64
#define HOOK_LINE_MAX 400 /* bytes of what a script says that are kept */

typedef struct {
    const char *phase; /* "check", "pre", "post", "undo", "grown" */
    guint64 job;       /* 0: none */
    guint64 bytes;
    gint64 limit_ms; /* then SIGABRT, and SIGKILL after HOOK_KILL_MS */
} HookCall;

#define HOOK_KILL_MS 1000

/* The paths of the executable files in DIR, by name. What others than their owner may write, or
 * belongs to another user, is left out, with a line on standard error. (transfer full) */
GPtrArray *hook_scripts_list(const char *dir);

/* Runs PATH. *LINE (transfer full): the first line that it wrote, "" if none. Return its exit
 * status; -1: it was killed, ran for too long or could not be run. */
int hook_script_run(const char *path, const HookCall *call, char **line);
