/*
 * Carries the online policy out: new blocks come online as it says, by the worker.
 */
#pragma once

#include <glib.h>

#include "decide/online-policy.h"
#include "outside/executor.h"
#include "wiring/model-keeper.h"

typedef struct Onliner Onliner;

/* KEEPER and EXECUTOR are borrowed. IS_HELD tells which blocks an unplug job keeps offline. */
Onliner *onliner_new(ModelKeeper *keeper, Executor *executor, OnlinePolicy policy,
                     BlockOwnedFunc is_held, gpointer user_data);
void onliner_free(Onliner *onliner); /* accepts NULL */

/* These blocks are new. */
void onliner_added(Onliner *onliner, const guint32 *indices, guint n);
/* At start: everything that is offline now counts as new. */
void onliner_adopt(Onliner *onliner);

/* For blocks that come from now on. */
void onliner_set_policy(Onliner *onliner, OnlinePolicy policy);
OnlinePolicy onliner_policy(const Onliner *onliner);
