/*
 * Text for terminals and from the command line. Whatever a guest sent passes text_safe() before it
 * is printed.
 */
#pragma once

#include <glib.h>

#include "system/safe-text.h"

/* Columns that TEXT (of text_safe()) takes. */
guint text_width(const char *text);

/* Cuts TEXT (of text_safe()) to so many columns, and marks where. */
void text_cut(GString *text, guint columns);

/* "256M", "1.5G", "512MiB", "134217728": bytes, by powers of 1024, a part of a byte
 * left out. FALSE and CTL_USAGE otherwise. */
gboolean text_parse_size(const char *text, guint64 *bytes, GError **error);

/* BYTES to the digit, in the largest unit that leaves no fraction ("1408 MiB"). (transfer full) */
char *text_exact(guint64 bytes);

/* BYTES for a person ("1.5 GiB"). (transfer full) */
char *text_size(guint64 bytes);
