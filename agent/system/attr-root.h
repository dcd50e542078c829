/*
 * Opens paths below a directory, and nothing above it.
 *
 * Below "/" the kernel resolves a path as always. Below any other root (--sysroot: a captured tree,
 * of whatever origin) neither "..", nor an absolute symbolic link, nor a magic link of /proc leads
 * out of it. For attr.c alone.
 */
#pragma once

#include <glib.h>

typedef struct {
    int fd;               /* of the root directory, O_PATH */
    gboolean is_confined; /* the root is not "/" */
    gboolean has_openat2; /* turns FALSE where the kernel, a sandbox or valgrind refuses it */
} AttrRoot;

/* Return 0, or a negative errno if ROOT is not a directory that can be opened. */
int attr_root_open(AttrRoot *root, const char *path);
void attr_root_close(AttrRoot *root);

/* open(2) of PATH (relative, not empty, no NUL) with FLAGS and O_CLOEXEC. Return an fd that the
 * caller closes, or a negative errno. */
int attr_root_openat(AttrRoot *root, const char *path, int flags);
