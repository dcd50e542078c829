/*
 * refuse-after: makes the kernel refuse to take memory blocks offline once a given number of them
 * is offline, so that a test can fail an unplug at exactly its Nth block.
 *
 * usage: refuse-after COUNT ERRNO BLOCK...      block indices to watch
 *
 * Spins on the blocks' states (a shell would see them too late), then lets the memory notifier's
 * error injection answer -ERRNO to every MEM_GOING_OFFLINE. Prints "watching" when it looks, and
 * "refusing after N" with what it saw offline.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_BLOCKS 1024
#define INJECTION "/sys/kernel/debug/notifier-error-inject/memory/actions/MEM_GOING_OFFLINE/error"

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int open_state(const char *block)
{
    char path[128];
    int fd;

    snprintf(path, sizeof path, "/sys/devices/system/memory/memory%s/state", block);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        die(path);
    return fd;
}

static int count_offline(const int *fds, int n)
{
    char state[32];
    int count = 0;

    for (int i = 0; i < n; i++) {
        ssize_t length = pread(fds[i], state, sizeof state - 1, 0);

        if (length > 0 && strncmp(state, "offline", 7) == 0)
            count++;
    }
    return count;
}

int main(int argc, char **argv)
{
    static int fds[MAX_BLOCKS];
    int n = argc - 3;
    int seen;

    if (n < 1 || n > MAX_BLOCKS) {
        fprintf(stderr, "usage: refuse-after COUNT ERRNO BLOCK...\n");
        return 2;
    }
    int wanted = atoi(argv[1]);
    int injection = open(INJECTION, O_WRONLY | O_CLOEXEC);
    if (injection < 0)
        die(INJECTION);
    for (int i = 0; i < n; i++)
        fds[i] = open_state(argv[3 + i]);

    char answer[16];
    int length = snprintf(answer, sizeof answer, "-%s", argv[2]);
    puts("watching");
    fflush(stdout);
    while ((seen = count_offline(fds, n)) < wanted)
        ;
    if (write(injection, answer, (size_t)length) != length)
        die("error injection");
    printf("refusing after %d\n", seen);
    return 0;
}
