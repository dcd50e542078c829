/*
 * What is wrong with the guest's memory set-up, for a person: memory-get-status's warnings. Pure.
 */
#pragma once

#include <glib.h>

#include "decide/online-policy.h"
#include "model/snapshot.h"

typedef struct {
    const char *code; /* static: "kernel-zone-blocks", "offline-blocks", "kernel-auto-online",
                       * "movable-ratio" */
    char *desc;       /* owned: a sentence */
} Warning;

typedef struct {
    const Snapshot *snapshot;
    const GArray *zones; /* of ZoneStats; NULL: not known */
    const OnlineConfig *config;
    const char *auto_online_blocks; /* the kernel's word, "" if not known */
    gboolean is_auto_online_ours;   /* the daemon has set that word */
    BlockOwnedFunc is_held;         /* blocks that an unplug job keeps offline */
    gpointer user_data;
} WarningInput;

/* Return (transfer full): a GPtrArray of Warning that frees them; one for each code at most, but one
 * for each device with kernel-zone blocks. */
GPtrArray *warnings_find(const WarningInput *input);
