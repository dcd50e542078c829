/*
 * memory-get-map: all blocks, run-length, so that a guest of terabytes answers in a few lines.
 */
#include "front/agent-private.h"
#include "system/map.h"

static void get_map(QgaCall *call, G_GNUC_UNUSED JsonObject *arguments, gpointer user_data)
{
    const Snapshot *snapshot = model_keeper_catch_up_for_answer(((Agent *)user_data)->keeper);
    QgaWriter *writer = qga_call_begin_return(call);
    MapRun run;

    qga_writer_begin_array(writer);
    for (guint32 i = 0; map_run_at(snapshot, i, &run); i += run.block_count) {
        qga_writer_begin_object(writer);
        qga_writer_member_uint(writer, "first-block", run.first_block);
        qga_writer_member_uint(writer, "block-count", run.block_count);
        qga_writer_member_string(writer, "state", block_state_name(run.state));
        qga_writer_member_string(writer, "zone", zone_name(run.zone));
        qga_writer_member_int(writer, "node", run.node);
        qga_writer_member_string(writer, "device", run.device ? run.device->id : "");
        qga_writer_end_object(writer);
    }
    qga_writer_end_array(writer);
    qga_call_end_return(call);
}

void commands_map_register(QgaDispatch *dispatch, Agent *agent)
{
    qga_dispatch_register(dispatch, "memory-get-map", get_map, agent);
}
