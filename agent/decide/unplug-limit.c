/*
 * First which devices stand in their own way, then how many of the others find room. A sum of DIMMs
 * is one bit, so that all sums of all DIMMs are a few thousand words.
 */
#include "decide/unplug-limit.h"

#include <string.h>

#include "decide/reason.h"
#include "decide/unplug-headroom.h"
#include "system/units.h"

/* Sets of DIMMs that are tried where the nodes decide: each costs a walk over all blocks. */
#define TRIES_MAX 16
/* virtio-mem gives back in pieces of that. */
#define PIECE_BYTES (2 * MIB)

static guint64 online_bytes(const Device *device)
{
    return device->online_movable_bytes + device->online_kernel_bytes;
}

/* Whether DEVICE would pass if there were room without end. */
static gboolean passes_alone(const UnplugCheckInput *input, const Device *device)
{
    static const Meminfo plenty = {.total_bytes = G_MAXUINT64, .available_bytes = G_MAXUINT64};
    DeviceSelector selector = {.kind = SELECT_ID, .bytes = device->online_movable_bytes};
    UnplugCheckInput alone = {.snapshot = input->snapshot,
                              .meminfo = &plenty,
                              .selectors = &selector,
                              .n_selectors = 1,
                              .reserve_bytes = 1,
                              .is_taken = input->is_taken,
                              .user_data = input->user_data,
                              .allow_virtio_mem = TRUE,
                              .inhibitors = input->inhibitors,
                              .is_brief = TRUE};

    g_strlcpy(selector.id, device->id, sizeof selector.id);
    g_autoptr(UnplugVerdict) verdict = unplug_check(&alone);
    return verdict->can_prepare;
}

typedef struct {
    const UnplugCheckInput *input;
    const HugepageShare *shares;
} Question;

/* Whether DEVICES (N of const Device *), all online, find room elsewhere, and EXTRA_BYTES. */
static gboolean finds_room(const Question *question, gpointer *devices, guint n,
                           guint64 extra_bytes, guint64 *available_bytes)
{
    UnplugCheckInput input = *question->input;
    g_autoptr(UnplugVerdict) verdict = g_new0(UnplugVerdict, 1);

    verdict->reasons = reason_list_new();
    verdict->devices = g_ptr_array_new();
    verdict->leaving_bytes = extra_bytes;
    input.hugetlb = (HugepageShare){.other_bytes = 0};
    for (guint i = 0; i < n; i++) {
        const Device *device = devices[i];

        g_ptr_array_add(verdict->devices, devices[i]);
        verdict->leaving_bytes += online_bytes(device);
        if (question->shares) {
            const HugepageShare *share = &question->shares[device - input.snapshot->devices];
            input.hugetlb.in_use_bytes += share->in_use_bytes;
            input.hugetlb.other_bytes += share->other_bytes;
        }
    }
    headroom_add_to_verdict(verdict, &input);
    if (available_bytes)
        *available_bytes = verdict->available_bytes;
    return !reason_list_refuses(verdict->reasons);
}

/* The most of AT_MOST_BYTES that finds room, whatever node it is on; in pieces. */
static guint64 find_room(const UnplugCheckInput *input, guint64 at_most_bytes)
{
    UnplugCheckInput without_nodes = *input;
    Question nodeless = {.input = &without_nodes};
    guint64 fits = 0, fails = at_most_bytes / PIECE_BYTES + 1; /* pieces */

    without_nodes.nodes = NULL;
    while (fails - fits > 1) {
        guint64 middle = fits + (fails - fits) / 2;
        if (finds_room(&nodeless, NULL, 0, middle * PIECE_BYTES, NULL))
            fits = middle;
        else
            fails = middle;
    }
    return fits * PIECE_BYTES;
}

/* --- which DIMMs --- */

/* ORs WORDS, moved up by SHIFT bits, into themselves. */
static void add_shifted(guint64 *words, gsize n_words, gsize shift)
{
    gsize by_words = shift / 64, by_bits = shift % 64;

    /* Downwards, so that no DIMM counts twice. */
    for (gsize i = n_words; i-- > by_words;) {
        guint64 word = words[i - by_words] << by_bits;
        if (by_bits > 0 && i > by_words)
            word |= words[i - by_words - 1] >> (64 - by_bits);
        words[i] |= word;
    }
}

/* The largest sum of DIMMS that is at most ROOM_BYTES. */
static guint64 best_sum(const GPtrArray *dimms, guint64 room_bytes, guint64 block_size_bytes)
{
    gsize n_sums = (gsize)(room_bytes / block_size_bytes) + 1;
    gsize n_words = n_sums / 64 + 1;
    g_autofree guint64 *words = g_new0(guint64, n_words);
    gsize sum = n_sums;

    words[0] = 1;
    for (guint i = 0; i < dimms->len; i++)
        add_shifted(words, n_words, (gsize)(online_bytes(dimms->pdata[i]) / block_size_bytes));
    while (sum-- > 0) {
        if ((words[sum / 64] >> sum % 64 & 1) != 0)
            return sum * block_size_bytes;
    }
    return 0;
}

