/*
 * Giving a guest memory: DIMMs, each of which the guest has online before the next one is added,
 * and virtio-mem.
 */
#include <string.h>

#include "ctl/ask.h"
#include "ctl/follow.h"
#include "ctl/host.h"
#include "ctl/json.h"
#include "ctl/text.h"

#define LOOK_MS 200
#define ONLINE_MS_PER_GIB 10000
#define PAGES_PER_DESCRIPTORS 64 /* 64 bytes describe a page of 4 KiB (struct page) */
#define GIB (G_GUINT64_CONSTANT(1) << 30)

/* ---- what the guest can take ---- */

/* The same by the hypervisor's figures, for a guest that tells none: descriptors cannot lie in what
 * is plugged as movable, and the kernel needs the other half of its RAM for itself. */
static guint64 limit_by_ram(const HvMemory *memory)
{
    guint64 most = memory->base_bytes / 2 * PAGES_PER_DESCRIPTORS;
    guint64 has = hv_memory_bytes(memory) - memory->base_bytes;

    return most > has ? most - has : 0;
}

/* How much the guest has page descriptors for, rounded down to its blocks. FALSE and an error where
 * one of both does not answer. */
static gboolean plug_limit(Host *host, guint64 *bytes, GError **error)
{
    g_autoptr(JsonNode) answer = ask(host->ctl, "memory-get-status", error);
    g_autoptr(HvMemory) memory = answer ? hypervisor_memory(host->hv, error) : NULL;
    JsonObject *status = ctl_json_as_object(answer);

    if (!memory)
        return FALSE;
    if (status && json_object_has_member(status, "plug-limit"))
        *bytes = ctl_json_uint(status, "plug-limit");
    else if (status && json_object_has_member(status, "available"))
        *bytes = MIN(ctl_json_uint(status, "available"), G_MAXINT64 / PAGES_PER_DESCRIPTORS) *
                 PAGES_PER_DESCRIPTORS;
    else
        *bytes = limit_by_ram(memory);
    *bytes = *bytes / host->block_bytes * host->block_bytes;
    return TRUE;
}

static guint64 align_up(guint64 address, guint64 unit)
{
    return (address + unit - 1) / unit * unit;
}

/* An address of which the guest's kernel takes all blocks. 0: what the hypervisor chooses is one:
 * it puts a device behind the last, and only a device of odd size is followed by another address.
 */
static guint64 choose_address(Host *host, const HvMemory *memory)
{
    guint64 end = 0;
    gboolean is_odd = FALSE;

    for (guint i = 0; i < memory->devices->len; i++) {
        const HvDevice *device = memory->devices->pdata[i];
        guint64 device_end = device->address + device->size_bytes;
        end = MAX(end, device_end);
        is_odd = is_odd || device_end % host->block_bytes != 0;
    }
    return is_odd ? align_up(end, host->block_bytes) : 0;
}

/* ---- until the guest has it ---- */

typedef struct {
    const char *id;
    guint64 address, size_bytes, online_bytes;
    gboolean is_movable;
    gboolean has_answered; /* the guest, at the last question */
    gboolean has_record;
    char *guest_id;
} Arrival;

static void look(Host *host, Arrival *arrival)
{
    g_autoptr(JsonNode) answer = ask(host->ctl, "memory-get-devices", NULL);
    HvDevice device = {.address = arrival->address, .size_bytes = arrival->size_bytes};
    JsonObject *record = host_record(ctl_json_as_array(answer), &device);
    guint64 movable = ctl_json_uint(record, "online-movable");

    arrival->has_answered = answer != NULL;
    arrival->has_record = record != NULL;
    if (!record)
        return;
    arrival->is_movable = movable >= arrival->size_bytes;
    arrival->online_bytes = MIN(movable, arrival->size_bytes) +
                            MIN(ctl_json_uint(record, "online-kernel"), arrival->size_bytes);
    g_free(arrival->guest_id);
    arrival->guest_id = g_strdup(ctl_json_string(record, "id"));
}

