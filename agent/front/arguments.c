/*
 * Arguments that mean something together: how a request names devices.
 */
#include "front/arguments.h"

#include <string.h>

#include "qga-protocol/errors.h"

static gboolean wrong(GError **error, guint i, const char *problem)
{
    g_set_error(error, QGA_ERROR, QGA_CLASS_GENERIC, "Parameter 'devices[%u]' %s", i, problem);
    return FALSE;
}

static gboolean parse_selector(JsonObject *object, guint i, DeviceSelector *selector,
                               GError **error)
{
    gboolean slot = json_object_has_member(object, "slot");
    gboolean address = json_object_has_member(object, "address");
    gboolean size = json_object_has_member(object, "size");
    gboolean id = json_object_has_member(object, "id");

    if (address != size || slot + address + id != 1)
        return wrong(error, i, "needs one of: 'slot'; 'address' and 'size'; 'id'");
    memset(selector, 0, sizeof *selector);
    if (json_object_has_member(object, "bytes"))
        selector->bytes = (guint64)json_object_get_int_member(object, "bytes");
    if (slot) {
        selector->kind = SELECT_SLOT;
        selector->slot = json_object_get_int_member(object, "slot");
        return selector->slot >= 0 || wrong(error, i, "has a negative 'slot'");
    }
    if (address) {
        selector->kind = SELECT_RANGE;
        selector->address = (guint64)json_object_get_int_member(object, "address");
        selector->size_bytes = (guint64)json_object_get_int_member(object, "size");
        if (selector->size_bytes == 0 || selector->address > G_MAXINT64 - selector->size_bytes)
            return wrong(error, i, "names no range of memory");
        return TRUE;
    }
    selector->kind = SELECT_ID;
    if (g_strlcpy(selector->id, json_object_get_string_member(object, "id"), DEVICE_ID_MAX) >=
        DEVICE_ID_MAX)
        return wrong(error, i, "has an 'id' that is too long");
    return TRUE;
}

static gboolean same_device(const DeviceSelector *a, const DeviceSelector *b)
{
    return a->kind == b->kind && a->slot == b->slot && a->address == b->address &&
           a->size_bytes == b->size_bytes && g_str_equal(a->id, b->id);
}

/* The device's id where it is there, however it was named; else SELECTOR. */
static DeviceSelector by_id(const Snapshot *snapshot, const DeviceSelector *selector)
{
    DeviceSelector named = {.kind = SELECT_ID};
    const Device *device = NULL;

    if (snapshot_select(snapshot, selector, &device) != SELECT_FOUND)
        return *selector;
    g_strlcpy(named.id, device->id, sizeof named.id);
    return named;
}

DeviceSelector *arguments_selectors(JsonObject *arguments, const Snapshot *snapshot, guint max,
                                    guint *n, GError **error)
{
    JsonArray *array = json_object_get_array_member(arguments, "devices");
    guint length = json_array_get_length(array);

    if (length == 0 || length > max) {
        g_set_error(error, QGA_ERROR, QGA_CLASS_GENERIC,
                    "Parameter 'devices' must name 1 to %u devices", max);
        return NULL;
    }
    g_autofree DeviceSelector *selectors = g_new0(DeviceSelector, length);
    g_autofree DeviceSelector *named = g_new0(DeviceSelector, length);
    for (guint i = 0; i < length; i++) {
        if (!parse_selector(json_array_get_object_element(array, i), i, &selectors[i], error))
            return NULL;
        named[i] = by_id(snapshot, &selectors[i]);
        for (guint j = 0; j < i; j++) {
            if (same_device(&named[i], &named[j])) {
                wrong(error, i, "names a device that is named before");
                return NULL;
            }
        }
    }
    *n = length;
    return g_steal_pointer(&selectors);
}

gboolean arguments_uint(JsonObject *arguments, const char *name, guint64 min, guint64 max,
                        guint64 default_value, guint64 *value, GError **error)
{
    if (!json_object_has_member(arguments, name)) {
        *value = default_value;
        return TRUE;
    }
    gint64 given = json_object_get_int_member(arguments, name);
    if (given < 0 || (guint64)given < min || (guint64)given > max) {
        g_set_error(error, QGA_ERROR, QGA_CLASS_GENERIC,
                    "Parameter '%s' must lie between %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT,
                    name, min, max);
        return FALSE;
    }
    *value = (guint64)given;
    return TRUE;
}