typedef struct {
    const Question *question;
    GPtrArray *taken;
    guint tries_left;
    guint64 bytes; /* of TAKEN */
} Search;

/* Takes DEVICES (N of them) into the set, or of each half as much as fits. */
static void take(Search *search, gpointer *devices, guint n)
{
    guint before = search->taken->len;

    if (n == 0 || search->tries_left == 0)
        return;
    search->tries_left--;
    for (guint i = 0; i < n; i++)
        g_ptr_array_add(search->taken, devices[i]);
    if (finds_room(search->question, search->taken->pdata, search->taken->len, 0, NULL)) {
        for (guint i = 0; i < n; i++)
            search->bytes += online_bytes(devices[i]);
        return;
    }
    g_ptr_array_set_size(search->taken, (gint)before);
    if (n == 1)
        return;
    take(search, devices, n / 2);
    take(search, devices + n / 2, n - n / 2);
}

static gint compare_sizes(gconstpointer a, gconstpointer b)
{
    guint64 left = online_bytes(*(const Device *const *)a);
    guint64 right = online_bytes(*(const Device *const *)b);

    return left > right ? -1 : left < right;
}

static guint64 sum_by_trying(const Question *question, GPtrArray *dimms)
{
    g_autoptr(GPtrArray) taken = g_ptr_array_new();
    Search search = {.question = question, .taken = taken, .tries_left = TRIES_MAX};

    g_ptr_array_sort(dimms, compare_sizes);
    take(&search, dimms->pdata, dimms->len);
    return search.bytes;
}

/* The most of DIMMS, which all pass alone, that can go together. */
static guint64 sum_of_dimms(const Question *question, GPtrArray *dimms, guint64 room_bytes)
{
    const UnplugCheckInput *input = question->input;
    guint64 all_bytes = 0, idle_bytes = 0; /* idle: offline already, costs no room */

    if (finds_room(question, dimms->pdata, dimms->len, 0, NULL)) {
        for (guint i = 0; i < dimms->len; i++)
            all_bytes += ((const Device *)dimms->pdata[i])->size_bytes;
        return all_bytes;
    }
    for (guint i = dimms->len; i-- > 0;) {
        const Device *device = dimms->pdata[i];
        if (online_bytes(device) > 0)
            continue;
        idle_bytes += device->size_bytes;
        g_ptr_array_remove_index_fast(dimms, i);
    }
    return idle_bytes + (question->shares || (input->nodes && input->nodes->len > 1)
                             ? sum_by_trying(question, dimms)
                             : best_sum(dimms, room_bytes, input->snapshot->block_size_bytes));
}

/* What virtio-mem can give back of NODE: free huge pages stay there (unplug-headroom.c). */
static guint64 room_of_node(const UnplugCheckInput *input, gint32 node)
{
    for (guint i = 0; input->nodes != NULL && i < input->nodes->len; i++) {
        const NodeMeminfo *info = &g_array_index(input->nodes, NodeMeminfo, i);
        if (info->node == node)
            return info->total_bytes - MIN(info->hugetlb_free_bytes, info->total_bytes);
    }
    return G_MAXUINT64;
}

UnplugLimit unplug_limit(const UnplugCheckInput *input, const HugepageShare *shares)
{
    Question question = {input, shares};
    g_autoptr(GPtrArray) dimms = g_ptr_array_new();
    const Snapshot *snapshot = input->snapshot;
    guint64 dimm_bytes = 0, virtio_bytes = 0;
    UnplugLimit limit;

    for (guint32 i = 0; i < snapshot->device_count; i++) {
        const Device *device = &snapshot->devices[i];
        if (!passes_alone(input, device))
            continue;
        if (device->kind == DEVICE_VIRTIO_MEM) {
            virtio_bytes += MIN(device->online_movable_bytes, room_of_node(input, device->node));
            continue;
        }
        dimm_bytes += online_bytes(device);
        g_ptr_array_add(dimms, (gpointer)device);
    }
    finds_room(&question, NULL, 0, 0, &limit.available_bytes);
    guint64 room_bytes = find_room(input, dimm_bytes + virtio_bytes);
    limit.limit_bytes = sum_of_dimms(&question, dimms, MIN(room_bytes, dimm_bytes));
    limit.limit_bytes += MIN(virtio_bytes, room_bytes - MIN(room_bytes, limit.limit_bytes));
    return limit;
}
