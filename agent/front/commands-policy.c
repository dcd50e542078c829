/*
 * memory-get-policy and memory-set-policy: the online policy in force.
 */
#include "front/agent-private.h"
#include "front/arguments.h"

#define POLICY_LINES_MAX 20 /* in a window of log_budget_take()'s */

static void get_policy(QgaCall *call, G_GNUC_UNUSED JsonObject *arguments, gpointer user_data)
{
    const Agent *agent = user_data;
    const OnlineConfig *config = onliner_config(agent->onliner);
    QgaWriter *writer = qga_call_begin_return(call);

    qga_writer_begin_object(writer);
    qga_writer_member_string(writer, "policy", online_policy_name(config->policy));
    qga_writer_member_bool(writer, "rezone", config->rezone);
    qga_writer_member_uint(writer, "movable-ratio", config->movable_ratio);
    qga_writer_end_object(writer);
    qga_call_end_return(call);
}

/* All of it or nothing. */
static void set_policy(QgaCall *call, JsonObject *arguments, gpointer user_data)
{
    Agent *agent = user_data;
    OnlineConfig config = *onliner_config(agent->onliner);
    g_autoptr(GError) error = NULL;

    if (!arguments_uint(arguments, "movable-ratio", ONLINE_RATIO_MIN, ONLINE_RATIO_MAX,
                        config.movable_ratio, &config.movable_ratio, &error)) {
        qga_call_fail_error(call, error);
        return;
    }
    if (json_object_has_member(arguments, "policy"))
        online_policy_parse(json_object_get_string_member(arguments, "policy"), &config.policy);
    if (json_object_has_member(arguments, "rezone"))
        config.rezone = json_object_get_boolean_member(arguments, "rezone");
    if (agent->options->sysroot) {
        qga_call_fail(call, QGA_CLASS_GENERIC, "Nothing is changed below --sysroot");
        return;
    }
    if (log_budget_take(&agent->policy_lines, POLICY_LINES_MAX, "changes of the policy"))
        g_message("policy %s, rezone %s, movable-ratio %" G_GUINT64_FORMAT ", by a client's word",
                  online_policy_name(config.policy), config.rezone ? "yes" : "no",
                  config.movable_ratio);
    onliner_set_config(agent->onliner, &config);
    bus_service_queue_update(agent->bus_service);
    qga_call_return_empty(call);
}

void commands_policy_register(QgaDispatch *dispatch, Agent *agent)
{
    qga_dispatch_register(dispatch, "memory-get-policy", get_policy, agent);
    qga_dispatch_register(dispatch, "memory-set-policy", set_policy, agent);
}
