#include "ctl/ask.h"

#include <string.h>

#include "ctl/json.h"
#include "ctl/text.h"

gboolean ask_connect(Ctl *ctl, GError **error)
{
    const char *host = ctl->line->host;

    client_free(ctl->client);
    if (ctl->libvirt)
        ctl->client = client_new_libvirt(ctl->libvirt);
    else
        ctl->client = host ? client_new_socket(host, error) : client_new_bus(error);
    return ctl->client != NULL;
}

JsonNode *ask(Ctl *ctl, const char *command, GError **error)
{
    return client_call(ctl->client, command, NULL, error);
}

JsonNode *ask_job(Ctl *ctl, guint64 job, GError **error)
{
    JsonObject *arguments = json_object_new();

    json_object_set_int_member(arguments, "job", (gint64)job);
    return client_call(ctl->client, "memory-query-unplug", arguments, error);
}

JsonNode *ask_status(Ctl *ctl, GError **error)
{
    JsonNode *status = ask(ctl, "memory-get-status", error);
    JsonNode *properties = status && !ctl->line->host ? client_properties(ctl->client, NULL) : NULL;
    const char *port_error = ctl_json_string(ctl_json_as_object(properties), "port-error");

    if (*port_error)
        json_object_set_string_member(ctl_json_as_object(status), "port-error", port_error);
    g_clear_pointer(&properties, json_node_unref);
    return status;
}

/* What everybody may see. */
static gboolean ask_properties(Ctl *ctl, Screen *screen, GError **error)
{
    screen->status = client_properties(ctl->client, error);
    JsonObject *status = ctl_json_as_object(screen->status);
    if (status && json_object_has_member(status, "jobs"))
        screen->jobs = json_object_dup_member(status, "jobs");
    return screen->status != NULL;
}

gboolean ask_screen(Ctl *ctl, Screen *screen, GError **error)
{
    g_autoptr(GError) refusal = NULL;

    *screen = (Screen){.status = NULL};
    if (ctl->is_refused)
        return ask_properties(ctl, screen, error);
    screen->status = ask_status(ctl, &refusal);
    if (!screen->status) {
        /* Not root, and polkit does not let us. */
        ctl->is_refused = refusal->code == CTL_REFUSED && ask_properties(ctl, screen, NULL);
        if (!ctl->is_refused)
            g_propagate_error(error, g_steal_pointer(&refusal));
        return ctl->is_refused;
    }
    screen->devices = ask(ctl, "memory-get-devices", NULL);
    screen->map = ask(ctl, "memory-get-map", NULL);
    screen->jobs = ask(ctl, "memory-query-unplug", NULL);
    return TRUE;
}

gboolean job_has_ended(JsonObject *job)
{
    static const char *const ended[] = {"unplugged", "failed", "cancelled", "expired", NULL};

    return g_strv_contains(ended, ctl_json_string(job, "state"));
}

/* --- naming devices --- */

JsonObject *ask_selector(const HvDevice *device)
{
    JsonObject *selector = json_object_new();

    json_object_set_int_member(selector, "address", (gint64)device->address);
    json_object_set_int_member(selector, "size", (gint64)device->size_bytes);
    return selector;
}

/* What the hypervisor calls ID, by its address. NULL without an error: it knows no such device. */
static JsonObject *by_hypervisor_id(Ctl *ctl, const char *id, GError **error)
{
    g_autoptr(HvMemory) memory = hypervisor_memory(ctl->hv, error);
    const HvDevice *device = memory ? hv_memory_by_id(memory, id) : NULL;

    return device ? ask_selector(device) : NULL;
}

/* The device that begins at ADDRESS: a range needs a size, and the guest knows it. */
static JsonObject *by_address(Ctl *ctl, guint64 address, GError **error)
{
    JsonNode *answer = ask(ctl, "memory-get-devices", error);
    JsonArray *list = ctl_json_as_array(answer);
    JsonObject *selector = NULL;

    for (guint i = 0; i < ctl_json_length(list) && !selector; i++) {
        JsonObject *device = ctl_json_object_at(list, i);
        if (ctl_json_uint(device, "address") != address)
            continue;
        selector = json_object_new();
        json_object_set_int_member(selector, "address", (gint64)address);
        json_object_set_int_member(selector, "size", (gint64)ctl_json_uint(device, "size"));
    }
    if (answer && !selector)
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "no device begins at 0x%" G_GINT64_MODIFIER "x",
                    address);
    if (answer)
        json_node_unref(answer);
    return selector;
}

/* "slot3", "virtio0", "acpi1f": how memory-get-devices names what may be unplugged or checked. */
static gboolean is_agent_id(const char *word)
{
    static const char *const prefixes[] = {"slot", "virtio", "acpi", "boot", "other"};

    for (guint i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        const char *rest = word + strlen(prefixes[i]);
        if (g_str_has_prefix(word, prefixes[i]) && strspn(rest, "0123456789abcdef") == strlen(rest))
            return TRUE;
    }
    return FALSE;
}

static JsonObject *resolve(Ctl *ctl, const char *word, GError **error)
{
    g_autoptr(GError) wrong = NULL;
    guint64 address;
    gboolean is_hex = g_str_has_prefix(word, "0x");

    if (g_ascii_isdigit(*word) &&
        g_ascii_string_to_unsigned(is_hex ? word + 2 : word, is_hex ? 16 : 10, 0, G_MAXINT64,
                                   &address, NULL))
        return by_address(ctl, address, error);
    JsonObject *selector = ctl->hv ? by_hypervisor_id(ctl, word, &wrong) : NULL;
    if (wrong)
        g_propagate_error(error, g_steal_pointer(&wrong));
    else if (!selector && is_agent_id(word)) {
        selector = json_object_new();
        json_object_set_string_member(selector, "id", word);
    } else if (!selector) {
        g_set_error(error, CTL_ERROR, CTL_USAGE, "'%s' is no slotN, no address%s", word,
                    ctl->hv ? " and none of the hypervisor's memory devices"
                            : ", and QEMU's own ids need --qmp or --libvirt");
    }
    return selector;
}

JsonArray *ask_devices(Ctl *ctl, char **words, gboolean allow_bytes, GError **error)
{
    g_autoptr(JsonArray) devices = json_array_new();

    for (char **word = words; *word; word++) {
        g_auto(GStrv) parts = g_strsplit(*word, "=", 2);
        guint64 bytes = 0;
        if (parts[0] && parts[1] && !allow_bytes) {
            g_set_error(error, CTL_ERROR, CTL_USAGE, "'%s': a size is for check only", *word);
            return NULL;
        }
        if (parts[0] && parts[1] && !text_parse_size(parts[1], &bytes, error))
            return NULL;
        JsonObject *selector = resolve(ctl, parts[0] ? parts[0] : "", error);
        if (!selector)
            return NULL;
        if (parts[1])
            json_object_set_int_member(selector, "bytes", (gint64)bytes);
        json_array_add_object_element(devices, selector);
    }
    return g_steal_pointer(&devices);
}
