/*
 * plug, unplug, resize: how much, and by which devices. By the hypervisor's figures and the
 * operator's words; the guest may only refuse.
 */
#include <string.h>

#include "ctl/ask.h"
#include "ctl/host.h"
#include "ctl/json.h"
#include "ctl/subset.h"
#include "ctl/text.h"

#define PIECES_MAX 16

static gboolean is_fatal(GError *const *error)
{
    return *error != NULL;
}

/* ---- growth by DIMMs ---- */

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

/* Whether BYTES more in N DIMMs fit into what the guest was started with. With --best-effort *BYTES
 * becomes what does. */
static gboolean fits(Host *host, const HvMemory *memory, guint64 *bytes, GError **error)
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
    if (slots == 0)
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

static gboolean has_block(Host *host, GError **error)
{
    if (host->block_bytes == 0)
        g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION,
                    "the guest tells no size of its memory blocks that can be true");
    return host->block_bytes != 0;
}

/* Adds BYTES, which fit: in one DIMM (WHOLE) or in several. */
static void grow_dimms(Host *host, const HvMemory *memory, guint64 bytes, gboolean whole,
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

CtlStatus verb_plug(Ctl *ctl, GError **error)
{
    guint64 bytes;
    g_autoptr(GError) wrong = NULL;

    if (!text_parse_size(ctl->line->operands[0], &bytes, error))
        return CTL_USAGE;
    g_autoptr(Host) host = host_open(ctl, error);
    g_autoptr(HvMemory) memory =
        host && has_block(host, error) ? hypervisor_memory(host->hv, error) : NULL;
    if (!memory)
        return CTL_NO_CONNECTION;
    if (bytes == 0 || bytes % host->block_bytes != 0) {
        g_autofree char *block = text_exact(host->block_bytes);
        g_set_error(error, CTL_ERROR, CTL_USAGE,
                    "the guest's blocks are of %s: a DIMM must be a multiple of that", block);
        return CTL_USAGE;
    }
    if (ctl->line->id && hv_memory_by_id(memory, ctl->line->id)) {
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "there is a device '%s' already", ctl->line->id);
        return CTL_REFUSED;
    }
    host->wanted_bytes = host->began_bytes + bytes;
    if (fits(host, memory, &bytes, &wrong))
        grow_dimms(host, memory, bytes, TRUE, &wrong);
    if (wrong && json_array_get_length(host->steps) == 0 && !ctl->line->json) {
        g_propagate_error(error, g_steal_pointer(&wrong));
        return CTL_REFUSED; /* nothing was begun */
    }
    if (wrong)
        g_propagate_error(error, g_steal_pointer(&wrong));
    return host_finish(host, host->wanted_bytes, error);
}

/* ---- unplug ---- */

/* The hypervisor's device that WORD names: its id, slotN, or an address. */
static const HvDevice *bind_operand(Host *host, const HvMemory *memory, const char *word,
                                    GError **error)
{
    gboolean is_hex = g_str_has_prefix(word, "0x");
    const HvDevice *device = hv_memory_by_id(memory, word);
    guint64 number;

    if (!device && g_str_has_prefix(word, "slot") &&
        g_ascii_string_to_unsigned(word + strlen("slot"), 10, 0, G_MAXINT64, &number, NULL))
        device = hv_memory_by_slot(memory, (gint64)number);
    else if (!device && g_ascii_isdigit(*word) &&
             g_ascii_string_to_unsigned(is_hex ? word + 2 : word, is_hex ? 16 : 10, 0, G_MAXINT64,
                                        &number, NULL))
        device = hv_memory_by_address(memory, number);
    if (!device)
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "%s has no memory device '%s'",
                    hypervisor_name(host->hv), word);
    else if (device->kind == HV_VIRTIO_MEM)
        g_set_error(error, CTL_ERROR, CTL_REFUSED,
                    "%s is a virtio-mem device: resize makes it smaller", word);
    else if (!device->can_unplug)
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "%s cannot unplug %s", hypervisor_name(host->hv),
                    word);
    else
        return device;
    return NULL;
}

