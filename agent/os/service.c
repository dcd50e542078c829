/*
 * The service manager's notify protocol, sd_notify(3), and the watchdog. Spoken here because
 * sd_notify() waits where the manager does not read; what it does not take is sent again later.
 */
#include "os/service.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "os/loop.h"
#include "system/units.h"

#define AGAIN_USEC USEC_PER_SEC

struct Service {
    int fd; /* to the manager; -1: there is none */
    guint watchdog;
    guint again;
    GString *unsent; /* states that the manager has not taken yet, in order */
    char *line;      /* last status */
};

/* NOTIFY_SOCKET: a path, or a name in the abstract namespace behind '@'. */
static int connect_manager(void)
{
    const char *path = g_getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    gsize length = path ? strlen(path) : 0;

    if (length < 2 || length >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return -1;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, size) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static gboolean on_again(gpointer user_data)
{
    Service *service = user_data;

    if (send(service->fd, service->unsent->str, service->unsent->len, MSG_DONTWAIT | MSG_NOSIGNAL) <
        0)
        return G_SOURCE_CONTINUE;
    g_string_truncate(service->unsent, 0);
    service->again = 0;
    return G_SOURCE_REMOVE;
}

/* STATE: lines of NAME=value. */
static void tell(Service *service, const char *state)
{
    if (service->fd < 0)
        return;
    if (service->unsent->len == 0 &&
        send(service->fd, state, strlen(state), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return;
    if (service->unsent->len > 0)
        g_string_append_c(service->unsent, '\n');
    if (service->unsent->len > 4096) /* a later state makes up for an earlier one */
        g_string_truncate(service->unsent, 0);
    g_string_append(service->unsent, state);
    if (!service->again)
        service->again = loop_add_due(AGAIN_USEC, on_again, service);
}

static void tell_status(Service *service, const char *state, const char *line)
{
    g_autofree char *text = g_strdup_printf("%s%sSTATUS=%s", state, state[0] ? "\n" : "", line);

    tell(service, text);
}

static gboolean on_watchdog(gpointer user_data)
{
    tell(user_data, "WATCHDOG=1");
    return G_SOURCE_CONTINUE;
}

Service *service_new(void)
{
    Service *service = g_new0(Service, 1);
    uint64_t watchdog_usec = 0;

    service->line = g_strdup("");
    service->unsent = g_string_new(NULL);
    service->fd = connect_manager();
    if (sd_watchdog_enabled(0, &watchdog_usec) > 0) {
        uint64_t interval_ms = watchdog_usec / USEC_PER_MSEC / 2;
        service->watchdog = g_timeout_add_full(
            LOOP_PRIORITY_DUE, (guint)CLAMP(interval_ms, 1, G_MAXINT), on_watchdog, service, NULL);
    }
    return service;
}

void service_free(Service *service)
{
    if (!service)
        return;
    g_clear_handle_id(&service->watchdog, g_source_remove);
    g_clear_handle_id(&service->again, g_source_remove);
    if (service->fd >= 0)
        close(service->fd);
    g_string_free(service->unsent, TRUE);
    g_free(service->line);
    g_free(service);
}

static gboolean is_news(Service *service, const char *line)
{
    if (g_str_equal(service->line, line))
        return FALSE;
    g_free(service->line);
    service->line = g_strdup(line);
    return TRUE;
}

void service_ready(Service *service, const char *line)
{
    is_news(service, line);
    tell_status(service, "READY=1", line);
}

void service_reloading(Service *service)
{
    g_clear_pointer(&service->line, g_free);
    service->line = g_strdup("");
    /* The time is what tells a manager which request this answers (systemd 253). */
    g_autofree char *state =
        g_strdup_printf("RELOADING=1\nMONOTONIC_USEC=%" PRIi64, g_get_monotonic_time());
    tell_status(service, state, "loading the settings");
}

void service_stopping(Service *service)
{
    is_news(service, "giving memory back");
    tell_status(service, "STOPPING=1", service->line);
}

void service_extend(Service *service, guint seconds)
{
    g_autofree char *state =
        g_strdup_printf("EXTEND_TIMEOUT_USEC=%" G_GINT64_FORMAT, seconds * USEC_PER_SEC);

    tell(service, state);
}

void service_status(Service *service, const char *line)
{
    if (is_news(service, line))
        tell_status(service, "", line);
}
