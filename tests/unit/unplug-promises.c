/*
 * The promises, and the table of the states.
 */
#include "unplug-promises.h"

/* The table of the design, "Jobs", and what the header of the machine adds to it. */
static const gboolean allowed[JOB_EXPIRED + 1][JOB_EXPIRED + 1] = {
    [JOB_QUEUED] = {[JOB_CHECKING] = TRUE, [JOB_CANCELLED] = TRUE, [JOB_FAILED] = TRUE},
    [JOB_CHECKING] =
        {[JOB_ASKING] = TRUE, [JOB_OFFLINING] = TRUE, [JOB_FAILED] = TRUE, [JOB_CANCELLED] = TRUE},
    [JOB_ASKING] = {[JOB_OFFLINING] = TRUE, [JOB_FAILED] = TRUE, [JOB_CANCELLED] = TRUE},
    [JOB_OFFLINING] = {[JOB_READY] = TRUE, [JOB_ROLLING_BACK] = TRUE, [JOB_UNPLUGGED] = TRUE},
    [JOB_READY] = {[JOB_UNPLUGGED] = TRUE, [JOB_ROLLING_BACK] = TRUE, [JOB_OFFLINING] = TRUE},
    [JOB_ROLLING_BACK] = {[JOB_FAILED] = TRUE,
                          [JOB_CANCELLED] = TRUE,
                          [JOB_EXPIRED] = TRUE,
                          [JOB_UNPLUGGED] = TRUE,
                          [JOB_OFFLINING] = TRUE},
};

gboolean promise_allows(JobState from, JobState to)
{
    return allowed[from][to];
}

JobState told_state(const World *world, guint64 job)
{
    gpointer state = g_hash_table_lookup(world->states, GSIZE_TO_POINTER(job));

    CHECK(world, state != NULL, "job %" G_GUINT64_FORMAT " was never told of", job);
    return GPOINTER_TO_UINT(state) - 1;
}

/* What a ready job has given back it has no block of any more, and says why. */
static void check_given_back(const World *world, const UnplugJob *job)
{
    gboolean is_full = job->reasons->len >= UNPLUG_REASONS_NAMED_MAX;

    for (guint i = 0; i < job->devices->len; i++) {
        const JobDevice *device = &g_array_index(job->devices, JobDevice, i);

        if (!device->is_given_back)
            continue;
        CHECK(world, job->allow_partial, "a part, not asked for");
        CHECK(world, is_full || reason_list_refuses(device->reasons), "%s without a reason",
              device->id);
        for (guint j = 0; j < job->blocks->len; j++)
            CHECK(world, g_array_index(job->blocks, JobBlock, j).device != i, "%s is still there",
                  device->id);
    }
    CHECK(world, job->blocks->len > 0, "ready with nothing");
}

static void check_ready(const World *world, const UnplugJob *job)
{
    check_given_back(world, job);
    for (guint i = 0; i < job->blocks->len; i++) {
        BlockReport report = report_of(world, &g_array_index(job->blocks, JobBlock, i));

        CHECK(world, report.truth == TRUTH_OFFLINE || report.truth == TRUTH_GONE,
              "job %" G_GUINT64_FORMAT " is ready with block %u not offline", job->id,
              report.index);
    }
}

static gboolean tells_of_huge_pages(const UnplugJob *job)
{
    for (guint i = 0; i < job->reasons->len; i++) {
        if (((const Reason *)g_ptr_array_index(job->reasons, i))->code == REASON_HUGEPAGES_LOST)
            return TRUE;
    }
    return job->reasons->len >= UNPLUG_REASONS_NAMED_MAX; /* it may be among those not listed */
}

void check_pools(World *world, const UnplugAction *action)
{
    const UnplugJob *job = unplug_machine_find(world->machine, action->job);
    gsize owed = GPOINTER_TO_SIZE(g_hash_table_lookup(world->owed, GSIZE_TO_POINTER(action->job)));
    guint64 n_wanted = 0;

    CHECK(world, job != NULL && job->state == JOB_ROLLING_BACK, "huge pages out of the state");
    CHECK(world, action->n_blocks == 0 && action->pools->len > 0, "no pools");
    for (guint i = 0; i < action->pools->len; i++) {
        const NodePool *pool = &g_array_index(action->pools, NodePool, i);
        n_wanted +=
            pool->count - *pool_count(world, pool->node + (pool->page_bytes == GIB ? 2 : 0));
    }
    CHECK(world, world->is_owed_unknown || n_wanted <= owed, "more huge pages than were taken");
}

