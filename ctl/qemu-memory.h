/*
 * QEMU's side of memory devices: which there are, adding a DIMM, taking one away.
 */
#pragma once

#include "ctl/qmp.h"

typedef struct {
    char *id;      /* QEMU's */
    char *backend; /* id of the object behind it, or NULL */
    guint64 address, size_bytes;
} QemuDimm;

void qemu_dimm_free(QemuDimm *dimm); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuDimm, qemu_dimm_free)

/* The DIMM with this ID, or (ID NULL) at ADDRESS. NULL and an error: CTL_REFUSED where there is
 * none. */
QemuDimm *qemu_dimm_find(Qmp *qmp, const char *id, guint64 address, GError **error);

/* Adds a DIMM of SIZE_BYTES. NULL and an error, nothing left behind, where QEMU refuses. */
QemuDimm *qemu_dimm_add(Qmp *qmp, guint64 size_bytes, GError **error);

/* device_del, waits for DEVICE_DELETED, and removes the backend. FALSE and CTL_REFUSED where the
 * guest refuses or does nothing within TIMEOUT_MS. */
gboolean qemu_dimm_remove(Qmp *qmp, const QemuDimm *dimm, guint timeout_ms, GError **error);

/* Boot memory and what is plugged, in bytes. */
gboolean qemu_memory_size(Qmp *qmp, guint64 *bytes, GError **error);
