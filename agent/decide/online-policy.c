/*
 * The online policy: which offline blocks become memory, and in which zone. Decides only, and only
 * about blocks that hot-added memory may be behind: never boot RAM, never another driver's.
 */
#include "decide/online-policy.h"

#include <string.h>

#include "decide/auto-movable.h"

static const char *const names[] = {
    [ONLINE_POLICY_MOVABLE] = "movable",
    [ONLINE_POLICY_KERNEL] = "kernel",
    [ONLINE_POLICY_AUTO] = "auto",
    [ONLINE_POLICY_NONE] = "none",
};

const char *online_policy_name(OnlinePolicy policy)
{
    return names[policy];
}

gboolean online_policy_parse(const char *name, OnlinePolicy *policy)
{
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            *policy = (OnlinePolicy)i;
            return TRUE;
        }
    }
    return FALSE;
}

static gint compare_indices(gconstpointer a, gconstpointer b)
{
    guint32 left = *(const guint32 *)a, right = *(const guint32 *)b;

    return left < right ? -1 : left > right;
}

/* Offline, nobody's, and such as hot-added memory has; ascending, each once. Of Block pointers. */
static GPtrArray *select_blocks(const OnlineWorld *world, const guint32 *candidates, guint n)
{
    g_autoptr(GArray) sorted = g_array_sized_new(FALSE, FALSE, sizeof(guint32), n);
    GPtrArray *blocks = g_ptr_array_new();

    g_array_append_vals(sorted, candidates, n);
    g_array_sort(sorted, compare_indices);
    for (guint i = 0; i < n; i++) {
        guint32 index = g_array_index(sorted, guint32, i);
        const Block *block = snapshot_find_block(world->snapshot, index);

        if (!block || block->state != BLOCK_STATE_OFFLINE ||
            (i > 0 && g_array_index(sorted, guint32, i - 1) == index))
            continue;
        const Device *device = snapshot_block_device(world->snapshot, block);
        if (device && device->kind != DEVICE_DIMM && device->kind != DEVICE_VIRTIO_MEM)
            continue;
        if (!world->is_owned || !world->is_owned(block->index, block->inode, world->user_data))
            g_ptr_array_add(blocks, (gpointer)block);
    }
    return blocks;
}

/* The floor's bookkeeping: a device that goes to the kernel zone lifts what there is to spare. */
typedef struct {
    guint64 spare_bytes;
    guint64 floor_bytes;
    const Block *last; /* the block before, and where it went */
    gboolean last_below;
} Floor;

/* Devices go one way whole; blocks that nothing backs yet, as far as they lie side by side. */
static gboolean is_below_floor(Floor *floor, const Snapshot *snapshot, const Block *block)
{
    gboolean is_same = floor->last && floor->last->device == block->device &&
                       (block->device >= 0 || floor->last->index + 1 == block->index);

    if (!is_same)
        floor->last_below = floor->spare_bytes < floor->floor_bytes;
    floor->last = block;
    if (floor->last_below && floor->spare_bytes < G_MAXUINT64 - snapshot->block_size_bytes)
        floor->spare_bytes += snapshot->block_size_bytes;
    return floor->last_below;
}

GArray *online_policy_decide(const OnlineConfig *config, const OnlineWorld *world,
                             const guint32 *candidates, guint n_candidates, GArray **undecided)
{
    GArray *steps = g_array_new(FALSE, FALSE, sizeof(OnlineStep));
    g_autoptr(GPtrArray) blocks = select_blocks(world, candidates, n_candidates);
    g_autoptr(AutoMovable) movable = auto_movable_new(config, world);
    Floor floor = {.spare_bytes = online_kernel_spare_bytes(world->zones),
                   .floor_bytes = online_floor_bytes(config, world->zones)};

    if (undecided)
        *undecided = g_array_new(FALSE, FALSE, sizeof(guint32));
    for (guint i = 0; i < blocks->len && config->policy != ONLINE_POLICY_NONE; i++) {
        const Block *block = blocks->pdata[i];
        const Device *device = snapshot_block_device(world->snapshot, block);
        OnlineStep step = {.index = block->index, .inode = block->inode, .verb = "online_movable"};

        if (config->policy == ONLINE_POLICY_AUTO && !device) {
            if (undecided)
                g_array_append_val(*undecided, block->index);
            continue;
        }
        if (config->policy == ONLINE_POLICY_KERNEL ||
            (config->policy == ONLINE_POLICY_AUTO && !auto_movable_decide(movable, device, block)))
            step.verb = "online_kernel";
        else if ((step.is_floor = is_below_floor(&floor, world->snapshot, block)))
            step.verb = "online_kernel";
        g_array_append_val(steps, step);
    }
    return steps;
}
