/*
 * The unplug limit, against a check of every set of DIMMs in made-up guests.
 */
#include "decide/unplug-limit.h"

#include "fake-kernel.h"
#include "system/units.h"

#define BLOCK_BYTES (128 * MIB)
#define DIMMS_MAX 6
#define ROUNDS 200

typedef struct {
    FakeKernel *fake;
    AttrIo *io;
    Snapshot *snapshot;
    Meminfo meminfo;
    GArray *nodes; /* of NodeMeminfo */
    UnplugCheckInput input;
} Guest;

static void add_node(GArray *nodes, gint16 node)
{
    NodeMeminfo info = {.node = node,
                        .total_bytes = (guint64)g_test_rand_int_range(8, 32) * BLOCK_BYTES};

    info.free_bytes = info.total_bytes / 100 * (guint64)g_test_rand_int_range(0, 100);
    g_array_append_val(nodes, info);
}

/* DIMMs of 1 to 6 blocks: online, offline, or with a block in a kernel zone. */
static void make_guest(Guest *guest, guint n_nodes)
{
    *guest = (Guest){.fake = fake_kernel_new(BLOCK_BYTES),
                     .nodes = g_array_new(FALSE, FALSE, sizeof(NodeMeminfo))};
    fake_kernel_add_boot(guest->fake, 0, 8);
    guint n_dimms = (guint)g_test_rand_int_range(0, DIMMS_MAX + 1), n_blocks = 8;
    for (guint slot = 0; slot < n_dimms; slot++) {
        guint32 first = 32 + 8 * slot, n = (guint32)g_test_rand_int_range(1, 7);
        gint kind = g_test_rand_int_range(0, 6);
        fake_kernel_add_dimm(guest->fake, (int)slot, first, n);
        for (guint32 i = first; i < first + n; i++) {
            if (kind > 0)
                fake_kernel_set_state(guest->fake, i, "online",
                                      kind == 1 && i == first ? "Normal" : "Movable");
            fake_kernel_set_node(guest->fake, i, (int)(slot % n_nodes));
        }
        n_blocks += kind > 0 ? n : 0;
    }
    guest->io = fake_kernel_io(guest->fake);
    guest->snapshot = snapshot_scan(guest->io, NULL);
    g_assert_nonnull(guest->snapshot);
    guint64 total_bytes = n_blocks * BLOCK_BYTES;
    guest->meminfo = (Meminfo){
        .total_bytes = total_bytes,
        .available_bytes = total_bytes / 100 * (guint64)g_test_rand_int_range(0, 100),
        .commit_limit_bytes = total_bytes / 2,
        .committed_bytes = total_bytes / 200 * (guint64)g_test_rand_int_range(0, 120),
    };
    for (guint node = 0; node < n_nodes; node++)
        add_node(guest->nodes, (gint16)node);
    guest->input = (UnplugCheckInput){
        .snapshot = guest->snapshot,
        .meminfo = &guest->meminfo,
        .nodes = guest->nodes,
        .overcommit = {.is_strict = g_test_rand_int_range(0, 3) == 0, .ratio_percent = 50}};
}

static void end_guest(Guest *guest)
{
    g_array_unref(guest->nodes);
    snapshot_unref(guest->snapshot);
    attr_io_free(guest->io);
    fake_kernel_free(guest->fake);
}

/* The most that a check lets pass: every set is asked for. */
static guint64 try_all(const Guest *guest, gboolean *all_pass)
{
    guint64 best = 0;
    guint n = 0;
    DeviceSelector all[DIMMS_MAX];
    guint64 sizes[DIMMS_MAX];

    for (guint32 i = 0; i < guest->snapshot->device_count; i++) {
        const Device *device = &guest->snapshot->devices[i];
        if (device->kind != DEVICE_DIMM)
            continue;
        all[n] = (DeviceSelector){.kind = SELECT_SLOT, .slot = device->slot};
        sizes[n++] = device->size_bytes;
    }
    for (guint set = 1; set < 1u << n; set++) {
        DeviceSelector selectors[DIMMS_MAX];
        UnplugCheckInput input = guest->input;
        guint64 sum = 0;

        input.selectors = selectors;
        for (guint i = 0; i < n; i++) {
            if ((set >> i & 1) == 0)
                continue;
            selectors[input.n_selectors++] = all[i];
            sum += sizes[i];
        }
        g_autoptr(UnplugVerdict) verdict = unplug_check(&input);
        best = verdict->can_prepare ? MAX(best, sum) : best;
        *all_pass = verdict->can_prepare;
    }
    return best;
}

