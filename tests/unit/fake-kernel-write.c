/*
 * What a write does in the fake kernel: state_store() of drivers/base/memory.c with its locks and
 * its waiting, and the ACPI hotplug flag.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "tests/unit/fake-kernel-private.h"

static void sleep_1ms(void)
{
    struct timespec time = {.tv_nsec = 1000000};

    nanosleep(&time, NULL);
}

/* Comes back with the table lock held and no eject in flight. */
static void wait_for_eject(FakeKernel *fake)
{
    fake_lock(fake);
    while (fake->eject_end_usec != 0) {
        fake_unlock(fake);
        sleep_1ms();
        fake_lock(fake);
    }
}

/* Whether a signal is pending that would reach the process if it were not blocked by us. */
static gboolean is_signal_pending(const sigset_t *mask)
{
    sigset_t pending;

    sigpending(&pending);
    for (int sig = 1; sig < SIGRTMIN; sig++) {
        struct sigaction action;

        if (!sigismember(&pending, sig) || sigismember(mask, sig))
            continue;
        if (sigaction(sig, NULL, &action) < 0 || action.sa_handler == SIG_IGN)
            continue;
        if (action.sa_handler == SIG_DFL &&
            (sig == SIGCHLD || sig == SIGURG || sig == SIGWINCH || sig == SIGCONT))
            continue;
        return TRUE;
    }
    return FALSE;
}

/* offline_pages(): goes on until it is done or any signal is pending. Called and left with both
 * locks held. Signals are held back meanwhile, so that one that kills finds the block put back. */
static int offline_slowly(FakeKernel *fake, guint32 index)
{
    sigset_t all, mask;
    gint64 start = g_get_monotonic_time();
    FakeBlock *block = fake_find(fake, index);
    int result = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &mask);
    fake->offlining = index;
    g_strlcpy(block->state, "going-offline", sizeof block->state);
    while (block->offline_ms == FAKE_FOR_EVER ||
           g_get_monotonic_time() - start < block->offline_ms * G_GINT64_CONSTANT(1000)) {
        if (is_signal_pending(&mask)) {
            result = -EINTR;
            break;
        }
        fake_unlock(fake);
        sleep_1ms();
        fake_lock(fake);
    }
    /* SIGKILL may come between any two of these: the block is left to fake_lock() to the last. */
    if (!block->exists)
        result = -ENODEV;
    else if (result == 0)
        fake_change_state(fake, block, "offline", "");
    else
        g_strlcpy(block->state, "online", sizeof block->state);
    fake->offlining = -1;
    if (block->exists && result != 0) {
        /* Let go of the locks first: the signal may be the last thing that happens here. */
        fake_unlock(fake);
        pthread_mutex_unlock(&fake->hotplug_lock);
        pthread_sigmask(SIG_SETMASK, &mask, NULL);
        fake_lock_hotplug(fake);
        fake_lock(fake);
        return result;
    }
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    return result;
}

static gboolean takes_failure(FakeBlock *block, const char *verb)
{
    if (block->fail_times == 0 ||
        (block->fail_verb[0] != '\0' && strcmp(block->fail_verb, verb) != 0))
        return FALSE;
    if (block->fail_times > 0)
        block->fail_times--;
    return TRUE;
}

/* device_offline() and device_online(), with both locks held. */
static int act(FakeKernel *fake, guint32 index, FakeBlock *block, const char *verb)
{
    gboolean is_offline = strcmp(block->state, "offline") == 0;

    if (strcmp(verb, "offline") == 0) {
        /* "already in that state": 1 from device_offline(), EINVAL from state_store(). */
        if (is_offline)
            return -EINVAL;
        if (takes_failure(block, verb))
            return -block->fail_error;
        if (strcmp(block->zones, "none") == 0)
            return -EINVAL;
        if (block->offline_ms != 0)
            return offline_slowly(fake, index);
        fake_change_state(fake, block, "offline", "");
        return 0;
    }
    if (!is_offline)
        return -EINVAL;
    if (takes_failure(block, verb))
        return -block->fail_error;
    if (strcmp(verb, "online_movable") == 0)
        fake_change_state(fake, block, "online", "Movable");
    else if (strcmp(verb, "online_kernel") == 0)
        fake_change_state(fake, block, "online", "Normal");
    else
        fake_change_state(fake, block, "online", fake->default_zone);
    return 0;
}

int fake_write_state(FakeKernel *fake, guint32 index, guint64 expected_inode, const char *value)
{
    static const char *const verbs[] = {"offline", "online", "online_kernel", "online_movable"};
    g_autofree char *word = g_strdup(value);
    const char *verb = NULL;
    int result;

    /* The directory is opened, and its inode looked at. */
    fake_lock(fake);
    FakeBlock *block = fake_touch(fake, index, FALSE);
    if (block == NULL) {
        fake_unlock(fake);
        return -ENOENT;
    }
    guint64 inode = block->inode;
    fake_unlock(fake);
    if (expected_inode != 0 && expected_inode != inode)
        return -ESTALE;

    /* sysfs_streq() lets one newline pass. */
    if (g_str_has_suffix(word, "\n"))
        word[strlen(word) - 1] = '\0';
    for (guint i = 0; i < G_N_ELEMENTS(verbs); i++) {
        if (strcmp(word, verbs[i]) == 0)
            verb = verbs[i];
    }
    if (verb == NULL)
        return -EINVAL;

    fake_lock_hotplug(fake);
    wait_for_eject(fake);
    block = fake_touch(fake, index, TRUE);
    if (block == NULL || block->inode != inode)
        result = -ENODEV;
    else
        result = act(fake, index, block, verb);
    fake_unlock(fake);
    pthread_mutex_unlock(&fake->hotplug_lock);
    return result;
}

int fake_write_drop_caches(FakeKernel *fake, const char *value)
{
    int ms = fake->drop_ms;

    if (!g_str_equal(value, "1") && !g_str_equal(value, "2"))
        return -EINVAL;
    while (ms != 0) {
        g_usleep(1000);
        ms -= ms > 0;
    }
    fake_lock(fake);
    guint64 *cache_bytes = &fake->cache_bytes[value[0] - '1'];
    fake->available_bytes += *cache_bytes;
    *cache_bytes = 0;
    fake_unlock(fake);
    return 0;
}

int fake_write_pool(FakeKernel *fake, const char *value)
{
    guint64 n_pages = 0;

    fake_lock(fake);
    gboolean is_number = g_ascii_string_to_unsigned(value, 10, 0, G_MAXUINT, &n_pages, NULL);
    if (is_number)
        fake->pool = (guint)MIN(n_pages, fake->pool_max);
    fake_unlock(fake);
    return is_number ? 0 : -EINVAL;
}

int fake_write_hotplug_flag(FakeKernel *fake, const char *value)
{
    sigset_t all, mask;
    int result = 0;

    /* acpi_scan_hotplug_enabled(): nothing is waited for where it is so already. */
    fake_lock(fake);
    gboolean is_same =
        fake->hotplug_flag >= 0 && g_str_has_prefix(value, fake->hotplug_flag ? "1" : "0");
    fake_unlock(fake);
    if (is_same)
        return 0;
    /* Else acpi_scan_lock: no signal frees it. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &mask);
    wait_for_eject(fake);
    if (fake->hotplug_flag < 0)
        result = -ENOENT;
    else if (g_str_has_prefix(value, "0"))
        fake->hotplug_flag = 0;
    else if (g_str_has_prefix(value, "1"))
        fake->hotplug_flag = 1;
    else
        result = -EINVAL;
    fake_unlock(fake);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    return result;
}
