/*
 * The journal's file: every field comes back, and nothing that a stranger may have written is
 * believed or does harm.
 */
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/journal.h"
#include "system/units.h"
#include "temp-tree.h"

static UnplugJob *make_job(guint64 id)
{
    DeviceSelector selectors[] = {{.kind = SELECT_SLOT, .slot = 7, .first_inode = SELECTED_NOTHING},
                                  {.kind = SELECT_RANGE, .address = 1ULL << 40, .size_bytes = 4096},
                                  {.kind = SELECT_ID, .id = "acpi1f"}};
    UnplugJob given = {.id = id,
                       .state = JOB_ROLLING_BACK,
                       .outcome = JOB_EXPIRED,
                       .key = (char *)"a \"key\"\n\303\251",
                       .selectors = selectors,
                       .n_selectors = G_N_ELEMENTS(selectors),
                       .timeout_ms = 11,
                       .lease_ms = 12,
                       .block_size_bytes = 1ULL << 31,
                       .reserve_bytes = 13,
                       .submitted_usec = 14,
                       .started_usec = 15,
                       .deadline_usec = 16,
                       .lease_end_usec = 17,
                       .ask_end_usec = 19,
                       .ended_usec = 18,
                       .was_reoffline = TRUE,
                       .allow_partial = TRUE,
                       .reclaim = TRUE};
    UnplugJob *job = unplug_job_copy(&given);

    for (guint d = 0; d < 2; d++) {
        JobDevice device = {.reasons = reason_list_new(), .is_given_back = d == 1};
        g_snprintf(device.id, sizeof device.id, "slot%u", d);
        g_ptr_array_add(device.reasons,
                        reason_new(REASON_BUSY_PAGES, device.id, 41, 16, "still busy"));
        g_array_append_val(job->devices, device);
    }
    for (guint phase = JOB_BLOCK_ONLINE; phase <= JOB_BLOCK_GONE; phase++) {
        JobBlock block = {.index = G_MAXUINT32 - phase,
                          .inode = G_MAXINT64 - phase,
                          .device = (guint16)(phase % 2),
                          .phase = (guint8)phase};
        g_array_append_val(job->blocks, block);
    }
    JobPool pools[] = {{-1, 2 * MIB, 300, 7, 290, 0}, {1, GIB, 0, 0, -3, 0}};
    g_array_append_vals(job->pools, pools, G_N_ELEMENTS(pools));
    for (guint code = 0; code < REASON_COUNT; code++) {
        Reason *reason = reason_new(code, NULL, -1, 0, "reason %u", code);
        reason->bytes = code * 1000;
        g_ptr_array_add(job->reasons, reason);
    }
    return job;
}

static void assert_same_reasons(const GPtrArray *a, const GPtrArray *b)
{
    g_assert_cmpuint(a->len, ==, b->len);
    for (guint i = 0; i < a->len; i++) {
        const Reason *x = a->pdata[i], *y = b->pdata[i];
        g_assert_cmpint(x->code, ==, y->code);
        g_assert_cmpstr(x->desc, ==, y->desc);
        g_assert_cmpstr(x->device, ==, y->device);
        g_assert_cmpint(x->block, ==, y->block);
        g_assert_cmpint(x->error, ==, y->error);
        g_assert_cmpuint(x->bytes, ==, y->bytes);
    }
}

