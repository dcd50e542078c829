/*
 * The check before an unplug. It looks at every device and every block and gives every reason it
 * finds, so that a person mends all of them before asking again. It changes nothing, and says no
 * where it cannot tell.
 */
#include "decide/unplug-check.h"

#include "decide/reason.h"
#include "decide/unplug-headroom.h"
#include "system/units.h"

#define TIMEOUT_BASE_MS 30000
#define TIMEOUT_PER_GIB_MS 5000

guint64 unplug_timeout_default_ms(guint64 bytes)
{
    guint64 gib = bytes / GIB + (bytes % GIB != 0 ? 1 : 0);

    return TIMEOUT_BASE_MS + gib * TIMEOUT_PER_GIB_MS;
}

/* One kind of trouble in a device's blocks. */
typedef struct {
    guint32 count;
    gint64 first; /* index of the first such block, -1: none */
} Trouble;

static void note(Trouble *trouble, const Block *block)
{
    if (trouble->count++ == 0)
        trouble->first = block->index;
}

static const char *blocks_word(guint32 count)
{
    return count == 1 ? "block" : "blocks";
}

static void add(UnplugVerdict *verdict, Reason *reason, guint64 bytes)
{
    reason->bytes = bytes;
    g_ptr_array_add(verdict->reasons, reason);
}

static void add_not_movable(UnplugVerdict *verdict, const Device *device, const Trouble *kernel,
                            guint64 block_size_bytes)
{
    /* Not "take it offline": that is what the rezoner has tried, or is trying. */
    add(verdict,
        reason_new(REASON_NOT_MOVABLE, device->id, kernel->first, 0,
                   "%u %s of %s %s online in a kernel zone and may never become free, the first "
                   "is memory%" G_GINT64_FORMAT "; memplugd moves what can be moved (rezone=yes), "
                   "so ask again later; else unplug another device, or run memplugctl boot-policy "
                   "movable in the guest and reboot it",
                   kernel->count, blocks_word(kernel->count), device->id,
                   kernel->count == 1 ? "is" : "are", kernel->first),
        kernel->count * block_size_bytes);
}

static void check_blocks(UnplugVerdict *verdict, const UnplugCheckInput *input,
                         const Device *device)
{
    const Snapshot *snapshot = input->snapshot;
    Trouble taken = {.first = -1}, kernel = {.first = -1};
    Trouble going = {.first = -1}, strange = {.first = -1};
    gint32 own = (gint32)(device - snapshot->devices);
    guint32 begin, end;

    snapshot_device_range(snapshot, device, &begin, &end);
    for (guint32 i = begin; i < end; i++) {
        const Block *block = &snapshot->blocks[i];

        if (block->device != own)
            continue;
        if (input->is_taken != NULL &&
            input->is_taken(block->index, block->inode, input->user_data))
            note(&taken, block);
        else if (block->state == BLOCK_STATE_GOING_OFFLINE)
            note(&going, block);
        else if (block->state == BLOCK_STATE_UNKNOWN)
            note(&strange, block);
        if (block->state == BLOCK_STATE_ONLINE && block->zone != ZONE_MOVABLE)
            note(&kernel, block);
    }

    if (taken.count > 0)
        add(verdict,
            reason_new(REASON_ALREADY_PREPARING, device->id, taken.first, 0,
                       "another unplug job has %u %s of %s, the first is memory%" G_GINT64_FORMAT
                       "; wait for that job or cancel it",
                       taken.count, blocks_word(taken.count), device->id, taken.first),
            0);
    if (kernel.count > 0)
        add_not_movable(verdict, device, &kernel, snapshot->block_size_bytes);
    if (going.count > 0)
        add(verdict,
            reason_new(REASON_GOING_OFFLINE, device->id, going.first, 0,
                       "something else is taking %u %s of %s offline at this moment, the first is "
                       "memory%" G_GINT64_FORMAT "; try again when that has ended",
                       going.count, blocks_word(going.count), device->id, going.first),
            0);
    if (strange.count > 0)
        add(verdict,
            reason_new(REASON_ERROR, device->id, strange.first, 0,
                       "the state of %u %s of %s cannot be told, the first is "
                       "memory%" G_GINT64_FORMAT
                       "; look at its state in /sys/devices/system/memory",
                       strange.count, blocks_word(strange.count), device->id, strange.first),
            0);
}

