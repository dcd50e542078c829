/*
 * The sentences of the unplug state machine: why a job did not become ready, or is not over yet.
 *
 * A sentence says what happened, with figures, and what a person can do. It never names a process.
 * Nothing in here changes a job but for its reasons.
 */
#include "decide/unplug-private.h"

#include <errno.h>

#include "decide/unplug-headroom.h"
#include "system/units.h"

static const char *device_of(const Job *job, guint position)
{
    guint device = job_block(job, position)->device;

    return g_array_index(job->pub.devices, JobDevice, device).id;
}

/* "12 s", "1.5 s" */
static char *format_seconds(gint64 usec)
{
    if (usec % USEC_PER_SEC == 0 || usec > 10 * USEC_PER_SEC)
        return g_strdup_printf("%" G_GINT64_FORMAT " s", usec / USEC_PER_SEC);
    return g_strdup_printf("%" G_GINT64_FORMAT ".%" G_GINT64_FORMAT " s", usec / USEC_PER_SEC,
                           usec % USEC_PER_SEC / (USEC_PER_SEC / 10));
}

/* Not even begun: the next block would not fit into what is left. */
void reasons_add_low_before(Job *job, guint position, guint64 available_bytes,
                            const Uncounted *uncounted)
{
    g_autofree char *more = headroom_uncounted(uncounted);
    guint64 needed_bytes = job->pub.block_size_bytes + job->pub.reserve_bytes;
    char available[UNITS_BYTES_MAX];
    char block_size[UNITS_BYTES_MAX];
    char reserve[UNITS_BYTES_MAX];
    Reason *reason = reason_new(
        REASON_LOW_MEMORY, device_of(job, position), job_block(job, position)->index, 0,
        "block %u was not taken offline: %s of memory is available, and %s for the block and %s in "
        "reserve are needed; free memory or unplug less%s",
        job_block(job, position)->index, units_format_bytes(available_bytes, available),
        units_format_bytes(job->pub.block_size_bytes, block_size),
        units_format_bytes(job->pub.reserve_bytes, reserve), more);

    reason->bytes = needed_bytes;
    job_add_reason(job, reason);
}

/* While block POSITION was being taken offline. */
void reasons_add_low_during(Job *job, guint position, guint64 available_bytes,
                            const Uncounted *uncounted)
{
    g_autofree char *more = headroom_uncounted(uncounted);
    char available[UNITS_BYTES_MAX];
    char reserve[UNITS_BYTES_MAX];
    Reason *reason = reason_new(
        REASON_LOW_MEMORY, device_of(job, position), job_block(job, position)->index, 0,
        "memory ran low while block %u went offline: %s is available, less than the %s kept in "
        "reserve; free memory or unplug less%s",
        job_block(job, position)->index, units_format_bytes(available_bytes, available),
        units_format_bytes(job->pub.reserve_bytes, reserve), more);

    reason->bytes = job->pub.reserve_bytes;
    job_add_reason(job, reason);
}

/* An attempt that was ended because no page had left the block for a while. */
static Reason *explain_stall(const BlockTrack *track, const char *device, guint32 index,
                             const char *contents)
{
    if (track->last.is_waiting)
        return reason_new(REASON_KERNEL_BUSY, device, index, 0,
                          "block %u was not even begun in 5 s: the kernel was at another memory "
                          "operation; try again when that is over",
                          index);
    if (track->last.is_asleep)
        return reason_new(REASON_BUSY_PAGES, device, index, 0,
                          "%s, block %u: no page moved for 5 s, and the kernel slept as it does "
                          "behind a disk or a network file system that does not answer, so memplug "
                          "ended the attempt%s; look at the storage below swap and page cache",
                          device, index, contents);
    return reason_new(REASON_BUSY_PAGES, device, index, 0,
                      "%s, block %u: no page moved for 5 s, however often the kernel tried, so "
                      "memplug ended each of %u attempts%s; what holds its pages the kernel does "
                      "not tell: try again later, or end direct I/O and passed-through devices",
                      device, index, track->n_failed, contents);
}

