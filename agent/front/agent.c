/*
 * The agent's life: what is made in which order, and taken apart in the reverse.
 */
#include "front/agent.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>

#include "front/agent-private.h"
#include "front/events.h"
#include "front/status-line.h"
#include "os/log.h"
#include "qga-protocol/errors.h"

#define JOB_LINES_MAX 200 /* in a window of log_budget_take()'s */

#define BOOT_ID_PATH "proc/sys/kernel/random/boot_id"

/* A stop ends where no block came back from one look to the next. The service manager waits longer,
 * each time (TimeoutStopSec= of the unit). */
#define STOP_LOOK_S 10
#define STOP_EXTEND_S 30

static void on_pieces_changed(gpointer user_data)
{
    Agent *agent = user_data;

    agent_update_target(agent);
    bus_service_queue_update(agent->bus_service);
}

static void on_model_change(const ModelChange *change, gpointer user_data)
{
    Agent *agent = user_data;

    events_send_change(&agent->listeners, change);
    agent_update_target(agent);
    /* The jobs first: they know which of the blocks are theirs. */
    unplugger_on_change(agent->unplugger, change);
    onliner_on_change(agent->onliner, change);
    if (change->n_touched > 0) {
        agent->has_moved = TRUE;
        bus_service_queue_update(agent->bus_service);
        status_line_queue_update(agent);
    }
}

static void log_reasons(Agent *agent, const UnplugJob *job)
{
    for (guint i = 0; i < job->reasons->len; i++) {
        const Reason *reason = job->reasons->pdata[i];
        LogSubject subject = {.job = job->id, .device = reason->device, .block = reason->block};

        if (log_budget_take(&agent->job_lines, JOB_LINES_MAX, "jobs"))
            log_event(LOG_JOB_REASON, G_LOG_LEVEL_MESSAGE, &subject,
                      "job %" G_GUINT64_FORMAT ": %s: %s", job->id, reason_code_name(reason->code),
                      reason->desc);
    }
}

/* After the event of the job's own, so that who hears of the end can ask what it was. */
static void tell_applications(Agent *agent, const UnplugJob *job, JobState state)
{
    if (unplug_job_begins(job, state))
        bus_service_prepare_for_unplug(agent->bus_service, TRUE, job->id,
                                       job->blocks->len * job->block_size_bytes);
    else if (job_state_is_ended(state) && unplug_job_had_begun(job))
        bus_service_prepare_for_unplug(agent->bus_service, FALSE, job->id,
                                       unplug_job_gone_bytes(job));
}

static void on_job_changed(const UnplugJob *job, JobState state, gpointer user_data)
{
    Agent *agent = user_data;

    events_send_job(&agent->listeners, job, state);
    tell_applications(agent, job, state);
    bus_service_queue_update(agent->bus_service);
    status_line_queue_update(agent);
    if (log_budget_take(&agent->job_lines, JOB_LINES_MAX, "jobs"))
        log_event(LOG_JOB_STATE, G_LOG_LEVEL_MESSAGE, &(LogSubject){.job = job->id, .block = -1},
                  "job %" G_GUINT64_FORMAT ": %s", job->id, job_state_name(state));
    if (!job_state_is_ended(state))
        return;
    onliner_review(agent->onliner);
    log_reasons(agent, job);
}

static GArray *plan_blocks(const guint32 *indices, guint n, gpointer user_data)
{
    return onliner_plan(((Agent *)user_data)->onliner, indices, n);
}

static void make_dispatch(Agent *agent)
{
    const Settings *settings = agent->options->settings;

    agent->dispatch = qga_dispatch_new(&memplug_schema);
    agent->basic_commands = qga_basic_commands_register(agent->dispatch, MEMPLUG_VERSION);
    commands_guest_register(agent->dispatch, agent);
    commands_events_register(agent->dispatch, agent);
    commands_map_register(agent->dispatch, agent);
    commands_report_register(agent->dispatch, agent);
    commands_policy_register(agent->dispatch, agent);
    commands_unplug_register(agent->dispatch, agent);
    commands_plan_register(agent->dispatch, agent);
    if (settings->upstream) {
        agent->upstream = upstream_new(settings->upstream);
        qga_dispatch_set_relay(agent->dispatch, upstream_relay(agent->upstream));
    }
    /* Proxmox sends names that begin with guest- and no other. */
    qga_dispatch_add_aliases(agent->dispatch, "guest-", "memory-");
    qga_dispatch_set_lists(agent->dispatch, (const char *const *)settings->allow_rpcs,
                           (const char *const *)settings->block_rpcs);
}

