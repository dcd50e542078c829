/*
 * The kernel's auto-movable arithmetic (auto_movable_zone_for_pfn(), mm/memory_hotplug.c), for
 * kernels that do not have it and for blocks that it did not see. Only counts; writes nothing.
 */
#pragma once

#include <glib.h>

#include "decide/online-policy.h"

typedef struct AutoMovable AutoMovable;

/* Takes the figures as they are now; each decision is added to them. */
AutoMovable *auto_movable_new(const OnlineConfig *config, const OnlineWorld *world);
void auto_movable_free(AutoMovable *movable); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AutoMovable, auto_movable_free)

/* Whether offline BLOCK of DEVICE shall be movable. All blocks of a DIMM go one way: the first
 * decides, and one that is online in a kernel zone already has decided. A virtio-mem device's
 * blocks are decided one by one, and its own kernel-zone blocks allow for more movable ones. */
gboolean auto_movable_decide(AutoMovable *movable, const Device *device, const Block *block);
