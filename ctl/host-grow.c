/*
 * A larger guest: virtio-mem devices as far as they go, DIMMs for the rest.
 */
#include "ctl/ask.h"
#include "ctl/host-resize.h"
#include "ctl/json.h"
#include "ctl/text.h"

#define PIECES_MAX 16

/* Halves BYTES and halves the rest again, down to one block and by N_MAX pieces at most: any amount
 * of them can be taken away again, and a slot is not spent on every small growth. */
static GArray *split(guint64 bytes, guint64 block_bytes, guint n_max)
{
    GArray *pieces = g_array_new(FALSE, FALSE, sizeof(guint64));
    guint64 rest = bytes / block_bytes;

    while (rest > 0) {
        guint64 blocks = pieces->len + 1 < n_max ? (rest + 1) / 2 : rest;
        guint64 piece = blocks * block_bytes;
        g_array_append_val(pieces, piece);
        rest -= blocks;
    }
    return pieces;
}

gboolean host_fits(Host *host, const HvMemory *memory, guint64 *bytes, GError **error)
{
    guint64 room = hv_memory_room_bytes(memory);
    gint64 slots = hv_memory_free_slots(memory);
    g_autofree char *most = text_exact(room == G_MAXUINT64 ? 0 : room);
    g_autofree char *maxmem = text_exact(memory->max_bytes);
    g_autofree char *asked = text_exact(*bytes);

    if (slots != 0 && *bytes <= room)
        return TRUE;
    room = slots == 0 ? 0 : room / host->block_bytes * host->block_bytes;
    if (host->ctl->line->best_effort) {
        host->has_failed = TRUE;
        *bytes = room;
        if (slots == 0)
            host_reason(host, NULL, "no-slot", "all %" G_GINT64_FORMAT " slots for DIMMs are taken",
                        memory->slots);
        else
            host_reason(host, NULL, "maxmem", "DIMMs can add %s at most: maxmem is %s", most,
                        maxmem);
        return room > 0;
    }
    if (memory->slots == 0)
        g_set_error(error, CTL_ERROR, CTL_REFUSED,
                    "no DIMM of %s can be added: the guest was started without slots for DIMMs",
                    asked);
    else if (slots == 0)
        g_set_error(error, CTL_ERROR, CTL_REFUSED,
                    "no DIMM of %s can be added: all %" G_GINT64_FORMAT
                    " slots are taken; the guest has as much as it can have without another slot",
                    asked, memory->slots);
    else
        g_set_error(error, CTL_ERROR, CTL_REFUSED,
                    "%s more do not fit: DIMMs can add %s at most, the guest's maxmem is %s", asked,
                    most, maxmem);
    return FALSE;
}

gboolean host_has_block(Host *host, GError **error)
{
    if (host->block_bytes == 0)
        g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION,
                    "the guest tells no size of its memory blocks that can be true");
    return host->block_bytes != 0;
}

void host_grow_dimms(Host *host, const HvMemory *memory, guint64 bytes, gboolean whole,
                     GError **error)
{
    gint64 slots = hv_memory_free_slots(memory);

    guint n_max = slots < 0 ? PIECES_MAX : (guint)CLAMP((slots + 1) / 2, 1, PIECES_MAX);
    g_autoptr(GArray) pieces = split(bytes, host->block_bytes, whole ? 1 : n_max);
    for (guint i = 0; host->ctl->line->dry_run && i < pieces->len; i++) {
        guint64 piece = g_array_index(pieces, guint64, i);
        g_autofree char *size = text_exact(piece);
        host->planned_bytes += piece;
        host_step_end(host, host_step(host, "new DIMM", "plug", piece), "planned", "%s", size);
    }
    if (!host->ctl->line->dry_run)
        host_add(host, pieces, error);
}

static gboolean is_of_node(const CommandLine *line, const HvDevice *device)
{
    return line->node == NOT_GIVEN || line->node == device->node;
}

