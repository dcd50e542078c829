/*
 * The marks and their file. A change is written soon; before the daemon takes a
 * block offline it is written at once, so that a killed daemon's successor knows that nobody chose
 * it to be offline.
 */
#include "engine/placement.h"

#include <string.h>

#include "os/boot-file.h"

#define MARKS_FILE "blocks"
/* A DIMM brings many changes at once. */
#define SAVE_AFTER_MS 200

struct Placement {
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

Placement *placement_new(const char *state_dir, const char *boot_id, OnlinePolicy policy)
{
    Placement *placement = g_new0(Placement, 1);
    g_autoptr(GError) error = NULL;

    placement->state_dir = state_dir;
    placement->boot_id = boot_id;
    placement->policy = policy;
    g_autofree char *text = boot_file_load(state_dir, MARKS_FILE, boot_id, &error);
    if (error)
        g_warning("what was known of blocks is lost: %s", error->message);
    placement->marks = text ? parse(text, policy) : NULL;
    if (text && !placement->marks)
        g_warning("what was known of blocks is lost: %s/" MARKS_FILE " makes no sense", state_dir);
    if (!placement->marks)
        placement->marks = block_marks_new();
    return placement;
}

gboolean placement_save(Placement *placement)
{
    g_autoptr(GError) error = NULL;

    g_clear_handle_id(&placement->timer, g_source_remove);
    if (!block_marks_is_dirty(placement->marks))
        return TRUE;
    g_autofree char *marks = block_marks_format(placement->marks);
    g_autofree char *text = g_strdup_printf("%s\n%s", online_policy_name(placement->policy), marks);
    if (!boot_file_save(placement->state_dir, MARKS_FILE, placement->boot_id, text, &error)) {
        if (!placement->has_warned)
            g_warning("what is known of blocks cannot be kept: %s", error->message);
        placement->has_warned = TRUE;
        return FALSE;
    }
    placement->has_warned = FALSE;
    block_marks_clean(placement->marks);
    return TRUE;
}

static gboolean on_timer(gpointer user_data)
{
    Placement *placement = user_data;

    placement->timer = 0;
    placement_save(placement);
    return G_SOURCE_REMOVE;
}

static void touch(Placement *placement)
{
    if (!placement->timer && block_marks_is_dirty(placement->marks))
        placement->timer = g_timeout_add(SAVE_AFTER_MS, on_timer, placement);
}

void placement_free(Placement *placement)
{
    if (!placement)
        return;
    placement_save(placement);
    block_marks_free(placement->marks);
    g_free(placement);
}

const BlockMarks *placement_marks(const Placement *placement)
{
    return placement->marks;
}

void placement_learn(Placement *placement, const Snapshot *snapshot, const guint32 *indices,
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
                          .want = block_marks_want(placement->marks, block->index, block->inode)};
        if (placement->policy == ONLINE_POLICY_AUTO && mark.want == MARK_WANT_POLICY)
            mark.want = block->zone == ZONE_MOVABLE ? MARK_WANT_MOVABLE : MARK_WANT_KERNEL;
        block_marks_set(placement->marks, block->index, &mark);
    }
    touch(placement);
}

void placement_expect(Placement *placement, guint32 index, guint64 inode, MarkWant want)
{
    BlockMark mark = {.inode = inode, .is_seen = FALSE, .want = want};

    block_marks_set(placement->marks, index, &mark);
    touch(placement);
}

void placement_want_kernel(Placement *placement, const Snapshot *snapshot, const Block *block)
{
    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *each = &snapshot->blocks[i];
        if (each != block && (block->device < 0 || each->device != block->device))
            continue;
        const BlockMark *known = block_marks_find(placement->marks, each->index, each->inode);
        BlockMark mark = {
            .inode = each->inode, .is_seen = known && known->is_seen, .want = MARK_WANT_KERNEL};
        block_marks_set(placement->marks, each->index, &mark);
    }
    touch(placement);
}

void placement_unify(Placement *placement, const Snapshot *snapshot)
{
    g_autofree const Block **firsts = g_new0(const Block *, snapshot->device_count + 1);
    g_autofree gboolean *is_split = g_new0(gboolean, snapshot->device_count + 1);

    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];
        const Device *device = snapshot_block_device(snapshot, block);
        if (!device || device->kind != DEVICE_DIMM)
            continue;
        if (block_marks_want(placement->marks, block->index, block->inode) == MARK_WANT_KERNEL)
            firsts[block->device] = block;
        else
            is_split[block->device] = TRUE;
    }
    for (guint32 i = 0; i < snapshot->device_count; i++) {
        if (firsts[i] && is_split[i])
            placement_want_kernel(placement, snapshot, firsts[i]);
    }
}

void placement_set_policy(Placement *placement, OnlinePolicy policy)
{
    if (policy == placement->policy)
        return;
    placement->policy = policy;
    block_marks_forget_wants(placement->marks);
    touch(placement);
}

void placement_prune(Placement *placement, const Snapshot *snapshot)
{
    block_marks_prune(placement->marks, snapshot);
    touch(placement);
}