CtlStatus verb_unplug(Ctl *ctl, GError **error)
{
    g_autoptr(Host) host = host_open(ctl, error);
    g_autoptr(HvMemory) memory = host ? hypervisor_memory(host->hv, error) : NULL;
    g_autoptr(GPtrArray) dimms = g_ptr_array_new();
    g_autoptr(GHashTable) failed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    guint64 bytes = 0;

    if (!memory)
        return CTL_NO_CONNECTION;
    for (char **word = ctl->line->operands; *word; word++) {
        const HvDevice *dimm = bind_operand(host, memory, *word, error);
        if (!dimm)
            return CTL_REFUSED;
        if (g_ptr_array_find(dimms, dimm, NULL)) {
            g_set_error(error, CTL_ERROR, CTL_USAGE, "'%s' is named twice", *word);
            return CTL_USAGE;
        }
        g_ptr_array_add(dimms, (gpointer)dimm);
        bytes += dimm->size_bytes;
    }
    host->wanted_bytes = host->began_bytes - bytes;
    host->has_failed = !host_take(host, dimms, failed, error) || host->has_failed;
    return host_finish(host, host->wanted_bytes, error);
}

/* ---- resize: smaller ---- */

typedef struct {
    Host *host;
    GHashTable *failed;    /* ids of DIMMs that would not go */
    gboolean has_excluded; /* the guest has said which cannot */
} Shrinking;

/* Sizes of DIMMS, for subset_best(). */
static guint64 best_of(GPtrArray *dimms, guint64 limit, GPtrArray *chosen)
{
    g_autofree guint64 *sizes = g_new0(guint64, dimms->len + 1);
    g_autofree gboolean *marks = g_new0(gboolean, dimms->len + 1);

    for (guint i = 0; i < dimms->len; i++)
        sizes[i] = ((const HvDevice *)dimms->pdata[i])->size_bytes;
    guint64 sum = subset_best(sizes, dimms->len, limit, marks);
    for (guint i = 0; chosen && i < dimms->len; i++) {
        if (marks[i])
            g_ptr_array_add(chosen, dimms->pdata[i]);
    }
    return sum;
}

static gint larger_first(gconstpointer a, gconstpointer b)
{
    const HvDevice *first = *(HvDevice *const *)a, *second = *(HvDevice *const *)b;

    return first->size_bytes > second->size_bytes ? -1 : first->size_bytes < second->size_bytes;
}

/* The DIMMs that could go, but for those of FAILED (NULL: none), larger ones first. */
static GPtrArray *candidates(const HvMemory *memory, GHashTable *failed)
{
    GPtrArray *dimms = g_ptr_array_new();

    for (guint i = 0; i < memory->devices->len; i++) {
        HvDevice *device = memory->devices->pdata[i];
        if (device->kind == HV_DIMM && device->can_unplug && device->size_bytes > 0 &&
            !(failed && g_hash_table_contains(failed, device->id)))
            g_ptr_array_add(dimms, device);
    }
    g_ptr_array_sort(dimms, larger_first);
    return dimms;
}

/* What virtio-mem devices hold. */
static guint64 virtio_mem_bytes(const HvMemory *memory)
{
    guint64 sum = 0;

    for (guint i = 0; i < memory->devices->len; i++) {
        const HvDevice *device = memory->devices->pdata[i];
        if (device->kind == HV_VIRTIO_MEM && device->id)
            sum += device->plugged_bytes;
    }
    return sum;
}

/* What virtio-mem devices could give back of BYTES. */
static guint64 virtio_mem_gives(const HvMemory *memory, guint64 bytes)
{
    guint64 sum = 0;

    for (guint i = 0; i < memory->devices->len; i++) {
        const HvDevice *device = memory->devices->pdata[i];
        if (device->kind == HV_VIRTIO_MEM && device->id)
            sum += MIN(device->plugged_bytes,
                       (bytes - sum) / device->block_bytes * device->block_bytes);
    }
    return sum;
}

