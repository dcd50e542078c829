/*
 * What is wrong with the guest's memory set-up, for a person: memory-get-status's warnings, and
 * what memplugctl doctor says of the same. Pure.
 */
#pragma once

#include <glib.h>

#include "decide/online-policy.h"
#include "system/setup.h"
#include "system/snapshot.h"

typedef struct {
    const char *code; /* static, see warnings_find() */
    char *desc;       /* owned: a sentence */
    char *cure;       /* owned: the command or the change that mends it; NULL: there is none */
    gboolean is_note; /* worth knowing; nothing has to be done */
} Warning;

typedef struct {
    const Snapshot *snapshot;
    const Setup *setup;
    const OnlineConfig *config;
    gboolean is_auto_online_ours; /* the daemon has set auto_online_blocks */
    gboolean is_daemon_up;        /* for the cures: one runs already */
    BlockOwnedFunc is_held;       /* blocks that an unplug job keeps offline; NULL: none */
    gpointer held_data;
    BlockProgressFunc progress; /* NULL: BLOCK_STAYS */
    gpointer progress_data;
} WarningInput;

/**
 * warnings_find: everything that is wrong, by code:
 *   kernel-zone-blocks  blocks of a device are online in a kernel zone (one for each device)
 *   offline-blocks      blocks are offline that the policy would bring online
 *   kernel-auto-online  auto_online_blocks is at odds with the policy
 *   movable-ratio       too much movable memory for the kernel's own zones
 *   balloon-driver      a balloon holds memory, or may
 *   kernel-memory-low   the kernel's own zones run short while movable memory is free
 *   virtio-mem-no-driver  a virtio-mem device has no driver
 *   no-memory-hotplug   the kernel shows no memory blocks
 *   udev-rule           a udev rule onlines memory otherwise (one for each rule), or cannot be read
 *   unusable-dimm       a DIMM has no blocks: its place or size does not fit them (one for each)
 *
 * The daemon sends code and desc; memplugctl doctor says all of it.
 *
 * Return (transfer full): a GPtrArray of Warning that frees them.
 */
GPtrArray *warnings_find(const WarningInput *input);
