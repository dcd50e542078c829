#include "ctl/hypervisor.h"

#include <string.h>

static void device_free(gpointer data)
{
    HvDevice *device = data;

    g_free(device->id);
    g_free(device);
}

guint64 hv_device_bytes(const HvDevice *device)
{
    return device->kind == HV_DIMM ? device->size_bytes : device->plugged_bytes;
}

HvMemory *hv_memory_new(void)
{
    HvMemory *memory = g_new0(HvMemory, 1);

    memory->slots = -1;
    memory->devices = g_ptr_array_new_with_free_func(device_free);
    return memory;
}

void hv_memory_free(HvMemory *memory)
{
    if (!memory)
        return;
    g_ptr_array_unref(memory->devices);
    g_free(memory);
}

HvDevice *hv_memory_add(HvMemory *memory, HvKind kind, const char *id)
{
    HvDevice *device = g_new0(HvDevice, 1);

    device->kind = kind;
    device->id = id && *id ? g_strdup(id) : NULL;
    device->slot = -1;
    g_ptr_array_add(memory->devices, device);
    return device;
}

static gint compare_addresses(gconstpointer a, gconstpointer b)
{
    const HvDevice *first = *(HvDevice *const *)a, *second = *(HvDevice *const *)b;

    return first->address < second->address ? -1 : first->address > second->address;
}

void hv_memory_sort(HvMemory *memory)
{
    g_ptr_array_sort(memory->devices, compare_addresses);
}

guint64 hv_memory_bytes(const HvMemory *memory)
{
    guint64 bytes = memory->base_bytes;

    for (guint i = 0; i < memory->devices->len; i++)
        bytes += hv_device_bytes(memory->devices->pdata[i]);
    return bytes;
}

gint64 hv_memory_free_slots(const HvMemory *memory)
{
    gint64 used = 0;

    for (guint i = 0; i < memory->devices->len; i++)
        used += ((const HvDevice *)memory->devices->pdata[i])->kind == HV_DIMM;
    return memory->slots < 0 ? -1 : MAX(memory->slots - used, 0);
}

guint64 hv_memory_room_bytes(const HvMemory *memory)
{
    guint64 taken = memory->base_bytes;

    if (memory->max_bytes == 0)
        return G_MAXUINT64;
    for (guint i = 0; i < memory->devices->len; i++)
        taken += ((const HvDevice *)memory->devices->pdata[i])->size_bytes;
    return memory->max_bytes > taken ? memory->max_bytes - taken : 0;
}

const HvDevice *hv_memory_by_id(const HvMemory *memory, const char *id)
{
    for (guint i = 0; i < memory->devices->len; i++) {
        const HvDevice *device = memory->devices->pdata[i];
        if (g_strcmp0(device->id, id) == 0)
            return device;
    }
    return NULL;
}

const HvDevice *hv_memory_by_slot(const HvMemory *memory, gint64 slot)
{
    for (guint i = 0; i < memory->devices->len; i++) {
        const HvDevice *device = memory->devices->pdata[i];
        if (device->kind == HV_DIMM && device->slot == slot)
            return device;
    }
    return NULL;
}

const HvDevice *hv_memory_by_address(const HvMemory *memory, guint64 address)
{
    for (guint i = 0; i < memory->devices->len; i++) {
        const HvDevice *device = memory->devices->pdata[i];
        if (device->address == address)
            return device;
    }
    return NULL;
}

void hypervisor_free(Hypervisor *hv)
{
    if (hv)
        hv->ops->free(hv);
}

const char *hypervisor_name(Hypervisor *hv)
{
    return hv->ops->name;
}

HvMemory *hypervisor_memory(Hypervisor *hv, GError **error)
{
    return hv->ops->memory(hv, error);
}

char *hypervisor_plug(Hypervisor *hv, const HvPlug *plug, GError **error)
{
    return hv->ops->plug(hv, plug, error);
}

gboolean hypervisor_unplug(Hypervisor *hv, const char *id, GError **error)
{
    return hv->ops->unplug(hv, id, error);
}

gboolean hypervisor_request(Hypervisor *hv, const char *id, guint64 bytes, GError **error)
{
    return hv->ops->request(hv, id, bytes, error);
}

Wake hypervisor_wait(Hypervisor *hv, int interrupt_fd, guint timeout_ms, HvEvent *event)
{
    gint64 deadline_usec = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    gint64 left_ms = timeout_ms;
    Wake wake;

    do {
        *event = (HvEvent){.kind = HV_EVENT_NONE};
        wake = hv->ops->wait(hv, interrupt_fd, (guint)left_ms, event);
        left_ms = (deadline_usec - g_get_monotonic_time()) / 1000;
    } while (wake == WAKE_NEWS && event->kind == HV_EVENT_NONE && left_ms > 0);
    return wake == WAKE_NEWS && event->kind == HV_EVENT_NONE ? WAKE_TIMEOUT : wake;
}

void hypervisor_forget(Hypervisor *hv, const char *id)
{
    hv->ops->forget(hv, id);
}

void hypervisor_tidy(Hypervisor *hv)
{
    hv->ops->tidy(hv);
}

char *hypervisor_stopped_by(Hypervisor *hv)
{
    return hv->ops->stopped_by(hv);
}
