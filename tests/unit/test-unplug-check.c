/*
 * The check before an unplug: every reason, on the right device and block, and the figures.
 */
#include "decide/unplug-check.h"

#include <string.h>

#include "decide/attempt.h"
#include "decide/reason.h"
#include "system/units.h"
#include "tests/unit/fake-kernel.h"

#define BS (128 * MIB)

typedef struct {
    FakeKernel *fake;
    AttrIo *io;
    Snapshot *snapshot;
    Meminfo meminfo;
    DeviceSelector selectors[4];
    UnplugCheckInput input;
} Fixture;

static void take(Fixture *f)
{
    snapshot_unref(f->snapshot);
    f->snapshot = snapshot_scan(f->io, NULL);
    f->input.snapshot = f->snapshot;
}

/* 4 GiB of boot RAM, two DIMMs of 1 GiB online as Movable, 8 GiB in all and 6 available. */
static void set_up(Fixture *f, gconstpointer data)
{
    (void)data;
    f->fake = fake_kernel_new(BS);
    f->io = fake_kernel_io(f->fake);
    fake_kernel_add_boot(f->fake, 0, 32);
    fake_kernel_add_dimm(f->fake, 0, 40, 8);
    fake_kernel_add_dimm(f->fake, 1, 48, 8);
    for (guint32 i = 40; i < 56; i++)
        fake_kernel_set_state(f->fake, i, "online", "Movable");
    f->snapshot = NULL;
    f->meminfo = (Meminfo){.total_bytes = 8 * GIB, .available_bytes = 6 * GIB};
    f->input = (UnplugCheckInput){
        .meminfo = &f->meminfo,
        .selectors = f->selectors,
        .n_selectors = 1,
        .user_data = f,
    };
    f->selectors[0] = (DeviceSelector){.kind = SELECT_SLOT, .slot = 0};
    take(f);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    snapshot_unref(f->snapshot);
    attr_io_free(f->io);
    fake_kernel_free(f->fake);
}

/* The verdict's reasons are exactly CODES ("" for none), in order, each with a usable sentence. */
static UnplugVerdict *check(Fixture *f, const char *codes)
{
    UnplugVerdict *verdict = unplug_check(&f->input);
    g_autoptr(GString) found = g_string_new(NULL);

    for (guint i = 0; i < verdict->reasons->len; i++) {
        const Reason *reason = g_ptr_array_index(verdict->reasons, i);

        g_string_append_printf(found, "%s%s", i > 0 ? " " : "", reason_code_name(reason->code));
        g_test_message("%s", reason->desc);
        g_assert_cmpuint(strlen(reason->desc), >, 20);
        g_assert_false(g_str_has_suffix(reason->desc, "."));
    }
    g_assert_cmpstr(found->str, ==, codes);
    g_assert_cmpint(verdict->can_prepare, ==, codes[0] == '\0');
    return verdict;
}

static const Reason *reason_at(const UnplugVerdict *verdict, guint i)
{
    return g_ptr_array_index(verdict->reasons, i);
}

static void select_range(Fixture *f, guint64 address, guint64 size_bytes)
{
    f->selectors[0] =
        (DeviceSelector){.kind = SELECT_RANGE, .address = address, .size_bytes = size_bytes};
}

static void select_id(Fixture *f, const char *id)
{
    f->selectors[0] = (DeviceSelector){.kind = SELECT_ID};
    g_strlcpy(f->selectors[0].id, id, DEVICE_ID_MAX);
}

static void test_defaults(void)
{
    g_assert_cmpuint(attempt_reserve_bytes(0, 0), ==, 64 * MIB);
    g_assert_cmpuint(attempt_reserve_bytes(0, GIB), ==, 64 * MIB);
    g_assert_cmpuint(attempt_reserve_bytes(0, 20 * GIB), ==, GIB);
    g_assert_cmpuint(unplug_timeout_default_ms(0), ==, 30000);
    g_assert_cmpuint(unplug_timeout_default_ms(1), ==, 35000);
    g_assert_cmpuint(unplug_timeout_default_ms(GIB), ==, 35000);
    g_assert_cmpuint(unplug_timeout_default_ms(GIB + 1), ==, 40000);
    g_assert_cmpuint(unplug_timeout_default_ms(16 * GIB), ==, 110000);
}

