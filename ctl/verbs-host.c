/*
 * plug, unplug, resize: QEMU and the guest together. The guest's word is advice; what counts is
 * what QEMU says.
 */
#include <string.h>

#include "ctl/ask.h"
#include "ctl/follow.h"
#include "ctl/json.h"
#include "ctl/qemu-memory.h"
#include "ctl/text.h"

#define GUEST_ONLINE_MS 120000
#define DELETED_MS 120000
#define LOOK_MS 200

/* --- plug --- */

/* The guest's record of the device at ADDRESS, to free; NULL: it has none (yet), or an error. */
static JsonNode *guest_device(Ctl *ctl, guint64 address, GError **error)
{
    JsonNode *answer = ask(ctl, "memory-get-devices", error);
    JsonArray *list = ctl_json_as_array(answer);
    JsonNode *found = NULL;

    for (guint i = 0; i < ctl_json_length(list) && !found; i++) {
        if (ctl_json_uint(ctl_json_object_at(list, i), "address") == address)
            found = json_node_copy(json_array_get_element(list, i));
    }
    if (answer)
        json_node_unref(answer);
    return found;
}

/* Waits until all of DIMM is online in the guest. */
static JsonNode *wait_online(Ctl *ctl, const QemuDimm *dimm, GError **error)
{
    gint64 end_usec = g_get_monotonic_time() + (gint64)GUEST_ONLINE_MS * 1000;

    client_subscribe(ctl->client);
    while (g_get_monotonic_time() < end_usec) {
        g_autoptr(GError) wrong = NULL;
        JsonNode *device = guest_device(ctl, dimm->address, &wrong);
        JsonObject *record = ctl_json_as_object(device);
        if (wrong) {
            g_propagate_error(error, g_steal_pointer(&wrong));
            return NULL;
        }
        if (ctl_json_uint(record, "online-movable") + ctl_json_uint(record, "online-kernel") >=
            dimm->size_bytes)
            return device;
        g_clear_pointer(&device, json_node_unref);
        if (client_wait(ctl->client, -1, LOOK_MS) == WAKE_LOST)
            break;
    }
    g_set_error(error, CTL_ERROR, CTL_REFUSED,
                "%s is plugged, but the guest has not brought it online", dimm->id);
    return NULL;
}

static CtlStatus plug(Ctl *ctl, guint64 bytes, GError **error)
{
    g_autoptr(QemuDimm) dimm = qemu_dimm_add(ctl->qmp, bytes, error);
    JsonNode *device = dimm ? wait_online(ctl, dimm, error) : NULL;

    if (!device)
        return CTL_REFUSED;
    JsonObject *record = ctl_json_as_object(device);
    gboolean movable = ctl_json_uint(record, "online-movable") >= dimm->size_bytes;
    g_autofree char *id = text_safe(ctl_json_string(record, "id"));
    g_autofree char *size = text_size(dimm->size_bytes);
    if (ctl->line->json)
        ctl_json_print(device);
    else
        terminal_print(&ctl->terminal, movable ? COLOUR_GOOD : COLOUR_WARN,
                       "%s: %s, %s in the guest, online %s", dimm->id, size, id,
                       movable ? "as movable" : "in a kernel zone: it cannot be unplugged");
    json_node_unref(device);
    return CTL_DONE;
}

/* The size of the guest's memory blocks. 0 and an error where it does not say. */
static guint64 block_size(Ctl *ctl, GError **error)
{
    JsonNode *status = ask(ctl, "memory-get-status", error);
    guint64 bytes = ctl_json_uint(ctl_json_as_object(status), "block-size");

    if (status && bytes == 0)
        g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION, "the guest does not tell its block size");
    if (status)
        json_node_unref(status);
    return bytes;
}

CtlStatus verb_plug(Ctl *ctl, GError **error)
{
    guint64 bytes;

    if (!text_parse_size(ctl->line->operands[0], &bytes, error))
        return CTL_USAGE;
    guint64 block_bytes = block_size(ctl, error);
    if (block_bytes == 0)
        return CTL_NO_CONNECTION;
    if (bytes == 0 || bytes % block_bytes != 0) {
        g_autofree char *block = text_size(block_bytes);
        g_set_error(error, CTL_ERROR, CTL_USAGE,
                    "the guest's blocks are of %s: a DIMM must be a multiple of that", block);
        return CTL_USAGE;
    }
    return plug(ctl, bytes, error);
}

/* --- unplug --- */

/* The DIMMs of QEMU's that the job's devices are. */
static GPtrArray *dimms_of_job(Ctl *ctl, JsonObject *job, GError **error)
{
    g_autoptr(GPtrArray) dimms = g_ptr_array_new_with_free_func((GDestroyNotify)qemu_dimm_free);
    JsonArray *wanted = ctl_json_array(job, "devices");
    JsonNode *answer = ask(ctl, "memory-get-devices", error);
    JsonArray *devices = ctl_json_as_array(answer);
    gboolean good = answer != NULL;

    for (guint i = 0; good && i < ctl_json_length(wanted); i++) {
        const char *id = ctl_json_string(ctl_json_object_at(wanted, i), "id");
        guint64 address = 0;
        for (guint j = 0; j < ctl_json_length(devices); j++) {
            JsonObject *device = ctl_json_object_at(devices, j);
            if (strcmp(ctl_json_string(device, "id"), id) == 0)
                address = ctl_json_uint(device, "address");
        }
        QemuDimm *dimm = qemu_dimm_find(ctl->qmp, NULL, address, error);
        if (dimm)
            g_ptr_array_add(dimms, dimm);
        good = dimm != NULL;
    }
    if (answer)
        json_node_unref(answer);
    return good ? g_steal_pointer(&dimms) : NULL;
}

