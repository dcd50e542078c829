/*
 * The marks and their file. A change is written soon; before the daemon takes a
 * block offline it is written at once, so that a killed daemon's successor knows that nobody chose
 * it to be offline.
 */
#include "engine/mark-keeper.h"

#include <string.h>

#include "os/boot-file.h"

#define MARKS_FILE "blocks"
/* A DIMM brings many changes at once. */
#define SAVE_AFTER_MS 200

struct MarkKeeper {
    const char *state_dir;
    const char *boot_id;
    OnlinePolicy policy;
    BlockMarks *marks;
    guint timer;
    gboolean has_warned;
};

/* The policy's name and a newline, then the marks. */
static BlockMarks *parse(const char *text, OnlinePolicy policy)
{
    const char *name = online_policy_name(policy);
    const char *rest = strchr(text, '\n');
    BlockMarks *marks = rest ? block_marks_parse(rest + 1) : NULL;

    if (marks && (strncmp(text, name, strlen(name)) != 0 || text + strlen(name) != rest))
        block_marks_forget_wants(marks);
    return marks;
}

MarkKeeper *mark_keeper_new(const char *state_dir, const char *boot_id, OnlinePolicy policy)
{
    MarkKeeper *mark_keeper = g_new0(MarkKeeper, 1);
    g_autoptr(GError) error = NULL;

    mark_keeper->state_dir = state_dir;
    mark_keeper->boot_id = boot_id;
    mark_keeper->policy = policy;
    g_autofree char *text = boot_file_load(state_dir, MARKS_FILE, boot_id, &error);
    if (error)
        g_warning("what was known of blocks is lost: %s", error->message);
    mark_keeper->marks = text ? parse(text, policy) : NULL;
    if (text && !mark_keeper->marks)
        g_warning("what was known of blocks is lost: %s/" MARKS_FILE " makes no sense", state_dir);
    if (!mark_keeper->marks)
        mark_keeper->marks = block_marks_new();
    return mark_keeper;
}

gboolean mark_keeper_save(MarkKeeper *mark_keeper)
{
    g_autoptr(GError) error = NULL;

    g_clear_handle_id(&mark_keeper->timer, g_source_remove);
    if (!block_marks_is_dirty(mark_keeper->marks))
        return TRUE;
    g_autofree char *marks = block_marks_format(mark_keeper->marks);
    g_autofree char *text =
        g_strdup_printf("%s\n%s", online_policy_name(mark_keeper->policy), marks);
    if (!boot_file_save(mark_keeper->state_dir, MARKS_FILE, mark_keeper->boot_id, text, &error)) {
        if (!mark_keeper->has_warned)
            g_warning("what is known of blocks cannot be kept: %s", error->message);
        mark_keeper->has_warned = TRUE;
        return FALSE;
    }
    mark_keeper->has_warned = FALSE;
    block_marks_clean(mark_keeper->marks);
    return TRUE;
}

static gboolean on_timer(gpointer user_data)
{
    MarkKeeper *mark_keeper = user_data;

    mark_keeper->timer = 0;
    mark_keeper_save(mark_keeper);
    return G_SOURCE_REMOVE;
}

static void touch(MarkKeeper *mark_keeper)
{
    if (!mark_keeper->timer && block_marks_is_dirty(mark_keeper->marks))
        mark_keeper->timer = g_timeout_add(SAVE_AFTER_MS, on_timer, mark_keeper);
}

void mark_keeper_free(MarkKeeper *mark_keeper)
{
    if (!mark_keeper)
        return;
    mark_keeper_save(mark_keeper);
    block_marks_free(mark_keeper->marks);
    g_free(mark_keeper);
}

const BlockMarks *mark_keeper_marks(const MarkKeeper *mark_keeper)
{
    return mark_keeper->marks;
}

void mark_keeper_learn(MarkKeeper *mark_keeper, const Snapshot *snapshot, const guint32 *indices,
                       guint n)
{
    for (guint i = 0; i < n; i++) {
        const Block *block = snapshot_find_block(snapshot, indices[i]);
        if (!block || block->state != BLOCK_STATE_ONLINE)
            continue;
        const Device *device = snapshot_block_device(snapshot, block);
        if (device && device->kind != DEVICE_DIMM && device->kind != DEVICE_VIRTIO_MEM)
            continue;
        BlockMark mark = {.inode = block->inode,
                          .is_seen = TRUE,
                          .want = block_marks_want(mark_keeper->marks, block->index, block->inode)};
        if (mark_keeper->policy == ONLINE_POLICY_AUTO && mark.want == MARK_WANT_POLICY)
            mark.want = block->zone == ZONE_MOVABLE ? MARK_WANT_MOVABLE : MARK_WANT_KERNEL;
        block_marks_set(mark_keeper->marks, block->index, &mark);
    }
    touch(mark_keeper);
}

void mark_keeper_expect(MarkKeeper *mark_keeper, guint32 index, guint64 inode, MarkWant want)
{
    BlockMark mark = {.inode = inode, .is_seen = FALSE, .want = want};

    block_marks_set(mark_keeper->marks, index, &mark);
    touch(mark_keeper);
}

void mark_keeper_want_kernel(MarkKeeper *mark_keeper, const Snapshot *snapshot, const Block *block)
{
    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *each = &snapshot->blocks[i];
        if (each != block && (block->device < 0 || each->device != block->device))
            continue;
        const BlockMark *known = block_marks_find(mark_keeper->marks, each->index, each->inode);
        BlockMark mark = {
            .inode = each->inode, .is_seen = known && known->is_seen, .want = MARK_WANT_KERNEL};
        block_marks_set(mark_keeper->marks, each->index, &mark);
    }
    touch(mark_keeper);
}

void placement_unify(MarkKeeper *mark_keeper, const Snapshot *snapshot)
{
    g_autofree const Block **firsts = g_new0(const Block *, snapshot->device_count + 1);
    g_autofree gboolean *is_split = g_new0(gboolean, snapshot->device_count + 1);

    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];
        const Device *device = snapshot_block_device(snapshot, block);
        if (!device || device->kind != DEVICE_DIMM)
            continue;
        if (block_marks_want(mark_keeper->marks, block->index, block->inode) == MARK_WANT_KERNEL)
            firsts[block->device] = block;
        else
            is_split[block->device] = TRUE;
    }
    for (guint32 i = 0; i < snapshot->device_count; i++) {
        if (firsts[i] && is_split[i])
            mark_keeper_want_kernel(mark_keeper, snapshot, firsts[i]);
    }
}

void mark_keeper_set_policy(MarkKeeper *mark_keeper, OnlinePolicy policy)
{
    if (policy == mark_keeper->policy)
        return;
    mark_keeper->policy = policy;
    block_marks_forget_wants(mark_keeper->marks);
    touch(mark_keeper);
}

void mark_keeper_prune(MarkKeeper *mark_keeper, const Snapshot *snapshot)
{
    block_marks_prune(mark_keeper->marks, snapshot);
    touch(mark_keeper);
}
