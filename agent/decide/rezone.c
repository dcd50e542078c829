/*
 * The rezone state machine.
 *
 *   WAITING -> MOVING -> (gone, or where it is meant to be: forgotten)
 *      ^         |  \-> offline: RETURNING, until it is online somewhere
 *      +---------+----> GIVEN_UP, until it is no longer misplaced
 *
 * A block that is inherited from an earlier daemon begins as RETURNING.
 */
#include "decide/rezone.h"

#include <errno.h>

typedef enum { WAITING, MOVING, RETURNING, GIVEN_UP } State;

typedef struct {
    RezoneBlock block;
    State state;
    guint attempts;
    guint returns;
    guint n_put_off; /* in a row */
    gint64 due_usec; /* WAITING, RETURNING: not before */
    gboolean is_wanted;
    gboolean is_in_doubt; /* RETURNING, and perhaps it need not be */
} Entry;

struct RezoneMachine {
    GPtrArray *entries;   /* of Entry, in the order in which they were asked for */
    GHashTable *by_index; /* index -> the Entry that was asked for last */
    Entry *running;       /* what the worker is at */
    gboolean is_stopping;
    gboolean is_stopped;
    gint64 timer_usec; /* as last asked for */
};

RezoneMachine *rezone_machine_new(void)
{
    RezoneMachine *machine = g_new0(RezoneMachine, 1);

    machine->entries = g_ptr_array_new_with_free_func(g_free);
    machine->by_index = g_hash_table_new(NULL, NULL);
    return machine;
}

void rezone_machine_free(RezoneMachine *machine)
{
    if (!machine)
        return;
    g_hash_table_unref(machine->by_index);
    g_ptr_array_unref(machine->entries);
    g_free(machine);
}

static Entry *find(const RezoneMachine *machine, guint32 index, guint64 inode)
{
    Entry *entry = g_hash_table_lookup(machine->by_index, GUINT_TO_POINTER(index));

    return entry && entry->block.inode == inode ? entry : NULL;
}

static Entry *add(RezoneMachine *machine, const RezoneBlock *block, gint64 now_usec)
{
    Entry *entry = g_new0(Entry, 1);

    entry->block = *block;
    entry->due_usec = now_usec;
    g_ptr_array_add(machine->entries, entry);
    g_hash_table_insert(machine->by_index, GUINT_TO_POINTER(block->index), entry);
    return entry;
}

/* Where another block has taken the index meanwhile, that one stays findable. */
static void forget(RezoneMachine *machine, Entry *entry)
{
    gpointer key = GUINT_TO_POINTER(entry->block.index);

    if (g_hash_table_lookup(machine->by_index, key) == entry)
        g_hash_table_remove(machine->by_index, key);
    g_ptr_array_remove(machine->entries, entry);
}

static void act(GArray *actions, RezoneActionKind kind, const Entry *entry, const char *verb)
{
    RezoneAction action = {.kind = kind, .verb = verb};

    if (entry)
        action.block = entry->block;
    g_array_append_val(actions, action);
}

static gint64 pause_usec(guint failures)
{
    return MIN(REZONE_PAUSE_MIN_USEC << MIN(failures - 1, 20), REZONE_PAUSE_MAX_USEC);
}

static gint64 retry_usec(guint attempts)
{
    return MIN(REZONE_RETRY_USEC << 3 * (attempts - 1), REZONE_PAUSE_MAX_USEC);
}

static const char *verb_of(const Entry *entry)
{
    return entry->block.to_kernel ? "online_kernel" : "online_movable";
}

/* The attempt came to nothing, and the block is online. */
static void fail(Entry *entry, gint64 now_usec, int error, const AttemptOutcome *attempt,
                 GArray *actions)
{
    entry->state = WAITING;
    entry->attempts += attempt->end == ATTEMPT_STALLED ? 2 : 1;
    entry->due_usec = now_usec + retry_usec(entry->attempts);
    if (entry->attempts < REZONE_ATTEMPTS_MAX && error != EROFS && error != EACCES)
        return;
    entry->state = GIVEN_UP;
    RezoneAction action = {
        .kind = REZONE_ACT_GIVE_UP, .block = entry->block, .error = error, .attempt = *attempt};
    g_array_append_val(actions, action);
}

