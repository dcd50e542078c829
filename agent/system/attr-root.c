/*
 * Opens paths below a root; see attr-root.h. Where openat2(2) is missing, symbolic links are
 * followed by hand: right for a tree that nobody changes meanwhile, which a captured one is.
 */
#include "system/attr-root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "system/attr.h"

/* As many as the kernel follows (MAXSYMLINKS, include/linux/namei.h). */
#define LINKS_MAX 40

int attr_root_open(AttrRoot *root, const char *path)
{
    struct stat here, top;
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &here) < 0 || stat("/", &top) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    root->fd = fd;
    root->is_confined = here.st_dev != top.st_dev || here.st_ino != top.st_ino;
    root->has_openat2 = TRUE;
    return 0;
}

void attr_root_close(AttrRoot *root)
{
    if (root->fd >= 0)
        close(root->fd);
    root->fd = -1;
}

/* Takes the last component off PATH; the root stays the root. */
static void drop_last(char *path)
{
    char *slash = strrchr(path, '/');

    if (slash != NULL)
        *slash = '\0';
    else
        *path = '\0';
}

/* Puts TARGET in front of what is left of REST. */
static int prepend(char rest[ATTR_PATH_MAX], const char *left, const char *target)
{
    char joined[ATTR_PATH_MAX];

    if (g_snprintf(joined, sizeof joined, "%s/%s", target, left) >= (int)sizeof joined)
        return -ENAMETOOLONG;
    strcpy(rest, joined);
    return 0;
}

/* Writes to RESOLVED what PATH means with every symbolic link followed (the last one too, unless
 * FLAGS say O_NOFOLLOW): components below the root, none of them a link or "..". */
static int resolve(const AttrRoot *root, const char *path, int flags, char resolved[ATTR_PATH_MAX])
{
    char rest[ATTR_PATH_MAX];
    guint links = 0;

    if (g_strlcpy(rest, path, sizeof rest) >= sizeof rest)
        return -ENAMETOOLONG;
    resolved[0] = '\0';
    for (char *at = rest; *at != '\0';) {
        char *name = at;
        char target[ATTR_PATH_MAX];

        at += strcspn(at, "/");
        if (*at == '/')
            *at++ = '\0';
        at += strspn(at, "/");
        if (*name == '\0' || strcmp(name, ".") == 0)
            continue;
        if (strcmp(name, "..") == 0) {
            drop_last(resolved);
            continue;
        }
        if (resolved[0] != '\0' && g_strlcat(resolved, "/", ATTR_PATH_MAX) >= ATTR_PATH_MAX)
            return -ENAMETOOLONG;
        if (g_strlcat(resolved, name, ATTR_PATH_MAX) >= ATTR_PATH_MAX)
            return -ENAMETOOLONG;
        if (*at == '\0' && (flags & O_NOFOLLOW) != 0)
            return 0;

        gssize n = readlinkat(root->fd, resolved, target, sizeof target);
        if (n < 0 && errno == EINVAL)
            continue;
        if (n < 0)
            return -errno;
        if (n == (gssize)sizeof target)
            return -ENAMETOOLONG;
        if (++links > LINKS_MAX)
            return -ELOOP;
        target[n] = '\0';
        if (target[0] == '/')
            resolved[0] = '\0';
        else
            drop_last(resolved);
        int error = prepend(rest, at, target);
        if (error < 0)
            return error;
        at = rest;
    }
    if (resolved[0] == '\0')
        strcpy(resolved, ".");
    return 0;
}

int attr_root_openat(AttrRoot *root, const char *path, int flags)
{
    char resolved[ATTR_PATH_MAX];
    int fd, error;

    if (path[0] == '\0' || path[0] == '/')
        return -EINVAL;
    flags |= O_CLOEXEC;
    if (!root->is_confined) {
        fd = openat(root->fd, path, flags);
        return fd < 0 ? -errno : fd;
    }

    /* A named pipe or a terminal in a tree of unknown origin must not stop the program. */
    if ((flags & O_PATH) == 0)
        flags |= O_NONBLOCK | O_NOCTTY;
    if (root->has_openat2) {
        struct open_how how = {
            .flags = (guint64)flags,
            .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
        };
        fd = (int)syscall(__NR_openat2, root->fd, path, &how, sizeof how);
        if (fd >= 0)
            return fd;
        /* A sandbox that does not know the call says EPERM; the walk below tells a true one. */
        if (errno != ENOSYS && errno != EPERM)
            return -errno;
        if (errno == ENOSYS)
            root->has_openat2 = FALSE;
    }
    error = resolve(root, path, flags, resolved);
    if (error < 0)
        return error;
    fd = openat(root->fd, resolved, flags | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}