/* Waits until all of it is online: as long as it gets more, and within a time by its size. */
static gboolean wait_online(Host *host, Arrival *arrival)
{
    gint64 now_usec = g_get_monotonic_time();
    gint64 still_usec = now_usec + (gint64)HOST_STANDSTILL_MS * 1000;
    gint64 end_usec =
        still_usec + (gint64)(arrival->size_bytes / GIB + 1) * ONLINE_MS_PER_GIB * 1000;
    guint64 seen_bytes = 0;

    while (now_usec < MIN(still_usec, end_usec) && !host->is_interrupted) {
        look(host, arrival);
        if (arrival->online_bytes >= arrival->size_bytes)
            return TRUE;
        now_usec = g_get_monotonic_time();
        if (arrival->online_bytes > seen_bytes)
            still_usec = now_usec + (gint64)HOST_STANDSTILL_MS * 1000;
        seen_bytes = MAX(seen_bytes, arrival->online_bytes);
        Wake wake = client_wait(host->ctl->client, host->interrupt, LOOK_MS);
        host->is_interrupted = wake == WAKE_INTERRUPTED;
        if (wake == WAKE_LOST)
            break;
    }
    return FALSE;
}

/* Why the guest has not taken what it was given, in its words. */
static void tell_cause(Host *host, JsonObject *step, const char *guest_id)
{
    g_autoptr(JsonNode) status = ask(host->ctl, "memory-get-status", NULL);
    g_autoptr(JsonNode) devices = ask(host->ctl, "memory-get-devices", NULL);
    JsonArray *list = ctl_json_as_array(devices);
    JsonObject *object = ctl_json_as_object(status);

    host_guest_reasons(host, step, ctl_json_array(object, "warnings"), NULL);
    if (strcmp(ctl_json_string(object, "policy"), "none") == 0)
        host_reason(host, step, "policy", "the guest's policy is none: it brings no memory online");
    for (guint i = 0; guest_id && i < ctl_json_length(list); i++) {
        JsonObject *record = ctl_json_object_at(list, i);
        if (strcmp(ctl_json_string(record, "id"), guest_id) == 0)
            host_guest_reasons(host, step, ctl_json_array(record, "blockers"), NULL);
    }
}

/* Ends the step of a DIMM that the guest has not taken, and takes the DIMM back. */
static void take_back(Host *host, JsonObject *step, Arrival *arrival, GError **error)
{
    g_autofree char *size = text_exact(arrival->size_bytes);
    g_autofree char *online = text_exact(arrival->online_bytes);

    if (!follow_same_boot(host->ctl, host->boot_id, NULL))
        arrival->has_answered = FALSE;
    if (host->is_interrupted || !arrival->has_answered) {
        host_reason(host, step, host->is_interrupted ? "interrupted" : "no-answer",
                    host->is_interrupted
                        ? "interrupted: it stays, and the guest may still bring it online"
                        : "the guest does not say whether it has taken it: it stays");
        host_step_end(host, step, "failed", "plugged, %s, of which the guest has %s online", size,
                      online);
        return;
    }
    tell_cause(host, step, arrival->guest_id);
    host_step_end(host, step, "failed",
                  "%s, of which the guest has %s online after %d s: it is taken back", size, online,
                  HOST_STANDSTILL_MS / 1000);
    g_autoptr(HvMemory) memory = hypervisor_memory(host->hv, error);
    g_autoptr(GHashTable) failed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) dimms = g_ptr_array_new();
    const HvDevice *dimm = memory ? hv_memory_by_id(memory, arrival->id) : NULL;
    if (dimm) {
        g_ptr_array_add(dimms, (gpointer)dimm);
        host_take(host, dimms, failed, error);
    }
}

/* ---- one DIMM ---- */

/* Adds a DIMM at PLUG's address and tells where it is. Its id; NULL: it could not be added, and the
 * step says why, or an error. */
static char *add_device(Host *host, JsonObject *step, HvPlug *plug, guint64 *address,
                        GError **error)
{
    g_autoptr(GError) wrong = NULL;
    g_autofree char *id = hypervisor_plug(host->hv, plug, &wrong);
    g_autoptr(HvMemory) memory = id ? hypervisor_memory(host->hv, &wrong) : NULL;
    const HvDevice *device = memory ? hv_memory_by_id(memory, id) : NULL;

    if (wrong && wrong->code != CTL_REFUSED) {
        g_propagate_error(error, g_steal_pointer(&wrong));
        return NULL;
    }
    if (!device) {
        host_reason(host, step, "hypervisor-refuses", "%s",
                    wrong ? wrong->message : "the device is not there");
        return NULL;
    }
    *address = device->address;
    return g_steal_pointer(&id);
}

