/*
 * memory-set-events and memory-set-target: what the host wants to hear, and what it wants to see.
 */
#include "front/agent-private.h"
#include "front/events.h"

static void set_events(QgaCall *call, JsonObject *arguments, G_GNUC_UNUSED gpointer user_data)
{
    QgaSession *session = qga_call_session(call);

    if (!session) {
        qga_call_fail(call, QGA_CLASS_GENERIC, "events can be turned on for a channel only");
        return;
    }
    qga_session_set_events(session, json_object_get_boolean_member(arguments, "enabled"));
    qga_call_return_empty(call);
}

static void set_target(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    Agent *agent = user_data;
    gint64 bytes = json_object_get_int_member(arguments, "bytes");

    /* What came before the question does not count as reaching its target. */
    const Snapshot *snapshot = model_keeper_sync_for_answer(agent->keeper);
    target_set(&agent->target, (guint64)bytes);
    bus_service_queue_update(agent->bus_service);
    qga_call_return_empty(call);
    events_update_target(&agent->listeners, &agent->target, agent->io, snapshot);
}

void commands_events_register(QgaDispatch *dispatch, Agent *agent)
{
    qga_dispatch_register(dispatch, "memory-set-events", set_events, agent);
    qga_dispatch_register(dispatch, "memory-set-target", set_target, agent);
}
