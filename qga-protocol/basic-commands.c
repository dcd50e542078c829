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

static void write_entry(QgaWriter *writer, const char *name, gboolean enabled, gboolean has_success)
{
    qga_writer_begin_object(writer);
    qga_writer_member_bool(writer, "enabled", enabled);
    qga_writer_member_string(writer, "name", name);
    /* FALSE for QEMU's commands that answer on failure only, such as guest-shutdown. */
    qga_writer_member_bool(writer, "success-response", has_success);
    qga_writer_end_object(writer);
}

static void write_command(const char *name, gboolean enabled, gboolean is_alias, gpointer user_data)
{
    (void)is_alias;
    write_entry(user_data, name, enabled, TRUE);
}

/* guest-info that is being asked. */
typedef struct {
    const QgaBasicCommands *commands;
    QgaCall *call;
    QgaWriter *writer;
} Info;

static void write_relayed(const char *name, gboolean enabled, gboolean has_success,
                          gpointer user_data)
{
    const Info *info = user_data;
    const QgaDispatch *dispatch = info->commands->dispatch;

    if (!qga_dispatch_has(dispatch, name))
        write_entry(info->writer, name, enabled && qga_dispatch_may_relay(dispatch, name),
                    has_success);
}

/* Ours, and behind them those of the agent behind the relay; the version is that agent's, which is
 * what hosts compare. */
static void return_info(Info *info)
{
    const QgaRelay *relay = qga_dispatch_relay(info->commands->dispatch);
    const char *version = relay != NULL ? qga_relay_version(relay) : NULL;
    QgaWriter *writer = info->writer = qga_call_begin_return(info->call);

    qga_writer_begin_object(writer);
    qga_writer_member_string(writer, "version",
                             version != NULL ? version : info->commands->version);
    qga_writer_member_array(writer, "supported_commands");
    qga_dispatch_foreach(info->commands->dispatch, write_command, writer);
    if (relay != NULL)
        qga_relay_info(relay, write_relayed, info);
    qga_writer_end_array(writer);
    qga_writer_end_object(writer);
    qga_call_end_return(info->call);
}

static void on_info_known(QgaTicketEnd end, const char *desc, gpointer user_data)
{
    Info *info = user_data;

    (void)end;
    (void)desc;
    return_info(info);
    g_free(info);
}

static void handle_info(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    static const QgaTicketSink sink = {.end = on_info_known};
    QgaRelay *relay;
    Info *info = g_new0(Info, 1);

    (void)arguments;
    info->commands = user_data;
    info->call = call;
    relay = qga_dispatch_relay(info->commands->dispatch);
    if (relay == NULL || qga_relay_want_info(relay, &sink, info) == NULL)
        on_info_known(QGA_TICKET_SILENT, NULL, info);
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