/* A job that has given its blocks back owes no huge page, or says so. */
static void check_owed(const World *world, const UnplugJob *job)
{
    gsize owed = GPOINTER_TO_SIZE(g_hash_table_lookup(world->owed, GSIZE_TO_POINTER(job->id)));

    if (job->state != JOB_UNPLUGGED && !world->is_owed_unknown)
        CHECK(world, owed == 0 || tells_of_huge_pages(job), "%" G_GSIZE_FORMAT " huge pages owed",
              owed);
}

/* Whoever had a delay lock when the job began to ask has released it, or had its time. */
static void check_asked(World *world, guint64 id, JobState from, JobState to)
{
    const UnplugJob *job = unplug_machine_find(world->machine, id);
    guint64 oldest = oldest_delay(world);

    if (to == JOB_ASKING) {
        gint64 left_usec =
            job->started_usec + (gint64)job->timeout_ms * USEC_PER_MSEC - world->now_usec;

        CHECK(world, oldest != 0, "nobody is there to be asked");
        world->asked_lock = world->last_lock;
        world->asked_until_usec =
            world->now_usec + CLAMP(left_usec / 2, 0, APPLICATION_DELAY_MS * USEC_PER_MSEC);
    } else if (from == JOB_ASKING && to == JOB_OFFLINING) {
        CHECK(world,
              oldest == 0 || oldest > world->asked_lock ||
                  world->now_usec >= world->asked_until_usec,
              "an application was not waited for");
        CHECK(world, !world->is_blocked, "a block lock stands");
    }
}

void check_changed(World *world, const UnplugAction *action, gboolean was_journal)
{
    gpointer told = g_hash_table_lookup(world->states, GSIZE_TO_POINTER(action->job));

    CHECK(world, was_journal, "changed before the journal");
    if (told == NULL) {
        CHECK(world, action->state == JOB_QUEUED, "a job begins as %s",
              job_state_name(action->state));
    } else {
        JobState from = GPOINTER_TO_UINT(told) - 1;

        CHECK(world, promise_allows(from, action->state), "%s -> %s", job_state_name(from),
              job_state_name(action->state));
        CHECK(world,
              from != JOB_ROLLING_BACK || action->state != JOB_OFFLINING ||
                  unplug_machine_find(world->machine, action->job)->allow_partial,
              "it goes on without a part");
        world->tally->transitions[from][action->state]++;
        check_asked(world, action->job, from, action->state);
    }
    g_hash_table_insert(world->states, GSIZE_TO_POINTER(action->job),
                        GUINT_TO_POINTER(action->state + 1));
    if (action->state == JOB_ROLLING_BACK)
        g_hash_table_insert(world->since, GSIZE_TO_POINTER(action->job),
                            GSIZE_TO_POINTER(world->now_usec));
    if (job_state_is_ended(action->state))
        check_owed(world, unplug_machine_find(world->machine, action->job));
    if (action->state == JOB_READY)
        check_ready(world, unplug_machine_find(world->machine, action->job));
}

static const UnplugJob *find_journaled(const World *world, guint64 id)
{
    for (guint i = 0; i < world->journal->len; i++) {
        const UnplugJob *job = g_ptr_array_index(world->journal, i);

        if (job->id == id)
            return job;
    }
    return NULL;
}

static gboolean is_journaled(const UnplugJob *journaled, const JobBlock *asked)
{
    for (guint i = 0; i < journaled->blocks->len; i++) {
        const JobBlock *block = &g_array_index(journaled->blocks, JobBlock, i);

        if (block->index == asked->index)
            return block->phase != JOB_BLOCK_WAS_OFFLINE && block->phase != JOB_BLOCK_GONE;
    }
    return FALSE;
}