static void assert_same(const UnplugJob *a, const UnplugJob *b)
{
    g_assert_cmpuint(a->id, ==, b->id);
    g_assert_cmpint(a->state, ==, b->state);
    g_assert_cmpint(a->outcome, ==, b->outcome);
    g_assert_cmpstr(a->key, ==, b->key);
    g_assert_cmpuint(a->timeout_ms, ==, b->timeout_ms);
    g_assert_cmpuint(a->lease_ms, ==, b->lease_ms);
    g_assert_cmpuint(a->block_size_bytes, ==, b->block_size_bytes);
    g_assert_cmpuint(a->reserve_bytes, ==, b->reserve_bytes);
    g_assert_cmpint(a->submitted_usec, ==, b->submitted_usec);
    g_assert_cmpint(a->started_usec, ==, b->started_usec);
    g_assert_cmpint(a->deadline_usec, ==, b->deadline_usec);
    g_assert_cmpint(a->lease_end_usec, ==, b->lease_end_usec);
    g_assert_cmpint(a->ask_end_usec, ==, b->ask_end_usec);
    g_assert_cmpint(a->ended_usec, ==, b->ended_usec);
    g_assert_cmpint(a->was_reoffline, ==, b->was_reoffline);
    g_assert_cmpint(a->allow_partial, ==, b->allow_partial);
    g_assert_cmpint(a->reclaim, ==, b->reclaim);
    g_assert_cmpuint(a->n_selectors, ==, b->n_selectors);
    for (guint i = 0; i < a->n_selectors; i++) {
        const DeviceSelector *x = &a->selectors[i], *y = &b->selectors[i];
        g_assert_cmpint(x->kind, ==, y->kind);
        g_assert_cmpint(x->slot, ==, y->slot);
        g_assert_cmpuint(x->address, ==, y->address);
        g_assert_cmpuint(x->size_bytes, ==, y->size_bytes);
        g_assert_cmpstr(x->id, ==, y->id);
        g_assert_cmpuint(x->first_inode, ==, y->first_inode);
    }
    g_assert_cmpuint(a->devices->len, ==, b->devices->len);
    for (guint i = 0; i < a->devices->len; i++) {
        g_assert_cmpstr(g_array_index(a->devices, JobDevice, i).id, ==,
                        g_array_index(b->devices, JobDevice, i).id);
        g_assert_cmpint(g_array_index(a->devices, JobDevice, i).is_given_back, ==,
                        g_array_index(b->devices, JobDevice, i).is_given_back);
        assert_same_reasons(g_array_index(a->devices, JobDevice, i).reasons,
                            g_array_index(b->devices, JobDevice, i).reasons);
    }
    g_assert_cmpuint(a->blocks->len, ==, b->blocks->len);
    for (guint i = 0; i < a->blocks->len; i++) {
        const JobBlock *x = &g_array_index(a->blocks, JobBlock, i);
        const JobBlock *y = &g_array_index(b->blocks, JobBlock, i);
        g_assert_cmpuint(x->index, ==, y->index);
        g_assert_cmpuint(x->inode, ==, y->inode);
        g_assert_cmpuint(x->device, ==, y->device);
        g_assert_cmpuint(x->phase, ==, y->phase);
    }
    g_assert_cmpuint(a->pools->len, ==, b->pools->len);
    for (guint i = 0; i < a->pools->len; i++) {
        const JobPool *x = &g_array_index(a->pools, JobPool, i);
        const JobPool *y = &g_array_index(b->pools, JobPool, i);
        g_assert_cmpint(x->node, ==, y->node);
        g_assert_cmpuint(x->page_bytes, ==, y->page_bytes);
        g_assert_cmpint(x->before, ==, y->before);
        g_assert_cmpint(x->last, ==, y->last);
        g_assert_cmpint(x->taken, ==, y->taken);
    }
    assert_same_reasons(a->reasons, b->reasons);
}

static JournalState *make_state(void)
{
    JournalState *state = journal_state_new();

    state->boot_id = g_strdup("boot");
    state->next_job_id = 9;
    state->eject_enabled = 1;
    g_ptr_array_add(state->jobs, make_job(5));
    g_ptr_array_add(state->jobs, make_job(6));
    UnplugJob *last = state->jobs->pdata[1];
    g_clear_pointer(&last->key, g_free);
    return state;
}

static void test_round_trip(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(JournalState) state = make_state();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(tree->root, JOURNAL_FILE, NULL);
    struct stat st;

    g_assert_true(journal_save(tree->root, state, &error));
    g_assert_no_error(error);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpuint(st.st_mode & 07777, ==, 0600);

    g_autoptr(JournalState) read = journal_load(tree->root, "boot", &error);
    g_assert_no_error(error);
    g_assert_nonnull(read);
    g_assert_cmpuint(read->next_job_id, ==, 9);
    g_assert_cmpint(read->eject_enabled, ==, 1);
    g_assert_cmpuint(read->jobs->len, ==, 2);
    for (guint i = 0; i < 2; i++)
        assert_same(state->jobs->pdata[i], read->jobs->pdata[i]);
}

