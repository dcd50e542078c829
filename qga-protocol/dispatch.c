/*
 * The command table. A command that is blocked and one that does not exist are the same class of
 * error, as in qemu-ga (qapi/qmp-dispatch.c): a client can tell them apart by the text only.
 */
#include "qga-protocol/dispatch.h"

#include <string.h>

typedef struct {
    const QgaCommand *schema;
    QgaHandler handler;
    gpointer user_data;
    gboolean enabled;
} Command;

struct QgaDispatch {
    const QgaSchema *schema;
    GHashTable *commands; /* name (the schema's) -> Command */
};

QgaDispatch *qga_dispatch_new(const QgaSchema *schema)
{
    QgaDispatch *dispatch = g_new0(QgaDispatch, 1);

    dispatch->schema = schema;
    dispatch->commands = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    return dispatch;
}

void qga_dispatch_free(QgaDispatch *dispatch)
{
    if (dispatch == NULL)
        return;
    g_hash_table_unref(dispatch->commands);
    g_free(dispatch);
}

void qga_dispatch_register(QgaDispatch *dispatch, const char *name, QgaHandler handler,
                           gpointer user_data)
{
    Command *command = g_new0(Command, 1);

    command->schema = qga_schema_find(dispatch->schema, name);
    g_assert(command->schema != NULL);
    g_assert(!g_hash_table_contains(dispatch->commands, name));
    command->handler = handler;
    command->user_data = user_data;
    command->enabled = !command->schema->is_opt_in;
    g_hash_table_insert(dispatch->commands, (gpointer)command->schema->name, command);
}

gboolean qga_dispatch_has(const QgaDispatch *dispatch, const char *name)
{
    return g_hash_table_contains(dispatch->commands, name);
}

void qga_dispatch_set_lists(QgaDispatch *dispatch, const char *const *allow,
                            const char *const *block)
{
    GHashTableIter iter;
    gpointer name;
    gpointer value;

    g_hash_table_iter_init(&iter, dispatch->commands);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        Command *command = value;

        if (allow != NULL)
            command->enabled = g_strv_contains(allow, name);
        else
            command->enabled = !command->schema->is_opt_in;
        if (block != NULL && g_strv_contains(block, name))
            command->enabled = FALSE;
    }
}

static void run(QgaDispatch *dispatch, QgaCall *call, const char *command, JsonObject *arguments,
                gboolean filtered)
{
    Command *found = g_hash_table_lookup(dispatch->commands, command);
    JsonObject *given = arguments != NULL ? json_object_ref(arguments) : json_object_new();
    GError *error = NULL;

    if (found == NULL) {
        qga_call_fail(call, QGA_CLASS_COMMAND_NOT_FOUND, "The command %.*s has not been found",
                      (int)qga_error_clip(command, QGA_ERROR_NAME_MAX_BYTES), command);
    } else if (filtered && !found->enabled) {
        qga_call_fail(call, QGA_CLASS_COMMAND_NOT_FOUND, "Command %s has been disabled", command);
    } else if (!qga_schema_check(found->schema, given, &error)) {
        qga_call_fail_error(call, error);
        g_error_free(error);
    } else {
        found->handler(call, given, found->user_data);
    }
    json_object_unref(given);
}

void qga_dispatch_run(QgaDispatch *dispatch, QgaCall *call, const char *command,
                      JsonObject *arguments)
{
    run(dispatch, call, command, arguments, TRUE);
}

void qga_dispatch_run_unfiltered(QgaDispatch *dispatch, QgaCall *call, const char *command,
                                 JsonObject *arguments)
{
    run(dispatch, call, command, arguments, FALSE);
}

void qga_dispatch_foreach(QgaDispatch *dispatch, QgaDispatchFunc func, gpointer user_data)
{
    for (const QgaCommand *entry = dispatch->schema->commands; entry->name != NULL; entry++) {
        const Command *command = g_hash_table_lookup(dispatch->commands, entry->name);

        if (command != NULL)
            func(entry->name, command->enabled, user_data);
    }
}
