/*
 * The command table: which commands there are, which may be used, and who carries them out. It
 * must never run a handler on arguments that the schema has not passed, and it has no stubs: a
 * command of the schema that nobody registered is not found.
 */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

#include "qga-protocol/call.h"
#include "qga-protocol/relay.h"
#include "qga-protocol/schema.h"

typedef struct QgaDispatch QgaDispatch;

/* Carries out a command. CALL is the handler's, see call.h; ARGUMENTS (checked by the schema, never
 * NULL) is borrowed for the call of the function: take a json_object_ref() to keep it. */
typedef void (*QgaHandler)(QgaCall *call, JsonObject *arguments, gpointer user_data);

/* SCHEMA is borrowed and must outlive the table. */
QgaDispatch *qga_dispatch_new(const QgaSchema *schema);
void qga_dispatch_free(QgaDispatch *dispatch); /* NULL is fine */

/* Aborts where the schema lacks NAME, or NAME has a handler: both are mistakes of the program. */
void qga_dispatch_register(QgaDispatch *dispatch, const char *name, QgaHandler handler,
                           gpointer user_data);

/* Every command registered so far whose name begins with BEGINNING is also known by that name
 * behind PREFIX. It stays one command: what the lists say of one name holds for both. */
void qga_dispatch_add_aliases(QgaDispatch *dispatch, const char *prefix, const char *beginning);

/* Which commands may be used (qemu-ga's -a and -b; qga/main.c, ga_apply_command_filters). ALLOW
 * NULL: all that are not opt-in; else only those named. BLOCK (may be NULL) wins over ALLOW. Both
 * NULL-terminated and borrowed. A name that no command has is passed over, as by qemu-ga. Without a
 * call: as with NULL, NULL. To be called after the last register. */
void qga_dispatch_set_lists(QgaDispatch *dispatch, const char *const *allow,
                            const char *const *block);

/* Where commands go that nobody registered (borrowed; NULL, as at first: nowhere, they are not
 * found). To be called before sessions are made. */
void qga_dispatch_set_relay(QgaDispatch *dispatch, QgaRelay *relay);
/* DISPATCH may be NULL. */
QgaRelay *qga_dispatch_relay(const QgaDispatch *dispatch);
/* Whether the lists let NAME, which nobody registered, go there. */
gboolean qga_dispatch_may_relay(const QgaDispatch *dispatch, const char *name);

/* Whether NAME is a command, enabled or not. */
gboolean qga_dispatch_has(const QgaDispatch *dispatch, const char *name);

/* Runs COMMAND: looks it up, checks ARGUMENTS (NULL: none), calls the handler. CALL is answered in
 * any case, now or later. */
void qga_dispatch_run(QgaDispatch *dispatch, QgaCall *call, const char *command,
                      JsonObject *arguments);

/* The same whatever the lists say: they are about what a host may ask, for callers that are not
 * one. */
void qga_dispatch_run_unfiltered(QgaDispatch *dispatch, QgaCall *call, const char *command,
                                 JsonObject *arguments);

/* Calls FUNC once for every name: those of the schema in its order, then the aliases. */
typedef void (*QgaDispatchFunc)(const char *name, gboolean enabled, gboolean is_alias,
                                gpointer user_data);
void qga_dispatch_foreach(QgaDispatch *dispatch, QgaDispatchFunc func, gpointer user_data);
