/*
 * The plan: oVirt's examples, the ties, the limits, and every subset of thousands of random cases.
 */
#include "decide/plan.h"

#include "system/units.h"

/* Devices of these sizes in MiB, 0 ends the list; all are empty. */
static guint make(PlanDevice *devices, const guint *sizes_mib)
{
    guint n = 0;

    for (; sizes_mib[n] != 0; n++)
        devices[n] = (PlanDevice){.size_bytes = sizes_mib[n] * MIB};
    return n;
}

static void assert_choice(const PlanChoice *choice, guint64 mib, const char *positions)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < choice->n_devices; i++)
        g_string_append_printf(text, "%s%u", i > 0 ? " " : "", choice->devices[i]);
    g_assert_cmpuint(choice->bytes, ==, mib * MIB);
    g_assert_cmpstr(text->str, ==, positions);
}

/* 1792 MiB with 1024 at boot, 1400 wanted: the DIMMs may give 392, and 256 + 128 go. */
static void test_ovirt_documented(void)
{
    PlanDevice devices[8];
    guint n = make(devices, (const guint[]){256, 256, 128, 128, 0});
    g_autoptr(UnplugPlan) plan = unplug_plan(devices, n, 392 * MIB, FALSE);

    g_assert_cmpuint(plan->best.bytes, ==, 384 * MIB);
    g_assert_cmpuint(plan->best.n_devices, ==, 2);
    g_assert_true(plan->has_next_above);
    g_assert_cmpuint(plan->next_above.bytes, ==, 512 * MIB);
    g_assert_cmpuint(plan->next_above.n_devices, ==, 2);
}

static void test_ovirt_greedy_is_wrong(void)
{
    PlanDevice devices[8];
    guint n = make(devices, (const guint[]){512, 384, 384, 0});
    g_autoptr(UnplugPlan) plan = unplug_plan(devices, n, 768 * MIB, FALSE);

    assert_choice(&plan->best, 768, "1 2");
    g_assert_false(plan->has_next_above);
}

static void test_emptiest_among_equals(void)
{
    PlanDevice devices[8];
    guint n = make(devices, (const guint[]){256, 256, 256, 512, 0});

    devices[0].used_pages = 70;
    devices[1].used_pages = 10;
    devices[2].used_pages = 60;
    devices[3].used_pages = 71;
    g_autoptr(UnplugPlan) one = unplug_plan(devices, n, 256 * MIB, FALSE);
    assert_choice(&one->best, 256, "1");
    g_autoptr(UnplugPlan) two = unplug_plan(devices, n, 512 * MIB, FALSE);
    assert_choice(&two->best, 512, "1 2");
    devices[3].used_pages = 70;
    g_autoptr(UnplugPlan) fewer = unplug_plan(devices, n, 512 * MIB, FALSE);
    assert_choice(&fewer->best, 512, "3");
}

/* Memory that no CPU has at its side goes first, also where it is fuller. */
static void test_nodes_without_cpus(void)
{
    PlanDevice devices[8];
    guint n = make(devices, (const guint[]){256, 256, 512, 0});

    devices[0].has_cpus = devices[2].has_cpus = TRUE;
    devices[1].used_pages = 70;
    g_autoptr(UnplugPlan) one = unplug_plan(devices, n, 256 * MIB, FALSE);
    assert_choice(&one->best, 256, "1");
    g_autoptr(UnplugPlan) two = unplug_plan(devices, n, 512 * MIB, FALSE);
    assert_choice(&two->best, 512, "0 1");
}

static void test_allow_more(void)
{
    PlanDevice devices[8];
    guint n = make(devices, (const guint[]){256, 256, 1024, 0});

    g_autoptr(UnplugPlan) above = unplug_plan(devices, n, 513 * MIB, TRUE);
    assert_choice(&above->best, 1024, "2");
    g_assert_false(above->has_next_above);
    g_autoptr(UnplugPlan) exact = unplug_plan(devices, n, 512 * MIB, TRUE);
    assert_choice(&exact->best, 512, "0 1");
    g_autoptr(UnplugPlan) all = unplug_plan(devices, n, 9999 * MIB, TRUE);
    assert_choice(&all->best, 1536, "0 1 2");
    g_autoptr(UnplugPlan) most = unplug_plan(devices, n, G_MAXUINT64, FALSE);
    assert_choice(&most->best, 1536, "0 1 2");
    g_assert_false(most->has_next_above);
}

static void test_nothing(void)
{
    PlanDevice device = {.size_bytes = GIB};
    g_autoptr(UnplugPlan) none = unplug_plan(NULL, 0, GIB, FALSE);
    g_autoptr(UnplugPlan) small = unplug_plan(&device, 1, GIB - 1, FALSE);
    g_autoptr(UnplugPlan) zero = unplug_plan(&device, 1, 0, TRUE);

    assert_choice(&none->best, 0, "");
    g_assert_false(none->has_next_above);
    assert_choice(&small->best, 0, "");
    g_assert_true(small->has_next_above);
    assert_choice(&small->next_above, 1024, "0");
    assert_choice(&zero->best, 0, "");
    g_assert_false(zero->has_next_above);
}

/* Sizes that have next to nothing in common are refused, not computed for minutes. */
static void test_limit(void)
{
    PlanDevice devices[2] = {{.size_bytes = 128 * MIB}, {.size_bytes = 64 * 1024 * GIB}};

    g_assert_null(unplug_plan(devices, 2, G_MAXUINT64, FALSE));
    devices[0].size_bytes = GIB; /* within */
    g_autoptr(UnplugPlan) plan = unplug_plan(devices, 2, GIB + 1, FALSE);
    assert_choice(&plan->best, 1024, "0");
}

