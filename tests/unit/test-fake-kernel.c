/*
 * The fake kernel itself: what other tests rely on when they say "the kernel would".
 */
#include "tests/unit/fake-kernel.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system/block.h"
#include "system/units.h"

#define FLAG_DIR "sys/firmware/acpi/hotplug/memory"

typedef struct {
    FakeKernel *fake;
    AttrIo *io;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    (void)data;
    f->fake = fake_kernel_new(128 * MIB);
    f->io = fake_kernel_io(f->fake);
    fake_kernel_add_boot(f->fake, 0, 16);
    fake_kernel_add_dimm(f->fake, 0, 32, 4);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    attr_io_free(f->io);
    fake_kernel_free(f->fake);
}

static int write_state(Fixture *f, guint32 index, const char *verb)
{
    return block_write_state(f->io, index, 0, verb);
}

static void assert_state(Fixture *f, guint32 index, const char *state)
{
    char path[BLOCK_PATH_MAX], word[32];

    g_assert_cmpint(attr_read_line(f->io, block_path(index, "state", path), word, sizeof word), >=,
                    0);
    g_assert_cmpstr(word, ==, state);
}

/* Waits until the block reads STATE; ends the test if it does not within 5 s. */
static void await_state(Fixture *f, guint32 index, const char *state)
{
    gint64 end = g_get_monotonic_time() + 5 * USEC_PER_SEC;

    while (strcmp(fake_kernel_state(f->fake, index), state) != 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(500);
    }
}

static pid_t fork_writer(Fixture *f, guint32 index, const char *verb)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(-write_state(f, index, verb));
    g_assert_cmpint(pid, >, 0);
    return pid;
}

static int wait_for(pid_t pid)
{
    int status;

    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return status;
}

static void test_errors(Fixture *f, gconstpointer data)
{
    guint n;

    (void)data;
    g_assert_cmpint(write_state(f, 32, "offline"), ==, -EINVAL);
    g_assert_cmpint(write_state(f, 32, "movable"), ==, -EINVAL);
    g_assert_cmpint(write_state(f, 32, "online_movable\n"), ==, 0);
    g_assert_cmpint(write_state(f, 32, "online"), ==, -EINVAL);
    g_assert_cmpstr(fake_kernel_zone(f->fake, 32), ==, "Movable");
    g_assert_cmpint(write_state(f, 99, "online"), ==, -ENOENT);
    g_assert_cmpint(write_state(f, 33, "online"), ==, 0);
    g_assert_cmpstr(fake_kernel_zone(f->fake, 33), ==, "Normal");
    g_assert_cmpint(write_state(f, 34, "online_kernel"), ==, 0);
    fake_kernel_set_state(f->fake, 34, "online", "none");
    g_assert_cmpint(write_state(f, 34, "offline"), ==, -EINVAL);
    g_assert_cmpint(write_state(f, 33, "offline"), ==, 0);
    assert_state(f, 33, "offline");

    const FakeWrite *writes = fake_kernel_writes(f->fake, &n);
    g_assert_cmpuint(n, ==, 9);
    g_assert_cmpstr(writes[0].path, ==, "sys/devices/system/memory/memory32/state");
    g_assert_cmpstr(writes[0].value, ==, "offline");
    g_assert_cmpint(writes[0].result, ==, -EINVAL);
    g_assert_cmpint(writes[2].result, ==, 0);
    g_assert_cmpint(writes[0].pid, ==, getpid());
    g_assert_cmpuint(fake_kernel_count_writes(f->fake, 33, NULL), ==, 2);
    g_assert_cmpuint(fake_kernel_count_writes(f->fake, 33, "offline"), ==, 1);
    g_assert_cmpuint(fake_kernel_count_writes(f->fake, -1, "online"), ==, 3);
    fake_kernel_clear_writes(f->fake);
    g_assert_cmpuint(fake_kernel_count_writes(f->fake, -1, NULL), ==, 0);
}

