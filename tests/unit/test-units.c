/*
 * Sizes for people.
 */
#include "system/units.h"

static void check(guint64 bytes, const char *expected)
{
    char buf[UNITS_BYTES_MAX];

    g_assert_cmpstr(units_format_bytes(bytes, buf), ==, expected);
}

static void test_whole(void)
{
    check(0, "0 B");
    check(1023, "1023 B");
    check(KIB, "1 KiB");
    check(128 * MIB, "128 MiB");
    check(32768 * (128 * MIB), "4 TiB");
}

static void test_tenths(void)
{
    check(GIB + GIB / 2, "1.5 GiB");
    check(1100, "1.1 KiB");
    check(1075, "1 KiB");
    check(1076, "1.1 KiB");
}

static void test_rounding_carries(void)
{
    check(2 * GIB - 1, "2 GiB");
    check(GIB - 1, "1 GiB");
    check(G_MAXUINT64, "16 EiB");
    check(G_GUINT64_CONSTANT(17293822569102704640), "15 EiB");
}

/* Every text fits its buffer: the longest number of each unit is tried. */
static void test_room(void)
{
    for (guint shift = 0; shift < 64; shift++) {
        char buf[UNITS_BYTES_MAX];

        units_format_bytes((G_GUINT64_CONSTANT(1) << shift) * 3 / 2, buf);
        g_assert_true(g_str_has_suffix(buf, "B"));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/units/whole", test_whole);
    g_test_add_func("/units/tenths", test_tenths);
    g_test_add_func("/units/rounding-carries", test_rounding_carries);
    g_test_add_func("/units/room", test_room);
    return g_test_run();
}