void check_offline(const World *world, const UnplugAction *action)
{
    const UnplugJob *job = unplug_machine_find(world->machine, action->job);
    const UnplugJob *journaled = find_journaled(world, action->job);

    CHECK(world, job != NULL && job->state == JOB_OFFLINING, "an attempt out of offlining");
    CHECK(world, action->n_blocks > 0, "no blocks");
    CHECK(world, available_bytes(world) >= BLOCK_BYTES + RESERVE_BYTES, "the reserve is crossed");
    CHECK(world, journaled != NULL && journaled->state == JOB_OFFLINING, "not journaled");
    for (guint i = 0; i < action->n_blocks; i++) {
        const JobBlock *block = &action->blocks[i];

        CHECK(world, is_journaled(journaled, block), "block %u is not journaled as the job's",
              block->index);
        CHECK(world, unplug_machine_holds(world->machine, block->index, block->inode),
              "the intent is not noted");
    }
    for (guint i = 0; i < N_BLOCKS; i++)
        CHECK(world,
              world->blocks[i].owner == 0 ||
                  told_state(world, world->blocks[i].owner) != JOB_ROLLING_BACK,
              "an attempt while block %u is to be given back", i);
}

void check_kill(const World *world, guint64 id)
{
    const UnplugJob *job = unplug_machine_find(world->machine, id);

    CHECK(world, job->state == JOB_ROLLING_BACK || world->now_usec >= job->deadline_usec,
          "an attempt is ended before its time");
}

void check_rollback(const World *world, const UnplugAction *action)
{
    const UnplugJob *job = unplug_machine_find(world->machine, action->job);

    CHECK(world, job != NULL && job->state == JOB_ROLLING_BACK, "a rollback out of its state");
    CHECK(world, action->barrier && action->n_blocks > 0, "no barrier, or no blocks");
    for (guint i = 0; i < action->n_blocks; i++) {
        const JobBlock *asked = &action->blocks[i];
        const Block *block = &world->blocks[asked->index];

        CHECK(world,
              block->inode != asked->inode || block->truth != TRUTH_OFFLINE ||
                  block->owner == action->job,
              "block %u was not offlined by this job", asked->index);
    }
}

/* Set when a rollback began, for telling what it waits for. */
static gboolean is_tell_timer(const World *world)
{
    return world->timer_usec <= world->now_usec + UNPLUG_ROLLBACK_TELL_USEC;
}

static void check_timer(const World *world, guint n_live, guint n_timed, gint64 lease_end_usec)
{
    if (n_live == 0)
        CHECK(world, world->timer_usec == 0, "a timer runs for nothing");
    if (n_live > 0 && n_timed == 0 && lease_end_usec == 0 && is_at_work(world))
        CHECK(world, world->timer_usec == 0 || is_tell_timer(world),
              "a timer runs beside a rollback");
    if (n_timed == 0 && lease_end_usec != 0 && is_at_work(world))
        CHECK(world,
              world->timer_usec == lease_end_usec ||
                  (world->timer_usec != 0 && world->timer_usec < lease_end_usec &&
                   is_tell_timer(world)),
              "not the lease's timer");
    if (world->timer_usec != 0)
        CHECK(world, world->timer_usec > world->now_usec, "what is due was not done");
    if (is_offlining(world) && !world->worker.is_killed)
        CHECK(world, world->timer_usec != 0, "nobody ends the attempt at the deadline");
    if (n_live > 0)
        CHECK(world, world->timer_usec != 0 || is_at_work(world) || world->pending.length > 0,
              "%u jobs wait for nothing", n_live);
}

static gboolean says_what_it_waits_for(const UnplugJob *job)
{
    for (guint i = 0; i < job->reasons->len; i++) {
        const Reason *reason = g_ptr_array_index(job->reasons, i);

        if (reason->code == REASON_KERNEL_BUSY && reason->device == NULL && reason->bytes > 0)
            return TRUE;
    }
    return FALSE;
}

static gboolean is_answer_pending(const World *world, UnplugEventKind kind, guint64 job)
{
    for (const GList *l = world->pending.head; l != NULL; l = l->next) {
        const Pending *pending = l->data;

        if (pending->kind == kind && pending->job == job)
            return TRUE;
    }
    return FALSE;
}