static void test_fail(Fixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_set_state(f->fake, 32, "online", "Movable");
    fake_kernel_fail(f->fake, 32, "offline", EBUSY, 2);
    g_assert_cmpint(write_state(f, 32, "offline"), ==, -EBUSY);
    g_assert_cmpint(write_state(f, 32, "offline"), ==, -EBUSY);
    assert_state(f, 32, "online");
    g_assert_cmpstr(fake_kernel_zone(f->fake, 32), ==, "Movable");
    g_assert_cmpint(write_state(f, 32, "offline"), ==, 0);

    fake_kernel_fail(f->fake, 32, NULL, EPERM, FAKE_FOR_EVER);
    for (int i = 0; i < 5; i++)
        g_assert_cmpint(write_state(f, 32, "online"), ==, -EPERM);
    fake_kernel_fail(f->fake, 32, NULL, 0, 0);
    g_assert_cmpint(write_state(f, 32, "online"), ==, 0);
}

static void test_memory(Fixture *f, gconstpointer data)
{
    g_autofree char *text = NULL;

    (void)data;
    g_assert_cmpuint(fake_kernel_available(f->fake), ==, 2 * GIB);
    fake_kernel_set_available(f->fake, GIB);
    g_assert_cmpint(write_state(f, 32, "online_movable"), ==, 0);
    g_assert_cmpuint(fake_kernel_available(f->fake), ==, GIB + 128 * MIB);
    g_assert_cmpint(attr_read_all(f->io, "proc/meminfo", 4096, &text), >, 0);
    g_assert_nonnull(strstr(text, "MemTotal:        2228224 kB\n"));
    g_assert_nonnull(strstr(text, "MemAvailable:    1179648 kB\n"));
    g_assert_cmpint(write_state(f, 32, "offline"), ==, 0);
    g_assert_cmpuint(fake_kernel_available(f->fake), ==, GIB);
}

static void test_new_at_old_address(Fixture *f, gconstpointer data)
{
    guint64 inode = fake_kernel_inode(f->fake, 32);

    (void)data;
    fake_kernel_remove_dimm(f->fake, 0);
    g_assert_null(fake_kernel_state(f->fake, 32));
    g_assert_cmpint(block_write_state(f->io, 32, inode, "online"), ==, -ENOENT);
    fake_kernel_add_dimm(f->fake, 0, 32, 4);
    g_assert_cmpuint(fake_kernel_inode(f->fake, 32), !=, inode);
    g_assert_cmpint(block_write_state(f->io, 32, inode, "online"), ==, -ESTALE);
    assert_state(f, 32, "offline");
}

static void test_vanish(Fixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_vanish_on_write(f->fake, 32);
    assert_state(f, 32, "offline");
    g_assert_cmpint(write_state(f, 32, "online"), ==, -ENODEV);
    g_assert_null(fake_kernel_state(f->fake, 32));
    fake_kernel_vanish_on_access(f->fake, 33);
    g_assert_cmpint(write_state(f, 33, "online"), ==, -ENOENT);
}

/* A forked child's write is the parent's truth. */
static void test_fork(Fixture *f, gconstpointer data)
{
    guint n;

    (void)data;
    pid_t pid = fork_writer(f, 32, "online_movable");
    g_assert_cmpint(wait_for(pid), ==, 0);
    assert_state(f, 32, "online");
    g_assert_cmpint(fake_kernel_writes(f->fake, &n)[0].pid, ==, pid);
    g_assert_cmpuint(n, ==, 1);
}

static void test_slow(Fixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_set_state(f->fake, 32, "online", "Movable");
    fake_kernel_set_state(f->fake, 33, "online", "Movable");
    fake_kernel_set_offline_ms(f->fake, 32, 100);
    gint64 start = g_get_monotonic_time();
    pid_t slow = fork_writer(f, 32, "offline");
    await_state(f, 32, "going-offline");
    /* The other writer waits for the hotplug lock. */
    pid_t other = fork_writer(f, 33, "offline");
    g_usleep(20000);
    assert_state(f, 33, "online");
    assert_state(f, 32, "going-offline");
    g_assert_cmpint(wait_for(slow), ==, 0);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 100 * USEC_PER_MSEC);
    g_assert_cmpint(wait_for(other), ==, 0);
    assert_state(f, 32, "offline");
    assert_state(f, 33, "offline");
}

