/*
 * memplugctl's command line.
 */
#pragma once

#include <glib.h>

typedef struct {
    char *host;           /* path of the agent's socket, or NULL: local */
    char *qmp;            /* path of QEMU's monitor, or NULL */
    char *sysroot;        /* doctor: look below this directory, or NULL */
    gboolean json;
    gboolean show_version;
    gint64 timeout_ms;    /* 0: the daemon's default */
    gint64 lease_ms;      /* 0: the daemon's default */
    char *key;            /* or NULL */
    gboolean allow_more;  /* plan */
    char *rezone;         /* policy: "yes", "no", or NULL */
    gint64 movable_ratio; /* policy; 0: not given */
    const char *verb;
    char **operands;      /* behind the verb, NULL-terminated */
    char **rest;          /* what the last two point into */
} CommandLine;

/* Prints the help and ends for -h. NULL and CTL_USAGE for what makes no sense. */
CommandLine *command_line_parse(int argc, char **argv, GError **error);
void command_line_free(CommandLine *line); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CommandLine, command_line_free)