static void test_one_node(void)
{
    guint n_between = 0;

    for (guint round = 0; round < ROUNDS; round++) {
        Guest guest;
        gboolean all_pass = TRUE;

        make_guest(&guest, 1);
        guint64 most = try_all(&guest, &all_pass);
        UnplugLimit limit = unplug_limit(&guest.input, NULL);
        g_assert_cmpuint(limit.limit_bytes, ==, most);
        g_assert_cmpuint(limit.available_bytes, ==, guest.meminfo.available_bytes);
        n_between += !all_pass && most > 0;
        end_guest(&guest);
    }
    g_assert_cmpuint(n_between, >, ROUNDS / 10); /* the rounds were worth it */
}

static void test_two_nodes(void)
{
    guint n_found = 0, n_any = 0;

    for (guint round = 0; round < ROUNDS; round++) {
        Guest guest;
        gboolean all_pass = TRUE;

        make_guest(&guest, 2);
        guint64 most = try_all(&guest, &all_pass);
        guint64 limit_bytes = unplug_limit(&guest.input, NULL).limit_bytes;
        g_assert_cmpuint(limit_bytes, <=, most);
        if (all_pass)
            g_assert_cmpuint(limit_bytes, ==, most);
        g_assert_true((limit_bytes > 0) == (most > 0));
        n_found += limit_bytes == most && !all_pass && most > 0;
        n_any += !all_pass && most > 0;
        end_guest(&guest);
    }
    g_assert_cmpuint(n_any, >, ROUNDS / 20);
    g_assert_cmpuint(n_found, >, n_any / 2);
}

/* virtio-mem fills what DIMMs leave, in pieces. */
static void test_virtio_mem(void)
{
    g_autoptr(FakeKernel) fake = fake_kernel_new(BLOCK_BYTES);
    Meminfo meminfo = {.total_bytes = 4 * GIB, .available_bytes = GIB};

    fake_kernel_add_boot(fake, 0, 8);
    fake_kernel_add_dimm(fake, 0, 32, 4);
    fake_kernel_add_virtio_mem(fake, 0, 64, 16, 8);
    for (guint32 i = 32; i < 36; i++)
        fake_kernel_set_state(fake, i, "online", "Movable");
    for (guint32 i = 64; i < 72; i++)
        fake_kernel_set_state(fake, i, "online", "Movable");
    AttrIo *io = fake_kernel_io(fake);
    g_autoptr(Snapshot) snapshot = snapshot_scan(io, NULL);
    UnplugCheckInput input = {
        .snapshot = snapshot, .meminfo = &meminfo, .reserve_bytes = 100 * MIB};

    g_assert_cmpuint(unplug_limit(&input, NULL).limit_bytes, ==, 924 * MIB);
    meminfo.available_bytes = 200 * MIB;
    g_assert_cmpuint(unplug_limit(&input, NULL).limit_bytes, ==, 100 * MIB);
    meminfo.available_bytes = 3 * GIB;
    g_assert_cmpuint(unplug_limit(&input, NULL).limit_bytes, ==, 12 * BLOCK_BYTES);
    NodeMeminfo node = {.total_bytes = 3 * BLOCK_BYTES, .hugetlb_free_bytes = BLOCK_BYTES};
    g_autoptr(GArray) nodes = g_array_new(FALSE, FALSE, sizeof(NodeMeminfo));
    g_array_append_val(nodes, node);
    input.nodes = nodes; /* whose free huge pages stay */
    g_assert_cmpuint(unplug_limit(&input, NULL).limit_bytes, ==, 4 * BLOCK_BYTES + 2 * BLOCK_BYTES);
    attr_io_free(io);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/unplug-limit/one-node", test_one_node);
    g_test_add_func("/unplug-limit/two-nodes", test_two_nodes);
    g_test_add_func("/unplug-limit/virtio-mem", test_virtio_mem);
    return g_test_run();
}
