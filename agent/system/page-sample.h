/*
 * What is in blocks, by kind: a sample of /proc/kpageflags
 * (Documentation/admin-guide/mm/pagemap.rst), as large as a time budget allows.
 *
 * It costs some 20 ms to read all of a block, so nothing may depend on a whole count: the figures
 * choose between devices, order blocks, and make a sentence for a person. Never more.
 */
#pragma once

#include <glib.h>

#include "system/attr.h"

typedef enum {
    PAGE_FREE,
    PAGE_ABSENT,         /* offline blocks and holes; what a balloon or virtio-mem has taken */
    PAGE_ANONYMOUS,      /* of processes; huge ones count each of their pages */
    PAGE_CACHE,          /* of files, tmpfs and shared memory too */
    PAGE_HUGETLB_IN_USE, /* mapped by somebody */
    PAGE_HUGETLB_OTHER,  /* free in hugetlbfs's pool, or not mapped */
    PAGE_KERNEL,         /* slab, page tables */
    PAGE_OTHER,          /* nothing that the flags would tell */
    PAGE_KIND_COUNT
} PageKind;

typedef struct {
    guint64 sampled;                 /* pages that were looked at */
    guint64 counts[PAGE_KIND_COUNT]; /* of them; their sum is `sampled` */
    guint64 unwritten;               /* of those in PAGE_CACHE: dirty, or being written */
} PageSample;

/* The kind that FLAGS, one entry of kpageflags, stands for. */
PageKind page_kind(guint64 flags);

/* A clock in microseconds that never runs backwards. */
typedef gint64 (*PageSampleClock)(void);

typedef struct {
    const AttrIo *io;
    guint64 block_size_bytes;
    guint64 page_size_bytes; /* of this machine (sysconf) */
    PageSampleClock clock;
    gint64 budget_usec; /* of all blocks together; one read may overrun it */
} PageSampler;

/**
 * page_sample_blocks: looks at @n blocks in turn, at places spread evenly over each, until the
 * budget is used up or all has been read.
 * @samples: one for each of @indices; all zero where the budget (or the kernel: no such file, no
 *   permission) allowed no look at it.
 *
 * The first round of looks sees every 2 MiB of a block once, so where it was finished no 2 MiB huge
 * page of these blocks was missed.
 */
void page_sample_blocks(const PageSampler *sampler, const guint32 *indices, guint n,
                        PageSample *samples);

/* How many of N_PAGES pages from FIRST_PAGE on must move before they are gone: neither free nor
 * absent, and no free huge page of hugetlbfs. (Nor one that is in use and mapped by nobody, which
 * looks the same.) A negative errno: not known. */
gint64 page_count_used(const AttrIo *io, guint64 first_page, guint64 n_pages);

/* How many of them are huge pages of hugetlbfs that are free or not mapped. A negative errno: not
 * known. */
gint64 page_count_idle_hugetlb(const AttrIo *io, guint64 first_page, guint64 n_pages);

/* How many of N_PAGES pages from FIRST_PAGE on lie in pieces of PIECE_PAGES that virtio-mem has not
 * plugged: one look a piece, and two more where that page is offline, as a balloon's pages are too.
 * (A piece that a balloon holds whole looks the same.) A negative errno: not known. */
gint64 page_count_offline(const AttrIo *io, guint64 first_page, guint64 n_pages,
                          guint64 piece_pages);

/* N pages, STEP_PAGES apart from FIRST_PAGE on, are looked at and added to SAMPLE. FALSE: they
 * could not be read. */
gboolean page_sample_each(const AttrIo *io, guint64 first_page, guint64 step_pages, gsize n,
                          PageSample *sample);

void page_sample_add(PageSample *sum, const PageSample *sample);
/* COUNT of the kind KIND among TOTAL_PAGES pages of which SAMPLE is a part, by its share. */
guint64 page_sample_estimate(const PageSample *sample, PageKind kind, guint64 total_pages);
/* SAMPLE as if all of TOTAL_PAGES had been looked at; one that has seen nothing stays so. */
PageSample page_sample_scale(const PageSample *sample, guint64 total_pages);
/* The estimate for all that would have to move. Of blocks that were not looked at: TOTAL_PAGES. */
guint64 page_sample_estimate_used(const PageSample *sample, guint64 total_pages);
