/*
 * The hypervisor by QEMU's monitor.
 */
#include <string.h>

#include "ctl/errors.h"
#include "ctl/hypervisor.h"
#include "ctl/json.h"
#include "ctl/peer.h"
#include "ctl/qemu-backend.h"

#define DIMM_ID "memplug-dimm%u"
#define BACKEND_PREFIX "memplug-mem-"
#define IDS_MAX 1024
#define OBJECTS "/objects/"
#define REMOVALS_MAX 10
#define REMOVAL_PAUSE_USEC 50000
/* ACPI_DEVICE_OST of an ejection request (ACPI 6.5, 6.3.5), and what is no refusal. */
#define OST_SOURCE_EJECT 3
#define OST_SUCCESS 0
#define OST_IN_PROGRESS 132

static const char *const event_names[] = {
    "DEVICE_DELETED",
    "MEM_UNPLUG_ERROR",
    "DEVICE_UNPLUG_GUEST_ERROR",
    "ACPI_DEVICE_OST",
    "MEMORY_DEVICE_SIZE_CHANGE",
    "RESET",
    "STOP",
    "RESUME",
    "SHUTDOWN",
    NULL,
};

typedef struct {
    Hypervisor hypervisor;
    Peer *peer;
    GHashTable *backends; /* device's id -> its backend's, of devices asked to go */
} Qmp;

/* Runs a command whose result says nothing. Takes ARGUMENTS over. */
static gboolean run(Qmp *qmp, const char *command, JsonObject *arguments, GError **error)
{
    g_autoptr(JsonObject) given = arguments;
    g_autoptr(JsonNode) answer = peer_request(qmp->peer, command, given, error);

    return answer != NULL;
}

static JsonObject *with_id(const char *id)
{
    JsonObject *arguments = json_object_new();

    json_object_set_string_member(arguments, "id", id);
    return arguments;
}

/* ---- what there is ---- */

static const char *backend_of(JsonObject *data)
{
    const char *path = ctl_json_string(data, "memdev");

    return g_str_has_prefix(path, OBJECTS) ? path + strlen(OBJECTS) : "";
}

static void add_dimm(HvMemory *memory, JsonObject *data)
{
    HvDevice *device = hv_memory_add(memory, HV_DIMM, ctl_json_string(data, "id"));

    device->address = ctl_json_uint(data, "addr");
    device->size_bytes = ctl_json_uint(data, "size");
    device->slot = ctl_json_int(data, "slot", -1);
    device->node = ctl_json_int(data, "node", 0);
    device->is_hotplugged = ctl_json_bool(data, "hotplugged");
    device->can_unplug = device->id && ctl_json_bool(data, "hotpluggable");
}

static void add_virtio_mem(HvMemory *memory, JsonObject *data)
{
    HvDevice *device = hv_memory_add(memory, HV_VIRTIO_MEM, ctl_json_string(data, "id"));

    device->address = ctl_json_uint(data, "memaddr");
    device->size_bytes = ctl_json_uint(data, "max-size");
    device->node = ctl_json_int(data, "node", 0);
    device->requested_bytes = ctl_json_uint(data, "requested-size");
    device->plugged_bytes = ctl_json_uint(data, "size");
    device->block_bytes = MAX(ctl_json_uint(data, "block-size"), 1);
}

/* Slots and maxmem: a property of the machine since QEMU 7.1. */
static void add_limits(Qmp *qmp, HvMemory *memory)
{
    g_autoptr(JsonObject) arguments = json_object_new();

    json_object_set_string_member(arguments, "path", "/machine");
    json_object_set_string_member(arguments, "property", "memory");
    g_autoptr(JsonNode) answer = peer_request(qmp->peer, "qom-get", arguments, NULL);
    JsonObject *limits = ctl_json_as_object(answer);
    if (!limits)
        return;
    memory->max_bytes = ctl_json_uint(limits, "max-size");
    memory->slots = ctl_json_int(limits, "slots", 0);
}

/* RAM of several nodes is a backend for each; of others that are no device's nothing is known, so
 * it counts only where it comes to all RAM. */
