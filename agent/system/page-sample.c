/*
 * Reads kpageflags in small chunks. Their order within a block is that of their numbers with the
 * bits reversed (0, 1/2, 1/4, 3/4, …), so that whenever the time is up the places looked at are
 * spread evenly; the order of the blocks jumps about for the same reason.
 */
#include "system/page-sample.h"

#include <errno.h>
#include <string.h>

#define KPAGEFLAGS_PATH "proc/kpageflags"
#define CHUNK_PAGES 32
#define COUNT_CHUNK_PAGES 2048 /* 16 KiB: a part of a block of 128 MiB in one read */

/* include/uapi/linux/kernel-page-flags.h */
enum {
    KPF_UPTODATE = 3,
    KPF_DIRTY = 4,
    KPF_LRU = 5,
    KPF_SLAB = 7,
    KPF_WRITEBACK = 8,
    KPF_BUDDY = 10,
    KPF_MMAP = 11,
    KPF_ANON = 12,
    KPF_SWAPBACKED = 14,
    KPF_HUGE = 17,
    KPF_NOPAGE = 20,
    KPF_THP = 22,
    KPF_OFFLINE = 23,
    KPF_PGTABLE = 26,
};
#define FLAG(bit) (G_GUINT64_CONSTANT(1) << (bit))

PageKind page_kind(guint64 flags)
{
    if (flags & (FLAG(KPF_NOPAGE) | FLAG(KPF_OFFLINE)))
        return PAGE_ABSENT;
    if (flags & FLAG(KPF_BUDDY))
        return PAGE_FREE;
    if (flags & FLAG(KPF_HUGE))
        return flags & FLAG(KPF_MMAP) ? PAGE_HUGETLB_IN_USE : PAGE_HUGETLB_OTHER;
    if (flags & (FLAG(KPF_SLAB) | FLAG(KPF_PGTABLE)))
        return PAGE_KERNEL;
    if (flags & FLAG(KPF_ANON))
        return PAGE_ANONYMOUS;
    /* Tails of huge pages carry no LRU flag. */
    if (flags & (FLAG(KPF_LRU) | FLAG(KPF_MMAP) | FLAG(KPF_THP) | FLAG(KPF_SWAPBACKED) |
                 FLAG(KPF_UPTODATE)))
        return PAGE_CACHE;
    return PAGE_OTHER;
}

static void see_page(PageSample *sample, guint64 flags)
{
    PageKind kind = page_kind(flags);
    /* tmpfs's are always dirty, and move all the same: they are swap-backed */
    gboolean is_unwritten = (flags & (FLAG(KPF_DIRTY) | FLAG(KPF_WRITEBACK))) != 0 &&
                            (flags & FLAG(KPF_SWAPBACKED)) == 0;

    sample->counts[kind]++;
    sample->unwritten += kind == PAGE_CACHE && is_unwritten;
    sample->sampled++;
}

/* FALSE: nothing can be read there. */
static gboolean read_chunk(const AttrIo *io, guint64 first_page, PageSample *sample)
{
    guint64 flags[CHUNK_PAGES];
    gssize n = attr_read_at(io, KPAGEFLAGS_PATH, first_page * sizeof flags[0], flags, sizeof flags);

    for (gssize i = 0; i < n / (gssize)sizeof flags[0]; i++)
        see_page(sample, flags[i]);
    return n >= 0;
}

/* The first power of two that is not below N. */
static guint64 round_up(guint64 n)
{
    guint64 power = 1;

    while (power < n)
        power *= 2;
    return power;
}

/* NUMBER with its bits below LIMIT, a power of two, in reverse order. */
static guint64 reverse_bits(guint64 number, guint64 limit)
{
    guint64 reversed = 0;

    for (guint64 bit = 1; bit < limit; bit *= 2) {
        reversed = reversed * 2 + (number & 1);
        number /= 2;
    }
    return reversed;
}

