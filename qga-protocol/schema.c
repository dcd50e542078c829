/*
 * Reading a schema. Its text comes from this program itself, but is checked as if it did not: a
 * mistake in it shall be a sentence at start, not a surprise in a request.
 */
#include "qga-protocol/schema.h"

#include <string.h>

#include "qga-protocol/errors.h"
#include "qga-protocol/json-reader.h"
#include "qga-protocol/schema-types.h"

static void member_free(gpointer data)
{
    QgaMember *member = data;

    g_free(member->name);
    g_free(member);
}

static void type_free(gpointer data)
{
    QgaType *type = data;

    g_free(type->name);
    g_clear_pointer(&type->members, g_ptr_array_unref);
    g_strfreev(type->words);
    g_free(type);
}

static void entry_free(gpointer data)
{
    QgaEntry *entry = data;

    g_free(entry->name);
    g_clear_pointer(&entry->members, g_ptr_array_unref);
    g_strfreev(entry->features);
    g_free(entry);
}

static QgaType *add_type(QgaSchema *schema, QgaTypeKind kind, const char *name)
{
    QgaType *type = g_new0(QgaType, 1);

    type->kind = kind;
    type->name = g_strdup(name);
    type->members = g_ptr_array_new_with_free_func(member_free);
    g_hash_table_insert(schema->types, type->name, type);
    return type;
}

static void add_builtin_types(QgaSchema *schema)
{
    add_type(schema, QGA_TYPE_STR, "str");
    add_type(schema, QGA_TYPE_INT, "int");
    add_type(schema, QGA_TYPE_INT, "int64");
    add_type(schema, QGA_TYPE_UINT, "uint64");
    add_type(schema, QGA_TYPE_UINT, "size");
    add_type(schema, QGA_TYPE_NUMBER, "number");
    add_type(schema, QGA_TYPE_BOOL, "bool");
    add_type(schema, QGA_TYPE_ANY, "any");
}

static gboolean fault(GError **error, const char *where, const char *what)
{
    g_set_error(error, QGA_ERROR, QGA_CLASS_GENERIC, "schema: '%s': %s", where, what);
    return FALSE;
}

/* "TYPE" or ["TYPE"]. */
static gboolean read_use(QgaSchema *schema, JsonNode *node, QgaTypeUse *use, const char *where,
                         GError **error)
{
    use->is_array = JSON_NODE_HOLDS_ARRAY(node);
    if (use->is_array) {
        JsonArray *array = json_node_get_array(node);

        if (json_array_get_length(array) != 1)
            return fault(error, where, "an array type has one element");
        node = json_array_get_element(array, 0);
    }
    if (json_node_get_value_type(node) != G_TYPE_STRING)
        return fault(error, where, "a type is a name or an array of one name");
    use->type = g_hash_table_lookup(schema->types, json_node_get_string(node));
    return use->type != NULL || fault(error, where, "unknown type");
}

static gboolean read_members(QgaSchema *schema, JsonNode *data, GPtrArray *members,
                             const char *where, GError **error)
{
    JsonObjectIter iter;
    const char *name;
    JsonNode *node;

    if (data == NULL)
        return TRUE;
    if (!JSON_NODE_HOLDS_OBJECT(data))
        return fault(error, where, "data is not an object");
    json_object_iter_init_ordered(&iter, json_node_get_object(data));
    while (json_object_iter_next_ordered(&iter, &name, &node)) {
        QgaMember *member = g_new0(QgaMember, 1);

        member->is_optional = name[0] == '*';
        member->name = g_strdup(name + member->is_optional);
        g_ptr_array_add(members, member);
        if (!read_use(schema, node, &member->use, where, error))
            return FALSE;
    }
    return TRUE;
}

/* An array of strings; NULL with ERROR where it is something else. NODE NULL: empty. */
static char **read_words(JsonNode *node, const char *where, GError **error)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
    JsonArray *array = NULL;

    if (node != NULL && JSON_NODE_HOLDS_ARRAY(node))
        array = json_node_get_array(node);
    for (guint i = 0; array != NULL && i < json_array_get_length(array); i++) {
        JsonNode *word = json_array_get_element(array, i);

        if (json_node_get_value_type(word) != G_TYPE_STRING)
            array = NULL;
        else
            g_ptr_array_add(words, json_node_dup_string(word));
    }
    if (node != NULL && array == NULL) {
        fault(error, where, "not an array of words");
        g_ptr_array_unref(words);
        return NULL;
    }
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

static gboolean read_entry(QgaSchema *schema, GHashTable *entries, GPtrArray *names,
                           const char *name, JsonObject *object, GError **error)
{
    QgaEntry *entry;
    JsonNode *returns = json_object_get_member(object, "returns");

    if (g_hash_table_contains(entries, name))
        return fault(error, name, "defined twice");
    entry = g_new0(QgaEntry, 1);
    entry->name = g_strdup(name);
    entry->members = g_ptr_array_new_with_free_func(member_free);
    g_hash_table_insert(entries, entry->name, entry);
    g_ptr_array_add(names, entry->name);
    entry->features = read_words(json_object_get_member(object, "features"), name, error);
    if (entry->features == NULL)
        return FALSE;
    if (returns != NULL && !read_use(schema, returns, &entry->returns, name, error))
        return FALSE;
    return read_members(schema, json_object_get_member(object, "data"), entry->members, name,
                        error);
}

