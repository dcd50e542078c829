/*
 * A libudev monitor in the main loop. Everything that waits in the socket becomes one batch, so a
 * DIMM of 128 blocks costs some looks at the model, not 128: the kernel announces them one by one
 * while it is at work on the next, so after a batch the socket rests for a moment.
 */
#include "os/monitor.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <libudev.h>

#include "system/block.h"
#include "system/units.h"

/* Between two batches that nobody asked for. Nobody sees that much of a delay, and it is long
 * enough for the kernel to do many blocks, in which we are not in its way. */
#define REST_MS 100

struct Monitor {
    struct udev *udev;
    struct udev_monitor *socket;
    guint watch; /* 0 while it rests */
    guint rest;
    gint64 batch_usec; /* when the last batch was taken; monotonic */
    MonitorFunc func;
    gpointer user_data;
};

static void watch(Monitor *monitor);

static gboolean on_rested(gpointer user_data)
{
    Monitor *monitor = user_data;

    monitor->rest = 0;
    watch(monitor);
    monitor_drain(monitor);
    return G_SOURCE_REMOVE;
}

static gboolean on_readable(G_GNUC_UNUSED gint fd, G_GNUC_UNUSED GIOCondition condition,
                            gpointer user_data)
{
    Monitor *monitor = user_data;
    gint64 since_ms = (g_get_monotonic_time() - monitor->batch_usec) / USEC_PER_MSEC;

    if (since_ms < REST_MS) {
        monitor->watch = 0;
        monitor->rest = g_timeout_add((guint)(REST_MS - since_ms), on_rested, monitor);
        return G_SOURCE_REMOVE;
    }
    monitor_drain(monitor);
    return G_SOURCE_CONTINUE;
}

static void watch(Monitor *monitor)
{
    monitor->watch =
        g_unix_fd_add(udev_monitor_get_fd(monitor->socket), G_IO_IN, on_readable, monitor);
}

Monitor *monitor_new(guint buffer_bytes, MonitorFunc func, gpointer user_data, GError **error)
{
    Monitor *monitor = g_new0(Monitor, 1);
    monitor->func = func;
    monitor->user_data = user_data;
    monitor->udev = udev_new();
    if (monitor->udev)
        monitor->socket = udev_monitor_new_from_netlink(monitor->udev, "kernel");
    if (!monitor->socket ||
        udev_monitor_filter_add_match_subsystem_devtype(monitor->socket, "memory", NULL) < 0 ||
        udev_monitor_filter_add_match_subsystem_devtype(monitor->socket, "dax", NULL) < 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
                    "cannot watch the kernel's memory events: %s", g_strerror(errno));
        monitor_free(monitor);
        return NULL;
    }
    /* Without CAP_NET_ADMIN the buffer stays as it is: an overflow is handled in any case. */
    udev_monitor_set_receive_buffer_size(monitor->socket, (int)buffer_bytes);
    if (udev_monitor_enable_receiving(monitor->socket) < 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
                    "cannot receive the kernel's memory events: %s", g_strerror(errno));
        monitor_free(monitor);
        return NULL;
    }
    watch(monitor);
    return monitor;
}

void monitor_free(Monitor *monitor)
{
    if (!monitor)
        return;
    g_clear_handle_id(&monitor->watch, g_source_remove);
    g_clear_handle_id(&monitor->rest, g_source_remove);
    udev_monitor_unref(monitor->socket);
    udev_unref(monitor->udev);
    g_free(monitor);
}

static void take_event(MonitorBatch *batch, struct udev_device *event)
{
    guint32 index;
    const char *name = udev_device_get_sysname(event);
    const char *action = udev_device_get_action(event);

    if (g_strcmp0(udev_device_get_subsystem(event), "dax") == 0) {
        batch->has_dax = TRUE;
        return;
    }
    if (!name || !action || !block_parse_name(name, &index))
        return;
    g_array_append_val(batch->touched, index);
    if (g_str_equal(action, "add"))
        g_array_append_val(batch->added, index);
}

void monitor_drain(Monitor *monitor)
{
    g_autoptr(GArray) touched = g_array_new(FALSE, FALSE, sizeof(guint32));
    g_autoptr(GArray) added = g_array_new(FALSE, FALSE, sizeof(guint32));
    MonitorBatch batch = {.touched = touched, .added = added};

    for (;;) {
        errno = 0;
        struct udev_device *event = udev_monitor_receive_device(monitor->socket);
        if (event) {
            take_event(&batch, event);
            udev_device_unref(event);
        } else if (errno == ENOBUFS) {
            batch.overflowed = TRUE; /* reported once; what still is in the socket follows */
        } else if (errno != EINTR) {
            break; /* EAGAIN: empty */
        }
    }
    if (!batch.overflowed && !batch.has_dax && touched->len == 0)
        return;
    monitor->batch_usec = g_get_monotonic_time();
    monitor->func(&batch, monitor->user_data);
}
