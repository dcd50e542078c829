/*
 * A boot's file.
 */
#include "os/boot-file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

gboolean boot_file_save(const char *dir, const char *name, const char *boot_id, const char *text,
                        GError **error)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *whole = g_strdup_printf("%s\n%s", boot_id, text);

    return g_file_set_contents_full(path, whole, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, error);
}

char *state_file_read(const char *path, gsize max_bytes, gsize *out_length, GError **error)
{
    g_autofree char *text = NULL;
    struct stat st = {0};

    if (lstat(path, &st) < 0) {
        if (errno != ENOENT)
            g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "%s",
                        g_strerror(errno));
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) { /* reading a pipe would wait for a writer */
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "it is no file");
        return NULL;
    }
    if (st.st_size > (goffset)max_bytes) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "it has more than %zu bytes",
                    max_bytes);
        return NULL;
    }
    return g_file_get_contents(path, &text, out_length, error) ? g_steal_pointer(&text) : NULL;
}

char *boot_file_load(const char *dir, const char *name, const char *boot_id, GError **error)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *whole = state_file_read(path, BOOT_FILE_MAX_BYTES, NULL, error);

    if (!whole) {
        g_prefix_error(error, "%s: ", path);
        return NULL;
    }
    gsize length = strlen(boot_id);
    if (strncmp(whole, boot_id, length) != 0 || whole[length] != '\n')
        return NULL;
    return g_strdup(whole + length + 1);
}

void boot_file_remove(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);

    unlink(path);
}
