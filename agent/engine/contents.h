/*
 * What is in devices and blocks at this moment, sampled: for choosing, for ordering, for sentences.
 */
#pragma once

#include "system/page-sample.h"
#include "system/snapshot.h"

/* The budget of one question, all its devices and blocks together. */
#define CONTENTS_BUDGET_USEC (12 * G_GINT64_CONSTANT(1000))
/* For what is asked often. */
#define CONTENTS_GLANCE_USEC (1 * G_GINT64_CONSTANT(1000))

/* One PageSample for each of the N blocks INDICES, within BUDGET_USEC. (transfer full) */
PageSample *contents_of_blocks(const AttrIo *io, const Snapshot *snapshot, const guint32 *indices,
                               guint n, gint64 budget_usec);

/* The same summed up for each of the N DEVICES of SNAPSHOT; of their online blocks. (transfer full)
 */
PageSample *contents_of_devices(const AttrIo *io, const Snapshot *snapshot,
                                const Device *const *devices, guint n, gint64 budget_usec);

/* Pages of this machine in BYTES, and the other way. */
guint64 pages_in_bytes(guint64 bytes);
guint64 bytes_of_pages(guint64 pages);
