/*
 * sd_notify and the watchdog.
 */
#include "os/service.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "system/units.h"

struct Service {
    guint watchdog;
    char *line; /* last status */
};

static gboolean on_watchdog(G_GNUC_UNUSED gpointer user_data)
{
    sd_notify(0, "WATCHDOG=1");
    return G_SOURCE_CONTINUE;
}

Service *service_new(void)
{
    Service *service = g_new0(Service, 1);
    uint64_t watchdog_usec = 0;

    service->line = g_strdup("");
    if (sd_watchdog_enabled(0, &watchdog_usec) > 0) {
        uint64_t interval_ms = watchdog_usec / USEC_PER_MSEC / 2;
        service->watchdog =
            g_timeout_add((guint)CLAMP(interval_ms, 1, G_MAXINT), on_watchdog, NULL);
    }
    return service;
}

void service_free(Service *service)
{
    if (!service)
        return;
    g_clear_handle_id(&service->watchdog, g_source_remove);
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
    sd_notifyf(0, "READY=1\nSTATUS=%s", line);
}

void service_reloading(Service *service)
{
    g_clear_pointer(&service->line, g_free);
    service->line = g_strdup("");
    /* The time is what tells a manager which request this answers (systemd 253). */
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIi64 "\nSTATUS=loading the settings",
               g_get_monotonic_time());
}

void service_stopping(Service *service)
{
    is_news(service, "giving memory back");
    sd_notifyf(0, "STOPPING=1\nSTATUS=%s", service->line);
}

void service_status(Service *service, const char *line)
{
    if (is_news(service, line))
        sd_notifyf(0, "STATUS=%s", line);
}
