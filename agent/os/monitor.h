/*
 * The kernel's own uevents about memory blocks and dax devices, by libudev's "kernel" group: before
 * any rule runs, and without udevd. Uevents carry no state, so what comes out is only which blocks
 * to look at.
 */
#pragma once

#include <glib.h>

/* The buffer that a daemon asks for. A DIMM of 32 GiB announces about 512 events of some 150 bytes
 * at once; the kernel accounts each with its buffer. */
#define MONITOR_BUFFER_BYTES (16 * 1024 * 1024)

/* What was announced since the last call. */
typedef struct {
    GArray *touched;     /* of guint32: indices of all blocks named, repeats possible */
    GArray *added;       /* of guint32: those with an `add` */
    gboolean has_dax;    /* a dax device came or went */
    gboolean overflowed; /* the socket overflowed: anything may have changed, scan again */
} MonitorBatch;

/* Called from the main loop, for events that follow each other with some tens of ms between. */
typedef void (*MonitorFunc)(const MonitorBatch *batch, gpointer user_data);

typedef struct Monitor Monitor;

/* BUFFER_BYTES: the socket's receive buffer. NULL and ERROR (G_IO_ERROR) if udev gives no monitor.
 */
Monitor *monitor_new(guint buffer_bytes, MonitorFunc func, gpointer user_data, GError **error);
void monitor_free(Monitor *monitor); /* accepts NULL */

/* Takes everything that is in the socket now and calls the function, once, if that was anything.
 * For use before an answer, so that it is never older than what the kernel had announced. */
void monitor_drain(Monitor *monitor);
