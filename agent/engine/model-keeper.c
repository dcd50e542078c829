/*
 * The current snapshot. A batch of events becomes one refresh; an overflowed socket becomes a scan,
 * compared with what was there before. What changed waits in here until the loop tells it.
 */
#include "engine/model-keeper.h"

#include "os/loop.h"
#include "os/monitor.h"

struct ModelKeeper {
    const AttrIo *io;
    Monitor *monitor; /* NULL below a sysroot */
    Snapshot *snapshot;
    gboolean is_stale; /* the last scan failed: the next look scans again */
    /* News that is not told yet: all that came since `told`, which is NULL while there is none. */
    Snapshot *told;
    GArray *touched;
    GArray *added;
    guint news; /* the source that tells it */
    ModelChangeFunc func;
    gpointer user_data;
};

static void tell(ModelKeeper *keeper)
{
    /* Held here: whoever is told may make the keeper look again, which is news of its own. */
    g_autoptr(Snapshot) before = g_steal_pointer(&keeper->told);
    g_autoptr(Snapshot) now = snapshot_ref(keeper->snapshot);
    g_autoptr(GArray) touched = g_steal_pointer(&keeper->touched);
    g_autoptr(GArray) added = g_steal_pointer(&keeper->added);
    ModelChange change = {
        .before = before,
        .now = now,
        .touched = (const guint32 *)touched->data,
        .n_touched = touched->len,
        .added = (const guint32 *)added->data,
        .n_added = added->len,
    };

    keeper->touched = g_array_new(FALSE, FALSE, sizeof(guint32));
    keeper->added = g_array_new(FALSE, FALSE, sizeof(guint32));
    keeper->func(&change, keeper->user_data);
}

static gboolean on_news(gpointer user_data)
{
    ModelKeeper *keeper = user_data;

    keeper->news = 0;
    tell(keeper);
    return G_SOURCE_REMOVE;
}

/* NOW (transfer full) is the snapshot from here on; what differs is told from the loop. */
static void replace(ModelKeeper *keeper, Snapshot *now, const GArray *touched, const GArray *added)
{
    g_autoptr(Snapshot) before = g_steal_pointer(&keeper->snapshot);

    keeper->snapshot = now;
    if (!keeper->told)
        keeper->told = g_steal_pointer(&before);
    g_array_append_vals(keeper->touched, touched->data, touched->len);
    g_array_append_vals(keeper->added, added->data, added->len);
    if (!keeper->news)
        keeper->news = g_idle_add_full(LOOP_PRIORITY_DUE, on_news, keeper, NULL);
}

/* What a scan found to differ, as a batch would have told it. */
static void compare(const Snapshot *before, const Snapshot *now, GArray *touched, GArray *added)
{
    guint32 i = 0, j = 0;

    while (i < before->block_count || j < now->block_count) {
        const Block *old = i < before->block_count ? &before->blocks[i] : NULL;
        const Block *fresh = j < now->block_count ? &now->blocks[j] : NULL;
        if (!fresh || (old && old->index < fresh->index)) {
            g_array_append_val(touched, old->index);
            i++;
        } else if (!old || fresh->index < old->index) {
            g_array_append_val(touched, fresh->index);
            g_array_append_val(added, fresh->index);
            j++;
        } else {
            if (old->inode != fresh->inode)
                g_array_append_val(added, fresh->index);
            if (old->inode != fresh->inode || old->state != fresh->state ||
                old->zone != fresh->zone)
                g_array_append_val(touched, fresh->index);
            i++;
            j++;
        }
    }
}

static void rescan(ModelKeeper *keeper)
{
    g_autoptr(GArray) touched = g_array_new(FALSE, FALSE, sizeof(guint32));
    g_autoptr(GArray) added = g_array_new(FALSE, FALSE, sizeof(guint32));
    g_autoptr(GError) error = NULL;

    /* Below a sysroot there is no "before" that an event could have announced; nor where the kernel
     * showed no blocks. */
    Snapshot *now = keeper->monitor && !keeper->snapshot->fault
                        ? snapshot_rescan(keeper->snapshot, keeper->io, &error)
                        : snapshot_scan_or_fault(keeper->io);
    keeper->is_stale = !now || now->fault;
    if (!now) {
        g_warning("cannot scan the memory blocks: %s", error->message);
        return;
    }
    compare(keeper->snapshot, now, touched, added);
    replace(keeper, now, touched, added);
}

