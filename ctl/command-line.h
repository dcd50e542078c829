/*
 * memplugctl's command line.
 */
#pragma once

#include <glib.h>

/* A number that was not given. */
#define NOT_GIVEN G_MININT64

typedef struct {
    char *host;    /* path of the agent's socket, or NULL: local */
    char *qmp;     /* path of QEMU's monitor, or NULL */
    char *libvirt; /* a guest's name in libvirt, or NULL */
    char *connect; /* libvirt's URI, or NULL: its default */
    char *sysroot; /* doctor, boot-policy: look below this directory, or NULL */
    gboolean json;
    gboolean show_version;
    gint64 timeout_ms;      /* NOT_GIVEN: the daemon's default */
    gint64 lease_ms;        /* NOT_GIVEN: the daemon's default */
    char *key;              /* or NULL */
    char *id, *backend;     /* plug; or NULL */
    gint64 node;            /* plug, resize; or NOT_GIVEN */
    gboolean dry_run;       /* resize */
    gboolean best_effort;   /* resize */
    gboolean allow_more;    /* plan */
    gboolean allow_partial; /* prepare */
    gboolean reclaim;       /* prepare */
    char *rezone;           /* policy: "yes", "no", or NULL */
    gint64 movable_ratio;   /* policy; or NOT_GIVEN */
    char *who, *why, *mode; /* inhibit; or NULL */
    const char *verb;
    char **operands; /* behind the verb, NULL-terminated */
    char **rest;     /* what the last two point into */
} CommandLine;

/* Prints the help and ends for -h. NULL and CTL_USAGE for what makes no sense. */
CommandLine *command_line_parse(int argc, char **argv, GError **error);
/* Whether every option says something to the verb: one that is passed over in silence would leave
 * somebody believing that it was heard (doctor --host, prepare --sysroot). FALSE and CTL_USAGE. */
gboolean command_line_fits_verb(const CommandLine *line, GError **error);
void command_line_free(CommandLine *line); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CommandLine, command_line_free)