/* Whether BLOCK may be one of a DIMM's that the kernel has not linked to it yet. HAS_BOOT: neither
 * is it RAM of the firmware's, which lies below all DIMMs. */
static gboolean may_be_unlinked(const Snapshot *snapshot, const Block *block, gboolean has_boot)
{
    const Device *device = snapshot_block_device(snapshot, block);

    return device == NULL || (!has_boot && (device->kind == DEVICE_BOOT || block->is_standby) &&
                              block->backing == BLOCK_BACKING_UNRESOLVED);
}

/* The kernel makes all blocks of a DIMM, and then links them to it one after the other, without an
 * event (acpi_bind_memory_blocks(), drivers/acpi/acpi_memhotplug.c). In the middle of that the
 * device would be prepared in part. */
static void check_whole(UnplugVerdict *verdict, const Snapshot *snapshot, const Device *device)
{
    const Block *unlinked = NULL;
    guint32 begin, end;

    snapshot_device_range(snapshot, device, &begin, &end);
    guint32 last = end > begin ? snapshot->blocks[end - 1].index : device->first_block;
    for (guint32 i = begin > 0 ? begin - 1 : 0;
         i < MIN(end + 1, snapshot->block_count) && unlinked == NULL; i++) {
        const Block *block = &snapshot->blocks[i];
        gboolean is_before = block->index + 1 == device->first_block;

        if (!is_before && (block->index < device->first_block || block->index - 1 > last))
            continue;
        if (may_be_unlinked(snapshot, block, is_before))
            unlinked = block;
    }
    if (unlinked != NULL)
        add(verdict,
            reason_new(REASON_KERNEL_BUSY, device->id, unlinked->index, 0,
                       "the kernel does not say yet what backs memory%u, which may be a part of %s "
                       "that is still being added; try again in a moment",
                       unlinked->index, device->id),
            0);
}

/* A virtio-mem device gives memory back piece by piece, out of kernel zones only by luck. */
static guint64 check_virtio_mem(UnplugVerdict *verdict, const Device *device, guint64 wanted_bytes)
{
    guint64 online = device->online_movable_bytes + device->online_kernel_bytes;
    guint64 easy = device->online_movable_bytes + device->offline_bytes;
    guint64 bytes = wanted_bytes != 0 ? wanted_bytes : online + device->offline_bytes;
    char kernel[UNITS_BYTES_MAX], have[UNITS_BYTES_MAX];

    if (bytes > easy)
        add(verdict,
            reason_new(REASON_NOT_MOVABLE, device->id, -1, 0,
                       "%s of %s is online in kernel zones, where its driver can take back only "
                       "pieces in which the kernel keeps nothing; ask for at most %s, or for this "
                       "in the hope that some are empty",
                       units_format_bytes(device->online_kernel_bytes, kernel), device->id,
                       units_format_bytes(easy, have)),
            bytes - easy);
    return MIN(bytes, online);
}

static void check_found(UnplugVerdict *verdict, const UnplugCheckInput *input,
                        const DeviceSelector *selector, const Device *device)
{
    switch (device->kind) {
    case DEVICE_DIMM:
        verdict->leaving_bytes += device->online_movable_bytes + device->online_kernel_bytes;
        check_blocks(verdict, input, device);
        check_whole(verdict, input->snapshot, device);
        return;
    case DEVICE_VIRTIO_MEM:
        if (input->allow_virtio_mem) {
            verdict->leaving_bytes += check_virtio_mem(verdict, device, selector->bytes);
            return;
        }
        add(verdict,
            reason_new(REASON_NOT_A_DIMM, device->id, -1, 0,
                       "%s is a virtio-mem device, which needs no preparing: let the host lower "
                       "its requested-size instead",
                       device->id),
            0);
        return;
    case DEVICE_BOOT:
        add(verdict,
            reason_new(REASON_BOOT_MEMORY, device->id, device->first_block, 0,
                       "this memory was there when the guest booted, and no device can be "
                       "unplugged with it; name a memory device that was added"),
            0);
        return;
    case DEVICE_OTHER:
        break;
    }
    add(verdict,
        reason_new(REASON_NOT_A_DIMM, device->id, device->first_block, 0,
                   "no DIMM is behind %s, so memplug leaves it alone; name a DIMM", device->id),
        0);
}

