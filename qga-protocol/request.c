/*
 * A request, read member by member in the order of the text, so that the first complaint is about
 * what stands first. The id is found even where something else is wrong: an error carries it too.
 */
#include "qga-protocol/request.h"

#include <string.h>

#include "qga-protocol/errors.h"
#include "qga-protocol/json-text.h"

/* Remembers the first complaint only. */
static void complain(GError **error, const char *before, const char *name, const char *after)
{
    if (*error == NULL)
        *error = g_error_new(QGA_ERROR, QGA_CLASS_GENERIC, "%s%.*s%s", before,
                             (int)qga_error_clip(name, QGA_ERROR_NAME_MAX_BYTES), name, after);
}

static void take_id(QgaRequest *request, const char *text, gsize n_bytes, GError **error)
{
    if (n_bytes <= QGA_REQUEST_ID_MAX_BYTES) {
        request->id = text;
        request->id_n_bytes = n_bytes;
    } else {
        complain(error, "QMP input member 'id' is too long", "", "");
    }
}

/* One member of the request; takes NODE. */
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
    }
    json_node_unref(node);
}

/* The members of the object at the cursor. TRUE: read to the end, COMPLAINT tells of members that
 * do not belong; FALSE with ERROR: the text cannot be taken for anything. */
static gboolean read_members(QgaRequest *request, QgaJsonCursor *cursor, GError **complaint,
                             GError **error)
{
    GHashTable *seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    gboolean ok = TRUE;

    cursor->at++;
    while (ok && *cursor->at != '}') {
        char *key = qga_json_read_string(cursor);
        const char *value = ++cursor->at;
        JsonNode *node = qga_json_read_value(cursor, error);

        if (node != NULL && !qga_json_may_add_member(g_hash_table_size(seen),
                                                     g_hash_table_contains(seen, key), error))
            g_clear_pointer(&node, json_node_unref);
        ok = node != NULL;
        if (ok && strcmp(key, "id") == 0)
            take_id(request, value, (gsize)(cursor->at - value), complaint);
        if (ok)
            take_member(request, key, node, complaint);
        g_hash_table_add(seen, key); /* takes KEY, and frees it where it is there already */
        if (ok && *cursor->at == ',')
            cursor->at++;
    }
    g_hash_table_unref(seen);
    return ok;
}

gboolean qga_request_parse(QgaRequest *request, const char *text, gsize n_bytes, GError **error)
{
    QgaJsonCursor cursor = {text, text + n_bytes};
    GError *complaint = NULL;

    *request = (QgaRequest){0};
    if (*text != '{') {
        g_set_error(error, QGA_ERROR, QGA_CLASS_GENERIC, "QMP input must be a JSON object");
        return FALSE;
    }
    if (!read_members(request, &cursor, &complaint, error)) {
        /* qemu-ga parses before it looks, so such an error has no id either. */
        g_clear_error(&complaint);
        qga_request_clear(request);
        return FALSE;
    }
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
