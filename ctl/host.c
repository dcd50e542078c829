#include "ctl/host.h"

#include <stdarg.h>
#include <string.h>

#include "ctl/ask.h"
#include "ctl/interrupt.h"
#include "ctl/json.h"
#include "ctl/text.h"

/* ---- the guest's word ---- */

/* The size of the guest's blocks, 0 where it says one that no kernel has. */
static guint64 sound_block(JsonObject *status)
{
    guint64 bytes = ctl_json_uint(status, "block-size");

    return bytes > 0 && (bytes & (bytes - 1)) == 0 && bytes <= HOST_BLOCK_BYTES_MAX ? bytes : 0;
}

Host *host_open(Ctl *ctl, GError **error)
{
    g_autoptr(GError) wrong = NULL;
    g_autoptr(JsonNode) status = ask(ctl, "memory-get-status", &wrong);
    g_autoptr(HvMemory) memory = status ? hypervisor_memory(ctl->hv, error) : NULL;

    if (wrong && wrong->code == CTL_REFUSED)
        g_prefix_error(&wrong,
                       "the agent on the guest's port is not memplugd, or may not be asked: ");
    if (wrong)
        g_propagate_error(error, g_steal_pointer(&wrong));
    if (!memory)
        return NULL;
    Host *host = g_new0(Host, 1);
    host->ctl = ctl;
    host->hv = ctl->hv;
    host->boot_id = g_strdup(ctl_json_string(ctl_json_as_object(status), "boot-id"));
    host->block_bytes = sound_block(ctl_json_as_object(status));
    host->base_bytes = memory->base_bytes;
    host->began_bytes = hv_memory_bytes(memory);
    host->steps = json_array_new();
    host->reasons = json_array_new();
    host->interrupt = interrupt_open();
    if (!ctl->line->dry_run)
        hypervisor_tidy(host->hv);
    return host;
}

void host_free(Host *host)
{
    if (!host)
        return;
    interrupt_close(host->interrupt);
    json_array_unref(host->steps);
    json_array_unref(host->reasons);
    g_free(host->boot_id);
    g_free(host);
}

JsonObject *host_record(JsonArray *devices, const HvDevice *device)
{
    for (guint i = 0; i < ctl_json_length(devices); i++) {
        JsonObject *record = ctl_json_object_at(devices, i);
        /* libvirt before 9.4 does not tell where a virtio-mem device is; 0 is where RAM begins. */
        gboolean is_alike = strcmp(ctl_json_string(record, "kind"), "virtio-mem") == 0 &&
                            ctl_json_uint(record, "size") == device->size_bytes;
        if (device->address == 0 && device->kind == HV_VIRTIO_MEM && is_alike)
            return record;
        if (device->address == 0)
            continue;
        if (ctl_json_uint(record, "address") == device->address &&
            ctl_json_uint(record, "size") <= device->size_bytes)
            return record;
    }
    return NULL;
}

const HvDevice *host_device(const HvMemory *memory, JsonArray *devices, const char *id)
{
    for (guint i = 0; i < ctl_json_length(devices); i++) {
        JsonObject *record = ctl_json_object_at(devices, i);
        const HvDevice *device =
            strcmp(ctl_json_string(record, "id"), id) == 0
                ? hv_memory_by_address(memory, ctl_json_uint(record, "address"))
                : NULL;
        if (device && device->id && host_record(devices, device) == record)
            return device;
    }
    return NULL;
}

/* ---- the report ---- */

JsonObject *host_step(Host *host, const char *device, const char *action, guint64 bytes)
{
    JsonObject *step = json_object_new();

    json_object_set_string_member(step, "device", device ? device : "");
    json_object_set_string_member(step, "action", action);
    json_object_set_int_member(step, "bytes", (gint64)bytes);
    json_object_set_string_member(step, "result", "not-tried");
    json_object_set_array_member(step, "reasons", json_array_new());
    json_array_add_object_element(host->steps, step);
    return step;
}

void host_step_end(Host *host, JsonObject *step, const char *result, const char *format, ...)
{
    gboolean good = strcmp(result, "done") == 0 || strcmp(result, "planned") == 0;
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    json_object_set_string_member(step, "result", result);
    host->has_failed = host->has_failed || !good;
    if (host->ctl->line->json)
        return;
    g_autofree char *device = text_safe(ctl_json_string(step, "device"));
    g_autofree char *safe = text_safe(text);
    terminal_print(&host->ctl->terminal, good ? COLOUR_GOOD : COLOUR_BAD, "%s: %s",
                   *device ? device : "new DIMM", safe);
    view_reasons(&host->ctl->terminal, ctl_json_array(step, "reasons"),
                 good ? COLOUR_WARN : COLOUR_BAD);
}

static JsonArray *reasons_of(Host *host, JsonObject *step)
{
    return step ? ctl_json_array(step, "reasons") : host->reasons;
}