static void test_good(Fixture *f, gconstpointer data)
{
    (void)data;
    f->selectors[1] = (DeviceSelector){.kind = SELECT_RANGE, .address = 48 * BS, .size_bytes = GIB};
    f->input.n_selectors = 2;
    g_autoptr(UnplugVerdict) verdict = check(f, "");
    g_assert_cmpuint(verdict->needed_bytes, ==, 2 * GIB);
    g_assert_cmpuint(verdict->available_bytes, ==, 6 * GIB);
    g_assert_cmpuint(verdict->reserve_bytes, ==, 6 * GIB / 20);
    g_assert_cmpuint(verdict->devices->len, ==, 2);
    g_assert_cmpstr(((const Device *)g_ptr_array_index(verdict->devices, 0))->id, ==, "slot0");
    g_assert_cmpstr(((const Device *)g_ptr_array_index(verdict->devices, 1))->id, ==, "slot1");
}

/* A block that the kernel has not linked yet may be the rest of a DIMM: not prepared in part. */
static void test_half_linked(Fixture *f, gconstpointer data)
{
    static const struct {
        guint32 index;
        const char *codes;
    } cases[] = {{38, ""}, {57, ""}, {39, "kernel-busy"}, {56, "kernel-busy"}, {43, "kernel-busy"}};

    (void)data;
    f->selectors[1] = (DeviceSelector){.kind = SELECT_SLOT, .slot = 1};
    f->input.n_selectors = 2;
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint32 index = cases[i].index;

        if (index == 43)
            fake_kernel_remove(f->fake, index, 1);
        fake_kernel_add_block(f->fake, index);
        g_autoptr(Snapshot) now = snapshot_refresh(f->snapshot, f->io, &index, 1);
        f->input.snapshot = now;
        g_autoptr(UnplugVerdict) verdict = check(f, cases[i].codes);
        if (verdict->reasons->len > 0)
            g_assert_cmpint(reason_at(verdict, 0)->block, ==, index);
        fake_kernel_remove(f->fake, index, 1);
    }
}

/* The same at the first scan, where nothing tells such blocks from the firmware's RAM. */
static void test_half_linked_at_start(Fixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_set_firmware_node(f->fake, 47, NULL);
    take(f);
    g_autoptr(UnplugVerdict) verdict = check(f, "kernel-busy");
    g_assert_cmpint(reason_at(verdict, 0)->block, ==, 47);
    fake_kernel_add_boot(f->fake, 32, 8); /* right below the DIMM lies RAM of the firmware's */
    fake_kernel_remove(f->fake, 47, 1);
    take(f);
    g_autoptr(UnplugVerdict) below = check(f, "");
}

static void test_named_twice(Fixture *f, gconstpointer data)
{
    (void)data;
    f->selectors[1] = (DeviceSelector){.kind = SELECT_ID, .id = "slot0"};
    f->input.n_selectors = 2;
    fake_kernel_set_state(f->fake, 41, "online", "Normal");
    take(f);
    g_autoptr(UnplugVerdict) verdict = check(f, "not-movable");
    g_assert_cmpuint(verdict->needed_bytes, ==, GIB);
    g_assert_cmpuint(verdict->devices->len, ==, 1);
}

static void test_no_such_device(Fixture *f, gconstpointer data)
{
    (void)data;
    f->selectors[0].slot = 5;
    g_autoptr(UnplugVerdict) empty_slot = check(f, "no-such-device");
    g_assert_cmpstr(reason_at(empty_slot, 0)->device, ==, "slot5");
    g_assert_cmpint(reason_at(empty_slot, 0)->block, ==, -1);
    g_assert_cmpuint(empty_slot->devices->len, ==, 0);
    select_id(f, "virtio7");
    g_autoptr(UnplugVerdict) no_id = check(f, "no-such-device");
    g_assert_cmpstr(reason_at(no_id, 0)->device, ==, "virtio7");
    select_range(f, 100 * BS, GIB);
    g_autoptr(UnplugVerdict) no_range = check(f, "no-such-device");
    g_assert_cmpstr(reason_at(no_range, 0)->device, ==, "0x320000000+0x40000000");
    f->input.n_selectors = 0;
    g_autoptr(UnplugVerdict) nothing = check(f, "no-such-device");
    g_assert_null(reason_at(nothing, 0)->device);
}

