/*
 * The asking side of a QgaCall that is no session's. The answer is collected whole: D-Bus sends a
 * message as one piece in any case.
 */
#include "front/bus-command.h"

#include <string.h>

typedef struct {
    GHashTable *commands; /* that it is in */
    QgaCall *call;
    QgaOutQueue *queue;
    QgaWriter writer;
    BusAnswerFunc func;
    gpointer user_data;
    GDestroyNotify free_func;
} Command;

static void command_free(gpointer data)
{
    Command *command = data;

    qga_call_orphan(command->call);
    qga_call_unref(command->call);
    qga_out_queue_free(command->queue);
    if (command->free_func)
        command->free_func(command->user_data);
    g_free(command);
}

static QgaWriter *begin_return(G_GNUC_UNUSED QgaCall *call, gpointer owner)
{
    Command *command = owner;

    qga_writer_init(&command->writer, command->queue);
    return &command->writer;
}

static void answer_with(Command *command, const BusAnswer *answer)
{
    command->func(answer, command->user_data);
    g_hash_table_remove(command->commands, command);
}

static void end_return(G_GNUC_UNUSED QgaCall *call, gpointer owner)
{
    Command *command = owner;
    g_autoptr(GString) text = g_string_sized_new(qga_out_queue_size(command->queue) + 1);
    const guint8 *bytes;
    gsize n;

    while ((n = qga_out_queue_peek(command->queue, &bytes)) > 0) {
        g_string_append_len(text, (const char *)bytes, (gssize)n);
        qga_out_queue_consume(command->queue, n);
    }
    answer_with(command, &(BusAnswer){.json = text->str, .n_bytes = text->len});
}

static void fail(G_GNUC_UNUSED QgaCall *call, gpointer owner, QgaErrorClass error_class,
                 const char *desc, G_GNUC_UNUSED gboolean begun)
{
    answer_with(owner, &(BusAnswer){.error_class = error_class, .desc = desc});
}

static const QgaCallSink command_sink = {begin_return, end_return, fail};

GHashTable *bus_commands_new(void)
{
    return g_hash_table_new_full(NULL, NULL, command_free, NULL);
}

void bus_command_run(GHashTable *commands, QgaDispatch *dispatch, const char *name,
                     JsonObject *arguments, BusAnswerFunc func, gpointer user_data,
                     GDestroyNotify free_func)
{
    Command *command = g_new0(Command, 1);

    command->commands = commands;
    command->queue = qga_out_queue_new();
    command->func = func;
    command->user_data = user_data;
    command->free_func = free_func;
    command->call = qga_call_new(&command_sink, command, NULL);
    g_hash_table_add(commands, command);
    qga_dispatch_run_unfiltered(dispatch, command->call, name, arguments);
}
