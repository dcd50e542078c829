#include "ctl/interrupt.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void fill(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
}

int interrupt_open(void)
{
    sigset_t set;

    fill(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int interrupt_take(int fd)
{
    struct signalfd_siginfo info;

    return fd >= 0 && read(fd, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}

void interrupt_close(int fd)
{
    sigset_t set;

    if (fd < 0)
        return;
    while (interrupt_take(fd) > 0)
        ; /* what is pending would end the program below */
    close(fd);
    fill(&set);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}
