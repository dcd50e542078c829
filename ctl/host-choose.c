/*
 * Which DIMMs to take for a size: as good as the hypervisor's sizes allow, and, among equals, as
 * the guest would have it.
 */
#include "ctl/ask.h"
#include "ctl/host-resize.h"
#include "ctl/json.h"
#include "ctl/subset.h"

guint64 host_best_of(GPtrArray *dimms, guint64 limit, GPtrArray *chosen)
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

GPtrArray *host_candidates(const HvMemory *memory, GHashTable *failed)
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
    guint64 best = host_best_of(dimms, limit, NULL);

    for (guint i = dimms->len; i-- > 0;) {
        HvDevice *dimm = dimms->pdata[i];
        if (host_record(devices, dimm) || dimm->size_bytes > limit)
            continue;
        g_ptr_array_remove_index(dimms, i);
        if (dimm->size_bytes + host_best_of(dimms, limit - dimm->size_bytes, NULL) == best) {
            g_ptr_array_add(chosen, dimm);
            limit -= dimm->size_bytes;
            best -= dimm->size_bytes;
        } else {
            g_ptr_array_insert(dimms, (gint)i, dimm);
        }
    }
    host_best_of(dimms, limit, chosen);
}

GPtrArray *host_choose(Shrinking *shrinking, const HvMemory *memory, guint64 bytes, GError **error)
{
    Ctl *ctl = shrinking->host->ctl;
    JsonObject *arguments = json_object_new();
    g_autoptr(GError) refusal = NULL;
    g_autoptr(GPtrArray) dimms = host_candidates(memory, shrinking->failed);

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
    guint64 best_bytes = host_best_of(dimms, bytes, NULL);
    GPtrArray *chosen = guests_choice(memory, plan, devices, dimms, best_bytes);
    if (chosen && !has_unknown(dimms, devices))
        return chosen;
    g_clear_pointer(&chosen, g_ptr_array_unref);
    chosen = g_ptr_array_new();
    prefer_unknown(dimms, devices, bytes, chosen);
    return chosen;
}
