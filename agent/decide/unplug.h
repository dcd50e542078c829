/*
 * The unplug state machine: all jobs, as data.
 *
 * An event and the time go in, a list of actions comes out. There is no I/O, no clock and no log in
 * here, and timers are actions too, so a fake clock and random events can test every transition.
 * The engine carries the actions out in order and feeds back what came of them.
 *
 *   queued -> checking -> asking -> offlining -> ready -> unplugged
 *                |           |          |          |
 *              failed      failed       +----------+--> rolling-back -> failed, cancelled, expired
 *
 * (The whole table is in the design, "Jobs". Beside it: without a delay lock checking goes to
 * offlining; a job cancelled while it is checked or asks is cancelled at once, a stop fails queued,
 * checking and asking jobs at once, and a rolling-back job all of
 * whose blocks turn out to be gone is unplugged. With allow_partial a job that gives a part of its
 * devices back is rolling-back, and then offlining again.)
 *
 * Carrying out: the actions of one step in their order, all of them, and only then the events that
 * came of them, in the order in which things were read or happened. Each ACTION_CHECK, JOURNAL,
 * OFFLINE, ROLLBACK, POOLS and VERIFY is answered by exactly one event, also when it could not be
 * done.
 *
 * What the machine promises (design, "Promises"):
 *  - a job enters `ready` only by UNPLUG_VERIFIED with every block offline or gone;
 *  - whatever a job offlined is gone, or online again, when the job has ended, and the huge pages
 *    that it took from a pool are back, or a reason says how many are not;
 *  - no attempt starts where the reserve would be crossed, and a job whose attempt was ended
 * because of that gives everything back;
 *  - an attempt is ended by the machine only when its job stops offlining or is at its deadline
 * (the executor ends it where no page moves any more: decide/attempt.h);
 *  - nothing is written before the journal holds it (UNPLUG_JOURNALED);
 *  - at most one worker action (OFFLINE, ROLLBACK, POOLS) is under way at a time, and rolling back
 *    goes before any other job: an OFFLINE of many blocks then ends after the one that it is at.
 */
#pragma once

#include <glib.h>

#include "decide/attempt.h"
#include "decide/reason.h"
#include "system/device.h"
#include "system/hugepages.h"
#include "system/meminfo.h"
#include "system/page-sample.h"

#define UNPLUG_TIMEOUT_MAX_MS 600000
#define UNPLUG_LEASE_MAX_MS 3600000
#define UNPLUG_APPLICATION_DELAY_MAX_MS 60000
#define UNPLUG_QUEUE_MAX 16
#define UNPLUG_DEVICES_MAX 256
#define UNPLUG_ENDED_MAX 64 /* the last so many ended jobs are kept */
#define UNPLUG_KEY_MAX 128  /* bytes of a key */
#define UNPLUG_RECLAIM_MAX_USEC (10 * G_GINT64_CONSTANT(1000000))

#define UNPLUG_PAUSE_MIN_USEC (50 * G_GINT64_CONSTANT(1000))
#define UNPLUG_PAUSE_MAX_USEC (2 * G_GINT64_CONSTANT(1000000))
#define UNPLUG_ROLLBACK_PAUSE_MAX_USEC (5 * G_GINT64_CONSTANT(1000000))
/* A rollback that takes longer than this says what it waits for. */
#define UNPLUG_ROLLBACK_TELL_USEC (2 * G_GINT64_CONSTANT(1000000))
#define UNPLUG_REOFFLINE_USEC (5 * G_GINT64_CONSTANT(1000000)) /* ready -> offlining, once */
/* A job's reasons. Those that name a device or a block take two thirds at most, so that there is
 * room for those of the job as a whole; the others are counted in one last reason. */
#define UNPLUG_REASONS_MAX 24
#define UNPLUG_REASONS_NAMED_MAX 16
/* How often a job tries to put huge pages back, and how long one try may take. */
#define UNPLUG_POOL_TRIES_MAX 3
#define UNPLUG_POOL_TRY_USEC (10 * G_GINT64_CONSTANT(1000000))
/* Where something else brings the blocks of a job online, the rest of them is left to it until no
 * block came back for so long, and for no longer than the second time. */
