/*
 * Which blocks to bring online, and into which zone. Pure: a snapshot and figures in, verbs out.
 */
#pragma once

#include <glib.h>

#include "model/meminfo.h"
#include "model/snapshot.h"

typedef enum {
    ONLINE_POLICY_MOVABLE,
    ONLINE_POLICY_NONE,
} OnlinePolicy;

/* "movable", "none" */
const char *online_policy_name(OnlinePolicy policy);
gboolean online_policy_parse(const char *name, OnlinePolicy *policy);

typedef struct {
    guint32 index;
    guint64 inode;
    const char *verb; /* static: for block_write_state() */
} OnlineStep;

/* Tells whether an unplug job keeps the block with this identity offline. */
typedef gboolean (*BlockOwnedFunc)(guint32 index, guint64 inode, gpointer user_data);

/**
 * online_policy_decide: what to write to which block.
 * @candidates: blocks that are new (an `add` uevent, or offline at start), any order,
 *   repeats allowed; ones that @snapshot does not have are passed over.
 * @is_owned: a block of which it says TRUE is left alone. May be NULL.
 *
 * Only blocks that are offline, and that a DIMM or a virtio-mem device backs or that nothing backs
 * yet (a DIMM's firmware_node is linked after its blocks come online), are brought online: never
 * boot RAM, never a device of kind `other`.
 *
 * Return: (transfer full): a GArray of OnlineStep, ascending by index; empty for policy `none`.
 */
GArray *online_policy_decide(OnlinePolicy policy, const Snapshot *snapshot,
                             const guint32 *candidates, guint n_candidates, BlockOwnedFunc is_owned,
                             gpointer user_data);
