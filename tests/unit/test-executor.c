/*
 * The forked worker, against a kernel in shared memory: results, order, and how it is ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake-kernel.h"
#include "os/executor.h"

#define RESULTS_MAX 8

typedef struct {
    FakeKernel *fake;
    AttrIo *io;
    Executor *executor;
} Fixture;

typedef struct {
    guint n;
    int errors[RESULTS_MAX];
    AttemptOutcome attempt;
    guint n_forgotten;
} Result;

static void set_up(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    fixture->fake = fake_kernel_new(128 << 20);
    fake_kernel_add_dimm(fixture->fake, 0, 40, 4);
    fixture->io = fake_kernel_io(fixture->fake);
    fixture->executor = executor_new(fixture->io);
}

static void tear_down(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    executor_free(fixture->executor);
    attr_io_free(fixture->io);
    fake_kernel_free(fixture->fake);
}

static void on_done(const WorkResult *done, gpointer user_data)
{
    Result *result = user_data;

    g_assert_cmpuint(done->n_steps, <=, RESULTS_MAX);
    memcpy(result->errors, done->errors, done->n_steps * sizeof *done->errors);
    result->attempt = done->attempt;
    result->n = done->n_steps;
}

static guint submit(Fixture *fixture, ExecutorPriority priority, const WorkStep *steps, guint n,
                    Result *result)
{
    return executor_submit(fixture->executor, priority, steps, n, NULL, on_done, result, NULL);
}

static WorkStep block_step(Fixture *fixture, guint32 index, const char *verb)
{
    return (WorkStep){.kind = STEP_BLOCK,
                      .index = index,
                      .inode = fake_kernel_inode(fixture->fake, index),
                      .verb = verb};
}

static void wait_for(const Result *result)
{
    while (result->n == 0)
        g_main_context_iteration(NULL, TRUE);
}

/* Lets the loop run until the block reads STATE: another process is at work on it. */
static void wait_for_state(Fixture *fixture, guint32 index, const char *state)
{
    while (g_strcmp0(fake_kernel_state(fixture->fake, index), state) != 0) {
        g_main_context_iteration(NULL, FALSE);
        g_usleep(1000);
    }
}

static void test_steps_in_order(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    Result result = {.n = 0};
    WorkStep steps[] = {block_step(fixture, 42, "online_movable"),
                        block_step(fixture, 40, "online_movable"),
                        block_step(fixture, 40, "online_movable")};

    submit(fixture, EXECUTOR_LATER, steps, 3, &result);
    g_assert_cmpuint(result.n, ==, 0); /* never from within submit */
    wait_for(&result);
    g_assert_cmpint(result.errors[0], ==, 0);
    g_assert_cmpint(result.errors[1], ==, 0);
    g_assert_cmpint(result.errors[2], ==, EINVAL); /* it is online already */
    guint n;
    const FakeWrite *writes = fake_kernel_writes(fixture->fake, &n);
    g_assert_cmpuint(n, ==, 3);
    g_assert_true(g_str_has_suffix(writes[0].path, "memory42/state"));
    g_assert_cmpint(writes[0].pid, !=, getpid());
    g_assert_cmpstr(fake_kernel_zone(fixture->fake, 42), ==, "Movable");
    g_assert_false(executor_is_busy(fixture->executor));
}

/* A block with another inode is another block, whatever its index. */
static void test_identity(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    Result result = {.n = 0};
    WorkStep step = block_step(fixture, 41, "online_movable");

    fake_kernel_remove_dimm(fixture->fake, 0);
    fake_kernel_add_dimm(fixture->fake, 0, 40, 4);
    submit(fixture, EXECUTOR_LATER, &step, 1, &result);
    wait_for(&result);
    g_assert_cmpint(result.errors[0], ==, ESTALE);
    g_assert_cmpstr(fake_kernel_state(fixture->fake, 41), ==, "offline");
}

static void test_one_at_a_time_and_soon_first(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    Result first = {.n = 0}, later = {.n = 0}, soon = {.n = 0};
    WorkStep a = block_step(fixture, 40, "online_movable");
    WorkStep b = block_step(fixture, 41, "online_movable");
    WorkStep c = block_step(fixture, 42, "online_movable");

    submit(fixture, EXECUTOR_LATER, &a, 1, &first);
    wait_for(&first);
    submit(fixture, EXECUTOR_LATER, &b, 1, &later);
    submit(fixture, EXECUTOR_SOON, &c, 1, &soon);
    wait_for(&later);
    g_assert_cmpuint(soon.n, ==, 1);
    guint n;
    const FakeWrite *writes = fake_kernel_writes(fixture->fake, &n);
    g_assert_cmpuint(n, ==, 3);
    g_assert_true(g_str_has_suffix(writes[1].path, "memory42/state"));
    g_assert_true(g_str_has_suffix(writes[2].path, "memory41/state"));
}

