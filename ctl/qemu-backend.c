#include "ctl/qemu-backend.h"

#include <string.h>

#include "ctl/errors.h"
#include "ctl/json.h"
#include "ctl/text.h"

#define TYPE_PREFIX "memory-backend-"
#define CHILD_PREFIX "child<"
#define NODES_MAX 128 /* QEMU's MAX_NODES */

/* ---- as the command line says ---- */

/* Nodes of the host ("0:1", "0-3:8") into NODES. FALSE: TEXT is no such list. */
static gboolean add_nodes(JsonArray *nodes, const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", 0);

    for (char **part = parts; *part; part++) {
        g_auto(GStrv) ends = g_strsplit(*part, "-", 2);
        guint64 first, last;
        if (!ends[0] || !g_ascii_string_to_unsigned(ends[0], 10, 0, NODES_MAX - 1, &first, NULL))
            return FALSE;
        last = first;
        if (ends[1] && !g_ascii_string_to_unsigned(ends[1], 10, first, NODES_MAX - 1, &last, NULL))
            return FALSE;
        for (guint64 node = first; node <= last; node++)
            json_array_add_int_element(nodes, (gint64)node);
    }
    return parts[0] != NULL;
}

/* A value of object-add: on and off, sizes, lists of nodes, text. NULL: it is none. */
static JsonNode *value_of(const char *name, const char *text)
{
    JsonNode *node = json_node_alloc();
    guint64 bytes;

    if (strcmp(name, "host-nodes") == 0) {
        g_autoptr(JsonArray) nodes = json_array_new();
        if (!add_nodes(nodes, text)) {
            json_node_free(node);
            return NULL;
        }
        json_node_init_array(node, nodes);
    } else if (strcmp(text, "on") == 0 || strcmp(text, "off") == 0) {
        json_node_init_boolean(node, strcmp(text, "on") == 0);
    } else if (text_parse_size(text, &bytes, NULL)) {
        json_node_init_int(node, (gint64)bytes);
    } else {
        json_node_init_string(node, text);
    }
    return node;
}

static JsonObject *parse_text(const char *text, GError **error)
{
    static const char *const kinds[] = {"ram", "memfd", "file", NULL};
    g_auto(GStrv) words = g_strsplit(text, ",", 0);
    const char *kind = words[0] ? words[0] : "";
    g_autoptr(JsonObject) properties = json_object_new();

    if (g_str_has_prefix(kind, TYPE_PREFIX))
        kind += strlen(TYPE_PREFIX);
    gboolean is_good = g_strv_contains(kinds, kind);
    for (char **word = words; is_good && *word && word[1]; word++) {
        g_auto(GStrv) pair = g_strsplit(word[1], "=", 2);
        is_good = pair[0] && *pair[0] && pair[1] && strcmp(pair[0], "id") != 0 &&
                  strcmp(pair[0], "size") != 0 && strcmp(pair[0], "qom-type") != 0;
        JsonNode *value = is_good ? value_of(pair[0], pair[1]) : NULL;
        is_good = value != NULL;
        if (value)
            json_object_set_member(properties, pair[0], value);
    }
    if (!is_good) {
        g_set_error(
            error, CTL_ERROR, CTL_USAGE,
            "'%s' is no backend such as ram, memfd,share=on or file,mem-path=/dev/hugepages", text);
        return NULL;
    }
    g_autofree char *type = g_strconcat(TYPE_PREFIX, kind, NULL);
    json_object_set_string_member(properties, "qom-type", type);
    return g_steal_pointer(&properties);
}

gboolean qemu_backend_check(const char *text, GError **error)
{
    g_autoptr(JsonObject) properties = parse_text(text, error);

    return properties != NULL;
}

/* ---- like the guest's RAM ---- */

static JsonNode *get_property(Peer *qmp, const char *path, const char *name)
{
    g_autoptr(JsonObject) arguments = json_object_new();

    json_object_set_string_member(arguments, "path", path);
    json_object_set_string_member(arguments, "property", name);
    return peer_request(qmp, "qom-get", arguments, NULL);
}

/* "memory-backend-memfd" for the object ID; NULL: none of that kind. To free. */
static char *type_of(Peer *qmp, const char *id)
{
    g_autoptr(JsonObject) arguments = json_object_new();

    json_object_set_string_member(arguments, "path", "/objects");
    g_autoptr(JsonNode) answer = peer_request(qmp, "qom-list", arguments, NULL);
    JsonArray *list = ctl_json_as_array(answer);
    for (guint i = 0; i < ctl_json_length(list); i++) {
        JsonObject *entry = ctl_json_object_at(list, i);
        const char *type = ctl_json_string(entry, "type");
        if (strcmp(ctl_json_string(entry, "name"), id) == 0 &&
            g_str_has_prefix(type, CHILD_PREFIX TYPE_PREFIX) && g_str_has_suffix(type, ">"))
            return g_strndup(type + strlen(CHILD_PREFIX), strlen(type) - strlen(CHILD_PREFIX) - 1);
    }
    return NULL;
}

static gboolean refuse(const char *why, GError **error)
{
    g_set_error(error, CTL_ERROR, CTL_REFUSED, "%s: say with --backend what the DIMM's shall be",
                why);
    return FALSE;
}

/* A file's backend: its directory, in which QEMU makes a file of its own. The same file would be
 * the same memory. */
