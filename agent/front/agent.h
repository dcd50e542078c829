/*
 * The agent: everything put together. Made by main (or a test) from the options, run by the main
 * loop, stopped once.
 */
#pragma once

#include <glib.h>

#include "os/options.h"

typedef struct Agent Agent;

/* OPTIONS are borrowed and must outlive the agent. Scans, takes over what an earlier daemon left,
 * and opens the channel. NULL and ERROR, saying what is wrong, if it cannot start. */
Agent *agent_new(Options *options, GError **error);
/* SIGHUP: loads the settings anew. The new ones hold for what comes from now on; where the channel
 * is takes a restart. A mistake in them is logged and keeps the old ones. */
void agent_reload(Agent *agent);
void agent_free(Agent *agent); /* accepts NULL */

/* Rolls back what is prepared, then calls FUNC (from in here, if there is nothing to do). IS_WHOLE
 * FALSE: for a while no block came back, so the rest is left to the next start. */
typedef void (*AgentStoppedFunc)(gboolean is_whole, gpointer user_data);
void agent_stop(Agent *agent, AgentStoppedFunc func, gpointer user_data);

/* The commands, one a line, and whether they are allowed: for -b help. (transfer full) */
char *agent_list_rpcs(Options *options);
