#include "ctl/json.h"

#include <stdio.h>

#include "ctl/errors.h"
#include "qga-protocol/json-reader.h"
#include "qga-protocol/json-writer.h"

JsonNode *ctl_json_parse(const char *text, gsize n_bytes, GError **error)
{
    static const QgaJsonLimits limits = {G_MAXSIZE, CTL_JSON_MAX_TOKENS, 64, G_MAXSIZE};
    g_autoptr(GError) wrong = NULL;
    JsonNode *node = qga_json_parse(text, n_bytes, &limits, NULL, &wrong);

    if (!node)
        g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION, "the answer is not JSON: %s",
                    wrong->message);
    return node;
}

/* ---- members ---- */

static JsonNode *member(JsonObject *object, const char *name)
{
    return object && json_object_has_member(object, name) ? json_object_get_member(object, name)
                                                          : NULL;
}

static gboolean is_value(JsonNode *node, GType type)
{
    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type;
}

const char *ctl_json_string(JsonObject *object, const char *name)
{
    JsonNode *node = member(object, name);

    return is_value(node, G_TYPE_STRING) ? json_node_get_string(node) : "";
}

gint64 ctl_json_int(JsonObject *object, const char *name, gint64 missing)
{
    JsonNode *node = member(object, name);

    return is_value(node, G_TYPE_INT64) ? json_node_get_int(node) : missing;
}

guint64 ctl_json_uint(JsonObject *object, const char *name)
{
    gint64 value = ctl_json_int(object, name, 0);

    return value > 0 ? (guint64)value : 0;
}

gboolean ctl_json_bool(JsonObject *object, const char *name)
{
    JsonNode *node = member(object, name);

    return is_value(node, G_TYPE_BOOLEAN) && json_node_get_boolean(node);
}

JsonObject *ctl_json_as_object(JsonNode *node)
{
    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

JsonArray *ctl_json_as_array(JsonNode *node)
{
    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

JsonObject *ctl_json_object(JsonObject *object, const char *name)
{
    return ctl_json_as_object(member(object, name));
}

JsonArray *ctl_json_array(JsonObject *object, const char *name)
{
    return ctl_json_as_array(member(object, name));
}

guint ctl_json_length(JsonArray *array)
{
    return array ? json_array_get_length(array) : 0;
}

JsonObject *ctl_json_object_at(JsonArray *array, guint i)
{
    return ctl_json_as_object(json_array_get_element(array, i));
}

const char *ctl_json_string_at(JsonArray *array, guint i)
{
    JsonNode *node = json_array_get_element(array, i);

    return is_value(node, G_TYPE_STRING) ? json_node_get_string(node) : "";
}

/* ---- printing ---- */

void ctl_json_print(JsonNode *node)
{
    g_autoptr(QgaOutQueue) queue = qga_out_queue_new();
    QgaWriter writer;

    qga_writer_init(&writer, queue);
    qga_writer_node(&writer, node);
    g_autofree char *text = qga_out_queue_take_text(queue);
    fputs(text, stdout);
    putchar('\n');
    fflush(stdout);
}
