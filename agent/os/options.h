/*
 * The command line. Its letters are qemu-ga's, so that whoever runs one can run the other.
 */
#pragma once

#include <glib.h>

#include "os/settings.h"

typedef struct {
    Settings *settings;
    Settings *from_files; /* what the files said, without the command line */
    char *config_path;
    gboolean config_required; /* -c was given */
    char *state_dir;
    char *log_path;           /* or NULL: standard error */
    char *sysroot;            /* or NULL */
    gint uevent_buffer_bytes; /* of the socket that the kernel's events come to; for tests */
    gboolean verbose;
    gboolean dump_config; /* -D: print the settings, exit */
    gboolean show_version;
    gboolean list_rpcs;   /* -b help */
    gboolean decide_rule; /* --rule: decide for udev's rule, exit */
    gboolean undo;        /* --undo: take over what an earlier daemon left, give it back, exit */
    /* What the command line says of settings (each may be NULL): it wins again after a reload. */
    struct {
        char *method, *path, *allow_rpcs, *block_rpcs;
    } arguments;
} Options;

/* Reads ARGV, and the config files that it (or the default) names; what ARGV says wins. Prints the
 * help and exits for -h. NULL and ERROR for anything wrong. */
Options *options_parse(int argc, char **argv, GError **error);
/* The settings as they would be after a start now: the files anew, and what ARGV said. Where a file
 * has changed what ARGV says otherwise, that is logged. NULL and ERROR for anything wrong in a
 * file. (transfer full) */
Settings *options_load_settings(Options *options, GError **error);
void options_free(Options *options); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Options, options_free)