static guint greatest_common_divisor(guint a, guint b)
{
    while (b != 0) {
        guint rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* How far to jump from block to block so that every one of N is met, neighbours far apart. */
static guint find_stride(guint n)
{
    guint stride = MAX(1, (guint)((guint64)n * 618 / 1000));

    while (greatest_common_divisor(stride, n) != 1)
        stride++;
    return stride;
}

void page_sample_blocks(const PageSampler *sampler, const guint32 *indices, guint n,
                        PageSample *samples)
{
    guint64 n_pages = sampler->block_size_bytes / sampler->page_size_bytes;
    guint64 n_chunks = (n_pages + CHUNK_PAGES - 1) / CHUNK_PAGES;
    guint64 n_rounds = round_up(n_chunks);
    gint64 end_usec = sampler->clock() + sampler->budget_usec;

    if (n == 0)
        return;
    memset(samples, 0, n * sizeof *samples);
    guint64 stride = find_stride(n);
    for (guint64 round = 0; round < n_rounds; round++) {
        guint64 chunk = reverse_bits(round, n_rounds);

        for (guint64 i = 0; i < n && chunk < n_chunks; i++) {
            guint64 at = i * stride % n;

            if (sampler->clock() >= end_usec ||
                !read_chunk(sampler->io, indices[at] * n_pages + chunk * CHUNK_PAGES, &samples[at]))
                return;
        }
    }
}

static gint64 count_kinds(const AttrIo *io, guint64 first_page, guint64 n_pages, guint kinds)
{
    guint64 flags[COUNT_CHUNK_PAGES];
    gint64 count = 0;

    for (guint64 at = 0; at < n_pages;) {
        gsize wanted_bytes = MIN(n_pages - at, COUNT_CHUNK_PAGES) * sizeof flags[0];
        gssize n_bytes = attr_read_at(io, KPAGEFLAGS_PATH, (first_page + at) * sizeof flags[0],
                                      flags, wanted_bytes);
        if (n_bytes < (gssize)sizeof flags[0])
            return n_bytes < 0 ? n_bytes : -ENODATA;
        for (gsize i = 0; i < (gsize)n_bytes / sizeof flags[0]; i++, at++)
            count += (kinds >> page_kind(flags[i]) & 1) != 0;
    }
    return count;
}

gint64 page_count_used(const AttrIo *io, guint64 first_page, guint64 n_pages)
{
    guint unused = 1u << PAGE_FREE | 1u << PAGE_ABSENT | 1u << PAGE_HUGETLB_OTHER;

    return count_kinds(io, first_page, n_pages, ~unused);
}

gint64 page_count_idle_hugetlb(const AttrIo *io, guint64 first_page, guint64 n_pages)
{
    return count_kinds(io, first_page, n_pages, 1u << PAGE_HUGETLB_OTHER);
}

/* Whether the page in the middle of the piece at PAGE and its last one are offline too. */
static gboolean is_offline_whole(const AttrIo *io, guint64 page, guint64 piece_pages)
{
    const guint64 pages[] = {page + piece_pages / 2, page + piece_pages - 1};

    for (guint i = 0; i < G_N_ELEMENTS(pages); i++) {
        guint64 flags = 0;
        gssize n = attr_read_at(io, KPAGEFLAGS_PATH, pages[i] * sizeof flags, &flags, sizeof flags);
        if (n != (gssize)sizeof flags || (flags & FLAG(KPF_OFFLINE)) == 0)
            return FALSE;
    }
    return TRUE;
}

gint64 page_count_offline(const AttrIo *io, guint64 first_page, guint64 n_pages,
                          guint64 piece_pages)
{
    gsize n_pieces = (gsize)(n_pages / piece_pages);
    g_autofree guint64 *flags = g_new0(guint64, n_pieces + 1);
    gint64 n_offline = 0;

    gssize n = attr_read_each(io, KPAGEFLAGS_PATH, first_page * sizeof flags[0],
                              piece_pages * sizeof flags[0], n_pieces, flags, sizeof flags[0]);
    if (n < (gssize)n_pieces)
        return n < 0 ? n : -ENODATA;
    for (gsize i = 0; i < n_pieces; i++) {
        if ((flags[i] & FLAG(KPF_OFFLINE)) != 0 &&
            is_offline_whole(io, first_page + i * piece_pages, piece_pages))
            n_offline += (gint64)piece_pages;
    }
    return n_offline;
}

gboolean page_sample_each(const AttrIo *io, guint64 first_page, guint64 step_pages, gsize n,
                          PageSample *sample)
{
    g_autofree guint64 *flags = g_new(guint64, n + 1);
    gssize n_read = attr_read_each(io, KPAGEFLAGS_PATH, first_page * sizeof flags[0],
                                   step_pages * sizeof flags[0], n, flags, sizeof flags[0]);

    for (gssize i = 0; i < n_read; i++)
        see_page(sample, flags[i]);
    return n_read == (gssize)n;
}

void page_sample_add(PageSample *sum, const PageSample *sample)
{
    sum->sampled += sample->sampled;
    for (guint kind = 0; kind < PAGE_KIND_COUNT; kind++)
        sum->counts[kind] += sample->counts[kind];
    sum->unwritten += sample->unwritten;
}

static guint64 scale(guint64 count, guint64 sampled, guint64 total_pages)
{
    return (guint64)((double)count / (double)sampled * (double)total_pages + 0.5);
}

guint64 page_sample_estimate(const PageSample *sample, PageKind kind, guint64 total_pages)
{
    return sample->sampled == 0 ? 0 : scale(sample->counts[kind], sample->sampled, total_pages);
}

PageSample page_sample_scale(const PageSample *sample, guint64 total_pages)
{
    PageSample scaled = {.sampled = sample->sampled == 0 ? 0 : total_pages};

    for (guint kind = 0; kind < PAGE_KIND_COUNT; kind++)
        scaled.counts[kind] = page_sample_estimate(sample, kind, total_pages);
    if (sample->sampled > 0)
        scaled.unwritten = scale(sample->unwritten, sample->sampled, total_pages);
    return scaled;
}

guint64 page_sample_estimate_used(const PageSample *sample, guint64 total_pages)
{
    if (sample->sampled == 0)
        return total_pages;
    return scale(sample->sampled - sample->counts[PAGE_FREE] - sample->counts[PAGE_ABSENT],
                 sample->sampled, total_pages);
}
