/*
 * Names of devices and of what a request calls them.
 */
#include "system/device.h"

const char *device_kind_name(DeviceKind kind)
{
    switch (kind) {
    case DEVICE_DIMM:
        return "dimm";
    case DEVICE_VIRTIO_MEM:
        return "virtio-mem";
    case DEVICE_BOOT:
        return "boot";
    case DEVICE_OTHER:
        break;
    }
    return "other";
}

const char *device_selector_format(const DeviceSelector *selector,
                                   char buf[DEVICE_SELECTOR_TEXT_MAX])
{
    switch (selector->kind) {
    case SELECT_SLOT:
        g_snprintf(buf, DEVICE_SELECTOR_TEXT_MAX, "slot %" G_GINT64_FORMAT, selector->slot);
        break;
    case SELECT_RANGE:
        g_snprintf(buf, DEVICE_SELECTOR_TEXT_MAX,
                   "0x%" G_GINT64_MODIFIER "x+0x%" G_GINT64_MODIFIER "x", selector->address,
                   selector->size_bytes);
        break;
    case SELECT_ID:
        g_strlcpy(buf, selector->id, DEVICE_SELECTOR_TEXT_MAX);
        break;
    }
    return buf;
}