/* Takes out of DIMMS those that the guest says cannot go, with its reasons. */
static void exclude(Shrinking *shrinking, const HvMemory *memory, JsonObject *plan,
                    JsonArray *devices, GPtrArray *dimms)
{
    JsonArray *excluded = ctl_json_array(plan, "excluded");

    for (guint i = 0; i < ctl_json_length(excluded); i++) {
        JsonObject *entry = ctl_json_object_at(excluded, i);
        const HvDevice *device = host_device(memory, devices, ctl_json_string(entry, "device"));
        if (!device || !g_ptr_array_remove(dimms, (gpointer)device))
            continue;
        if (shrinking->has_excluded)
            continue; /* told already */
        host_reason(shrinking->host, NULL, "excluded", "%s cannot go now:", device->id);
        host_guest_reasons(shrinking->host, NULL, ctl_json_array(entry, "reasons"), NULL);
    }
    shrinking->has_excluded = TRUE;
}

/* The guest's choice, where it is as good as any by the hypervisor's sizes: it knows which of two
 * alike is emptier. NULL: it is not. */
static GPtrArray *guests_choice(const HvMemory *memory, JsonObject *plan, JsonArray *devices,
                                GPtrArray *dimms, guint64 best_bytes)
{
    JsonArray *ids = ctl_json_array(plan, "devices");
    g_autoptr(GPtrArray) chosen = g_ptr_array_new();
    guint64 sum = 0;

    for (guint i = 0; i < ctl_json_length(ids); i++) {
        const HvDevice *device = host_device(memory, devices, ctl_json_string_at(ids, i));
        if (!device || !g_ptr_array_find(dimms, device, NULL) ||
            g_ptr_array_find(chosen, device, NULL))
            return NULL;
        g_ptr_array_add(chosen, (gpointer)device);
        sum += device->size_bytes;
    }
    return sum == best_bytes ? g_steal_pointer(&chosen) : NULL;
}

/* Whether the guest has not even taken one of DIMMS. */
static gboolean has_unknown(GPtrArray *dimms, JsonArray *devices)
{
    for (guint i = 0; i < dimms->len; i++) {
        if (!host_record(devices, dimms->pdata[i]))
            return TRUE;
    }
    return FALSE;
}

/* Where a DIMM that the guest has not even taken can be part of the best set, it is. */
static void prefer_unknown(GPtrArray *dimms, JsonArray *devices, guint64 limit, GPtrArray *chosen)
{
    guint64 best = best_of(dimms, limit, NULL);

    for (guint i = dimms->len; i-- > 0;) {
        HvDevice *dimm = dimms->pdata[i];
        if (host_record(devices, dimm) || dimm->size_bytes > limit)
            continue;
        g_ptr_array_remove_index(dimms, i);
        if (dimm->size_bytes + best_of(dimms, limit - dimm->size_bytes, NULL) == best) {
            g_ptr_array_add(chosen, dimm);
            limit -= dimm->size_bytes;
            best -= dimm->size_bytes;
        } else {
            g_ptr_array_insert(dimms, (gint)i, dimm);
        }
    }
    best_of(dimms, limit, chosen);
}

/* Which DIMMs to take for BYTES. NULL and an error. */
static GPtrArray *choose(Shrinking *shrinking, const HvMemory *memory, guint64 bytes,
                         GError **error)
{
    Ctl *ctl = shrinking->host->ctl;
    JsonObject *arguments = json_object_new();
    g_autoptr(GError) refusal = NULL;
    g_autoptr(GPtrArray) dimms = candidates(memory, shrinking->failed);

    json_object_set_int_member(arguments, "bytes", (gint64)bytes);
    g_autoptr(JsonNode) answer = ask(ctl, "memory-get-devices", error);
    g_autoptr(JsonNode) plan_node =
        client_call(ctl->client, "memory-plan-unplug", arguments, &refusal);
    JsonArray *devices = ctl_json_as_array(answer);
    JsonObject *plan = ctl_json_as_object(plan_node);
    if (!answer)
        return NULL;
    if (refusal && refusal->code == CTL_NO_CONNECTION) {
        g_propagate_error(error, g_steal_pointer(&refusal));
        return NULL;
    }
    exclude(shrinking, memory, plan, devices, dimms);
    guint64 best_bytes = best_of(dimms, bytes, NULL);
    GPtrArray *chosen = guests_choice(memory, plan, devices, dimms, best_bytes);
    if (chosen && !has_unknown(dimms, devices))
        return chosen;
    g_clear_pointer(&chosen, g_ptr_array_unref);
    chosen = g_ptr_array_new();
    prefer_unknown(dimms, devices, bytes, chosen);
    return chosen;
}

