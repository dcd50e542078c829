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
    g_test_add_func("/meminfo/live", test_live);
    return g_test_run();
}
