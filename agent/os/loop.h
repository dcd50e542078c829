/*
 * How the sources of the main loop share it: what is due goes before what is wanted, and nothing
 * holds the loop for longer than a turn.
 */
#pragma once

#include <glib-unix.h>
#include <glib.h>

/* The guard of an attempt, leases, deadlines, the watchdog: before channels and D-Bus, whatever
 * these have to do. */
#define LOOP_PRIORITY_DUE G_PRIORITY_HIGH

/* How long one source may work before it lets the others go on. A single request that takes longer
 * is not cut: agent/front and agent/engine keep those short. */
#define LOOP_TURN_USEC (4 * G_GINT64_CONSTANT(1000))

static inline gboolean loop_turn_is_over(gint64 start_usec)
{
    return g_get_monotonic_time() - start_usec >= LOOP_TURN_USEC;
}

/* Like g_timeout_add(), for what is due in WAIT_USEC (0 or less: at the loop's next turn), rounded
 * up to milliseconds. Return: the source's id. */
static inline guint loop_add_due(gint64 wait_usec, GSourceFunc func, gpointer user_data)
{
    guint wait_ms = (guint)CLAMP((wait_usec + 999) / 1000, 0, (gint64)G_MAXINT);

    return g_timeout_add_full(LOOP_PRIORITY_DUE, wait_ms, func, user_data, NULL);
}

/* Like g_unix_fd_add(), for a descriptor that is busy. GLib takes a source's descriptors out of the
 * poll while its callback runs, lest a loop in the callback find them again, and wakes itself each
 * time it does: a loop for nothing. No callback here runs a loop. */
static inline guint loop_add_fd(int fd, GIOCondition condition, GUnixFDSourceFunc func,
                                gpointer user_data)
{
    GSource *source = g_unix_fd_source_new(fd, condition);

    g_source_set_callback(source, (GSourceFunc)(void (*)(void))func, user_data, NULL);
    g_source_set_can_recurse(source, TRUE);
    guint id = g_source_attach(source, NULL);
    g_source_unref(source);
    return id;
}