static void end_by(Fixture *f, int sig)
{
    guint n;

    fake_kernel_set_state(f->fake, 32, "online", "Movable");
    fake_kernel_set_offline_ms(f->fake, 32, FAKE_FOR_EVER);
    fake_kernel_clear_writes(f->fake);
    pid_t pid = fork_writer(f, 32, "offline");
    await_state(f, 32, "going-offline");
    g_assert_cmpint(kill(pid, sig), ==, 0);
    int status = wait_for(pid);
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, sig);
    /* Online again, in its old zone; and the next writer is not in anyone's way. */
    assert_state(f, 32, "online");
    g_assert_cmpstr(fake_kernel_zone(f->fake, 32), ==, "Movable");
    g_assert_cmpint(fake_kernel_writes(f->fake, &n)[0].result, ==, FAKE_PENDING);
    g_assert_cmpint(write_state(f, 33, "online_movable"), ==, 0);
    g_assert_cmpint(write_state(f, 33, "offline"), ==, 0);
}

static void test_end_by_term(Fixture *f, gconstpointer data)
{
    (void)data;
    end_by(f, SIGTERM);
}

static void test_end_by_kill(Fixture *f, gconstpointer data)
{
    (void)data;
    end_by(f, SIGKILL);
}

static void catch_signal(int sig)
{
    (void)sig;
}

/* A signal that is handled: EINTR, and the writer lives. One that is ignored or blocked: no. */
static void test_handled_signal(Fixture *f, gconstpointer data)
{
    struct itimerval timer = {.it_value = {.tv_usec = 20000}};

    (void)data;
    fake_kernel_set_state(f->fake, 32, "online", "Movable");
    fake_kernel_set_offline_ms(f->fake, 32, FAKE_FOR_EVER);
    signal(SIGALRM, catch_signal);
    setitimer(ITIMER_REAL, &timer, NULL);
    g_assert_cmpint(write_state(f, 32, "offline"), ==, -EINTR);
    assert_state(f, 32, "online");

    fake_kernel_set_offline_ms(f->fake, 32, 60);
    signal(SIGALRM, SIG_IGN);
    setitimer(ITIMER_REAL, &timer, NULL);
    g_assert_cmpint(write_state(f, 32, "offline"), ==, 0);

    sigset_t alarm, mask;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    signal(SIGALRM, catch_signal);
    sigprocmask(SIG_BLOCK, &alarm, &mask);
    fake_kernel_set_state(f->fake, 32, "online", "Movable");
    setitimer(ITIMER_REAL, &timer, NULL);
    g_assert_cmpint(write_state(f, 32, "offline"), ==, 0);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    signal(SIGALRM, SIG_DFL);
}

/* While one writer offlines for ever, another waits, and only a signal that kills frees it. */
static void test_killed_waiter(Fixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_set_state(f->fake, 32, "online", "Movable");
    fake_kernel_set_offline_ms(f->fake, 32, FAKE_FOR_EVER);
    pid_t holder = fork_writer(f, 32, "offline");
    await_state(f, 32, "going-offline");
    pid_t waiter = fork_writer(f, 33, "online");
    g_usleep(10000);
    kill(waiter, SIGTERM);
    g_assert_true(WIFSIGNALED(wait_for(waiter)));
    assert_state(f, 32, "going-offline");
    /* Endless only until the test says otherwise. */
    fake_kernel_set_offline_ms(f->fake, 32, 0);
    g_assert_cmpint(wait_for(holder), ==, 0);
    assert_state(f, 32, "offline");
    assert_state(f, 33, "offline");
}

/* The block is taken away under its offline. */
static void test_removed_while_slow(Fixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_set_state(f->fake, 32, "online", "Movable");
    fake_kernel_set_offline_ms(f->fake, 32, FAKE_FOR_EVER);
    pid_t pid = fork_writer(f, 32, "offline");
    await_state(f, 32, "going-offline");
    fake_kernel_remove(f->fake, 32, 1);
    g_assert_cmpint(WEXITSTATUS(wait_for(pid)), ==, ENODEV);
}

