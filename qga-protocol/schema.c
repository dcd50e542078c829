/*
 * Checking arguments against the schema, in the words of QEMU's qapi/qobject-input-visitor.c.
 */
#include <string.h>

#include "qga-protocol/errors.h"
#include "qga-protocol/schema.h"

/* Where a value stands, for messages: 'mem-blks[0].online'. Lives on the stack of the walk. */
typedef struct Place {
    const struct Place *parent; /* NULL: the arguments themselves */
    const char *name;           /* of a member; NULL: an element */
    guint index;
} Place;

static void append_place(GString *text, const Place *place)
{
    if (place == NULL)
        return;
    append_place(text, place->parent);
    if (place->name == NULL) {
        g_string_append_printf(text, "[%u]", place->index);
    } else {
        if (text->len > 0)
            g_string_append_c(text, '.');
        g_string_append_len(text, place->name,
                            (gssize)qga_error_clip(place->name, QGA_ERROR_NAME_MAX_BYTES));
    }
}

static gboolean refuse(GError **error, const Place *place, const char *before, const char *after)
{
    g_autoptr(GString) text = g_string_new(NULL);

    append_place(text, place);
    g_set_error(error, QGA_ERROR, QGA_CLASS_GENERIC, "%s'%s'%s", before, text->str, after);
    return FALSE;
}

static gboolean refuse_type(GError **error, const Place *place, const char *expected)
{
    g_autofree char *after = g_strconcat(", expected: ", expected, NULL);

    return refuse(error, place, "Invalid parameter type for ", after);
}

static gboolean check_member(const QgaMember *member, JsonNode *node, const Place *place,
                             GError **error);

static gboolean has_member(const QgaMember *members, const char *name)
{
    for (const QgaMember *member = members; member->name != NULL; member++) {
        if (strcmp(member->name, name) == 0)
            return TRUE;
    }
    return FALSE;
}

static gboolean check_members(const QgaMember *members, JsonObject *object, const Place *place,
                              GError **error)
{
    JsonObjectIter iter;
    const char *name;

    for (const QgaMember *member = members; member->name != NULL; member++) {
        JsonNode *node = json_object_get_member(object, member->name);
        Place here = {place, member->name, 0};

        if (node == NULL && !member->is_optional)
            return refuse(error, &here, "Parameter ", " is missing");
        if (node != NULL && !check_member(member, node, &here, error))
            return FALSE;
    }
    json_object_iter_init_ordered(&iter, object);
    while (json_object_iter_next_ordered(&iter, &name, NULL)) {
        Place here = {place, name, 0};

        if (!has_member(members, name))
            return refuse(error, &here, "Parameter ", " is unexpected");
    }
    return TRUE;
}

static gboolean check_enum(const QgaType *type, JsonNode *node, const Place *place, GError **error)
{
    g_autofree char *after = NULL;
    const char *word;

    if (json_node_get_value_type(node) != G_TYPE_STRING)
        return refuse_type(error, place, "string");
    word = json_node_get_string(node);
    if (g_strv_contains(type->words, word))
        return TRUE;
    after = g_strdup_printf(" does not accept value '%.*s'",
                            (int)qga_error_clip(word, QGA_ERROR_NAME_MAX_BYTES), word);
    return refuse(error, place, "Parameter ", after);
}

/* QEMU picks an alternate's branch by the JSON type alone; here the first that fits is taken. */
static gboolean check_alternate(const QgaType *type, JsonNode *node, const Place *place,
                                GError **error)
{
    for (const QgaMember *member = type->members; member->name != NULL; member++) {
        if (check_member(member, node, place, NULL))
            return TRUE;
    }
    return refuse_type(error, place, type->name);
}

static gboolean check_type(const QgaType *type, JsonNode *node, const Place *place, GError **error)
{
    GType held = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_NONE;

    switch (type->kind) {
    case QGA_TYPE_STR:
        return held == G_TYPE_STRING || refuse_type(error, place, "string");
    case QGA_TYPE_INT:
        return held == G_TYPE_INT64 || refuse_type(error, place, "integer");
    case QGA_TYPE_UINT:
        return (held == G_TYPE_INT64 && json_node_get_int(node) >= 0) ||
               refuse(error, place, "Parameter ", " expects uint64");
    case QGA_TYPE_NUMBER:
        return held == G_TYPE_INT64 || held == G_TYPE_DOUBLE || refuse_type(error, place, "number");
    case QGA_TYPE_BOOL:
        return held == G_TYPE_BOOLEAN || refuse_type(error, place, "boolean");
    case QGA_TYPE_ANY:
        return TRUE;
    case QGA_TYPE_STRUCT:
        if (!JSON_NODE_HOLDS_OBJECT(node))
            return refuse_type(error, place, "object");
        return check_members(type->members, json_node_get_object(node), place, error);
    case QGA_TYPE_ENUM:
        return check_enum(type, node, place, error);
    case QGA_TYPE_ALTERNATE:
        return check_alternate(type, node, place, error);
    }
    g_assert_not_reached();
}

static gboolean check_member(const QgaMember *member, JsonNode *node, const Place *place,
                             GError **error)
{
    JsonArray *array;

    if (!member->is_array)
        return check_type(member->type, node, place, error);
    if (!JSON_NODE_HOLDS_ARRAY(node))
        return refuse_type(error, place, "array");
    array = json_node_get_array(node);
    for (guint i = 0; i < json_array_get_length(array); i++) {
        Place here = {place, NULL, i};

        if (!check_type(member->type, json_array_get_element(array, i), &here, error))
            return FALSE;
    }
    return TRUE;
}

const QgaCommand *qga_schema_find(const QgaSchema *schema, const char *name)
{
    for (const QgaCommand *command = schema->commands; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0)
            return command;
    }
    return NULL;
}

gboolean qga_schema_check(const QgaCommand *command, JsonObject *arguments, GError **error)
{
    return check_members(command->arguments, arguments, NULL, error);
}
