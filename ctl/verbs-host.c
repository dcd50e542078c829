/*
 * plug, unplug, resize: how much, and by which devices. By the hypervisor's figures and the
 * operator's words; the guest may only refuse.
 */
#include <string.h>

#include "ctl/ask.h"
#include "ctl/host-resize.h"
#include "ctl/json.h"
#include "ctl/qemu-backend.h"
#include "ctl/text.h"

#define LISTED_MAX 8

/* No block of x86-64 or arm64 with pages of 4 KiB is smaller. */
#define SMALLEST_BLOCK_BYTES (G_GUINT64_CONSTANT(128) << 20)

/* What can be told wrong before anybody is asked. */
static gboolean is_sound(const Ctl *ctl, GError **error)
{
    const CommandLine *line = ctl->line;

    if (line->id && *line->id == '\0')
        g_set_error(error, CTL_ERROR, CTL_USAGE, "--id is empty: leave it away for an id of ours");
    else if (line->backend && ctl->libvirt)
        g_set_error(error, CTL_ERROR, CTL_USAGE,
                    "libvirt chooses the backend by the guest's memoryBacking: no --backend");
    else
        return !line->backend || qemu_backend_check(line->backend, error);
    return FALSE;
}

CtlStatus verb_plug(Ctl *ctl, GError **error)
{
    guint64 bytes;
    g_autoptr(GError) wrong = NULL;

    if (!text_parse_size(ctl->line->operands[0], &bytes, error) || !is_sound(ctl, error))
        return CTL_USAGE;
    g_autoptr(Host) host = host_open(ctl, error);
    g_autoptr(HvMemory) memory =
        host && host_has_block(host, error) ? hypervisor_memory(host->hv, error) : NULL;
    if (!memory)
        return CTL_NO_CONNECTION;
    if (bytes == 0 || bytes % host->block_bytes != 0) {
        g_autofree char *block = text_exact(host->block_bytes), *size = text_exact(bytes);
        g_set_error(error, CTL_ERROR, CTL_USAGE,
                    "a DIMM of %s is no use to the guest: it takes whole blocks, which are of %s",
                    size, block);
        return CTL_USAGE;
    }
    host->wanted_bytes = host->began_bytes + bytes;
    if (ctl->line->id && hv_memory_by_id(memory, ctl->line->id)) {
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "there is a device '%s' already", ctl->line->id);
        return host_refuse(host, error);
    }
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

/* For a person who named another: "d0 (slot0), vm0". To free. */
static char *list_devices(const HvMemory *memory)
{
    GString *list = g_string_new(NULL);

    for (guint i = 0; i < memory->devices->len; i++) {
        const HvDevice *device = memory->devices->pdata[i];
        if (i == LISTED_MAX) {
            g_string_append_printf(list, " and %u more", memory->devices->len - i);
            break;
        }
        g_string_append_printf(list, "%s%s", i > 0 ? ", " : "",
                               device->id ? device->id : "one without an id");
        if (device->kind == HV_DIMM)
            g_string_append_printf(list, " (slot%" G_GINT64_FORMAT ")", device->slot);
    }
    return g_string_free(list, FALSE);
}

/* The hypervisor's device that WORD names: its id, slotN, or an address. */
static const HvDevice *bind_operand(Host *host, const HvMemory *memory, const char *word,
                                    GError **error)
{
    gboolean is_hex = g_str_has_prefix(word, "0x");
    const HvDevice *device = hv_memory_by_id(memory, word);
    g_autofree char *there = list_devices(memory);
    guint64 number;

    if (!device && g_str_has_prefix(word, "slot") &&
        g_ascii_string_to_unsigned(word + strlen("slot"), 10, 0, G_MAXINT64, &number, NULL))
        device = hv_memory_by_slot(memory, (gint64)number);
    else if (!device && g_ascii_isdigit(*word) &&
             g_ascii_string_to_unsigned(is_hex ? word + 2 : word, is_hex ? 16 : 10, 0, G_MAXINT64,
                                        &number, NULL))
        device = hv_memory_by_address(memory, number);
    if (!device)
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "%s has no memory device '%s'; it has %s",
                    hypervisor_name(host->hv), word, *there ? there : "none at all");
    else if (device->kind == HV_VIRTIO_MEM)
        g_set_error(error, CTL_ERROR, CTL_REFUSED,
                    "%s is a virtio-mem device: resize makes it smaller", word);
    else if (!device->can_unplug)
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "%s cannot unplug %s: %s",
                    hypervisor_name(host->hv), word,
                    device->id ? "it is not hot-pluggable" : "it was given no id");
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
            return host_refuse(host, error);
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

