/*
 * What a request costs in memory, whatever fills it: measured as the growth of a process that does
 * nothing else. A program of its own, since a heap that other tests have grown would hide it.
 */
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "session-fixture.h"

#ifdef MEMPLUG_SANITIZED
#define COST_MAX_KIB (1024 * 1024) /* the sanitizer's own memory is not ours to count */
#else
#define COST_MAX_KIB 8192
#endif

static glong peak_kib(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* The most that HEAD, MIDDLE over and over, TAIL makes a fresh process grow. */
static void check_cost(SessionFixture *f, const char *head, const char *middle, gsize n_bytes,
                       const char *tail)
{
    GString *input = g_string_new(head);
    int status;
    pid_t pid;

    while (input->len + strlen(middle) + strlen(tail) <= n_bytes)
        g_string_append(input, middle);
    g_string_append(input, tail);
    pid = fork();
    if (pid == 0) {
        glong before;

        session_feed(f, PING); /* so that what is made once is there */
        before = peak_kib();
        for (gsize at = 0; at < input->len; at += 4096)
            qga_session_feed(f->session, (const guint8 *)input->str + at,
                             MIN(4096, input->len - at));
        _exit(qga_session_pending_output(f->session) > 20 && peak_kib() - before <= COST_MAX_KIB
                  ? 0
                  : (int)MIN(255, 1 + (peak_kib() - before) / 1024));
    }
    waitpid(pid, &status, 0);
    if (status != 0)
        g_test_message("%s%s...: about %d MiB", head, middle, WEXITSTATUS(status) - 1);
    g_assert_cmpint(status, ==, 0);
    g_string_free(input, TRUE);
}

/* No request costs more than 8 MiB, whatever fills it. */
static void test_cost(SessionFixture *f, gconstpointer data)
{
    const gsize mib = 1024 * 1024;

    (void)data;
    check_cost(f, "{\"execute\":\"guest-ping\",\"id\":\"", "a", mib, "\"}");
    check_cost(f, "{\"execute\":\"guest-ping\",\"id\":\"", "\x7F", 65536, "\"}");
    check_cost(f, "{\"execute\":\"guest-ping\",\"arguments\":{\"", "\x7F", mib, "\":1}}");
    check_cost(f, "{\"execute\":\"", "\xC3\xA9", mib, "\"}");
    check_cost(f, "{\"", "\xC3\xA9", mib, "\":1}");
    check_cost(f, "{\"execute\":\"guest-ping\",\"arguments\":{\"a\":[1", ",1", 65000, "]}}");
    check_cost(f, "{\"execute\":\"guest-ping\",\"arguments\":{\"a\":[{}", ",{}", 32000, "]}}");
    check_cost(f, "{\"execute\":\"guest-ping\",\"arguments\":{\"a\":[[]", ",[]", 32000, "]}}");
    check_cost(f, "{\"execute\":\"guest-ping\",\"arguments\":{\"a\":[1", ",{\"a\":1}", 42000,
               "]}}");
    check_cost(f, "{\"execute\":\"guest-ping\",\"id\":[1", ",\"0123456789012345678901234567890\"",
               16000 * 34, "]}");
    check_cost(f, "{\"execute\":\"guest-ping\",\"id\":[1", ",1", 10 * mib, "]}");
    check_cost(f, "", "[", 10 * mib, "");
    check_cost(f, "", "x\n", mib, "");
}
int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    SESSION_TEST("cost", test_cost);
    return g_test_run();
}