/* What the kernel, or somebody else, said of an attempt that memplug did not end. */
static Reason *explain_error(const BlockTrack *track, const char *device, guint32 index,
                             const char *contents)
{
    int error = track->last_error;

    switch (error) {
    case EBUSY:
    case EAGAIN:
        return reason_new(
            REASON_BUSY_PAGES, device, index, error,
            "%s, block %u is still busy after %u attempts%s; the kernel could not "
            "move some of it, and does not tell why: try again later, or end direct I/O and "
            "passed-through devices",
            device, index, track->n_failed, contents);
    case EINTR:
        return reason_new(REASON_INTERRUPTED, device, index, error,
                          "a signal from outside of memplug interrupted the offlining of block "
                          "%u; try again",
                          index);
    case ENOMEM:
        return reason_new(REASON_LOW_MEMORY, device, index, error,
                          "the kernel found no memory to move the contents of block %u to%s; "
                          "free memory or unplug less",
                          index, contents);
    case 0:
        return reason_new(REASON_ONLINED_ELSEWHERE, device, index, 0,
                          "something else brought block %u back online each time that it went "
                          "offline; look for a udev rule that onlines memory",
                          index);
    case EPERM:
        return reason_new(REASON_ERROR, device, index, error,
                          "a driver in the kernel does not allow block %u to go offline; this "
                          "does not change by trying again",
                          index);
    case EROFS:
    case EACCES:
        return reason_new(REASON_ERROR, device, index, error,
                          "memplugd may not write to /sys (%s), so block %u stays online; look at "
                          "the sandbox of its unit",
                          g_strerror(error), index);
    default:
        return reason_new(REASON_ERROR, device, index, error,
                          "block %u could not be taken offline: %s", index, g_strerror(error));
    }
}

/* Whether page cache that is not written yet is what kept the block: it moves only once it is. */
static gboolean is_kept_by_writing(const BlockTrack *track)
{
    switch (track->last.end) {
    case ATTEMPT_STALLED:
    case ATTEMPT_LATE:
    case ATTEMPT_CANCELLED:
        break;
    default:
        if (track->last_error != EBUSY && track->last_error != EAGAIN)
            return FALSE;
    }
    return contents_are_unwritten(&track->contents);
}

static Reason *explain_writing(const BlockTrack *track, const char *device, guint32 index,
                               const char *contents)
{
    char dirty[UNITS_BYTES_MAX], writeback[UNITS_BYTES_MAX];

    return reason_new(REASON_DIRTY_PAGES, device, index, track->last_error,
                      "%s, block %u holds page cache that is not written yet, and moves only once "
                      "it is%s; the guest has %s dirty and %s being written: wait for the disk, or "
                      "lower vm.dirty_ratio",
                      device, index, contents,
                      units_format_bytes(track->contents.dirty_bytes, dirty),
                      units_format_bytes(track->contents.writeback_bytes, writeback));
}

/* Why the last attempt on a block that was tried came to nothing. */
static Reason *explain_attempt(const BlockTrack *track, const char *device, guint32 index)
{
    g_autofree char *contents = contents_describe(&track->contents);
    gboolean has_full_pool = contents_lack_hugepages(&track->contents);

    if (is_kept_by_writing(track))
        return explain_writing(track, device, index, contents);
    switch (track->last.end) {
    case ATTEMPT_CANCELLED: /* while it offlines, a job cancels an attempt at its deadline only */
    case ATTEMPT_LATE:
        return reason_new(REASON_TIMEOUT, device, index, 0,
                          "block %u was still going offline when the time was up%s; allow more "
                          "time",
                          index, contents);
    case ATTEMPT_OVER:
    case ATTEMPT_STALLED:
    case ATTEMPT_LOW_MEMORY:
    case ATTEMPT_NO_WORKER: /* not noted as an attempt */
        break;
    }
    if (has_full_pool && (track->last.end == ATTEMPT_STALLED || track->last_error == EBUSY ||
                          track->last_error == EAGAIN || track->last_error == ENOMEM))
        return reason_new(REASON_HUGEPAGES, device, index, track->last_error,
                          "%s, block %u is still busy after %u attempts%s; free huge pages "
                          "(vm.nr_hugepages) or memory, or unplug less",
                          device, index, track->n_failed, contents);
    return track->last.end == ATTEMPT_STALLED ? explain_stall(track, device, index, contents)
                                              : explain_error(track, device, index, contents);
}

