/*
 * The one reserve and the one guard of every offlining: jobs, guest-set-memory-blocks, rezone.
 *
 * Whoever takes a block offline must leave the reserve, and an attempt goes on for as long as pages
 * leave the block. It is ended where memory runs low, at its deadline, or where no page has left
 * the block for ATTEMPT_STALL_USEC. The guard is pure: the executor looks, and ends the worker.
 *
 * What shows that pages move: the number of pages in use in the block itself, by /proc/kpageflags.
 * From its isolation on (start_isolate_page_range(), mm/page_isolation.c) nothing new is allocated
 * in the block, so the number only falls, and only because of the pages that are moved or freed. No
 * other figure does: pgmigrate_success of /proc/vmstat counts compaction and NUMA balancing too,
 * and counts the pages of a block only when all of it has been gone through (migrate_pages(),
 * mm/migrate.c), which may take minutes; free pages of an isolated block are in no sum at all. The
 * error that is left: a page that is pinned for a moment, or moved and faulted in elsewhere again,
 * is no progress until it is gone.
 */
#pragma once

#include <glib.h>

/* max(64 MiB, 5 % of REMAINING_BYTES): the MemAvailable that must be left, where CONFIGURED_BYTES
 * ([unplug] reserve-bytes) is 0. REMAINING_BYTES: what the guest has afterwards. */
guint64 attempt_reserve_bytes(guint64 configured_bytes, guint64 remaining_bytes);
/* The same after LEAVING_BYTES of TOTAL_BYTES (MemTotal) have gone. */
guint64 attempt_reserve_after(guint64 configured_bytes, guint64 total_bytes, guint64 leaving_bytes);
/* Whether a block of BLOCK_BYTES may go offline where AVAILABLE_BYTES are available. */
gboolean attempt_has_room(guint64 available_bytes, guint64 block_bytes, guint64 reserve_bytes);

#define ATTEMPT_LOOK_USEC (100 * G_GINT64_CONSTANT(1000))
#define ATTEMPT_STALL_USEC (5 * G_GINT64_CONSTANT(1000000))
/* Time in which nobody looked counts no more than this: the guest itself may have stood still. */
#define ATTEMPT_GAP_MAX_USEC (1 * G_GINT64_CONSTANT(1000000))
/* A look reads one part of the block, and all parts in turn: it costs less than a millisecond for
 * 128 MiB, and at most a few for a block of 2 GiB. */
#define ATTEMPT_PARTS 16

/* Why an attempt, or any task of the worker, is over. */
typedef enum {
    ATTEMPT_OVER,       /* by itself: the errors are the kernel's */
    ATTEMPT_NO_WORKER,  /* no process could be had; nothing was done */
    ATTEMPT_LOW_MEMORY, /* ended, or not begun, because the reserve would have been crossed */
    ATTEMPT_STALLED,    /* ended, because no page had left the block for ATTEMPT_STALL_USEC */
    ATTEMPT_LATE,       /* ended, or not begun, at the deadline */
    ATTEMPT_CANCELLED,  /* ended, or not begun, because the caller asked for it */
} AttemptEnd;

typedef struct {
    AttemptEnd end;
    int error;               /* NO_WORKER: errno */
    guint64 available_bytes; /* LOW_MEMORY: what was seen */
    gboolean is_asleep;  /* STALLED: the kernel slept in the move (for a disk, for a lock) rather
                          * than trying again and again */
    gboolean is_waiting; /* STALLED: the block was never begun (for another memory operation) */
} AttemptOutcome;

typedef struct {
    guint64 reserve_bytes;
    guint64 block_bytes;
    guint swap_percent;   /* of free swap counts as available: see meminfo_read_spare() */
    gint64 deadline_usec; /* of the task; 0: none */
    gint64 yield_usec;    /* from then on the task ends where another one waits for the worker;
                           * 0: it does not */
    gboolean is_resumed;  /* the caller comes again with what was not begun: the worker ends after a
                           * step that failed, and between two steps where another task waits */
} AttemptLimits;

/* What one look at a running attempt saw. */
typedef struct {
    gint64 now_usec;
    guint64 available_bytes;
    gboolean is_begun;  /* the block reads going-offline */
    gint64 used_pages;  /* in use in the part attempt_guard_part(); negative: not known, and then an
                         * attempt is not said to stall */
    gboolean is_asleep; /* the worker is in uninterruptible sleep */
} AttemptLook;

typedef struct {
    AttemptLimits limits;
    gint64 looked_usec;
    gint64 stalled_usec; /* since a page left */
    guint n_looks;       /* since then */
    guint n_asleep;      /* of them */
    gboolean was_begun;
    guint part;
    gint64 least[ATTEMPT_PARTS]; /* pages in use; negative: not looked at */
} AttemptGuard;

/* A block's attempt begins. */
void attempt_guard_start(AttemptGuard *guard, const AttemptLimits *limits, gint64 now_usec);
/* The part of the block, of ATTEMPT_PARTS, to look at next. */
guint attempt_guard_part(const AttemptGuard *guard);
/* TRUE: the attempt must end, as OUTCOME says. */
gboolean attempt_guard_look(AttemptGuard *guard, const AttemptLook *look, AttemptOutcome *outcome);
