/*
 * Reading what somebody else sent: a member that is missing or of another type reads as nothing, so
 * that no view needs to check. And printing it again.
 */
#pragma once

#include <json-glib/json-glib.h>

/* The longest answer that a daemon gives is the map of a large guest: 65,536 blocks of which no two
 * neighbours agree are as many runs, of 25 tokens and 12 D-Bus values each. */
#define CTL_JSON_MAX_TOKENS (2 * 1024 * 1024)
#define CTL_BUS_MAX_VALUES (1024 * 1024)
/* A message on the system bus is never longer (dbus-daemon's max_message_size). */
#define CTL_BUS_MAX_BYTES (32 * 1024 * 1024)

/* A JSON text of N bytes as a tree: strictly JSON, at most 64 levels. NULL and
 * CTL_NO_CONNECTION otherwise. Free with json_node_unref(). */
JsonNode *ctl_json_parse(const char *text, gsize n_bytes, GError **error);

/* Members of OBJECT (NULL: an empty one). Borrowed; "", 0, FALSE, NULL where there is none. */
const char *ctl_json_string(JsonObject *object, const char *name);
guint64 ctl_json_uint(JsonObject *object, const char *name); /* negative ones read as 0 */
gint64 ctl_json_int(JsonObject *object, const char *name, gint64 missing);
gboolean ctl_json_bool(JsonObject *object, const char *name);
JsonObject *ctl_json_object(JsonObject *object, const char *name);
JsonArray *ctl_json_array(JsonObject *object, const char *name);

/* NODE as an object or array, NULL if it is none. Borrowed. */
JsonObject *ctl_json_as_object(JsonNode *node);
JsonArray *ctl_json_as_array(JsonNode *node);
/* Elements of ARRAY (NULL: none). Borrowed. */
guint ctl_json_length(JsonArray *array);
JsonObject *ctl_json_object_at(JsonArray *array, guint i);
const char *ctl_json_string_at(JsonArray *array, guint i);

/* NODE as one line of ASCII on standard output, as the protocol writes it. */
void ctl_json_print(JsonNode *node);