void host_reason(Host *host, JsonObject *step, const char *code, const char *format, ...)
{
    JsonObject *reason = json_object_new();
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    json_object_set_string_member(reason, "code", code);
    json_object_set_string_member(reason, "desc", text);
    json_array_add_object_element(reasons_of(host, step), reason);
}

void host_guest_reasons(Host *host, JsonObject *step, JsonArray *reasons, const char *device)
{
    for (guint i = 0; i < ctl_json_length(reasons); i++) {
        JsonObject *reason = ctl_json_object_at(reasons, i);
        if (reason && (!device || strcmp(ctl_json_string(reason, "device"), device) == 0))
            json_array_add_object_element(reasons_of(host, step), json_object_ref(reason));
    }
}

gboolean host_lost(Host *host, GError **error)
{
    g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION,
                "%s has gone: whether the guest lives, and with how much memory, is not known",
                hypervisor_name(host->hv));
    return FALSE;
}

/* What the guest says it has, -1: nothing. */
static gint64 by_guest(Host *host)
{
    g_autoptr(GError) wrong = NULL;
    g_autoptr(JsonNode) status = ask(host->ctl, "memory-get-status", &wrong);
    JsonObject *object = ctl_json_as_object(status);

    if (status && strcmp(ctl_json_string(object, "boot-id"), host->boot_id) != 0) {
        host->has_failed = TRUE;
        host_reason(host, NULL, "booted-again", "the guest has booted again meanwhile");
    }
    if (status)
        return ctl_json_int(object, "guest-current", -1);
    g_autofree char *stopped = hypervisor_stopped_by(host->hv);
    host_reason(host, NULL, "no-answer", "%s%s%s", wrong->message, stopped ? "; the guest is " : "",
                stopped ? stopped : "");
    return -1;
}

static void print_json(Host *host, const HvMemory *memory, gint64 guest_bytes, guint64 shortfall)
{
    JsonObject *report = json_object_new();
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), report);

    json_object_set_int_member(report, "wanted", (gint64)host->wanted_bytes);
    if (memory)
        json_object_set_int_member(report, "by-hypervisor", (gint64)hv_memory_bytes(memory));
    if (guest_bytes >= 0)
        json_object_set_int_member(report, "by-guest", guest_bytes);
    if (memory)
        json_object_set_int_member(report, "shortfall", (gint64)shortfall);
    json_object_set_array_member(report, "steps", json_array_ref(host->steps));
    json_object_set_array_member(report, "reasons", json_array_ref(host->reasons));
    ctl_json_print(node);
    json_object_unref(report);
}

static void print_text(Host *host, const HvMemory *memory, gint64 guest_bytes)
{
    g_autofree char *wanted = text_exact(host->wanted_bytes);
    g_autofree char *current = memory ? text_exact(hv_memory_bytes(memory)) : g_strdup("?");
    g_autofree char *guest = text_exact((guint64)MAX(guest_bytes, 0));

    terminal_end_line(&host->ctl->terminal);
    view_reasons(&host->ctl->terminal, host->reasons, host->has_failed ? COLOUR_BAD : COLOUR_WARN);
    terminal_print(&host->ctl->terminal, COLOUR_NONE, "asked for %s: %s by %s, %s by the guest",
                   wanted, current, hypervisor_name(host->hv), guest_bytes < 0 ? "?" : guest);
}

CtlStatus host_refuse(Host *host, GError **error)
{
    host->wanted_bytes = host->wanted_bytes ? host->wanted_bytes : host->began_bytes;
    if (host->ctl->line->json && g_error_matches(*error, CTL_ERROR, CTL_REFUSED))
        host_finish(host, host->wanted_bytes, error);
    return CTL_REFUSED; /* main prints it, and its code counts */
}

CtlStatus host_finish(Host *host, guint64 promised_bytes, GError **error)
{
    g_autoptr(GError) gone = NULL;
    gint64 guest_bytes =
        error && *error && (*error)->code == CTL_NO_CONNECTION ? -1 : by_guest(host);
    /* Last of all: a guest that is reset while it is asked loses what virtio-mem gave it. */
    g_autoptr(HvMemory) memory = hypervisor_memory(host->hv, &gone);
    guint64 now = memory ? hv_memory_bytes(memory) : 0;
    guint64 shortfall = now > promised_bytes ? now - promised_bytes : promised_bytes - now;

    if (gone && error && !*error)
        g_propagate_error(error, g_steal_pointer(&gone));
    if (error && *error)
        host_reason(host, NULL, "error", "%s", (*error)->message);
    if (host->ctl->line->json)
        print_json(host, memory, guest_bytes, shortfall);
    else if (!error || !*error || memory)
        print_text(host, memory, guest_bytes);
    if (error && *error)
        return CTL_REFUSED; /* main prints it, and its code counts */
    return memory && shortfall == 0 && !host->has_failed ? CTL_DONE : CTL_REFUSED;
}
