/*
 * The current snapshot: scanned at start, then kept current by the kernel's own events.
 *
 * Below a --sysroot there are no events; then each question scans again.
 *
 * The keeper only looks: the new snapshot counts at once, and what changed is told once, from the
 * main loop and never from inside a call that acts. Changes that come before it is told are told as
 * one.
 */
#pragma once

#include <glib.h>

#include "system/snapshot.h"

/* What a change was. Indices may repeat; a block may be in it and be as before; none is in it where
 * a dax device came or went. */
typedef struct {
    const Snapshot *before; /* as it was told last */
    const Snapshot *now;
    const guint32 *touched;
    guint n_touched;
    const guint32 *added; /* blocks that were not there before, with an `add` or found by a scan */
    guint n_added;
} ModelChange;

typedef void (*ModelChangeFunc)(const ModelChange *change, gpointer user_data);

typedef struct ModelKeeper ModelKeeper;

/* IO is borrowed. EVENT_BUFFER_BYTES: of the socket through which the kernel's events are watched
 * (monitor.h); 0: none, and every model_keeper_catch_up() scans. FUNC is called for each change
 * from then on. NULL and ERROR if the monitor fails; a first scan that fails gives a snapshot with
 * a `fault`, and each look scans again. */
ModelKeeper *model_keeper_new(const AttrIo *io, guint event_buffer_bytes, ModelChangeFunc func,
                              gpointer user_data, GError **error);
void model_keeper_free(ModelKeeper *keeper); /* accepts NULL */

/* Takes in everything that the kernel has announced up to now, and looks again at blocks of which
 * it will announce no more (snapshot_has_loose_ends()). Before an answer. Returns the snapshot,
 * borrowed until the next of these calls. */
Snapshot *model_keeper_catch_up(ModelKeeper *keeper);
/* The same for whoever answers a request, called by the loop and by nothing that the keeper tells:
 * what has changed is told in here, so that events come before the reply that shows their effect.
 */
Snapshot *model_keeper_catch_up_for_answer(ModelKeeper *keeper);
/* Reads these blocks again, whatever was announced: `going-offline` and a failed offline send no
 * event. */
void model_keeper_reread(ModelKeeper *keeper, const guint32 *indices, guint n);
/* The snapshot as of the last of these. Borrowed until the next of them. */
Snapshot *model_keeper_snapshot(const ModelKeeper *keeper);
