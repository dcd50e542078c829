/*
 * Sizes for people. Never for the wire: there everything is bytes.
 */
#include "system/units.h"

const char *units_format_bytes(guint64 size_bytes, char buf[UNITS_BYTES_MAX])
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    guint unit = 0;

    while (unit + 1 < G_N_ELEMENTS(names) && size_bytes >> (10 * (unit + 1)) != 0)
        unit++;

    guint shift = 10 * unit;
    guint64 whole = size_bytes >> shift;
    guint64 rest = size_bytes - (whole << shift);
    /* In tenths, rounded half up. The rest has at most 60 bits: divide before it overflows. */
    guint64 tenths = 0;
    if (unit > 0)
        tenths = ((rest >> (shift - 10)) * 10 + 512) >> 10;
    if (tenths == 10) {
        whole++;
        tenths = 0;
        if (whole == 1024 && unit + 1 < G_N_ELEMENTS(names)) {
            whole = 1;
            unit++;
        }
    }
    if (tenths == 0)
        g_snprintf(buf, UNITS_BYTES_MAX, "%" G_GUINT64_FORMAT " %s", whole, names[unit]);
    else
        g_snprintf(buf, UNITS_BYTES_MAX, "%" G_GUINT64_FORMAT ".%u %s", whole, (guint)tenths,
                   names[unit]);
    return buf;
}