/* The name that OBJECT has under KEY. TRUE with *OUT_NAME NULL: it has none. */
static gboolean read_name(JsonObject *object, const char *key, const char **out_name,
                          GError **error)
{
    JsonNode *node = json_object_get_member(object, key);

    *out_name = NULL;
    if (node == NULL)
        return TRUE;
    if (json_node_get_value_type(node) != G_TYPE_STRING)
        return fault(error, key, "the name is not a string");
    *out_name = json_node_get_string(node);
    return TRUE;
}

/* Members may name types that come later, so entries are gone through twice: first every type gets
 * its name, then everything its members. */
static gboolean read_definition(QgaSchema *schema, JsonObject *object, gboolean is_first_pass,
                                GError **error)
{
    static const struct {
        const char *key;
        QgaTypeKind kind;
    } kinds[] = {
        {"struct", QGA_TYPE_STRUCT}, {"enum", QGA_TYPE_ENUM}, {"alternate", QGA_TYPE_ALTERNATE}};
    JsonNode *data = json_object_get_member(object, "data");

    const char *name;

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        QgaType *type;

        if (!read_name(object, kinds[i].key, &name, error))
            return FALSE;
        if (name == NULL)
            continue;
        type = g_hash_table_lookup(schema->types, name);
        if (is_first_pass && type != NULL)
            return fault(error, name, "defined twice");
        if (is_first_pass) {
            add_type(schema, kinds[i].kind, name);
            return TRUE;
        }
        if (type->kind != QGA_TYPE_ENUM)
            return read_members(schema, data, type->members, name, error);
        type->words = read_words(data, name, error);
        return type->words != NULL;
    }
    if (!read_name(object, "command", &name, error))
        return FALSE;
    if (name != NULL)
        return is_first_pass ||
               read_entry(schema, schema->commands, schema->command_names, name, object, error);
    if (!read_name(object, "event", &name, error))
        return FALSE;
    if (name != NULL)
        return is_first_pass ||
               read_entry(schema, schema->events, schema->event_names, name, object, error);
    return fault(error, "?", "neither command, struct, enum, alternate nor event");
}

static gboolean read_definitions(QgaSchema *schema, JsonNode *root, GError **error)
{
    JsonArray *array;

    if (!JSON_NODE_HOLDS_ARRAY(root))
        return fault(error, "?", "not an array");
    array = json_node_get_array(root);
    for (guint pass = 0; pass < 2; pass++) {
        for (guint i = 0; i < json_array_get_length(array); i++) {
            JsonNode *node = json_array_get_element(array, i);

            if (!JSON_NODE_HOLDS_OBJECT(node))
                return fault(error, "?", "an entry is not an object");
            if (!read_definition(schema, json_node_get_object(node), pass == 0, error))
                return FALSE;
        }
    }
    return TRUE;
}

QgaSchema *qga_schema_new(const char *text, gsize n_bytes, GError **error)
{
    static const QgaJsonLimits limits = {1024 * 1024, 32 * 1024, 64, 1024 * 1024};
    JsonNode *root = qga_json_parse(text, n_bytes, &limits, NULL, error);
    QgaSchema *schema;
    gboolean ok;

    if (root == NULL)
        return NULL;
    schema = g_new0(QgaSchema, 1);
    schema->types = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, type_free);
    schema->commands = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, entry_free);
    schema->events = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, entry_free);
    schema->command_names = g_ptr_array_new();
    schema->event_names = g_ptr_array_new();
    add_builtin_types(schema);
    ok = read_definitions(schema, root, error);
    g_ptr_array_add(schema->command_names, NULL);
    g_ptr_array_add(schema->event_names, NULL);
    json_node_unref(root);
    if (!ok)
        g_clear_pointer(&schema, qga_schema_free);
    return schema;
}

void qga_schema_free(QgaSchema *schema)
{
    if (schema == NULL)
        return;
    g_hash_table_unref(schema->types);
    g_hash_table_unref(schema->commands);
    g_hash_table_unref(schema->events);
    g_ptr_array_unref(schema->command_names);
    g_ptr_array_unref(schema->event_names);
    g_free(schema);
}

gboolean qga_schema_has_command(const QgaSchema *schema, const char *command)
{
    return g_hash_table_contains(schema->commands, command);
}

gboolean qga_schema_has_feature(const QgaSchema *schema, const char *command, const char *feature)
{
    const QgaEntry *entry = g_hash_table_lookup(schema->commands, command);

    return entry != NULL && g_strv_contains((const char *const *)entry->features, feature);
}

const char *const *qga_schema_commands(const QgaSchema *schema)
{
    return (const char *const *)schema->command_names->pdata;
}

const char *const *qga_schema_events(const QgaSchema *schema)
{
    return (const char *const *)schema->event_names->pdata;
}