/* As add_device(), at an address that is a multiple of the guest's block. */
static char *add_aligned(Host *host, JsonObject *step, HvPlug *plug, guint64 *address,
                         GError **error)
{
    g_autofree char *id = add_device(host, step, plug, address, error);

    if (!id || *address % host->block_bytes == 0)
        return g_steal_pointer(&id);
    /* The guest's kernel takes no part of a block: once more, where a block begins. */
    plug->address = align_up(*address, host->block_bytes);
    if (host_delete(host, step, id, error))
        return add_device(host, step, plug, address, error);
    host_reason(host, step, "unusable-dimm",
                "%s put %s at 0x%" G_GINT64_MODIFIER "x, where none of the guest's blocks begins",
                hypervisor_name(host->hv), id, *address);
    return NULL;
}

static gboolean add_one(Host *host, guint64 bytes, const char *id, GError **error)
{
    const CommandLine *line = host->ctl->line;
    g_autoptr(HvMemory) memory = hypervisor_memory(host->hv, error);
    HvPlug plug = {.size_bytes = bytes,
                   .id = id,
                   .backend = line->backend,
                   .node = line->node == NOT_GIVEN ? -1 : line->node};
    g_autofree char *size = text_exact(bytes);
    g_autoptr(GError) wrong = NULL;
    Arrival arrival = {.size_bytes = bytes};

    if (!memory)
        return FALSE;
    plug.address = choose_address(host, memory);
    JsonObject *step = host_step(host, id, "plug", bytes);
    if (plug.node < 0 && memory->nodes > 1)
        host_reason(host, step, "node", "the guest has %u nodes: node 0 gets it, without --node",
                    memory->nodes);
    client_subscribe(host->ctl->client);
    g_autofree char *made = add_aligned(host, step, &plug, &arrival.address, &wrong);
    if (!made) {
        if (wrong)
            g_propagate_error(error, g_steal_pointer(&wrong));
        host_step_end(host, step, "failed", "not added, %s", size);
        return FALSE;
    }
    json_object_set_string_member(step, "device", made);
    arrival.id = made;
    gboolean good = wait_online(host, &arrival);
    if (good)
        host_step_end(host, step, "done", "%s, %s in the guest, online %s", size, arrival.guest_id,
                      arrival.is_movable ? "as movable"
                                         : "in a kernel zone: it cannot be unplugged");
    else
        take_back(host, step, &arrival, error);
    g_free(arrival.guest_id);
    return good;
}

gboolean host_add(Host *host, GArray *pieces, GError **error)
{
    const char *id = host->ctl->line->id;
    guint n = 0;

    for (guint i = 0; i < pieces->len; i++) {
        guint64 rest = g_array_index(pieces, guint64, i), limit;
        while (rest > 0) {
            if (host->is_interrupted || !plug_limit(host, &limit, error))
                return FALSE;
            if (limit == 0) {
                g_autofree char *left = text_exact(rest);
                host->has_failed = TRUE;
                host_reason(host, NULL, "low-memory",
                            "the guest has no memory for the page descriptors of %s more", left);
                return FALSE;
            }
            g_autofree char *numbered = id && n > 0 ? g_strdup_printf("%s-%u", id, n + 1) : NULL;
            guint64 bytes = MIN(rest, limit);
            if (!add_one(host, bytes, numbered ? numbered : id, error))
                return FALSE;
            rest -= bytes;
            n++;
        }
    }
    return TRUE;
}

/* ---- virtio-mem ---- */

static void show_progress(Host *host, const char *id, guint64 now_bytes, guint64 bytes)
{
    g_autofree char *safe = text_safe(id);
    g_autofree char *now = text_exact(now_bytes), *wanted = text_exact(bytes);
    g_autofree char *text = g_strdup_printf("%s: %s, to be %s", safe, now, wanted);

    if (!host->ctl->line->json)
        terminal_redraw(&host->ctl->terminal, text);
}

/* What virtio-mem device ID holds, and is asked to hold. FALSE and an error: it is not known. */
static gboolean plugged_bytes(Host *host, const char *id, guint64 *bytes, guint64 *requested,
                              GError **error)
{
    g_autoptr(HvMemory) memory = hypervisor_memory(host->hv, error);
    const HvDevice *device = memory ? hv_memory_by_id(memory, id) : NULL;

    if (memory && !device)
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "%s has gone meanwhile", id);
    if (device)
        *bytes = device->plugged_bytes;
    if (device)
        *requested = device->requested_bytes;
    return device != NULL;
}