static void test_partial(Fixture *f, gconstpointer data)
{
    (void)data;
    select_range(f, 44 * BS, 4 * BS);
    g_autoptr(UnplugVerdict) half = check(f, "partial-device");
    g_assert_cmpstr(reason_at(half, 0)->device, ==, "slot0");
    g_assert_cmpint(reason_at(half, 0)->block, ==, 40);
    g_assert_cmpuint(half->devices->len, ==, 0);
    g_assert_cmpuint(half->needed_bytes, ==, 0);
    g_assert_nonnull(strstr(reason_at(half, 0)->desc, "0x160000000+0x20000000"));
    g_assert_nonnull(strstr(reason_at(half, 0)->desc, "0x140000000+0x40000000"));
    select_range(f, 40 * BS, 16 * BS);
    g_autoptr(UnplugVerdict) across = check(f, "partial-device");
    (void)across;

    guint32 late = 60;
    fake_kernel_add_block(f->fake, late);
    Snapshot *next = snapshot_refresh(f->snapshot, f->io, &late, 1);
    snapshot_unref(f->snapshot);
    f->input.snapshot = f->snapshot = next;
    select_range(f, 60 * BS, BS);
    g_autoptr(UnplugVerdict) unknown = check(f, "partial-device");
    g_assert_null(reason_at(unknown, 0)->device);
}

static void test_boot(Fixture *f, gconstpointer data)
{
    (void)data;
    /* As a whole, by a part, and never with a word about how little memory would be left. */
    f->meminfo.available_bytes = 0;
    select_id(f, "boot");
    g_autoptr(UnplugVerdict) whole = check(f, "boot-memory");
    g_assert_cmpstr(reason_at(whole, 0)->device, ==, "boot");
    g_assert_cmpuint(whole->needed_bytes, ==, 0);
    select_range(f, 0, BS);
    g_autoptr(UnplugVerdict) part = check(f, "boot-memory");
    g_assert_cmpuint(part->devices->len, ==, 0);
}

static void test_not_a_dimm(Fixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_add_virtio_mem(f->fake, 0, 64, 8, 2);
    fake_kernel_add_block(f->fake, 80);
    fake_kernel_set_firmware_node(f->fake, 80, "x/ACPI0017:00");
    take(f);
    select_id(f, "virtio0");
    g_autoptr(UnplugVerdict) virtio = check(f, "not-a-dimm");
    g_assert_cmpstr(reason_at(virtio, 0)->device, ==, "virtio0");
    select_id(f, "other0");
    g_autoptr(UnplugVerdict) other = check(f, "not-a-dimm");
    g_assert_cmpint(reason_at(other, 0)->block, ==, 80);
    f->input.allow_virtio_mem = TRUE;
    g_autoptr(UnplugVerdict) still = check(f, "not-a-dimm");
    (void)still;
}

static void test_virtio_mem(Fixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_add_virtio_mem(f->fake, 0, 64, 32, 16);
    for (guint32 i = 64; i < 72; i++)
        fake_kernel_set_state(f->fake, i, "online", i < 68 ? "Movable" : "Normal");
    take(f);
    f->input.allow_virtio_mem = TRUE;
    select_id(f, "virtio0");
    /* 512 MiB Movable, 512 MiB Normal, 1 GiB offline. */
    f->selectors[0].bytes = GIB;
    g_autoptr(UnplugVerdict) some = check(f, "");
    g_assert_cmpuint(some->needed_bytes, ==, GIB);
    f->selectors[0].bytes = GIB + GIB / 2;
    g_autoptr(UnplugVerdict) most = check(f, "");
    g_assert_cmpuint(most->needed_bytes, ==, GIB);
    f->selectors[0].bytes = 0;
    g_autoptr(UnplugVerdict) all = check(f, "not-movable");
    g_assert_cmpuint(reason_at(all, 0)->bytes, ==, GIB / 2);
    g_assert_cmpuint(all->needed_bytes, ==, GIB);
    f->selectors[0].bytes = 128 * MIB;
    f->meminfo.available_bytes = 100 * MIB;
    g_autoptr(UnplugVerdict) low = check(f, "low-memory");
    g_assert_cmpuint(low->needed_bytes, ==, 128 * MIB);
}

