/*
 * The forked worker. The child writes one record to a pipe for each step that it finished; the end
 * of the pipe is the end of the child, because nothing else holds its other end. That it shall end
 * between two steps stands in a page that it shares with the daemon.
 */
#include "os/executor.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/fds.h"
#include "os/loop.h"
#include "os/signals.h"
#include "system/block.h"
#include "system/hugepages.h"
#include "system/meminfo.h"
#include "system/page-sample.h"
#include "system/reclaim.h"
#include "system/units.h"

#define KILL_AFTER_MS 1000

/* One finished step. Smaller than PIPE_BUF, so it is written whole or not at all. */
typedef struct {
    guint32 step;
    gint32 error;
    guint64 low_bytes; /* not 0: not begun, because so little memory is available */
} Record;

typedef struct {
    guint id;
    WorkStep *steps;
    int *errors;
    guint n_steps;
    guint step; /* what the worker is at: the first one without a record */
    gboolean has_limits;
    AttemptLimits limits;
    AttemptGuard guard; /* of the step that the worker is at, if that takes a block offline */
    AttemptOutcome outcome;
    gboolean is_ending; /* the worker was told to end */
    ExecutorFunc func;
    gpointer user_data;
    GDestroyNotify destroy;
} Task;

struct Executor {
    const AttrIo *io;
    GQueue soon;
    GQueue later;
    guint last_id;
    Task *running;
    gboolean has_warned; /* there was no worker to be had, and since then none was */
    pid_t worker;
    int pipe_fd;
    guint pipe_watch;
    guint kill_timer;
    guint look_timer;
    guint idle; /* starts the next task, or ends cancelled ones, from the loop */
    GQueue cancelled;
    gint *must_yield; /* shared with the worker: it ends before its next step */
};

static void task_free(Task *task)
{
    if (task->destroy)
        task->destroy(task->user_data);
    g_free(task->steps);
    g_free(task->errors);
    g_free(task);
}

static void task_finish(Task *task)
{
    WorkResult result = {
        .errors = task->errors, .n_steps = task->n_steps, .attempt = task->outcome};

    task->func(&result, task->user_data);
    task_free(task);
}

static gboolean takes_offline(const WorkStep *step)
{
    return step->kind == STEP_BLOCK && strcmp(step->verb, "offline") == 0;
}

static int step_do(const AttrIo *io, const WorkStep *step, guint swap_percent)
{
    int r = 0;

    switch (step->kind) {
    case STEP_BLOCK:
        r = block_write_state(io, step->index, step->inode, step->verb);
        break;
    case STEP_ATTR:
        r = attr_write(io, step->dir, 0, step->name, step->verb);
        break;
    case STEP_POOL:
        r = node_pool_fill(io, &step->pool);
        break;
    case STEP_RECLAIM:
        r = reclaim_caches(io, step->wanted_bytes, swap_percent);
        break;
    }
    return r < 0 ? -r : 0;
}

static guint64 available_bytes(const AttrIo *io, const AttemptLimits *limits)
{
    Meminfo meminfo = {.available_bytes = 0};

    /* unreadable: nothing to spare */
    meminfo_read_spare(io, limits->swap_percent, &meminfo, NULL);
    return meminfo.available_bytes;
}

/* What of the block of STEP must find room. Free huge pages in it need none, and only then it is
 * worth the time to look for them. */
static guint64 needed_bytes(const AttrIo *io, const WorkStep *step, guint64 block_bytes)
{
    guint64 page_bytes = (guint64)sysconf(_SC_PAGESIZE), n_pages = block_bytes / page_bytes;
    guint64 free_bytes = hugepages_free_bytes(io);
    gint64 n_idle =
        free_bytes > 0 ? page_count_idle_hugetlb(io, step->index * n_pages, n_pages) : 0;

    return block_bytes - MIN(MIN((guint64)MAX(n_idle, 0) * page_bytes, free_bytes), block_bytes);
}