static void count_nodes(Qmp *qmp, HvMemory *memory, JsonArray *devices)
{
    g_autoptr(JsonNode) answer = peer_request(qmp->peer, "query-memdev", NULL, NULL);
    JsonArray *backends = ctl_json_as_array(answer);
    guint64 ram_bytes = 0;
    guint nodes = 0;

    for (guint i = 0; i < ctl_json_length(backends); i++) {
        JsonObject *backend = ctl_json_object_at(backends, i);
        const char *id = ctl_json_string(backend, "id");
        gboolean is_ram = TRUE;
        for (guint j = 0; j < ctl_json_length(devices) && is_ram; j++)
            is_ram = strcmp(backend_of(ctl_json_object(ctl_json_object_at(devices, j), "data")),
                            id) != 0;
        nodes += is_ram ? 1 : 0;
        ram_bytes += is_ram ? ctl_json_uint(backend, "size") : 0;
    }
    memory->nodes = ram_bytes == memory->base_bytes ? nodes : 0;
}

static HvMemory *qmp_memory(Hypervisor *hv, GError **error)
{
    Qmp *qmp = (Qmp *)hv;
    g_autoptr(JsonNode) summary = peer_request(qmp->peer, "query-memory-size-summary", NULL, error);
    g_autoptr(JsonNode) answer =
        summary ? peer_request(qmp->peer, "query-memory-devices", NULL, error) : NULL;
    JsonArray *list = ctl_json_as_array(answer);

    if (!answer)
        return NULL;
    HvMemory *memory = hv_memory_new();
    memory->base_bytes = ctl_json_uint(ctl_json_as_object(summary), "base-memory");
    for (guint i = 0; i < ctl_json_length(list); i++) {
        JsonObject *entry = ctl_json_object_at(list, i), *data = ctl_json_object(entry, "data");
        const char *type = ctl_json_string(entry, "type");
        if (strcmp(type, "dimm") == 0)
            add_dimm(memory, data);
        else if (strcmp(type, "virtio-mem") == 0)
            add_virtio_mem(memory, data);
    }
    hv_memory_sort(memory);
    add_limits(qmp, memory);
    count_nodes(qmp, memory, list);
    return memory;
}

/* The ids of all memory devices, and of all their backends: sets of strings. */
static gboolean list_ids(Qmp *qmp, GHashTable *devices, GHashTable *backends, GError **error)
{
    g_autoptr(JsonNode) answer = peer_request(qmp->peer, "query-memory-devices", NULL, error);
    JsonArray *list = ctl_json_as_array(answer);

    for (guint i = 0; i < ctl_json_length(list); i++) {
        JsonObject *data = ctl_json_object(ctl_json_object_at(list, i), "data");
        g_hash_table_add(devices, g_strdup(ctl_json_string(data, "id")));
        g_hash_table_add(backends, g_strdup(backend_of(data)));
    }
    return answer != NULL;
}

