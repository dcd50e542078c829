/*
 * What a schema is in memory: shared by schema.c, which reads it, and schema-check.c, which checks
 * values against it; for nobody else.
 */
#pragma once

#include "qga-protocol/schema.h"

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

typedef struct {
    QgaTypeKind kind;
    char *name;
    GPtrArray *members; /* of QgaMember: struct, alternate */
    char **words;       /* enum */
} QgaType;

/* A use of a type: itself or an array of it. */
typedef struct {
    const QgaType *type; /* owned by the schema */
    gboolean is_array;
} QgaTypeUse;

typedef struct {
    char *name;
    gboolean is_optional;
    QgaTypeUse use;
} QgaMember;

/* A command or an event. */
typedef struct {
    char *name;
    GPtrArray *members; /* of QgaMember: arguments, or an event's data */
    QgaTypeUse returns; /* type NULL: an empty object */
    char **features;
} QgaEntry;

struct QgaSchema {
    GHashTable *types;        /* name -> QgaType */
    GHashTable *commands;     /* name -> QgaEntry */
    GHashTable *events;       /* name -> QgaEntry */
    GPtrArray *command_names; /* in order, NULL-terminated */
    GPtrArray *event_names;
};