/* Begins no offlining that would cross the reserve. */
static Record step_try(const AttrIo *io, const Task *task, guint at)
{
    const WorkStep *step = &task->steps[at];
    Record record = {.step = at};

    if (task->has_limits && takes_offline(step)) {
        const AttemptLimits *limits = &task->limits;
        guint64 available = available_bytes(io, limits);
        if (!attempt_has_room(available, limits->block_bytes, limits->reserve_bytes) &&
            !attempt_has_room(available, needed_bytes(io, step, limits->block_bytes),
                              limits->reserve_bytes)) {
            record.error = STEP_NOT_DONE;
            record.low_bytes = MAX(available, 1);
            return record;
        }
    }
    record.error = step_do(io, step, task->limits.swap_percent);
    return record;
}

/* The child: nothing is logged here, and it ends by _exit(). The daemon has one thread, so memory
 * may be allocated. */
static G_GNUC_NORETURN void worker_run(const Executor *executor, const Task *task, int out,
                                       pid_t parent)
{
    signals_reset_in_child();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before the line above */
        _exit(EXIT_FAILURE);
    prctl(PR_SET_NAME, "memplugd-worker");

    for (guint i = 0; i < task->n_steps; i++) {
        if (i > 0 && g_atomic_int_get(executor->must_yield))
            break;
        Record record = step_try(executor->io, task, i);
        if (write(out, &record, sizeof record) != sizeof record)
            _exit(EXIT_FAILURE);
        if (record.error != 0 && task->limits.is_resumed)
            break;
    }
    _exit(EXIT_SUCCESS);
}

static void executor_kick(Executor *executor);

static void worker_ended(Executor *executor)
{
    g_clear_handle_id(&executor->kill_timer, g_source_remove);
    g_clear_handle_id(&executor->look_timer, g_source_remove);
    executor->pipe_watch = 0;
    close(executor->pipe_fd);
    executor->pipe_fd = -1;
    int status = EXIT_FAILURE;
    while (waitpid(executor->worker, &status, 0) < 0 && errno == EINTR)
        ;
    executor->worker = 0;

    Task *task = g_steal_pointer(&executor->running);
    if (task->step < task->n_steps && status != EXIT_SUCCESS)
        task->errors[task->step] = EINTR; /* what the worker was killed at */
    executor_kick(executor);
    task_finish(task);
}

static void guard_step(Task *task)
{
    if (task->has_limits && task->step < task->n_steps && takes_offline(&task->steps[task->step]))
        attempt_guard_start(&task->guard, &task->limits, g_get_monotonic_time());
}

static void take_record(Task *task, const Record *record)
{
    if (record->step >= task->n_steps)
        return;
    task->errors[record->step] = record->error;
    if (record->low_bytes != 0 && task->outcome.end == ATTEMPT_OVER)
        task->outcome =
            (AttemptOutcome){.end = ATTEMPT_LOW_MEMORY, .available_bytes = record->low_bytes};
    task->step = record->step + 1;
}

/* What the worker has done since. FALSE: it is at its end. */
static gboolean take_records(Executor *executor)
{
    Task *task = executor->running;
    guint before = task->step;
    Record records[64];
    gssize n;

    do {
        n = read(executor->pipe_fd, records, sizeof records);
        for (gssize i = 0; i < n / (gssize)sizeof(Record); i++)
            take_record(task, &records[i]);
    } while (n > 0);
    gboolean is_alive = n < 0 && (errno == EAGAIN || errno == EINTR);
    if (is_alive && task->step != before)
        guard_step(task);
    return is_alive;
}

