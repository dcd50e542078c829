/*
 * memory-set-events and memory-set-target: what the host wants to hear, and what it wants to see.
 */
#include "front/agent-private.h"
#include "front/arguments.h"
#include "front/events.h"
#include "os/stall-watch.h"
#include "system/meminfo.h"
#include "system/pressure.h"

/* What one connection has asked for beside events as such. */
typedef struct {
    Agent *agent;
    QgaSession *session;
    StallWatch *watch;
} Subscription;

static void subscription_free(gpointer data)
{
    Subscription *subscription = data;

    stall_watch_free(subscription->watch);
    g_free(subscription);
}

static void on_stall(gpointer user_data)
{
    const Subscription *subscription = user_data;
    Agent *agent = subscription->agent;
    Figures figures = pieces_figures(agent->pieces, model_keeper_snapshot(agent->keeper));
    guint64 current_bytes = figures_current_bytes(&figures);
    PressureNews news = {.has_target = agent->target.is_set};
    Meminfo meminfo = {.available_bytes = 0};
    Stall stall = {0, 0};

    meminfo_read_spare(agent->io, (guint)agent->options->settings->use_swap, &meminfo, NULL);
    stall_read(agent->io, &stall);
    news.available_bytes = meminfo.available_bytes;
    news.some_avg10 = stall.some_avg10;
    news.full_avg10 = stall.full_avg10;
    if (agent->target.bytes > current_bytes)
        news.below_target_bytes = agent->target.bytes - current_bytes;
    events_send_pressure(&agent->listeners, subscription->session, &news);
}

/* The trigger that PRESSURE asks for. */
static Subscription *subscribe(Agent *agent, QgaSession *session, JsonObject *pressure,
                               GError **error)
{
    guint64 stall_ms, window_ms;

    if (!arguments_uint(pressure, "window-ms", STALL_WINDOW_MIN_MS, STALL_WINDOW_MAX_MS, 0,
                        &window_ms, error) ||
        !arguments_uint(pressure, "stall-ms", 1, window_ms, 0, &stall_ms, error))
        return NULL;
    Subscription *subscription = g_new(Subscription, 1);
    *subscription = (Subscription){.agent = agent, .session = session};
    subscription->watch = stall_watch_new(agent->io, (guint)stall_ms, (guint)window_ms, on_stall,
                                          subscription, error);
    if (!subscription->watch)
        g_clear_pointer(&subscription, g_free);
    return subscription;
}

static void set_events(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    QgaSession *session = qga_call_session(call);
    gboolean enabled = json_object_get_boolean_member(arguments, "enabled");
    Subscription *subscription = NULL;
    g_autoptr(GError) error = NULL;

    if (!session) {
        qga_call_fail(call, QGA_CLASS_GENERIC, "events can be turned on for a channel only");
        return;
    }
    if (enabled && json_object_has_member(arguments, "pressure")) {
        subscription = subscribe(user_data, session,
                                 json_object_get_object_member(arguments, "pressure"), &error);
        if (!subscription) {
            qga_call_fail_error(call, error);
            return;
        }
    }
    qga_session_set_events(session, enabled);
    if (subscription)
        qga_session_keep_for_events(session, subscription, subscription_free);
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
