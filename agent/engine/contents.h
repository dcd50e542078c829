/*
 * What is in devices and blocks at this moment, sampled: for choosing, for ordering, for sentences.
 */
#pragma once

#include "decide/unplug-check.h"
#include "system/page-sample.h"
#include "system/snapshot.h"

/* The budget of one question, all its devices and blocks together. */
#define CONTENTS_BUDGET_USEC (12 * G_GINT64_CONSTANT(1000))

/* Half a microsecond each. */
#define CONTENTS_LOOKS_MAX 4096

/* One PageSample for each of the N blocks INDICES, within BUDGET_USEC. (transfer full) */
PageSample *contents_of_blocks(const AttrIo *io, const Snapshot *snapshot, const guint32 *indices,
                               guint n, gint64 budget_usec);

/* The same summed up for each of the N DEVICES of SNAPSHOT; of their online blocks. (transfer full)
 */
PageSample *contents_of_devices(const AttrIo *io, const Snapshot *snapshot,
                                const Device *const *devices, guint n, gint64 budget_usec);

/* Huge pages in each of the N DEVICES of SNAPSHOT, of PIECE_BYTES or larger: exactly, where one
 * look at each piece makes at most CONTENTS_LOOKS_MAX of them, else by so many, spread evenly.
 * (transfer full) */
HugepageShare *contents_hugepages(const AttrIo *io, const Snapshot *snapshot,
                                  const Device *const *devices, guint n, guint64 piece_bytes);

/* Pages of this machine in BYTES, and the other way. */
guint64 pages_in_bytes(guint64 bytes);
guint64 bytes_of_pages(guint64 pages);