static gboolean remove_all(Ctl *ctl, JsonObject *job, GError **error)
{
    g_autoptr(GPtrArray) dimms = dimms_of_job(ctl, job, error);

    for (guint i = 0; dimms && i < dimms->len; i++) {
        const QemuDimm *dimm = dimms->pdata[i];
        g_autofree char *size = text_size(dimm->size_bytes);
        if (!qemu_dimm_remove(ctl->qmp, dimm, DELETED_MS, error))
            return FALSE;
        if (!ctl->line->json)
            terminal_print(&ctl->terminal, COLOUR_GOOD, "%s: gone, %s", dimm->id, size);
    }
    return dimms != NULL;
}

static JsonNode *start_prepare(Ctl *ctl, JsonArray *devices, GError **error)
{
    JsonObject *arguments = json_object_new();

    json_object_set_array_member(arguments, "devices", devices);
    if (ctl->line->timeout_ms != NOT_GIVEN)
        json_object_set_int_member(arguments, "timeout-ms", ctl->line->timeout_ms);
    return client_call(ctl->client, "memory-prepare-unplug", arguments, error);
}

/* Takes DEVICES over. */
static CtlStatus unplug(Ctl *ctl, JsonArray *devices, GError **error)
{
    gboolean was_left, gone = FALSE;
    JsonNode *answer = start_prepare(ctl, devices, error);

    if (!answer)
        return CTL_REFUSED;
    guint64 job = ctl_json_uint(ctl_json_as_object(answer), "job");
    json_node_unref(answer);
    answer = follow_job(ctl, job, FOLLOW_TO_READY, &was_left, error);
    JsonObject *record = ctl_json_as_object(answer);
    if (answer && strcmp(ctl_json_string(record, "state"), "ready") == 0) {
        gone = remove_all(ctl, record, error);
        if (!gone)
            cancel_job(ctl, job, NULL);
        json_node_unref(answer);
        answer = follow_job(ctl, job, FOLLOW_TO_END, &was_left, gone ? error : NULL);
        record = ctl_json_as_object(answer);
    }
    if (answer && ctl->line->json)
        ctl_json_print(answer);
    else if (answer && was_left)
        say_left(ctl, job);
    else if (answer)
        view_reasons(&ctl->terminal, ctl_json_array(record, "reasons"),
                     gone ? COLOUR_WARN : COLOUR_BAD);
    g_clear_pointer(&answer, json_node_unref);
    return gone ? CTL_DONE : CTL_REFUSED;
}

CtlStatus verb_unplug(Ctl *ctl, GError **error)
{
    JsonArray *devices = ask_devices(ctl, ctl->line->operands, FALSE, error);

    return devices ? unplug(ctl, devices, error) : CTL_USAGE;
}

/* --- resize --- */

/* Takes the devices of the plan that frees at most BYTES. */
static CtlStatus shrink(Ctl *ctl, guint64 bytes, GError **error)
{
    JsonObject *arguments = json_object_new();
    CtlStatus status = CTL_DONE;

    json_object_set_int_member(arguments, "bytes", (gint64)bytes);
    JsonNode *plan = client_call(ctl->client, "memory-plan-unplug", arguments, error);
    if (!plan)
        return CTL_REFUSED;
    JsonArray *ids = ctl_json_array(ctl_json_as_object(plan), "devices");
    JsonArray *devices = json_array_new();
    for (guint i = 0; i < ctl_json_length(ids); i++) {
        JsonObject *selector = json_object_new();
        json_object_set_string_member(selector, "id", ctl_json_string_at(ids, i));
        json_array_add_object_element(devices, selector);
    }
    if (json_array_get_length(devices) > 0)
        status = unplug(ctl, json_array_ref(devices), error);
    else if (!ctl->line->json)
        terminal_print(&ctl->terminal, COLOUR_WARN, "no removable device is that small");
    json_array_unref(devices);
    json_node_unref(plan);
    return status;
}

/* Tells the guest what the host is after; a daemon that does not keep it loses nothing. */
static void set_target(Ctl *ctl, guint64 bytes)
{
    JsonObject *arguments = json_object_new();

    json_object_set_int_member(arguments, "bytes", (gint64)bytes);
    JsonNode *answer = client_call(ctl->client, "memory-set-target", arguments, NULL);
    if (answer)
        json_node_unref(answer);
}

CtlStatus verb_resize(Ctl *ctl, GError **error)
{
    guint64 wanted, now;
    CtlStatus status = CTL_DONE;

    if (!text_parse_size(ctl->line->operands[0], &wanted, error))
        return CTL_USAGE;
    guint64 block_bytes = block_size(ctl, error);
    if (block_bytes == 0 || !qemu_memory_size(ctl->qmp, &now, error))
        return CTL_NO_CONNECTION;
    set_target(ctl, wanted);
    if (wanted > now)
        status = plug(ctl, (wanted - now + block_bytes - 1) / block_bytes * block_bytes, error);
    else if (wanted < now)
        status = shrink(ctl, now - wanted, error);
    if (!ctl->line->json && qemu_memory_size(ctl->qmp, &now, NULL)) {
        g_autofree char *size = text_size(now);
        terminal_print(&ctl->terminal, COLOUR_NONE, "the guest has %s", size);
    }
    return status;
}
