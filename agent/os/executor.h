/*
 * Writes that the kernel may take long over, in a forked worker: one process at a time.
 *
 * A write to a block's `state` sleeps as long as the kernel likes, and while it waits for the
 * hotplug lock only a fatal signal frees it. So the daemon never writes itself. A task is a list of
 * steps; one child does them in order and says what came of each. The child has default signals,
 * dies with the daemon (PDEATHSIG), and holds no descriptor of the daemon's but those it needs, so
 * that a child stuck in the kernel keeps no channel and no lock.
 *
 * The worker waits for nobody: it goes from step to step by itself, and what it has done since is
 * taken from it every ATTEMPT_LOOK_USEC and when it ends. No timer runs while no worker does.
 *
 * A task with limits is guarded: while it takes a block offline, each such look is at the memory
 * that is left and at the block too, and ends the worker as decide/attempt.h says. No step that
 * takes a block offline is begun where the reserve would be crossed.
 *
 * Many steps of one task cost one process; a task that is_resumed lets others have their turn
 * between two of them, and its caller submits again what was not begun.
 */
#pragma once

#include <glib.h>

#include "decide/attempt.h"
#include "system/attr.h"
#include "system/hugepages.h"

typedef enum {
    STEP_BLOCK,   /* write `verb` to the state of the block (index, inode) */
    STEP_ATTR,    /* write `verb` to the file `name` in the directory `dir` */
    STEP_POOL,    /* let the kernel fill `pool` */
    STEP_RECLAIM, /* page cache and slab, until `wanted_bytes` are available; it is a task of its
                   * own, and others that wait end it */
} WorkStepKind;

typedef struct {
    WorkStepKind kind;
    guint32 index;
    guint64 inode;
    const char *verb;     /* static */
    const char *dir;      /* static; STEP_ATTR */
    const char *name;     /* static; STEP_ATTR */
    NodePool pool;        /* STEP_POOL */
    guint64 wanted_bytes; /* STEP_RECLAIM */
} WorkStep;

/* Errno of a step that was not begun: the worker was ended first, or the reserve would have been
 * crossed. */
#define STEP_NOT_DONE ECANCELED

/* A task is over. Whatever it says, the truth is what sysfs says now. */
typedef struct {
    /* For each step 0, a positive errno, or STEP_NOT_DONE. What a killed worker was at reads EINTR;
     * where there was no worker (ATTEMPT_NO_WORKER) each step has its errno. */
    const int *errors;
    guint n_steps;
    AttemptOutcome attempt; /* why it is over */
} WorkResult;

/* What to say before the words of an errno of RESULT: "", or that there was no process for it. */
const char *work_result_prefix(const WorkResult *result);

/* RESULT is the executor's. */
typedef void (*ExecutorFunc)(const WorkResult *result, gpointer user_data);

typedef struct Executor Executor;

/* IO is borrowed and must outlive the executor. */
Executor *executor_new(const AttrIo *io);
/* Ends the running worker with SIGKILL and forgets all tasks; no ExecutorFunc is called. */
void executor_free(Executor *executor); /* accepts NULL */

typedef enum {
    EXECUTOR_SOON, /* before the tasks that wait with EXECUTOR_LATER */
    EXECUTOR_LATER,
} ExecutorPriority;

/**
 * executor_submit: queues a task.
 * @steps: copied.
 * @limits: copied; NULL: none, as befits what takes no memory away.
 * @func: called once, from the main loop and never from in here, unless the executor is freed.
 * @destroy: called with @user_data when the task is forgotten: after @func, or by executor_free().
 *   May be NULL.
 *
 * Return: an id (never 0) for executor_cancel().
 */
guint executor_submit(Executor *executor, ExecutorPriority priority, const WorkStep *steps,
                      guint n_steps, const AttemptLimits *limits, ExecutorFunc func,
                      gpointer user_data, GDestroyNotify destroy);

/* Asks for the end of a running task that is_resumed, after the step that it is at. */
void executor_yield(Executor *executor, guint task);

/* Ends the task: one that waits is not begun; of one that runs the worker gets SIGTERM and, a
 * second later, SIGKILL. Its function is called in either case, when the worker is gone. */
void executor_cancel(Executor *executor, guint task);

/* Whether the worker is at TASK, was told to end because it stalled, and has not ended: then the
 * number of the STEP that it is at, and what was seen. */
gboolean executor_is_stuck(const Executor *executor, guint task, guint *step,
                           AttemptOutcome *outcome);

/* The id of the task that the worker is at, 0: no worker runs. */
guint executor_running(const Executor *executor);

/* Whether a worker runs or a task waits. */
gboolean executor_is_busy(const Executor *executor);
