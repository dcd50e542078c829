/*
 * guest-sync, guest-sync-delimited, guest-ping, guest-info.
 */
#include "qga-protocol/basic-commands.h"

#include "qga-protocol/session.h"

struct QgaBasicCommands {
    QgaDispatch *dispatch;
    char *version;
};

static void return_id(QgaCall *call, JsonObject *arguments)
{
    gint64 id = json_object_get_int_member(arguments, "id");
    QgaWriter *writer = qga_call_begin_return(call);

    qga_writer_int(writer, id);
    qga_call_end_return(call);
}

static void handle_sync(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    QgaSession *session = qga_call_session(call);

    (void)user_data;
    if (session != NULL)
        qga_session_note_sync(session);
    return_id(call, arguments);
}

static void handle_sync_delimited(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    QgaSession *session = qga_call_session(call);

    (void)user_data;
    if (session != NULL) {
        qga_session_note_sync(session);
        qga_session_delimit(session);
    }
    return_id(call, arguments);
}

static void handle_ping(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    (void)arguments;
    (void)user_data;
    qga_call_return_empty(call);
}

static void write_command(const char *name, gboolean enabled, gboolean is_alias, gpointer user_data)
{
    QgaWriter *writer = user_data;

    (void)is_alias;
    qga_writer_begin_object(writer);
    qga_writer_member_bool(writer, "enabled", enabled);
    qga_writer_member_string(writer, "name", name);
    /* FALSE for QEMU's commands that answer on failure only, such as guest-shutdown: none here. */
    qga_writer_member_bool(writer, "success-response", TRUE);
    qga_writer_end_object(writer);
}

static void handle_info(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    const QgaBasicCommands *commands = user_data;
    QgaWriter *writer = qga_call_begin_return(call);

    (void)arguments;
    qga_writer_begin_object(writer);
    qga_writer_member_string(writer, "version", commands->version);
    qga_writer_member_array(writer, "supported_commands");
    qga_dispatch_foreach(commands->dispatch, write_command, writer);
    qga_writer_end_array(writer);
    qga_writer_end_object(writer);
    qga_call_end_return(call);
}

QgaBasicCommands *qga_basic_commands_register(QgaDispatch *dispatch, const char *version)
{
    QgaBasicCommands *commands = g_new0(QgaBasicCommands, 1);

    commands->dispatch = dispatch;
    commands->version = g_strdup(version);
    qga_dispatch_register(dispatch, "guest-sync", handle_sync, NULL);
    qga_dispatch_register(dispatch, "guest-sync-delimited", handle_sync_delimited, NULL);
    qga_dispatch_register(dispatch, "guest-ping", handle_ping, NULL);
    qga_dispatch_register(dispatch, "guest-info", handle_info, commands);
    return commands;
}

void qga_basic_commands_free(QgaBasicCommands *commands)
{
    if (commands == NULL)
        return;
    g_free(commands->version);
    g_free(commands);
}