static void test_not_movable(Fixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_set_state(f->fake, 43, "online", "Normal");
    fake_kernel_set_state(f->fake, 45, "online", "none");
    fake_kernel_set_state(f->fake, 47, "online", "Sideways");
    fake_kernel_set_state(f->fake, 40, "offline", "Normal Movable");
    take(f);
    g_autoptr(UnplugVerdict) verdict = check(f, "not-movable");
    const Reason *reason = reason_at(verdict, 0);
    g_assert_cmpstr(reason->device, ==, "slot0");
    g_assert_cmpint(reason->block, ==, 43);
    g_assert_cmpuint(reason->bytes, ==, 3 * BS);
    g_assert_true(g_str_has_prefix(reason->desc, "3 blocks of slot0 are online"));
    g_assert_nonnull(strstr(reason->desc, "memory43"));
    g_assert_cmpuint(verdict->needed_bytes, ==, 7 * BS);
    /* The other DIMM has no part in it. */
    f->selectors[0].slot = 1;
    g_autoptr(UnplugVerdict) other = check(f, "");
    (void)other;
}

static void test_odd_states(Fixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_set_state(f->fake, 41, "going-offline", NULL);
    fake_kernel_set_state(f->fake, 42, "going-offline", NULL);
    fake_kernel_set_state(f->fake, 44, "strange", NULL);
    take(f);
    g_autoptr(UnplugVerdict) verdict = check(f, "going-offline error");
    g_assert_cmpint(reason_at(verdict, 0)->block, ==, 41);
    g_assert_cmpint(reason_at(verdict, 1)->block, ==, 44);
}

static gboolean takes_41_and_42(guint32 index, guint64 inode, gpointer user_data)
{
    Fixture *f = user_data;

    g_assert_cmpuint(inode, ==, fake_kernel_inode(f->fake, index));
    return index == 41 || index == 42;
}

/* What another job is doing is not reported twice, as something else's. */
static void test_taken(Fixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_set_state(f->fake, 42, "going-offline", NULL);
    take(f);
    f->input.is_taken = takes_41_and_42;
    g_autoptr(UnplugVerdict) verdict = check(f, "already-preparing");
    g_assert_cmpstr(reason_at(verdict, 0)->device, ==, "slot0");
    g_assert_cmpint(reason_at(verdict, 0)->block, ==, 41);
}

/* A block lock refuses, a delay lock does not; a brief check names the oldest block only. */
static void test_inhibited(Fixture *f, gconstpointer data)
{
    (void)data;
    const Inhibitor locks[] = {
        {.who = (char *)"db",
         .why = (char *)"has a cache",
         .mode = INHIBIT_DELAY,
         .uid = 5,
         .pid = 6},
        {.who = (char *)"backup",
         .why = (char *)"runs until 4",
         .mode = INHIBIT_BLOCK,
         .uid = 7,
         .pid = 8},
        {.who = (char *)"other",
         .why = (char *)"does too",
         .mode = INHIBIT_BLOCK,
         .uid = 7,
         .pid = 9},
    };
    Inhibitors *inhibitors = inhibitors_new();
    const char *problem;

    f->input.inhibitors = inhibitors;
    inhibitors_add(inhibitors, &locks[0], &problem);
    unplug_verdict_free(check(f, ""));
    inhibitors_add(inhibitors, &locks[1], &problem);
    inhibitors_add(inhibitors, &locks[2], &problem);
    UnplugVerdict *verdict = check(f, "inhibited inhibited");
    const Reason *reason = g_ptr_array_index(verdict->reasons, 0);
    g_assert_nonnull(strstr(reason->desc, "backup (uid 7, pid 8)"));
    g_assert_nonnull(strstr(reason->desc, "runs until 4"));
    unplug_verdict_free(verdict);
    f->input.is_brief = TRUE;
    unplug_verdict_free(check(f, "inhibited"));
    inhibitors_free(inhibitors);
}

