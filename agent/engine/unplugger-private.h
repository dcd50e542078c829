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
    gboolean is_stopped;
    guint64 reclaim_job;     /* for which caches were reclaimed last */
    guint reclaim_task;      /* of the executor, while that goes on; else 0 */
    guint64 checking_job;    /* whose own blocks are not "taken" during its check */
    guint64 reserved_job_id; /* the next daemon gives no id below this one, by the journal */
    guint task;              /* of the executor, 0: none */
    guint64 task_job;
    GArray *task_blocks; /* of JobBlock */
    gboolean task_has_barrier;
    gboolean task_is_offline;
    guint stuck_task; /* the task that `stuck` is of */
    StuckAttempt stuck;
    EjectGate *gate;
    GArray *waiting; /* of guint64: jobs whose verify waits for the gate to open */
    guint timer;
    GArray *pools;       /* of NodePool, as seen at the last step; NULL: not looked at */
    gboolean has_warned; /* said once: the journal cannot be written */
};

/* What the machine is told at a step. Its lists live until the next call. */
UnplugWorld unplugger_world(Unplugger *unplugger);
UnplugResult unplugger_feed(Unplugger *unplugger, const UnplugEvent *event, guint64 *job_id);

/* Carries out all actions that wait, and those that come of them. */
void unplugger_carry_out(Unplugger *unplugger);
/* The check of a prepare that may leave out what cannot go: of several devices that are together
 * too much for the guest, those that were named first go. */
UnplugVerdict *unplugger_check_part(Unplugger *unplugger, const DeviceSelector *selectors, guint n);
/* The blocks (of JobBlock) of the devices that VERDICT lets be prepared, in the order to offline
 * them; empty if it refuses, and for more than want of memory. BY_DEVICE: one device after the
 * other, as they were named. (transfer full) */
GArray *unplugger_blocks_to_offline(const Unplugger *unplugger, const UnplugVerdict *verdict,
                                    gboolean by_device);
/* A copy of SELECTORS that knows which devices they mean now, so that a job does not act on one
 * that takes their place while it waits. (transfer full) */
DeviceSelector *unplugger_bind(const Unplugger *unplugger, const DeviceSelector *selectors,
                               guint n);
/* Adds to VERDICT, a check of the N SELECTORS, that a device is another than the one it was bound
 * to. */
void unplugger_check_binding(const Unplugger *unplugger, const DeviceSelector *selectors, guint n,
                             UnplugVerdict *verdict);
/* Before a new job: its id is one that no other daemon of this boot gives. */
void unplugger_reserve_job_id(Unplugger *unplugger);
/* Where no journal tells which ids were given, the clock is ahead of them all: no daemon makes a
 * job each microsecond. */
void unplugger_skip_to_clock(Unplugger *unplugger);
/* Reads all blocks of JOB; what has changed reaches the machine by unplugger_on_change(). */
void unplugger_look_at_job(Unplugger *unplugger, const UnplugJob *job);
/* After the journal was refused, in whole or in part, and before the machine resumes: one more job
 * that brings back what is offline without an owner. */
void unplugger_recover(Unplugger *unplugger);
/* The gate as ORIGINAL (see eject_gate_original()) says that it was left. */
void unplugger_make_gate(Unplugger *unplugger, int original);
/* Tells the gate whether a job is ready. */
void unplugger_tell_gate(Unplugger *unplugger);