/* What kept one block online. Nothing for a block that was never tried. */
void reasons_add_kept(Job *job, guint position)
{
    const BlockTrack *track = job_track(job, position);
    guint32 index = job_block(job, position)->index;
    const char *device = device_of(job, position);

    if (track->is_changing && !track->is_tried) {
        job_add_reason(job, reason_new(REASON_GOING_OFFLINE, device, index, track->last_error,
                                       "block %u is in the middle of a change; look at it again "
                                       "later",
                                       index));
        return;
    }
    if (track->n_failed > 0)
        job_add_reason(job, explain_attempt(track, device, index));
    if (track->no_worker_error != 0)
        job_add_reason(job, reason_new(REASON_ERROR, device, index, track->no_worker_error,
                                       "no process could be started to take block %u offline: %s; "
                                       "look at the unit's TasksMax, and at memory",
                                       index, g_strerror(track->no_worker_error)));
}

/* The deadline has passed, every block is offline, and the host could still not eject. */
void reasons_add_gate(Job *job)
{
    gboolean is_under_way = job->gate_error == 0 || job->gate_error == EAGAIN;

    job_add_reason(job, reason_new(REASON_KERNEL_BUSY, NULL, -1, job->gate_error,
                                   "every block was offline, but the kernel's eject switch "
                                   "(/sys/firmware/acpi/hotplug/memory/enabled) could not be "
                                   "opened in time: %s",
                                   is_under_way ? "the write to it has not ended, as behind an "
                                                  "eject that hangs"
                                                : g_strerror(job->gate_error)));
}

/* The deadline has passed: how far it got, and what kept each block that was tried. */
void reasons_add_timeout(Job *job)
{
    g_autofree char *after = format_seconds((gint64)job->pub.timeout_ms * USEC_PER_MSEC);
    guint n_left = 0;

    for (guint i = 0; i < job->pub.blocks->len; i++)
        n_left += job_is_missing(job, i);
    job_add_reason(job, reason_new(REASON_TIMEOUT, NULL, -1, 0,
                                   "%u of %u blocks were not offline after %s; allow more time or "
                                   "try again when the guest is less busy",
                                   n_left, job->pub.blocks->len, after));
    for (guint i = 0; i < job->pub.blocks->len; i++) {
        /* of one that is tried for the first time, when the attempt is over */
        if (job_is_missing(job, i))
            reasons_add_kept(job, i);
    }
}

/* A device that is given back says why, also where none of its blocks was tried. */
void reasons_add_given_back(Job *job)
{
    for (guint i = 0; i < job->pub.devices->len; i++) {
        const JobDevice *device = &g_array_index(job->pub.devices, JobDevice, i);

        if (device->is_given_back && !reason_list_refuses(device->reasons))
            job_add_reason(job, reason_new(REASON_TIMEOUT, device->id, -1, 0,
                                           "%s was not offline in time, and is given back; allow "
                                           "more time",
                                           device->id));
    }
}

/* Every block that was offline for a ready job, and is not. */
void reasons_add_onlined(Job *job)
{
    for (guint i = 0; i < job->pub.blocks->len; i++) {
        guint32 index = job_block(job, i)->index;

        if (!job_is_missing(job, i))
            continue;
        job_add_reason(job, reason_new(REASON_ONLINED_ELSEWHERE, device_of(job, i), index, 0,
                                       "something else brought block %u online while this job held "
                                       "it offline; look for a udev rule that onlines memory",
                                       index));
        if (job->pub.state == JOB_OFFLINING && job_track(job, i)->last_error != 0)
            reasons_add_kept(job, i);
    }
}

