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

/* Shows JOB's progress until it is at AIM. On Ctrl-C a person is asked whether to cancel the job or
 * to leave it running; without a terminal it is left running. Returns the job as last seen, NULL
 * and an error where it cannot be asked for. *WAS_LEFT: it was left running. */
JsonNode *follow_job(Ctl *ctl, guint64 job, FollowAim aim, gboolean *was_left, GError **error);

/* Tells a person that JOB was left running. */
void say_left(Ctl *ctl, guint64 job);

/* memory-cancel-unplug. */
gboolean cancel_job(Ctl *ctl, guint64 job, GError **error);
