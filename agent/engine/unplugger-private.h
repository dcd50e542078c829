/*
 * The inside of the unplugger: unplugger.c (events in) and unplugger-act.c (actions out).
 */
#pragma once

#include "engine/eject-gate.h"
#include "engine/unplugger.h"

struct Unplugger {
    UnpluggerConfig config;
    UnplugMachine *machine;
    Inhibitors *inhibitors;
    UnplugChangedFunc on_changed;
    gpointer on_changed_data;
    UnplugStoppedFunc on_stopped;
    gpointer on_stopped_data;
    GArray *actions; /* of UnplugAction: [next_action…] are still to be carried out */
    guint next_action;
    gboolean is_carrying_out;
    GHashTable *bindings; /* of jobs that wait in the queue; see unplugger_bind() */
    guint64 checking_job; /* whose own blocks are not "taken" during its check */
    guint task;           /* of the executor, 0: none */
    guint64 task_job;
    GArray *task_blocks; /* of JobBlock */
    gboolean task_has_barrier;
    gboolean task_is_offline;
    EjectGate *gate;
    GArray *waiting; /* of guint64: jobs whose verify waits for the gate to open */
    guint timer;
};

UnplugWorld unplugger_world(const Unplugger *unplugger);
UnplugResult unplugger_feed(Unplugger *unplugger, const UnplugEvent *event, guint64 *job_id);

/* Carries out all actions that wait, and those that come of them. */
void unplugger_carry_out(Unplugger *unplugger);
/* The blocks (of JobBlock) of the devices that VERDICT lets be prepared, in the order to offline
 * them; empty if it refuses. (transfer full) */
GArray *unplugger_blocks_to_offline(const Unplugger *unplugger, const UnplugVerdict *verdict);
/* Remembers which devices the selectors of a queued job mean now, so that the job does not act on
 * one that takes their place while it waits. Not kept over a restart of the daemon. */
void unplugger_bind(Unplugger *unplugger, guint64 job_id);
/* Adds to VERDICT, a check of JOB, that a device is another than the one it was bound to, and
 * forgets the binding. */
void unplugger_check_binding(Unplugger *unplugger, const UnplugJob *job, UnplugVerdict *verdict);
/* Reads all blocks of JOB; what has changed reaches the machine by unplugger_on_change(). */
void unplugger_look_at_job(Unplugger *unplugger, const UnplugJob *job);
/* After the journal was refused, in whole or in part, and before the machine resumes: one more job
 * that brings back what is offline without an owner. */
void unplugger_recover(Unplugger *unplugger);
/* The gate as ORIGINAL (see eject_gate_original()) says that it was left. */
void unplugger_make_gate(Unplugger *unplugger, int original);
/* Tells the gate whether a job is ready. */
void unplugger_tell_gate(Unplugger *unplugger);