/* How much more virtio-mem devices could hold, of BYTES. */
static guint64 virtio_mem_takes(Host *host, const HvMemory *memory, guint64 bytes)
{
    guint64 sum = 0;

    for (guint i = 0; i < memory->devices->len; i++) {
        const HvDevice *device = memory->devices->pdata[i];
        if (device->kind != HV_VIRTIO_MEM || !device->id || sum >= bytes ||
            !is_of_node(host->ctl->line, device))
            continue;
        guint64 left =
            (bytes - sum + device->block_bytes - 1) / device->block_bytes * device->block_bytes;
        sum += MIN(left, device->size_bytes - MIN(device->plugged_bytes, device->size_bytes));
    }
    return sum;
}

static void grow_virtio_mem(Host *host, const HvMemory *memory, guint64 bytes, GError **error)
{
    for (guint i = 0; i < memory->devices->len && bytes > 0 && !*error; i++) {
        const HvDevice *device = memory->devices->pdata[i];
        if (device->kind != HV_VIRTIO_MEM || !device->id || host->is_interrupted ||
            !is_of_node(host->ctl->line, device))
            continue;
        guint64 left =
            (bytes + device->block_bytes - 1) / device->block_bytes * device->block_bytes;
        guint64 add =
            MIN(left, device->size_bytes - MIN(device->plugged_bytes, device->size_bytes));
        if (add > 0 && host->ctl->line->dry_run)
            host_plan_request(host, device, device->plugged_bytes + add);
        else if (add > 0)
            host_request(host, device, device->plugged_bytes + add, error);
        bytes -= MIN(add, bytes);
    }
}

/* What the guest says it has in all, 0: it does not say. */
static guint64 guest_bytes(Host *host)
{
    g_autoptr(JsonNode) status = ask(host->ctl, "memory-get-status", NULL);

    return ctl_json_uint(ctl_json_as_object(status), "guest-current");
}

/* Waits until the guest has brought online what virtio-mem devices got since it had FROM bytes: it
 * does so block by block, behind the hypervisor's figure. */
static void wait_guest(Host *host, guint64 from, guint64 added)
{
    gint64 still_usec = g_get_monotonic_time() + (gint64)HOST_STANDSTILL_MS * 1000;
    guint64 now = guest_bytes(host), most = now;
    /* A block that a virtio-mem device fills in part may have counted as whole: less than one may
     * seem to be missing. */
    guint64 aim = from + added - MIN(added, MAX(host->block_bytes, 1));

    while (now <= aim && g_get_monotonic_time() < still_usec && !host->is_interrupted) {
        host->is_interrupted =
            client_wait(host->ctl->client, host->interrupt, 500) == WAKE_INTERRUPTED;
        now = guest_bytes(host);
        if (now >= most + HOST_BLOCK_BYTES_MAX / 1024)
            still_usec = g_get_monotonic_time() + (gint64)HOST_STANDSTILL_MS * 1000;
        most = MAX(now, most);
    }
    if (now > aim)
        return;
    g_autofree char *lack = text_exact(from + added - now);
    host->has_failed = TRUE;
    host_reason(host, NULL, "offline-blocks",
                "the guest uses %s less than it was given: it has not brought it online", lack);
}

void host_grow(Host *host, const HvMemory *memory, guint64 bytes, guint64 *promised, GError **error)
{
    guint64 from = guest_bytes(host);
    guint64 by_request = virtio_mem_takes(host, memory, bytes);
    guint64 rest = bytes - MIN(by_request, bytes);

    *promised = host->began_bytes + MAX(by_request, bytes);
    if (rest > 0 && !host_has_block(host, error))
        return;
    if (rest > 0) {
        rest = (rest + host->block_bytes - 1) / host->block_bytes * host->block_bytes;
        *promised = host->began_bytes + by_request + rest;
        if (!host_fits(host, memory, &rest, error) && *error)
            return;
    }
    grow_virtio_mem(host, memory, bytes, error);
    if (by_request > 0 && !host->ctl->line->dry_run && !*error) {
        g_autoptr(HvMemory) now = hypervisor_memory(host->hv, error);
        guint64 now_bytes = now ? hv_memory_bytes(now) : 0;
        if (now_bytes > host->began_bytes)
            wait_guest(host, from, now_bytes - host->began_bytes);
    }
    if (rest > 0 && !*error && !host->is_interrupted)
        host_grow_dimms(host, memory, rest, FALSE, error);
}
