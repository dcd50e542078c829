/*
 * The agent's parts, for the files that implement commands and for agent.c.
 */
#pragma once

#include "decide/target.h"
#include "engine/block-requests.h"
#include "engine/model-keeper.h"
#include "engine/onliner.h"
#include "engine/pieces.h"
#include "engine/unplugger.h"
#include "front/agent.h"
#include "front/bus-service.h"
#include "front/events.h"
#include "os/channel.h"
#include "os/executor.h"
#include "os/log.h"
#include "os/service.h"
#include "os/state-dir.h"
#include "os/upstream.h"
#include "qga-protocol/basic-commands.h"
#include "qga-protocol/dispatch.h"
#include "system/attr.h"

struct Agent {
    Options *options;
    AttrIo *io;
    StateDir *state_dir;
    char *boot_id;
    gint64 start_usec; /* wall clock */
    Executor *executor;
    ModelKeeper *keeper;
    Onliner *onliner;
    Pieces *pieces;
    Unplugger *unplugger;
    BlockRequests *block_requests;
    QgaDispatch *dispatch;
    Upstream *upstream; /* NULL: no agent is behind this one */
    QgaBasicCommands *basic_commands;
    Channel *channel;
    BusService *bus_service;
    EventListeners listeners;
    Service *service;
    guint status_idle;  /* status-line.c */
    gboolean is_up;     /* made, and not stopping */
    guint stop_look;    /* while it stops */
    gboolean has_moved; /* a block changed since the last look */
    AgentStoppedFunc on_stopped;
    gpointer on_stopped_data;
    Target target; /* guest-requested */
    LogBudget job_lines, policy_lines;
};

/* Tells, once, where the target has been reached; until then it is looked out for. */
void agent_update_target(Agent *agent);

/* Each registers the commands of its file. */
void commands_guest_register(QgaDispatch *dispatch, Agent *agent);
void commands_events_register(QgaDispatch *dispatch, Agent *agent);
void commands_map_register(QgaDispatch *dispatch, Agent *agent);
void commands_report_register(QgaDispatch *dispatch, Agent *agent);
void commands_policy_register(QgaDispatch *dispatch, Agent *agent);
void commands_unplug_register(QgaDispatch *dispatch, Agent *agent);
void commands_plan_register(QgaDispatch *dispatch, Agent *agent);
