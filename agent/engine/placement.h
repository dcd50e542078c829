/*
 * What is remembered of hot-added blocks, kept in statedir: see system/block-marks.h.
 */
#pragma once

#include <glib.h>

#include "decide/online-policy.h"
#include "system/block-marks.h"

typedef struct Placement Placement;

/* Loads what an earlier daemon of this boot left; where its policy was another, only what was seen.
 * STATE_DIR and BOOT_ID are borrowed. */
Placement *placement_new(const char *state_dir, const char *boot_id, OnlinePolicy policy);
void placement_free(Placement *placement); /* accepts NULL; saves */

const BlockMarks *placement_marks(const Placement *placement);

/* Blocks of hot-added memory that are online in SNAPSHOT have been seen so; under `auto` a device's
 * first zone is where it is meant to be. */
void placement_learn(Placement *placement, const Snapshot *snapshot, const guint32 *indices,
                     guint n);
/* The block is to be online, as WANT says: offline, it is nobody's choice. */
void placement_expect(Placement *placement, guint32 index, guint64 inode, MarkWant want);
/* All blocks of this block's device are meant for a kernel zone. */
void placement_want_kernel(Placement *placement, const Snapshot *snapshot, const Block *block);
/* A device of which a block is meant for a kernel zone is so as a whole: its blocks may have come
 * one after the other, and before it was known that they are one device's. */
void placement_unify(Placement *placement, const Snapshot *snapshot);
void placement_set_policy(Placement *placement, OnlinePolicy policy);
void placement_prune(Placement *placement, const Snapshot *snapshot);

/* Writes the file now, if anything changed; otherwise it is written soon. FALSE
 * if that was not possible. */
gboolean placement_save(Placement *placement);
