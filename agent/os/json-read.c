/*
 * Values of a JSON tree, with their limits.
 */
#include "os/json-read.h"

#include <gio/gio.h>
#include <string.h>

static gpointer invalid(GError **error, const char *name, const char *problem)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "'%s' %s", name, problem);
    return NULL;
}

JsonObject *json_read_object(JsonNode *node, const char *what, GError **error)
{
    if (!node || !JSON_NODE_HOLDS_OBJECT(node))
        return invalid(error, what, "is not an object");
    return json_node_get_object(node);
}

JsonArray *json_read_array(JsonObject *object, const char *name, guint max_length, GError **error)
{
    JsonNode *node = json_object_get_member(object, name);

    if (!node || !JSON_NODE_HOLDS_ARRAY(node))
        return invalid(error, name, "is not an array");
    if (json_array_get_length(json_node_get_array(node)) > max_length)
        return invalid(error, name, "has too many elements");
    return json_node_get_array(node);
}

const char *json_read_string(JsonObject *object, const char *name, gsize max_bytes, GError **error)
{
    JsonNode *node = json_object_get_member(object, name);

    if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_STRING)
        return invalid(error, name, "is not a string");
    const char *text = json_node_get_string(node);
    if (strlen(text) > max_bytes)
        return invalid(error, name, "is too long");
    return text;
}

gboolean json_read_int(JsonObject *object, const char *name, gint64 min, gint64 max, gint64 *value,
                       GError **error)
{
    JsonNode *node = json_object_get_member(object, name);

    if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64) {
        invalid(error, name, "is not an integer");
        return FALSE;
    }
    gint64 found = json_node_get_int(node);
    if (found < min || found > max) {
        invalid(error, name, "is out of its range");
        return FALSE;
    }
    *value = found;
    return TRUE;
}
