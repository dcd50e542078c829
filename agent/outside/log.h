/*
 * Where the log goes: standard error (which systemd's journal reads) or a file. Lines carry their
 * priority in systemd's "<N>" form when standard error is the journal.
 */
#pragma once

#include <glib.h>

/* PATH NULL: standard error. VERBOSE: debug messages too. FALSE and ERROR if PATH cannot be opened. */
gboolean log_open(const char *path, gboolean verbose, GError **error);
