/*
 * The service manager: sd_notify's messages and the watchdog. Where no manager asks for them,
 * nothing is sent and no timer runs.
 */
#pragma once

#include <glib.h>

typedef struct Service Service;

/* Starts to feed the watchdog if the manager wants that, twice in its time, from the default main
 * context: a loop that hangs feeds nobody. */
Service *service_new(void);
void service_free(Service *service); /* accepts NULL */

/* Up, or done with reloading. LINE as in service_status(). */
void service_ready(Service *service, const char *line);
/* Settings are being loaded anew; service_ready() must follow. */
void service_reloading(Service *service);
void service_stopping(Service *service);
/* What it is doing takes longer, but no longer than SECONDS from now. */
void service_extend(Service *service, guint seconds);
/* One line for a person, shown by systemctl status; sent only if it differs from the last one. */
void service_status(Service *service, const char *line);
