/*
 * Which of udev's rules bring memory blocks online: each with its place, so that a person can mend
 * it. Reads the rules where udevd does, and only reads them.
 */
#pragma once

#include <glib.h>

#include "system/attr.h"

typedef struct {
    char *path;   /* "/etc/udev/rules.d/40-redhat.rules" */
    guint line;   /* on which the rule begins, from 1 */
    char *text;   /* the rule, continued lines joined */
    char *writes; /* what it writes to a block's state: "online", "online_movable", "$env{.state}",
                   * or "a program" that it runs to do so */
} UdevMemoryRule;

/**
 * udev_rules_find: the rules that may write to the state of a memory block.
 *
 * Files of all directories are read in the order of their names, and one hides those of the same
 * name in later directories (systemd, src/udev/udev-rules.c). Conditions that depend on more than
 * that a memory block is meant are taken for fulfilled.
 *
 * Return: (transfer full): a GPtrArray of UdevMemoryRule that frees them, in the order in which
 * udevd would come to them; at most UDEV_MEMORY_RULES_MAX.
 */
#define UDEV_MEMORY_RULES_MAX 32
GPtrArray *udev_rules_find(const AttrIo *io);
