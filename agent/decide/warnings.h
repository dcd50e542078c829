/*
 * What is wrong with the guest's memory set-up, for a person: memory-get-status's warnings. Pure.
 */
#pragma once

#include <glib.h>

#include "decide/online-policy.h"
#include "system/balloon.h"
#include "system/meminfo.h"
#include "system/snapshot.h"

typedef struct {
    const char *code; /* static, see warnings_find() */
    char *desc;       /* owned: a sentence */
} Warning;

typedef struct {
    const Snapshot *snapshot;
    const GArray *zones; /* of ZoneStats; NULL: not known */
    const OnlineConfig *config;
    const char *auto_online_blocks; /* the kernel's word, "" if not known */
    gboolean is_auto_online_ours;   /* the daemon has set that word */
    Balloon balloon;
    const GPtrArray *udev_rules; /* of UdevMemoryRule */
    const GArray *blockless;     /* of AcpiMemory: for good, not while they are being added */
    BlockOwnedFunc is_held;      /* blocks that an unplug job keeps offline */
    gpointer user_data;
} WarningInput;

/**
 * warnings_find: everything that is wrong, by code:
 *   kernel-zone-blocks  blocks of a device are online in a kernel zone (one for each device)
 *   offline-blocks      blocks are offline that the policy would bring online
 *   kernel-auto-online  auto_online_blocks is at odds with the policy
 *   movable-ratio       too much movable memory for the kernel's own zones
 *   balloon-driver      a balloon driver is in use
 *   udev-rule           a udev rule onlines memory otherwise (one for each rule)
 *   unusable-dimm       a DIMM has no blocks: its place or size does not fit them (one for each)
 *
 * Return (transfer full): a GPtrArray of Warning that frees them.
 */
GPtrArray *warnings_find(const WarningInput *input);
