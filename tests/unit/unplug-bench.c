/*
 * The bench of the unplug state machine's tests.
 */
#include "unplug-bench.h"

Bench *bench_new(void)
{
    Bench *bench = g_new0(Bench, 1);

    bench->machine = unplug_machine_new(1);
    bench->world = (UnplugWorld){.now_usec = START_USEC, .available_bytes = PLENTY_BYTES};
    bench->done = g_string_new(NULL);
    return bench;
}

void bench_free(Bench *bench)
{
    unplug_machine_free(bench->machine);
    g_string_free(bench->done, TRUE);
    g_free(bench);
}

static void note_action(Bench *bench, const UnplugAction *action)
{
    static const char *const names[] = {"check", "journal",  "offline", "yield",
                                        "kill",  "rollback", "pools",   "verify",
                                        "timer", "",         "stopped"};
    GString *done = bench->done;

    bench->n_journals += action->kind == ACTION_JOURNAL;
    if (done->len > 0)
        g_string_append(done, "; ");
    g_string_append(done, names[action->kind]);
    if (action->kind == ACTION_CHANGED)
        g_string_append_printf(done, "%" G_GUINT64_FORMAT " %s", action->job,
                               job_state_name(action->state));
    else if (action->kind == ACTION_TIMER && action->at_usec == 0)
        g_string_append(done, " off");
    else if (action->kind == ACTION_TIMER)
        g_string_append_printf(done, " %" G_GINT64_FORMAT,
                               (action->at_usec - bench->world.now_usec) / USEC_PER_MSEC);
    else if (action->job != 0)
        g_string_append_printf(done, " %" G_GUINT64_FORMAT, action->job);
    for (guint i = 0; i < action->n_blocks; i++)
        g_string_append_printf(done, "%s%u", i > 0 ? "," : ":", action->blocks[i].index);
    for (guint i = 0; action->pools && i < action->pools->len; i++)
        g_string_append_printf(done, "=%" G_GUINT64_FORMAT,
                               g_array_index(action->pools, NodePool, i).count);
    if (action->kind == ACTION_ROLLBACK)
        g_assert_true(action->barrier);
    for (guint i = 0; action->kind == ACTION_OFFLINE && i < action->n_blocks; i++)
        bench->tried[i] = action->blocks[i];
    if (action->kind == ACTION_OFFLINE)
        bench->n_tried = action->n_blocks;
}

void note_actions(Bench *bench, const GArray *actions)
{
    for (guint i = 0; i < actions->len; i++)
        note_action(bench, &g_array_index(actions, UnplugAction, i));
}

void feed(Bench *bench, const UnplugEvent *event)
{
    g_autoptr(GArray) actions = unplug_actions_new();

    bench->result = unplug_machine_step(bench->machine, &bench->world, event, actions, &bench->id);
    note_actions(bench, actions);
}

void forget(Bench *bench)
{
    g_string_truncate(bench->done, 0);
}

void wait_ms(Bench *bench, gint64 ms)
{
    bench->world.now_usec += ms * USEC_PER_MSEC;
}

void submit_full(Bench *bench, guint slot, guint64 timeout_ms, guint64 lease_ms, const char *key)
{
    DeviceSelector selector = {.kind = SELECT_SLOT, .slot = slot};
    UnplugEvent event = {.kind = UNPLUG_SUBMIT};

    event.submit =
        (UnplugSubmit){&selector, 1, timeout_ms, lease_ms, key, bench->allow_partial, FALSE};
    feed(bench, &event);
}

void submit(Bench *bench, guint slot)
{
    submit_full(bench, slot, 30000, 60000, NULL);
}

void checked(Bench *bench, guint64 job, guint first, const char *truths, GPtrArray *reasons)
{
    static const char names[1][DEVICE_ID_MAX] = {"slot7"};
    UnplugEvent event = {.kind = UNPLUG_CHECKED, .job = job};
    JobBlock blocks[64];

    event.checked = (UnplugChecked){reasons,     names,         1,     blocks, strlen(truths),
                                    BLOCK_BYTES, RESERVE_BYTES, 20000, NULL,   5000};
    for (guint i = 0; truths[i] != '\0'; i++)
        blocks[i] = (JobBlock){first + i, 1000 + first + i, 0,
                               truths[i] == 'o' ? JOB_BLOCK_WAS_OFFLINE : JOB_BLOCK_ONLINE};
    feed(bench, &event);
}

void journaled(Bench *bench, int error)
{
    UnplugEvent event = {.kind = UNPLUG_JOURNALED, .journaled.error = error};

    bench->n_journals -= bench->n_journals > 0;
    feed(bench, &event);
}

void journal_all(Bench *bench)
{
    while (bench->n_journals > 0)
        journaled(bench, 0);
}

static BlockTruth truth_of_letter(char letter)
{
    return strchr("gomkc", letter) - "gomkc";
}

