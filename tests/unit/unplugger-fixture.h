/*
 * The unplugger whole: the real machine, the real forked worker and the real journal, on a kernel
 * in shared memory. What a guest does slowly and rightly, this does fast and wrongly on demand.
 */
#pragma once

#include "engine/unplugger.h"
#include "fake-kernel.h"
#include "os/journal.h"
#include "system/units.h"
#include "temp-tree.h"

#define WORLD_FIRST 40
#define WORLD_COUNT 8

typedef struct {
    FakeKernel *fake;
    AttrIo *io;
    TempTree *tree;
    Executor *executor;
    ModelKeeper *keeper;
    Unplugger *unplugger;
    GString *states; /* of the last job, as it changed */
    gboolean was_stopped;
    gboolean gate; /* of the next daemon */
    char *boot_id; /* of the next daemon */
} World;

/* Everything that agent_new() would make for it, and the jobs of the journal go on. */
void world_start_daemon(World *world);
/* As SIGKILL would: nothing is rolled back or said. */
void world_kill_daemon(World *world);

/* For g_test_add(): a DIMM in slot 0, blocks WORLD_FIRST and on, online as movable; memory enough.
 */
void world_set_up(World *world, gconstpointer data);
/* Fails the test where a trap of the kernel's was stepped into. */
void world_tear_down(World *world, gconstpointer data);

/* A job for the DIMM. */
guint64 world_prepare(World *world, guint64 timeout_ms, guint64 lease_ms);
const UnplugJob *world_job(const World *world, guint64 id);
/* Runs the loop until the job is in STATE; fails the test where it ends otherwise. */
void world_wait_for(World *world, guint64 id, JobState state);
/* How many of the DIMM's blocks read STATE. */
guint world_count_state(World *world, const char *state);
void world_assert_all_movable(World *world);
/* BLOCK -1: any. */
gboolean job_has_reason(const UnplugJob *job, ReasonCode code, gint64 block);