/* Such a name may come from a list that was made for qemu-ga, so it does not stop the daemon. */
static void warn_unknown(const Agent *agent, const char *key, char *const *names)
{
    /* With a relay it may be a command of the agent behind it. */
    for (; names && *names && !agent->upstream; names++) {
        if (!qga_dispatch_has(agent->dispatch, *names))
            g_warning("%s: there is no command '%.*s'; the name is ignored", key,
                      (int)qga_error_clip(*names, QGA_ERROR_NAME_MAX_BYTES), *names);
    }
}

static void warn_unknown_rpcs(const Agent *agent)
{
    warn_unknown(agent, "allow-rpcs", agent->options->settings->allow_rpcs);
    warn_unknown(agent, "block-rpcs", agent->options->settings->block_rpcs);
}

static gboolean open_world(Agent *agent, GError **error)
{
    const Options *options = agent->options;
    char line[64] = "";

    agent->io = attr_io_open(options->sysroot ? options->sysroot : "/",
                             options->sysroot ? ATTR_READ_ONLY : ATTR_READ_WRITE, error);
    if (!agent->io)
        return FALSE;
    /* Without it files of another boot could be taken for this one's. */
    gssize n = attr_read_line(agent->io, BOOT_ID_PATH, line, sizeof line);
    if (n < 0 && !(options->sysroot && n == -ENOENT)) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno((int)-n), "cannot read /%s: %s",
                    BOOT_ID_PATH, g_strerror((int)-n));
        return FALSE;
    }
    agent->boot_id = g_strdup(line);
    agent->state_dir = state_dir_open(options->state_dir, error);
    return agent->state_dir != NULL;
}

/* A BlockOwnedFunc: whether a job that has not ended has this block, offline or not. */
static gboolean is_owned(guint32 index, guint64 inode, gpointer user_data)
{
    return unplug_machine_owner(unplugger_machine(user_data), index, inode) != NULL;
}

static gboolean make_parts(Agent *agent, GError **error)
{
    const Options *options = agent->options;
    const Settings *settings = options->settings;

    agent->executor = executor_new(agent->io);
    agent->pieces = pieces_new(agent->io, on_pieces_changed, agent);
    agent->keeper =
        model_keeper_new(agent->io, options->sysroot ? 0 : (guint)options->uevent_buffer_bytes,
                         on_model_change, agent, error);
    if (!agent->keeper)
        return FALSE;
    UnpluggerConfig config = {.io = agent->io,
                              .keeper = agent->keeper,
                              .executor = agent->executor,
                              .state_dir = options->state_dir,
                              .boot_id = agent->boot_id,
                              .timeout_ms = settings->timeout_ms,
                              .reserve_bytes = settings->reserve_bytes,
                              .swap_percent = (guint)settings->use_swap,
                              .application_delay_ms = settings->application_delay_ms,
                              .gate = settings->unplug_gate && !options->sysroot};
    agent->unplugger = unplugger_new(&config, on_job_changed, agent);
    OnlinerConfig onliner = {.io = agent->io,
                             .keeper = agent->keeper,
                             .executor = agent->executor,
                             .state_dir = options->state_dir,
                             .boot_id = agent->boot_id,
                             .online = settings->online,
                             .reserve_bytes = settings->reserve_bytes,
                             .swap_percent = (guint)settings->use_swap,
                             .adopt_existing = settings->adopt_existing,
                             .is_live = options->sysroot == NULL,
                             .is_last = options->undo,
                             .is_held = unplugger_is_held,
                             .is_owned = is_owned,
                             .user_data = agent->unplugger};
    agent->onliner = onliner_new(&onliner);
    agent->block_requests = block_requests_new(agent->io, agent->keeper, agent->executor,
                                               agent->unplugger, plan_blocks, agent);
    return TRUE;
}

