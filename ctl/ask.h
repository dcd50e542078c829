/*
 * Questions that several verbs ask.
 */
#pragma once

#include "ctl/verbs.h"
#include "ctl/views.h"

/* Connects to the daemon that the command line names, in place of the connection there is. */
gboolean ask_connect(Ctl *ctl, GError **error);

/* The answer to a command without arguments. */
JsonNode *ask(Ctl *ctl, const char *command, GError **error);
/* memory-get-status, with "port-error" where the daemon is here and cannot open its port. */
JsonNode *ask_status(Ctl *ctl, GError **error);
/* One job; NULL and an error as client_call(). */
JsonNode *ask_job(Ctl *ctl, guint64 job, GError **error);
/* All that one screen shows. FALSE where not even the status came; what else this daemon does not
 * have, or does not show to this user, stays NULL. */
gboolean ask_screen(Ctl *ctl, Screen *screen, GError **error);

/* The devices that WORDS name, as a request's "devices". ALLOW_BYTES: "virtio0=256M" too. NULL and
 * CTL_USAGE or whatever kept them from being resolved. */
JsonArray *ask_devices(Ctl *ctl, char **words, gboolean allow_bytes, GError **error);

/* The hypervisor's DEVICE as a request names it, by address and size. */
JsonObject *ask_selector(const HvDevice *device);

gboolean job_has_ended(JsonObject *job);
