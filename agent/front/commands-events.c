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

/* With virtio-mem to its piece; else a host may ask for what no whole blocks make. */
static guint64 target_tolerance_bytes(const Agent *agent, const Figures *figures)
{
    return pieces_is_known(agent->pieces) ? FIGURES_GRAIN_BYTES + figures->hole_bytes
                                          : model_keeper_snapshot(agent->keeper)->block_size_bytes;
}

void agent_update_target(Agent *agent)
{
    Snapshot *snapshot = model_keeper_snapshot(agent->keeper);

    if (!agent->target.is_set || agent->target.is_reached)
        return;
    Figures figures = pieces_figures(agent->pieces, snapshot);
    if (target_update(&agent->target, figures_current_bytes(&figures),
                      target_tolerance_bytes(agent, &figures)))
        events_send_target(&agent->listeners, &agent->target);
    pieces_watch(agent->pieces, !agent->target.is_reached, snapshot);
}

static void set_target(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    Agent *agent = user_data;
    gint64 bytes = json_object_get_int_member(arguments, "bytes");

    /* What came before the question does not count as reaching its target. */
    model_keeper_catch_up_for_answer(agent->keeper);
    target_set(&agent->target, (guint64)bytes);
    bus_service_queue_update(agent->bus_service);
    qga_call_return_empty(call);
    agent_update_target(agent);
}

void commands_events_register(QgaDispatch *dispatch, Agent *agent)
{
    qga_dispatch_register(dispatch, "memory-set-events", set_events, agent);
    qga_dispatch_register(dispatch, "memory-set-target", set_target, agent);
}
