/*
 * stall: the longest time for which a small process in a test guest was held up.
 *
 * usage: stall
 *
 * Every millisecond it maps, writes and unmaps a few pages, as any busy process does, and notes the
 * longest time from one round to the next. Prints "running" at first; on SIGUSR1 it prints
 * "longest N us" and begins anew; it runs until killed.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define AREA_BYTES (16 * 4096)

static volatile sig_atomic_t asked;

static void on_signal(int signal)
{
    (void)signal;
    asked = 1;
}

static int64_t now_usec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void work(void)
{
    char *area = mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (area == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    for (size_t at = 0; at < AREA_BYTES; at += 4096)
        area[at] = 1;
    munmap(area, AREA_BYTES);
}

int main(void)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    int64_t longest = 0, last;

    signal(SIGUSR1, on_signal);
    puts("running");
    fflush(stdout);
    last = now_usec();
    for (;;) {
        work();
        nanosleep(&pause, NULL);
        int64_t now = now_usec();
        if (now - last > longest)
            longest = now - last;
        last = now;
        if (asked) {
            asked = 0;
            printf("longest %lld us\n", (long long)longest);
            fflush(stdout);
            longest = 0;
            last = now_usec();
        }
    }
}