static void on_batch(const MonitorBatch *batch, gpointer user_data)
{
    ModelKeeper *keeper = user_data;

    if (batch->overflowed)
        g_message("more memory events came than the socket holds: scanning again");
    if (batch->overflowed || keeper->is_stale) {
        rescan(keeper);
        return;
    }
    Snapshot *now = snapshot_refresh(keeper->snapshot, keeper->io,
                                     (const guint32 *)batch->touched->data, batch->touched->len);
    replace(keeper, now, batch->touched, batch->added);
}

ModelKeeper *model_keeper_new(const AttrIo *io, guint event_buffer_bytes, ModelChangeFunc func,
                              gpointer user_data, GError **error)
{
    ModelKeeper *keeper = g_new0(ModelKeeper, 1);

    keeper->io = io;
    keeper->func = func;
    keeper->user_data = user_data;
    keeper->touched = g_array_new(FALSE, FALSE, sizeof(guint32));
    keeper->added = g_array_new(FALSE, FALSE, sizeof(guint32));
    /* The monitor first: what happens during the scan is then announced after it. */
    if (event_buffer_bytes > 0)
        keeper->monitor = monitor_new(event_buffer_bytes, on_batch, keeper, error);
    if (event_buffer_bytes == 0 || keeper->monitor)
        keeper->snapshot = snapshot_scan_or_fault(io);
    if (!keeper->snapshot) {
        model_keeper_free(keeper);
        return NULL;
    }
    keeper->is_stale = keeper->snapshot->fault != 0;
    if (keeper->snapshot->fault)
        g_warning("the memory blocks cannot be looked after: /%s: %s", keeper->snapshot->fault_path,
                  g_strerror(keeper->snapshot->fault));
    return keeper;
}

void model_keeper_free(ModelKeeper *keeper)
{
    if (!keeper)
        return;
    g_clear_handle_id(&keeper->news, g_source_remove);
    monitor_free(keeper->monitor);
    snapshot_unref(keeper->told);
    snapshot_unref(keeper->snapshot);
    g_array_unref(keeper->touched);
    g_array_unref(keeper->added);
    g_free(keeper);
}

/* A DIMM's link and a virtio-mem block's node come after the last event. */
static void tie_loose_ends(ModelKeeper *keeper)
{
    g_autoptr(GArray) touched = g_array_new(FALSE, FALSE, sizeof(guint32));
    g_autoptr(GArray) added = g_array_new(FALSE, FALSE, sizeof(guint32));

    if (!snapshot_has_loose_ends(keeper->snapshot))
        return;
    g_autoptr(Snapshot) now = snapshot_refresh(keeper->snapshot, keeper->io, NULL, 0);
    if (now == keeper->snapshot)
        return;
    compare(keeper->snapshot, now, touched, added);
    replace(keeper, g_steal_pointer(&now), touched, added);
}

Snapshot *model_keeper_catch_up(ModelKeeper *keeper)
{
    if (!keeper->monitor) {
        rescan(keeper);
        return keeper->snapshot;
    }
    monitor_drain(keeper->monitor);
    if (keeper->is_stale)
        rescan(keeper);
    tie_loose_ends(keeper);
    return keeper->snapshot;
}

Snapshot *model_keeper_catch_up_for_answer(ModelKeeper *keeper)
{
    model_keeper_catch_up(keeper);
    if (keeper->news) {
        g_clear_handle_id(&keeper->news, g_source_remove);
        tell(keeper);
    }
    return keeper->snapshot;
}

void model_keeper_reread(ModelKeeper *keeper, const guint32 *indices, guint n)
{
    g_autoptr(GArray) touched = g_array_new(FALSE, FALSE, sizeof(guint32));
    g_autoptr(GArray) added = g_array_new(FALSE, FALSE, sizeof(guint32));

    g_autoptr(Snapshot) now = snapshot_refresh(keeper->snapshot, keeper->io, indices, n);
    if (now == keeper->snapshot)
        return;
    for (guint i = 0; i < n; i++) {
        const Block *old = snapshot_find_block(keeper->snapshot, indices[i]);
        const Block *fresh = snapshot_find_block(now, indices[i]);
        if (fresh && (!old || old->inode != fresh->inode))
            g_array_append_val(added, indices[i]);
    }
    g_array_append_vals(touched, indices, n);
    replace(keeper, g_steal_pointer(&now), touched, added);
}

Snapshot *model_keeper_snapshot(const ModelKeeper *keeper)
{
    return keeper->snapshot;
}
