/*
 * Which blocks are brought online, and which are nobody's business.
 */
#include "decide/online-policy.h"

#include "ground/units.h"
#include "tests/unit/fake-kernel.h"

#define BS (128 * MIB)

typedef struct {
    FakeKernel *fake;
    AttrIo *io;
    Snapshot *snapshot;
} Fixture;

/* Boot RAM 0-7 (7 offline), a DIMM 32-35 (33 online), virtio-mem 64-65, another driver's 80, and
 * one new block, 90, of which nothing is known. */
static void set_up(Fixture *f, gconstpointer data)
{
    guint32 late = 90;

    (void)data;
    f->fake = fake_kernel_new(BS);
    f->io = fake_kernel_io(f->fake);
    fake_kernel_add_boot(f->fake, 0, 8);
    fake_kernel_set_state(f->fake, 7, "offline", NULL);
    fake_kernel_add_dimm(f->fake, 0, 32, 4);
    fake_kernel_set_state(f->fake, 33, "online", "Normal");
    fake_kernel_add_virtio_mem(f->fake, 0, 64, 8, 2);
    fake_kernel_add_block(f->fake, 80);
    fake_kernel_set_firmware_node(f->fake, 80, "x/ACPI0017:00");
    g_autoptr(Snapshot) first = snapshot_scan(f->io, NULL);
    fake_kernel_add_block(f->fake, late);
    f->snapshot = snapshot_refresh(first, f->io, &late, 1);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    snapshot_unref(f->snapshot);
    attr_io_free(f->io);
    fake_kernel_free(f->fake);
}

/* The steps as text, "32 34 64". */
static char *decide(Fixture *f, OnlinePolicy policy, const guint32 *candidates, guint n,
                    BlockOwnedFunc is_owned)
{
    g_autoptr(GArray) steps = online_policy_decide(policy, f->snapshot, candidates, n, is_owned, f);
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < steps->len; i++) {
        const OnlineStep *step = &g_array_index(steps, OnlineStep, i);

        g_assert_cmpstr(step->verb, ==, "online_movable");
        g_assert_cmpuint(step->inode, ==, fake_kernel_inode(f->fake, step->index));
        g_string_append_printf(text, "%s%u", i > 0 ? " " : "", step->index);
    }
    return g_string_free(text, FALSE);
}

static const guint32 everything[] = {90, 80, 65, 64, 35, 34, 33, 32, 7, 6, 0, 32, 99, 90};

static void test_movable(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *all =
        decide(f, ONLINE_POLICY_MOVABLE, everything, G_N_ELEMENTS(everything), NULL);
    g_assert_cmpstr(all, ==, "32 34 35 64 65 90");
    /* Only what is a candidate. */
    g_autofree char *few = decide(f, ONLINE_POLICY_MOVABLE, everything + 5, 3, NULL);
    g_assert_cmpstr(few, ==, "32 34");
    g_autofree char *none = decide(f, ONLINE_POLICY_MOVABLE, NULL, 0, NULL);
    g_assert_cmpstr(none, ==, "");
}

static void test_none(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *steps =
        decide(f, ONLINE_POLICY_NONE, everything, G_N_ELEMENTS(everything), NULL);
    g_assert_cmpstr(steps, ==, "");
}

static gboolean owns_34(guint32 index, guint64 inode, gpointer user_data)
{
    Fixture *f = user_data;

    g_assert_cmpuint(inode, ==, fake_kernel_inode(f->fake, index));
    return index == 34;
}

static void test_owned(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *steps =
        decide(f, ONLINE_POLICY_MOVABLE, everything, G_N_ELEMENTS(everything), owns_34);
    g_assert_cmpstr(steps, ==, "32 35 64 65 90");
}

static void test_other_states(Fixture *f, gconstpointer data)
{
    static const guint32 changed[] = {32, 35};

    (void)data;
    fake_kernel_set_state(f->fake, 32, "going-offline", NULL);
    fake_kernel_set_state(f->fake, 35, "strange", NULL);
    Snapshot *next = snapshot_refresh(f->snapshot, f->io, changed, 2);
    snapshot_unref(f->snapshot);
    f->snapshot = next;
    g_autofree char *steps =
        decide(f, ONLINE_POLICY_MOVABLE, everything, G_N_ELEMENTS(everything), NULL);
    g_assert_cmpstr(steps, ==, "34 64 65 90");
}

static void test_names(void)
{
    OnlinePolicy policy = ONLINE_POLICY_MOVABLE;

    g_assert_cmpstr(online_policy_name(ONLINE_POLICY_MOVABLE), ==, "movable");
    g_assert_cmpstr(online_policy_name(ONLINE_POLICY_NONE), ==, "none");
    g_assert_false(online_policy_parse("Movable", &policy));
    g_assert_false(online_policy_parse("", &policy));
    g_assert_cmpint(policy, ==, ONLINE_POLICY_MOVABLE);
    g_assert_true(online_policy_parse("none", &policy));
    g_assert_cmpint(policy, ==, ONLINE_POLICY_NONE);
    g_assert_true(online_policy_parse("movable", &policy));
    g_assert_cmpint(policy, ==, ONLINE_POLICY_MOVABLE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, func) g_test_add("/online-policy/" path, Fixture, NULL, set_up, func, tear_down)
    ADD("movable", test_movable);
    ADD("none", test_none);
    ADD("owned", test_owned);
    ADD("other-states", test_other_states);
    g_test_add_func("/online-policy/names", test_names);
    return g_test_run();
}
