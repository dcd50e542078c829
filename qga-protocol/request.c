/*
 * A request, read member by member in the order of the text, so that the first complaint is about
 * what stands first. The id is found even where something else is wrong: an error carries it too.
 */
#include "qga-protocol/request.h"

#include <string.h>

#include "qga-protocol/errors.h"
#include "qga-protocol/framer.h"
#include "qga-protocol/json-reader.h"

/* Remembers the first complaint only. */
static void complain(GError **error, const char *before, const char *name, const char *after)
{
    if (*error == NULL)
        *error = g_error_new(QGA_ERROR, QGA_CLASS_GENERIC, "%s%.*s%s", before,
                             (int)qga_error_clip(name, QGA_ERROR_NAME_MAX_BYTES), name, after);
}

/* One member of the request. */
static void take_member(QgaRequest *request, const char *key, JsonNode *node, GError **error)
{
    if (strcmp(key, "execute") == 0) {
        if (json_node_get_value_type(node) == G_TYPE_STRING)
            request->execute = json_node_dup_string(node);
        else
            complain(error, "QMP input member '", key, "' must be a string");
    } else if (strcmp(key, "arguments") == 0) {
        if (JSON_NODE_HOLDS_OBJECT(node))
            request->arguments = json_node_dup_object(node);
        else
            complain(error, "QMP input member '", key, "' must be an object");
    } else if (strcmp(key, "id") != 0) {
        complain(error, "QMP input member '", key, "' is unexpected");
    } else if (request->id == NULL) {
        complain(error, "QMP input member 'id' is too long", "", "");
    }
}

gboolean qga_request_parse(QgaRequest *request, const char *text, gsize n_bytes, GError **error)
{
    static const QgaJsonLimits limits = {QGA_FRAMER_MAX_BYTES, QGA_FRAMER_MAX_TOKENS,
                                         QGA_FRAMER_MAX_NESTING, QGA_FRAMER_MAX_BYTES};
    QgaJsonMark id = {.name = "id"};
    GError *complaint = NULL;
    JsonObjectIter iter;
    const char *key;
    JsonNode *node;

    *request = (QgaRequest){0};
    if (n_bytes == 0 || *text != '{') {
        g_set_error(error, QGA_ERROR, QGA_CLASS_GENERIC, "QMP input must be a JSON object");
        return FALSE;
    }
    /* qemu-ga parses before it looks, so what is no JSON has no id either. */
    g_autoptr(JsonNode) root = qga_json_parse(text, n_bytes, &limits, &id, error);
    if (root == NULL)
        return FALSE;
    if (id.text != NULL && id.n_bytes <= QGA_REQUEST_ID_MAX_BYTES) {
        request->id = id.text;
        request->id_n_bytes = id.n_bytes;
    }
    json_object_iter_init_ordered(&iter, json_node_get_object(root));
    while (json_object_iter_next_ordered(&iter, &key, &node))
        take_member(request, key, node, &complaint);
    if (complaint == NULL && request->execute == NULL)
        complain(&complaint, "QMP input lacks member 'execute'", "", "");
    if (complaint != NULL)
        g_propagate_error(error, complaint);
    return complaint == NULL;
}

void qga_request_clear(QgaRequest *request)
{
    g_clear_pointer(&request->execute, g_free);
    g_clear_pointer(&request->arguments, json_object_unref);
    request->id = NULL;
    request->id_n_bytes = 0;
}
