/*
 * reserve: commits memory in a test guest without touching it, so that only Committed_AS rises.
 *
 * usage: reserve MIB
 *
 * Prints "reserved MIB", then holds it until killed.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: reserve MIB\n");
        return 2;
    }
    size_t size_bytes = strtoul(argv[1], NULL, 10) << 20;

    if (mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
        MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    printf("reserved %s\n", argv[1]);
    fflush(stdout);
    for (;;)
        pause();
}