/* A worker in an offline that never ends is freed by a signal; the steps behind it are not begun.
 */
static void test_cancel_running(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    Result online = {.n = 0}, result = {.n = 0};
    WorkStep up[] = {block_step(fixture, 40, "online_movable"),
                     block_step(fixture, 41, "online_movable")};
    WorkStep down[] = {block_step(fixture, 40, "offline"), block_step(fixture, 41, "offline")};

    submit(fixture, EXECUTOR_LATER, up, 2, &online);
    wait_for(&online);
    fake_kernel_set_offline_ms(fixture->fake, 40, FAKE_FOR_EVER);
    guint task = submit(fixture, EXECUTOR_LATER, down, 2, &result);
    wait_for_state(fixture, 40, "going-offline");
    executor_cancel(fixture->executor, task);
    executor_cancel(fixture->executor, task); /* twice is once */
    wait_for(&result);
    g_assert_cmpint(result.errors[0], ==, EINTR);
    g_assert_cmpint(result.errors[1], ==, STEP_NOT_DONE);
    g_assert_cmpstr(fake_kernel_state(fixture->fake, 41), ==, "online");
}

static void test_cancel_waiting(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    Result result = {.n = 0};
    WorkStep step = block_step(fixture, 40, "online_movable");

    guint task = submit(fixture, EXECUTOR_LATER, &step, 1, &result);
    executor_cancel(fixture->executor, task);
    g_assert_cmpuint(result.n, ==, 0);
    wait_for(&result);
    g_assert_cmpint(result.errors[0], ==, STEP_NOT_DONE);
    g_assert_cmpuint(fake_kernel_count_writes(fixture->fake, -1, NULL), ==, 0);
}

/* The worker must keep nothing of the daemon's open: here, the write end of a pipe. */
static void test_holds_no_descriptor(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    Result online = {.n = 0}, result = {.n = 0};
    WorkStep up = block_step(fixture, 40, "online_movable");
    WorkStep down = block_step(fixture, 40, "offline");
    int fds[2];
    char byte;

    submit(fixture, EXECUTOR_LATER, &up, 1, &online);
    wait_for(&online);
    fake_kernel_set_offline_ms(fixture->fake, 40, FAKE_FOR_EVER);
    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    guint task = submit(fixture, EXECUTOR_LATER, &down, 1, &result);
    wait_for_state(fixture, 40, "going-offline");
    close(fds[1]);
    g_assert_cmpint(read(fds[0], &byte, 1), ==, 0); /* would block if the worker held it */
    close(fds[0]);
    executor_cancel(fixture->executor, task);
    wait_for(&result);
}

/* Whoever frees the executor leaves no worker behind. */
static void test_free_while_running(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    Result online = {.n = 0}, result = {.n = 0};
    WorkStep up = block_step(fixture, 40, "online_movable");
    WorkStep down = block_step(fixture, 40, "offline");

    submit(fixture, EXECUTOR_LATER, &up, 1, &online);
    wait_for(&online);
    fake_kernel_set_offline_ms(fixture->fake, 40, FAKE_FOR_EVER);
    submit(fixture, EXECUTOR_LATER, &down, 1, &result);
    wait_for_state(fixture, 40, "going-offline");
    g_clear_pointer(&fixture->executor, executor_free);
    g_assert_cmpint(waitpid(-1, NULL, 0), >, 0); /* SIGKILL has ended it */
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
    g_assert_cmpint(errno, ==, ECHILD);
    g_assert_cmpuint(result.n, ==, 0);
}

/* --- limits --- */

static gboolean is_forkless; /* fork() fails, as at the unit's TasksMax */

pid_t fork(void)
{
    if (!is_forkless)
        return (pid_t)syscall(SYS_clone, SIGCHLD, 0, NULL, NULL, NULL);
    errno = EAGAIN;
    return -1;
}

static void on_forgotten(gpointer user_data)
{
    ((Result *)user_data)->n_forgotten++;
}

