#include "ctl/qemu-memory.h"

#include <string.h>

#include "ctl/errors.h"
#include "ctl/json.h"
#include "ctl/text.h"

#define DIMM_ID "memplug-dimm%u"
#define BACKEND_ID "memplug-mem%u"
#define IDS_MAX 1024
#define OBJECTS "/objects/"
/* ACPI_DEVICE_OST of an ejection request (ACPI 6.5, 6.3.5), and what is no refusal. */
#define OST_SOURCE_EJECT 3
#define OST_SUCCESS 0
#define OST_IN_PROGRESS 132

void qemu_dimm_free(QemuDimm *dimm)
{
    if (!dimm)
        return;
    g_free(dimm->id);
    g_free(dimm->backend);
    g_free(dimm);
}

static QemuDimm *dimm_from(JsonObject *data)
{
    const char *backend = ctl_json_string(data, "memdev");
    QemuDimm *dimm = g_new0(QemuDimm, 1);

    dimm->id = g_strdup(ctl_json_string(data, "id"));
    dimm->backend = g_str_has_prefix(backend, OBJECTS) ? g_strdup(backend + strlen(OBJECTS)) : NULL;
    dimm->address = ctl_json_uint(data, "addr");
    dimm->size_bytes = ctl_json_uint(data, "size");
    return dimm;
}

QemuDimm *qemu_dimm_find(Qmp *qmp, const char *id, guint64 address, GError **error)
{
    JsonNode *answer = qmp_call(qmp, "query-memory-devices", NULL, error);
    JsonArray *list = ctl_json_as_array(answer);
    QemuDimm *dimm = NULL;

    for (guint i = 0; i < ctl_json_length(list) && !dimm; i++) {
        JsonObject *device = ctl_json_object_at(list, i);
        JsonObject *data = ctl_json_object(device, "data");
        gboolean fits = id ? strcmp(ctl_json_string(data, "id"), id) == 0
                           : ctl_json_uint(data, "addr") == address;
        if (fits && strcmp(ctl_json_string(device, "type"), "dimm") == 0)
            dimm = dimm_from(data);
    }
    if (answer)
        json_node_unref(answer);
    if (answer && !dimm && id)
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "QEMU has no DIMM '%s'", id);
    else if (answer && !dimm)
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "QEMU has no DIMM at 0x%" G_GINT64_MODIFIER "x",
                    address);
    return dimm;
}

/* Runs a command whose result says nothing. */
static gboolean do_call(Qmp *qmp, const char *command, JsonObject *arguments, GError **error)
{
    JsonNode *answer = qmp_call(qmp, command, arguments, error);

    if (answer)
        json_node_unref(answer);
    return answer != NULL;
}

static gboolean delete_backend(Qmp *qmp, const char *id, GError **error)
{
    JsonObject *arguments = json_object_new();

    json_object_set_string_member(arguments, "id", id);
    return do_call(qmp, "object-del", arguments, error);
}

/* Adds backend number N. */
static gboolean add_backend(Qmp *qmp, const char *id, guint64 size_bytes, GError **error)
{
    JsonObject *arguments = json_object_new();

    json_object_set_string_member(arguments, "qom-type", "memory-backend-ram");
    json_object_set_string_member(arguments, "id", id);
    json_object_set_int_member(arguments, "size", (gint64)size_bytes);
    return do_call(qmp, "object-add", arguments, error);
}

static gboolean add_device(Qmp *qmp, const char *id, const char *backend, GError **error)
{
    JsonObject *arguments = json_object_new();

    json_object_set_string_member(arguments, "driver", "pc-dimm");
    json_object_set_string_member(arguments, "id", id);
    json_object_set_string_member(arguments, "memdev", backend);
    return do_call(qmp, "device_add", arguments, error);
}

/* A number that neither a DIMM nor a backend has. */
static gboolean find_number(Qmp *qmp, guint *number, GError **error)
{
    JsonNode *dimms = qmp_call(qmp, "query-memory-devices", NULL, error);
    JsonNode *backends = dimms ? qmp_call(qmp, "query-memdev", NULL, error) : NULL;
    g_autoptr(GHashTable) used = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    JsonArray *lists[] = {ctl_json_as_array(dimms), ctl_json_as_array(backends)};
    gboolean found = FALSE;

    for (guint list = 0; list < G_N_ELEMENTS(lists); list++) {
        for (guint i = 0; i < ctl_json_length(lists[list]); i++) {
            JsonObject *entry = ctl_json_object_at(lists[list], i);
            JsonObject *data = list == 0 ? ctl_json_object(entry, "data") : entry;
            g_hash_table_add(used, g_strdup(ctl_json_string(data, "id")));
        }
    }
    for (guint n = 0; backends && !found && n < IDS_MAX; n++) {
        g_autofree char *dimm = g_strdup_printf(DIMM_ID, n);
        g_autofree char *backend = g_strdup_printf(BACKEND_ID, n);
        *number = n;
        found = !g_hash_table_contains(used, dimm) && !g_hash_table_contains(used, backend);
    }
    g_clear_pointer(&dimms, json_node_unref);
    g_clear_pointer(&backends, json_node_unref);
    return found;
}