/* A state that lasts longer than it should says why, whoever has the worker. */
static void check_times(const World *world, const UnplugJob *job)
{
    gint64 since_usec =
        (gint64)GPOINTER_TO_SIZE(g_hash_table_lookup(world->since, GSIZE_TO_POINTER(job->id)));
    gboolean has_offline = FALSE;

    if (job->state == JOB_OFFLINING) /* an answer: it was taken over, and is not looked at yet */
        CHECK(world,
              job->deadline_usec > world->now_usec ||
                  is_answer_pending(world, UNPLUG_VERIFIED, job->id),
              "job %" G_GUINT64_FORMAT " is past its deadline", job->id);
    if (job->state != JOB_ROLLING_BACK || world->now_usec < since_usec + UNPLUG_ROLLBACK_TELL_USEC)
        return;
    for (guint i = 0; i < job->blocks->len; i++) {
        const JobBlock *block = &g_array_index(job->blocks, JobBlock, i);
        gboolean comes_back = job->outcome != JOB_OFFLINING ||
                              g_array_index(job->devices, JobDevice, block->device).is_given_back;
        has_offline |= comes_back && block->phase == JOB_BLOCK_OFFLINED;
    }
    CHECK(world, !has_offline || says_what_it_waits_for(job),
          "job %" G_GUINT64_FORMAT " does not say what it waits for", job->id);
}

void check_jobs(const World *world)
{
    g_autoptr(GPtrArray) jobs = unplug_machine_list(world->machine);
    guint n_ended = 0;
    guint n_timed = 0; /* may have a timer other than the lease's */
    guint n_first = 0; /* between queued and ready, for the first time */
    gint64 lease_end_usec = 0;

    for (guint i = 0; i < jobs->len; i++) {
        const UnplugJob *job = g_ptr_array_index(jobs, i);

        CHECK(world, told_state(world, job->id) == job->state, "a change was not told");
        if (job->state == JOB_ASKING)
            CHECK(world, world->asked_until_usec > world->now_usec || world->pending.length > 0,
                  "job %" G_GUINT64_FORMAT " asks for longer than it may", job->id);
        n_ended += job_state_is_ended(job->state);
        n_timed += job->state == JOB_ASKING || job->state == JOB_OFFLINING;
        n_first += job->state == JOB_CHECKING || job->state == JOB_ASKING ||
                   (job->state == JOB_OFFLINING && job->lease_end_usec == 0);
        if (job->state == JOB_READY)
            lease_end_usec = lease_end_usec == 0 ? job->lease_end_usec
                                                 : MIN(lease_end_usec, job->lease_end_usec);
        check_times(world, job);
        if (job->attempt_running)
            CHECK(world, is_offlining(world) && world->worker.job == job->id, "no such attempt");
    }
    if (is_offlining(world)) {
        const JobBlock *block = &world->worker.blocks[world->worker.at];

        CHECK(world,
              report_of(world, block).truth == TRUTH_GONE ||
                  unplug_machine_holds(world->machine, block->index, block->inode),
              "block %u is in work, and nobody's", block->index);
    }
    CHECK(world, n_ended <= UNPLUG_ENDED_MAX, "%u ended jobs", n_ended);
    CHECK(world, n_first <= 1, "%u jobs at once", n_first);
    CHECK(world, (jobs->len == n_ended) == unplug_machine_is_idle(world->machine), "idle?");
    check_timer(world, jobs->len - n_ended, n_timed, lease_end_usec);
}

void check_blocks(const World *world)
{
    for (guint i = 0; i < N_BLOCKS; i++) {
        const Block *block = &world->blocks[i];
        const UnplugJob *owner;

        if (block->truth != TRUTH_OFFLINE || block->owner == 0)
            continue;
        owner = unplug_machine_owner(world->machine, i, block->inode);
        CHECK(world, owner != NULL && owner->id == block->owner,
              "block %u is left behind by job %" G_GUINT64_FORMAT, i, block->owner);
    }
}
