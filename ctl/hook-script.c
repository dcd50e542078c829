#include "ctl/hook-script.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/text.h"

#define LOOK_MS 20 /* only while a script runs */

static gboolean is_usable(const char *path, const char *name)
{
    struct stat st;

    if (*name == '.' || g_str_has_suffix(name, "~") || strstr(name, ".dpkg-") ||
        stat(path, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & S_IXUSR) == 0)
        return FALSE;
    if (st.st_uid == geteuid() && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0)
        return TRUE;
    fprintf(stderr, "memplugctl: %s is left out: others can write it\n", path);
    return FALSE;
}

static gint compare_paths(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *hook_scripts_list(const char *dir)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) open_dir = g_dir_open(dir, 0, NULL);
    const char *name;

    while (open_dir && (name = g_dir_read_name(open_dir)) != NULL) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        if (is_usable(path, name))
            g_ptr_array_add(paths, g_steal_pointer(&path));
    }
    g_ptr_array_sort(paths, compare_paths);
    if (paths->len > HOOK_SCRIPTS_MAX)
        g_ptr_array_set_size(paths, HOOK_SCRIPTS_MAX);
    return paths;
}

static void set_number(const char *name, guint64 number)
{
    char text[32];

    g_snprintf(text, sizeof text, "%" G_GUINT64_FORMAT, number);
    setenv(name, text, 1);
}

static G_GNUC_NORETURN void exec_script(const char *path, const HookCall *call, int out)
{
    int null = open("/dev/null", O_RDONLY);

    setpgid(0, 0);
    signal(SIGPIPE, SIG_DFL);
    dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    setenv("MEMPLUG_PHASE", call->phase, 1);
    set_number("MEMPLUG_JOB", call->job);
    set_number("MEMPLUG_BYTES", call->bytes);
    if (chdir("/") == 0)
        execl(path, path, call->phase, (char *)NULL);
    _exit(126);
}

/* What comes out of the pipe, as far as there is room for it. */
static void take_output(int fd, GString *output)
{
    char buf[512];

    for (;;) {
        gssize n = read(fd, buf, sizeof buf);
        if (n <= 0)
            return;
        if (output->len < HOOK_LINE_MAX)
            g_string_append_len(output, buf, MIN(n, (gssize)(HOOK_LINE_MAX - output->len)));
    }
}

/* Return as waitpid() has it; -1: it had to be killed. */
static int wait_for_end(pid_t child, int fd, gint64 limit_ms, GString *output)
{
    gint64 end_usec = g_get_monotonic_time() + MAX(limit_ms, 1) * 1000;
    int signals[] = {SIGABRT, SIGKILL}, status, n_sent = 0;

    for (;;) {
        struct pollfd fds = {.fd = fd, .events = POLLIN};
        gboolean is_over = waitpid(child, &status, WNOHANG) == child;

        take_output(fd, output);
        if (is_over)
            return n_sent > 0 ? -1 : status;
        if (g_get_monotonic_time() >= end_usec && n_sent < 2) {
            kill(-child, signals[n_sent++]);
            end_usec = g_get_monotonic_time() + HOOK_KILL_MS * 1000;
        }
        if (poll(&fds, 1, LOOK_MS) > 0 && (fds.revents & POLLIN) == 0)
            g_usleep(LOOK_MS * 1000); /* it has closed its output */
    }
}

int hook_script_run(const char *path, const HookCall *call, char **line)
{
    g_autoptr(GString) output = g_string_new(NULL);
    int ends[2], status = -1;

    if (pipe2(ends, O_CLOEXEC) == 0) {
        pid_t child = fork();
        if (child == 0)
            exec_script(path, call, ends[1]);
        if (child > 0)
            setpgid(child, child); /* whoever is first */
        close(ends[1]);
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        if (child > 0)
            status = wait_for_end(child, ends[0], call->limit_ms, output);
        close(ends[0]);
    }
    g_string_truncate(output, strcspn(output->str, "\n"));
    *line = text_safe(output->str);
    return status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
