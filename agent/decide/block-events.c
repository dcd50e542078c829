/*
 * One walk over two snapshots; each kind of event gathers its ranges by itself.
 */
#include "decide/block-events.h"

typedef struct {
    GArray *events[BLOCK_EVENT_KINDS]; /* of BlockEvent */
} Gathering;

const char *block_event_name(BlockEventKind kind)
{
    switch (kind) {
    case BLOCKS_OFFLINED:
        return "MEMORY_OFFLINED";
    case BLOCKS_REMOVED:
        return "MEMORY_REMOVED";
    case BLOCKS_ADDED:
        return "MEMORY_ADDED";
    case BLOCKS_ONLINED:
        return "MEMORY_ONLINED";
    case BLOCK_EVENT_KINDS:
        break;
    }
    g_assert_not_reached();
}

static gboolean is_online(const Block *block)
{
    return block->state == BLOCK_STATE_ONLINE || block->state == BLOCK_STATE_GOING_OFFLINE;
}

/* Takes BLOCK of SNAPSHOT into the last range of KIND, or begins another. */
static void gather(Gathering *g, BlockEventKind kind, const Snapshot *snapshot, const Block *block)
{
    GArray *events = g->events[kind];
    const Device *device = snapshot_block_device(snapshot, block);
    const char *id = device != NULL ? device->id : "";
    Zone zone = kind == BLOCKS_ONLINED ? block->zone : ZONE_UNKNOWN;

    if (events->len > 0) {
        BlockEvent *last = &g_array_index(events, BlockEvent, events->len - 1);

        if (last->first_block + last->block_count == block->index && last->zone == zone &&
            g_str_equal(last->device, id)) {
            last->block_count++;
            return;
        }
    }
    BlockEvent event = {.kind = kind, .first_block = block->index, .block_count = 1, .zone = zone};
    g_strlcpy(event.device, id, sizeof event.device);
    g_array_append_val(events, event);
}

static void gather_gone(Gathering *g, const Snapshot *before, const Block *block)
{
    if (is_online(block))
        gather(g, BLOCKS_OFFLINED, before, block);
    gather(g, BLOCKS_REMOVED, before, block);
}

static void gather_new(Gathering *g, const Snapshot *now, const Block *block)
{
    gather(g, BLOCKS_ADDED, now, block);
    if (is_online(block))
        gather(g, BLOCKS_ONLINED, now, block);
}

/* The same block at both moments. */
static void gather_changed(Gathering *g, const Snapshot *now, const Block *old, const Block *fresh)
{
    /* A zone that was not known has not changed. */
    gboolean has_moved = old->state == BLOCK_STATE_ONLINE && fresh->state == BLOCK_STATE_ONLINE &&
                         old->zone != fresh->zone && old->zone != ZONE_UNKNOWN &&
                         fresh->zone != ZONE_UNKNOWN;

    if (is_online(old) && (!is_online(fresh) || has_moved))
        gather(g, BLOCKS_OFFLINED, now, fresh);
    if (is_online(fresh) && (!is_online(old) || has_moved))
        gather(g, BLOCKS_ONLINED, now, fresh);
}

static void walk(Gathering *g, const Snapshot *before, const Snapshot *now)
{
    guint32 i = 0, j = 0;

    while (i < before->block_count || j < now->block_count) {
        const Block *old = i < before->block_count ? &before->blocks[i] : NULL;
        const Block *fresh = j < now->block_count ? &now->blocks[j] : NULL;

        if (fresh == NULL || (old != NULL && old->index < fresh->index)) {
            gather_gone(g, before, old);
            i++;
        } else if (old == NULL || fresh->index < old->index) {
            gather_new(g, now, fresh);
            j++;
        } else {
            if (old->inode == fresh->inode) {
                gather_changed(g, now, old, fresh);
            } else {
                gather_gone(g, before, old);
                gather_new(g, now, fresh);
            }
            i++;
            j++;
        }
    }
}

GArray *block_events_find(const Snapshot *before, const Snapshot *now)
{
    GArray *all = g_array_new(FALSE, TRUE, sizeof(BlockEvent));
    Gathering g;

    if (before == now)
        return all;
    for (guint kind = 0; kind < BLOCK_EVENT_KINDS; kind++)
        g.events[kind] = g_array_new(FALSE, TRUE, sizeof(BlockEvent));
    walk(&g, before, now);
    for (guint kind = 0; kind < BLOCK_EVENT_KINDS; kind++) {
        g_array_append_vals(all, g.events[kind]->data, g.events[kind]->len);
        g_array_free(g.events[kind], TRUE);
    }
    return all;
}
