/*
 * The state directory's lock and flag. The lock is the kernel's (flock), so it never outlives the
 * process.
 */
#include "os/state-dir.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct StateDir {
    int lock_fd;
    char *active_path;
};

StateDir *state_dir_open(const char *dir, GError **error)
{
    g_autofree char *path = g_build_filename(dir, "lock", NULL);

    if (g_mkdir_with_parents(dir, 0700) < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot make %s: %s", dir,
                    g_strerror(errno));
        return NULL;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot open %s: %s", path,
                    g_strerror(errno));
        return NULL;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                    "%s is locked: another memplugd uses %s", path, dir);
        close(fd);
        return NULL;
    }
    StateDir *state_dir = g_new0(StateDir, 1);
    state_dir->lock_fd = fd;
    state_dir->active_path = g_build_filename(dir, "active", NULL);
    return state_dir;
}

void state_dir_close(StateDir *state_dir)
{
    if (!state_dir)
        return;
    close(state_dir->lock_fd);
    g_free(state_dir->active_path);
    g_free(state_dir);
}

gboolean state_dir_decide_rule(const char *dir, gboolean online, GError **error)
{
    g_autofree char *path = g_build_filename(dir, "rule-online", NULL);

    g_mkdir_with_parents(dir, 0700);
    int fd = online ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    if (fd >= 0 && close(fd) == 0)
        return TRUE;
    if (!online && (unlink(path) == 0 || errno == ENOENT))
        return TRUE;
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot %s %s: %s",
                online ? "make" : "remove", path, g_strerror(errno));
    return FALSE;
}

void state_dir_set_active(StateDir *state_dir, gboolean active)
{
    if (!active) {
        unlink(state_dir->active_path);
        return;
    }
    int fd = open(state_dir->active_path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        close(fd);
    else
        g_warning("cannot make %s: %s", state_dir->active_path, g_strerror(errno));
}