static guint submit_limited(Fixture *fixture, const WorkStep *steps, guint n,
                            const AttemptLimits *limits, Result *result)
{
    return executor_submit(fixture->executor, EXECUTOR_LATER, steps, n, limits, on_done, result,
                           on_forgotten);
}

/* All blocks online, with memory enough. */
static void bring_online(Fixture *fixture)
{
    for (guint32 i = 40; i < 44; i++)
        fake_kernel_set_state(fixture->fake, i, "online", "Movable");
    fake_kernel_set_available(fixture->fake, 1 << 30);
}

static const AttemptLimits limits = {.reserve_bytes = 64 << 20, .block_bytes = 128 << 20};

/* Without a process the true errno is told, for each step; and with one again all goes on. */
static void test_no_worker(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    Result result = {.n = 0}, again = {.n = 0};
    WorkStep down[] = {block_step(fixture, 40, "offline"), block_step(fixture, 41, "offline")};

    bring_online(fixture);
    is_forkless = TRUE;
    g_test_expect_message("memplug", G_LOG_LEVEL_WARNING, "*cannot start a process*");
    submit_limited(fixture, down, 2, &limits, &result);
    wait_for(&result);
    g_assert_cmpint(result.attempt.end, ==, ATTEMPT_NO_WORKER);
    g_assert_cmpint(result.attempt.error, ==, EAGAIN);
    g_assert_cmpint(result.errors[1], ==, EAGAIN);
    g_assert_cmpuint(result.n_forgotten, ==, 1);
    result.n = 0;
    submit_limited(fixture, down, 2, &limits, &result); /* said once */
    wait_for(&result);
    g_test_assert_expected_messages();
    is_forkless = FALSE;
    submit_limited(fixture, down, 2, &limits, &again);
    wait_for(&again);
    g_assert_cmpint(again.attempt.end, ==, ATTEMPT_OVER);
    g_assert_cmpstr(fake_kernel_state(fixture->fake, 41), ==, "offline");
}

/* The pipe fails where there are no descriptors left. */
static void test_no_descriptors(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    Result result = {.n = 0};
    WorkStep down = block_step(fixture, 40, "offline");
    struct rlimit before, none;

    bring_online(fixture);
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
    g_test_expect_message("memplug", G_LOG_LEVEL_WARNING, "*cannot start a process*");
    submit_limited(fixture, &down, 1, &limits, &result);
    wait_for(&result);
    g_test_assert_expected_messages();
    setrlimit(RLIMIT_NOFILE, &before);
    g_assert_cmpint(result.attempt.end, ==, ATTEMPT_NO_WORKER);
    g_assert_cmpint(result.errors[0], ==, EMFILE);
}

/* No step takes a block offline where the reserve would be crossed; others are done. */
static void test_reserve(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    Result result = {.n = 0};
    WorkStep steps[] = {block_step(fixture, 40, "offline"), block_step(fixture, 41, "offline"),
                        block_step(fixture, 43, "online_movable")};

    bring_online(fixture);
    fake_kernel_set_state(fixture->fake, 43, "offline", NULL);
    fake_kernel_set_available(fixture->fake, (64 + 128 + 127) << 20);
    submit_limited(fixture, steps, 3, &limits, &result);
    wait_for(&result);
    g_assert_cmpint(result.errors[0], ==, 0);
    g_assert_cmpint(result.errors[1], ==, STEP_NOT_DONE);
    g_assert_cmpint(result.errors[2], ==, 0);
    g_assert_cmpint(result.attempt.end, ==, ATTEMPT_LOW_MEMORY);
    g_assert_cmpuint(result.attempt.available_bytes, ==, (64 + 127) << 20);
    g_assert_cmpuint(fake_kernel_count_writes(fixture->fake, 41, NULL), ==, 0);
}

static void test_guard(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    Result result = {.n = 0};
    WorkStep down = block_step(fixture, 40, "offline");

    bring_online(fixture);
    fake_kernel_set_offline_ms(fixture->fake, 40, FAKE_FOR_EVER);
    submit_limited(fixture, &down, 1, &limits, &result);
    wait_for_state(fixture, 40, "going-offline");
    fake_kernel_set_available(fixture->fake, 1 << 20);
    wait_for(&result);
    g_assert_cmpint(result.errors[0], ==, EINTR);
    g_assert_cmpint(result.attempt.end, ==, ATTEMPT_LOW_MEMORY);
    g_assert_cmpuint(result.attempt.available_bytes, ==, 1 << 20);
    g_assert_cmpstr(fake_kernel_state(fixture->fake, 40), ==, "online");
}