/* A daemon before 0.2.0 wrote no inode beside a selector: the rest counts all the same. */
static void test_of_an_earlier_version(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(JournalState) state = make_state();
    g_autoptr(GRegex) inode = g_regex_new(", \"first-inode\": -?[0-9]+", 0, 0, NULL);
    g_autoptr(GError) error = NULL;

    g_assert_true(journal_save(tree->root, state, NULL));
    g_autofree char *text = temp_tree_read(tree, JOURNAL_FILE);
    g_autofree char *old = g_regex_replace_literal(inode, text, -1, 0, "", 0, NULL);
    g_assert_cmpstr(old, !=, text);
    temp_tree_write(tree, JOURNAL_FILE, old);
    g_autoptr(JournalState) read = journal_load(tree->root, "boot", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(read->jobs->len, ==, 2);
    g_assert_cmpuint(((const UnplugJob *)read->jobs->pdata[0])->selectors[0].first_inode, ==, 0);
}

static void test_nothing_there(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(JournalState) state = make_state();
    g_autoptr(GError) error = NULL;

    g_assert_null(journal_load(tree->root, "boot", &error));
    g_assert_no_error(error);
    g_assert_true(journal_save(tree->root, state, &error));
    g_assert_null(journal_load(tree->root, "another boot", &error));
    g_assert_no_error(error);
}

/* Any end of the file but the right one: an error that names it. */
static void test_truncated_anywhere(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(JournalState) state = make_state();

    g_assert_true(journal_save(tree->root, state, NULL));
    g_autofree char *text = temp_tree_read(tree, JOURNAL_FILE);
    for (gsize length = strlen(text); length-- > 0;) {
        g_autoptr(GError) error = NULL;

        text[length] = '\0';
        temp_tree_write(tree, JOURNAL_FILE, text);
        g_assert_null(journal_load(tree->root, "boot", &error));
        g_assert_nonnull(error);
        g_assert_nonnull(strstr(error->message, JOURNAL_FILE));
    }
}

/* One byte changed anywhere: it is refused, or read as something within every limit; never a crash.
 */
static void test_damaged_anywhere(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(JournalState) state = make_state();
    static const char damage[] = "\"{}[]:,0-9eE\\x\377\001";

    g_assert_true(journal_save(tree->root, state, NULL));
    g_autofree char *text = temp_tree_read(tree, JOURNAL_FILE);
    gsize n = strlen(text);
    for (gsize at = 0; at < n; at++) {
        char was = text[at];
        text[at] = damage[at % (sizeof damage - 1)];
        temp_tree_write(tree, JOURNAL_FILE, text);
        g_autoptr(GError) error = NULL;
        g_autoptr(JournalState) read = journal_load(tree->root, "boot", &error);
        g_assert_true(read == NULL || error == NULL);
        for (guint i = 0; read && i < read->jobs->len; i++) {
            const UnplugJob *job = read->jobs->pdata[i];
            g_autoptr(UnplugMachine) machine = unplug_machine_new(1);
            unplug_machine_restore(machine, job); /* its own tests say what comes of it */
            g_assert_cmpuint(job->timeout_ms, <=, UNPLUG_TIMEOUT_MAX_MS);
            g_assert_cmpint(job->state, <=, JOB_EXPIRED);
        }
        text[at] = was;
    }
}

static void assert_refused(TempTree *tree, const char *text, const char *problem)
{
    g_autoptr(GError) error = NULL;

    temp_tree_write(tree, JOURNAL_FILE, text);
    g_assert_null(journal_load(tree->root, "boot", &error));
    g_assert_nonnull(error);
    if (problem && !strstr(error->message, problem))
        g_error("'%s' does not say '%s'", error->message, problem);
}

/* WORD in a good journal's text, once, by another. (transfer full) */
static char *replace(const char *text, const char *word, const char *by)
{
    const char *found = strstr(text, word);

    g_assert_nonnull(found);
    return g_strdup_printf("%.*s%s%s", (int)(found - text), text, by, found + strlen(word));
}

static void test_hostile(void)
{
    static const struct {
        const char *word, *by, *problem;
    } cases[] = {
        {"\"format\": 1", "\"format\": 2", "format"},
        {"\"format\": 1", "\"format\": \"1\"", "format"},
        {"\"next-job-id\": 9", "\"next-job-id\": -9", "next-job-id"},
        {"\"next-job-id\": 9", "\"next-job-id\": 9.5", "next-job-id"},
        {"\"eject-enabled\": 1", "\"eject-enabled\": 2", "eject-enabled"},
        {"\"id\": 5", "\"id\": 0", "id"},
        {"\"state\": \"rolling-back\"", "\"state\": \"rolling\"", "state"},
        {"\"outcome\": \"expired\"", "\"outcome\": 7", "outcome"},
        {"\"timeout-ms\": 11", "\"timeout-ms\": 600001", "timeout-ms"},
        {"\"lease-ms\": 12", "\"lease-ms\": -1", "lease-ms"},
        {"\"was-reoffline\": 1", "\"was-reoffline\": 2", "was-reoffline"},
        {"\"kind\": 0", "\"kind\": 3", "kind"},
        {"\"id\": \"acpi1f\"", "\"id\": \"0123456789012345678901234567890\"", "id"},
        {"\"code\": \"busy-pages\"", "\"code\": \"bad\"", "code"},
        {"\"errno\": 16", "\"errno\": 99999", "errno"},
        {"[4294967295,", "[4294967296,", "blocks[0]"},
        {"[4294967295,", "[-1,", "blocks[0]"},
        {"[4294967295,", "[\"a\",", "blocks[0]"},
        {"[4294967295,", "[", "blocks[0]"},
        {"\"blocks\": [[", "\"blocks\": {\"a\": [[", NULL},
        {"\"reasons\": [", "\"reasons\": [null,", "reason"},
    };
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(JournalState) state = make_state();

    g_assert_true(journal_save(tree->root, state, NULL));
    g_autofree char *text = temp_tree_read(tree, JOURNAL_FILE);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *changed = replace(text, cases[i].word, cases[i].by);
        assert_refused(tree, changed, cases[i].problem);
    }
    assert_refused(tree, "null", NULL);
    assert_refused(tree, "[]", NULL);
    assert_refused(tree, "{}", "format");
}

