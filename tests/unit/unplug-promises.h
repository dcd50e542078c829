/*
 * The promises of the unplug state machine (design, "Promises" and "Jobs"), each checked against
 * the made-up world and never against what the machine says of itself alone.
 *
 * Each check ends the program with the seed.
 */
#pragma once

#include "unplug-world.h"

/* Whether a job may go from one state to another. */
gboolean promise_allows(JobState from, JobState to);
JobState told_state(const World *world, guint64 job);
void check_pools(World *world, const UnplugAction *action);
void check_changed(World *world, const UnplugAction *action, gboolean was_journal);
void check_offline(const World *world, const UnplugAction *action);

/* An attempt is the executor's to end: the machine does it for a job that stops offlining, and at
 * the deadline, and never because it has lasted long. */
void check_kill(const World *world, guint64 id);
void check_rollback(const World *world, const UnplugAction *action);
void check_jobs(const World *world);

/* No block is offline by the hand of a job that is over. */
void check_blocks(const World *world);