/* Nothing was tried, or others came first: it says nothing of the block. */
static gboolean is_no_attempt(const AttemptOutcome *attempt)
{
    return attempt->end == ATTEMPT_NO_WORKER || attempt->end == ATTEMPT_CANCELLED;
}

static void take_wanted(RezoneMachine *machine, const RezoneWorld *world, const RezoneEvent *event)
{
    for (guint i = 0; i < machine->entries->len; i++)
        ((Entry *)machine->entries->pdata[i])->is_wanted = FALSE;
    for (guint i = 0; i < event->n_blocks; i++) {
        const RezoneBlock *block = &event->blocks[i];
        Entry *entry = find(machine, block->index, block->inode);
        if (!entry)
            entry = add(machine, block, world->now_usec);
        if (entry->state == WAITING || entry->state == GIVEN_UP)
            entry->block = *block;
        entry->is_wanted = TRUE;
    }
    for (guint i = machine->entries->len; i-- > 0;) {
        Entry *entry = machine->entries->pdata[i];
        if (!entry->is_wanted && entry->state != MOVING && entry->state != RETURNING)
            forget(machine, entry);
    }
}

static void take_inherited(RezoneMachine *machine, const RezoneWorld *world,
                           const RezoneEvent *event)
{
    for (guint i = 0; i < event->n_blocks; i++) {
        const RezoneBlock *block = &event->blocks[i];
        if (find(machine, block->index, block->inode))
            continue;
        Entry *entry = add(machine, block, world->now_usec);
        entry->state = RETURNING;
        entry->is_in_doubt = TRUE;
    }
}

/* The write that brings ENTRY back was made, where it was online: nobody else is at it any more. */
static void end_doubt(RezoneMachine *machine, const RezoneWorld *world, Entry *entry)
{
    entry->is_in_doubt = FALSE;
    entry->state = WAITING;
    entry->due_usec = world->now_usec;
    if (!entry->is_wanted)
        forget(machine, entry);
}

static void take_done(RezoneMachine *machine, const RezoneWorld *world, const RezoneEvent *event,
                      GArray *actions)
{
    Entry *entry = machine->running;
    BlockTruth goal;
    gboolean is_put_off = is_no_attempt(&event->attempt);

    if (!entry)
        return;
    machine->running = NULL;
    entry->n_put_off = is_put_off ? entry->n_put_off + 1 : 0;
    goal = entry->block.to_kernel ? TRUTH_ONLINE_KERNEL : TRUTH_ONLINE_MOVABLE;
    if (event->truth == TRUTH_GONE || event->truth == goal) {
        if (event->truth == goal && !entry->is_in_doubt)
            act(actions, REZONE_ACT_MOVED, entry, NULL);
        forget(machine, entry);
    } else if (event->truth == TRUTH_OFFLINE) {
        gboolean is_first = entry->state != RETURNING;
        guint n_failed = entry->returns + entry->n_put_off;
        entry->state = RETURNING;
        /* At once where only the second write was not come to. */
        entry->due_usec = world->now_usec + (is_first ? 0 : pause_usec(MAX(n_failed, 1)));
        entry->returns += !is_put_off || is_first || machine->is_stopping;
        entry->is_in_doubt = FALSE;
    } else if (is_put_off) {
        entry->state = entry->is_in_doubt ? RETURNING : WAITING;
        entry->due_usec = world->now_usec + pause_usec(entry->n_put_off);
    } else if (entry->is_in_doubt) {
        end_doubt(machine, world, entry);
    } else {
        fail(entry, world->now_usec, event->error, &event->attempt, actions);
    }
}

static gboolean goes_before(const Entry *entry, const Entry *other)
{
    return entry->attempts < other->attempts ||
           (entry->attempts == other->attempts && entry->block.index > other->block.index);
}

