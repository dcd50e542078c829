/*
 * From a request's arguments to the model's words. What the schema already checked (presence,
 * types) is not checked again; what the values mean together is.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "system/snapshot.h"

/**
 * arguments_selectors: the member "devices".
 * @max: more than so many is an error.
 * @n: set to their number.
 *
 * They come back as asked, so that a request can be known again when a device of it is gone. The
 * same device twice is an error, also under two names, as far as @snapshot knows it.
 *
 * Return: (transfer full): NULL and @error (QGA_ERROR) naming the element that makes no sense.
 */
DeviceSelector *arguments_selectors(JsonObject *arguments, const Snapshot *snapshot, guint max,
                                    guint *n, GError **error);

/* The member NAME, which must lie within MIN and MAX; DEFAULT_VALUE if it is not there. FALSE and
 * ERROR (QGA_ERROR) otherwise. */
gboolean arguments_uint(JsonObject *arguments, const char *name, guint64 min, guint64 max,
                        guint64 default_value, guint64 *value, GError **error);