static GHashTable *new_set(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static void qmp_tidy(Hypervisor *hv)
{
    Qmp *qmp = (Qmp *)hv;
    g_autoptr(GHashTable) devices = new_set(), backends = new_set();
    g_autoptr(JsonNode) answer = peer_request(qmp->peer, "query-memdev", NULL, NULL);
    JsonArray *list = ctl_json_as_array(answer);

    if (!answer || !list_ids(qmp, devices, backends, NULL))
        return;
    for (guint i = 0; i < ctl_json_length(list); i++) {
        const char *id = ctl_json_string(ctl_json_object_at(list, i), "id");
        if (g_str_has_prefix(id, BACKEND_PREFIX) && !g_hash_table_contains(backends, id))
            run(qmp, "object-del", with_id(id), NULL);
    }
}

/* ---- plug ---- */

/* An id that no memory device has. To free; NULL and an error: there is none. */
static char *free_id(GHashTable *taken, GError **error)
{
    for (guint n = 0; n < IDS_MAX; n++) {
        g_autofree char *id = g_strdup_printf(DIMM_ID, n);
        if (!g_hash_table_contains(taken, id))
            return g_steal_pointer(&id);
    }
    g_set_error(error, CTL_ERROR, CTL_REFUSED, "no id is left: say one with --id");
    return NULL;
}

static gboolean add_device(Qmp *qmp, const char *id, const char *backend, const HvPlug *plug,
                           GError **error)
{
    JsonObject *arguments = with_id(id);

    json_object_set_string_member(arguments, "driver", "pc-dimm");
    json_object_set_string_member(arguments, "memdev", backend);
    if (plug->address > 0)
        json_object_set_int_member(arguments, "addr", (gint64)plug->address);
    if (plug->node >= 0)
        json_object_set_int_member(arguments, "node", plug->node);
    return run(qmp, "device_add", arguments, error);
}

static char *qmp_plug(Hypervisor *hv, const HvPlug *plug, GError **error)
{
    Qmp *qmp = (Qmp *)hv;
    g_autoptr(GHashTable) devices = new_set(), backends = new_set();

    if (!list_ids(qmp, devices, backends, error))
        return NULL;
    g_autofree char *id = plug->id ? g_strdup(plug->id) : free_id(devices, error);
    if (!id)
        return NULL;
    JsonObject *object = qemu_backend_properties(qmp->peer, plug->backend, backends, error);
    if (!object)
        return NULL;
    g_autofree char *backend = g_strconcat(BACKEND_PREFIX, id, NULL);
    json_object_set_string_member(object, "id", backend);
    json_object_set_int_member(object, "size", (gint64)plug->size_bytes);
    if (!run(qmp, "object-add", object, error))
        return NULL;
    if (!add_device(qmp, id, backend, plug, error)) {
        run(qmp, "object-del", with_id(backend), NULL);
        return NULL;
    }
    return g_steal_pointer(&id);
}

/* ---- unplug, request ---- */

static gboolean qmp_unplug(Hypervisor *hv, const char *id, GError **error)
{
    Qmp *qmp = (Qmp *)hv;
    g_autoptr(JsonNode) answer = peer_request(qmp->peer, "query-memory-devices", NULL, error);
    JsonArray *list = ctl_json_as_array(answer);

    if (!answer)
        return FALSE;
    for (guint i = 0; i < ctl_json_length(list); i++) {
        JsonObject *data = ctl_json_object(ctl_json_object_at(list, i), "data");
        if (strcmp(ctl_json_string(data, "id"), id) == 0 && *backend_of(data))
            g_hash_table_replace(qmp->backends, g_strdup(id), g_strdup(backend_of(data)));
    }
    return run(qmp, "device_del", with_id(id), error);
}

static gboolean qmp_request(Hypervisor *hv, const char *id, guint64 bytes, GError **error)
{
    JsonObject *arguments = json_object_new();
    g_autofree char *path = g_strconcat("/machine/peripheral/", id, NULL);

    json_object_set_string_member(arguments, "path", path);
    json_object_set_string_member(arguments, "property", "requested-size");
    json_object_set_int_member(arguments, "value", (gint64)bytes);
    return run((Qmp *)hv, "qom-set", arguments, error);
}

/* ---- events ---- */

static gboolean is_refusal(JsonObject *info)
{
    gint64 status = ctl_json_int(info, "status", OST_SUCCESS);

    return ctl_json_int(info, "source", 0) == OST_SOURCE_EJECT && status != OST_SUCCESS &&
           status != OST_IN_PROGRESS;
}

static HvEventKind kind_of(const char *name)
{
    static const struct {
        const char *name;
        HvEventKind kind;
    } kinds[] = {
        {"DEVICE_DELETED", HV_EVENT_DELETED},
        {"MEM_UNPLUG_ERROR", HV_EVENT_REFUSED},
        {"DEVICE_UNPLUG_GUEST_ERROR", HV_EVENT_REFUSED},
        {"ACPI_DEVICE_OST", HV_EVENT_REFUSED},
        {"MEMORY_DEVICE_SIZE_CHANGE", HV_EVENT_SIZE_CHANGED},
        {"RESET", HV_EVENT_RESET},
        {"STOP", HV_EVENT_STOPPED},
        {"RESUME", HV_EVENT_RESUMED},
        {"SHUTDOWN", HV_EVENT_SHUTDOWN},
    };

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return kinds[i].kind;
    }
    return HV_EVENT_NONE;
}