/* A rolled back block that is in a kernel zone. */
void reasons_add_kernel_zone(Job *job, guint position)
{
    guint32 index = job_block(job, position)->index;

    job_add_reason(job, reason_new(REASON_ONLINED_ELSEWHERE, device_of(job, position), index, 0,
                                   "block %u is online again, but something else put it into a "
                                   "kernel zone; it must be movable before it can be unplugged",
                                   index));
}

/* A device of a job that failed all of whose blocks are gone. */
void reasons_add_vanished(Job *job)
{
    for (guint device = 0; device < job->pub.devices->len; device++) {
        const char *id = g_array_index(job->pub.devices, JobDevice, device).id;
        guint n_blocks = 0;
        guint n_gone = 0;

        for (guint i = 0; i < job->pub.blocks->len; i++) {
            if (job_block(job, i)->device != device)
                continue;
            n_blocks++;
            n_gone += job_block(job, i)->phase == JOB_BLOCK_GONE;
        }
        if (n_gone == 0)
            continue;
        job_add_reason(job, reason_new(REASON_VANISHED, id, -1, 0,
                                       "%u of %u blocks of %s vanished before the job was ready; "
                                       "wait for ready before device_del",
                                       n_gone, n_blocks, id));
    }
}

/* The journal could not be written, so nothing was. */
void reasons_add_no_journal(Job *job, int error)
{
    job_add_reason(job, reason_new(REASON_ERROR, NULL, -1, error,
                                   "the journal could not be written (%s), so no block was taken "
                                   "offline; look at the state directory",
                                   g_strerror(error)));
}

/* The daemon ends. */
void reasons_add_stopped(Job *job)
{
    job_add_reason(job, reason_new(REASON_AGENT_STOPPED, NULL, -1, 0,
                                   "memplugd was stopped; try again when it runs"));
}

static gboolean is_held_reason(const Job *job, const Reason *reason)
{
    return reason != job->rest && reason->code == REASON_KERNEL_BUSY && reason->device == NULL &&
           reason->bytes != 0;
}

static int compare_indices(gconstpointer a, gconstpointer b)
{
    guint32 index_a = *(const guint32 *)a;
    guint32 index_b = *(const guint32 *)b;

    return (index_a > index_b) - (index_a < index_b);
}

/* "41-43, 45", not much longer than 200 bytes. */
static char *format_offlined(const Job *job)
{
    GString *text = g_string_new(NULL);
    g_autoptr(GArray) indices = g_array_new(FALSE, FALSE, sizeof(guint32));

    for (guint i = 0; i < job->pub.blocks->len; i++) {
        if (job_block(job, i)->phase == JOB_BLOCK_OFFLINED && !partial_is_kept(job, i))
            g_array_append_val(indices, job_block(job, i)->index);
    }
    g_array_sort(indices, compare_indices);
    for (guint i = 0, end; i < indices->len; i = end) {
        guint32 first = g_array_index(indices, guint32, i);

        for (end = i + 1; end < indices->len; end++) {
            if (g_array_index(indices, guint32, end) != first + (end - i))
                break;
        }
        if (text->len > 200) {
            g_string_append(text, ", …");
            break;
        }
        g_string_append_printf(text, "%s%u", i > 0 ? ", " : "", first);
        if (end - i > 1)
            g_string_append_printf(text, "-%u", first + (end - i) - 1);
    }
    return g_string_free(text, FALSE);
}

/* Nothing is waited for any more. */
void reasons_drop_held(Job *job)
{
    for (guint i = job->pub.reasons->len; i > 0; i--) {
        if (is_held_reason(job, g_ptr_array_index(job->pub.reasons, i - 1)))
            g_ptr_array_remove_index(job->pub.reasons, i - 1);
    }
}

