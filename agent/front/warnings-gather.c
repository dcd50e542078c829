/*
 * What the daemon knows beside the system's files goes into the judgement that doctor shares.
 */
#include "front/warnings-gather.h"

#include "front/agent-private.h"

GPtrArray *warnings_gather(const Agent *agent, const Setup *setup)
{
    WarningInput input = {.snapshot = model_keeper_snapshot(agent->keeper),
                          .setup = setup,
                          /* A tree is only looked at, but as its own daemon would see it. */
                          .config = agent->options->sysroot ? &agent->options->settings->online
                                                            : onliner_config(agent->onliner),
                          .is_auto_online_ours =
                              onliner_owns_auto_online(agent->onliner, setup->auto_online_blocks),
                          .is_daemon_up = TRUE,
                          .is_held = onliner_is_held,
                          .held_data = agent->onliner,
                          .progress = onliner_progress,
                          .progress_data = agent->onliner};

    return warnings_find(&input);
}
