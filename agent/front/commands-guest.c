/*
 * guest-get-memory-blocks, guest-set-memory-blocks, guest-get-memory-block-info: QGA's own,
 * answered from the model (qga/commands-posix.c in QEMU is what clients know).
 */
#include <errno.h>

#include "front/agent-private.h"

/* One request's blocks: sysfs has no more than this many on any machine. */
#define SET_MAX 65536

/* Its zone decides: `removable` says yes for every block on modern kernels. */
static gboolean can_offline(const Snapshot *snapshot, const Block *block)
{
    const Device *device = snapshot_block_device(snapshot, block);

    if (device && device->kind == DEVICE_OTHER)
        return FALSE; /* guest-set-memory-blocks leaves it alone */
    return block->state == BLOCK_STATE_ONLINE ? block->zone == ZONE_MOVABLE : block->can_be_movable;
}

static void get_blocks(QgaCall *call, G_GNUC_UNUSED JsonObject *arguments, gpointer user_data)
{
    const Snapshot *snapshot = model_keeper_catch_up_for_answer(((Agent *)user_data)->keeper);

    /* qga/commands-linux.c: no such directory is an empty list. */
    if (snapshot->fault && snapshot->fault != ENOENT) {
        if (g_str_equal(snapshot->fault_path, BLOCK_DIR))
            qga_call_fail(call, QGA_CLASS_GENERIC, "Can't open directory \"/" BLOCK_DIR "/\": %s",
                          g_strerror(snapshot->fault));
        else
            qga_call_fail(call, QGA_CLASS_GENERIC, "cannot read /%s: %s", snapshot->fault_path,
                          g_strerror(snapshot->fault));
        return;
    }
    QgaWriter *writer = qga_call_begin_return(call);

    qga_writer_begin_array(writer);
    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];
        qga_writer_begin_object(writer);
        qga_writer_member_uint(writer, "phys-index", block->index);
        qga_writer_member_bool(writer, "online", block->state == BLOCK_STATE_ONLINE);
        qga_writer_member_bool(writer, "can-offline", can_offline(snapshot, block));
        qga_writer_end_object(writer);
    }
    qga_writer_end_array(writer);
    qga_call_end_return(call);
}

static const char *result_name(BlockSetResult result)
{
    switch (result) {
    case BLOCK_SET_SUCCESS:
        return "success";
    case BLOCK_SET_NOT_FOUND:
        return "not-found";
    case BLOCK_SET_FAILED:
        break;
    }
    return "operation-failed";
}

static void on_blocks_set(const BlockSetEntry *entries, guint n, gpointer user_data)
{
    QgaCall *call = user_data;
    QgaWriter *writer = qga_call_begin_return(call);

    qga_writer_begin_array(writer);
    for (guint i = 0; i < n; i++) {
        qga_writer_begin_object(writer);
        qga_writer_member_uint(writer, "phys-index", entries[i].phys_index);
        qga_writer_member_string(writer, "response", result_name(entries[i].result));
        if (entries[i].result != BLOCK_SET_SUCCESS)
            qga_writer_member_int(writer, "error-code", entries[i].error);
        qga_writer_end_object(writer);
    }
    qga_writer_end_array(writer);
    qga_call_end_return(call);
}

static void set_blocks(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    Agent *agent = user_data;
    JsonArray *wanted = json_object_get_array_member(arguments, "mem-blks");
    guint n = json_array_get_length(wanted);

    if (n > SET_MAX) {
        qga_call_fail(call, QGA_CLASS_GENERIC, "Parameter 'mem-blks' names more than %d blocks",
                      SET_MAX);
        return;
    }
    g_autofree BlockSetEntry *entries = g_new0(BlockSetEntry, MAX(n, 1));
    for (guint i = 0; i < n; i++) {
        JsonObject *object = json_array_get_object_element(wanted, i);
        entries[i].phys_index = (guint64)json_object_get_int_member(object, "phys-index");
        entries[i].online = json_object_get_boolean_member(object, "online");
    }
    model_keeper_catch_up_for_answer(agent->keeper);
    if (!block_requests_add(agent->block_requests, entries, n, on_blocks_set, call))
        qga_call_fail(call, QGA_CLASS_GENERIC, "Too many requests set memory blocks already");
}

static void get_block_info(QgaCall *call, G_GNUC_UNUSED JsonObject *arguments, gpointer user_data)
{
    const Agent *agent = user_data;
    const Snapshot *snapshot = model_keeper_snapshot(agent->keeper);

    if (snapshot->fault) {
        gboolean is_directory = g_str_equal(snapshot->fault_path, BLOCK_DIR);
        qga_call_fail(call, QGA_CLASS_GENERIC, "open(\"/%s%s\"): %s", snapshot->fault_path,
                      is_directory ? "/" : "", g_strerror(snapshot->fault));
        return;
    }
    QgaWriter *writer = qga_call_begin_return(call);
    qga_writer_begin_object(writer);
    qga_writer_member_uint(writer, "size", snapshot->block_size_bytes);
    qga_writer_end_object(writer);
    qga_call_end_return(call);
}

void commands_guest_register(QgaDispatch *dispatch, Agent *agent)
{
    qga_dispatch_register(dispatch, "guest-get-memory-blocks", get_blocks, agent);
    qga_dispatch_register(dispatch, "guest-set-memory-blocks", set_blocks, agent);
    qga_dispatch_register(dispatch, "guest-get-memory-block-info", get_block_info, agent);
}
