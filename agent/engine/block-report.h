/*
 * From the model's words to the state machine's: what a snapshot says of a block.
 */
#pragma once

#include "decide/unplug.h"
#include "system/snapshot.h"

/* Of the block with this identity: another inode at its index means that it is gone. ERROR is the
 * errno of a write to it, or 0. */
BlockReport block_report_of(const Snapshot *snapshot, guint32 index, guint64 inode, int error);
/* Of whatever block has this index now; inode 0: none has. */
BlockReport block_report_at(const Snapshot *snapshot, guint32 index);
