/*
 * The forked worker. The child writes one record to a pipe for each step that it finished; the end
 * of the pipe is the end of the child, because nothing else holds its other end.
 */
#include "os/executor.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/fds.h"
#include "os/signals.h"
#include "system/block.h"

#define KILL_AFTER_MS 1000

/* One finished step. Smaller than PIPE_BUF, so it is written whole or not at all. */
typedef struct {
    guint32 step;
    gint32 error;
} Record;

typedef struct {
    guint id;
    WorkStep *steps;
    int *errors;
    guint n_steps;
    ExecutorFunc func;
    gpointer user_data;
} Task;

struct Executor {
    const AttrIo *io;
    GQueue soon;
    GQueue later;
    guint last_id;
    Task *running;
    pid_t worker;
    int pipe_fd;
    guint pipe_watch;
    guint kill_timer;
    guint idle; /* starts the next task, or ends cancelled ones, from the loop */
    GQueue cancelled;
};

static void task_free(Task *task)
{
    g_free(task->steps);
    g_free(task->errors);
    g_free(task);
}

static void task_finish(Task *task)
{
    task->func(task->errors, task->n_steps, task->user_data);
    task_free(task);
}

static int step_do(const AttrIo *io, const WorkStep *step)
{
    int r = step->kind == STEP_BLOCK ? block_write_state(io, step->index, step->inode, step->verb)
                                     : attr_write(io, step->dir, 0, step->name, step->verb);
    return r < 0 ? -r : 0;
}

/* The child: no memory is allocated here, nothing is logged, and it ends by _exit(). */
static G_GNUC_NORETURN void worker_run(const AttrIo *io, const Task *task, int out, pid_t parent)
{
    signals_reset_in_child();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before the line above */
        _exit(EXIT_FAILURE);
    prctl(PR_SET_NAME, "memplugd-worker");

    for (guint i = 0; i < task->n_steps; i++) {
        Record record = {.step = i, .error = step_do(io, &task->steps[i])};
        if (write(out, &record, sizeof record) != sizeof record)
            _exit(EXIT_FAILURE);
    }
    _exit(EXIT_SUCCESS);
}

static void executor_kick(Executor *executor);

static void worker_ended(Executor *executor)
{
    g_clear_handle_id(&executor->kill_timer, g_source_remove);
    executor->pipe_watch = 0;
    close(executor->pipe_fd);
    executor->pipe_fd = -1;
    while (waitpid(executor->worker, NULL, 0) < 0 && errno == EINTR)
        ;
    executor->worker = 0;

    Task *task = g_steal_pointer(&executor->running);
    /* The first step without a record is what the worker was killed at. */
    for (guint i = 0; i < task->n_steps; i++) {
        if (task->errors[i] == STEP_NOT_DONE) {
            task->errors[i] = EINTR;
            break;
        }
    }
    executor_kick(executor);
    task_finish(task);
}

static gboolean on_pipe(gint fd, G_GNUC_UNUSED GIOCondition condition, gpointer user_data)
{
    Executor *executor = user_data;
    Record records[64];

    gssize n = read(fd, records, sizeof records);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    for (gssize i = 0; i < n / (gssize)sizeof(Record); i++) {
        if (records[i].step < executor->running->n_steps)
            executor->running->errors[records[i].step] = records[i].error;
    }
    if (n > 0)
        return G_SOURCE_CONTINUE;
    worker_ended(executor);
    return G_SOURCE_REMOVE;
}

/* Everything but the child's own two descriptors and standard error is closed: a child stuck in the
 * kernel must hold neither the port (which can be open once) nor the lock of the state directory.
 */
static void worker_close_fds(const AttrIo *io, int out)
{
    int keep[2] = {MIN(out, attr_io_fd(io)), MAX(out, attr_io_fd(io))};
    unsigned from = STDERR_FILENO + 1;

    for (guint i = 0; i < G_N_ELEMENTS(keep); i++) {
        if (keep[i] < (int)from)
            continue;
        if (keep[i] > (int)from)
            fds_close_range(from, (unsigned)keep[i] - 1);
        from = (unsigned)keep[i] + 1;
    }
    fds_close_range(from, ~0U);
}

