/*
 * The command table. A command that is blocked and one that does not exist are the same class of
 * error, as in qemu-ga (qapi/qmp-dispatch.c): a client can tell them apart by the text only.
 */
#include "qga-protocol/dispatch.h"

#include <string.h>

typedef struct {
    const QgaCommand *schema;
    char *alias; /* NULL: none */
    QgaHandler handler;
    gpointer user_data;
    gboolean enabled;
} Command;

struct QgaDispatch {
    const QgaSchema *schema;
    GHashTable *commands;  /* name (the schema's) -> Command */
    GHashTable *aliases;   /* alias -> Command of COMMANDS */
    char **allow, **block; /* as they were set */
    QgaRelay *relay;
};

static void command_free(gpointer data)
{
    Command *command = data;

    g_free(command->alias);
    g_free(command);
}

QgaDispatch *qga_dispatch_new(const QgaSchema *schema)
{
    QgaDispatch *dispatch = g_new0(QgaDispatch, 1);

    dispatch->schema = schema;
    dispatch->commands = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, command_free);
    dispatch->aliases = g_hash_table_new(g_str_hash, g_str_equal);
    return dispatch;
}

void qga_dispatch_free(QgaDispatch *dispatch)
{
    if (dispatch == NULL)
        return;
    g_strfreev(dispatch->allow);
    g_strfreev(dispatch->block);
    g_hash_table_unref(dispatch->aliases);
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

static Command *find(const QgaDispatch *dispatch, const char *name)
{
    Command *command = g_hash_table_lookup(dispatch->commands, name);

    return command != NULL ? command : g_hash_table_lookup(dispatch->aliases, name);
}

void qga_dispatch_add_aliases(QgaDispatch *dispatch, const char *prefix, const char *beginning)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, dispatch->commands);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Command *command = value;

        if (command->alias != NULL || !g_str_has_prefix(command->schema->name, beginning))
            continue;
        command->alias = g_strconcat(prefix, command->schema->name, NULL);
        g_assert(find(dispatch, command->alias) == NULL);
        g_hash_table_insert(dispatch->aliases, command->alias, command);
    }
}

gboolean qga_dispatch_has(const QgaDispatch *dispatch, const char *name)
{
    return find(dispatch, name) != NULL;
}

/* Whether LIST names COMMAND, by either name. */
static gboolean is_listed(const Command *command, const char *const *list)
{
    return g_strv_contains(list, command->schema->name) ||
           (command->alias != NULL && g_strv_contains(list, command->alias));
}

void qga_dispatch_set_lists(QgaDispatch *dispatch, const char *const *allow,
                            const char *const *block)
{
    GHashTableIter iter;
    gpointer value;

    g_strfreev(dispatch->allow);
    dispatch->allow = g_strdupv((char **)allow);
    g_strfreev(dispatch->block);
    dispatch->block = g_strdupv((char **)block);
    g_hash_table_iter_init(&iter, dispatch->commands);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Command *command = value;

        if (allow != NULL)
            command->enabled = is_listed(command, allow);
        else
            command->enabled = !command->schema->is_opt_in;
        if (block != NULL && is_listed(command, block))
            command->enabled = FALSE;
    }
}

void qga_dispatch_set_relay(QgaDispatch *dispatch, QgaRelay *relay)
{
    dispatch->relay = relay;
}

QgaRelay *qga_dispatch_relay(const QgaDispatch *dispatch)
{
    return dispatch != NULL ? dispatch->relay : NULL;
}

gboolean qga_dispatch_may_relay(const QgaDispatch *dispatch, const char *name)
{
    return (dispatch->allow == NULL ||
            g_strv_contains((const char *const *)dispatch->allow, name)) &&
           (dispatch->block == NULL ||
            !g_strv_contains((const char *const *)dispatch->block, name));
}

static void run(QgaDispatch *dispatch, QgaCall *call, const char *command, JsonObject *arguments,
                gboolean filtered)
{
    const Command *found = find(dispatch, command);
    JsonObject *given = arguments != NULL ? json_object_ref(arguments) : json_object_new();
    GError *error = NULL;

    if (found == NULL) {
        qga_call_fail(call, QGA_CLASS_COMMAND_NOT_FOUND, "The command %.*s has not been found",
                      (int)qga_error_clip(command, QGA_ERROR_NAME_MAX_BYTES), command);
    } else if (filtered && !found->enabled) {
        qga_call_fail(call, QGA_CLASS_COMMAND_NOT_FOUND,
                      "Command %s has been disabled: the command is not allowed", command);
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
    for (guint pass = 0; pass < 2; pass++) {
        for (const QgaCommand *entry = dispatch->schema->commands; entry->name != NULL; entry++) {
            const Command *command = g_hash_table_lookup(dispatch->commands, entry->name);

            if (command != NULL && pass == 0)
                func(entry->name, command->enabled, FALSE, user_data);
            else if (command != NULL && command->alias != NULL)
                func(command->alias, command->enabled, TRUE, user_data);
        }
    }
}
