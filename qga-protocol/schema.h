/*
 * The schema of the commands: what arguments each takes, and which events there are. It is the only
 * place where names and types of arguments stand. It must never judge what an argument means: that
 * is the handler's.
 *
 * The schema is memplug-schema.json, in the style of QEMU's QAPI; compile-schema makes these tables
 * of it when the program is built, and refuses a schema with a mistake. What a command returns is
 * in the text for clients and tests, not in the tables.
 */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

typedef enum {
    QGA_TYPE_STR,
    QGA_TYPE_INT,  /* int64 */
    QGA_TYPE_UINT, /* uint64; what json-glib's integers hold of it, 0 to 2^63 - 1 */
    QGA_TYPE_NUMBER,
    QGA_TYPE_BOOL,
    QGA_TYPE_ANY,
    QGA_TYPE_STRUCT,
    QGA_TYPE_ENUM,
    QGA_TYPE_ALTERNATE,
} QgaTypeKind;

typedef struct QgaMember QgaMember;

typedef struct {
    QgaTypeKind kind;
    const char *name;
    const QgaMember *members; /* struct, alternate */
    const char *const *words; /* enum; NULL-terminated */
} QgaType;

/* An array of members ends with one whose name is NULL. */
struct QgaMember {
    const char *name;
    const QgaType *type;
    gboolean is_array; /* of TYPE */
    gboolean is_optional;
};

typedef struct {
    const char *name; /* NULL: the end of the array */
    const QgaMember *arguments;
    gboolean is_opt_in; /* blocked unless an allow list names it */
} QgaCommand;

typedef struct {
    const QgaCommand *commands; /* in the order of the text */
    const char *const *events;  /* NULL-terminated */
} QgaSchema;

/* memplug-schema.json. */
extern const QgaSchema memplug_schema;

/* NULL: there is no command NAME. */
const QgaCommand *qga_schema_find(const QgaSchema *schema, const char *name);

/* Are ARGUMENTS what COMMAND takes? FALSE with QGA_ERROR (GenericError) in the wording of QEMU's
 * qapi/qobject-input-visitor.c, e.g. "Parameter 'mem-blks[0].online' is missing". Members are
 * checked in the schema's order and unknown ones last, as there. */
gboolean qga_schema_check(const QgaCommand *command, JsonObject *arguments, GError **error);
