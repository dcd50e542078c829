/*
 * The warnings as of now: everything that decide/warnings.h weighs, read.
 */
#pragma once

#include "decide/warnings.h"
#include "front/agent.h"

/* AUTO_ONLINE: the kernel's auto_online_blocks, "" if not known. Return as warnings_find(). */
GPtrArray *warnings_gather(const Agent *agent, const char *auto_online);
