/*
 * What is remembered of hot-added blocks, kept in statedir: see system/block-marks.h.
 */
#pragma once

#include <glib.h>

#include "decide/online-policy.h"
#include "system/block-marks.h"

typedef struct MarkKeeper MarkKeeper;

/* Loads what an earlier daemon of this boot left; where its policy was another, only what was seen.
 * STATE_DIR and BOOT_ID are borrowed. */
MarkKeeper *mark_keeper_new(const char *state_dir, const char *boot_id, OnlinePolicy policy);
void mark_keeper_free(MarkKeeper *mark_keeper); /* accepts NULL; saves */

const BlockMarks *mark_keeper_marks(const MarkKeeper *mark_keeper);

/* Blocks of hot-added memory that are online in SNAPSHOT have been seen so; under `auto` a device's
 * first zone is where it is meant to be. */
void mark_keeper_learn(MarkKeeper *mark_keeper, const Snapshot *snapshot, const guint32 *indices,
                       guint n);
/* The block is to be online, as WANT says: offline, it is nobody's choice. */
void mark_keeper_expect(MarkKeeper *mark_keeper, guint32 index, guint64 inode, MarkWant want);
/* All blocks of this block's device are meant for a kernel zone. */
void mark_keeper_want_kernel(MarkKeeper *mark_keeper, const Snapshot *snapshot, const Block *block);
/* A device of which a block is meant for a kernel zone is so as a whole: its blocks may have come
 * one after the other, and before it was known that they are one device's. */
void placement_unify(MarkKeeper *mark_keeper, const Snapshot *snapshot);
void mark_keeper_set_policy(MarkKeeper *mark_keeper, OnlinePolicy policy);
void mark_keeper_prune(MarkKeeper *mark_keeper, const Snapshot *snapshot);

/* Writes the file now, if anything changed; otherwise it is written soon. FALSE
 * if that was not possible. */
gboolean mark_keeper_save(MarkKeeper *mark_keeper);
