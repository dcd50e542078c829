/*
 * What the snapshot tests share. See snapshot-fixture.h.
 */
#include "tests/unit/snapshot-fixture.h"

void snapshot_fixture_set_up(SnapshotFixture *f, gconstpointer data)
{
    (void)data;
    f->fake = fake_kernel_new(BS);
    f->io = fake_kernel_io(f->fake);
    f->snapshot = NULL;
    fake_kernel_add_boot(f->fake, 0, 8);
}

void snapshot_fixture_tear_down(SnapshotFixture *f, gconstpointer data)
{
    (void)data;
    g_assert_cmpuint(fake_kernel_traps(f->fake), ==, 0);
    snapshot_unref(f->snapshot);
    attr_io_free(f->io);
    fake_kernel_free(f->fake);
}

/* What holds of any snapshot. */
void snapshot_assert_sane(const Snapshot *s)
{
    for (guint32 i = 0; i < s->block_count; i++) {
        g_assert_true(i == 0 || s->blocks[i - 1].index < s->blocks[i].index);
        g_assert_cmpint(s->blocks[i].device, >=, -1);
        g_assert_cmpint(s->blocks[i].device, <, (gint32)s->device_count);
        g_assert_true(snapshot_find_block(s, s->blocks[i].index) == &s->blocks[i]);
    }
    for (guint32 d = 0; d < s->device_count; d++) {
        const Device *device = &s->devices[d];
        guint32 count = 0;

        g_assert_true(d == 0 || s->devices[d - 1].address <= device->address);
        for (guint32 i = 0; i < s->block_count; i++)
            count += s->blocks[i].device == (gint32)d;
        g_assert_cmpuint(count, ==, device->block_count);
        g_assert_cmpuint(device->online_kernel_bytes + device->online_movable_bytes +
                             device->offline_bytes,
                         ==, count * s->block_size_bytes);
        for (guint32 e = 0; e < d; e++)
            g_assert_cmpstr(s->devices[e].id, !=, device->id);
    }
}

Snapshot *snapshot_fixture_scan(SnapshotFixture *f)
{
    g_autoptr(GError) error = NULL;

    snapshot_unref(f->snapshot);
    f->snapshot = snapshot_scan(f->io, &error);
    g_assert_no_error(error);
    snapshot_assert_sane(f->snapshot);
    return f->snapshot;
}

Snapshot *snapshot_fixture_refresh(SnapshotFixture *f, const guint32 *indices, guint n)
{
    Snapshot *next = snapshot_refresh(f->snapshot, f->io, indices, n);

    snapshot_unref(f->snapshot);
    f->snapshot = next;
    snapshot_assert_sane(next);
    return next;
}

Snapshot *snapshot_fixture_refresh_one(SnapshotFixture *f, guint32 index)
{
    return snapshot_fixture_refresh(f, &index, 1);
}

const Device *snapshot_device_of(const Snapshot *s, guint32 index)
{
    const Block *block = snapshot_find_block(s, index);

    g_assert_nonnull(block);
    return snapshot_block_device(s, block);
}
