/*
 * The one seam between memplugd and the kernel's attribute files.
 *
 * Every read or write of /sys and /proc goes through an AttrIo: a table of operations and the
 * object they work on. The real one works below a directory (normally "/"), the fake kernel of
 * the unit tests below nothing at all. Nothing above this layer opens a file of the kernel's.
 *
 * Paths are relative to the root and start without a slash: "sys/devices/system/memory". All
 * operations return a value >= 0 for success or a negative errno, like the kernel does; outputs
 * are written on success only.
 */
#pragma once

#include <glib.h>

/* Longest path and attribute value that the agent uses; longer ones are -ENAMETOOLONG, -EFBIG. */
#define ATTR_PATH_MAX 512
#define ATTR_VALUE_MAX 4096

/* Called once for each name in a directory, without "." and "..". Return FALSE to stop. */
typedef gboolean (*AttrNameFunc)(const char *name, gpointer user_data);

typedef struct {
    /* Reads at most SIZE-1 bytes of PATH into BUF and ends them with a NUL. Returns the length. One
     * read(2): an attribute gives its whole value at once. */
    gssize (*read)(gpointer self, const char *path, char *buf, gsize size);
    /* The whole of PATH, up to MAX_BYTES, in a NUL-terminated allocation that the caller frees. */
    gssize (*read_all)(gpointer self, const char *path, gsize max_bytes, char **contents);
    /* Reads at most SIZE bytes of PATH from OFFSET on, as they are. Returns their number, 0 at the
     * end. For files of records, such as /proc/kpageflags. NULL: there is no such file. */
    gssize (*read_at)(gpointer self, const char *path, guint64 offset, void *buf, gsize size);
    /* N records of SIZE bytes, STRIDE bytes apart, from OFFSET on, one behind the other into BUF.
     * Returns how many there were. NULL: read_at() does it. */
    gssize (*read_each)(gpointer self, const char *path, guint64 offset, guint64 stride, gsize n,
                        void *buf, gsize size);
    /* Writes VALUE to the file NAME in the directory DIR, if that directory still has the inode
     * EXPECTED_INODE (0: any). -ESTALE if another directory has taken its place. The directory is
     * opened first and the file in it afterwards, so nothing can slip in between. */
    int (*write)(gpointer self, const char *dir, guint64 expected_inode, const char *name,
                 const char *value);
    int (*list)(gpointer self, const char *path, AttrNameFunc each, gpointer user_data);
    /* The inode of the directory PATH. */
    int (*identify)(gpointer self, const char *path, guint64 *inode);
    /* The target of the symbolic link PATH, NUL-terminated. Returns its length. */
    gssize (*follow)(gpointer self, const char *path, char *target, gsize size);
    /* Opens PATH to be polled, and writes VALUE to it: a trigger that ends with the descriptor.
     * Returns the descriptor. NULL: there is no such file. */
    int (*watch)(gpointer self, const char *path, const char *value);
    /* See attr_io_fd(). NULL: there is none. */
    int (*fd)(gpointer self);
    void (*free)(gpointer self);
} AttrOps;

typedef struct {
    const AttrOps *ops;
    gpointer self;
} AttrIo;

typedef enum {
    ATTR_READ_WRITE,
    ATTR_READ_ONLY, /* every write is -EROFS: a tree that is only looked at */
} AttrAccess;

/**
 * attr_io_open: the real files below a directory.
 * @root: "/" or the argument of --sysroot.
 *
 * Return: (transfer full): free with attr_io_free(). NULL and @error (G_FILE_ERROR) if @root
 * cannot be opened.
 */
AttrIo *attr_io_open(const char *root, AttrAccess access, GError **error);
/* Accepts NULL. */
void attr_io_free(AttrIo *io);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttrIo, attr_io_free)

/* The operations as functions. See AttrOps for what they do. */
gssize attr_read(const AttrIo *io, const char *path, char *buf, gsize size);
gssize attr_read_all(const AttrIo *io, const char *path, gsize max_bytes, char **contents);
gssize attr_read_at(const AttrIo *io, const char *path, guint64 offset, void *buf, gsize size);
gssize attr_read_each(const AttrIo *io, const char *path, guint64 offset, guint64 stride, gsize n,
                      void *buf, gsize size);
int attr_write(const AttrIo *io, const char *dir, guint64 expected_inode, const char *name,
               const char *value);
int attr_watch(const AttrIo *io, const char *path, const char *value);
int attr_list(const AttrIo *io, const char *path, AttrNameFunc each, gpointer user_data);
int attr_identify(const AttrIo *io, const char *path, guint64 *inode);
gssize attr_follow(const AttrIo *io, const char *path, char *target, gsize size);

/* Typed readers. The value is a number in BASE (10 or 16, "0x" accepted in base 16; 0: base 16
 * behind "0x", else 10) and an optional newline, nothing else: -EINVAL otherwise, -ERANGE past 64
 * bits. */
int attr_read_uint64(const AttrIo *io, const char *path, int base, guint64 *value);
/* One line without its newline. Returns the length, -EINVAL for a NUL or a second line. */
gssize attr_read_line(const AttrIo *io, const char *path, char *buf, gsize size);

/* The descriptor that IO works through, or -1 if it has none (the fake kernel): what a forked child
 * must leave open. */
int attr_io_fd(const AttrIo *io);
