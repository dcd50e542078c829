/*
 * Signals as events of the main loop: one signalfd, watched like any other descriptor.
 */
#include "os/signals.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct SignalSource {
    int fd;
    guint watch;
    SignalFunc func;
    gpointer user_data;
};

static gboolean on_readable(gint fd, G_GNUC_UNUSED GIOCondition condition, gpointer user_data)
{
    SignalSource *source = user_data;
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof info) == sizeof info)
        source->func((int)info.ssi_signo, source->user_data);
    return G_SOURCE_CONTINUE;
}

SignalSource *signal_source_new(const int *signals, guint n, SignalFunc func, gpointer user_data,
                                GError **error)
{
    sigset_t set;
    sigemptyset(&set);
    for (guint i = 0; i < n; i++)
        sigaddset(&set, signals[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);

    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        g_set_error(error, G_UNIX_ERROR, 0, "signalfd: %s", g_strerror(errno));
        return NULL;
    }
    SignalSource *source = g_new0(SignalSource, 1);
    source->fd = fd;
    source->func = func;
    source->user_data = user_data;
    source->watch = g_unix_fd_add(fd, G_IO_IN, on_readable, source);
    return source;
}

void signal_source_free(SignalSource *source)
{
    if (!source)
        return;
    g_source_remove(source->watch);
    close(source->fd);
    g_free(source);
}

void signals_reset_in_child(void)
{
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL); /* fails for SIGKILL and SIGSTOP, which are at their default anyway */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}
