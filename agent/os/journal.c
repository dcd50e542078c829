/*
 * The journal's file. What a job looks like in it is journal-job.c's.
 */
#include "os/journal.h"

#include <errno.h>
#include <gio/gio.h>
#include <sys/stat.h>

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

gboolean journal_save(const char *dir, const JournalState *state, GError **error)
{
    g_autofree char *path = g_build_filename(dir, JOURNAL_FILE, NULL);
    g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
    JsonObject *object = json_object_new();
    JsonArray *jobs = json_array_new();

    json_node_take_object(root, object);
    json_object_set_int_member(object, "format", FORMAT_VERSION);
    json_object_set_string_member(object, "boot-id", state->boot_id);
    json_object_set_int_member(object, "next-job-id", (gint64)state->next_job_id);
    json_object_set_int_member(object, "eject-enabled", state->eject_enabled);
    for (guint i = 0; i < state->jobs->len; i++)
        json_array_add_element(jobs, journal_job_to_json(state->jobs->pdata[i]));
    json_object_set_array_member(object, "jobs", jobs);

    g_autofree char *text = json_to_string(root, FALSE);
    return g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, error);
}

/* The file's text. NULL without ERROR if there is none. */
static char *read_file(const char *path, gsize *length, GError **error)
{
    struct stat st;
    g_autofree char *text = NULL;

    if (lstat(path, &st) < 0) {
        if (errno != ENOENT)
            g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s", g_strerror(errno));
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) { /* reading a pipe would wait for a writer */
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "it is no file");
        return NULL;
    }
    if (st.st_size > JOURNAL_MAX_BYTES) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "it has more than %d bytes",
                    JOURNAL_MAX_BYTES);
        return NULL;
    }
    return g_file_get_contents(path, &text, length, error) ? g_steal_pointer(&text) : NULL;
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

    g_autofree char *text = read_file(path, &length, &problem);
    g_autoptr(JsonNode) root = text ? qga_json_parse(text, length, &limits, NULL, &problem) : NULL;
    JournalState *state = root ? state_from_json(root, boot_id, &problem) : NULL;
    if (problem)
        g_propagate_prefixed_error(error, g_steal_pointer(&problem), "%s: ", path);
    return state;
}
