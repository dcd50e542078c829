/*
 * A made-up world for the unplug state machine: blocks, memory, a worker, and a fake clock.
 *
 * It keeps its own books of who took which block offline, and never asks the machine. All its luck
 * comes from one seed.
 */
#pragma once

#include <errno.h>
#include <stdlib.h>

#include "decide/unplug.h"
#include "system/units.h"

#define N_SLOTS 5
#define SLOT_BLOCKS 3
#define N_BLOCKS (N_SLOTS * SLOT_BLOCKS)
#define BLOCK_BYTES (128 * MIB)
#define RESERVE_BYTES (256 * MIB)
#define FREE_BYTES (N_BLOCKS * BLOCK_BYTES + RESERVE_BYTES + 64 * MIB)
#define NEVER G_MAXINT64
#define APPLICATION_DELAY_MS 3000

/* What happens to a block that is to go offline. */
typedef enum { EASY, SLOW, BUSY, PINNED, FORBIDDEN, NO_MEMORY, SIGNALLED, N_MOODS } Mood;

typedef struct {
    guint64 inode;
    BlockTruth truth;
    BlockTruth before; /* an attempt: what it comes back to */
    Mood mood;
    guint refusals;      /* so many rollbacks fail */
    guint64 owner;       /* the job whose write took it offline; 0: nobody's */
    gint64 settles_usec; /* CHANGING with no worker: when it is over; 0: does not apply */
    guint64 settles_for; /* the job whose it is then, if it went offline; 0: comes back online */
} Block;

typedef struct {
    UnplugActionKind kind;
    guint64 job;
    JobBlock blocks[N_BLOCKS];
    guint n_blocks; /* 0 and no `pools`: idle */
    GArray *pools;  /* of NodePool: POOLS */
    guint at;       /* OFFLINE: the block that it is at */
    int errors[N_BLOCKS];
    gint64 ends_usec;     /* OFFLINE: with that block */
    gboolean is_killed;   /* by the machine */
    gboolean is_yielding; /* asked for by the machine */
    AttemptEnd end;       /* as the executor will tell it */
} Worker;

/* An answer that the machine waits for, or a look at some blocks. */
typedef struct {
    UnplugEventKind kind; /* CHECKED, JOURNALED, VERIFIED, BLOCKS */
    guint64 job;
    int error;
    guint first;
    guint count;
} Pending;

/* What all rounds of a run have in common. */
typedef struct {
    gboolean is_traced; /* every event and action is printed */
    guint64 n_steps;
    guint64 n_crashes;
    guint64 transitions[JOB_EXPIRED + 1][JOB_EXPIRED + 1]; /* from, to */
} Tally;

typedef struct {
    Tally *tally;
    guint32 seed;
    guint n_steps;
    GRand *rand;
    UnplugMachine *machine;
    gint64 now_usec;
    gint64 timer_usec;
    Block blocks[N_BLOCKS];
    guint64 hog_bytes;
    GArray *pools;    /* of NodePool: huge pages of two sizes on two nodes */
    GHashTable *owed; /* id -> huge pages that left the pools by the hand of a job */
    gboolean is_owed_unknown;
    gboolean is_short; /* the kernel has not all the huge pages that are asked for */
    guint64 next_inode;
    Worker worker;
    Worker ghost;       /* a killed daemon's, asleep in the kernel; it has the hotplug lock */
    GQueue pending;     /* of Pending */
    GHashTable *states; /* id -> JobState + 1, as CHANGED told */
    GHashTable *since;  /* id -> when (in us) it began to roll back, or was taken over so */
    GPtrArray *journal; /* of UnplugJob: the last journal that could be written */
    guint64 journal_next_id;
    gboolean journal_fails;
    gboolean is_journal_old; /* the last one could not be written */
    guint64 delays[3];       /* ids of delay locks that stand, 0: none */
    guint64 last_lock;
    guint64 asked_lock; /* the last one when the job that asks began to */
    gint64 asked_until_usec;
    gboolean is_blocked;
    gboolean is_friendly;
    gboolean is_stopping;
    gboolean is_stopped;
} World;

#define CHECK(world, condition, ...)                                                               \
    do {                                                                                           \
        if (!(condition))                                                                          \
            broken(world, G_STRINGIFY(__LINE__) ": " #condition, __VA_ARGS__);                     \
    } while (0)

/* Ends the program: what was promised, the seed, and the words of FORMAT. */
void broken(const World *world, const char *where, const char *format, ...)
    G_GNUC_PRINTF(3, 4) G_GNUC_NORETURN;

gboolean chance(World *world, guint percent);
guint pick(World *world, guint below);
gint64 later(World *world, guint max_ms);
guint64 available_bytes(const World *world);
guint64 oldest_delay(const World *world);
UnplugWorld what_is_seen(World *world);
gboolean is_offlining(const World *world);
gboolean is_at_work(const World *world);

guint64 *pool_count(World *world, guint i);
void end_pools(World *world);
void push(World *world, UnplugEventKind kind, guint64 job, int error);
void push_look(World *world, guint first, guint count);

Mood any_mood(World *world);
void plug(World *world, guint slot);
void vanish(World *world, guint slot);

/* Not while the worker holds the hotplug lock over it. */
void online_elsewhere(World *world, guint index);
void settle(World *world);

/* The executor's look at the memory that is left. */
void guard(World *world);
void start_offline(World *world);
gboolean has_ghost(const World *world);

/* The attempt of a daemon that was killed goes on for a while, and may yet take its block. */
void make_ghost(World *world);
void end_ghost(World *world);
BlockReport report_of(const World *world, const JobBlock *asked);

/* The end of the attempt on the block that the worker is at. TRUE: it goes on with the next one. */
gboolean go_on(World *world);

/* Lets the kernel finish; REPORTS has room for all. Returns how many reports there are. */
guint end_worker(World *world, BlockReport *reports);
