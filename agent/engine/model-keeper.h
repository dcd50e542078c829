/*
 * The current snapshot: scanned at start, then kept current by the kernel's own events.
 *
 * Below a --sysroot there are no events; then each question scans again.
 */
#pragma once

#include <glib.h>

#include "system/snapshot.h"

/* What a change was. Indices may repeat; a block may be in it and be as before. */
typedef struct {
    const Snapshot *before;
    const Snapshot *now;
    const guint32 *touched;
    guint n_touched;
    const guint32 *added; /* blocks that were not there before, with an `add` or found by a scan */
    guint n_added;
} ModelChange;

typedef void (*ModelChangeFunc)(const ModelChange *change, gpointer user_data);

typedef struct ModelKeeper ModelKeeper;

/* IO is borrowed. EVENT_BUFFER_BYTES: of the socket through which the kernel's events are watched
 * (monitor.h); 0: none, and every model_keeper_sync() scans. FUNC is called for each change from
 * then on. NULL and ERROR if the first scan or the monitor fails. */
ModelKeeper *model_keeper_new(const AttrIo *io, guint event_buffer_bytes, ModelChangeFunc func,
                              gpointer user_data, GError **error);
void model_keeper_free(ModelKeeper *keeper); /* accepts NULL */

/* Takes in everything that the kernel has announced up to now, and looks again at blocks of which
 * it will announce no more (snapshot_has_loose_ends()). Before an answer. */
void model_keeper_sync(ModelKeeper *keeper);
/* Reads these blocks again, whatever was announced: `going-offline` and a failed offline send no
 * event. */
void model_keeper_look(ModelKeeper *keeper, const guint32 *indices, guint n);
/* The snapshot as of the last of these. Borrowed until the next. */
Snapshot *model_keeper_snapshot(const ModelKeeper *keeper);