static void plan_steps(Host *host, GPtrArray *dimms)
{
    for (guint i = 0; i < dimms->len; i++) {
        const HvDevice *dimm = dimms->pdata[i];
        g_autofree char *size = text_exact(dimm->size_bytes);
        host->planned_bytes -= dimm->size_bytes;
        host_step_end(host, host_step(host, dimm->id, "unplug", dimm->size_bytes), "planned",
                      "goes, %s", size);
    }
}

/* By how much the guest is larger than was asked for. FALSE and an error. */
static gboolean excess(Host *host, HvMemory **memory, guint64 *bytes, GError **error)
{
    g_clear_pointer(memory, hv_memory_free);
    *memory = hypervisor_memory(host->hv, error);
    guint64 now = *memory ? hv_memory_bytes(*memory) : 0;
    *bytes = now > host->wanted_bytes ? now - host->wanted_bytes : 0;
    return *memory != NULL;
}

/* Takes DIMMs, and others where some would not go. */
static void shrink_dimms(Host *host, GError **error)
{
    g_autoptr(GHashTable) failed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Shrinking shrinking = {.host = host, .failed = failed};
    g_autoptr(HvMemory) memory = NULL;
    guint64 bytes;

    while (!host->is_interrupted && excess(host, &memory, &bytes, error)) {
        guint n_failed = g_hash_table_size(failed);
        g_autoptr(GPtrArray) any = candidates(memory, failed);
        if (best_of(any, bytes, NULL) == 0)
            return;
        g_autoptr(GPtrArray) chosen = choose(&shrinking, memory, bytes, error);
        if (!chosen || chosen->len == 0)
            return;
        if (host->ctl->line->dry_run) {
            plan_steps(host, chosen);
            return;
        }
        if (host_take(host, chosen, failed, error) || is_fatal(error))
            return;
        if (g_hash_table_size(failed) > n_failed)
            continue;
        /* Together they were too much: as far as one by one goes, without the largest. */
        if (!host->ctl->line->best_effort)
            return;
        const HvDevice *largest = chosen->pdata[0];
        for (guint i = 1; i < chosen->len; i++) {
            const HvDevice *dimm = chosen->pdata[i];
            largest = dimm->size_bytes > largest->size_bytes ? dimm : largest;
        }
        g_hash_table_add(failed, g_strdup(largest->id));
    }
}

/* Whether the guest thinks that DEVICE can give BYTES back. Its reasons are told. */
static gboolean check_virtio_mem(Host *host, const HvDevice *device, guint64 bytes, GError **error)
{
    JsonObject *arguments = json_object_new();
    JsonArray *devices = json_array_new();
    g_autoptr(GError) wrong = NULL;
    g_autoptr(JsonNode) all = ask(host->ctl, "memory-get-devices", NULL);
    JsonObject *record = host_record(ctl_json_as_array(all), device);
    JsonObject *selector =
        device->address == 0 && record ? json_object_new() : ask_selector(device);

    if (device->address == 0 && record)
        json_object_set_string_member(selector, "id", ctl_json_string(record, "id"));

    json_object_set_int_member(selector, "bytes", (gint64)bytes);
    json_array_add_object_element(devices, selector);
    json_object_set_array_member(arguments, "devices", devices);
    g_autoptr(JsonNode) answer =
        client_call(host->ctl->client, "memory-check-unplug", arguments, &wrong);
    JsonObject *verdict = ctl_json_as_object(answer);
    if (wrong && wrong->code == CTL_NO_CONNECTION) {
        g_propagate_error(error, g_steal_pointer(&wrong));
        return FALSE;
    }
    if (ctl_json_bool(verdict, "ready-to-prepare"))
        return TRUE;
    host_guest_reasons(host, NULL, ctl_json_array(verdict, "reasons"), NULL);
    if (wrong)
        host_reason(host, NULL, "guest-refuses", "%s", wrong->message);
    return FALSE;
}

