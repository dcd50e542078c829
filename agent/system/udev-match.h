/*
 * Whether a condition of a udev rule holds for a memory block, as far as that can be told without
 * being udevd: yes, no, or perhaps. Reads attributes and decides nothing about rules.
 */
#pragma once

#include <glib.h>

#include "system/attr.h"
#include "system/udev-rule.h"

typedef enum {
    UDEV_NO,
    UDEV_PERHAPS,
    UDEV_YES
} UdevTruth; /* the lesser one of two is their "and" */

/* An event about any memory block, offline where ACTION does not say otherwise, in a virtual
 * machine with x86-64 or arm64: where memplug runs. */
typedef struct UdevEvent UdevEvent;

/* ACTION: "add", …, static. IO is borrowed. */
UdevEvent *udev_event_new(const AttrIo *io, const char *action);
void udev_event_free(UdevEvent *event);

/* All conditions of KEYS together. PROGRAMS: with what depends on the result of a program. */
UdevTruth udev_event_matches(const UdevEvent *event, const GPtrArray *keys, gboolean programs);

/* An assignment to ENV{…}; TRUTH: whether the line is reached and matches. */
void udev_event_set(UdevEvent *event, const UdevKey *key, UdevTruth truth);

/* What VALUE may be once $env{…} is replaced. Return (transfer full): a GPtrArray of char *; where
 * something in it cannot be told, that stays as it is written. */
GPtrArray *udev_event_expand(const UdevEvent *event, const char *value);
