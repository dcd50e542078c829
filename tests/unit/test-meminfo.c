/*
 * /proc/meminfo, as two kernels write it and as none should.
 */
#include "system/meminfo.h"

#include <errno.h>

#include "system/units.h"
#include "tests/unit/fake-kernel.h"

#define MEMINFO                                                                                    \
    "MemTotal:        2035192 kB\nMemFree:          123456 kB\nMemAvailable:    1712345 kB\n"      \
    "Buffers:           10000 kB\nSwapFree:          4 kB\nCommitLimit:     1017596 kB\n"          \
    "Committed_AS:      99999 kB\nVmallocTotal:   34359738367 kB\nHugePages_Total:       7\n"      \
    "HugePages_Free:        3\nHugepagesize:       2048 kB\n"

typedef struct {
    FakeKernel *fake;
    AttrIo *io;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    (void)data;
    f->fake = fake_kernel_new(128 * MIB);
    f->io = fake_kernel_io(f->fake);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    attr_io_free(f->io);
    fake_kernel_free(f->fake);
}

static void test_meminfo(Fixture *f, gconstpointer data)
{
    Meminfo info;

    (void)data;
    fake_kernel_set_file(f->fake, "proc/meminfo", MEMINFO);
    g_assert_cmpint(meminfo_read(f->io, &info), ==, 0);
    g_assert_cmpuint(info.total_bytes, ==, 2035192 * KIB);
    g_assert_cmpuint(info.free_bytes, ==, 123456 * KIB);
    g_assert_cmpuint(info.available_bytes, ==, 1712345 * KIB);
    g_assert_cmpuint(info.commit_limit_bytes, ==, 1017596 * KIB);
    g_assert_cmpuint(info.committed_bytes, ==, 99999 * KIB);
    g_assert_cmpuint(info.swap_free_bytes, ==, 4 * KIB);
    g_assert_cmpuint(info.hugepage_size_bytes, ==, 2 * MIB);
    g_assert_cmpuint(info.hugepages_total, ==, 7);
    g_assert_cmpuint(info.hugepages_free, ==, 3);
}

static void test_meminfo_bad(Fixture *f, gconstpointer data)
{
    static const char *const bad[] = {
        "",
        "MemTotal: 5 kB\n",
        "MemAvailable: 5 kB\n",
        "MemTotal: x kB\nMemAvailable: 5 kB\n",
        "MemTotal: 5 MB\nMemAvailable: 5 kB\n",
        "MemTotal: 5 kB\nMemAvailable: 99999999999999999999 kB\n",
        "MemTotal: 5 kB\nMemAvailable: 18446744073709551615 kB\n",
        "MemTotal\nMemAvailable\n",
    };
    Meminfo info = {.total_bytes = 42};

    (void)data;
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        fake_kernel_set_file(f->fake, "proc/meminfo", bad[i]);
        g_assert_cmpint(meminfo_read(f->io, &info), ==, -EPROTO);
    }
    fake_kernel_set_file(f->fake, "proc/meminfo", NULL);
    g_assert_cmpint(meminfo_read(f->io, &info), ==, -ENOENT);
    g_assert_cmpuint(info.total_bytes, ==, 42);
    /* The last line may have no newline. */
    fake_kernel_set_file(f->fake, "proc/meminfo", "MemTotal: 5 kB\nMemAvailable: 6 kB");
    g_assert_cmpint(meminfo_read(f->io, &info), ==, 0);
    g_assert_cmpuint(info.available_bytes, ==, 6 * KIB);
}

#define SWAPS                                                                                      \
    "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"                                           \
    "/dev/vda2                               partition\t1000\t\t200\t\t-2\n"                       \
    "/dev/zram0                              partition\t5000\t\t0\t\t100\n"                        \
    "/swap\\040file                           file\t\t300\t\t100\t\t-3\n"
#define ARCSTATS                                                                                   \
    "13 1 0x01 123 33456 5273498 1234567890\n"                                                     \
    "name                            type data\n"                                                  \
    "hits                            4    1000\n"                                                  \
    "c_min                           4    33554432\n"                                              \
    "size                            4    1073741824\n"                                            \
    "hdr_size                        4    77\n"

/* Swap counts by its share, and what zram lends is no memory more; ZFS's cache is only told of. */
static void test_spare(Fixture *f, gconstpointer data)
{
    Uncounted uncounted;
    Meminfo info;

    (void)data;
    fake_kernel_set_file(f->fake, "proc/meminfo", MEMINFO);
    fake_kernel_set_file(f->fake, "proc/swaps", SWAPS);
    g_assert_cmpint(meminfo_read_spare(f->io, 0, &info, &uncounted), ==, 0);
    g_assert_cmpuint(info.available_bytes, ==, 1712345 * KIB);
    g_assert_cmpuint(uncounted.swap_bytes, ==, 1000 * KIB);
    g_assert_cmpuint(uncounted.arc_bytes, ==, 0);
    fake_kernel_set_file(f->fake, "proc/spl/kstat/zfs/arcstats", ARCSTATS);
    g_assert_cmpint(meminfo_read_spare(f->io, 100, &info, &uncounted), ==, 0);
    g_assert_cmpuint(info.available_bytes, ==, 1713345 * KIB);
    g_assert_cmpuint(uncounted.swap_bytes, ==, 0);
    g_assert_cmpuint(uncounted.arc_bytes, ==, GIB - 32 * MIB);
    g_assert_cmpint(meminfo_read_spare(f->io, 25, &info, NULL), ==, 0);
    g_assert_cmpuint(info.available_bytes, ==, 1712345 * KIB + 250 * KIB);
    fake_kernel_set_file(f->fake, "proc/spl/kstat/zfs/arcstats", "size 4 5x\nc_min 4 3\nsize\n");
    fake_kernel_set_file(f->fake, "proc/swaps", "a\nb b 1 2 3\nc c 99999999999999999999 0 1\n");
    g_assert_cmpint(meminfo_read_spare(f->io, 50, &info, &uncounted), ==, 0);
    g_assert_cmpuint(info.available_bytes, ==, 1712345 * KIB);
    g_assert_cmpuint(uncounted.swap_bytes + uncounted.arc_bytes, ==, 0);
}

/* The machine's own files are read without a complaint. */
static void test_live(void)
{
    g_autoptr(AttrIo) io = attr_io_open("/", ATTR_READ_ONLY, NULL);
    Meminfo info;

    g_assert_cmpint(meminfo_read(io, &info), ==, 0);
    g_assert_cmpuint(info.total_bytes, >=, info.available_bytes);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/meminfo/fields", Fixture, NULL, set_up, test_meminfo, tear_down);
    g_test_add("/meminfo/bad", Fixture, NULL, set_up, test_meminfo_bad, tear_down);
    g_test_add("/meminfo/spare", Fixture, NULL, set_up, test_spare, tear_down);
    g_test_add_func("/meminfo/live", test_live);
    return g_test_run();
}