/* Waits until ID holds BYTES, or is asked for something else than that. *REACHED is what it holds
 * in the end, *REQUESTED what it is asked for. FALSE: the hypervisor is gone. */
static gboolean wait_size(Host *host, const char *id, guint64 bytes, guint64 *reached,
                          guint64 *requested, GError **error)
{
    gint64 still_usec = g_get_monotonic_time() + (gint64)HOST_STANDSTILL_MS * 1000;
    guint64 from = *reached, furthest = from > bytes ? from - bytes : bytes - from;

    while (*reached != bytes && *requested == bytes && g_get_monotonic_time() < still_usec &&
           !host->is_interrupted) {
        HvEvent event;
        Wake wake = hypervisor_wait(host->hv, host->interrupt, 1000, &event);
        g_free(event.device);
        host->is_interrupted = wake == WAKE_INTERRUPTED;
        if (wake == WAKE_LOST)
            return host_lost(host, error);
        if (!plugged_bytes(host, id, reached, requested, error))
            return FALSE;
        /* Nearer than ever: a guest that goes to and fro stands still. */
        guint64 distance = *reached > bytes ? *reached - bytes : bytes - *reached;
        if (distance < furthest) {
            furthest = distance;
            still_usec = g_get_monotonic_time() + (gint64)HOST_STANDSTILL_MS * 1000;
            show_progress(host, id, *reached, bytes);
        }
    }
    return TRUE;
}

/* The reasons of a device that stands still, in the guest's words, and the truth about the rest. */
static void tell_standstill(Host *host, JsonObject *step, const HvDevice *device)
{
    g_autoptr(JsonNode) answer = ask(host->ctl, "memory-get-devices", NULL);
    JsonObject *record = host_record(ctl_json_as_array(answer), device);
    g_autofree char *stopped = hypervisor_stopped_by(host->hv);

    if (host->is_interrupted)
        host_reason(host, step, "interrupted", "interrupted: nothing more is asked for");
    if (stopped)
        host_reason(host, step, "no-answer", "the guest is %s", stopped);
    tell_cause(host, step, record ? ctl_json_string(record, "id") : NULL);
    if (ctl_json_length(ctl_json_array(step, "reasons")) == 0)
        host_reason(host, step, "no-progress",
                    "the guest has got no nearer for %d s, and does not say why",
                    HOST_STANDSTILL_MS / 1000);
}

gboolean host_request(Host *host, const HvDevice *device, guint64 bytes, GError **error)
{
    gboolean grows = bytes > device->plugged_bytes;
    JsonObject *step = host_step(host, device->id, "request", bytes);
    g_autofree char *wanted = text_exact(bytes);
    g_autoptr(GError) wrong = NULL;
    guint64 reached = device->plugged_bytes;

    if (!hypervisor_request(host->hv, device->id, bytes, &wrong)) {
        host_reason(host, step, "hypervisor-refuses", "%s", wrong->message);
        host_step_end(host, step, "failed", "not asked for %s", wanted);
        if (wrong->code == CTL_NO_CONNECTION)
            g_propagate_error(error, g_steal_pointer(&wrong));
        return FALSE;
    }
    guint64 requested = bytes;
    gboolean is_known = wait_size(host, device->id, bytes, &reached, &requested, error);
    terminal_end_line(&host->ctl->terminal);
    if (!is_known)
        return FALSE;
    if (reached == bytes) {
        host_step_end(host, step, "done", "%s, as asked for", wanted);
        return TRUE;
    }
    g_autofree char *size = text_exact(reached);
    if (requested != bytes) {
        g_autofree char *other = text_exact(requested);
        host_reason(host, step, "other-request",
                    "somebody else asks it for %s now: a restored snapshot does so too", other);
        host_step_end(host, step, "failed", "%s, not %s", size, wanted);
        return FALSE;
    }
    tell_standstill(host, step, device);
    /* Else the guest would go on behind the operator's back, whenever it can. Not rounded away from
     * what was asked for: what is reached is a multiple of the device's block. */
    if (!hypervisor_request(host->hv, device->id, reached, &wrong))
        host_reason(host, step, "hypervisor-refuses", "%s", wrong->message);
    g_autofree char *lack =
        text_exact(grows ? bytes - MIN(reached, bytes) : reached - MIN(reached, bytes));
    host_step_end(host, step, "failed", "%s, %s %s %s", size, lack,
                  grows ? "less than" : "more than", wanted);
    return FALSE;
}
