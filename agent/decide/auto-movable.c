/*
 * auto_movable_can_online_movable() and its callers, on bytes instead of pages.
 *
 * The kernel keeps one group for each device (static: a DIMM; dynamic: virtio-mem). Movable memory
 * of a dynamic group is allowed for by that group's own kernel-zone memory before it counts against
 * the rest, and it does not count at all for other groups but for what it still needs.
 */
#include "decide/auto-movable.h"

#include "system/zone-stats.h"

/* What a device has online on one node, or on all. */
typedef struct {
    guint64 movable_bytes;
    guint64 kernel_bytes;
} Group;

struct AutoMovable {
    const OnlineWorld *world;
    guint64 ratio;
    GHashTable *figures; /* node + 1 -> OnlineRatioFigures; 0: all nodes */
    Group *groups;       /* of each device of the snapshot */
    gint8 *decided;      /* of each device: 0 not yet, 1 movable, -1 kernel. DIMMs */
};

static OnlineRatioFigures *figures_of(AutoMovable *movable, int node)
{
    gpointer key = GINT_TO_POINTER(node + 1);
    OnlineRatioFigures *figures = g_hash_table_lookup(movable->figures, key);

    if (!figures) {
        figures = g_new(OnlineRatioFigures, 1);
        *figures = online_ratio_figures(movable->world->snapshot, movable->world->zones, node);
        g_hash_table_insert(movable->figures, key, figures);
    }
    return figures;
}

AutoMovable *auto_movable_new(const OnlineConfig *config, const OnlineWorld *world)
{
    AutoMovable *movable = g_new0(AutoMovable, 1);
    const Snapshot *snapshot = world->snapshot;

    movable->world = world;
    movable->ratio = config->movable_ratio;
    movable->figures = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    movable->groups = g_new0(Group, snapshot->device_count + 1);
    movable->decided = g_new0(gint8, snapshot->device_count + 1);
    for (guint32 i = 0; i < snapshot->device_count; i++)
        movable->groups[i] = (Group){.movable_bytes = snapshot->devices[i].online_movable_bytes,
                                     .kernel_bytes = snapshot->devices[i].online_kernel_bytes};
    return movable;
}

void auto_movable_free(AutoMovable *movable)
{
    if (!movable)
        return;
    g_hash_table_unref(movable->figures);
    g_free(movable->groups);
    g_free(movable->decided);
    g_free(movable);
}

/* auto_movable_can_online_movable() for NODE (-1: all). Of each virtio-mem device on it but DEVICE
 * only what its own kernel-zone memory does not allow for counts, against KERNEL_EARLY. */
static gboolean can_be_movable(AutoMovable *movable, const Device *device, int node,
                               guint64 new_bytes)
{
    const Snapshot *snapshot = movable->world->snapshot;
    OnlineRatioFigures figures = *figures_of(movable, node);
    guint64 required = 0;

    for (guint32 i = 0; i < snapshot->device_count; i++) {
        const Device *other = &snapshot->devices[i];
        const Group *group = &movable->groups[i];
        if (other->kind != DEVICE_VIRTIO_MEM || other == device ||
            (node >= 0 && other->node != node))
            continue;
        guint64 pays_for = group->movable_bytes * 100 / movable->ratio;
        if (pays_for > group->kernel_bytes)
            required += pays_for - group->kernel_bytes;
        figures.movable_bytes -= MIN(figures.movable_bytes, group->movable_bytes);
    }
    if (figures.kernel_early_bytes <= required)
        return FALSE;
    figures.kernel_early_bytes -= required;
    if (device->kind == DEVICE_VIRTIO_MEM)
        figures.kernel_early_bytes += movable->groups[device - snapshot->devices].kernel_bytes;
    figures.movable_bytes += new_bytes;
    return online_ratio_allows(&figures, movable->ratio);
}

static gboolean is_allowed(AutoMovable *movable, const Device *device, const Block *block,
                           guint64 new_bytes)
{
    if (!movable->world->zones || !can_be_movable(movable, device, -1, new_bytes))
        return FALSE;
    return !movable->world->is_numa_aware || block->node < 0 ||
           can_be_movable(movable, device, block->node, new_bytes);
}

static void account(AutoMovable *movable, Group *group, const Block *block, guint64 bytes)
{
    group->movable_bytes += bytes;
    figures_of(movable, -1)->movable_bytes += bytes;
    if (block->node >= 0)
        figures_of(movable, block->node)->movable_bytes += bytes;
}

gboolean auto_movable_decide(AutoMovable *movable, const Device *device, const Block *block)
{
    const Snapshot *snapshot = movable->world->snapshot;
    guint number = (guint)(device - snapshot->devices);
    Group *group = &movable->groups[number];
    guint64 size = snapshot->block_size_bytes;

    if (device->kind == DEVICE_VIRTIO_MEM) {
        if (!is_allowed(movable, device, block, size)) {
            group->kernel_bytes += size;
            return FALSE;
        }
        account(movable, group, block, size);
        return TRUE;
    }
    if (movable->decided[number] == 0) {
        guint64 rest_bytes = device->size_bytes - device->online_movable_bytes;
        gboolean yes = group->kernel_bytes == 0 && is_allowed(movable, device, block, rest_bytes);
        movable->decided[number] = yes ? 1 : -1;
        if (yes)
            account(movable, group, block, rest_bytes);
    }
    return movable->decided[number] > 0;
}
