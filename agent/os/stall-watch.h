/*
 * A trigger of the kernel's (PSI, Documentation/accounting/psi.rst): it tells when tasks have
 * waited for memory for so long within a window, once a window at most. The kernel looks only while
 * there is something to see, so a guest without pressure is not woken.
 */
#pragma once

#include "system/attr.h"

/* The kernel's own limits (psi_trigger_create(), kernel/sched/psi.c). */
#define STALL_WINDOW_MIN_MS 500
#define STALL_WINDOW_MAX_MS 10000

typedef void (*StallFunc)(gpointer user_data);

typedef struct StallWatch StallWatch;

/* Calls FUNC from the loop whenever some task stalled for STALL_MS of WINDOW_MS. NULL and ERROR
 * (G_FILE_ERROR) where the kernel does not take the trigger; it says why. IO is not kept. */
StallWatch *stall_watch_new(const AttrIo *io, guint stall_ms, guint window_ms, StallFunc func,
                            gpointer user_data, GError **error);
void stall_watch_free(StallWatch *watch);
