/*
 * One value that is wanted, one that the kernel has, and beside those of the barriers at most one
 * write of ours under way. No timer repeats a write that failed: the next change does, the next job
 * that needs the gate open, the end of the next barrier, and the stop.
 */
#include "engine/eject-gate.h"

#include <errno.h>

#define EJECT_DIR "sys/firmware/acpi/hotplug/memory"
#define EJECT_NAME "enabled"
#define UNKNOWN (-1)

struct EjectGate {
    EjectGateConfig config;
    gboolean has_switch;
    int original; /* UNKNOWN: nothing of ours is to be undone */
    int kernel;   /* what the switch is at, as far as we know */
    int writing;  /* what the write under way writes, UNKNOWN: none is */
    int error;    /* errno of the last write that failed, 0: it did not */
    guint n_barriers;
    gboolean is_wanted_open;
    gboolean is_stopped;                    /* from then on the gate is not used */
    void (*on_stopped)(gpointer user_data); /* NULL: called */
    gpointer stopped_data;
};

static const char *verb_of(int value)
{
    return value != 0 ? "1" : "0";
}

static gboolean is_in_use(const EjectGate *gate)
{
    return gate->config.is_gated && !gate->is_stopped;
}

static void set_original(EjectGate *gate, int value)
{
    if (gate->original == value)
        return;
    gate->original = value;
    gate->config.save(gate->config.user_data);
}

/* Before the first write. */
static void remember(EjectGate *gate)
{
    if (gate->original == UNKNOWN)
        set_original(gate, gate->kernel);
}

static int wanted(const EjectGate *gate)
{
    return is_in_use(gate) ? gate->is_wanted_open : gate->original;
}

static void finish_stop(EjectGate *gate)
{
    void (*on_stopped)(gpointer) = gate->on_stopped;

    gate->on_stopped = NULL;
    if (on_stopped)
        on_stopped(gate->stopped_data);
}

static void settle(const EjectGate *gate)
{
    if (gate->writing == UNKNOWN && gate->n_barriers == 0)
        gate->config.settled(gate->config.user_data);
}

static void apply(EjectGate *gate);

static void on_written(const WorkResult *result, gpointer user_data)
{
    EjectGate *gate = user_data;
    int value = gate->writing;
    int error = result->errors[0];

    gate->writing = UNKNOWN;
    /* A barrier that waits behind this write has said already what it will leave. */
    if (gate->n_barriers == 0)
        gate->kernel = error == 0 ? value : UNKNOWN;
    if (error != 0 && gate->error == 0) /* once in a row: each job that waits tries again */
        g_warning("cannot write %s to /" EJECT_DIR "/" EJECT_NAME ": %s%s", verb_of(value),
                  work_result_prefix(result), g_strerror(error));
    gate->error = error;
    if (error == 0)
        apply(gate);
    else
        finish_stop(gate);
    settle(gate);
}

/* Brings the kernel to what is wanted, unless a write is under way whose end comes back here. */
static void apply(EjectGate *gate)
{
    if (!gate->has_switch || gate->n_barriers > 0 || gate->writing != UNKNOWN)
        return;
    if (wanted(gate) != UNKNOWN && gate->kernel != wanted(gate)) {
        remember(gate);
        gate->writing = wanted(gate);
        WorkStep step = {.kind = STEP_ATTR,
                         .dir = EJECT_DIR,
                         .name = EJECT_NAME,
                         .verb = verb_of(gate->writing)};
        executor_submit(gate->config.executor, EXECUTOR_SOON, &step, 1, NULL, on_written, gate,
                        NULL);
        return;
    }
    if (!is_in_use(gate))
        set_original(gate, UNKNOWN);
    if (gate->is_stopped)
        finish_stop(gate);
}

EjectGate *eject_gate_new(const EjectGateConfig *config)
{
    EjectGate *gate = g_new0(EjectGate, 1);
    guint64 value = 0;

    gate->config = *config;
    int result = attr_read_uint64(config->io, EJECT_DIR "/" EJECT_NAME, 10, &value);
    gate->has_switch = result != -ENOENT;
    if (result < 0 && gate->has_switch) {
        g_warning("cannot read /" EJECT_DIR "/" EJECT_NAME ": %s; it is taken for 1",
                  g_strerror(-result));
        value = 1;
    }
    gate->original = config->original;
    /* A worker of the killed daemon may still sleep before its write, behind an eject. A write of
     * ours then comes after it, so one is made in any case. */
    gate->kernel = gate->original == UNKNOWN ? value != 0 : UNKNOWN;
    gate->writing = UNKNOWN;
    if (config->is_gated && !gate->has_switch)
        g_warning("[unplug] gate: this kernel has no /" EJECT_DIR "/" EJECT_NAME);
    return gate;
}

void eject_gate_free(EjectGate *gate)
{
    g_free(gate);
}

void eject_gate_start(EjectGate *gate)
{
    apply(gate);
}

int eject_gate_original(const EjectGate *gate)
{
    return gate->original;
}

gboolean eject_gate_is_open(const EjectGate *gate)
{
    return !gate->has_switch || !is_in_use(gate) ||
           (gate->kernel == 1 && gate->writing == UNKNOWN && gate->n_barriers == 0);
}

int eject_gate_error(const EjectGate *gate)
{
    if (eject_gate_is_open(gate))
        return 0;
    return gate->error != 0 ? gate->error : EAGAIN;
}

void eject_gate_try_open(EjectGate *gate)
{
    gate->is_wanted_open = TRUE;
    apply(gate);
}

void eject_gate_want_open(EjectGate *gate, gboolean is_open)
{
    if (gate->is_wanted_open == is_open)
        return;
    gate->is_wanted_open = is_open;
    apply(gate);
}

gboolean eject_gate_begin_barrier(EjectGate *gate, WorkStep *first, WorkStep *last)
{
    guint64 value = 0;

    if (!gate->has_switch)
        return FALSE;
    /* Somebody else may have changed it while it was not ours. */
    if (gate->original == UNKNOWN &&
        attr_read_uint64(gate->config.io, EJECT_DIR "/" EJECT_NAME, 10, &value) == 0)
        gate->kernel = value != 0;
    remember(gate);
    *first = (WorkStep){.kind = STEP_ATTR, .dir = EJECT_DIR, .name = EJECT_NAME, .verb = "0"};
    *last = *first;
    gate->n_barriers++;
    gate->kernel = wanted(gate);
    last->verb = verb_of(gate->kernel);
    return TRUE;
}

void eject_gate_end_barrier(EjectGate *gate, int last_error)
{
    gate->n_barriers--;
    if (last_error != 0)
        gate->kernel = UNKNOWN;
    apply(gate);
    settle(gate);
}

void eject_gate_stop(EjectGate *gate, void (*func)(gpointer user_data), gpointer user_data)
{
    gate->is_stopped = TRUE;
    gate->on_stopped = func;
    gate->stopped_data = user_data;
    if (!gate->has_switch)
        finish_stop(gate);
    else
        apply(gate);
}