#define UNPLUG_QUIET_USEC (2 * G_GINT64_CONSTANT(1000000))
#define UNPLUG_QUIET_MAX_USEC (20 * G_GINT64_CONSTANT(1000000))

typedef enum {
    JOB_QUEUED,
    JOB_CHECKING,
    JOB_ASKING,
    JOB_OFFLINING,
    JOB_READY,
    JOB_ROLLING_BACK,
    JOB_UNPLUGGED, /* from here on: the end */
    JOB_FAILED,
    JOB_CANCELLED,
    JOB_EXPIRED,
} JobState;

const char *job_state_name(JobState state); /* "queued", …, "rolling-back", … */
gboolean job_state_parse(const char *name, JobState *state);
gboolean job_state_is_ended(JobState state);

/* What has become of one block of a job. */
typedef enum {
    JOB_BLOCK_ONLINE,      /* still to be offlined; or online again after a rollback */
    JOB_BLOCK_OFFLINED,    /* by this job (or tried, and it may have worked) */
    JOB_BLOCK_WAS_OFFLINE, /* offline before the job: never brought online by it */
    JOB_BLOCK_GONE,        /* no block with this identity exists any more */
} JobBlockPhase;

typedef struct {
    guint32 index;
    guint64 inode;
    guint16 device; /* index into the job's devices */
    guint8 phase;   /* JobBlockPhase */
} JobBlock;

typedef struct {
    char id[DEVICE_ID_MAX]; /* "slot3", or what the request said if nothing was found */
    GPtrArray *reasons;     /* of Reason, owned */
    gboolean is_given_back; /* with allow_partial: it does not go */
} JobDevice;

/* What a job has taken from one pool of huge pages, because free pages of it lay in its blocks: a
 * page that is free leaves the pool as its block goes offline, and the kernel does not put it back
 * (dissolve_free_huge_pages(), mm/hugetlb.c). */
typedef struct {
    gint32 node; /* as in NodePool */
    guint64 page_bytes;
    gint64 before; /* pages: before this job, and any other that goes on, took any */
    gint64 last;   /* when it was looked at last */
    gint64 taken;  /* since the job began, while its own writes were under way; below 0: pages that
                    * are in use moved here from another node */
    gint64 kept;   /* of them: away for as long as the blocks of the devices that go */
} JobPool;

/* A job, for reading. Pointers live until the next step of the machine. Times are of the machine's
 * clock (CLOCK_MONOTONIC); 0: not yet. */
typedef struct {
    guint64 id;
    JobState state;
    JobState outcome;       /* ROLLING_BACK: what the job will end as; OFFLINING: it gives some of
                             * its devices back, and goes on with the rest */
    gboolean allow_partial; /* a device that cannot go is given back */
    gboolean reclaim;       /* caches are reclaimed first where memory would not suffice */
    char *key;              /* or NULL */
    DeviceSelector *selectors; /* as asked */
    guint n_selectors;
    guint64 timeout_ms; /* 0 until CHECKED says the default */
    guint64 lease_ms;
    GArray *devices; /* of JobDevice */
    GArray *blocks;  /* of JobBlock, in the order in which they are offlined; empty until checked */
    GArray *pools;   /* of JobPool; empty where the guest has no huge pages */
    GPtrArray *reasons; /* of Reason: all that was found or went wrong */
    guint64 block_size_bytes;
    guint64 reserve_bytes;
    gint64 submitted_usec;
    gint64 started_usec;  /* left the queue */
    gint64 deadline_usec; /* of offlining */
    gint64 ask_end_usec;  /* of asking; 0: nobody was asked */
    gint64 lease_end_usec;
    gint64 ended_usec;
    gboolean was_reoffline;   /* the one 5 s of offlining again has been used */
    gboolean attempt_running; /* one of the OFFLINED blocks is only being tried (not journaled) */
} UnplugJob;

