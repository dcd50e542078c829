/*
 * A smaller guest: DIMMs are taken, and virtio-mem devices asked to give back.
 */
#include "ctl/ask.h"
#include "ctl/host-resize.h"
#include "ctl/json.h"
#include "ctl/text.h"

guint64 host_virtio_mem_bytes(const HvMemory *memory)
{
    guint64 sum = 0;

    for (guint i = 0; i < memory->devices->len; i++) {
        const HvDevice *device = memory->devices->pdata[i];
        if (device->kind == HV_VIRTIO_MEM && device->id)
            sum += device->plugged_bytes;
    }
    return sum;
}

guint64 host_virtio_mem_gives(const HvMemory *memory, guint64 bytes)
{
    guint64 sum = 0;

    for (guint i = memory->devices->len; i-- > 0;) { /* the last one first, as they are asked */
        const HvDevice *device = memory->devices->pdata[i];
        if (device->kind == HV_VIRTIO_MEM && device->id)
            sum += MIN(device->plugged_bytes,
                       (bytes - sum) / device->block_bytes * device->block_bytes);
    }
    return sum;
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

void host_shrink_dimms(Host *host, GError **error)
{
    g_autoptr(GHashTable) failed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Shrinking shrinking = {.host = host, .failed = failed};
    g_autoptr(HvMemory) memory = NULL;
    guint64 bytes;

    while (!host->is_interrupted && excess(host, &memory, &bytes, error)) {
        guint n_failed = g_hash_table_size(failed);
        g_autoptr(GPtrArray) any = host_candidates(memory, failed);
        if (host_best_of(any, bytes, NULL) == 0)
            return;
        g_autoptr(GPtrArray) chosen = host_choose(&shrinking, memory, bytes, error);
        if (!chosen || chosen->len == 0)
            return;
        if (host->ctl->line->dry_run) {
            plan_steps(host, chosen);
            return;
        }
        if (host_take(host, chosen, failed, error) || *error)
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
    if (wrong || ctl_json_length(ctl_json_array(verdict, "reasons")) == 0)
        host_reason(host, NULL, "guest-refuses", "%s",
                    wrong ? wrong->message : "the guest says that it cannot, and not why");
    return FALSE;
}

void host_plan_request(Host *host, const HvDevice *device, guint64 bytes)
{
    g_autofree char *size = text_exact(bytes);

    host->planned_bytes += bytes - device->plugged_bytes;
    host_step_end(host, host_step(host, device->id, "request", bytes), "planned", "to be %s", size);
}

void host_shrink_virtio_mem(Host *host, GError **error)
{
    g_autoptr(HvMemory) memory = NULL;
    guint64 bytes;

    if (!excess(host, &memory, &bytes, error))
        return;
    bytes -= MIN(bytes, host->began_bytes - host->planned_bytes);
    for (guint i = memory->devices->len; i-- > 0 && !host->is_interrupted && !*error;) {
        const HvDevice *device = memory->devices->pdata[i];
        guint64 give = MIN(
            device->plugged_bytes,
            device->kind == HV_VIRTIO_MEM ? bytes / device->block_bytes * device->block_bytes : 0);
        if (give == 0 || !device->id)
            continue;
        gboolean can = check_virtio_mem(host, device, give, error);
        if (*error)
            return;
        if (host->ctl->line->dry_run && can)
            host_plan_request(host, device, device->plugged_bytes - give);
        else if (!host->ctl->line->dry_run && (can || host->ctl->line->best_effort))
            host_request(host, device, device->plugged_bytes - give, error);
        host->has_failed = host->has_failed || !can;
        bytes -= give;
    }
}
