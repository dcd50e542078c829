/*
 * pin: holds one page of a chosen memory block in a pipe, which is the shortest
 * way to make a Movable block impossible to take offline: the kernel cannot
 * migrate a page that the pipe refers to, and retries without an end.
 *
 * usage: pin FIRST [LAST]      block indices; any block of the range will do
 *
 * Prints "pinned BLOCK PFN" and holds the page until killed. Ends with 1 and a
 * sentence when no page of those blocks could be had.
 *
 * How: the kernel decides where a page comes from, so memory is allocated in
 * chunks until /proc/self/pagemap shows a page whose frame lies in the range.
 * Everything else is given back before the page is held.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE_BYTES 4096UL
#define CHUNK_BYTES (4UL << 20)
#define CHUNK_PAGES (CHUNK_BYTES / PAGE_BYTES)
#define MAX_CHUNKS 16384
#define PFN_MASK ((UINT64_C(1) << 55) - 1)
#define KEEP_FREE_KIB (96UL << 10)

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t block_size_pages(void)
{
    FILE *file = fopen("/sys/devices/system/memory/block_size_bytes", "r");
    unsigned long long size_bytes;

    if (!file || fscanf(file, "%llx", &size_bytes) != 1)
        die("block_size_bytes");
    fclose(file);
    return size_bytes / PAGE_BYTES;
}

/* MemAvailable: the search must stop before it becomes an out-of-memory test. */
static unsigned long available_kib(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    char line[128];
    unsigned long kib = 0;

    if (!file)
        die("/proc/meminfo");
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %lu kB", &kib) == 1)
            break;
    fclose(file);
    return kib;
}

/*
 * The first page of `chunk` whose frame is in [first, end), or NULL. Its frame
 * number goes to `*frame`.
 */
static char *find_page(int pagemap, char *chunk, uint64_t first, uint64_t end, uint64_t *frame)
{
    static uint64_t entries[CHUNK_PAGES];
    off_t offset = (off_t)((uintptr_t)chunk / PAGE_BYTES * sizeof entries[0]);

    if (pread(pagemap, entries, sizeof entries, offset) != (ssize_t)sizeof entries)
        die("/proc/self/pagemap");
    for (size_t page = 0; page < CHUNK_PAGES; page++) {
        uint64_t pfn = entries[page] & PFN_MASK;

        if (pfn >= first && pfn < end) {
            *frame = pfn;
            return chunk + page * PAGE_BYTES;
        }
    }
    return NULL;
}

static char *new_chunk(void)
{
    char *chunk =
        mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (chunk == MAP_FAILED)
        die("mmap");
    madvise(chunk, CHUNK_BYTES, MADV_NOHUGEPAGE);
    for (size_t at = 0; at < CHUNK_BYTES; at += PAGE_BYTES)
        chunk[at] = 1;
    return chunk;
}

static void hold_in_pipe(char *page)
{
    struct iovec piece = {.iov_base = page, .iov_len = PAGE_BYTES};
    int ends[2];

    if (pipe(ends) || vmsplice(ends[1], &piece, 1, 0) != (ssize_t)PAGE_BYTES)
        die("vmsplice");
}

int main(int argc, char **argv)
{
    static char *chunks[MAX_CHUNKS];
    size_t n_chunks = 0;
    char *page = NULL;
    uint64_t frame = 0;

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: pin FIRST [LAST]\n");
        return 2;
    }
    uint64_t pages = block_size_pages();
    uint64_t first = strtoull(argv[1], NULL, 10) * pages;
    uint64_t end = (strtoull(argv[argc - 1], NULL, 10) + 1) * pages;
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

    if (pagemap < 0)
        die("/proc/self/pagemap");
    while (!page && n_chunks < MAX_CHUNKS && available_kib() > KEEP_FREE_KIB) {
        chunks[n_chunks] = new_chunk();
        page = find_page(pagemap, chunks[n_chunks], first, end, &frame);
        n_chunks++;
    }
    if (!page) {
        fprintf(stderr, "pin: no page of these blocks after %zu MiB\n", n_chunks * 4);
        return 1;
    }
    hold_in_pipe(page);
    for (size_t i = 0; i < n_chunks; i++)
        munmap(chunks[i], CHUNK_BYTES);
    printf("pinned %llu %llu\n", (unsigned long long)(frame / pages), (unsigned long long)frame);
    fflush(stdout);
    for (;;)
        pause();
}
