#include "ctl/subset.h"

#define CELLS_MAX (16 * 1024 * 1024)

static guint64 common_divisor(const guint64 *sizes, guint n)
{
    guint64 unit = 0;

    for (guint i = 0; i < n; i++) {
        for (guint64 a = sizes[i]; a != 0;) {
            guint64 rest = unit % a;
            unit = a;
            a = rest;
        }
    }
    return unit;
}

static guint64 greedy(const guint64 *sizes, guint n, guint64 limit, gboolean *chosen)
{
    guint64 sum = 0;

    for (guint i = 0; i < n; i++) {
        if (sizes[i] > limit - sum)
            continue;
        sum += sizes[i];
        if (chosen)
            chosen[i] = TRUE;
    }
    return sum;
}

guint64 subset_best(const guint64 *sizes, guint n, guint64 limit, gboolean *chosen)
{
    guint64 unit = common_divisor(sizes, n), total = 0;

    for (guint i = 0; i < n; i++) {
        if (chosen)
            chosen[i] = FALSE;
        total += sizes[i];
    }
    if (n == 0 || unit == 0)
        return 0;
    guint64 cells = MIN(limit, total) / unit;
    if (cells >= CELLS_MAX || n >= G_MAXUINT16)
        return greedy(sizes, n, limit, chosen);
    /* first[s]: one more than the index of the size that reached the sum s first, 0: none has. What
     * was there before it then adds up to the rest without it. */
    g_autofree guint16 *first = g_new0(guint16, cells + 1);
    first[0] = G_MAXUINT16;
    for (guint i = 0; i < n; i++) {
        guint64 step = sizes[i] / unit;
        for (guint64 sum = cells; sum >= step; sum--) {
            if (first[sum] == 0 && first[sum - step] != 0)
                first[sum] = (guint16)(i + 1);
        }
    }
    while (first[cells] == 0)
        cells--;
    for (guint64 sum = cells; chosen && sum > 0; sum -= sizes[first[sum] - 1] / unit)
        chosen[first[sum] - 1] = TRUE;
    return cells * unit;
}
