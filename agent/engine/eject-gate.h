/*
 * The kernel's one switch for ejects of memory devices, /sys/firmware/acpi/hotplug/memory/enabled:
 * at 0 it refuses every new eject at once, and nothing is touched (drivers/acpi/scan.c).
 *
 * Two uses of it meet here. A rollback's barrier writes 0 and so waits for an eject in flight, for
 * both take the kernel's acpi_scan_lock. And with the setting `gate` the switch is at 0 always but
 * while a job is ready. What it was before the first write is kept in the journal, and is restored
 * when neither use is left: also by the next daemon, after a SIGKILL of this one.
 *
 * Writing here may sleep behind a hung eject, so only the worker writes.
 */
#pragma once

#include "os/executor.h"

typedef struct EjectGate EjectGate;

typedef struct {
    const AttrIo *io; /* borrowed, like all here */
    Executor *executor;
    gboolean is_gated; /* the setting */
    int original;      /* from the journal: what the switch was, -1: nothing was written */
    void (*save)(gpointer user_data); /* eject_gate_original() has changed: journal it, now */
    void (*settled)(
        gpointer user_data); /* from the main loop: what was wanted is done, or failed */
    gpointer user_data;
} EjectGateConfig;

EjectGate *eject_gate_new(const EjectGateConfig *config);
void eject_gate_free(EjectGate *gate); /* accepts NULL; after the executor */

/* After the journal can be written: the gate is closed, or what an earlier daemon left is undone.
 */
void eject_gate_start(EjectGate *gate);
/* For the journal. */
int eject_gate_original(const EjectGate *gate);

/* Whether an eject would be let through, as far as the gate is concerned. */
gboolean eject_gate_is_open(const EjectGate *gate);
/* Why it is not: the errno of the last write, EAGAIN where that is not over. 0: it is open. */
int eject_gate_error(const EjectGate *gate);
/* Whether a job is ready (or about to be). Where the gate is not used it changes nothing. */
void eject_gate_want_open(EjectGate *gate, gboolean is_open);

/* The same, and a write that has failed is tried once more: `settled` is called, whatever comes of
 * it, unless the gate is open already. */
void eject_gate_try_open(EjectGate *gate);

/* The steps around a rollback: FIRST goes before its blocks, LAST after them. FALSE: this kernel
 * has no switch, and there is no barrier. TRUE: eject_gate_end_barrier() must follow, with what
 * came of LAST. */
gboolean eject_gate_begin_barrier(EjectGate *gate, WorkStep *first, WorkStep *last);
void eject_gate_end_barrier(EjectGate *gate, int last_error);

/* Restores the switch for good and calls FUNC, from in here where nothing is to be done. */
void eject_gate_stop(EjectGate *gate, void (*func)(gpointer user_data), gpointer user_data);
