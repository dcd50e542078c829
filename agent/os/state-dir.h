/*
 * The state directory: one daemon at a time has it, and while one has it, udev's rule leaves new
 * memory to it.
 */
#pragma once

#include <glib.h>

typedef struct StateDir StateDir;

/* Makes DIR (mode 0700) if it is missing and takes its lock. NULL and ERROR, naming the path, if
 * another daemon holds the lock or DIR cannot be used. */
StateDir *state_dir_open(const char *dir, GError **error);
void state_dir_close(StateDir *state_dir); /* accepts NULL */

/* For udev's rule, which runs no program: makes the file "rule-online" in DIR, or removes it. FALSE
 * and ERROR if it cannot. */
gboolean state_dir_decide_rule(const char *dir, gboolean online, GError **error);

/* Makes or removes the file "active", which udev-rules/39-memplug-online.rules looks for. It
 * outlives a killed daemon on purpose: blocks that a job keeps offline must not be onlined behind
 * its back. */
void state_dir_set_active(StateDir *state_dir, gboolean active);