static gboolean worker_start(Executor *executor, Task *task)
{
    int fds[2];
    if (!g_unix_open_pipe(fds, FD_CLOEXEC, NULL))
        return FALSE;

    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        close(fds[0]);
        close(fds[1]);
        return FALSE;
    }
    if (pid == 0) {
        worker_close_fds(executor->io, fds[1]);
        worker_run(executor->io, task, fds[1], parent);
    }
    close(fds[1]);
    g_unix_set_fd_nonblocking(fds[0], TRUE, NULL);
    executor->worker = pid;
    executor->running = task;
    executor->pipe_fd = fds[0];
    executor->pipe_watch = g_unix_fd_add(fds[0], G_IO_IN | G_IO_HUP, on_pipe, executor);
    return TRUE;
}

static gboolean on_idle(gpointer user_data)
{
    Executor *executor = user_data;
    Task *task;

    executor->idle = 0;
    while ((task = g_queue_pop_head(&executor->cancelled)))
        task_finish(task);
    while (!executor->running) {
        task = g_queue_pop_head(&executor->soon);
        if (!task)
            task = g_queue_pop_head(&executor->later);
        if (!task)
            break;
        if (!worker_start(executor, task)) {
            for (guint i = 0; i < task->n_steps; i++)
                task->errors[i] = EAGAIN; /* no process to be had now */
            task_finish(task);
        }
    }
    return G_SOURCE_REMOVE;
}

static void executor_kick(Executor *executor)
{
    if (!executor->idle)
        executor->idle = g_idle_add_full(G_PRIORITY_DEFAULT, on_idle, executor, NULL);
}

Executor *executor_new(const AttrIo *io)
{
    Executor *executor = g_new0(Executor, 1);
    executor->io = io;
    executor->pipe_fd = -1;
    g_queue_init(&executor->soon);
    g_queue_init(&executor->later);
    g_queue_init(&executor->cancelled);
    return executor;
}

void executor_free(Executor *executor)
{
    if (!executor)
        return;
    g_clear_handle_id(&executor->idle, g_source_remove);
    g_clear_handle_id(&executor->kill_timer, g_source_remove);
    if (executor->running) {
        /* Not waited for: it may be stuck in the kernel, and PDEATHSIG or init will see to it. */
        kill(executor->worker, SIGKILL);
        g_source_remove(executor->pipe_watch);
        close(executor->pipe_fd);
        task_free(executor->running);
    }
    g_queue_clear_full(&executor->soon, (GDestroyNotify)task_free);
    g_queue_clear_full(&executor->later, (GDestroyNotify)task_free);
    g_queue_clear_full(&executor->cancelled, (GDestroyNotify)task_free);
    g_free(executor);
}

guint executor_submit(Executor *executor, ExecutorPriority priority, const WorkStep *steps,
                      guint n_steps, ExecutorFunc func, gpointer user_data)
{
    Task *task = g_new0(Task, 1);
    task->id = ++executor->last_id ? executor->last_id : ++executor->last_id;
    task->steps = g_new(WorkStep, n_steps);
    memcpy(task->steps, steps, n_steps * sizeof *steps);
    task->errors = g_new(int, n_steps);
    task->n_steps = n_steps;
    task->func = func;
    task->user_data = user_data;
    for (guint i = 0; i < n_steps; i++)
        task->errors[i] = STEP_NOT_DONE;
    g_queue_push_tail(priority == EXECUTOR_SOON ? &executor->soon : &executor->later, task);
    executor_kick(executor);
    return task->id;
}

static gboolean on_kill_timer(gpointer user_data)
{
    Executor *executor = user_data;

    executor->kill_timer = 0;
    kill(executor->worker, SIGKILL);
    return G_SOURCE_REMOVE;
}

static gboolean queue_cancel(Executor *executor, GQueue *queue, guint id)
{
    for (GList *l = queue->head; l; l = l->next) {
        Task *task = l->data;
        if (task->id == id) {
            g_queue_delete_link(queue, l);
            g_queue_push_tail(&executor->cancelled, task);
            executor_kick(executor);
            return TRUE;
        }
    }
    return FALSE;
}

void executor_cancel(Executor *executor, guint task)
{
    if (executor->running && executor->running->id == task) {
        if (executor->kill_timer)
            return;
        kill(executor->worker, SIGTERM);
        executor->kill_timer = g_timeout_add(KILL_AFTER_MS, on_kill_timer, executor);
        return;
    }
    if (!queue_cancel(executor, &executor->soon, task))
        queue_cancel(executor, &executor->later, task);
}

gboolean executor_is_busy(const Executor *executor)
{
    return executor->running || executor->soon.length || executor->later.length ||
           executor->cancelled.length;
}
