/*
 * Signals as events of the main loop, by signalfd.
 *
 * Not g_unix_signal_add(): that starts GLib's worker thread, and a daemon that forks must stay
 * single-threaded.
 */
#pragma once

#include <glib.h>

typedef void (*SignalFunc)(int signal, gpointer user_data);

typedef struct SignalSource SignalSource;

/* Blocks the N signals for this process and calls FUNC from the default main context when one
 * comes. NULL and ERROR (G_UNIX_ERROR) if the kernel gives no signalfd. */
SignalSource *signal_source_new(const int *signals, guint n, SignalFunc func, gpointer user_data,
                                GError **error);
void signal_source_free(SignalSource *source); /* accepts NULL; leaves the signals blocked */

/* For a forked child: every signal back to its default and unblocked. Async-signal-safe. */
void signals_reset_in_child(void);
