/*
 * A small text file of statedir that is about this boot only: its first line is the boot's id, and
 * a file of another boot is as good as none. Replaced whole and atomically, mode 0600.
 */
#pragma once

#include <glib.h>

#define BOOT_FILE_MAX_BYTES (64 * 1024 * 1024)

/* FALSE and ERROR (G_FILE_ERROR) if it cannot be written; then the old one is still there. */
gboolean boot_file_save(const char *dir, const char *name, const char *boot_id, const char *text,
                        GError **error);
/* (transfer full): what was saved. NULL without ERROR where there is no such file, or one of
 * another boot. */
char *boot_file_load(const char *dir, const char *name, const char *boot_id, GError **error);
void boot_file_remove(const char *dir, const char *name);

/* (transfer full): the text of any file of statedir, of at most MAX_BYTES. NULL without ERROR where
 * there is none; with ERROR (G_FILE_ERROR, without the path) where it cannot be read or is no file.
 */
char *state_file_read(const char *path, gsize max_bytes, gsize *out_length, GError **error);
