/*
 * guest-set-memory-blocks: brings single blocks online or offline at the host's word, within 4 s.
 *
 * libvirt waits 5 s for an answer and matches replies by position, so what is not done by then is
 * answered as failed with ETIMEDOUT, while the loop goes on serving everybody else.
 */
#pragma once

#include <glib.h>

#include "engine/model-keeper.h"
#include "engine/unplugger.h"

#define BLOCK_REQUESTS_LIMIT_MS 4000
/* Requests that may be under way at once; more are refused. */
#define BLOCK_REQUESTS_MAX 8

typedef enum {
    BLOCK_SET_SUCCESS,
    BLOCK_SET_NOT_FOUND,
    BLOCK_SET_FAILED,
} BlockSetResult;

typedef struct {
    guint64 phys_index;
    gboolean online; /* wanted */
    BlockSetResult result;
    int error; /* errno, where it is no success */
} BlockSetEntry;

/* The results of all entries, in their order. Called once, at once or from the main loop. */
typedef void (*BlockSetFunc)(const BlockSetEntry *entries, guint n, gpointer user_data);

typedef struct BlockRequests BlockRequests;

/* Where the policy wants blocks that are to come online: see onliner_plan(). */
typedef GArray *(*BlockPlanFunc)(const guint32 *indices, guint n, gpointer user_data);

/* All borrowed. */
BlockRequests *block_requests_new(const AttrIo *io, ModelKeeper *keeper, Executor *executor,
                                  Unplugger *unplugger, BlockPlanFunc plan, gpointer user_data);
/* After the executor is gone, before the keeper is: requests that are under way are answered as
 * failed when the executor goes. */
void block_requests_free(BlockRequests *requests); /* accepts NULL */

/* ENTRIES: phys_index and online are read, copied. FALSE: BLOCK_REQUESTS_MAX requests are under
 * way.
 */
gboolean block_requests_add(BlockRequests *requests, const BlockSetEntry *entries, guint n,
                            BlockSetFunc func, gpointer user_data);
