/*
 * The subset sum as dynamic programming over units: for each sum the cheapest way to reach it,
 * device by device, and one bit for each device and sum that says whether the device was taken.
 *
 * Sums above what is wanted are needed too: taking any one device out of the smallest such subset
 * leaves no more than what is wanted, so they lie less than the largest device above it.
 */
#include "decide/plan.h"

/* What a subset costs: what it takes of nodes with CPUs first; used pages second and devices third,
 * in one number. */
typedef struct {
    guint64 units;
    guint64 pages_and_devices;
} Cost;
#define COST_PAGES_SHIFT 9
G_STATIC_ASSERT(PLAN_DEVICES_MAX < 1 << COST_PAGES_SHIFT);
static const Cost cost_none = {G_MAXUINT64, G_MAXUINT64}; /* there is no such subset */

typedef struct {
    const PlanDevice *devices;
    guint n;
    guint64 unit_bytes;
    gsize n_sums;     /* sums 0 … n_sums - 1, in units */
    Cost *costs;      /* [n_sums] */
    guint8 *is_taken; /* bits [n][n_sums] */
} Search;

static guint64 greatest_common_divisor(guint64 a, guint64 b)
{
    while (b != 0) {
        guint64 rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

static gboolean is_none(const Cost *cost)
{
    return cost->units == cost_none.units;
}

static gboolean is_less(const Cost *a, const Cost *b)
{
    return a->units != b->units ? a->units < b->units : a->pages_and_devices < b->pages_and_devices;
}

static Cost cost_with(const Search *search, const Cost *before, const PlanDevice *device)
{
    return (Cost){before->units + (device->has_cpus ? device->size_bytes / search->unit_bytes : 0),
                  before->pages_and_devices + (device->used_pages << COST_PAGES_SHIFT) + 1};
}

static gsize bit_of(const Search *search, guint device, gsize sum)
{
    return device * search->n_sums + sum;
}

static void take_device(Search *search, guint i)
{
    gsize size = (gsize)(search->devices[i].size_bytes / search->unit_bytes);

    /* Downwards, so that no device is taken twice. */
    for (gsize sum = search->n_sums; sum-- > size;) {
        const Cost *before = &search->costs[sum - size];
        Cost cost = cost_with(search, before, &search->devices[i]);
        gsize bit;

        if (is_none(before) || !is_less(&cost, &search->costs[sum]))
            continue;
        search->costs[sum] = cost;
        bit = bit_of(search, i, sum);
        search->is_taken[bit / 8] |= (guint8)(1u << bit % 8);
    }
}

static PlanChoice choose(const Search *search, gsize sum)
{
    PlanChoice choice = {.bytes = sum * search->unit_bytes};
    GArray *taken = g_array_new(FALSE, FALSE, sizeof(guint));
    gsize left = sum;

    for (guint i = search->n; i-- > 0;) {
        gsize bit = bit_of(search, i, left);

        if ((search->is_taken[bit / 8] & 1u << bit % 8) == 0)
            continue;
        g_array_prepend_val(taken, i);
        left -= (gsize)(search->devices[i].size_bytes / search->unit_bytes);
    }
    choice.n_devices = taken->len;
    choice.devices = (guint *)(void *)g_array_free(taken, FALSE);
    return choice;
}

/* The largest sum that is at most WANTED. There is one: 0. */
static gsize find_at_most(const Search *search, gsize wanted)
{
    gsize sum = MIN(wanted, search->n_sums - 1);

    while (is_none(&search->costs[sum]))
        sum--;
    return sum;
}

/* The smallest sum that is at least WANTED. FALSE: there is none. */
static gboolean find_at_least(const Search *search, gsize wanted, gsize *sum)
{
    for (*sum = wanted; *sum < search->n_sums; (*sum)++) {
        if (!is_none(&search->costs[*sum]))
            return TRUE;
    }
    return FALSE;
}

static UnplugPlan *read_off(const Search *search, guint64 wanted_bytes, gboolean allow_more)
{
    UnplugPlan *plan = g_new0(UnplugPlan, 1);
    gsize at_most = find_at_most(search, (gsize)(wanted_bytes / search->unit_bytes));
    gboolean is_exact = at_most * search->unit_bytes == wanted_bytes;
    gsize above;
    gboolean has_above = !is_exact && find_at_least(search, at_most + 1, &above);

    if (allow_more && has_above) {
        plan->best = choose(search, above);
        return plan;
    }
    plan->best = choose(search, at_most);
    if (has_above) {
        plan->has_next_above = TRUE;
        plan->next_above = choose(search, above);
    }
    return plan;
}

UnplugPlan *unplug_plan(const PlanDevice *devices, guint n, guint64 wanted_bytes,
                        gboolean allow_more)
{
    Search search = {.devices = devices, .n = n};
    guint64 total_bytes = 0;
    guint64 largest_bytes = 0;
    guint64 limit_bytes;
    UnplugPlan *plan;

    g_return_val_if_fail(n <= PLAN_DEVICES_MAX, NULL);
    for (guint i = 0; i < n; i++) {
        search.unit_bytes = greatest_common_divisor(search.unit_bytes, devices[i].size_bytes);
        total_bytes += devices[i].size_bytes;
        largest_bytes = MAX(largest_bytes, devices[i].size_bytes);
    }
    if (n == 0)
        search.unit_bytes = 1;
    limit_bytes =
        wanted_bytes < total_bytes ? MIN(total_bytes, wanted_bytes + largest_bytes) : total_bytes;
    if (limit_bytes / search.unit_bytes > PLAN_UNITS_MAX)
        return NULL;

    search.n_sums = (gsize)(limit_bytes / search.unit_bytes) + 1;
    search.costs = g_new(Cost, search.n_sums);
    for (gsize sum = 1; sum < search.n_sums; sum++)
        search.costs[sum] = cost_none;
    search.costs[0] = (Cost){0, 0};
    search.is_taken = g_malloc0((n * search.n_sums) / 8 + 1);
    for (guint i = 0; i < n; i++)
        take_device(&search, i);
    plan = read_off(&search, wanted_bytes, allow_more);
    g_free(search.costs);
    g_free(search.is_taken);
    return plan;
}

void unplug_plan_free(UnplugPlan *plan)
{
    if (plan == NULL)
        return;
    g_free(plan->best.devices);
    g_free(plan->next_above.devices);
    g_free(plan);
}
