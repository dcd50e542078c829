/*
 * The inside of the unplug state machine, shared by the files unplug*.c and by nothing else.
 *
 * How it works: an event first changes what is known (a handler in the file of the state that it
 * concerns), and then unplug_run() does whatever is due, until nothing is. Both only ever append to
 * a Step; unplug.c turns that into the list of actions at the end.
 */
#pragma once

#include "decide/unplug.h"

/* What is known of one block beside its phase. Never journaled. */
typedef struct {
    int last_error;      /* errno of `last`; 0: none, or something onlined it afterwards */
    guint n_failed;      /* attempts that did not take it offline */
    guint8 is_changing;  /* boolean: was last seen neither online nor offline */
    guint8 is_tried;     /* boolean: an attempt on it is under way */
    guint8 is_listed;    /* boolean: in the worker's list, and not known to be offline yet */
    int no_worker_error; /* errno for which there was no process for the last attempt; 0: one was */
    AttemptOutcome last; /* of the last attempt that told something of the block */
    BlockContents contents; /* after it */
} BlockTrack;

typedef enum {
    VERIFY_NONE,
    VERIFY_ASKED,   /* VERIFIED comes */
    VERIFY_RESTORE, /* the same, and until then the phases are those of an old journal */
} VerifyState;

/* What a job that is rolling back waits for. */
typedef enum {
    HELD_BY_NOTHING,   /* it has not said that it waits */
    HELD_BY_KERNEL,    /* the kernel does not bring the blocks online */
    HELD_BY_ATTEMPT,   /* its own attempt, which a signal does not end */
    HELD_BY_JOB,       /* the worker is at another job's block */
    HELD_BY_WRITE,     /* the worker is at a write that is no job's */
    HELD_BY_ONLINER,   /* something else brings the blocks online */
    HELD_BY_NO_WORKER, /* no process can be started */
} HeldBy;

typedef struct {
    UnplugJob pub;    /* first: a Job * is an UnplugJob * */
    GArray *tracks;   /* of BlockTrack, parallel to pub.blocks */
    GArray *by_index; /* of guint32: positions in pub.blocks, ascending by the block's index */
    VerifyState verify;
    guint64 journal_wait; /* nothing is tried before so many journals were written; 0: go */
    guint next_block;     /* where the search for the next block to try begins */
    gint64 pause_usec;    /* the last pause; 0: none yet */
    gint64 retry_usec;    /* nothing is tried before this time */
    Reason *rest;         /* in pub.reasons: counts those that had no room; NULL: all had */
    guint n_left_out;     /* how many */
    gboolean is_late;     /* went to rolling-back at its deadline, with an attempt under way */
    int gate_error;       /* errno for which the eject gate did not open; 0: none */
    gboolean is_haunted; /* taken over from a daemon whose worker may still be in the kernel, with a
                          * block of it: until a write of ours has passed the kernel's lock */
    gint64 quiet_usec;   /* ROLLING_BACK: something else onlines its blocks, and is let do it until
                          * nothing came back for a while; but not beyond this time. 0: nothing */
    gint64 tell_usec;    /* ROLLING_BACK: when it says what it waits for; 0: it has */
    gboolean had_worker; /* restored, not looked at yet, and the worker may have been at it */
    guint n_let_go;      /* blocks that were unplugged, and have taken their share of the pools */
    guint pool_tries;    /* ROLLING_BACK: how often it tried to put huge pages back */
    int pool_error;      /* of the last try */
    HeldBy held_by;      /* what it said that it waits for */
    guint64 last_lock;   /* ASKING: later locks are not waited for */
    gboolean is_rechecking; /* ASKING: CHECKED comes */
    guint64 held_by_job;
} Job;

typedef enum { WORKER_IDLE, WORKER_OFFLINE, WORKER_ROLLBACK, WORKER_POOLS } WorkerKind;

/* The one worker action that is under way. */
typedef struct {
    WorkerKind kind;
    guint64 job;
    guint at;             /* OFFLINE: its place in the machine's list, as far as that is known */
    gboolean is_killed;   /* OFFLINE: ACTION_KILL was asked */
    gboolean is_yielding; /* OFFLINE: ACTION_YIELD was asked */
} Worker;

struct UnplugMachine {
    GPtrArray *jobs; /* of Job, owned, ascending by id */
    guint64 next_id;
    Worker worker;
    GArray *list; /* of guint: what an OFFLINE tries, as positions in its job's blocks */
    guint64 journals_asked;
    guint64 journals_done;
    gint64 timer_usec; /* the timer that runs at the caller's, 0: none */
    gboolean is_stopping;
    gboolean was_stopped; /* ACTION_STOPPED was given */
};

/* One step while it is being made. */
typedef struct {
    UnplugMachine *machine;
    UnplugWorld world;
    GArray *actions;   /* of UnplugAction; without KILL, YIELD, JOURNAL, TIMER and STOPPED */
    guint64 kill_job;  /* whose attempt is to be killed; 0: no job's */
    guint64 yield_job; /* whose OFFLINE is to end after the block that it is at; 0: no job's */
    gboolean needs_journal;
} Step;

/* --- unplug-job.c: the data of the jobs, and what all states share --- */