static void plan_request(Host *host, const HvDevice *device, guint64 bytes)
{
    g_autofree char *size = text_exact(bytes);

    host->planned_bytes += bytes - device->plugged_bytes;
    host_step_end(host, host_step(host, device->id, "request", bytes), "planned", "to be %s", size);
}

/* Has virtio-mem devices give back what the guest is too large by, the last one first. */
static void shrink_virtio_mem(Host *host, GError **error)
{
    g_autoptr(HvMemory) memory = NULL;
    guint64 bytes;

    if (!excess(host, &memory, &bytes, error))
        return;
    bytes -= MIN(bytes, host->began_bytes - host->planned_bytes);
    for (guint i = memory->devices->len; i-- > 0 && !host->is_interrupted && !is_fatal(error);) {
        const HvDevice *device = memory->devices->pdata[i];
        guint64 give = MIN(
            device->plugged_bytes,
            device->kind == HV_VIRTIO_MEM ? bytes / device->block_bytes * device->block_bytes : 0);
        if (give == 0 || !device->id)
            continue;
        gboolean can = check_virtio_mem(host, device, give, error);
        if (is_fatal(error))
            return;
        if (host->ctl->line->dry_run && can)
            plan_request(host, device, device->plugged_bytes - give);
        else if (!host->ctl->line->dry_run && (can || host->ctl->line->best_effort))
            host_request(host, device, device->plugged_bytes - give, error);
        host->has_failed = host->has_failed || !can;
        bytes -= give;
    }
}

/* ---- resize: larger ---- */

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
    for (guint i = 0; i < memory->devices->len && bytes > 0 && !is_fatal(error); i++) {
        const HvDevice *device = memory->devices->pdata[i];
        if (device->kind != HV_VIRTIO_MEM || !device->id || host->is_interrupted ||
            !is_of_node(host->ctl->line, device))
            continue;
        guint64 left =
            (bytes + device->block_bytes - 1) / device->block_bytes * device->block_bytes;
        guint64 add =
            MIN(left, device->size_bytes - MIN(device->plugged_bytes, device->size_bytes));
        if (add > 0 && host->ctl->line->dry_run)
            plan_request(host, device, device->plugged_bytes + add);
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

static void grow(Host *host, const HvMemory *memory, guint64 bytes, guint64 *promised,
                 GError **error)
{
    guint64 from = guest_bytes(host);
    guint64 by_request = virtio_mem_takes(host, memory, bytes);
    guint64 rest = bytes - MIN(by_request, bytes);

    *promised = host->began_bytes + MAX(by_request, bytes);
    if (rest > 0 && !has_block(host, error))
        return;
    if (rest > 0) {
        rest = (rest + host->block_bytes - 1) / host->block_bytes * host->block_bytes;
        *promised = host->began_bytes + by_request + rest;
        if (!fits(host, memory, &rest, error) && is_fatal(error))
            return;
    }
    grow_virtio_mem(host, memory, bytes, error);
    if (by_request > 0 && !host->ctl->line->dry_run && !is_fatal(error)) {
        g_autoptr(HvMemory) now = hypervisor_memory(host->hv, error);
        guint64 now_bytes = now ? hv_memory_bytes(now) : 0;
        if (now_bytes > host->began_bytes)
            wait_guest(host, from, now_bytes - host->began_bytes);
    }
    if (rest > 0 && !is_fatal(error) && !host->is_interrupted)
        grow_dimms(host, memory, rest, FALSE, error);
}

/* ---- resize ---- */

/* Tells the guest what the host is after; a daemon that does not keep it loses nothing. */
static void set_target(Host *host)
{
    JsonObject *arguments = json_object_new();

    json_object_set_int_member(arguments, "bytes", (gint64)host->wanted_bytes);
    g_autoptr(JsonNode) answer =
        client_call(host->ctl->client, "memory-set-target", arguments, NULL);
}

/* Names the DIMMs that the hypervisor counts and the guest has not taken. */
static void name_unknown(Host *host, GError **error)
{
    g_autoptr(HvMemory) memory = hypervisor_memory(host->hv, error);
    g_autoptr(JsonNode) answer = memory ? ask(host->ctl, "memory-get-devices", error) : NULL;

    for (guint i = 0; answer && i < memory->devices->len; i++) {
        const HvDevice *device = memory->devices->pdata[i];
        if (device->kind != HV_DIMM || host_record(ctl_json_as_array(answer), device))
            continue;
        g_autofree char *size = text_exact(device->size_bytes);
        host->has_failed = TRUE;
        host_reason(host, NULL, "not-in-guest",
                    "the guest has not taken %s, %s: memplugctl unplug takes it back", device->id,
                    size);
    }
}

/* Takes DIMMs back that cannot be in the guest: its blocks do not fit there, by the hypervisor's
 * figures, and it knows of none. The guest's word alone would not do: it would make us delete what
 * nobody named. */
static void take_back_unusable(Host *host, GError **error)
{
    g_autoptr(HvMemory) memory = hypervisor_memory(host->hv, error);
    g_autoptr(JsonNode) answer = memory ? ask(host->ctl, "memory-get-devices", error) : NULL;
    g_autoptr(GPtrArray) dimms = answer ? candidates(memory, NULL) : g_ptr_array_new();
    g_autoptr(GHashTable) failed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = dimms->len; i-- > 0;) {
        const HvDevice *dimm = dimms->pdata[i];
        if (host->block_bytes == 0 || host_record(ctl_json_as_array(answer), dimm) ||
            (dimm->address % host->block_bytes == 0 && dimm->size_bytes % host->block_bytes == 0))
            g_ptr_array_remove_index(dimms, i);
    }
    if (dimms->len == 0 || !host_take(host, dimms, failed, error))
        return;
    g_autoptr(HvMemory) after = hypervisor_memory(host->hv, error);
    if (after)
        host->began_bytes = host->planned_bytes = hv_memory_bytes(after);
}