/* The rest of the worker's list: not begun, and still online. */
static guint add_not_begun(Bench *bench, BlockReport *reports, guint n_reports)
{
    for (guint i = 0; i < bench->n_tried; i++) {
        guint j = 0;
        while (j < n_reports && reports[j].index != bench->tried[i].index)
            j++;
        if (j == n_reports)
            reports[n_reports++] = (BlockReport){bench->tried[i].index, bench->tried[i].inode,
                                                 TRUTH_ONLINE_MOVABLE, ECANCELED};
    }
    bench->n_tried = 0;
    return n_reports;
}

/* TRUTHS of the blocks FIRST, FIRST + 1, …; '-' leaves one out. */
static void report(Bench *bench, UnplugEvent *event, guint first, const char *truths, int error)
{
    BlockReport reports[64];
    guint n_reports = 0;

    for (guint i = 0; truths[i] != '\0'; i++) {
        if (truths[i] != '-')
            reports[n_reports++] =
                (BlockReport){first + i, 1000 + first + i, truth_of_letter(truths[i]), error};
    }
    if (event->kind == UNPLUG_WORKER_DONE)
        n_reports = add_not_begun(bench, reports, n_reports);
    event->blocks.reports = reports;
    event->blocks.n_reports = n_reports;
    feed(bench, event);
}

void worker_done(Bench *bench, guint64 job, guint first, const char *truths, int error)
{
    UnplugEvent event = {.kind = UNPLUG_WORKER_DONE, .job = job};

    report(bench, &event, first, truths, error);
}

void worker_ended(Bench *bench, guint64 job, guint first, const char *truths, int error,
                  AttemptEnd end)
{
    UnplugEvent event = {.kind = UNPLUG_WORKER_DONE, .job = job};

    event.blocks.attempt = (AttemptOutcome){
        .end = end, .error = end == ATTEMPT_NO_WORKER ? error : 0, .available_bytes = MIB};
    report(bench, &event, first, truths, error);
}

void verified(Bench *bench, guint64 job, guint first, const char *truths)
{
    UnplugEvent event = {.kind = UNPLUG_VERIFIED, .job = job};

    report(bench, &event, first, truths, 0);
}

void look(Bench *bench, guint first, const char *truths)
{
    UnplugEvent event = {.kind = UNPLUG_BLOCKS};

    report(bench, &event, first, truths, 0);
}

void look_inode(Bench *bench, guint index, guint64 inode, char truth)
{
    BlockReport one = {index, inode, truth_of_letter(truth), 0};
    UnplugEvent event = {.kind = UNPLUG_BLOCKS};

    event.blocks.reports = &one;
    event.blocks.n_reports = 1;
    feed(bench, &event);
}

void cancel(Bench *bench, guint64 job)
{
    UnplugEvent event = {.kind = UNPLUG_CANCEL, .job = job};

    feed(bench, &event);
}

void locks(Bench *bench, guint64 oldest_delay, guint64 last_lock, gboolean is_blocked)
{
    UnplugEvent event = {.kind = UNPLUG_LOCKS};

    bench->world.oldest_delay = oldest_delay;
    bench->world.last_lock = last_lock;
    bench->world.is_blocked = is_blocked;
    feed(bench, &event);
}

void tick(Bench *bench)
{
    UnplugEvent event = {.kind = UNPLUG_TICK};

    feed(bench, &event);
}

void stop(Bench *bench)
{
    UnplugEvent event = {.kind = UNPLUG_STOP};

    feed(bench, &event);
}

void bring_to_offlining(Bench *bench, guint slot, guint first, const char *truths)
{
    submit(bench, slot);
    checked(bench, bench->id, first, truths, NULL);
    journal_all(bench);
    forget(bench);
}

void bring_to_ready(Bench *bench, guint slot, guint first, guint n)
{
    g_autofree char *online = g_strnfill(n, 'm');
    g_autofree char *offline = g_strnfill(n, 'o');
    guint64 job;

    bring_to_offlining(bench, slot, first, online);
    job = bench->id;
    for (guint i = 0; i < n; i++)
        worker_done(bench, job, first + i, "o", 0);
    verified(bench, job, first, offline);
    journal_all(bench);
    forget(bench);
}

const UnplugJob *job_of(const Bench *bench, guint64 job)
{
    return unplug_machine_find(bench->machine, job);
}

char *codes_of(const Bench *bench, guint64 id)
{
    const UnplugJob *job = job_of(bench, id);
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < job->reasons->len; i++) {
        const Reason *reason = g_ptr_array_index(job->reasons, i);

        g_string_append_printf(text, "%s%s", i > 0 ? " " : "", reason_code_name(reason->code));
        if (reason->block >= 0)
            g_string_append_printf(text, ":%" G_GINT64_FORMAT ":%d", reason->block, reason->error);
        g_assert_cmpuint(strlen(reason->desc), >, 0);
        g_assert_false(g_str_has_suffix(reason->desc, "."));
    }
    return g_string_free(text, FALSE);
}
