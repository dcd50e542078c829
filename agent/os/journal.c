/*
 * The journal's file. What a job looks like in it is journal-job.c's.
 */
#include "os/journal.h"

#include <gio/gio.h>

#include "os/boot-file.h"
#include "os/json-read.h"
#include "qga-protocol/json-reader.h"

#define FORMAT_VERSION 1

JournalState *journal_state_new(void)
{
    JournalState *state = g_new0(JournalState, 1);

    state->eject_enabled = -1;
    state->next_job_id = 1;
    state->jobs = g_ptr_array_new_with_free_func((GDestroyNotify)unplug_job_free);
    return state;
}

void journal_state_free(JournalState *state)
{
    if (!state)
        return;
    g_free(state->boot_id);
    g_ptr_array_unref(state->jobs);
    g_free(state);
}

static void write_state(QgaWriter *writer, const JournalState *state)
{
    qga_writer_begin_object(writer);
    qga_writer_member_int(writer, "format", FORMAT_VERSION);
    qga_writer_member_string(writer, "boot-id", state->boot_id);
    qga_writer_member_int(writer, "next-job-id", (gint64)state->next_job_id);
    qga_writer_member_int(writer, "eject-enabled", state->eject_enabled);
    qga_writer_member_array(writer, "jobs");
    for (guint i = 0; i < state->jobs->len; i++)
        journal_job_write(writer, state->jobs->pdata[i]);
    qga_writer_end_array(writer);
    qga_writer_end_object(writer);
}

/* No tree of it is made: with thousands of reasons or blocks that held the loop for long. */
gboolean journal_save(const char *dir, const JournalState *state, GError **error)
{
    g_autofree char *path = g_build_filename(dir, JOURNAL_FILE, NULL);
    g_autoptr(QgaOutQueue) queue = qga_out_queue_new();
    QgaWriter writer;

    qga_writer_init(&writer, queue);
    write_state(&writer, state);
    g_autofree char *text = qga_out_queue_take_text(queue);
    return g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, error);
}

static JournalState *state_from_json(JsonNode *root, const char *boot_id, GError **error)
{
    g_autoptr(JournalState) state = journal_state_new();
    gint64 format = 0, next = 0;

    JsonObject *object = json_read_object(root, "the journal", error);
    if (!object || !json_read_int(object, "format", FORMAT_VERSION, FORMAT_VERSION, &format, error))
        return NULL;
    const char *boot = json_read_string(object, "boot-id", 64, error);
    if (!boot)
        return NULL;
    if (!g_str_equal(boot, boot_id))
        return NULL; /* no error: it speaks of blocks that are long gone */
    state->boot_id = g_strdup(boot);

    JsonArray *jobs = json_read_array(object, "jobs", UNPLUG_ENDED_MAX + 1024, error);
    if (!jobs || !json_read_int(object, "next-job-id", 1, G_MAXINT64 - 1, &next, error) ||
        !json_read_int(object, "eject-enabled", -1, 1, &state->eject_enabled, error))
        return NULL;
    state->next_job_id = (guint64)next;
    for (guint i = 0; i < json_array_get_length(jobs); i++) {
        UnplugJob *job = journal_job_from_json(json_array_get_element(jobs, i), error);
        if (!job) {
            g_prefix_error(error, "jobs[%u]: ", i);
            return NULL;
        }
        g_ptr_array_add(state->jobs, job);
    }
    return g_steal_pointer(&state);
}

JournalState *journal_load(const char *dir, const char *boot_id, GError **error)
{
    static const QgaJsonLimits limits = {JOURNAL_MAX_BYTES, G_MAXUINT, 16, JOURNAL_MAX_BYTES};
    g_autofree char *path = g_build_filename(dir, JOURNAL_FILE, NULL);
    g_autoptr(GError) problem = NULL;
    gsize length = 0;

    g_autofree char *text = state_file_read(path, JOURNAL_MAX_BYTES, &length, &problem);
    g_autoptr(JsonNode) root = text ? qga_json_parse(text, length, &limits, NULL, &problem) : NULL;
    JournalState *state = root ? state_from_json(root, boot_id, &problem) : NULL;
    if (problem)
        g_propagate_prefixed_error(error, g_steal_pointer(&problem), "%s: ", path);
    return state;
}
