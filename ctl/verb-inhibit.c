/*
 * inhibit: a command runs, and for so long the machine's memory has a lock.
 *
 * The lock stays here and not with the command, so that it ends with the command and not with what
 * that may have left behind; and a daemon that is started anew is asked for another one.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/agent-bus.h"
#include "ctl/verbs.h"

#define RETAKE_MS 1000
#define CANNOT_RUN 127 /* as a shell has it */

typedef struct {
    const CommandLine *line;
    sd_bus *bus;
    int lock;
    int signals;
    pid_t child;
} Inhibit;

static int take_lock(Inhibit *self, gboolean starts, GError **error)
{
    return agent_bus_inhibit(self->bus, self->line->who, self->line->why,
                             self->line->mode ? self->line->mode : "delay", starts, error);
}

static G_GNUC_NORETURN void run_command(char **command, const sigset_t *before)
{
    sigprocmask(SIG_SETMASK, before, NULL);
    execvp(command[0], command);
    fprintf(stderr, "memplugctl: %s: %s\n", command[0], g_strerror(errno));
    _exit(CANNOT_RUN);
}

/* What a terminal sends goes to the command as well; what is sent to this process alone is passed
 * on. */
static void pass_signal(const Inhibit *self, const struct signalfd_siginfo *signal)
{
    if (signal->ssi_signo == SIGTERM || signal->ssi_signo == SIGHUP ||
        (signal->ssi_signo == SIGINT && signal->ssi_code == SI_USER))
        kill(self->child, (int)signal->ssi_signo);
}

/* Without the lock: the daemon ended. Another one is waited for, and not started. */
static void retake(Inhibit *self)
{
    if (self->lock >= 0)
        close(self->lock);
    self->lock = take_lock(self, FALSE, NULL);
}

static int wait_for_command(Inhibit *self)
{
    for (;;) {
        struct signalfd_siginfo signal;
        struct pollfd fds[] = {{.fd = self->signals, .events = POLLIN},
                               {.fd = self->lock}}; /* it tells of an error when its reader goes */
        int status;

        poll(fds, G_N_ELEMENTS(fds), self->lock >= 0 ? -1 : RETAKE_MS);
        if (self->lock < 0 || fds[1].revents != 0)
            retake(self);
        if (fds[0].revents & POLLIN && read(self->signals, &signal, sizeof signal) > 0)
            pass_signal(self, &signal);
        if (waitpid(self->child, &status, WNOHANG) == self->child)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
}

static int run_with_lock(Inhibit *self)
{
    sigset_t signals, before;

    sigemptyset(&signals);
    for (const int *s = (const int[]){SIGCHLD, SIGTERM, SIGHUP, SIGINT, SIGQUIT, 0}; *s; s++)
        sigaddset(&signals, *s);
    sigprocmask(SIG_BLOCK, &signals, &before);
    self->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    self->child = fork();
    if (self->child == 0)
        run_command(self->line->operands, &before);
    int status = self->child > 0 ? wait_for_command(self) : CANNOT_RUN;
    close(self->signals);
    return status;
}

CtlStatus verb_inhibit(Ctl *ctl, GError **error)
{
    Inhibit self = {.line = ctl->line, .lock = -1};
    int status = CTL_REFUSED;

    if (!self.line->who || !self.line->why) {
        g_set_error(error, CTL_ERROR, CTL_USAGE, "inhibit needs --who and --why");
        return CTL_USAGE;
    }
    self.bus = agent_bus_open(error);
    if (self.bus)
        self.lock = take_lock(&self, TRUE, error);
    if (self.lock >= 0)
        status = run_with_lock(&self);
    if (self.lock >= 0)
        close(self.lock);
    sd_bus_flush_close_unref(self.bus);
    return (CtlStatus)status;
}
