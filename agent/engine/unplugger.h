/*
 * Carries out what the unplug state machine decides: checks, journal, worker, timer, and what came
 * of them back to the machine.
 */
#pragma once

#include <glib.h>

#include "decide/inhibitors.h"
#include "decide/unplug-limit.h"
#include "decide/unplug.h"
#include "engine/model-keeper.h"
#include "os/executor.h"

typedef struct Unplugger Unplugger;

typedef struct {
    const AttrIo *io; /* borrowed, like all here */
    ModelKeeper *keeper;
    Executor *executor;
    const char *state_dir; /* NULL: keep no journal */
    const char *boot_id;
    guint64 timeout_ms;           /* 0: by size */
    guint64 reserve_bytes;        /* 0: by size */
    guint swap_percent;           /* of free swap counts as available */
    gboolean gate;                /* refuse ejects while no job is ready; see eject-gate.h */
    guint64 application_delay_ms; /* how long a delay lock may hold a job up */
} UnpluggerConfig;

/* JOB has entered STATE (and may have left it already). */
typedef void (*UnplugChangedFunc)(const UnplugJob *job, JobState state, gpointer user_data);

/* Reads the journal and takes its jobs over (the next unplugger_resume() lets them go on). */
Unplugger *unplugger_new(const UnpluggerConfig *config, UnplugChangedFunc func, gpointer user_data);
void unplugger_free(Unplugger *unplugger); /* accepts NULL */

/* For jobs and checks that come from now on; as in UnpluggerConfig. */
void unplugger_set_limits(Unplugger *unplugger, guint64 timeout_ms, guint64 reserve_bytes,
                          guint swap_percent);
guint unplugger_swap_percent(const Unplugger *unplugger);
void unplugger_set_application_delay(Unplugger *unplugger, guint64 delay_ms);

void unplugger_resume(Unplugger *unplugger);

/* A new job; see unplug_machine_step(). TIMEOUT_MS 0: the configured one. */
UnplugResult unplugger_submit(Unplugger *unplugger, const UnplugSubmit *submit, guint64 *job_id);
UnplugResult unplugger_cancel(Unplugger *unplugger, guint64 job_id);
/* The model has changed. */
void unplugger_on_change(Unplugger *unplugger, const ModelChange *change);
/* Rolls everything back; FUNC is called, from the main loop or from in here, when it is done. */
typedef void (*UnplugStoppedFunc)(gpointer user_data);
void unplugger_stop(Unplugger *unplugger, UnplugStoppedFunc func, gpointer user_data);

/* Reads the blocks of JOB, if it is ready, so that "ready" is true as it is said. */
void unplugger_verify(Unplugger *unplugger, guint64 job_id);

/* A BlockOwnedFunc: whether a job keeps this block offline. USER_DATA: the Unplugger. */
gboolean unplugger_is_held(guint32 index, guint64 inode, gpointer user_data);

/* The MemAvailable that must be left after LEAVING_BYTES went: see attempt_reserve_after(). */
guint64 unplugger_reserve_bytes(const Unplugger *unplugger, const Meminfo *meminfo,
                                guint64 leaving_bytes);

/* A lock of an application's, and its end: as inhibitors_add() and inhibitors_remove(). */
guint64 unplugger_inhibit(Unplugger *unplugger, const Inhibitor *request, const char **problem);
void unplugger_release(Unplugger *unplugger, guint64 id);
const Inhibitors *unplugger_inhibitors(const Unplugger *unplugger);

const UnplugMachine *unplugger_machine(const Unplugger *unplugger);
/* What a check of these selectors says now. ALLOW_VIRTIO_MEM as in UnplugCheckInput. */
UnplugVerdict *unplugger_check(Unplugger *unplugger, const DeviceSelector *selectors, guint n,
                               gboolean allow_virtio_mem);
/* What a check of DEVICE alone says, without a look at the pages in it (huge pages) and without
 * warnings: for going over many devices. */
UnplugVerdict *unplugger_check_briefly(Unplugger *unplugger, const Device *device,
                                       gboolean allow_virtio_mem);
/* What a check would let pass now, of all devices. The pages in them are not looked at. */
UnplugLimit unplugger_limit(Unplugger *unplugger);