QemuDimm *qemu_dimm_add(Qmp *qmp, guint64 size_bytes, GError **error)
{
    guint number = 0;

    if (!find_number(qmp, &number, error))
        return NULL;
    g_autofree char *id = g_strdup_printf(DIMM_ID, number);
    g_autofree char *backend = g_strdup_printf(BACKEND_ID, number);
    if (!add_backend(qmp, backend, size_bytes, error))
        return NULL;
    if (!add_device(qmp, id, backend, error)) {
        delete_backend(qmp, backend, NULL);
        return NULL;
    }
    return qemu_dimm_find(qmp, id, 0, error);
}

/* --- removing --- */

typedef enum { EVENT_OTHER, EVENT_DELETED, EVENT_REFUSED } RemovalEvent;

static RemovalEvent judge_event(JsonObject *event, const char *id)
{
    const char *name = ctl_json_string(event, "event");
    JsonObject *data = ctl_json_object(event, "data");
    JsonObject *info = ctl_json_object(data, "info");
    gint64 status = ctl_json_int(info, "status", OST_SUCCESS);

    if (strcmp(ctl_json_string(data, "device"), id) == 0) {
        if (strcmp(name, "DEVICE_DELETED") == 0)
            return EVENT_DELETED;
        if (strcmp(name, "MEM_UNPLUG_ERROR") == 0 || strcmp(name, "DEVICE_UNPLUG_GUEST_ERROR") == 0)
            return EVENT_REFUSED;
    }
    if (strcmp(name, "ACPI_DEVICE_OST") == 0 && strcmp(ctl_json_string(info, "device"), id) == 0 &&
        ctl_json_int(info, "source", 0) == OST_SOURCE_EJECT && status != OST_SUCCESS &&
        status != OST_IN_PROGRESS)
        return EVENT_REFUSED;
    return EVENT_OTHER;
}

static gboolean wait_deleted(Qmp *qmp, const char *id, guint timeout_ms, GError **error)
{
    gint64 end_usec = g_get_monotonic_time() + (gint64)timeout_ms * 1000;

    for (;;) {
        gint64 left_ms = (end_usec - g_get_monotonic_time()) / 1000;
        JsonNode *event = left_ms > 0 ? qmp_next_event(qmp, (guint)left_ms) : NULL;
        if (!event) {
            g_set_error(error, CTL_ERROR, CTL_REFUSED, "the guest has not let go of %s", id);
            return FALSE;
        }
        RemovalEvent kind = judge_event(ctl_json_as_object(event), id);
        json_node_unref(event);
        if (kind == EVENT_DELETED)
            return TRUE;
        if (kind == EVENT_REFUSED) {
            g_set_error(error, CTL_ERROR, CTL_REFUSED, "the guest refuses to let go of %s", id);
            return FALSE;
        }
    }
}

gboolean qemu_dimm_remove(Qmp *qmp, const QemuDimm *dimm, guint timeout_ms, GError **error)
{
    JsonObject *arguments = json_object_new();

    json_object_set_string_member(arguments, "id", dimm->id);
    qmp_drop_events(qmp);
    if (!do_call(qmp, "device_del", arguments, error) ||
        !wait_deleted(qmp, dimm->id, timeout_ms, error))
        return FALSE;
    /* A backend that something else uses stays: the DIMM is gone in any case. */
    if (dimm->backend)
        delete_backend(qmp, dimm->backend, NULL);
    return TRUE;
}

gboolean qemu_memory_size(Qmp *qmp, guint64 *bytes, GError **error)
{
    JsonNode *answer = qmp_call(qmp, "query-memory-size-summary", NULL, error);
    JsonObject *summary = ctl_json_as_object(answer);

    if (!answer)
        return FALSE;
    *bytes = ctl_json_uint(summary, "base-memory") + ctl_json_uint(summary, "plugged-memory");
    json_node_unref(answer);
    return TRUE;
}
