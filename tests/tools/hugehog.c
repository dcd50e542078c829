/*
 * hugehog: occupies every free huge page of the default size (2 MiB on x86) in a test guest.
 *
 * usage: hugehog [-r]
 *   -r  only reserve them: map them, and do not touch them
 *
 * Prints "ready COUNT" when it has them, then holds them until killed.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned long read_meminfo(const char *format)
{
    FILE *file = fopen("/proc/meminfo", "r");
    char line[128];
    unsigned long value = 0;

    if (!file)
        exit(1);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, format, &value) == 1)
            break;
    fclose(file);
    return value;
}

int main(int argc, char **argv)
{
    int reserves_only = argc == 2 && strcmp(argv[1], "-r") == 0;
    unsigned long count = read_meminfo("HugePages_Free: %lu");
    size_t size_bytes = (size_t)read_meminfo("Hugepagesize: %lu kB") << 10;

    if (count == 0) {
        fprintf(stderr, "hugehog: there is no free huge page\n");
        return 1;
    }
    char *memory = mmap(NULL, count * size_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    for (unsigned long i = 0; i < count && !reserves_only; i++)
        memory[i * size_bytes] = 1;
    printf("ready %lu\n", count);
    fflush(stdout);
    for (;;)
        pause();
}
