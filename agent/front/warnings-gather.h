/*
 * The warnings as of now: everything that decide/warnings.h weighs, read.
 */
#pragma once

#include "decide/warnings.h"
#include "front/agent.h"

/* Return as warnings_find(). */
GPtrArray *warnings_gather(const Agent *agent, const Setup *setup);