/* Only the end of the pipe wakes the loop: the worker's steps are short, and many. */
static gboolean on_hangup(G_GNUC_UNUSED gint fd, G_GNUC_UNUSED GIOCondition condition,
                          gpointer user_data)
{
    Executor *executor = user_data;

    if (take_records(executor))
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

/* --- how a worker is ended --- */

static gboolean on_kill_timer(gpointer user_data)
{
    Executor *executor = user_data;

    executor->kill_timer = 0;
    kill(executor->worker, SIGKILL);
    return G_SOURCE_REMOVE;
}

/* The first reason is the one that is told. */
static void worker_end(Executor *executor, const AttemptOutcome *why)
{
    if (executor->running->is_ending)
        return;
    executor->running->is_ending = TRUE;
    executor->running->outcome = *why;
    kill(executor->worker, SIGTERM);
    executor->kill_timer = loop_add_due(KILL_AFTER_MS * USEC_PER_MSEC, on_kill_timer, executor);
}

/* Third field of /proc/PID/stat; the second one, in brackets, may hold anything. */
static gboolean is_asleep(const AttrIo *io, pid_t pid)
{
    char path[32], text[ATTR_VALUE_MAX];

    g_snprintf(path, sizeof path, "proc/%d/stat", (int)pid);
    const char *end = attr_read(io, path, text, sizeof text) > 0 ? strrchr(text, ')') : NULL;
    return end && end[1] == ' ' && end[2] == 'D';
}

/* `state` is read without a lock, so this does not wait for the kernel. */
static gboolean is_going_offline(const AttrIo *io, guint32 index)
{
    char path[BLOCK_PATH_MAX], word[32];

    return attr_read_line(io, block_path(index, "state", path), word, sizeof word) >= 0 &&
           strcmp(word, "going-offline") == 0;
}

static gint64 used_pages(const AttrIo *io, guint32 index, const AttemptGuard *guard)
{
    guint64 n_pages = guard->limits.block_bytes / (guint64)sysconf(_SC_PAGESIZE);
    guint64 n_part = n_pages / ATTEMPT_PARTS;

    return page_count_used(io, index * n_pages + attempt_guard_part(guard) * n_part, n_part);
}

static gboolean is_reached(gint64 end_usec, gint64 now_usec)
{
    return end_usec != 0 && now_usec >= end_usec;
}

static gboolean is_waited_for(const Executor *executor)
{
    return executor->soon.length > 0 || executor->later.length > 0;
}

/* TRUE: the worker must end, as OUTCOME says. */
static gboolean look_at_step(Executor *executor, AttemptOutcome *outcome)
{
    Task *task = executor->running;
    const WorkStep *step = &task->steps[MIN(task->step, task->n_steps - 1)];
    gint64 now_usec = g_get_monotonic_time();

    if (task->step < task->n_steps && takes_offline(step)) {
        AttemptLook look = {.now_usec = now_usec,
                            .available_bytes = available_bytes(executor->io, &task->limits),
                            .is_begun = is_going_offline(executor->io, step->index),
                            .is_asleep = is_asleep(executor->io, executor->worker)};
        look.used_pages = look.is_begun ? used_pages(executor->io, step->index, &task->guard) : -1;
        if (attempt_guard_look(&task->guard, &look, outcome))
            return TRUE;
    } else if (is_reached(task->limits.deadline_usec, now_usec)) {
        *outcome = (AttemptOutcome){.end = ATTEMPT_LATE};
        return TRUE;
    }
    *outcome = (AttemptOutcome){.end = ATTEMPT_CANCELLED};
    return is_waited_for(executor) &&
           (step->kind == STEP_RECLAIM ||
            (step->kind == STEP_BLOCK && is_reached(task->limits.yield_usec, now_usec)));
}

static gboolean on_look(gpointer user_data)
{
    Executor *executor = user_data;
    AttemptOutcome outcome;

    if (!take_records(executor) || executor->running->is_ending || !executor->running->has_limits ||
        !look_at_step(executor, &outcome))
        return G_SOURCE_CONTINUE;
    worker_end(executor, &outcome);
    return G_SOURCE_CONTINUE;
}

/* --- how one begins --- */

/* Returns 0, or the errno for which there is no worker. */
static int worker_start(Executor *executor, Task *task)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return errno;

    pid_t parent = getpid();
    g_atomic_int_set(executor->must_yield, task->limits.is_resumed && is_waited_for(executor));
    pid_t pid = fork();
    if (pid < 0) {
        int error = errno;
        close(fds[0]);
        close(fds[1]);
        return error;
    }
    if (pid == 0) {
        worker_close_fds(executor->io, fds[1]);
        worker_run(executor, task, fds[1], parent);
    }
    close(fds[1]);
    g_unix_set_fd_nonblocking(fds[0], TRUE, NULL);
    executor->worker = pid;
    executor->running = task;
    executor->pipe_fd = fds[0];
    executor->pipe_watch = g_unix_fd_add(fds[0], G_IO_HUP, on_hangup, executor);
    guard_step(task);
    executor->look_timer = loop_add_due(ATTEMPT_LOOK_USEC, on_look, executor);
    return 0;
}