/* All slots in use, with sums that the whole search has to be gone through for. */
static void test_256_devices(void)
{
    PlanDevice devices[PLAN_DEVICES_MAX];
    guint64 sum = 0, used = 0;

    for (guint i = 0; i < PLAN_DEVICES_MAX; i++)
        devices[i] = (PlanDevice){.size_bytes = (1 + i % 61) * 128 * MIB, .used_pages = i * 31};
    g_autoptr(UnplugPlan) plan = unplug_plan(devices, PLAN_DEVICES_MAX, 400 * GIB, FALSE);

    g_assert_cmpuint(plan->best.bytes, ==, 400 * GIB);
    for (guint i = 0; i < plan->best.n_devices; i++) {
        sum += devices[plan->best.devices[i]].size_bytes;
        used += devices[plan->best.devices[i]].used_pages;
        g_assert_true(i == 0 || plan->best.devices[i] > plan->best.devices[i - 1]);
    }
    g_assert_cmpuint(sum, ==, 400 * GIB);
    g_assert_cmpuint(used, >, 0);
}

/* --- against every subset --- */

typedef struct {
    gboolean is_found;
    guint64 bytes, with_cpus_bytes, used_pages;
    guint n_devices;
} Subset;

static gboolean is_cheaper(const Subset *a, const Subset *b)
{
    if (a->with_cpus_bytes != b->with_cpus_bytes)
        return a->with_cpus_bytes < b->with_cpus_bytes;
    if (a->used_pages != b->used_pages)
        return a->used_pages < b->used_pages;
    return a->n_devices < b->n_devices;
}

static Subset sum_up(const PlanDevice *devices, const guint *positions, guint n)
{
    Subset subset = {.is_found = TRUE, .n_devices = n};

    for (guint i = 0; i < n; i++) {
        subset.bytes += devices[positions[i]].size_bytes;
        subset.used_pages += devices[positions[i]].used_pages;
        if (devices[positions[i]].has_cpus)
            subset.with_cpus_bytes += devices[positions[i]].size_bytes;
    }
    return subset;
}

/* The best below (at most WANTED) and above it, by looking at all subsets. */
static void brute_force(const PlanDevice *devices, guint n, guint64 wanted, Subset *below,
                        Subset *above)
{
    *below = *above = (Subset){.is_found = FALSE};
    for (guint mask = 0; mask < 1u << n; mask++) {
        guint positions[12], n_taken = 0;

        for (guint i = 0; i < n; i++) {
            if (mask & 1u << i)
                positions[n_taken++] = i;
        }
        Subset subset = sum_up(devices, positions, n_taken);
        Subset *best = subset.bytes <= wanted ? below : above;
        gboolean is_closer =
            best == below ? subset.bytes > best->bytes : subset.bytes < best->bytes;
        if (!best->is_found || is_closer ||
            (subset.bytes == best->bytes && is_cheaper(&subset, best)))
            *best = subset;
    }
}

static void assert_same(const PlanDevice *devices, const PlanChoice *choice, const Subset *expected)
{
    Subset got = sum_up(devices, choice->devices, choice->n_devices);

    g_assert_true(expected->is_found);
    g_assert_cmpuint(choice->bytes, ==, expected->bytes);
    g_assert_cmpuint(got.bytes, ==, expected->bytes);
    g_assert_cmpuint(got.with_cpus_bytes, ==, expected->with_cpus_bytes);
    g_assert_cmpuint(got.used_pages, ==, expected->used_pages);
    g_assert_cmpuint(got.n_devices, ==, expected->n_devices);
}

static void test_brute_force(void)
{
    for (guint round = 0; round < 6000; round++) {
        PlanDevice devices[11];
        guint n = (guint)g_test_rand_int_range(0, G_N_ELEMENTS(devices) + 1);
        guint64 unit = 1 + (guint64)g_test_rand_int_range(0, 3) * 128 * MIB;
        guint64 total = 0;
        Subset below, above;

        for (guint i = 0; i < n; i++) {
            devices[i].size_bytes = unit * (guint64)g_test_rand_int_range(1, 17);
            devices[i].used_pages = (guint64)g_test_rand_int_range(0, 6);
            devices[i].has_cpus = g_test_rand_bit();
            total += devices[i].size_bytes;
        }
        guint64 wanted = (guint64)(g_test_rand_double_range(0, 1.2) * (double)(total + 1));
        if (round % 3 == 0)
            wanted -= wanted % unit;
        brute_force(devices, n, wanted, &below, &above);

        g_autoptr(UnplugPlan) plan = unplug_plan(devices, n, wanted, FALSE);
        assert_same(devices, &plan->best, &below);
        g_assert_true(plan->has_next_above == (above.is_found && below.bytes != wanted));
        if (plan->has_next_above)
            assert_same(devices, &plan->next_above, &above);

        g_autoptr(UnplugPlan) more = unplug_plan(devices, n, wanted, TRUE);
        g_assert_false(more->has_next_above);
        assert_same(devices, &more->best,
                    above.is_found && below.bytes != wanted ? &above : &below);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/plan/ovirt-documented", test_ovirt_documented);
    g_test_add_func("/plan/ovirt-greedy-is-wrong", test_ovirt_greedy_is_wrong);
    g_test_add_func("/plan/emptiest-among-equals", test_emptiest_among_equals);
    g_test_add_func("/plan/nodes-without-cpus", test_nodes_without_cpus);
    g_test_add_func("/plan/allow-more", test_allow_more);
    g_test_add_func("/plan/nothing", test_nothing);
    g_test_add_func("/plan/limit", test_limit);
    g_test_add_func("/plan/256-devices", test_256_devices);
    g_test_add_func("/plan/brute-force", test_brute_force);
    return g_test_run();
}
