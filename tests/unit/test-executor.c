/*
 * The forked worker, against a kernel in shared memory: results, order, and how it is ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
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

static void on_done(const int *errors, guint n_steps, gpointer user_data)
{
    Result *result = user_data;

    g_assert_cmpuint(n_steps, <=, RESULTS_MAX);
    memcpy(result->errors, errors, n_steps * sizeof *errors);
    result->n = n_steps;
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

    executor_submit(fixture->executor, EXECUTOR_LATER, steps, 3, on_done, &result);
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
    executor_submit(fixture->executor, EXECUTOR_LATER, &step, 1, on_done, &result);
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

    executor_submit(fixture->executor, EXECUTOR_LATER, &a, 1, on_done, &first);
    wait_for(&first);
    executor_submit(fixture->executor, EXECUTOR_LATER, &b, 1, on_done, &later);
    executor_submit(fixture->executor, EXECUTOR_SOON, &c, 1, on_done, &soon);
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

    executor_submit(fixture->executor, EXECUTOR_LATER, up, 2, on_done, &online);
    wait_for(&online);
    fake_kernel_set_offline_ms(fixture->fake, 40, FAKE_FOR_EVER);
    guint task = executor_submit(fixture->executor, EXECUTOR_LATER, down, 2, on_done, &result);
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

    guint task = executor_submit(fixture->executor, EXECUTOR_LATER, &step, 1, on_done, &result);
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

    executor_submit(fixture->executor, EXECUTOR_LATER, &up, 1, on_done, &online);
    wait_for(&online);
    fake_kernel_set_offline_ms(fixture->fake, 40, FAKE_FOR_EVER);
    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    guint task = executor_submit(fixture->executor, EXECUTOR_LATER, &down, 1, on_done, &result);
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

    executor_submit(fixture->executor, EXECUTOR_LATER, &up, 1, on_done, &online);
    wait_for(&online);
    fake_kernel_set_offline_ms(fixture->fake, 40, FAKE_FOR_EVER);
    executor_submit(fixture->executor, EXECUTOR_LATER, &down, 1, on_done, &result);
    wait_for_state(fixture, 40, "going-offline");
    g_clear_pointer(&fixture->executor, executor_free);
    g_assert_cmpint(waitpid(-1, NULL, 0), >, 0); /* SIGKILL has ended it */
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
    g_assert_cmpint(errno, ==, ECHILD);
    g_assert_cmpuint(result.n, ==, 0);
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
    return g_test_run();
}
