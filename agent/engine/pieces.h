/*
 * What virtio-mem devices have plugged, to a piece of 2 MiB: within an online block their driver
 * adds and takes pieces and tells nobody.
 *
 * One look at /proc/kpageflags a piece, on the loop's time: what does not fit into a turn is done
 * in later ones, and until then the last figure stands. Nothing is looked at again while MemTotal,
 * which the driver corrects by every piece, is the same.
 */
#pragma once

#include <glib.h>

#include "system/figures.h"

typedef struct Pieces Pieces;

/* A round of looks has found other figures than the last one. */
typedef void (*PiecesChangedFunc)(gpointer user_data);

Pieces *pieces_new(const AttrIo *io, PiecesChangedFunc func, gpointer user_data);
void pieces_free(Pieces *pieces); /* accepts NULL */

/* Looks, if something may have changed since the last round; at most for a turn of the loop. */
void pieces_update(Pieces *pieces, Snapshot *snapshot);
/* Goes on looking by itself, in growing pauses, while IS_ON and there is a virtio-mem device. */
void pieces_watch(Pieces *pieces, gboolean is_on, Snapshot *snapshot);

/* Whether any block was looked at with success. */
gboolean pieces_is_known(const Pieces *pieces);
/* Of online blocks of DEVICE (of SNAPSHOT), NULL: of all virtio-mem devices, what is not plugged.
 * Blocks that were not looked at count as plugged. */
guint64 pieces_missing_bytes(const Pieces *pieces, const Snapshot *snapshot, const Device *device);

/* figures_read() after an update, less what is missing. */
Figures pieces_figures(Pieces *pieces, Snapshot *snapshot);
