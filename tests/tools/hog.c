/*
 * hog: occupies memory in a test guest, so that a test can decide how much is
 * left before it asks for an unplug.
 *
 * usage: hog [-l] [-o] [-r] [-u] MIB
 *   -l  mlock the memory (such pages still migrate; they only cannot be swapped)
 *   -o  write it out to swap, as far as swap has room
 *   -r  keep rewriting it, so that a migration always meets a busy page
 *   -u  make this process unkillable for the OOM killer
 *
 * Prints "ready MIB" when every page is touched, then holds it until killed.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_BYTES 4096

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void make_unkillable(void)
{
    FILE *file = fopen("/proc/self/oom_score_adj", "w");

    if (!file || fputs("-1000", file) < 0 || fclose(file))
        die("oom_score_adj");
}

/* Writes one word a page: enough to make the kernel back it, cheap under TCG. */
static void touch(char *memory, size_t size_bytes, unsigned long round)
{
    for (size_t at = 0; at < size_bytes; at += PAGE_BYTES)
        memcpy(memory + at, &round, sizeof round);
}

int main(int argc, char **argv)
{
    bool lock = false, swap_out = false, rewrite = false;
    int option;

    while ((option = getopt(argc, argv, "loru")) != -1) {
        if (option == 'l')
            lock = true;
        else if (option == 'o')
            swap_out = true;
        else if (option == 'r')
            rewrite = true;
        else if (option == 'u')
            make_unkillable();
        else
            return 2;
    }
    if (optind != argc - 1) {
        fprintf(stderr, "usage: hog [-l] [-o] [-r] [-u] MIB\n");
        return 2;
    }

    size_t mib = strtoul(argv[optind], NULL, 10);
    size_t size_bytes = mib << 20;
    char *memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        die("mmap");
    touch(memory, size_bytes, 1);
    if (lock && mlock(memory, size_bytes))
        die("mlock");
    printf("ready %zu\n", mib);
    fflush(stdout);

    if (swap_out && madvise(memory, size_bytes, MADV_PAGEOUT))
        die("MADV_PAGEOUT");
    for (unsigned long round = 2; rewrite; round++)
        touch(memory, size_bytes, round);
    for (;;)
        pause();
}