static void test_low_memory(Fixture *f, gconstpointer data)
{
    (void)data;
    f->input.reserve_bytes = 200 * MIB;
    f->meminfo.available_bytes = GIB + 200 * MIB;
    g_autoptr(UnplugVerdict) just = check(f, "");
    g_assert_cmpuint(just->reserve_bytes, ==, 200 * MIB);
    f->meminfo.available_bytes--;
    g_autoptr(UnplugVerdict) low = check(f, "low-memory");
    g_assert_cmpuint(reason_at(low, 0)->bytes, ==, 1);
    g_assert_nonnull(strstr(reason_at(low, 0)->desc, "1073741824 + 209715200 > 1283457023 bytes"));
    /* Together two devices are too much where one is not. */
    f->meminfo.available_bytes = 2 * GIB;
    f->selectors[1] = (DeviceSelector){.kind = SELECT_SLOT, .slot = 1};
    f->input.n_selectors = 2;
    g_autoptr(UnplugVerdict) both = check(f, "low-memory");
    g_assert_cmpuint(reason_at(both, 0)->bytes, ==, 200 * MIB);
    f->input.reserve_bytes = G_MAXUINT64;
    g_autoptr(UnplugVerdict) never = check(f, "low-memory");
    (void)never;
}

/* A device that is offline already takes nothing from anybody. */
static void test_offline_device(Fixture *f, gconstpointer data)
{
    (void)data;
    for (guint32 i = 40; i < 48; i++)
        fake_kernel_set_state(f->fake, i, "offline", NULL);
    take(f);
    f->meminfo.available_bytes = 0;
    g_autoptr(UnplugVerdict) verdict = check(f, "");
    g_assert_cmpuint(verdict->needed_bytes, ==, 0);
}

/* Meminfo of a moment that does not fit the blocks: nothing wraps around. */
static void test_odd_meminfo(Fixture *f, gconstpointer data)
{
    (void)data;
    f->meminfo = (Meminfo){.total_bytes = 1, .available_bytes = 1};
    g_autoptr(UnplugVerdict) verdict = check(f, "low-memory");
    g_assert_cmpuint(verdict->reserve_bytes, ==, 64 * MIB);
}

static void test_all_at_once(Fixture *f, gconstpointer data)
{
    (void)data;
    fake_kernel_set_state(f->fake, 41, "going-offline", NULL);
    fake_kernel_set_state(f->fake, 42, "online", "Normal");
    fake_kernel_set_state(f->fake, 50, "online", "Normal");
    take(f);
    f->meminfo.available_bytes = 0;
    f->selectors[1] = (DeviceSelector){.kind = SELECT_SLOT, .slot = 9};
    f->selectors[2] = (DeviceSelector){.kind = SELECT_ID, .id = "boot"};
    f->selectors[3] = (DeviceSelector){.kind = SELECT_SLOT, .slot = 1};
    f->input.n_selectors = 4;
    g_autoptr(UnplugVerdict) verdict =
        check(f, "not-movable going-offline no-such-device boot-memory not-movable low-memory");
    g_assert_cmpstr(reason_at(verdict, 0)->device, ==, "slot0");
    g_assert_cmpstr(reason_at(verdict, 4)->device, ==, "slot1");
    g_assert_cmpuint(verdict->devices->len, ==, 3);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/unplug-check/defaults", test_defaults);
#define ADD(path, func) g_test_add("/unplug-check/" path, Fixture, NULL, set_up, func, tear_down)
    ADD("good", test_good);
    ADD("half-linked", test_half_linked);
    ADD("half-linked-at-start", test_half_linked_at_start);
    ADD("named-twice", test_named_twice);
    ADD("no-such-device", test_no_such_device);
    ADD("partial", test_partial);
    ADD("boot", test_boot);
    ADD("not-a-dimm", test_not_a_dimm);
    ADD("virtio-mem", test_virtio_mem);
    ADD("not-movable", test_not_movable);
    ADD("odd-states", test_odd_states);
    ADD("taken", test_taken);
    ADD("inhibited", test_inhibited);
    ADD("low-memory", test_low_memory);
    ADD("offline-device", test_offline_device);
    ADD("odd-meminfo", test_odd_meminfo);
    ADD("all-at-once", test_all_at_once);
    return g_test_run();
}