static char *format_holder(HeldBy by, guint64 by_job)
{
    switch (by) {
    case HELD_BY_ATTEMPT:
        return g_strdup("the kernel has not ended the last attempt to take a block offline, which "
                        "no signal ends while it waits for a disk or an eject");
    case HELD_BY_JOB:
        return g_strdup_printf("the kernel has not ended a write of job %" G_GUINT64_FORMAT
                               ", and there is one at a time",
                               by_job);
    case HELD_BY_WRITE:
        return g_strdup("the kernel has not ended another write of memplug's, and there is one at "
                        "a time");
    case HELD_BY_ONLINER:
        return g_strdup("something else is bringing them online, and is let finish");
    case HELD_BY_NO_WORKER:
        return g_strdup("no process can be started to bring them online");
    case HELD_BY_NOTHING:
    case HELD_BY_KERNEL:
        break;
    }
    return g_strdup("the kernel does not bring them online");
}

/* What a rollback still waits for: one reason, replaced each time, and dropped when nothing is
 * left. ERROR: the errno that was met last, or 0. */
void reasons_set_held(Job *job, HeldBy by, guint64 by_job, int error)
{
    guint n_left = partial_count_back(job);

    reasons_drop_held(job);
    if (n_left > 0) {
        g_autofree char *blocks = format_offlined(job);
        g_autofree char *holder = format_holder(by, by_job);
        Reason *reason = reason_new(REASON_KERNEL_BUSY, NULL, -1, error,
                                    "%u blocks are not back online yet (%s), because %s%s%s; "
                                    "memplug goes on trying",
                                    n_left, blocks, holder, error != 0 ? ": " : "",
                                    error != 0 ? g_strerror(error) : "");

        reason->bytes = n_left * job->pub.block_size_bytes;
        job_add_reason(job, reason);
    }
}

/* What the check, or an earlier try, has said of JOB's huge pages. A reason that names a device is
 * about blocks that are gone, and stays true. */
void reasons_drop_pools(Job *job)
{
    for (guint i = job->pub.reasons->len; i > 0; i--) {
        const Reason *reason = g_ptr_array_index(job->pub.reasons, i - 1);

        if (reason != job->rest && reason->code == REASON_HUGEPAGES_LOST && reason->device == NULL)
            g_ptr_array_remove_index(job->pub.reasons, i - 1);
    }
}

/* JOB has not put N_LOST huge pages back into POOL. IS_FINAL: it does not try any more. */
void reasons_add_pool(Job *job, const JobPool *pool, guint64 n_lost, gboolean is_final)
{
    char size[UNITS_BYTES_MAX];
    g_autofree char *on = pool->node < 0 ? NULL : g_strdup_printf(" on node %d", pool->node);
    Reason *reason = reason_new(
        REASON_HUGEPAGES_LOST, NULL, -1, job->pool_error,
        "%" G_GUINT64_FORMAT " huge pages of %s that the pool%s had before are not back%s", n_lost,
        units_format_bytes(pool->page_bytes, size), on != NULL ? on : "",
        !is_final              ? " yet; memplug is putting them back"
        : job->pool_error == 0 ? ": the kernel found no free memory in pieces of that size; raise "
                                 "nr_hugepages when memory is free"
                               : ": the kernel did not end the write of nr_hugepages in time, or "
                                 "refused it; raise nr_hugepages");

    reason->bytes = n_lost * pool->page_bytes;
    job_add_reason(job, reason);
}

/* N_PAGES huge pages went with those blocks of JOB that were unplugged. */
void reasons_add_pools_gone(Job *job, guint64 n_pages)
{
    const char *device = NULL;

    for (guint i = 0; i < job->pub.blocks->len && device == NULL; i++) {
        if (job_block(job, i)->phase == JOB_BLOCK_GONE)
            device = device_of(job, i);
    }
    job_add_reason(job, reason_new(REASON_HUGEPAGES_LOST, device, -1, 0,
                                   "%" G_GUINT64_FORMAT " free huge pages have left the pools with "
                                   "the blocks that were unplugged",
                                   n_pages));
}
