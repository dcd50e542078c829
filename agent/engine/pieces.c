/*
 * A round goes over all online blocks of virtio-mem devices. What it finds counts at once.
 */
#include "engine/pieces.h"

#include <unistd.h>

#include "os/loop.h"
#include "system/balloon.h"
#include "system/meminfo.h"
#include "system/page-sample.h"

#define PAUSE_MIN_MS 250
#define PAUSE_MAX_MS 60000

typedef struct {
    guint64 inode;
    guint64 missing_bytes;
} Found;

/* The last round while no balloon held anything: what it found is exact. */
typedef struct {
    gboolean is_set;
    guint64 missing_bytes;
    guint64 total_bytes;  /* MemTotal */
    guint64 online_bytes; /* of all blocks */
} Anchor;

struct Pieces {
    const AttrIo *io;
    PiecesChangedFunc func;
    gpointer user_data;
    GHashTable *found;   /* block index -> Found */
    Snapshot *snapshot;  /* of the round that runs, or the last one; NULL: none yet */
    guint64 total_bytes; /* MemTotal as the round began */
    guint32 next; /* position of the next block in `snapshot`; its count: the round is over */
    gboolean has_changed; /* in this round */
    Anchor anchor;
    guint64 surplus_bytes; /* what the round took for not plugged, and a balloon holds */
    guint more;            /* the source that goes on with the round */
    gboolean is_watching;
    guint watch; /* the source of the next look */
    guint pause_ms;
};

Pieces *pieces_new(const AttrIo *io, PiecesChangedFunc func, gpointer user_data)
{
    Pieces *pieces = g_new0(Pieces, 1);

    pieces->io = io;
    pieces->func = func;
    pieces->user_data = user_data;
    pieces->found = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    return pieces;
}

void pieces_free(Pieces *pieces)
{
    if (!pieces)
        return;
    g_clear_handle_id(&pieces->more, g_source_remove);
    g_clear_handle_id(&pieces->watch, g_source_remove);
    snapshot_unref(pieces->snapshot);
    g_hash_table_unref(pieces->found);
    g_free(pieces);
}

static gboolean is_looked_at(const Snapshot *snapshot, const Block *block)
{
    const Device *device = snapshot_block_device(snapshot, block);

    return block->state == BLOCK_STATE_ONLINE && device && device->kind == DEVICE_VIRTIO_MEM;
}

static const Found *find(const Pieces *pieces, const Block *block)
{
    const Found *found = g_hash_table_lookup(pieces->found, GUINT_TO_POINTER(block->index));

    return found && found->inode == block->inode ? found : NULL;
}

static void look_at(Pieces *pieces, const Block *block)
{
    guint64 page_bytes = (guint64)sysconf(_SC_PAGESIZE);
    guint64 n_pages = pieces->snapshot->block_size_bytes / page_bytes;
    guint64 piece_pages = MAX(FIGURES_GRAIN_BYTES / page_bytes, 1);
    gint64 n = page_count_offline(pieces->io, block->index * n_pages, n_pages, piece_pages);
    const Found *before = find(pieces, block);
    Found now = {.inode = block->inode};

    if (n < 0)
        return; /* not known: as it was */
    now.missing_bytes = (guint64)n * page_bytes;
    pieces->has_changed |= (before ? before->missing_bytes : 0) != now.missing_bytes;
    Found *kept = g_new(Found, 1);
    *kept = now;
    g_hash_table_insert(pieces->found, GUINT_TO_POINTER(block->index), kept);
}

static guint64 sum_found(const Pieces *pieces, const Snapshot *snapshot, const Device *device)
{
    guint64 bytes = 0;

    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];
        const Found *found = is_looked_at(snapshot, block) ? find(pieces, block) : NULL;
        if (found && (!device || snapshot_block_device(snapshot, block) == device))
            bytes += found->missing_bytes;
    }
    return bytes;
}

/* A balloon likes movable memory, and a piece that it holds whole looks as if it were not plugged.
 * Both take what they take off MemTotal: so that tells, since the anchor, how much of the sum is
 * the driver's. At most what the balloon holds is not. */
static void correct(Pieces *pieces)
{
    const Snapshot *snapshot = pieces->snapshot;
    const Anchor *anchor = &pieces->anchor;
    guint64 found_bytes = sum_found(pieces, snapshot, NULL);
    guint64 held_bytes, online_bytes = 0;
    int error = balloon_held_bytes(pieces->io, (guint64)sysconf(_SC_PAGESIZE), &held_bytes);

    for (guint32 i = 0; i < snapshot->block_count; i++)
        online_bytes +=
            snapshot->blocks[i].state == BLOCK_STATE_ONLINE ? snapshot->block_size_bytes : 0;
    pieces->surplus_bytes = 0;
    if (held_bytes == 0 && error == 0)
        pieces->anchor = (Anchor){.is_set = TRUE,
                                  .missing_bytes = found_bytes,
                                  .total_bytes = pieces->total_bytes,
                                  .online_bytes = online_bytes};
    if (held_bytes == 0 || !anchor->is_set)
        return;
    gint64 driver_bytes = (gint64)(anchor->missing_bytes + online_bytes + anchor->total_bytes) -
                          (gint64)(anchor->online_bytes + pieces->total_bytes + held_bytes);
    gint64 least_bytes = MAX((gint64)found_bytes - (gint64)held_bytes, 0);
    pieces->surplus_bytes =
        found_bytes - (guint64)CLAMP(driver_bytes, least_bytes, (gint64)found_bytes);
}