/* Does it, and returns the size that counts as success. */
static guint64 resize(Host *host, GError **error)
{
    if (!host->ctl->line->dry_run)
        take_back_unusable(host, error);
    if (is_fatal(error))
        return 0;
    g_autoptr(HvMemory) memory = hypervisor_memory(host->hv, error);
    guint64 promised = host->began_bytes, bytes;

    if (!memory)
        return promised;
    if (!host->ctl->line->dry_run)
        set_target(host);
    if (host->wanted_bytes > host->began_bytes) {
        bytes = host->wanted_bytes - host->began_bytes;
        grow(host, memory, bytes, &promised, error);
    } else if (host->wanted_bytes < host->began_bytes) {
        bytes = host->began_bytes - host->wanted_bytes;
        g_autoptr(GPtrArray) any = candidates(memory, NULL);
        /* As exact as the sizes allow; virtio-mem alone where it has enough. */
        guint64 by_dimms = virtio_mem_bytes(memory) >= bytes ? 0 : best_of(any, bytes, NULL);
        promised -= by_dimms + virtio_mem_gives(memory, bytes - by_dimms);
        if (by_dimms > 0)
            shrink_dimms(host, error);
        if (virtio_mem_bytes(memory) > 0 && !is_fatal(error) && !host->is_interrupted)
            shrink_virtio_mem(host, error);
    }
    return promised;
}

CtlStatus verb_resize(Ctl *ctl, GError **error)
{
    guint64 wanted;
    g_autoptr(GError) wrong = NULL;

    if (!text_parse_size(ctl->line->operands[0], &wanted, error))
        return CTL_USAGE;
    g_autoptr(Host) host = host_open(ctl, error);
    if (!host)
        return CTL_NO_CONNECTION;
    host->wanted_bytes = wanted;
    host->planned_bytes = host->began_bytes;
    guint64 promised = resize(host, &wrong);
    if (!wrong && !host->is_interrupted)
        name_unknown(host, &wrong);
    if (wrong)
        g_propagate_error(error, g_steal_pointer(&wrong));
    if (error && *error && json_array_get_length(host->steps) == 0 && !ctl->line->json)
        return CTL_REFUSED; /* nothing was begun */
    if (!ctl->line->dry_run)
        return host_finish(host, promised, error);
    host->has_failed = host->has_failed || host->planned_bytes != promised;
    return host_finish(host, host->began_bytes, error);
}
