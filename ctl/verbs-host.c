/*
 * plug, unplug, resize: how much, and by which devices. By the hypervisor's figures and the
 * operator's words; the guest may only refuse.
 */
#include <string.h>

#include "ctl/ask.h"
#include "ctl/host-resize.h"
#include "ctl/json.h"
#include "ctl/text.h"

CtlStatus verb_plug(Ctl *ctl, GError **error)
{
    guint64 bytes;
    g_autoptr(GError) wrong = NULL;

    if (!text_parse_size(ctl->line->operands[0], &bytes, error))
        return CTL_USAGE;
    g_autoptr(Host) host = host_open(ctl, error);
    g_autoptr(HvMemory) memory =
        host && host_has_block(host, error) ? hypervisor_memory(host->hv, error) : NULL;
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
    if (host_fits(host, memory, &bytes, &wrong))
        host_grow_dimms(host, memory, bytes, TRUE, &wrong);
    if (wrong && json_array_get_length(host->steps) == 0 && !ctl->line->json) {
        g_propagate_error(error, g_steal_pointer(&wrong));
        return CTL_REFUSED; /* nothing was begun */
    }
    if (wrong)
        g_propagate_error(error, g_steal_pointer(&wrong));
    return host_finish(host, host->wanted_bytes, error);
}

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
    g_autoptr(GPtrArray) dimms = answer ? host_candidates(memory, NULL) : g_ptr_array_new();
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
    if (*error)
        return 0;
    g_autoptr(HvMemory) memory = hypervisor_memory(host->hv, error);
    guint64 promised = host->began_bytes, bytes;

    if (!memory)
        return promised;
    if (!host->ctl->line->dry_run)
        set_target(host);
    if (host->wanted_bytes > host->began_bytes) {
        bytes = host->wanted_bytes - host->began_bytes;
        host_grow(host, memory, bytes, &promised, error);
    } else if (host->wanted_bytes < host->began_bytes) {
        bytes = host->began_bytes - host->wanted_bytes;
        g_autoptr(GPtrArray) any = host_candidates(memory, NULL);
        /* As exact as the sizes allow; virtio-mem alone where it has enough. */
        guint64 by_dimms =
            host_virtio_mem_bytes(memory) >= bytes ? 0 : host_best_of(any, bytes, NULL);
        promised -= by_dimms + host_virtio_mem_gives(memory, bytes - by_dimms);
        if (by_dimms > 0)
            host_shrink_dimms(host, error);
        if (host_virtio_mem_bytes(memory) > 0 && !*error && !host->is_interrupted)
            host_shrink_virtio_mem(host, error);
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