/* Deeper than the stack, and longer than memory. */
static void test_too_much(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autofree char *deep = g_strnfill(1000000, '[');
    g_autofree char *path = g_build_filename(tree->root, JOURNAL_FILE, NULL);

    assert_refused(tree, deep, NULL);
    g_assert_cmpint(truncate(path, (off_t)JOURNAL_MAX_BYTES * 1024), ==, 0); /* sparse */
    g_autoptr(GError) error = NULL;
    g_assert_null(journal_load(tree->root, "boot", &error));
    g_assert_nonnull(strstr(error->message, "more than"));
}

/* A link, a directory or a pipe in its place is no journal, and is not waited for. */
static void test_no_file(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autofree char *path = g_build_filename(tree->root, JOURNAL_FILE, NULL);
    g_autoptr(GError) directory = NULL;
    g_autoptr(GError) fifo = NULL;

    temp_tree_mkdir(tree, JOURNAL_FILE);
    g_assert_null(journal_load(tree->root, "boot", &directory));
    g_assert_nonnull(directory);
    temp_tree_remove(tree, JOURNAL_FILE);
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    g_assert_null(journal_load(tree->root, "boot", &fifo));
    g_assert_nonnull(fifo);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/journal/round-trip", test_round_trip);
    g_test_add_func("/journal/of-an-earlier-version", test_of_an_earlier_version);
    g_test_add_func("/journal/nothing-there", test_nothing_there);
    g_test_add_func("/journal/truncated-anywhere", test_truncated_anywhere);
    g_test_add_func("/journal/damaged-anywhere", test_damaged_anywhere);
    g_test_add_func("/journal/hostile", test_hostile);
    g_test_add_func("/journal/too-much", test_too_much);
    g_test_add_func("/journal/no-file", test_no_file);
    return g_test_run();
}