/* The barrier of design.md: the flag's write returns when no eject is in flight. */
static void test_eject(Fixture *f, gconstpointer data)
{
    (void)data;
    gint64 start = g_get_monotonic_time();
    g_assert_true(fake_kernel_start_eject(f->fake, 0, 80));
    assert_state(f, 32, "offline");
    g_assert_cmpint(attr_write(f->io, FLAG_DIR, 0, "enabled", "0"), ==, 0);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 80 * USEC_PER_MSEC);
    g_assert_null(fake_kernel_state(f->fake, 32));
    g_assert_cmpint(fake_kernel_hotplug_flag(f->fake), ==, 0);
    /* Refused now. */
    fake_kernel_add_dimm(f->fake, 0, 32, 4);
    g_assert_false(fake_kernel_start_eject(f->fake, 0, 0));
    assert_state(f, 32, "offline");
    g_assert_cmpint(attr_write(f->io, FLAG_DIR, 0, "enabled", "1\n"), ==, 0);
    g_assert_cmpint(attr_write(f->io, FLAG_DIR, 0, "enabled", "yes"), ==, -EINVAL);
    g_assert_true(fake_kernel_start_eject(f->fake, 0, 0));
    g_assert_null(fake_kernel_state(f->fake, 32));
    fake_kernel_hide_hotplug_flag(f->fake);
    g_assert_cmpint(attr_write(f->io, FLAG_DIR, 0, "enabled", "1"), ==, -ENOENT);
}

/* A write of a block that an eject takes away waits, and then finds nothing. */
static void test_write_during_eject(Fixture *f, gconstpointer data)
{
    (void)data;
    g_assert_true(fake_kernel_start_eject(f->fake, 0, 50));
    g_assert_cmpint(write_state(f, 32, "online_movable"), ==, -ENODEV);
}

static void test_traps(Fixture *f, gconstpointer data)
{
    char path[BLOCK_PATH_MAX], word[32];

    (void)data;
    fake_kernel_add_block(f->fake, 50);
    g_assert_cmpuint(fake_kernel_traps(f->fake), ==, 0);
    g_assert_cmpint(attr_read(f->io, block_path(32, "valid_zones", path), word, sizeof word), >, 0);
    g_assert_cmpuint(fake_kernel_traps(f->fake), ==, 0);
    g_assert_cmpint(attr_read(f->io, block_path(50, "valid_zones", path), word, sizeof word), >, 0);
    g_assert_cmpuint(fake_kernel_traps(f->fake), ==, 1);
    g_assert_cmpint(attr_read(f->io, block_path(32, "online", path), word, sizeof word), >, 0);
    g_assert_cmpuint(fake_kernel_traps(f->fake), ==, 2);
    g_assert_cmpint(attr_write(f->io, block_path(32, "", path), 0, "online", "1"), <, 0);
    g_assert_cmpuint(fake_kernel_traps(f->fake), ==, 3);
}

static void test_files(Fixture *f, gconstpointer data)
{
    char word[32];

    (void)data;
    g_assert_cmpint(attr_read(f->io, "proc/x", word, sizeof word), ==, -ENOENT);
    fake_kernel_set_file(f->fake, "proc/x", "text");
    g_assert_cmpint(attr_read(f->io, "proc/x", word, sizeof word), ==, 4);
    g_assert_cmpint(attr_write(f->io, "proc", 0, "x", "more"), ==, 0);
    g_assert_cmpint(attr_read(f->io, "proc/x", word, sizeof word), ==, 4);
    g_assert_cmpstr(word, ==, "more");
    fake_kernel_set_file(f->fake, "proc/x", NULL);
    g_assert_cmpint(attr_read(f->io, "proc/x", word, sizeof word), ==, -ENOENT);
    g_assert_cmpint(attr_read(f->io, "sys/devices/system/memory/memory32/none", word, sizeof word),
                    ==, -ENOENT);
    g_assert_cmpint(
        attr_read_line(f->io, "sys/devices/system/memory/block_size_bytes", word, sizeof word), ==,
        7);
    g_assert_cmpstr(word, ==, "8000000");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, func) g_test_add("/fake-kernel/" path, Fixture, NULL, set_up, func, tear_down)
    ADD("errors", test_errors);
    ADD("fail", test_fail);
    ADD("memory", test_memory);
    ADD("new-at-old-address", test_new_at_old_address);
    ADD("vanish", test_vanish);
    ADD("fork", test_fork);
    ADD("slow", test_slow);
    ADD("end-by-term", test_end_by_term);
    ADD("end-by-kill", test_end_by_kill);
    ADD("handled-signal", test_handled_signal);
    ADD("killed-waiter", test_killed_waiter);
    ADD("removed-while-slow", test_removed_while_slow);
    ADD("eject", test_eject);
    ADD("write-during-eject", test_write_during_eject);
    ADD("traps", test_traps);
    ADD("files", test_files);
    return g_test_run();
}
