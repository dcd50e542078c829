/*
 * Between the unplug state machine and the made-up world: its actions carried out there, and the
 * world's answers fed back, late or at once, but always in the order in which they were read.
 */
#pragma once

#include "unplug-promises.h"
#include "unplug-world.h"

void trace(const World *world, const char *what, guint64 job, const JobBlock *blocks,
           guint n_blocks);
void carry_out_all(World *world, GArray *actions);
/* One event for the machine; what it wants is carried out, and the promises are checked. */
UnplugResult step_machine(World *world, const UnplugEvent *event, guint64 *job_id);

/* The oldest answer that the machine waits for. */
void answer(World *world);
