/*
 * What the machine's udev rules do to memory blocks: which of them bring blocks online, each with
 * its place, so that a person can mend it. This is the only reader of rules: the daemon's warnings
 * and memplugctl doctor both say what it found.
 */
#pragma once

#include <glib.h>

#include "system/attr.h"

#define UDEV_OWN_RULES "39-memplug-online.rules"

typedef struct {
    char *path;          /* "/usr/lib/udev/rules.d/40-redhat.rules" */
    const char *name;    /* the file's, in path */
    guint first, last;   /* its lines, from 1 */
    char *text;          /* the rule, continued lines joined */
    gboolean is_certain; /* nothing that could be told keeps it from acting on new memory */
    gboolean is_program; /* by a program that it runs */
    gboolean is_needed;  /* has a LABEL or GOTO: other lines of the file depend on it */
    gboolean is_movable; /* writes nothing but online_movable, which does no harm */
    GPtrArray *values;   /* of char *: what it may write to a block's state, as far as known */
} UdevMemoryRule;

typedef struct {
    GPtrArray *onlining;   /* of UdevMemoryRule, in the order in which udevd comes to them */
    GPtrArray *reloading;  /* of UdevMemoryRule: they load the crash kernel anew at block events */
    GPtrArray *unreadable; /* of char *: "/etc/udev/rules.d/x.rules cannot be read (why)" */
    char *own_path;        /* UDEV_OWN_RULES, "/…"; NULL: not installed */
    gboolean is_own_in_force; /* it is there, and not masked */
} UdevRules;

/**
 * udev_rules_read: reads the rules that are in force below IO's root.
 *
 * Files of all directories are one list by name, and of two with the same name the one in the
 * earlier directory is in force (systemd, src/udev/udev-rules.c). Each is followed as udevd would
 * for a memory block that is added, changed, onlined or offlined: a GOTO whose condition is sure is
 * taken, one whose condition is sure not to hold is not, and where it cannot be told both ways are
 * gone, and what comes of it is not certain.
 *
 * Return: (transfer full): to free with udev_rules_free(). At most UDEV_MEMORY_RULES_MAX rules of
 * each kind.
 */
#define UDEV_MEMORY_RULES_MAX 32
UdevRules *udev_rules_read(const AttrIo *io);
void udev_rules_free(UdevRules *rules); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(UdevRules, udev_rules_free)

/* What RULE writes: "online", "online_kernel or online_movable". (transfer full) */
char *udev_memory_rule_writes(const UdevMemoryRule *rule);
