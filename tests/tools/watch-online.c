/*
 * watch-online N: waits until N memory blocks have come online, by the kernel's own uevents, then
 * until nothing has happened for a second. Prints, in seconds: how long ago the last of the N was,
 * and the CPU time that the whole machine has used since the start (/proc/schedstat).
 */
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define QUIET_MS 1000
#define KERNEL_GROUP 1

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Field 7 of a CPU's line: nanoseconds that tasks have run on it. */
static double cpu_seconds(void)
{
    FILE *file = fopen("/proc/schedstat", "r");
    unsigned long long ns, sum = 0;
    char line[512];

    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "cpu%*d %*u %*u %*u %*u %*u %*u %llu", &ns) == 1)
            sum += ns;
    }
    if (!file || sum == 0) {
        fprintf(stderr, "watch-online: /proc/schedstat tells nothing\n");
        exit(1);
    }
    fclose(file);
    return (double)sum / 1e9;
}

int main(int argc, char **argv)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP};
    int wanted = argc == 2 ? atoi(argv[1]) : 0;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
    int room = 16 << 20;

    if (wanted <= 0 || fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0) {
        perror("watch-online N");
        return 1;
    }
    double last = now(), before = cpu_seconds();
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        char event[4096];

        if (poll(&poll_fd, 1, wanted > 0 ? -1 : QUIET_MS) == 0)
            break;
        ssize_t n = recv(fd, event, sizeof event - 1, 0);
        if (n <= 0)
            continue;
        event[n] = '\0';
        if (strncmp(event, "online@/devices/system/memory/", 30) == 0 && --wanted == 0)
            last = now();
    }
    printf("%.3f %.3f\n", now() - last, cpu_seconds() - before);
    return 0;
}
