/*
 * One rule of udev's, taken apart (udev(7), "RULES FILES"; src/udev/udev-rules.c in systemd). Pure.
 * It must never judge what a rule means.
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
    UdevOperator op;
    char *value; /* without quotes */
} UdevKey;

/* LINE: a whole rule, lines that a backslash continues joined. Return (transfer full): a GPtrArray
 * of UdevKey that frees them; NULL where udev would refuse the line. */
GPtrArray *udev_rule_parse(const char *line);