static void on_port_change(gpointer user_data)
{
    Agent *agent = user_data;

    bus_service_queue_update(agent->bus_service);
    status_line_queue_update(agent);
}

static gboolean open_channel(Agent *agent, GError **error)
{
    const Settings *settings = agent->options->settings;
    const char *path = settings_channel_path(settings);
    GError *wrong = NULL;

    /* What the service manager listens on goes first, as qemu-ga has it. */
    agent->channel = channel_new_inherited(agent->dispatch, &wrong);
    if (wrong) {
        g_propagate_error(error, wrong);
        return FALSE;
    }
    if (agent->channel)
        return TRUE;
    if (settings->method == METHOD_UNIX_LISTEN)
        agent->channel = channel_new_listener(path, agent->dispatch, error);
    else if (settings->method == METHOD_VSOCK_LISTEN)
        agent->channel = channel_new_vsock(path, agent->dispatch, error);
    else
        agent->channel = channel_new_port(path, settings->method == METHOD_ISA_SERIAL,
                                          agent->dispatch, on_port_change, agent);
    return agent->channel != NULL;
}

/* Not before: until the kernel's settings are right, udev's rule must beat the distribution's. */
static void on_onliner_started(gpointer user_data)
{
    Agent *agent = user_data;

    if (!agent->on_stopped)
        state_dir_set_active(agent->state_dir, TRUE);
}

Agent *agent_new(Options *options, GError **error)
{
    Agent *agent = g_new0(Agent, 1);

    agent->options = options;
    agent->start_usec = g_get_real_time();
    /* Nothing is said over the channel before the loop runs; but without one there is no daemon,
     * and then none may be begun. */
    make_dispatch(agent);
    if (!open_world(agent, error) || !make_parts(agent, error) || !open_channel(agent, error)) {
        agent_free(agent);
        return NULL;
    }
    warn_unknown_rpcs(agent);
    /* What an earlier daemon left goes before anything new: its blocks are not to be adopted. */
    unplugger_resume(agent->unplugger);
    onliner_start(agent->onliner, on_onliner_started, agent);
    agent->bus_service = bus_service_new(agent);
    agent->listeners = (EventListeners){.channel = agent->channel, .bus = agent->bus_service};
    agent->service = service_new();
    agent->is_up = TRUE;
    g_autofree char *line = status_line(agent);
    log_event(LOG_STARTED, G_LOG_LEVEL_MESSAGE, NULL, "memplugd %s is up: %s", MEMPLUG_VERSION,
              line);
    service_ready(agent->service, line);
    return agent;
}

void agent_free(Agent *agent)
{
    if (!agent)
        return;
    g_clear_handle_id(&agent->status_idle, g_source_remove);
    g_clear_handle_id(&agent->stop_look, g_source_remove);
    service_free(agent->service);
    bus_service_free(agent->bus_service);
    channel_free(agent->channel);
    executor_free(agent->executor);
    block_requests_free(agent->block_requests);
    onliner_free(agent->onliner);
    pieces_free(agent->pieces);
    unplugger_free(agent->unplugger);
    model_keeper_free(agent->keeper);
    upstream_free(agent->upstream);
    qga_dispatch_free(agent->dispatch);
    qga_basic_commands_free(agent->basic_commands);
    attr_io_free(agent->io);
    state_dir_close(agent->state_dir);
    g_free(agent->boot_id);
    g_free(agent);
}

static void on_onliner_stopped(gpointer user_data)
{
    Agent *agent = user_data;

    agent->on_stopped(TRUE, agent->on_stopped_data);
}

static void on_unplugger_stopped(gpointer user_data)
{
    Agent *agent = user_data;

    onliner_stop(agent->onliner, on_onliner_stopped, agent);
}

