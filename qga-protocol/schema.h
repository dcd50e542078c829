/*
 * The schema of the commands: what arguments each takes and what it returns, read once from text in
 * the style of QEMU's QAPI, and checked against every request. It is the only place where names and
 * types of arguments stand. It must never judge what an argument means: that is the handler's.
 *
 * The text is a JSON array of
 *     {"command": NAME, "data": MEMBERS?, "returns": TYPE?, "features": [WORD]?, "doc": TEXT?}
 *     {"struct": NAME, "data": MEMBERS, "doc"?}
 *     {"enum": NAME, "data": [WORD], "doc"?}
 *     {"alternate": NAME, "data": MEMBERS, "doc"?}
 *     {"event": NAME, "data": MEMBERS?, "doc"?}
 * MEMBERS is {"name": TYPE, "*optional": TYPE}; TYPE is the name of a struct, enum, alternate or
 * one of str, int, int64, uint64, size, number, bool, any; ["TYPE"] is an array of it.
 */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

typedef struct QgaSchema QgaSchema;

/* Reads TEXT (N bytes, borrowed for the call). NULL with QGA_ERROR where it is not a schema; the
 * message names the entry. Free with qga_schema_free(). */
QgaSchema *qga_schema_new(const char *text, gsize n_bytes, GError **error);
void qga_schema_free(QgaSchema *schema); /* NULL is fine */

gboolean qga_schema_has_command(const QgaSchema *schema, const char *command);

/* A command with the feature "opt-in" is blocked unless an allow list names it. */
gboolean qga_schema_has_feature(const QgaSchema *schema, const char *command, const char *feature);

/* Names in the order of the text, NULL-terminated, owned by the schema. */
const char *const *qga_schema_commands(const QgaSchema *schema);
const char *const *qga_schema_events(const QgaSchema *schema);

/* Are ARGUMENTS what COMMAND takes? FALSE with QGA_ERROR (GenericError) in the wording of QEMU's
 * qapi/qobject-input-visitor.c, e.g. "Parameter 'mem-blks[0].online' is missing". Members are
 * checked in the schema's order and unknown ones last, as there. COMMAND must be in the schema. */
gboolean qga_schema_check(const QgaSchema *schema, const char *command, JsonObject *arguments,
                          GError **error);

/* The same for what COMMAND returned, and for the data of an event (DATA NULL: none): for tests. */
gboolean qga_schema_check_return(const QgaSchema *schema, const char *command, JsonNode *value,
                                 GError **error);
gboolean qga_schema_check_event(const QgaSchema *schema, const char *event, JsonNode *data,
                                GError **error);