/* An attempt that lasts longer than the stall limit goes on while pages leave the block, whatever
 * part of it they leave; when none does, it is ended, and told as that. */
static void test_stall(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    Result result = {.n = 0};
    WorkStep down = block_step(fixture, 40, "offline");
    guint n_pages = (128 << 20) / (guint)sysconf(_SC_PAGESIZE);

    bring_online(fixture);
    fake_kernel_set_offline_ms(fixture->fake, 40, FAKE_FOR_EVER);
    fake_kernel_set_used_pages(fixture->fake, 40, n_pages);
    submit_limited(fixture, &down, 1, &limits, &result);
    wait_for_state(fixture, 40, "going-offline");
    gint64 start_usec = g_get_monotonic_time();
    while (g_get_monotonic_time() < start_usec + ATTEMPT_STALL_USEC * 3 / 2) {
        guint64 left = (guint64)(start_usec + 2 * ATTEMPT_STALL_USEC - g_get_monotonic_time());
        fake_kernel_set_used_pages(fixture->fake, 40,
                                   (guint)(n_pages * left / (2 * ATTEMPT_STALL_USEC)));
        g_main_context_iteration(NULL, FALSE);
        g_usleep(1000);
        g_assert_cmpuint(result.n, ==, 0);
    }
    wait_for(&result);
    g_assert_cmpint(result.attempt.end, ==, ATTEMPT_STALLED);
    g_assert_false(result.attempt.is_waiting);
    g_assert_cmpint(result.errors[0], ==, EINTR);
}

static void test_deadline(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    Result running = {.n = 0}, waiting = {.n = 0};
    WorkStep first = block_step(fixture, 40, "offline"),
             second = block_step(fixture, 41, "offline");
    AttemptLimits soon = limits;

    bring_online(fixture);
    fake_kernel_set_offline_ms(fixture->fake, 40, FAKE_FOR_EVER);
    soon.deadline_usec = g_get_monotonic_time() + 300000;
    submit_limited(fixture, &first, 1, &soon, &running);
    submit_limited(fixture, &second, 1, &soon, &waiting);
    wait_for(&waiting);
    g_assert_cmpint(running.attempt.end, ==, ATTEMPT_LATE);
    g_assert_cmpint(running.errors[0], ==, EINTR);
    g_assert_cmpint(waiting.attempt.end, ==, ATTEMPT_LATE);
    g_assert_cmpint(waiting.errors[0], ==, STEP_NOT_DONE);
    g_assert_cmpuint(fake_kernel_count_writes(fixture->fake, 41, NULL), ==, 0);
}

/* A task that yields goes on until another one waits. */
static void test_yield(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    Result moving = {.n = 0}, other = {.n = 0};
    WorkStep down = block_step(fixture, 40, "offline"), next = block_step(fixture, 41, "offline");
    AttemptLimits yielding = limits;

    bring_online(fixture);
    fake_kernel_set_offline_ms(fixture->fake, 40, FAKE_FOR_EVER);
    yielding.yield_usec = g_get_monotonic_time();
    submit_limited(fixture, &down, 1, &yielding, &moving);
    wait_for_state(fixture, 40, "going-offline");
    gint64 end_usec = g_get_monotonic_time() + 500000;
    while (g_get_monotonic_time() < end_usec)
        g_main_context_iteration(NULL, FALSE);
    g_assert_cmpuint(moving.n, ==, 0);
    submit_limited(fixture, &next, 1, &limits, &other);
    wait_for(&other);
    g_assert_cmpint(moving.attempt.end, ==, ATTEMPT_CANCELLED);
    g_assert_cmpint(other.errors[0], ==, 0);
}

static const AttemptLimits resumed = {
    .reserve_bytes = 64 << 20, .block_bytes = 128 << 20, .is_resumed = TRUE};

/* Steps of one task, which its caller comes again for: one process, until one fails. */
static void test_resumed_until_failure(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    Result result = {.n = 0};
    WorkStep steps[] = {block_step(fixture, 40, "offline"), block_step(fixture, 41, "offline"),
                        block_step(fixture, 43, "offline")};

    bring_online(fixture);
    fake_kernel_fail(fixture->fake, 41, "offline", EBUSY, 1);
    submit_limited(fixture, steps, 3, &resumed, &result);
    wait_for(&result);
    g_assert_cmpint(result.attempt.end, ==, ATTEMPT_OVER);
    g_assert_cmpint(result.errors[0], ==, 0);
    g_assert_cmpint(result.errors[1], ==, EBUSY);
    g_assert_cmpint(result.errors[2], ==, STEP_NOT_DONE);
    g_assert_cmpuint(fake_kernel_count_writes(fixture->fake, 43, NULL), ==, 0);
}

