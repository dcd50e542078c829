/*
 * What in the system decides how new memory comes online and what may keep it: udev's rules, the
 * kernel's own settings, balloons, the zones. One moment of it, read whole: what both the daemon's
 * warnings and memplugctl doctor judge by.
 */
#pragma once

#include <glib.h>

#include "system/attr.h"
#include "system/balloon.h"
#include "system/udev-rules.h"

#define SETUP_WORD_MAX 64

typedef struct {
    UdevRules *rules;
    GArray *blockless; /* of AcpiMemory: also those that are being added at this moment */
    GArray *zones;     /* of ZoneStats; NULL: not known */
    char *driverless;  /* a virtio-mem device that no driver has; NULL: none */
    Balloon balloon;
    char auto_online_blocks[SETUP_WORD_MAX]; /* the kernel's words, "" if not known */
    char online_policy[SETUP_WORD_MAX];
} Setup;

/* Return (transfer full). What cannot be read is empty. */
Setup *setup_read(const AttrIo *io);
void setup_free(Setup *setup); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Setup, setup_free)
