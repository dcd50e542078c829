/*
 * What the daemon remembers of hot-added blocks beyond what sysfs shows: whether one has been
 * online already (then, offline, it is an administrator's choice), and where it is meant to be.
 * Data only: in a file of statedir it outlives the daemon.
 */
#pragma once

#include <glib.h>

#include "system/snapshot.h"

typedef enum {
    MARK_WANT_POLICY,  /* wherever the policy in force says */
    MARK_WANT_MOVABLE, /* this device was decided to be movable */
    MARK_WANT_KERNEL,  /* this device was decided to be in a kernel zone */
} MarkWant;

typedef struct {
    guint64 inode;
    gboolean is_seen; /* it has been online; FALSE: it is to be brought online */
    MarkWant want;
} BlockMark;

typedef struct BlockMarks BlockMarks;

BlockMarks *block_marks_new(void);
void block_marks_free(BlockMarks *marks); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BlockMarks, block_marks_free)

/* Of the block with this identity, or NULL. Borrowed until the next change. */
const BlockMark *block_marks_find(const BlockMarks *marks, guint32 index, guint64 inode);
MarkWant block_marks_want(const BlockMarks *marks, guint32 index, guint64 inode);
void block_marks_set(BlockMarks *marks, guint32 index, const BlockMark *mark);
/* Forgets blocks that SNAPSHOT does not have. */
void block_marks_prune(BlockMarks *marks, const Snapshot *snapshot);
/* Another policy: where blocks are meant to be is open again. */
void block_marks_forget_wants(BlockMarks *marks);

/* Whether anything changed since the last call of block_marks_clean(). */
gboolean block_marks_is_dirty(const BlockMarks *marks);
void block_marks_clean(BlockMarks *marks);

#define BLOCK_MARKS_MAX (1 << 20)
/* One line each: index, inode, seen, want. (transfer full) */
char *block_marks_format(const BlockMarks *marks);
/* NULL where a line makes no sense, or there are more than BLOCK_MARKS_MAX. */
BlockMarks *block_marks_parse(const char *text);
