/*
 * What the host has asked for in all (guest-requested), and whether the guest has got there. Pure.
 */
#pragma once

#include <glib.h>

typedef struct {
    gboolean is_set;
    gboolean is_reached; /* has been reached since it was set: told once */
    guint64 bytes;
} Target;

void target_set(Target *target, guint64 bytes);

/* CURRENT_BYTES is what the guest can use. TRUE once after each target_set(): when what it has is
 * less than TOLERANCE_BYTES away. A host counts in units of its own (2 MiB, virtio-mem), a guest of
 * DIMMs in blocks: it may never meet the target exactly. */
gboolean target_update(Target *target, guint64 current_bytes, guint64 tolerance_bytes);