/* Goes on with the round for a turn. Whether it is over. */
static gboolean go_on(Pieces *pieces)
{
    gint64 start_usec = g_get_monotonic_time();

    for (; pieces->next < pieces->snapshot->block_count; pieces->next++) {
        const Block *block = &pieces->snapshot->blocks[pieces->next];
        if (!is_looked_at(pieces->snapshot, block))
            continue;
        if (loop_turn_is_over(start_usec))
            return FALSE;
        look_at(pieces, block);
    }
    correct(pieces);
    return TRUE;
}

static gboolean on_more(gpointer user_data)
{
    Pieces *pieces = user_data;

    if (!go_on(pieces))
        return G_SOURCE_CONTINUE;
    pieces->more = 0;
    if (pieces->has_changed)
        pieces->func(pieces->user_data);
    return G_SOURCE_REMOVE;
}

static gboolean has_virtio_mem(const Snapshot *snapshot)
{
    for (guint32 i = 0; i < snapshot->device_count; i++) {
        if (snapshot->devices[i].kind == DEVICE_VIRTIO_MEM)
            return TRUE;
    }
    return FALSE;
}

/* Begins a round where one is due, and does a turn of it. Whether it began one. */
static gboolean update(Pieces *pieces, Snapshot *snapshot)
{
    Meminfo meminfo;

    if (!has_virtio_mem(snapshot) || meminfo_read(pieces->io, &meminfo) < 0 ||
        (snapshot == pieces->snapshot && meminfo.total_bytes == pieces->total_bytes))
        return FALSE;
    g_clear_handle_id(&pieces->more, g_source_remove);
    snapshot_ref(snapshot);
    snapshot_unref(pieces->snapshot);
    pieces->snapshot = snapshot;
    pieces->total_bytes = meminfo.total_bytes;
    pieces->next = 0;
    pieces->has_changed = FALSE;
    /* What a question has found is news to others. */
    if (!go_on(pieces) || pieces->has_changed)
        pieces->more = g_idle_add(on_more, pieces);
    return TRUE;
}

void pieces_update(Pieces *pieces, Snapshot *snapshot)
{
    update(pieces, snapshot);
}

/* --- without being asked --- */

static gboolean on_watch(gpointer user_data)
{
    Pieces *pieces = user_data;
    g_autoptr(Snapshot) snapshot = snapshot_ref(pieces->snapshot);
    gboolean is_news = update(pieces, snapshot);

    pieces->pause_ms = is_news ? PAUSE_MIN_MS : MIN(2 * pieces->pause_ms, PAUSE_MAX_MS);
    pieces->watch = g_timeout_add(pieces->pause_ms, on_watch, pieces);
    return G_SOURCE_REMOVE;
}

void pieces_watch(Pieces *pieces, gboolean is_on, Snapshot *snapshot)
{
    g_clear_handle_id(&pieces->watch, g_source_remove);
    update(pieces, snapshot);
    if (!is_on || !pieces->snapshot)
        return;
    pieces->pause_ms = PAUSE_MIN_MS;
    pieces->watch = g_timeout_add(pieces->pause_ms, on_watch, pieces);
}

/* --- figures --- */

gboolean pieces_is_known(const Pieces *pieces)
{
    return g_hash_table_size(pieces->found) > 0;
}

guint64 pieces_missing_bytes(const Pieces *pieces, const Snapshot *snapshot, const Device *device)
{
    if (!pieces_is_known(pieces))
        return 0;
    guint64 bytes = sum_found(pieces, snapshot, device);
    guint64 all_bytes = device ? sum_found(pieces, snapshot, NULL) : bytes;

    /* Which device the balloon took it from is not known: a share of each. */
    return all_bytes == 0 ? 0
                          : bytes - MIN(bytes, (guint64)((double)pieces->surplus_bytes *
                                                         (double)bytes / (double)all_bytes));
}

Figures pieces_figures(Pieces *pieces, Snapshot *snapshot)
{
    Figures figures = figures_read(pieces->io, snapshot);

    update(pieces, snapshot);
    figures.online_bytes -= MIN(figures.online_bytes, pieces_missing_bytes(pieces, snapshot, NULL));
    return figures;
}