static gboolean add_path(Peer *qmp, const char *path, JsonObject *properties, GError **error)
{
    g_autoptr(JsonNode) node = get_property(qmp, path, "mem-path");
    const char *file =
        node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node) : NULL;

    if (!file || !g_file_test(file, G_FILE_TEST_EXISTS))
        return refuse("the guest's RAM is a file that cannot be seen from here", error);
    g_autofree char *directory =
        g_file_test(file, G_FILE_TEST_IS_DIR) ? g_strdup(file) : g_path_get_dirname(file);
    json_object_set_string_member(properties, "mem-path", directory);
    return TRUE;
}

/* What the backend at PATH has of its own kind. */
static gboolean add_kind(Peer *qmp, const char *id, JsonObject *properties, GError **error)
{
    static const char *const names[] = {"hugetlb", "hugetlbsize", "seal"};
    g_autofree char *type = type_of(qmp, id);
    g_autofree char *path = g_strconcat("/objects/", id, NULL);

    if (!type)
        return refuse("the guest's RAM is of a kind that memplugctl does not know", error);
    json_object_set_string_member(properties, "qom-type", type);
    if (strcmp(type, TYPE_PREFIX "file") == 0)
        return add_path(qmp, path, properties, error);
    if (strcmp(type, TYPE_PREFIX "memfd") == 0) {
        for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
            JsonNode *value = get_property(qmp, path, names[i]);
            if (value)
                json_object_set_member(properties, names[i], value);
        }
        /* 0 is what QEMU says for the default, and does not take. */
        if (ctl_json_uint(properties, "hugetlbsize") == 0)
            json_object_remove_member(properties, "hugetlbsize");
    } else if (strcmp(type, TYPE_PREFIX "ram") != 0) {
        return refuse("the guest's RAM is of a kind that memplugctl does not know", error);
    }
    return TRUE;
}

/* Whether two backends of RAM are of one kind, but for the host's nodes. */
static gboolean is_alike(JsonObject *a, JsonObject *b)
{
    return ctl_json_bool(a, "share") == ctl_json_bool(b, "share") &&
           ctl_json_bool(a, "prealloc") == ctl_json_bool(b, "prealloc");
}

static gboolean same_nodes(JsonObject *a, JsonObject *b)
{
    g_autoptr(JsonNode) first = json_object_dup_member(a, "host-nodes");
    g_autoptr(JsonNode) second = json_object_dup_member(b, "host-nodes");

    return first && second && json_node_equal(first, second) &&
           strcmp(ctl_json_string(a, "policy"), ctl_json_string(b, "policy")) == 0;
}

/* The id of the one backend that all RAM is of, to free. NULL: QEMU names none, as with nodes that
 * have one each. */
static char *the_rams(Peer *qmp)
{
    g_autoptr(JsonNode) node = get_property(qmp, "/machine", "memory-backend");
    const char *path =
        node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node) : "";

    return g_str_has_prefix(path, "/objects/") ? g_strdup(path + strlen("/objects/")) : NULL;
}

static JsonObject *like_ram(Peer *qmp, GHashTable *in_use, GError **error)
{
    static const char *const copied[] = {"share", "prealloc", "merge", "dump", "reserve"};
    g_autoptr(JsonObject) properties = json_object_new();
    g_autoptr(JsonNode) answer = peer_request(qmp, "query-memdev", NULL, error);
    JsonArray *list = ctl_json_as_array(answer);
    JsonObject *ram = NULL;
    gboolean one_place = TRUE;

    if (!answer)
        return NULL;
    g_autofree char *only = the_rams(qmp);
    for (guint i = 0; i < ctl_json_length(list); i++) {
        JsonObject *backend = ctl_json_object_at(list, i);
        const char *id = ctl_json_string(backend, "id");
        if (g_hash_table_contains(in_use, id) || (only && strcmp(only, id) != 0))
            continue;
        if (ram && !is_alike(ram, backend)) {
            refuse("the guest's RAM is of several kinds", error);
            return NULL;
        }
        one_place = one_place && (!ram || same_nodes(ram, backend));
        ram = backend;
    }
    if (!ram) { /* a QEMU before 5.0, whose RAM is no object */
        json_object_set_string_member(properties, "qom-type", TYPE_PREFIX "ram");
        return g_steal_pointer(&properties);
    }
    for (guint i = 0; i < G_N_ELEMENTS(copied); i++) {
        if (json_object_has_member(ram, copied[i]))
            json_object_set_member(properties, copied[i], json_object_dup_member(ram, copied[i]));
    }
    /* RAM of several guest nodes lies on a host node each; which is whose QEMU does not tell. */
    if (one_place && ctl_json_length(ctl_json_array(ram, "host-nodes")) > 0) {
        json_object_set_member(properties, "host-nodes", json_object_dup_member(ram, "host-nodes"));
        json_object_set_member(properties, "policy", json_object_dup_member(ram, "policy"));
    }
    if (!add_kind(qmp, ctl_json_string(ram, "id"), properties, error))
        return NULL;
    return g_steal_pointer(&properties);
}

JsonObject *qemu_backend_properties(Peer *qmp, const char *text, GHashTable *in_use, GError **error)
{
    return text ? parse_text(text, error) : like_ram(qmp, in_use, error);
}