/* A stop takes as long as blocks come back. */
static gboolean on_stop_look(gpointer user_data)
{
    Agent *agent = user_data;

    if (agent->has_moved) {
        agent->has_moved = FALSE;
        service_extend(agent->service, STOP_EXTEND_S);
        return G_SOURCE_CONTINUE;
    }
    agent->stop_look = 0;
    g_warning(
        "no block came back for %d s: memplugd ends, and its next start goes on with the rest",
        STOP_LOOK_S);
    agent->on_stopped(FALSE, agent->on_stopped_data);
    return G_SOURCE_REMOVE;
}

/* The rule is on its own from here on; where no daemon will be installed any more there is none. */
static void decide_rule(const Agent *agent)
{
    const Options *options = agent->options;
    g_autoptr(GError) error = NULL;
    OnlinePolicy policy = onliner_config(agent->onliner)->policy;

    if (!state_dir_decide_rule(options->state_dir,
                               !options->undo && !options->sysroot &&
                                   settings_let_rule_online(options->settings, policy),
                               &error))
        g_warning("udev's rule does as it did before: %s", error->message);
}

void agent_stop(Agent *agent, AgentStoppedFunc func, gpointer user_data)
{
    agent->is_up = FALSE;
    service_stopping(agent->service);
    agent->on_stopped = func;
    agent->on_stopped_data = user_data;
    decide_rule(agent);
    state_dir_set_active(agent->state_dir, FALSE);
    agent->has_moved = FALSE;
    agent->stop_look = g_timeout_add_seconds(STOP_LOOK_S, on_stop_look, agent);
    unplugger_stop(agent->unplugger, on_unplugger_stopped, agent);
}

static void say_not_live(const char *group, const char *key, gboolean is_live,
                         G_GNUC_UNUSED gpointer user_data)
{
    if (!is_live)
        g_message("[%s] %s: the change takes effect at the next start", group, key);
}

static void take_settings(Agent *agent, Settings *loaded)
{
    /* In place: whoever has the pointer sees the new ones. What is not live stays as it is in
     * force.
     */
    Settings *now = agent->options->settings;

    settings_compare(now, loaded, say_not_live, NULL);
    settings_swap_live(now, loaded);
    qga_dispatch_set_lists(agent->dispatch, (const char *const *)now->allow_rpcs,
                           (const char *const *)now->block_rpcs);
    warn_unknown_rpcs(agent);
    unplugger_set_limits(agent->unplugger, now->timeout_ms, now->reserve_bytes,
                         (guint)now->use_swap);
    onliner_set_reserve(agent->onliner, now->reserve_bytes, (guint)now->use_swap);
    unplugger_set_application_delay(agent->unplugger, now->application_delay_ms);
    onliner_set_config(agent->onliner, &now->online);
}

void agent_reload(Agent *agent)
{
    g_autoptr(GError) error = NULL;

    service_reloading(agent->service);
    g_autoptr(Settings) loaded = options_load_settings(agent->options, &error);
    if (loaded)
        take_settings(agent, loaded);
    if (loaded)
        log_event(LOG_RELOADED, G_LOG_LEVEL_MESSAGE, NULL, "settings loaded anew");
    else
        log_event(LOG_RELOAD_FAILED, G_LOG_LEVEL_WARNING, NULL,
                  "the settings stay as they were: %s", error->message);
    bus_service_queue_update(agent->bus_service);
    g_autofree char *line = status_line(agent);
    if (error) {
        g_autofree char *with_error = g_strdup_printf("settings not loaded: %s", error->message);
        service_ready(agent->service, with_error);
    } else {
        service_ready(agent->service, line);
    }
}

static void append_rpc(const char *name, gboolean enabled, G_GNUC_UNUSED gboolean is_alias,
                       gpointer user_data)
{
    GString *text = user_data;

    g_string_append_printf(text, "%s%s\n", name, enabled ? "" : " (blocked)");
}

char *agent_list_rpcs(Options *options)
{
    Agent *agent = g_new0(Agent, 1);
    GString *text = g_string_new(NULL);

    agent->options = options;
    make_dispatch(agent);
    qga_dispatch_foreach(agent->dispatch, append_rpc, text);
    agent_free(agent);
    return g_string_free(text, FALSE);
}
