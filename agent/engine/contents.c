/*
 * Puts the sampler to work with the real clock and page size.
 */
#include "engine/contents.h"

#include <unistd.h>

static guint64 page_size_bytes(void)
{
    return (guint64)sysconf(_SC_PAGESIZE);
}

guint64 pages_in_bytes(guint64 bytes)
{
    return bytes / page_size_bytes();
}

guint64 bytes_of_pages(guint64 pages)
{
    return pages * page_size_bytes();
}

PageSample *contents_of_blocks(const AttrIo *io, const Snapshot *snapshot, const guint32 *indices,
                               guint n, gint64 budget_usec)
{
    PageSample *samples = g_new(PageSample, n);
    PageSampler sampler = {.io = io,
                           .block_size_bytes = snapshot->block_size_bytes,
                           .page_size_bytes = page_size_bytes(),
                           .clock = g_get_monotonic_time,
                           .budget_usec = budget_usec};

    page_sample_blocks(&sampler, indices, n, samples);
    return samples;
}

/* Which of DEVICES each device of SNAPSHOT is, and 1; 0: it is none of them. (transfer full) */
static guint *number_devices(const Snapshot *snapshot, const Device *const *devices, guint n)
{
    guint *numbers = g_new0(guint, snapshot->device_count + 1);

    for (guint d = n; d-- > 0;)
        numbers[devices[d] - snapshot->devices] = d + 1;
    return numbers;
}

static guint number_of(const guint *numbers, const Block *block)
{
    return block->state == BLOCK_STATE_ONLINE && block->device >= 0 ? numbers[block->device] : 0;
}

PageSample *contents_of_devices(const AttrIo *io, const Snapshot *snapshot,
                                const Device *const *devices, guint n, gint64 budget_usec)
{
    g_autoptr(GArray) indices = g_array_new(FALSE, FALSE, sizeof(guint32));
    g_autoptr(GArray) owners = g_array_new(FALSE, FALSE, sizeof(guint));
    PageSample *sums = g_new0(PageSample, n);

    g_autofree guint *numbers = number_devices(snapshot, devices, n);

    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];
        guint number = number_of(numbers, block);

        if (number == 0)
            continue;
        guint owner = number - 1;
        g_array_append_val(indices, block->index);
        g_array_append_val(owners, owner);
    }
    g_autofree PageSample *samples =
        contents_of_blocks(io, snapshot, (const guint32 *)indices->data, indices->len, budget_usec);
    for (guint i = 0; i < indices->len; i++)
        page_sample_add(&sums[g_array_index(owners, guint, i)], &samples[i]);
    return sums;
}

HugepageShare *contents_hugepages(const AttrIo *io, const Snapshot *snapshot,
                                  const Device *const *devices, guint n, guint64 piece_bytes)
{
    HugepageShare *shares = g_new0(HugepageShare, n + 1);
    g_autofree guint *numbers = number_devices(snapshot, devices, n);
    guint64 in_block = MAX(snapshot->block_size_bytes / piece_bytes, 1), n_pieces = 0;
    guint64 piece_pages = pages_in_bytes(MIN(piece_bytes, snapshot->block_size_bytes));
    guint64 next = 0, begin = 0; /* pieces of all online blocks are counted through */

    for (guint32 i = 0; i < snapshot->block_count; i++)
        n_pieces += number_of(numbers, &snapshot->blocks[i]) > 0 ? in_block : 0;
    guint64 stride = MAX((n_pieces + CONTENTS_LOOKS_MAX - 1) / CONTENTS_LOOKS_MAX, 1);
    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];
        guint number = number_of(numbers, block);
        PageSample sample = {.sampled = 0};

        if (number == 0)
            continue;
        guint64 n_looks = next < begin + in_block ? (begin + in_block - next - 1) / stride + 1 : 0;
        guint64 first_page = (block->index * in_block + (next - begin)) * piece_pages;
        if (n_looks > 0 &&
            !page_sample_each(io, first_page, stride * piece_pages, n_looks, &sample))
            break;
        next += n_looks * stride;
        begin += in_block;
        HugepageShare *share = &shares[number - 1];
        share->in_use_bytes +=
            bytes_of_pages(sample.counts[PAGE_HUGETLB_IN_USE] * stride * piece_pages);
        share->other_bytes +=
            bytes_of_pages(sample.counts[PAGE_HUGETLB_OTHER] * stride * piece_pages);
    }
    return shares;
}