static void read_event(JsonObject *object, HvEvent *event)
{
    JsonObject *data = ctl_json_object(object, "data"), *info = ctl_json_object(data, "info");
    const char *name = ctl_json_string(object, "event");
    gboolean is_ost = strcmp(name, "ACPI_DEVICE_OST") == 0;
    const char *device = ctl_json_string(is_ost ? info : data, "device");

    event->kind = is_ost && !is_refusal(info) ? HV_EVENT_NONE : kind_of(name);
    if (event->kind == HV_EVENT_SIZE_CHANGED)
        device = ctl_json_string(data, "id");
    event->device = *device ? g_strdup(device) : NULL;
    /* A device without an id of its own goes too, and those of a device that is no memory. */
    if (event->kind <= HV_EVENT_SIZE_CHANGED && !event->device)
        event->kind = HV_EVENT_NONE;
}

/* Removes what was behind device ID, which has gone. One that something else uses stays. */
static void qmp_forget(Hypervisor *hv, const char *id)
{
    Qmp *qmp = (Qmp *)hv;
    const char *backend = g_hash_table_lookup(qmp->backends, id);

    /* QEMU may say that a device is gone a moment before it lets go of its memory. */
    for (guint i = 0; backend && i < REMOVALS_MAX; i++) {
        if (run(qmp, "object-del", with_id(backend), NULL))
            break;
        g_usleep(REMOVAL_PAUSE_USEC);
    }
    g_hash_table_remove(qmp->backends, id);
}

static Wake qmp_wait(Hypervisor *hv, int interrupt_fd, guint timeout_ms, HvEvent *event)
{
    Qmp *qmp = (Qmp *)hv;
    JsonNode *node = NULL;
    Wake wake = peer_wait(qmp->peer, interrupt_fd, timeout_ms, &node);
    g_autoptr(JsonNode) owned = node;

    if (wake != WAKE_NEWS || !owned)
        return wake;
    read_event(ctl_json_as_object(owned), event);
    if (event->kind == HV_EVENT_DELETED)
        qmp_forget(hv, event->device);
    return wake;
}

static char *qmp_stopped_by(Hypervisor *hv)
{
    g_autoptr(JsonNode) answer = peer_request(((Qmp *)hv)->peer, "query-status", NULL, NULL);
    JsonObject *status = ctl_json_as_object(answer);

    return status && !ctl_json_bool(status, "running") ? g_strdup(ctl_json_string(status, "status"))
                                                       : NULL;
}

/* ---- life ---- */

static void qmp_free(Hypervisor *hv)
{
    Qmp *qmp = (Qmp *)hv;

    peer_free(qmp->peer);
    g_hash_table_unref(qmp->backends);
    g_free(qmp);
}

static const HypervisorOps ops = {
    .name = "QEMU",
    .memory = qmp_memory,
    .plug = qmp_plug,
    .unplug = qmp_unplug,
    .request = qmp_request,
    .wait = qmp_wait,
    .forget = qmp_forget,
    .tidy = qmp_tidy,
    .stopped_by = qmp_stopped_by,
    .free = qmp_free,
};

Hypervisor *hypervisor_new_qmp(const char *path, GError **error)
{
    g_autoptr(Peer) peer = peer_new(path, "QEMU", event_names, error);
    g_autoptr(JsonNode) greeting = peer ? peer_receive(peer, error) : NULL;

    if (peer && !greeting) /* the usual cause is told with it */
        g_prefix_error(error, "%s is no QMP socket, or another client has it: ", path);
    if (!greeting)
        return NULL;
    if (!ctl_json_object(ctl_json_as_object(greeting), "QMP")) {
        g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION, "%s is no QMP socket", path);
        return NULL;
    }
    g_autoptr(JsonNode) done = peer_request(peer, "qmp_capabilities", NULL, error);
    if (!done)
        return NULL;
    Qmp *qmp = g_new0(Qmp, 1);
    qmp->hypervisor.ops = &ops;
    qmp->peer = g_steal_pointer(&peer);
    qmp->backends = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return &qmp->hypervisor;
}