Job *job_new(const UnplugJob *pub);
void job_free(Job *job);
void unplug_job_clear(UnplugJob *pub);
GArray *job_devices_new(void);
void job_add_device(UnplugJob *pub, const char *id);
gboolean job_index_blocks(Job *job);
gboolean job_find_block(const Job *job, guint32 index, guint *position);
JobBlock *job_block(const Job *job, guint position);
BlockTrack *job_track(const Job *job, guint position);
guint job_count(const Job *job, JobBlockPhase phase);
gboolean job_is_missing(const Job *job, guint position);
void job_reset(Job *job);
void job_add_reason(Job *job, Reason *reason);
void job_add_reasons(Job *job, const GPtrArray *reasons);
void job_drop_reasons(Job *job);
Job *machine_job(const UnplugMachine *machine, guint position);
Job *machine_find(const UnplugMachine *machine, guint64 job_id);
Job *machine_owner(const UnplugMachine *machine, guint32 index, guint64 inode, guint *position);
guint machine_count(const UnplugMachine *machine, JobState state);
gboolean machine_worker_is(const UnplugMachine *machine, WorkerKind kind, const Job *job);
UnplugAction *step_add_action(Step *step, UnplugActionKind kind, const Job *job);
void step_kill_attempt(Step *step);
gboolean worker_can_yield(const UnplugMachine *machine);
void step_yield(Step *step);
void job_enter(Step *step, Job *job, JobState state);
void job_wait_for_journal(Step *step, Job *job);
void format_selector(const DeviceSelector *selector, char *text);
void job_ask_verify(Step *step, Job *job, VerifyState verify);
void job_pause(const Step *step, Job *job, gint64 max_usec);
void unplug_drop_ended(UnplugMachine *machine);

/* --- unplug-enter.c: into offlining, ready and rolling-back --- */

void offline_enter(Step *step, Job *job, gint64 deadline_usec);
void ready_enter(Step *step, Job *job);
void ready_renew(Step *step, Job *job, guint64 lease_ms);
void rollback_enter(Step *step, Job *job, JobState outcome);
void rollback_block_back(Job *job, guint position, BlockTruth truth);
void rollback_enter_onlined(Step *step, Job *job, JobState outcome);

/* --- unplug-submit.c: queued and checking --- */

UnplugResult submit_job(Step *step, const UnplugSubmit *submit, guint64 *job_id);
void submit_checked(Step *step, Job *job, const UnplugChecked *checked);
gboolean submit_start_next(Step *step);

/* --- unplug-ask.c: asking --- */

void ask_enter(Step *step, Job *job, guint64 delay_ms);
gboolean ask_run(Step *step, Job *job);
gboolean ask_is_over(const Step *step, Job *job, const UnplugChecked *checked);

/* --- unplug-offline.c: offlining --- */

void offline_end_late(Step *step);
gboolean offline_run(Step *step, Job *job);
gint64 offline_next_timer(const UnplugMachine *machine, const Job *job);
void offline_journaled(Step *step, int error);
void offline_worker_done(Step *step, Job *job, const UnplugEvent *event);
void offline_see_done(UnplugMachine *machine, Job *job, guint position);

/* --- unplug-ready.c: ready, and what sysfs says of blocks --- */

gboolean ready_run(Step *step, Job *job);
void truth_blocks(Step *step, const BlockReport *reports, guint n_reports);
void truth_verified(Step *step, Job *job, const BlockReport *reports, guint n_reports,
                    int gate_error);

/* --- unplug-rollback.c: giving blocks back --- */

gboolean rollback_run(Step *step, Job *job);
void rollback_worker_done(Step *step, Job *job, const UnplugEvent *event);
void rollback_cancel(Step *step, Job *job);
void rollback_stop(Step *step);

/* --- unplug-partial.c: devices that are given back while the others go --- */

gboolean partial_is_kept(const Job *job, guint position);
guint partial_count_back(const Job *job);
gboolean partial_give_back(Job *job, gint64 position);
void partial_drop(Job *job);

/* --- unplug-pools.c: huge pages --- */

void pools_begin(Step *step, Job *job);
void pools_see(Step *step);
gboolean pools_run(Step *step, Job *job);
void pools_worker_done(Step *step, Job *job, const UnplugEvent *event);

/* --- unplug.c --- */

void step_begin(Step *step, UnplugMachine *machine, const UnplugWorld *world);
void step_end(Step *step, GArray *actions);

/* --- unplug-contents.c: what is in a block, in words --- */

char *contents_describe(const BlockContents *contents);
gboolean contents_lack_hugepages(const BlockContents *contents);
gboolean contents_are_unwritten(const BlockContents *contents);

/* --- unplug-reasons.c: the sentences --- */

void reasons_add_low_before(Job *job, guint position, guint64 available_bytes,
                            const Uncounted *uncounted);
void reasons_add_low_during(Job *job, guint position, guint64 available_bytes,
                            const Uncounted *uncounted);
void reasons_add_kept(Job *job, guint position);
void reasons_add_timeout(Job *job);
void reasons_add_given_back(Job *job);
void reasons_add_onlined(Job *job);
void reasons_add_kernel_zone(Job *job, guint position);
void reasons_add_vanished(Job *job);
void reasons_add_no_journal(Job *job, int error);
void reasons_add_stopped(Job *job);
void reasons_add_gate(Job *job);
void reasons_drop_pools(Job *job);
void reasons_add_pool(Job *job, const JobPool *pool, guint64 n_lost, gboolean is_final);
void reasons_add_pools_gone(Job *job, guint64 n_pages);
void reasons_drop_held(Job *job);
void reasons_set_held(Job *job, HeldBy by, guint64 by_job, int error);
