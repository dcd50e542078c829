/*
 * The reserve and the guard.
 */
#include "decide/attempt.h"

#include "system/units.h"

guint64 attempt_reserve_bytes(guint64 configured_bytes, guint64 remaining_bytes)
{
    return configured_bytes != 0 ? configured_bytes : MAX(64 * MIB, remaining_bytes / 20);
}

guint64 attempt_reserve_after(guint64 configured_bytes, guint64 total_bytes, guint64 leaving_bytes)
{
    return attempt_reserve_bytes(configured_bytes, total_bytes - MIN(leaving_bytes, total_bytes));
}

gboolean attempt_has_room(guint64 available_bytes, guint64 block_bytes, guint64 reserve_bytes)
{
    return available_bytes >= block_bytes && available_bytes - block_bytes >= reserve_bytes;
}

static void begin_stall(AttemptGuard *guard)
{
    guard->stalled_usec = 0;
    guard->n_looks = 0;
    guard->n_asleep = 0;
}

void attempt_guard_start(AttemptGuard *guard, const AttemptLimits *limits, gint64 now_usec)
{
    *guard = (AttemptGuard){.limits = *limits, .looked_usec = now_usec};
    for (guint i = 0; i < ATTEMPT_PARTS; i++)
        guard->least[i] = -1;
}

guint attempt_guard_part(const AttemptGuard *guard)
{
    return guard->part;
}

/* Whether a page has left the part since it was looked at before. Waiting for the kernel's hotplug
 * lock is no progress, whatever others do in the block meanwhile. */
static gboolean has_moved(AttemptGuard *guard, const AttemptLook *look)
{
    gint64 *least = &guard->least[guard->part];

    if (!look->is_begun)
        return FALSE;
    if (look->used_pages < 0)
        return TRUE;
    guard->part = (guard->part + 1) % ATTEMPT_PARTS;
    gboolean is_less = *least >= 0 && look->used_pages < *least;
    if (is_less || *least < 0)
        *least = look->used_pages;
    return is_less;
}

gboolean attempt_guard_look(AttemptGuard *guard, const AttemptLook *look, AttemptOutcome *outcome)
{
    const AttemptLimits *limits = &guard->limits;

    guard->stalled_usec += MIN(look->now_usec - guard->looked_usec, ATTEMPT_GAP_MAX_USEC);
    guard->looked_usec = look->now_usec;
    guard->n_looks++;
    guard->n_asleep += look->is_asleep;
    if (look->is_begun && !guard->was_begun)
        begin_stall(guard);
    guard->was_begun |= look->is_begun;
    if (has_moved(guard, look))
        begin_stall(guard);
    if (look->available_bytes < limits->reserve_bytes) {
        *outcome =
            (AttemptOutcome){.end = ATTEMPT_LOW_MEMORY, .available_bytes = look->available_bytes};
        return TRUE;
    }
    if (limits->deadline_usec != 0 && look->now_usec >= limits->deadline_usec) {
        *outcome = (AttemptOutcome){.end = ATTEMPT_LATE};
        return TRUE;
    }
    /* Each part was looked at twice, or what moves might only not have been seen. */
    if (guard->stalled_usec >= ATTEMPT_STALL_USEC && guard->n_looks >= 2 * ATTEMPT_PARTS) {
        *outcome = (AttemptOutcome){.end = ATTEMPT_STALLED,
                                    .is_asleep = guard->n_asleep * 4 >= guard->n_looks * 3,
                                    .is_waiting = !guard->was_begun};
        return TRUE;
    }
    return FALSE;
}
