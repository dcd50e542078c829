/*
 * QEMU's monitor, as far as plugging and unplugging needs it.
 */
#pragma once

#include <json-glib/json-glib.h>

typedef struct Qmp Qmp;

/* Connects to the monitor's socket at PATH. NULL and CTL_NO_CONNECTION. */
Qmp *qmp_new(const char *path, GError **error);
void qmp_free(Qmp *qmp); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Qmp, qmp_free)

/* Runs COMMAND with ARGUMENTS (taken over; NULL: none). NULL and CTL_REFUSED where QEMU says no. To
 * free with json_node_unref(). */
JsonNode *qmp_call(Qmp *qmp, const char *command, JsonObject *arguments, GError **error);

/* Waits for the next event (those that came during calls first): its object, to free with
 * json_node_unref(). NULL: TIMEOUT_MS is over, or the monitor is gone. */
JsonNode *qmp_next_event(Qmp *qmp, guint timeout_ms);
/* Forgets the events that have come. */
void qmp_drop_events(Qmp *qmp);