/* Figures of a job for its clients. */
typedef struct {
    guint32 blocks_done; /* offline or gone, without the one being tried */
    guint32 blocks_total;
    guint64 bytes;          /* of all blocks */
    gint64 elapsed_usec;    /* since submission, until the end */
    gint64 lease_left_usec; /* -1: no lease runs (it goes on while a ready job offlines again) */
} UnplugProgress;
/* Whether JOB, which has just entered STATE, begins to take memory: applications are asked, or the
 * first block is about to go. Once for each job that passes its check. */
gboolean unplug_job_begins(const UnplugJob *job, JobState state);
/* Of a job that has ended: whether it had begun, and how much has left. */
gboolean unplug_job_had_begun(const UnplugJob *job);
guint64 unplug_job_gone_bytes(const UnplugJob *job);

UnplugProgress unplug_job_progress(const UnplugJob *job, gint64 now_usec);

/* Of one device of a job: "unplugged" (all its blocks are gone), "ready", "preparing" (any other
 * job that has not ended), "offline" (ended, and it was offline before), "in-use". */
const char *unplug_job_device_state(const UnplugJob *job, guint device);

/* --- events --- */

/* What sysfs said of one block. The inode is the job's (what was asked for); in UNPLUG_BLOCKS it
 * may be the one that is there now: another inode at an index tells that the job's block is gone,
 * and TRUTH_GONE with inode 0 that no block has this index. */
typedef enum {
    TRUTH_GONE, /* no such block, or another inode */
    TRUTH_OFFLINE,
    TRUTH_ONLINE_MOVABLE,
    TRUTH_ONLINE_KERNEL, /* or several zones, or a zone that cannot be told */
    TRUTH_CHANGING,      /* going-offline, or unknown */
} BlockTruth;

typedef struct {
    guint32 index;
    guint64 inode;
    BlockTruth truth;
    int error; /* WORKER_DONE: errno of the write to this block, ECANCELED: there was none; else 0
                */
} BlockReport;

/* What is in a block, for sentences only. */
typedef struct {
    PageSample pages;       /* scaled to the whole block; `sampled` 0: not known */
    guint64 hugepages_free; /* of the guest */
    guint64 dirty_bytes;    /* of the guest: page cache that is dirty, and that is being written */
    guint64 writeback_bytes;
} BlockContents;

typedef enum {
    UNPLUG_SUBMIT,      /* submit: a new job (or a renewed one) */
    UNPLUG_CHECKED,     /* checked: what the check of `job` came to */
    UNPLUG_JOURNALED,   /* journaled: whether the journal could be written */
    UNPLUG_WORKER_DONE, /* reports: the worker action of `job` is over; what all its blocks are
                         * now */
    UNPLUG_LOCKS,       /* the locks of applications, in UnplugWorld, have changed */
    UNPLUG_BLOCKS,      /* reports: blocks that uevents or a look named; any job's or no job's. Of
                         * blocks that the worker has taken offline, while it goes on, too */
    UNPLUG_VERIFIED,    /* reports: all blocks of `job`, WAS_OFFLINE ones too, read now (those in
                         * phase GONE may be left out) */
    UNPLUG_CANCEL,      /* job */
    UNPLUG_TICK,        /* the timer that an ACTION_TIMER asked for has fired, and is gone */
    UNPLUG_STOP,        /* the daemon is asked to end: roll everything back */
} UnplugEventKind;

typedef struct {
    const DeviceSelector *selectors;
    guint n_selectors;
    guint64 timeout_ms; /* 0: default */
    guint64 lease_ms;
    const char *key; /* or NULL */
    gboolean allow_partial;
    gboolean reclaim;
} UnplugSubmit;

