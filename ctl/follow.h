/*
 * Following a job to where it waits or ends, with a person in front of it.
 */
#pragma once

#include "ctl/verbs.h"

/* Where to stop. */
typedef enum {
    FOLLOW_TO_READY, /* ready, or any end */
    FOLLOW_TO_END,   /* any end */
} FollowAim;

typedef struct {
    FollowAim aim;
    int interrupt; /* of interrupt_open() */
    /* When to stop, in g_get_monotonic_time(): the guest may say "offlining" for ever. */
    gint64 deadline_usec;
    /* What Ctrl-C does to the job where nobody can be asked: cancel it, or leave it running. */
    gboolean cancels;
    /* The boot that the job belongs to, as memory-get-status tells it: a number means another job
     * after the next boot. NULL: not known. */
    const char *boot_id;
} Follow;

/* Until when a job that was given TIMEOUT_MS (NOT_GIVEN: as much as a daemon may be set to) is
 * waited for: that long, and 30 s for the rollback. */
gint64 follow_deadline_usec(gint64 timeout_ms);

/* Shows JOB's progress until it is where HOW says. On Ctrl-C a person is asked whether to cancel
 * the job or to leave it running. Returns the job as last seen; NULL and an error where it cannot
 * be asked for, the deadline is over, or the guest has booted again. *WAS_LEFT: it was left
 * running; *WAS_INTERRUPTED (may be NULL): somebody pressed Ctrl-C and did not go on. */
JsonNode *follow_job(Ctl *ctl, guint64 job, const Follow *how, gboolean *was_left,
                     gboolean *was_interrupted, GError **error);

/* Whether the guest is still in the boot BOOT_ID (NULL: not known, which is one). FALSE and
 * CTL_REFUSED: it has booted again; or an error of asking. */
gboolean follow_same_boot(Ctl *ctl, const char *boot_id, GError **error);

/* Tells a person that JOB was left running. */
void say_left(Ctl *ctl, guint64 job);

/* memory-cancel-unplug. */
gboolean cancel_job(Ctl *ctl, guint64 job, GError **error);
