#include "os/stall-watch.h"

#include <errno.h>
#include <unistd.h>

#include "os/loop.h"
#include "system/units.h"

#define STALL_PATH "proc/pressure/memory"

struct StallWatch {
    int fd;
    guint source;
    StallFunc func;
    gpointer user_data;
};

static gboolean on_stall(G_GNUC_UNUSED gint fd, GIOCondition condition, gpointer user_data)
{
    StallWatch *watch = user_data;

    if (condition & (G_IO_ERR | G_IO_HUP | G_IO_NVAL)) {
        g_warning("the kernel no longer reports memory pressure");
        watch->source = 0;
        return G_SOURCE_REMOVE;
    }
    watch->func(watch->user_data);
    return G_SOURCE_CONTINUE;
}

static const char *explain(int error)
{
    switch (error) {
    case ENOENT:
    case EOPNOTSUPP:
        return "the kernel does not measure it (PSI); boot the guest with psi=1 on the kernel's "
               "command line";
    case EPERM:
    case EACCES:
        return "the kernel does not let memplugd ask: before 6.5 it wants CAP_SYS_RESOURCE, before "
               "5.13 CAP_DAC_OVERRIDE too";
    default:
        return g_strerror(error);
    }
}

StallWatch *stall_watch_new(const AttrIo *io, guint stall_ms, guint window_ms, StallFunc func,
                            gpointer user_data, GError **error)
{
    g_autofree char *trigger = g_strdup_printf("some %" G_GINT64_FORMAT " %" G_GINT64_FORMAT,
                                               stall_ms * USEC_PER_MSEC, window_ms * USEC_PER_MSEC);
    int fd = attr_watch(io, STALL_PATH, trigger);

    if (fd < 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(-fd),
                    "memory pressure cannot be watched: %s", explain(-fd));
        return NULL;
    }
    StallWatch *watch = g_new(StallWatch, 1);
    *watch = (StallWatch){.fd = fd, .func = func, .user_data = user_data};
    watch->source = loop_add_fd(fd, G_IO_PRI, on_stall, watch);
    return watch;
}

void stall_watch_free(StallWatch *watch)
{
    if (!watch)
        return;
    g_clear_handle_id(&watch->source, g_source_remove);
    close(watch->fd);
    g_free(watch);
}
