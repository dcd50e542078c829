/*
 * The asking side of a QgaCall that is no session's: what a handler writes goes straight into the
 * D-Bus reply.
 */
#include "front/bus-command.h"

#include "front/bus-service.h"
#include "qga-protocol/bus-value.h"

typedef struct {
    GHashTable *commands; /* that it is in */
    QgaCall *call;
    sd_bus_message *request;
    sd_bus_message *reply; /* that is being written, or NULL */
    QgaBusWriter writer;
} Command;

static void command_free(gpointer data)
{
    Command *command = data;

    qga_call_orphan(command->call);
    qga_call_unref(command->call);
    sd_bus_message_unref(command->reply);
    sd_bus_message_unref(command->request);
    g_free(command);
}

static QgaWriter *begin_return(G_GNUC_UNUSED QgaCall *call, gpointer owner)
{
    Command *command = owner;
    int r = sd_bus_message_new_method_return(command->request, &command->reply);
    QgaWriter *writer = qga_bus_writer_init(&command->writer, command->reply, FALSE);

    command->writer.result = MIN(r, 0);
    return writer;
}

static void end_return(G_GNUC_UNUSED QgaCall *call, gpointer owner)
{
    Command *command = owner;
    int r = qga_bus_writer_result(&command->writer);

    if (r >= 0)
        r = sd_bus_send(NULL, command->reply, NULL);
    if (r < 0)
        sd_bus_reply_method_errnof(command->request, r, "the answer cannot be sent: %s",
                                   g_strerror(-r));
    g_hash_table_remove(command->commands, command);
}

static void fail(G_GNUC_UNUSED QgaCall *call, gpointer owner, QgaErrorClass error_class,
                 const char *desc, G_GNUC_UNUSED gboolean begun)
{
    Command *command = owner;
    g_autofree char *name = g_strconcat(BUS_ERROR_PREFIX, qga_error_class_name(error_class), NULL);

    sd_bus_reply_method_errorf(command->request, name, "%s", desc);
    g_hash_table_remove(command->commands, command);
}

static const QgaCallSink command_sink = {begin_return, end_return, fail};

GHashTable *bus_commands_new(void)
{
    return g_hash_table_new_full(NULL, NULL, command_free, NULL);
}

void bus_command_run(GHashTable *commands, QgaDispatch *dispatch, const char *name,
                     JsonObject *arguments, sd_bus_message *request)
{
    Command *command = g_new0(Command, 1);

    command->commands = commands;
    command->request = sd_bus_message_ref(request);
    command->call = qga_call_new(&command_sink, command, NULL);
    g_hash_table_add(commands, command);
    qga_dispatch_run_unfiltered(dispatch, command->call, name, arguments);
}
