#include "ctl/agent-bus.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "ctl/errors.h"

#define ERROR_PREFIX AGENT_BUS_INTERFACE ".Error."
/* Longer than polkit waits for a password. */
#define INHIBIT_TIMEOUT_USEC (150 * G_GUINT64_CONSTANT(1000000))

sd_bus *agent_bus_open(GError **error)
{
    sd_bus *bus = NULL;
    int r = sd_bus_open_system(&bus);

    if (r < 0)
        g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION, "no system bus: %s", g_strerror(-r));
    return bus;
}

/* Whether NAME is somebody's no; all else (no bus, no daemon, not started, too late) is nobody
 * there. */
static gboolean is_refusal(const char *name)
{
    static const char *const refusals[] = {
        SD_BUS_ERROR_ACCESS_DENIED,   SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
        SD_BUS_ERROR_LIMITS_EXCEEDED, SD_BUS_ERROR_INVALID_ARGS,
        SD_BUS_ERROR_UNKNOWN_METHOD,  NULL};

    return g_str_has_prefix(name, ERROR_PREFIX) || g_strv_contains(refusals, name);
}

void agent_bus_fail(GError **error, const sd_bus_error *bus_error, int r)
{
    const char *name = bus_error->name ? bus_error->name : "";
    const char *text = bus_error->message ? bus_error->message : g_strerror(-r);

    if (!is_refusal(name))
        g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION, "memplugd does not answer: %s", text);
    else if (strcmp(name, SD_BUS_ERROR_UNKNOWN_METHOD) == 0)
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "this memplugd does not have that: %s", text);
    else
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "%s", text);
}

int agent_bus_inhibit(sd_bus *bus, const char *who, const char *why, const char *mode,
                      gboolean starts, GError **error)
{
    sd_bus_error bus_error = SD_BUS_ERROR_NULL;
    sd_bus_message *message = NULL, *reply = NULL;
    int lock = -1, theirs = -1;
    int r = sd_bus_message_new_method_call(bus, &message, AGENT_BUS_NAME, AGENT_BUS_PATH,
                                           AGENT_BUS_INTERFACE, "Inhibit");

    if (r >= 0)
        r = sd_bus_message_append(message, "sss", who, why, mode);
    if (r >= 0)
        r = sd_bus_message_set_auto_start(message, starts);
    if (r >= 0)
        r = sd_bus_message_set_allow_interactive_authorization(message, 1);
    if (r >= 0)
        r = sd_bus_call(bus, message, INHIBIT_TIMEOUT_USEC, &bus_error, &reply);
    if (r >= 0)
        r = sd_bus_message_read(reply, "h", &theirs); /* the reply's own */
    if (r >= 0 && (lock = fcntl(theirs, F_DUPFD_CLOEXEC, 3)) < 0)
        r = -errno;
    if (r < 0)
        agent_bus_fail(error, &bus_error, r);
    sd_bus_error_free(&bus_error);
    sd_bus_message_unref(message);
    sd_bus_message_unref(reply);
    return lock;
}
