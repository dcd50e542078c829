/*
 * A GSource over sd_bus_get_fd(), _get_events() and _get_timeout().
 *
 * The descriptor may change (an inotify one while the bus's socket is awaited, then the socket), so
 * it is compared at each turn and exchanged only then. The timeout goes out by prepare(): setting a
 * ready time there would make the loop spin.
 */
#include "os/bus-source.h"

#include <errno.h>
#include <poll.h>

#include "os/loop.h"
#include "system/units.h"

typedef struct {
    GSource source;
    sd_bus *bus;
    GPollFD poll; /* fd -1: not polled */
    BusSourceLostFunc on_lost;
    gpointer user_data;
    int error; /* negative: lost */
} BusSource;

/* Milliseconds until sd-bus wants to be called in any case, rounded up; -1: not by time. */
static int timeout_ms(BusSource *self)
{
    uint64_t until_usec;

    int r = sd_bus_get_timeout(self->bus, &until_usec);
    if (r < 0)
        self->error = r;
    if (r <= 0 || until_usec == UINT64_MAX)
        return -1;
    gint64 now_usec = g_get_monotonic_time();
    if (until_usec <= (uint64_t)now_usec)
        return 0;
    uint64_t left_ms = (until_usec - (uint64_t)now_usec + USEC_PER_MSEC - 1) / USEC_PER_MSEC;
    return (int)MIN(left_ms, (uint64_t)G_MAXINT);
}

static void follow_fd(BusSource *self)
{
    int fd = sd_bus_get_fd(self->bus);
    int events = sd_bus_get_events(self->bus);

    if (fd < 0 || events < 0) {
        self->error = fd < 0 ? fd : events;
        return;
    }
    if (fd != self->poll.fd) {
        if (self->poll.fd >= 0)
            g_source_remove_poll(&self->source, &self->poll);
        self->poll.fd = fd;
        g_source_add_poll(&self->source, &self->poll);
    }
    self->poll.events =
        (gushort)((events & POLLIN ? G_IO_IN : 0) | (events & POLLOUT ? G_IO_OUT : 0));
}

static gboolean prepare(GSource *source, gint *timeout)
{
    BusSource *self = (BusSource *)source;

    *timeout = -1;
    if (self->error == 0)
        follow_fd(self);
    if (self->error == 0)
        *timeout = timeout_ms(self);
    return self->error != 0 || *timeout == 0;
}

static gboolean check(GSource *source)
{
    BusSource *self = (BusSource *)source;

    return self->error != 0 || self->poll.revents != 0 || timeout_ms(self) == 0;
}

static gboolean dispatch(GSource *source, G_GNUC_UNUSED GSourceFunc callback,
                         G_GNUC_UNUSED gpointer user_data)
{
    BusSource *self = (BusSource *)source;
    gint64 start_usec = g_get_monotonic_time();
    int r = self->error < 0 ? self->error : 1;

    while (r > 0 && !loop_turn_is_over(start_usec))
        r = sd_bus_process(self->bus, NULL);
    if (r >= 0)
        return G_SOURCE_CONTINUE;
    self->on_lost(r, self->user_data);
    return G_SOURCE_REMOVE;
}

static GSourceFuncs source_funcs = {.prepare = prepare, .check = check, .dispatch = dispatch};

GSource *bus_source_new(sd_bus *bus, BusSourceLostFunc on_lost, gpointer user_data)
{
    GSource *source = g_source_new(&source_funcs, sizeof(BusSource));
    BusSource *self = (BusSource *)source;

    self->bus = bus;
    self->poll.fd = -1;
    self->on_lost = on_lost;
    self->user_data = user_data;
    self->error = 0;
    g_source_set_name(source, "D-Bus");
    g_source_attach(source, NULL);
    return source;
}

void bus_source_free(GSource *source)
{
    if (!source)
        return;
    g_source_destroy(source);
    g_source_unref(source);
}
