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

PageSample *contents_of_devices(const AttrIo *io, const Snapshot *snapshot,
                                const Device *const *devices, guint n, gint64 budget_usec)
{
    g_autoptr(GArray) indices = g_array_new(FALSE, FALSE, sizeof(guint32));
    g_autoptr(GArray) owners = g_array_new(FALSE, FALSE, sizeof(guint));
    PageSample *sums = g_new0(PageSample, n);

    g_autofree guint *numbers = g_new0(guint, snapshot->device_count + 1); /* in DEVICES, and 1 */

    for (guint d = n; d-- > 0;)
        numbers[devices[d] - snapshot->devices] = d + 1;
    for (guint32 i = 0; i < snapshot->block_count; i++) {
        const Block *block = &snapshot->blocks[i];
        guint number = block->device >= 0 ? numbers[block->device] : 0;

        if (block->state != BLOCK_STATE_ONLINE || number == 0)
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