typedef struct {
    const GPtrArray *reasons; /* copied; a refusal if reason_list_refuses() */
    const char (*device_ids)[DEVICE_ID_MAX];
    guint n_devices;
    const JobBlock *blocks; /* phase ONLINE or WAS_OFFLINE; in the order to offline them */
    guint n_blocks;
    guint64 block_size_bytes;
    guint64 reserve_bytes;
    guint64 default_timeout_ms;
    const GPtrArray *left_out; /* of Reason, copied: why a device does not go with the others. NULL:
                                * all do */
    guint64 application_delay_ms; /* 0: nobody is asked */
} UnplugChecked;

typedef struct {
    UnplugEventKind kind;
    guint64 job; /* CHECKED, WORKER_DONE, VERIFIED, CANCEL */
    union {
        UnplugSubmit submit;
        UnplugChecked checked;
        struct {
            int error; /* 0: written; else errno */
        } journaled;
        struct {
            const BlockReport *reports;
            guint n_reports;
            int barrier_error; /* WORKER_DONE of a rollback: errno of the barrier, 0: passed; of
                                * POOLS: of the writes */
            AttemptOutcome attempt; /* WORKER_DONE: why it is over */
            /* WORKER_DONE: what is in the block that an OFFLINE failed at; NULL: not known */
            const BlockContents *contents;
            int gate_error; /* VERIFIED: errno for which an eject would be refused; 0: it would not,
                             * as far as the gate is concerned */
        } blocks;
    };
} UnplugEvent;

/* An attempt that was told to end because it stalled, and sleeps in the kernel where no signal
 * ends it. */
typedef struct {
    guint32 index; /* of the block */
    AttemptOutcome attempt;
    BlockContents contents; /* as it was told to end */
} StuckAttempt;

/* What the machine knows of the world at a step. */
typedef struct {
    gint64 now_usec;            /* never runs backwards */
    guint64 available_bytes;    /* MemAvailable, read for this step, and what counts beside it */
    Uncounted uncounted;        /* for sentences only */
    gboolean is_worker_away;    /* the worker is at a write that is no job's */
    const StuckAttempt *stuck;  /* of the worker; NULL: none */
    const GArray *pools;        /* of NodePool, read for this step; NULL: not looked at */
    guint64 hugetlb_free_bytes; /* free huge pages in all of the guest */
    guint64 oldest_delay;       /* the least id of a delay lock that stands, 0: none does */
    guint64 last_lock;          /* the greatest id of any lock yet */
    gboolean is_blocked;        /* a block lock stands */
} UnplugWorld;

/* --- actions --- */

typedef enum {
    ACTION_CHECK,    /* check `job` (its selectors) and feed CHECKED */
    ACTION_JOURNAL,  /* write all jobs to the journal and feed JOURNALED; at most one a step, and
                      * before all actions of the step but a KILL */
    ACTION_OFFLINE,  /* let the worker offline `blocks` of `job`, one after the other, until one
                      * fails; feed WORKER_DONE */
    ACTION_YIELD,    /* let the worker end the OFFLINE of `job` after the block that it is at; asked
                      * once, and its WORKER_DONE still comes */
    ACTION_KILL,     /* end the worker's attempt for `job` (SIGTERM, then SIGKILL); asked once, and
                      * its WORKER_DONE still comes */
    ACTION_ROLLBACK, /* let the worker pass the barrier (if `barrier`), then online `blocks` as
                      * movable where they are offline; feed WORKER_DONE */
    ACTION_POOLS,    /* let the worker write the counts of `pools`; feed WORKER_DONE */
    ACTION_VERIFY,   /* read all blocks of `job` and feed VERIFIED */
    ACTION_TIMER,    /* feed TICK at `at_usec`; replaces the earlier timer; 0: no timer */
    ACTION_CHANGED,  /* `job` has entered `state`: tell clients, log */
    ACTION_STOPPED,  /* after STOP, once: nothing is left to do */
} UnplugActionKind;

