/*
 * The real attribute files, below a directory. The only file of the agent that opens anything in
 * /sys or /proc. It never creates, truncates or removes a file, and a write is one write(2): the
 * kernel acts on each.
 */
#include "system/attr.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/attr-root.h"

typedef struct {
    AttrRoot root;
    AttrAccess access;
} Real;

static int real_open(Real *real, const char *path, int flags)
{
    if (strlen(path) >= ATTR_PATH_MAX)
        return -ENAMETOOLONG;
    return attr_root_openat(&real->root, path, flags);
}

/* read(2) that a signal does not end. */
static gssize read_some(int fd, char *buf, gsize size)
{
    gssize n;

    do
        n = read(fd, buf, size);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static gssize real_read(gpointer self, const char *path, char *buf, gsize size)
{
    if (size == 0)
        return -EINVAL;

    int fd = real_open(self, path, O_RDONLY);
    if (fd < 0)
        return fd;
    gssize n = read_some(fd, buf, size - 1);
    close(fd);
    if (n >= 0)
        buf[n] = '\0';
    return n;
}

static gssize real_read_all(gpointer self, const char *path, gsize max_bytes, char **contents)
{
    gsize used = 0;
    gsize room = MIN(max_bytes, 16384) + 1;
    gssize n;

    int fd = real_open(self, path, O_RDONLY);
    if (fd < 0)
        return fd;

    char *text = g_malloc(room);
    while ((n = read_some(fd, text + used, room - used)) > 0) {
        used += (gsize)n;
        if (used > max_bytes) {
            n = -EFBIG;
            break;
        }
        if (used == room) {
            room = MIN(2 * room, max_bytes + 1);
            text = g_realloc(text, room);
        }
    }
    close(fd);
    if (n < 0) {
        g_free(text);
        return n;
    }
    text = g_realloc(text, used + 1);
    text[used] = '\0';
    *contents = text;
    return (gssize)used;
}

static gssize real_read_at(gpointer self, const char *path, guint64 offset, void *buf, gsize size)
{
    gssize n;

    if (offset > G_MAXINT64)
        return -EINVAL;
    int fd = real_open(self, path, O_RDONLY);
    if (fd < 0)
        return fd;
    do
        n = pread(fd, buf, size, (off_t)offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        n = -errno;
    close(fd);
    return n;
}

static gssize real_read_each(gpointer self, const char *path, guint64 offset, guint64 stride,
                             gsize n, void *buf, gsize size)
{
    int fd = real_open(self, path, O_RDONLY);
    gsize i;
    gssize result = (gssize)size;

    if (fd < 0)
        return fd;
    for (i = 0; i < n; i++) {
        do
            result = pread(fd, (char *)buf + i * size, size, (off_t)(offset + i * stride));
        while (result < 0 && errno == EINTR);
        if (result < (gssize)size)
            break;
    }
    if (result < 0)
        result = -errno;
    close(fd);
    return result < 0 ? result : (gssize)i;
}

static int check_inode(int dir_fd, guint64 expected_inode)
{
    struct stat st;

    if (expected_inode == 0)
        return 0;
    if (fstat(dir_fd, &st) < 0)
        return -errno;
    return st.st_ino == expected_inode ? 0 : -ESTALE;
}

static int real_write(gpointer self, const char *dir, guint64 expected_inode, const char *name,
                      const char *value)
{
    Real *real = self;
    gsize length = strlen(value);

    if (real->access == ATTR_READ_ONLY)
        return -EROFS;
    if (strchr(name, '/') != NULL)
        return -EINVAL;
    if (length >= ATTR_VALUE_MAX)
        return -EFBIG;

    int dir_fd = real_open(real, dir, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (dir_fd < 0)
        return dir_fd;
    int result = check_inode(dir_fd, expected_inode);
    int fd = -1;
    if (result == 0) {
        fd = openat(dir_fd, name, O_WRONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
        if (fd < 0)
            result = -errno;
    }
    close(dir_fd);
    if (fd < 0)
        return result;

    gssize n = write(fd, value, length);
    if (n < 0)
        result = -errno;
    else if ((gsize)n != length)
        result = -EIO;
    close(fd);
    return result;
}

static int real_watch(gpointer self, const char *path, const char *value)
{
    Real *real = self;
    gsize length = strlen(value) + 1; /* with its end, as the kernel wants it (psi_write()) */

    int fd =
        real_open(real, path, O_NONBLOCK | (real->access == ATTR_READ_ONLY ? O_RDONLY : O_RDWR));
    if (fd < 0)
        return fd;
    gssize n = real->access == ATTR_READ_ONLY ? -1 : write(fd, value, length);
    if (n == (gssize)length)
        return fd;
    int result = real->access == ATTR_READ_ONLY ? -EROFS : n < 0 ? -errno : -EIO;
    close(fd);
    return result;
}

static int real_list(gpointer self, const char *path, AttrNameFunc each, gpointer user_data)
{
    /* Not readdir(): its 32 KiB allocation for each of 32,768 directories is most of the time. */
    char buf[8192] __attribute__((aligned(8)));
    gssize n;
    gboolean go_on = TRUE;

    int fd = real_open(self, path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fd;
    while (go_on && (n = getdents64(fd, buf, sizeof buf)) != 0) {
        if (n < 0) {
            int error = -errno;
            close(fd);
            return error;
        }
        for (gssize at = 0; go_on && at < n;) {
            const struct dirent64 *entry = (const void *)(buf + at);

            at += entry->d_reclen;
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                go_on = each(entry->d_name, user_data);
        }
    }
    close(fd);
    return 0;
}

static int real_identify(gpointer self, const char *path, guint64 *inode)
{
    Real *real = self;
    struct stat st;
    int result = 0;

    if (!real->root.is_confined && path[0] != '/') {
        /* One system call instead of three: this runs for every block. */
        if (fstatat(real->root.fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return -errno;
    } else {
        int fd = real_open(real, path, O_PATH | O_NOFOLLOW);
        if (fd < 0)
            return fd;
        if (fstat(fd, &st) < 0)
            result = -errno;
        close(fd);
        if (result < 0)
            return result;
    }
    if (!S_ISDIR(st.st_mode))
        return -ENOTDIR;
    *inode = st.st_ino;
    return 0;
}

static gssize real_follow(gpointer self, const char *path, char *target, gsize size)
{
    Real *real = self;
    char text[ATTR_VALUE_MAX];
    gssize n;

    if (!real->root.is_confined && path[0] != '/') {
        n = readlinkat(real->root.fd, path, text, sizeof text);
    } else {
        int fd = real_open(real, path, O_PATH | O_NOFOLLOW);
        if (fd < 0)
            return fd;
        n = readlinkat(fd, "", text, sizeof text);
        /* With an empty path the kernel says ENOENT for what is no link (fs/stat.c). */
        if (n < 0 && errno == ENOENT)
            errno = EINVAL;
        int error = errno;
        close(fd);
        errno = error;
    }
    if (n < 0)
        return -errno;
    if (n == (gssize)sizeof text || (gsize)n >= size)
        return -ENAMETOOLONG;
    memcpy(target, text, (gsize)n);
    target[n] = '\0';
    return n;
}

static void real_free(gpointer self)
{
    Real *real = self;

    attr_root_close(&real->root);
    g_free(real);
}

static int real_fd(gpointer self)
{
    const Real *real = self;

    return real->root.fd;
}

static const AttrOps real_ops = {
    .read = real_read,
    .read_all = real_read_all,
    .read_at = real_read_at,
    .read_each = real_read_each,
    .write = real_write,
    .watch = real_watch,
    .list = real_list,
    .identify = real_identify,
    .follow = real_follow,
    .fd = real_fd,
    .free = real_free,
};

AttrIo *attr_io_open(const char *root, AttrAccess access, GError **error)
{
    Real *real = g_new0(Real, 1);
    int result = attr_root_open(&real->root, root);

    if (result < 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(-result),
                    "cannot open the directory %s: %s", root, g_strerror(-result));
        g_free(real);
        return NULL;
    }
    real->access = access;

    AttrIo *io = g_new(AttrIo, 1);
    io->ops = &real_ops;
    io->self = real;
    return io;
}
