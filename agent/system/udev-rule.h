/*
 * A rules file of udev's, taken apart (udev(7), "RULES FILES"; src/udev/udev-rules.c in systemd).
 * Pure. It must never judge what a rule means.
 */
#pragma once

#include <glib.h>

typedef enum {
    UDEV_OP_MATCH,    /* == */
    UDEV_OP_NO_MATCH, /* != */
    UDEV_OP_ASSIGN,   /* = and := */
    UDEV_OP_ADD,      /* += */
    UDEV_OP_REMOVE,   /* -= */
} UdevOperator;

typedef struct {
    char *name;      /* "ATTR" */
    char *attribute; /* "state" of ATTR{state}; "" */
    UdevOperator op; /* as udevd takes it: PROGRAM="x" is a match, ATTR{a}:="x" an assignment */
    char *value;     /* without quotes, escapes resolved */
    gboolean is_caseless; /* i"…" */
} UdevKey;

typedef struct {
    guint first, last; /* lines of the file, from 1: a backslash continues a line */
    char *text;        /* continued lines joined */
    GPtrArray *keys;   /* of UdevKey */
    guint jump;        /* index of the rule that GOTO leads to; 0: no GOTO, or no such label */
} UdevRule;

/* LINE: a whole rule, continued lines joined. Return (transfer full): a GPtrArray of UdevKey that
 * frees them; NULL where udevd refuses the line, of which it then does nothing. */
GPtrArray *udev_rule_parse(const char *line);

/* TEXT: a whole file. Return (transfer full): a GPtrArray of UdevRule that frees them, without the
 * lines that udevd refuses. */
GPtrArray *udev_rules_parse(const char *text);

/* The value of the first key with NAME in KEYS, or NULL. */
const char *udev_rule_value(const GPtrArray *keys, const char *name);
