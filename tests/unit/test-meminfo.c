/*
 * /proc/meminfo and /proc/zoneinfo, as two kernels write them and as none should.
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

/* Shortened from 6.1: one zone with per-CPU lines, one of no pages, one of devices. */
#define ZONEINFO                                                                                   \
    "Node 0, zone      DMA\n  per-node stats\n      nr_inactive_anon 1\n      nr_free_pages 99\n"  \
    "  pages free     100\n        boost    0\n        min      8\n        low      11\n"          \
    "        high     14\n        spanned  4095\n        present  3998\n        managed  3840\n"   \
    "        cma      0\n        protection: (0, 1918)\n  pagesets\n    cpu: 0\n"                  \
    "              count: 0\n              high:  5000\n              batch: 1\n"                  \
    "Node 0, zone   Normal\n  pages free     1000\n        min      80\n        low      100\n"    \
    "        high     120\n        spanned  262144\n        managed  250000\n"                     \
    "Node 0, zone  Movable\n  pages free     500\n        high     32\n        managed  32768\n"   \
    "Node 0, zone   Device\n  pages free     7\n        high     7\n        managed  7\n"          \
    "Node 1, zone   Normal\n  pages free     1\n        high     2\n        managed  3\n"

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

static void test_zoneinfo(Fixture *f, gconstpointer data)
{
    Zoneinfo info;

    (void)data;
    fake_kernel_set_file(f->fake, "proc/zoneinfo", ZONEINFO);
    g_assert_cmpint(zoneinfo_read(f->io, 4096, &info), ==, 0);
    g_assert_cmpuint(info.kernel_managed_bytes, ==, (3840 + 250000 + 3) * 4096);
    g_assert_cmpuint(info.kernel_free_bytes, ==, (100 + 1000 + 1) * 4096);
    g_assert_cmpuint(info.kernel_high_watermark_bytes, ==, (14 + 120 + 2) * 4096);
    g_assert_cmpuint(info.movable_managed_bytes, ==, 32768 * 4096);
    g_assert_cmpuint(info.movable_free_bytes, ==, 500 * 4096);
}

static void test_zoneinfo_bad(Fixture *f, gconstpointer data)
{
    Zoneinfo info = {.kernel_free_bytes = 42};

    (void)data;
    g_assert_cmpint(zoneinfo_read(f->io, 4096, &info), ==, -ENOENT);
    fake_kernel_set_file(f->fake, "proc/zoneinfo", "");
    g_assert_cmpint(zoneinfo_read(f->io, 4096, &info), ==, -EPROTO);
    fake_kernel_set_file(f->fake, "proc/zoneinfo",
                         "Node 0, zone DMA\n  pages free many\n        managed 5\n");
    g_assert_cmpint(zoneinfo_read(f->io, 4096, &info), ==, -EPROTO);
    g_assert_cmpuint(info.kernel_free_bytes, ==, 42);
}

/* The machine's own files are read without a complaint. */
static void test_live(void)
{
    g_autoptr(AttrIo) io = attr_io_open("/", ATTR_READ_ONLY, NULL);
    Meminfo info;
    Zoneinfo zones;

    g_assert_cmpint(meminfo_read(io, &info), ==, 0);
    g_assert_cmpuint(info.total_bytes, >=, info.available_bytes);
    g_assert_cmpint(zoneinfo_read(io, 4096, &zones), ==, 0);
    g_assert_cmpuint(zones.kernel_managed_bytes, >, zones.kernel_free_bytes);
    g_assert_cmpuint(zones.kernel_high_watermark_bytes, >, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/meminfo/fields", Fixture, NULL, set_up, test_meminfo, tear_down);
    g_test_add("/meminfo/bad", Fixture, NULL, set_up, test_meminfo_bad, tear_down);
    g_test_add("/zoneinfo/zones", Fixture, NULL, set_up, test_zoneinfo, tear_down);
    g_test_add("/zoneinfo/bad", Fixture, NULL, set_up, test_zoneinfo_bad, tear_down);
    g_test_add_func("/meminfo/live", test_live);
    return g_test_run();
}