/* It makes room for another task, and where it is asked to, between two steps: no attempt is
 * broken off. */
static void test_resumed_makes_room(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    WorkStep steps[] = {block_step(fixture, 40, "offline"), block_step(fixture, 41, "offline")};
    WorkStep other = block_step(fixture, 43, "offline");

    for (guint i = 0; i < 2; i++) {
        Result result = {.n = 0}, next = {.n = 0};

        bring_online(fixture);
        fake_kernel_set_offline_ms(fixture->fake, 40, 400);
        guint task = submit_limited(fixture, steps, 2, &resumed, &result);
        wait_for_state(fixture, 40, "going-offline");
        if (i == 0)
            submit_limited(fixture, &other, 1, &limits, &next);
        else
            executor_yield(fixture->executor, task);
        wait_for(&result);
        g_assert_cmpint(result.attempt.end, ==, ATTEMPT_OVER);
        g_assert_cmpint(result.errors[0], ==, 0);
        g_assert_cmpint(result.errors[1], ==, STEP_NOT_DONE);
        if (i == 0)
            wait_for(&next);
        g_assert_cmpint(next.errors[0], ==, 0);
    }
}

/* The guard is at the step that the worker is at, though each step does not wake the loop. */
static void test_guard_in_the_list(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    Result result = {.n = 0};
    WorkStep steps[] = {block_step(fixture, 40, "offline"), block_step(fixture, 41, "offline"),
                        block_step(fixture, 43, "offline")};

    bring_online(fixture);
    fake_kernel_set_offline_ms(fixture->fake, 41, FAKE_FOR_EVER);
    submit_limited(fixture, steps, 3, &resumed, &result);
    wait_for_state(fixture, 41, "going-offline");
    fake_kernel_set_available(fixture->fake, 1 << 20);
    wait_for(&result);
    g_assert_cmpint(result.attempt.end, ==, ATTEMPT_LOW_MEMORY);
    g_assert_cmpint(result.errors[0], ==, 0);
    g_assert_cmpint(result.errors[1], ==, EINTR);
    g_assert_cmpint(result.errors[2], ==, STEP_NOT_DONE);
}

/* Whoever frees the executor gets back what it was given for each task. */
static void test_destroy(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    Result running = {.n = 0}, waiting = {.n = 0};
    WorkStep down = block_step(fixture, 40, "offline");

    bring_online(fixture);
    fake_kernel_set_offline_ms(fixture->fake, 40, FAKE_FOR_EVER);
    submit_limited(fixture, &down, 1, &limits, &running);
    submit_limited(fixture, &down, 1, &limits, &waiting);
    wait_for_state(fixture, 40, "going-offline");
    g_clear_pointer(&fixture->executor, executor_free);
    g_assert_cmpuint(running.n + waiting.n, ==, 0);
    g_assert_cmpuint(running.n_forgotten, ==, 1);
    g_assert_cmpuint(waiting.n_forgotten, ==, 1);
    g_assert_cmpint(waitpid(-1, NULL, 0), >, 0);
}

#define ADD(name, func) g_test_add("/executor/" name, Fixture, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("steps-in-order", test_steps_in_order);
    ADD("identity", test_identity);
    ADD("one-at-a-time-and-soon-first", test_one_at_a_time_and_soon_first);
    ADD("cancel-running", test_cancel_running);
    ADD("cancel-waiting", test_cancel_waiting);
    ADD("holds-no-descriptor", test_holds_no_descriptor);
    ADD("free-while-running", test_free_while_running);
    ADD("no-worker", test_no_worker);
    ADD("no-descriptors", test_no_descriptors);
    ADD("reserve", test_reserve);
    ADD("guard", test_guard);
    ADD("stall", test_stall);
    ADD("deadline", test_deadline);
    ADD("yield", test_yield);
    ADD("resumed-until-failure", test_resumed_until_failure);
    ADD("resumed-makes-room", test_resumed_makes_room);
    ADD("guard-in-the-list", test_guard_in_the_list);
    ADD("destroy", test_destroy);
    return g_test_run();
}
