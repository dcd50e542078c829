/*
 * Carries out what the rezone state machine decides: worker, timer, log.
 */
#pragma once

#include <glib.h>

#include "engine/mark-keeper.h"
#include "engine/model-keeper.h"
#include "os/executor.h"

typedef struct Rezoner Rezoner;

/* All borrowed. IS_OWNED: blocks that an unplug job has. */
Rezoner *rezoner_new(const AttrIo *io, ModelKeeper *keeper, Executor *executor,
                     MarkKeeper *mark_keeper, BlockOwnedFunc is_owned, gpointer user_data);
/* After the executor is gone. */
void rezoner_free(Rezoner *rezoner); /* accepts NULL */

/* Once, at the start: DIMMs' blocks that an earlier daemon's worker may have been at. It may sleep
 * in the kernel still, and take its block offline when nobody looks. They are held until that is
 * over. */
void rezoner_inherit(Rezoner *rezoner, const OnlineConfig *config);

/* Looks for misplaced blocks, as CONFIG says. After a change of the model, of CONFIG, or of what
 * jobs own. */
void rezoner_review(Rezoner *rezoner, const OnlineConfig *config);

/* [unplug] reserve-bytes (0: by size) and use-swap, for moves that begin from now on. */
void rezoner_set_reserve(Rezoner *rezoner, guint64 reserve_bytes, guint swap_percent);

/* Whether it has this block offline. */
gboolean rezoner_holds(const Rezoner *rezoner, guint32 index, guint64 inode);

/* What becomes of a block that is online in the wrong zone. */
BlockProgress rezoner_progress(const Rezoner *rezoner, guint32 index, guint64 inode);

/* Brings back what is offline; FUNC is called, perhaps from in here, when that is done. */
typedef void (*RezonerStoppedFunc)(gpointer user_data);
void rezoner_stop(Rezoner *rezoner, RezonerStoppedFunc func, gpointer user_data);
