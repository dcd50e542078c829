/*
 * Writes that the kernel may take long over, in a forked worker: one process at a time.
 *
 * A write to a block's `state` sleeps as long as the kernel likes, and while it waits for the
 * hotplug lock only a fatal signal frees it. So the daemon never writes itself. A task is a list of
 * steps; one child does them in order and says what came of each. The child has default signals,
 * dies with the daemon (PDEATHSIG), and holds no descriptor of the daemon's but those it needs, so
 * that a child stuck in the kernel keeps no channel and no lock.
 */
#pragma once

#include <glib.h>

#include "system/attr.h"

typedef enum {
    STEP_BLOCK, /* write `verb` to the state of the block (index, inode) */
    STEP_ATTR,  /* write `verb` to the file `name` in the directory `dir` */
} WorkStepKind;

typedef struct {
    WorkStepKind kind;
    guint32 index;
    guint64 inode;
    const char *verb; /* static */
    const char *dir;  /* static; STEP_ATTR */
    const char *name; /* static; STEP_ATTR */
} WorkStep;

/* Errno of a step that was not begun because the worker was ended first. */
#define STEP_NOT_DONE ECANCELED

/**
 * ExecutorFunc: a task is over.
 * @errors: for each step 0, a positive errno, or STEP_NOT_DONE. What a killed worker was at reads
 *   EINTR. Whatever it says, the truth is what sysfs says now.
 */
typedef void (*ExecutorFunc)(const int *errors, guint n_steps, gpointer user_data);

typedef struct Executor Executor;

/* IO is borrowed and must outlive the executor. */
Executor *executor_new(const AttrIo *io);
/* Ends the running worker with SIGKILL and forgets all tasks; no function is called. */
void executor_free(Executor *executor); /* accepts NULL */

typedef enum {
    EXECUTOR_SOON, /* before the tasks that wait with EXECUTOR_LATER */
    EXECUTOR_LATER,
} ExecutorPriority;

/* Queues a task. STEPS are copied. Returns an id (never 0) for executor_cancel(). FUNC is called
 * from the main loop, never from in here. */
guint executor_submit(Executor *executor, ExecutorPriority priority, const WorkStep *steps,
                      guint n_steps, ExecutorFunc func, gpointer user_data);

/* Ends the task: one that waits is not begun; of one that runs the worker gets SIGTERM and, a
 * second later, SIGKILL. Its function is called in either case, when the worker is gone. */
void executor_cancel(Executor *executor, guint task);

/* Whether a worker runs or a task waits. */
gboolean executor_is_busy(const Executor *executor);