/* The entry to go on with. What is offline goes before what is online. */
static Entry *next_entry(const RezoneMachine *machine, gint64 now_usec)
{
    Entry *found = NULL;

    for (guint i = 0; i < machine->entries->len; i++) {
        Entry *entry = machine->entries->pdata[i];
        if (entry->due_usec > now_usec)
            continue;
        if (entry->state == RETURNING)
            return entry;
        if (entry->state == WAITING && !machine->is_stopping &&
            (!found || goes_before(entry, found)))
            found = entry;
    }
    return found;
}

static void start_next(RezoneMachine *machine, const RezoneWorld *world, GArray *actions)
{
    Entry *entry;

    while (!machine->running && (entry = next_entry(machine, world->now_usec))) {
        if (entry->state == WAITING &&
            !attempt_has_room(world->available_bytes, world->block_size_bytes,
                              world->reserve_bytes)) {
            AttemptOutcome low = {.end = ATTEMPT_LOW_MEMORY,
                                  .available_bytes = world->available_bytes};
            fail(entry, world->now_usec, 0, &low, actions);
            continue;
        }
        machine->running = entry;
        if (entry->state == WAITING) {
            entry->state = MOVING;
            entry->returns = 0;
            act(actions, REZONE_ACT_MOVE, entry, verb_of(entry));
        } else {
            act(actions, REZONE_ACT_RETURN, entry,
                entry->returns > REZONE_RETURNS_MAX ? "online" : verb_of(entry));
        }
    }
}

static void set_timer(RezoneMachine *machine, gboolean is_tick, GArray *actions)
{
    gint64 at_usec = G_MAXINT64;

    for (guint i = 0; !machine->running && i < machine->entries->len; i++) {
        const Entry *entry = machine->entries->pdata[i];
        if (entry->state == RETURNING || (entry->state == WAITING && !machine->is_stopping))
            at_usec = MIN(at_usec, entry->due_usec);
    }
    if (at_usec == G_MAXINT64 || machine->is_stopped)
        at_usec = 0;
    if (at_usec == machine->timer_usec && !is_tick)
        return;
    machine->timer_usec = at_usec;
    RezoneAction action = {.kind = REZONE_ACT_TIMER, .at_usec = at_usec};
    g_array_append_val(actions, action);
}

static gboolean has_returns_left(const RezoneMachine *machine)
{
    for (guint i = 0; i < machine->entries->len; i++) {
        const Entry *entry = machine->entries->pdata[i];
        if (entry->state == RETURNING && entry->returns <= REZONE_RETURNS_MAX + 1)
            return TRUE;
    }
    return FALSE;
}

void rezone_machine_step(RezoneMachine *machine, const RezoneWorld *world, const RezoneEvent *event,
                         GArray *actions)
{
    switch (event->kind) {
    case REZONE_WANTED:
        if (!machine->is_stopping)
            take_wanted(machine, world, event);
        break;
    case REZONE_INHERITED:
        take_inherited(machine, world, event);
        break;
    case REZONE_DONE:
        take_done(machine, world, event, actions);
        break;
    case REZONE_TICK:
        break;
    case REZONE_STOP:
        machine->is_stopping = TRUE;
        break;
    }
    if (!machine->is_stopped)
        start_next(machine, world, actions);
    if (machine->is_stopping && !machine->is_stopped && !machine->running &&
        !has_returns_left(machine)) {
        machine->is_stopped = TRUE;
        act(actions, REZONE_ACT_STOPPED, NULL, NULL);
    }
    if (!machine->is_stopped || machine->timer_usec != 0)
        set_timer(machine, event->kind == REZONE_TICK, actions);
}

gboolean rezone_machine_holds(const RezoneMachine *machine, guint32 index, guint64 inode)
{
    const Entry *entry = find(machine, index, inode);

    return entry && (entry->state == MOVING || entry->state == RETURNING);
}

BlockProgress rezone_machine_progress(const RezoneMachine *machine, guint32 index, guint64 inode)
{
    const Entry *entry = find(machine, index, inode);

    if (!entry)
        return BLOCK_STAYS;
    return entry->state == GIVEN_UP ? BLOCK_STUCK : BLOCK_MOVING;
}

gboolean rezone_machine_is_idle(const RezoneMachine *machine)
{
    return machine->entries->len == 0;
}
