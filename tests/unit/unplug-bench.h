/*
 * A bench for the unplug state machine: one event a line, and what it did as a line of text.
 *
 * The clock stands still unless a test moves it. The block N has the inode 1000 + N; letters stand
 * for what sysfs says: o offline, m online in Movable, k online in a kernel zone, g gone, c
 * changing.
 */
#pragma once

#include <errno.h>
#include <string.h>

#include "decide/unplug.h"
#include "system/units.h"

#define BLOCK_BYTES (128 * MIB)
#define RESERVE_BYTES (256 * MIB)
#define PLENTY_BYTES (8 * GIB)
#define START_USEC (1000 * USEC_PER_SEC)

typedef struct {
    UnplugMachine *machine;
    UnplugWorld world;
    GString *done; /* the actions since the last expect() */
    UnplugResult result;
    gboolean allow_partial; /* of the next submit */
    guint64 id;             /* of the last submit */
    guint n_journals;       /* asked for, and not answered */
    JobBlock tried[64];     /* what the worker was told to offline */
    guint n_tried;
} Bench;

Bench *bench_new(void);
void bench_free(Bench *bench);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bench, bench_free)

void note_actions(Bench *bench, const GArray *actions);
void feed(Bench *bench, const UnplugEvent *event);

/* The actions since the last call, "; " between them. Timers in ms from now. */
#define expect(bench, text)                                                                        \
    do {                                                                                           \
        g_assert_cmpstr((bench)->done->str, ==, text);                                             \
        g_string_truncate((bench)->done, 0);                                                       \
    } while (0)

void forget(Bench *bench);
void wait_ms(Bench *bench, gint64 ms);
void submit_full(Bench *bench, guint slot, guint64 timeout_ms, guint64 lease_ms, const char *key);

/* 30 s to get ready, and a lease of 60 s. */
void submit(Bench *bench, guint slot);

/* The check found the blocks FIRST, FIRST + 1, … of slot7, one for each letter of TRUTHS ('o' or
 * 'm'). REASONS may be NULL. */
void checked(Bench *bench, guint64 job, guint first, const char *truths, GPtrArray *reasons);

/* The journal that was asked for first. */
void journaled(Bench *bench, int error);

/* All journals that were asked for. */
void journal_all(Bench *bench);
void worker_done(Bench *bench, guint64 job, guint first, const char *truths, int error);

/* The same for an attempt that the executor ended, or could not begin. */
void worker_ended(Bench *bench, guint64 job, guint first, const char *truths, int error,
                  AttemptEnd end);
void verified(Bench *bench, guint64 job, guint first, const char *truths);
void look(Bench *bench, guint first, const char *truths);

/* A look at one index, with the inode that is there now. */
void look_inode(Bench *bench, guint index, guint64 inode, char truth);
void cancel(Bench *bench, guint64 job);

/* The oldest delay lock that stands (0: none), the last of any, and whether a block lock stands. */
void locks(Bench *bench, guint64 oldest_delay, guint64 last_lock, gboolean is_blocked);
void tick(Bench *bench);
void stop(Bench *bench);

/* A submitted job (the last) whose first attempt, on block FIRST, is under way. */
void bring_to_offlining(Bench *bench, guint slot, guint first, const char *truths);

/* A job that is ready, all of whose N blocks, from FIRST on, it has offlined. */
void bring_to_ready(Bench *bench, guint slot, guint first, guint n);
const UnplugJob *job_of(const Bench *bench, guint64 job);

/* The job's reasons as "code:block:errno", or "code" where it is about no block; spaces between. */
char *codes_of(const Bench *bench, guint64 id);

#define expect_codes(bench, job, text)                                                             \
    do {                                                                                           \
        g_autofree char *codes = codes_of(bench, job);                                             \
        g_assert_cmpstr(codes, ==, text);                                                          \
    } while (0)

#define expect_state(bench, job, name)                                                             \
    g_assert_cmpstr(job_state_name(job_of(bench, job)->state), ==, name)