typedef struct {
    UnplugActionKind kind;
    guint64 job;
    JobState state;      /* CHANGED */
    gint64 at_usec;      /* TIMER */
    gboolean barrier;    /* ROLLBACK */
    gboolean needs_gate; /* VERIFY: the job may become ready by it, so the eject gate opens first */
    JobBlock *blocks;    /* owned: OFFLINE, ROLLBACK */
    guint n_blocks;
    GArray *pools; /* of NodePool, owned: POOLS */
} UnplugAction;

/* A GArray of UnplugAction that frees what they own. */
GArray *unplug_actions_new(void);

/* --- the machine --- */

typedef struct UnplugMachine UnplugMachine;

/* FIRST_JOB_ID: the id of the next job; ids count up from there. */
UnplugMachine *unplug_machine_new(guint64 first_job_id);
void unplug_machine_free(UnplugMachine *machine); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(UnplugMachine, unplug_machine_free)

typedef enum {
    UNPLUG_OK,
    UNPLUG_QUEUE_FULL,   /* SUBMIT: UNPLUG_QUEUE_MAX jobs are queued */
    UNPLUG_KEY_CONFLICT, /* SUBMIT: a job that has not ended has this key and other devices */
    UNPLUG_NO_SUCH_JOB,  /* CANCEL */
    UNPLUG_STOPPING,     /* SUBMIT after STOP */
} UnplugResult;

/**
 * unplug_machine_step: one event.
 * @actions: appended to. To be carried out in order; their events are fed in further steps.
 * @job_id: SUBMIT: the new or renewed job. May be NULL.
 *
 * Events that do not fit the state (a late WORKER_DONE, a CANCEL of an ended job, reports of blocks
 * of no job) change nothing and are UNPLUG_OK. A CANCEL of a job that is rolling back changes
 * nothing either: its blocks are on their way back, and it ends as what made it roll back.
 * A SUBMIT that renews a ready job's lease journals it; other jobs with that key stay as they are.
 * The limits of a request (devices, key) are the caller's to check; times are clipped here.
 */
UnplugResult unplug_machine_step(UnplugMachine *machine, const UnplugWorld *world,
                                 const UnplugEvent *event, GArray *actions, guint64 *job_id);

const UnplugJob *unplug_machine_find(const UnplugMachine *machine, guint64 job_id);
/* All jobs, ended ones too, ascending by id. Return (transfer container). */
GPtrArray *unplug_machine_list(const UnplugMachine *machine);
/* The job that has not ended and has this block, or NULL. */
const UnplugJob *unplug_machine_owner(const UnplugMachine *machine, guint32 index, guint64 inode);
/* Whether a job that has not ended holds this block offline, or may have (JOB_BLOCK_OFFLINED), or
 * is offlining or ready and counts on it (JOB_BLOCK_WAS_OFFLINE): nothing else may online it. */
gboolean unplug_machine_holds(const UnplugMachine *machine, guint32 index, guint64 inode);
guint64 unplug_machine_next_job_id(const UnplugMachine *machine);
void unplug_machine_skip_job_ids(UnplugMachine *machine, guint64 first);
/* Whether no job is anywhere between queued and its end. */
gboolean unplug_machine_is_idle(const UnplugMachine *machine);

/**
 * unplug_machine_restore: takes a job over from the journal, before the first step.
 * @job: copied. Its times are of the same boot's clock. In the states queued and checking it is
 *   queued anew; in offlining, ready and rolling-back it goes on where it was, after the VERIFY
 *   that the next unplug_machine_resume() asks for; ended ones are kept for queries.
 *
 * Return: FALSE if @job contradicts itself or its id is taken; then nothing was changed.
 */
gboolean unplug_machine_restore(UnplugMachine *machine, const UnplugJob *job);
/* After the last restore, once: clips the restored times to what is possible at `now_usec`, and
 * appends the actions that make the restored jobs go on. */
void unplug_machine_resume(UnplugMachine *machine, const UnplugWorld *world, GArray *actions);

/* For the journal and tests: a job of its own. */
UnplugJob *unplug_job_copy(const UnplugJob *job);
void unplug_job_free(UnplugJob *job); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(UnplugJob, unplug_job_free)
