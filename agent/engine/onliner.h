/*
 * Carries the online policy out: new blocks come online as it says, by the kernel itself where it
 * can, else by the worker; and blocks that something else put into the wrong zone are moved.
 */
#pragma once

#include <glib.h>

#include "decide/online-policy.h"
#include "engine/model-keeper.h"
#include "os/executor.h"

typedef struct Onliner Onliner;

typedef struct {
    const AttrIo *io; /* borrowed, like all here */
    ModelKeeper *keeper;
    Executor *executor;
    const char *state_dir;
    const char *boot_id;
    OnlineConfig online;
    guint64 reserve_bytes;   /* [unplug] reserve-bytes, 0: by size; for blocks that are moved */
    guint swap_percent;      /* [unplug] use-swap */
    gboolean adopt_existing; /* [online] existing */
    gboolean is_live;        /* FALSE below a sysroot: nothing is ever changed */
    gboolean is_last;        /* no daemon follows: a stop waits for what is coming online */
    BlockOwnedFunc is_held;  /* blocks that an unplug job keeps offline */
    BlockOwnedFunc is_owned; /* blocks that an unplug job has */
    gpointer user_data;
} OnlinerConfig;

Onliner *onliner_new(const OnlinerConfig *config);
/* After the executor is gone. */
void onliner_free(Onliner *onliner); /* accepts NULL */

/* At start: blocks that are offline and that nobody chose to be so, and misplaced ones. FUNC is
 * called (perhaps from in here) once the kernel's settings are as the policy needs them, so that
 * nothing else has to see to new memory any more; never below a sysroot. */
typedef void (*OnlinerStartedFunc)(gpointer user_data);
void onliner_start(Onliner *onliner, OnlinerStartedFunc func, gpointer user_data);
/* The model has changed. */
void onliner_on_change(Onliner *onliner, const ModelChange *change);
/* What jobs own has changed. */
void onliner_review(Onliner *onliner);

/* The policy in force. Another one is for memory that is added from then on, and for misplaced
 * blocks. */
const OnlineConfig *onliner_config(const Onliner *onliner);
void onliner_set_config(Onliner *onliner, const OnlineConfig *config);
/* [unplug] reserve-bytes and use-swap, as in OnlinerConfig. */
void onliner_set_reserve(Onliner *onliner, guint64 reserve_bytes, guint swap_percent);
/* Whether the kernel's auto_online_blocks, which reads WORD, is as the policy needs it, or as the
 * daemon set it. */
gboolean onliner_owns_auto_online(const Onliner *onliner, const char *word);
/* What becomes of a block that is online in the wrong zone: a BlockProgressFunc of an Onliner. */
BlockProgress onliner_progress(guint32 index, guint64 inode, gpointer onliner);
/* Whether an unplug job has this block offline, or the daemon itself, to move it: a BlockOwnedFunc
 * of an Onliner. */
gboolean onliner_is_held(guint32 index, guint64 inode, gpointer onliner);
/* (transfer full): where the policy wants those of the blocks that somebody is about to bring
 * online, as online_policy_decide() says it; remembered. */
GArray *onliner_plan(Onliner *onliner, const guint32 *indices, guint n);

/* Brings back what is being moved, and puts the kernel's settings back; then calls FUNC (perhaps
 * from in here). */
typedef void (*OnlinerStoppedFunc)(gpointer user_data);
void onliner_stop(Onliner *onliner, OnlinerStoppedFunc func, gpointer user_data);