/* A worker for TASK, or the task's end. */
static void task_start(Executor *executor, Task *task)
{
    if (is_reached(task->limits.deadline_usec, g_get_monotonic_time())) {
        task->outcome.end = ATTEMPT_LATE;
        task_finish(task);
        return;
    }
    int error = worker_start(executor, task);
    if (error != 0 && !executor->has_warned)
        g_warning("cannot start a process that writes to /sys: %s; look at the unit's TasksMax, "
                  "and at memory",
                  g_strerror(error));
    executor->has_warned = error != 0;
    if (error == 0)
        return;
    task->outcome = (AttemptOutcome){.end = ATTEMPT_NO_WORKER, .error = error};
    for (guint i = 0; i < task->n_steps; i++)
        task->errors[i] = error;
    task_finish(task);
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
        task_start(executor, task);
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
    executor->must_yield =
        mmap(NULL, sizeof(gint), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_assert(executor->must_yield != MAP_FAILED);
    return executor;
}

void executor_free(Executor *executor)
{
    if (!executor)
        return;
    g_clear_handle_id(&executor->idle, g_source_remove);
    g_clear_handle_id(&executor->kill_timer, g_source_remove);
    g_clear_handle_id(&executor->look_timer, g_source_remove);
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
    munmap(executor->must_yield, sizeof(gint));
    g_free(executor);
}

guint executor_submit(Executor *executor, ExecutorPriority priority, const WorkStep *steps,
                      guint n_steps, const AttemptLimits *limits, ExecutorFunc func,
                      gpointer user_data, GDestroyNotify destroy)
{
    Task *task = g_new0(Task, 1);
    task->id = ++executor->last_id ? executor->last_id : ++executor->last_id;
    task->steps = g_new(WorkStep, n_steps);
    memcpy(task->steps, steps, n_steps * sizeof *steps);
    task->errors = g_new(int, n_steps);
    task->n_steps = n_steps;
    task->has_limits = limits != NULL;
    if (limits)
        task->limits = *limits;
    task->func = func;
    task->user_data = user_data;
    task->destroy = destroy;
    for (guint i = 0; i < n_steps; i++)
        task->errors[i] = STEP_NOT_DONE;
    g_queue_push_tail(priority == EXECUTOR_SOON ? &executor->soon : &executor->later, task);
    if (executor->running)
        executor_yield(executor, executor->running->id);
    executor_kick(executor);
    return task->id;
}

static gboolean queue_cancel(Executor *executor, GQueue *queue, guint id)
{
    for (GList *l = queue->head; l; l = l->next) {
        Task *task = l->data;
        if (task->id == id) {
            g_queue_delete_link(queue, l);
            task->outcome.end = ATTEMPT_CANCELLED;
            g_queue_push_tail(&executor->cancelled, task);
            executor_kick(executor);
            return TRUE;
        }
    }
    return FALSE;
}

void executor_yield(Executor *executor, guint task)
{
    if (executor->running && executor->running->id == task && executor->running->limits.is_resumed)
        g_atomic_int_set(executor->must_yield, TRUE);
}

void executor_cancel(Executor *executor, guint task)
{
    if (executor->running && executor->running->id == task) {
        worker_end(executor, &(AttemptOutcome){.end = ATTEMPT_CANCELLED});
        return;
    }
    if (!queue_cancel(executor, &executor->soon, task))
        queue_cancel(executor, &executor->later, task);
}

const char *work_result_prefix(const WorkResult *result)
{
    return result->attempt.end == ATTEMPT_NO_WORKER ? "no process can be started for it: " : "";
}

gboolean executor_is_stuck(const Executor *executor, guint task, guint *step,
                           AttemptOutcome *outcome)
{
    const Task *running = executor->running;

    if (!running || running->id != task || !running->is_ending ||
        running->outcome.end != ATTEMPT_STALLED || running->step >= running->n_steps)
        return FALSE;
    *step = running->step;
    *outcome = running->outcome;
    return TRUE;
}

guint executor_running(const Executor *executor)
{
    return executor->running ? executor->running->id : 0;
}

gboolean executor_is_busy(const Executor *executor)
{
    return executor->running || executor->soon.length || executor->later.length ||
           executor->cancelled.length;
}