/* Takes DIMMs back that cannot be in the guest: no guest's blocks fit there, by the hypervisor's
 * figures, and it knows of none. The guest's word alone, also about the size of its blocks, would
 * not do: it would make us delete what nobody named. */
static void take_back_unusable(Host *host, GError **error)
{
    g_autoptr(HvMemory) memory = hypervisor_memory(host->hv, error);
    g_autoptr(JsonNode) answer = memory ? ask(host->ctl, "memory-get-devices", error) : NULL;
    g_autoptr(GPtrArray) dimms = answer ? host_candidates(memory, NULL) : g_ptr_array_new();
    g_autoptr(GHashTable) failed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    guint64 block_bytes = MIN(host->block_bytes, SMALLEST_BLOCK_BYTES);
    for (guint i = dimms->len; i-- > 0;) {
        const HvDevice *dimm = dimms->pdata[i];
        if (block_bytes == 0 || host_record(ctl_json_as_array(answer), dimm) ||
            (dimm->address % block_bytes == 0 && dimm->size_bytes % block_bytes == 0))
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

/* A number without its unit would take all that can be taken. FALSE and an error. */
static gboolean is_likely(Host *host, guint64 wanted, GError **error)
{
    g_autofree char *base = text_exact(host->base_bytes), *size = text_exact(wanted);

    if (wanted >= host->base_bytes / 2)
        return TRUE;
    g_set_error(error, CTL_ERROR, CTL_USAGE,
                "%s is less than half of what the guest was started with, %s, and that stays: is a "
                "unit missing?",
                size, base);
    return FALSE;
}

/* Names the DIMMs that nobody can take, where the guest stays larger than it was to be. */
static void name_fixed(Host *host, GError **error)
{
    g_autoptr(HvMemory) memory = hypervisor_memory(host->hv, error);
    guint64 now = host->ctl->line->dry_run ? host->planned_bytes
                  : memory                 ? hv_memory_bytes(memory)
                                           : 0;

    for (guint i = 0; memory && i < memory->devices->len; i++) {
        const HvDevice *device = memory->devices->pdata[i];
        g_autofree char *size = text_exact(device->size_bytes);
        if (device->kind == HV_DIMM && !device->can_unplug &&
            now >= host->wanted_bytes + device->size_bytes)
            host_reason(host, NULL, "fixed-dimm", "%s cannot unplug %s, %s: %s",
                        hypervisor_name(host->hv), device->id ? device->id : "a DIMM", size,
                        device->id ? "it is not hot-pluggable" : "it was given no id");
    }
}

CtlStatus verb_resize(Ctl *ctl, GError **error)
{
    guint64 wanted;
    g_autoptr(GError) wrong = NULL;

    if (!text_parse_size(ctl->line->operands[0], &wanted, error) || !is_sound(ctl, error))
        return CTL_USAGE;
    g_autoptr(Host) host = host_open(ctl, error);
    if (!host || !is_likely(host, wanted, error))
        return CTL_NO_CONNECTION;
    host->wanted_bytes = wanted;
    host->planned_bytes = host->began_bytes;
    guint64 promised = resize(host, &wrong);
    if (!wrong && !host->is_interrupted)
        name_unknown(host, &wrong);
    if (!wrong)
        name_fixed(host, &wrong);
    if (wrong)
        g_propagate_error(error, g_steal_pointer(&wrong));
    if (error && *error && json_array_get_length(host->steps) == 0 && !ctl->line->json)
        return CTL_REFUSED; /* nothing was begun */
    if (!ctl->line->dry_run)
        return host_finish(host, promised, error);
    host->has_failed = host->has_failed || host->planned_bytes != promised;
    return host_finish(host, host->began_bytes, error);
}
