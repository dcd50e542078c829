/*
 * The rezone state machine: moves blocks, one at a time, from the zone that they are online in to
 * the one that they are meant for: offline, then online again.
 *
 * An event and the world go in, a list of actions comes out; no I/O, no clock, no log. What it
 * promises:
 *  - at most one worker action (MOVE, RETURN) is under way at a time, and after REZONE_ATTEMPTS_MAX
 *    moves that failed the block is given up, as the kernel writes to its log at each; one in which
 *    nothing moved for long counts twice, one that made room for another task, or that no process
 *    could be had for, not at all;
 *  - blocks that were tried less go first, and of these the last: the kernel fills memory that is
 *    emptied from its end, and the first block is the one that it has put something of its own
 * into;
 *  - no move starts where the reserve would be crossed (the executor ends one that crosses it, or
 *    that stalls);
 *  - a block that it took offline is never given up: it is brought back, wherever the kernel lets
 *    it; one that an earlier daemon's worker may be at is in doubt until a write of ours has waited
 *    for the kernel's lock, as that worker does.
 */
#pragma once

#include <glib.h>

#include "decide/attempt.h"
#include "decide/rezone-find.h"
#include "decide/unplug.h"

/* So long a move may keep the worker from another task. */
#define REZONE_YIELD_USEC (5 * G_GINT64_CONSTANT(1000000))
#define REZONE_PAUSE_MIN_USEC (100 * G_GINT64_CONSTANT(1000))
#define REZONE_PAUSE_MAX_USEC (60 * G_GINT64_CONSTANT(1000000))
#define REZONE_ATTEMPTS_MAX 4
/* Between the attempts at a block: so long, then eight times as long, up to the longest pause. */
#define REZONE_RETRY_USEC (1 * G_GINT64_CONSTANT(1000000))
/* So many returns as the wanted kind; then any zone will do, and at a stop the rest is left to the
 * next daemon, which the block's mark tells. */
#define REZONE_RETURNS_MAX 3

typedef enum {
    REZONE_WANTED,    /* blocks: all that are misplaced now */
    REZONE_INHERITED, /* blocks: online, and an earlier daemon's worker may still take them offline
                       */
    REZONE_DONE,      /* truth, error, attempt: the worker action is over */
    REZONE_TICK,      /* the timer has fired, and is gone */
    REZONE_STOP,      /* bring back what is offline, begin nothing */
} RezoneEventKind;

typedef struct {
    RezoneEventKind kind;
    const RezoneBlock *blocks;
    guint n_blocks;
    BlockTruth truth;
    int error; /* errno of the write that failed; 0: done */
    AttemptOutcome attempt;
} RezoneEvent;

typedef struct {
    gint64 now_usec;
    guint64 available_bytes; /* MemAvailable */
    guint64 reserve_bytes;   /* of it that must be left */
    guint64 block_size_bytes;
} RezoneWorld;

typedef enum {
    REZONE_ACT_MOVE,    /* let the worker write "offline", then `verb`; feed DONE */
    REZONE_ACT_RETURN,  /* let the worker write `verb`; feed DONE */
    REZONE_ACT_TIMER,   /* feed TICK at `at_usec`; replaces the earlier timer; 0: no timer */
    REZONE_ACT_MOVED,   /* news: the block is where it is meant to be */
    REZONE_ACT_GIVE_UP, /* news: it stays where it is; `error`, `attempt` say why */
    REZONE_ACT_STOPPED, /* after STOP, once */
} RezoneActionKind;

typedef struct {
    RezoneActionKind kind;
    RezoneBlock block;
    const char *verb; /* static */
    gint64 at_usec;
    int error;
    AttemptOutcome attempt;
} RezoneAction;

typedef struct RezoneMachine RezoneMachine;

RezoneMachine *rezone_machine_new(void);
void rezone_machine_free(RezoneMachine *machine); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RezoneMachine, rezone_machine_free)

/* One event. ACTIONS (of RezoneAction) is appended to; carry them out in order. */
void rezone_machine_step(RezoneMachine *machine, const RezoneWorld *world, const RezoneEvent *event,
                         GArray *actions);

/* Whether it has this block offline, or may have. */
gboolean rezone_machine_holds(const RezoneMachine *machine, guint32 index, guint64 inode);
/* What becomes of this block, which is online in the wrong zone. */
BlockProgress rezone_machine_progress(const RezoneMachine *machine, guint32 index, guint64 inode);
/* Whether it has no block to look after at all. */
gboolean rezone_machine_is_idle(const RezoneMachine *machine);
