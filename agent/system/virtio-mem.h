/*
 * virtio-mem devices that no driver has: nothing else in the guest shows them.
 */
#pragma once

#include <glib.h>

#include "system/attr.h"

/* The name of the first such device, on the virtio bus ("virtio3") or, where virtio's own PCI
 * driver is missing too, on the PCI bus ("0000:00:05.0"). Return (transfer full), NULL: there is
 * none. */
char *virtio_mem_find_driverless(const AttrIo *io);
