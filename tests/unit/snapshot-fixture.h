/*
 * What the snapshot tests share: a fake kernel with 1 GiB of boot RAM, and its present snapshot.
 */
#pragma once

#include "system/snapshot.h"
#include "system/units.h"
#include "tests/unit/fake-kernel.h"

#define BS (128 * MIB)

typedef struct {
    FakeKernel *fake;
    AttrIo *io;
    Snapshot *snapshot; /* of the last snapshot_fixture_*(), or NULL; the fixture's */
} SnapshotFixture;

void snapshot_fixture_set_up(SnapshotFixture *f, gconstpointer data);
/* Fails if a trap of the kernel's was stepped into. */
void snapshot_fixture_tear_down(SnapshotFixture *f, gconstpointer data);

/* Each replaces the fixture's snapshot, checks what holds of any, and returns it (transfer
 * none). */
Snapshot *snapshot_fixture_scan(SnapshotFixture *f);
Snapshot *snapshot_fixture_refresh(SnapshotFixture *f, const guint32 *indices, guint n);
Snapshot *snapshot_fixture_refresh_one(SnapshotFixture *f, guint32 index);

/* Sorted, no index or id twice, and figures that add up. */
void snapshot_assert_sane(const Snapshot *snapshot);
/* The device of block INDEX, which must be there. */
const Device *snapshot_device_of(const Snapshot *snapshot, guint32 index);
