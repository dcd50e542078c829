/*
 * A table by block index. A block's identity is its index and inode: another inode at an index is
 * another block, of which nothing is known.
 */
#include "system/block-marks.h"

#include <stdio.h>
#include <string.h>

struct BlockMarks {
    GHashTable *by_index; /* index -> BlockMark */
    gboolean is_dirty;
};

BlockMarks *block_marks_new(void)
{
    BlockMarks *marks = g_new0(BlockMarks, 1);

    marks->by_index = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    return marks;
}

void block_marks_free(BlockMarks *marks)
{
    if (!marks)
        return;
    g_hash_table_unref(marks->by_index);
    g_free(marks);
}

const BlockMark *block_marks_find(const BlockMarks *marks, guint32 index, guint64 inode)
{
    const BlockMark *mark = g_hash_table_lookup(marks->by_index, GUINT_TO_POINTER(index));

    return mark && mark->inode == inode ? mark : NULL;
}

MarkWant block_marks_want(const BlockMarks *marks, guint32 index, guint64 inode)
{
    const BlockMark *mark = block_marks_find(marks, index, inode);

    return mark ? mark->want : MARK_WANT_POLICY;
}

void block_marks_set(BlockMarks *marks, guint32 index, const BlockMark *mark)
{
    const BlockMark *old = block_marks_find(marks, index, mark->inode);

    if (old && old->is_seen == mark->is_seen && old->want == mark->want)
        return;
    BlockMark *copy = g_new(BlockMark, 1);
    *copy = *mark;
    g_hash_table_insert(marks->by_index, GUINT_TO_POINTER(index), copy);
    marks->is_dirty = TRUE;
}

void block_marks_prune(BlockMarks *marks, const Snapshot *snapshot)
{
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, marks->by_index);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const Block *block = snapshot_find_block(snapshot, GPOINTER_TO_UINT(key));
        if (block && block->inode == ((BlockMark *)value)->inode)
            continue;
        g_hash_table_iter_remove(&iter);
        marks->is_dirty = TRUE;
    }
}

void block_marks_forget_wants(BlockMarks *marks)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, marks->by_index);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        BlockMark *mark = value;
        marks->is_dirty |= mark->want != MARK_WANT_POLICY;
        mark->want = MARK_WANT_POLICY;
    }
}

gboolean block_marks_is_dirty(const BlockMarks *marks)
{
    return marks->is_dirty;
}

void block_marks_clean(BlockMarks *marks)
{
    marks->is_dirty = FALSE;
}

char *block_marks_format(const BlockMarks *marks)
{
    GString *text = g_string_new(NULL);
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, marks->by_index);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const BlockMark *mark = value;
        g_string_append_printf(text, "%u %" G_GUINT64_FORMAT " %d %d\n", GPOINTER_TO_UINT(key),
                               mark->inode, mark->is_seen != FALSE, (int)mark->want);
    }
    return g_string_free(text, FALSE);
}

BlockMarks *block_marks_parse(const char *text)
{
    g_autoptr(BlockMarks) marks = block_marks_new();

    while (*text) {
        guint64 index, inode;
        int is_seen, want, length = 0;

        if (sscanf(text, "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %1d %1d%n", &index, &inode,
                   &is_seen, &want, &length) != 4 ||
            text[length] != '\n' || index > G_MAXUINT32 || is_seen < 0 || is_seen > 1 ||
            want < MARK_WANT_POLICY || want > MARK_WANT_KERNEL ||
            g_hash_table_size(marks->by_index) >= BLOCK_MARKS_MAX)
            return NULL;
        BlockMark mark = {.inode = inode, .is_seen = is_seen, .want = (MarkWant)want};
        block_marks_set(marks, (guint32)index, &mark);
        text += length + 1;
    }
    marks->is_dirty = FALSE;
    return g_steal_pointer(&marks);
}
