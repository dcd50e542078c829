/*
 * Taking values out of a tree that somebody else may have written: every value has a type and
 * limits, and an error names the member. The text is read by qga-protocol/json-reader.h.
 */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

/* NODE (may be NULL) as an object; WHAT names it in ERROR. Borrowed. */
JsonObject *json_read_object(JsonNode *node, const char *what, GError **error);
/* Members. NULL or FALSE and ERROR (G_IO_ERROR_INVALID_DATA) if missing, of another type, or beyond
 * the limit. Borrowed. */
JsonArray *json_read_array(JsonObject *object, const char *name, guint max_length, GError **error);
const char *json_read_string(JsonObject *object, const char *name, gsize max_bytes, GError **error);
gboolean json_read_int(JsonObject *object, const char *name, gint64 min, gint64 max, gint64 *value,
                       GError **error);