static void check_partial(UnplugVerdict *verdict, const UnplugCheckInput *input,
                          const DeviceSelector *selector, const Device *device)
{
    char asked[DEVICE_SELECTOR_TEXT_MAX];

    device_selector_format(selector, asked);
    if (device == NULL) {
        add(verdict,
            reason_new(REASON_PARTIAL_DEVICE, NULL, -1, 0,
                       "what is behind the memory at %s cannot be told yet; try again in a moment",
                       asked),
            0);
    } else if (device->kind == DEVICE_BOOT || device->kind == DEVICE_OTHER) {
        /* What the whole of it would be told; the right range would not help. */
        check_found(verdict, input, selector, device);
    } else {
        add(verdict,
            reason_new(REASON_PARTIAL_DEVICE, device->id, device->first_block, 0,
                       "%s is not exactly one memory device; the first that it touches is %s, "
                       "0x%" G_GINT64_MODIFIER "x+0x%" G_GINT64_MODIFIER "x",
                       asked, device->id, device->address, device->size_bytes),
            0);
    }
}

static void add_no_such_device(UnplugVerdict *verdict, const DeviceSelector *selector)
{
    char asked[DEVICE_SELECTOR_TEXT_MAX], id[DEVICE_SELECTOR_TEXT_MAX];

    device_selector_format(selector, asked);
    if (selector->kind == SELECT_SLOT)
        g_snprintf(id, sizeof id, "slot%" G_GINT64_FORMAT, selector->slot);
    else
        g_strlcpy(id, asked, sizeof id);
    add(verdict,
        reason_new(REASON_NO_SUCH_DEVICE, id, -1, 0,
                   "the guest has no memory device %s; it may be unplugged already, or its blocks "
                   "have not come up",
                   asked),
        0);
}

static void check_selector(UnplugVerdict *verdict, const UnplugCheckInput *input,
                           const DeviceSelector *selector)
{
    const Device *device = NULL;

    switch (snapshot_select(input->snapshot, selector, &device)) {
    case SELECT_FOUND:
        if (g_ptr_array_find(verdict->devices, device, NULL))
            return;
        g_ptr_array_add(verdict->devices, (gpointer)device);
        check_found(verdict, input, selector, device);
        return;
    case SELECT_PARTIAL:
        check_partial(verdict, input, selector, device);
        return;
    case SELECT_NO_DEVICE:
        add_no_such_device(verdict, selector);
        return;
    }
}

/* An application said no. */
static void check_inhibitors(UnplugVerdict *verdict, const UnplugCheckInput *input)
{
    const GPtrArray *list = input->inhibitors ? inhibitors_list(input->inhibitors) : NULL;

    for (guint i = 0; list != NULL && i < list->len; i++) {
        const Inhibitor *inhibitor = list->pdata[i];

        if (inhibitor->mode != INHIBIT_BLOCK)
            continue;
        add(verdict,
            reason_new(REASON_INHIBITED, NULL, -1, 0,
                       "%s (uid %u, pid %u) does not let memory go: %s; try again when that has "
                       "ended its lock",
                       inhibitor->who, inhibitor->uid, inhibitor->pid, inhibitor->why),
            0);
        if (input->is_brief)
            return;
    }
}

UnplugVerdict *unplug_check(const UnplugCheckInput *input)
{
    UnplugVerdict *verdict = g_new0(UnplugVerdict, 1);

    verdict->reasons = reason_list_new();
    verdict->devices = g_ptr_array_new();
    verdict->is_refused = g_new0(gboolean, input->n_selectors + 1);
    for (guint i = 0; i < input->n_selectors; i++) {
        guint n_before = verdict->reasons->len;

        check_selector(verdict, input, &input->selectors[i]);
        verdict->is_refused[i] = verdict->reasons->len > n_before; /* none of them warns */
    }
    verdict->n_device_reasons = verdict->reasons->len;
    if (input->n_selectors == 0)
        add(verdict, reason_new(REASON_NO_SUCH_DEVICE, NULL, -1, 0, "no memory device was named"),
            0);
    headroom_add_to_verdict(verdict, input);
    check_inhibitors(verdict, input);
    verdict->can_prepare = !reason_list_refuses(verdict->reasons);
    return verdict;
}

void unplug_verdict_free(UnplugVerdict *verdict)
{
    if (verdict == NULL)
        return;
    g_ptr_array_unref(verdict->reasons);
    g_ptr_array_unref(verdict->devices);
    g_clear_pointer(&verdict->left_out, g_ptr_array_unref);
    g_free(verdict->is_refused);
    g_free(verdict);
}
