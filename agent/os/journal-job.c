/*
 * One job as JSON and back. Blocks, of which there may be thousands, are arrays of four integers.
 */
#include <errno.h>
#include <gio/gio.h>
#include <string.h>

#include "os/journal.h"
#include "os/json-read.h"
#include "system/cpusets.h"

#define TEXT_MAX 4096
#define REASONS_MAX 4096
#define BLOCKS_MAX (1024 * 1024)
#define POOLS_MAX (4 * NODES_MAX)

/* The times and figures of a job that are plain integers. */
static const struct {
    const char *name;
    gsize offset;
    gint64 max;
} figures[] = {
    {"timeout-ms", offsetof(UnplugJob, timeout_ms), UNPLUG_TIMEOUT_MAX_MS},
    {"lease-ms", offsetof(UnplugJob, lease_ms), UNPLUG_LEASE_MAX_MS},
    {"block-size-bytes", offsetof(UnplugJob, block_size_bytes), G_MAXINT64},
    {"reserve-bytes", offsetof(UnplugJob, reserve_bytes), G_MAXINT64},
    {"submitted-usec", offsetof(UnplugJob, submitted_usec), G_MAXINT64},
    {"started-usec", offsetof(UnplugJob, started_usec), G_MAXINT64},
    {"deadline-usec", offsetof(UnplugJob, deadline_usec), G_MAXINT64},
    {"lease-end-usec", offsetof(UnplugJob, lease_end_usec), G_MAXINT64},
    {"ended-usec", offsetof(UnplugJob, ended_usec), G_MAXINT64},
};

static gint64 *figure_of(const UnplugJob *job, guint i)
{
    return (gint64 *)((char *)job + figures[i].offset);
}

/* --- to JSON --- */

static void write_reasons(QgaWriter *writer, const GPtrArray *reasons)
{
    qga_writer_member_array(writer, "reasons");
    for (guint i = 0; i < reasons->len; i++) {
        const Reason *reason = reasons->pdata[i];
        qga_writer_begin_object(writer);
        qga_writer_member_string(writer, "code", reason_code_name(reason->code));
        qga_writer_member_string(writer, "desc", reason->desc);
        qga_writer_member_string(writer, "device", reason->device ? reason->device : "");
        qga_writer_member_int(writer, "block", reason->block);
        qga_writer_member_int(writer, "errno", reason->error);
        qga_writer_member_int(writer, "bytes", (gint64)reason->bytes);
        qga_writer_end_object(writer);
    }
    qga_writer_end_array(writer);
}

static void write_selectors(QgaWriter *writer, const UnplugJob *job)
{
    qga_writer_member_array(writer, "selectors");
    for (guint i = 0; i < job->n_selectors; i++) {
        const DeviceSelector *selector = &job->selectors[i];
        qga_writer_begin_object(writer);
        qga_writer_member_int(writer, "kind", selector->kind);
        qga_writer_member_int(writer, "slot", selector->slot);
        qga_writer_member_int(writer, "address", (gint64)selector->address);
        qga_writer_member_int(writer, "size", (gint64)selector->size_bytes);
        qga_writer_member_string(writer, "id", selector->id);
        qga_writer_member_int(writer, "first-inode", (gint64)selector->first_inode);
        qga_writer_end_object(writer);
    }
    qga_writer_end_array(writer);
}

static void write_devices(QgaWriter *writer, const UnplugJob *job)
{
    qga_writer_member_array(writer, "devices");
    for (guint i = 0; i < job->devices->len; i++) {
        const JobDevice *device = &g_array_index(job->devices, JobDevice, i);
        qga_writer_begin_object(writer);
        qga_writer_member_string(writer, "id", device->id);
        write_reasons(writer, device->reasons);
        if (device->is_given_back)
            qga_writer_member_bool(writer, "given-back", TRUE);
        qga_writer_end_object(writer);
    }
    qga_writer_end_array(writer);
}

static void write_integers(QgaWriter *writer, const gint64 *v, guint n)
{
    qga_writer_begin_array(writer);
    for (guint i = 0; i < n; i++)
        qga_writer_int(writer, v[i]);
    qga_writer_end_array(writer);
}

static void write_blocks(QgaWriter *writer, const UnplugJob *job)
{
    qga_writer_member_array(writer, "blocks");
    for (guint i = 0; i < job->blocks->len; i++) {
        const JobBlock *block = &g_array_index(job->blocks, JobBlock, i);
        gint64 four[] = {block->index, (gint64)block->inode, block->device, block->phase};
        write_integers(writer, four, G_N_ELEMENTS(four));
    }
    qga_writer_end_array(writer);
}

static void write_pools(QgaWriter *writer, const UnplugJob *job)
{
    qga_writer_member_array(writer, "pools");
    for (guint i = 0; i < job->pools->len; i++) {
        const JobPool *pool = &g_array_index(job->pools, JobPool, i);
        gint64 five[] = {pool->node, (gint64)pool->page_bytes, pool->before, pool->last,
                         pool->taken};
        write_integers(writer, five, G_N_ELEMENTS(five));
    }
    qga_writer_end_array(writer);
}

void journal_job_write(QgaWriter *writer, const UnplugJob *job)
{
    qga_writer_begin_object(writer);
    qga_writer_member_int(writer, "id", (gint64)job->id);
    qga_writer_member_string(writer, "state", job_state_name(job->state));
    qga_writer_member_string(writer, "outcome", job_state_name(job->outcome));
    if (job->key)
        qga_writer_member_string(writer, "key", job->key);
    qga_writer_member_int(writer, "was-reoffline", job->was_reoffline);
    if (job->allow_partial) /* as a rule an earlier version can read what this one has written */
        qga_writer_member_int(writer, "allow-partial", 1);
    if (job->reclaim)
        qga_writer_member_int(writer, "reclaim", 1);
    if (job->ask_end_usec)
        qga_writer_member_int(writer, "ask-end-usec", job->ask_end_usec);
    for (guint i = 0; i < G_N_ELEMENTS(figures); i++)
        qga_writer_member_int(writer, figures[i].name, *figure_of(job, i));
    write_selectors(writer, job);
    write_devices(writer, job);
    write_blocks(writer, job);
    write_pools(writer, job);
    write_reasons(writer, job->reasons);
    qga_writer_end_object(writer);
}

/* --- from JSON --- */

static gboolean reason_from_json(JsonNode *node, GPtrArray *reasons, GError **error)
{
    JsonObject *object = json_read_object(node, "reason", error);
    if (!object)
        return FALSE;
    const char *code_name = json_read_string(object, "code", TEXT_MAX, error);
    const char *desc = code_name ? json_read_string(object, "desc", TEXT_MAX, error) : NULL;
    const char *device =
        desc ? json_read_string(object, "device", DEVICE_SELECTOR_TEXT_MAX - 1, error) : NULL;
    gint64 block, errno_value, bytes;
    if (!device || !json_read_int(object, "block", -1, G_MAXUINT32, &block, error) ||
        !json_read_int(object, "errno", 0, 4095, &errno_value, error) ||
        !json_read_int(object, "bytes", 0, G_MAXINT64, &bytes, error))
        return FALSE;
    ReasonCode code;
    if (!reason_code_parse(code_name, &code)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "'code' is no reason's");
        return FALSE;
    }
    Reason *reason = reason_new(code, *device ? device : NULL, block, (int)errno_value, "%s", desc);
    reason->bytes = (guint64)bytes;
    g_ptr_array_add(reasons, reason);
    return TRUE;
}

static gboolean reasons_from_json(JsonObject *object, GPtrArray *reasons, GError **error)
{
    JsonArray *array = json_read_array(object, "reasons", REASONS_MAX, error);

    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        if (!reason_from_json(json_array_get_element(array, i), reasons, error))
            return FALSE;
    }
    return array != NULL;
}

static gboolean selector_from_json(JsonNode *node, DeviceSelector *selector, GError **error)
{
    gint64 kind, address, size;
    gint64 first_inode = 0; /* not there: of a daemon before 0.2.0, which bound nothing */

    JsonObject *object = json_read_object(node, "selector", error);
    if (!object || !json_read_int(object, "kind", SELECT_SLOT, SELECT_ID, &kind, error) ||
        !json_read_int(object, "slot", G_MININT64, G_MAXINT64, &selector->slot, error) ||
        !json_read_int(object, "address", 0, G_MAXINT64, &address, error) ||
        !json_read_int(object, "size", 0, G_MAXINT64, &size, error) ||
        (json_object_has_member(object, "first-inode") &&
         !json_read_int(object, "first-inode", -1, G_MAXINT64, &first_inode, error)))
        return FALSE;
    const char *id = json_read_string(object, "id", DEVICE_ID_MAX - 1, error);
    if (!id)
        return FALSE;
    selector->kind = (SelectorKind)kind;
    selector->address = (guint64)address;
    selector->size_bytes = (guint64)size;
    selector->first_inode = (guint64)first_inode;
    g_strlcpy(selector->id, id, sizeof selector->id);
    return TRUE;
}

static gboolean selectors_from_json(JsonObject *object, UnplugJob *job, GError **error)
{
    JsonArray *array = json_read_array(object, "selectors", UNPLUG_DEVICES_MAX, error);

    if (!array)
        return FALSE;
    job->n_selectors = json_array_get_length(array);
    job->selectors = g_new0(DeviceSelector, job->n_selectors);
    for (guint i = 0; i < job->n_selectors; i++) {
        if (!selector_from_json(json_array_get_element(array, i), &job->selectors[i], error))
            return FALSE;
    }
    return TRUE;
}

static gboolean devices_from_json(JsonObject *object, UnplugJob *job, GError **error)
{
    JsonArray *array = json_read_array(object, "devices", UNPLUG_DEVICES_MAX, error);

    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonObject *member = json_read_object(json_array_get_element(array, i), "device", error);
        const char *id = member ? json_read_string(member, "id", DEVICE_ID_MAX - 1, error) : NULL;
        if (!id)
            return FALSE;
        JobDevice device = {.reasons = reason_list_new(),
                            .is_given_back = json_object_has_member(member, "given-back")};
        g_strlcpy(device.id, id, sizeof device.id);
        g_array_append_val(job->devices, device);
        if (!reasons_from_json(member, device.reasons, error))
            return FALSE;
    }
    return array != NULL;
}

/* An array of N integers, and of nothing else, into V. */
static gboolean integers_from_json(JsonNode *node, gint64 *v, guint n)
{
    if (!JSON_NODE_HOLDS_ARRAY(node) || json_array_get_length(json_node_get_array(node)) != n)
        return FALSE;
    for (guint i = 0; i < n; i++) {
        JsonNode *element = json_array_get_element(json_node_get_array(node), i);
        if (!JSON_NODE_HOLDS_VALUE(element) || json_node_get_value_type(element) != G_TYPE_INT64)
            return FALSE;
        v[i] = json_node_get_int(element);
    }
    return TRUE;
}

static gboolean pool_from_json(JsonNode *node, JobPool *pool)
{
    gint64 v[5];

    if (!integers_from_json(node, v, G_N_ELEMENTS(v)) || v[0] < -1 || v[0] >= NODES_MAX ||
        v[1] <= 0)
        return FALSE;
    for (guint i = 2; i < G_N_ELEMENTS(v); i++) {
        if (v[i] < -G_MAXINT32 || v[i] > G_MAXINT32)
            return FALSE;
    }
    *pool = (JobPool){.node = (gint32)v[0],
                      .page_bytes = (guint64)v[1],
                      .before = v[2],
                      .last = MAX(v[3], 0),
                      .taken = v[4]};
    return TRUE;
}

/* A job of an earlier version has none. */
static gboolean pools_from_json(JsonObject *object, UnplugJob *job, GError **error)
{
    if (!json_object_has_member(object, "pools"))
        return TRUE;
    JsonArray *array = json_read_array(object, "pools", POOLS_MAX, error);
    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JobPool pool;
        if (!pool_from_json(json_array_get_element(array, i), &pool)) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "'pools[%u]' is no pool", i);
            return FALSE;
        }
        g_array_append_val(job->pools, pool);
    }
    return array != NULL;
}

static gboolean block_from_json(JsonNode *node, JobBlock *block)
{
    gint64 v[4];

    if (!integers_from_json(node, v, G_N_ELEMENTS(v)) || v[0] < 0 || v[0] > G_MAXUINT32 ||
        v[1] < 0 || v[2] < 0 || v[2] > G_MAXUINT16 || v[3] < 0 || v[3] > JOB_BLOCK_GONE)
        return FALSE;
    *block = (JobBlock){.index = (guint32)v[0],
                        .inode = (guint64)v[1],
                        .device = (guint16)v[2],
                        .phase = (guint8)v[3]};
    return TRUE;
}

static gboolean blocks_from_json(JsonObject *object, UnplugJob *job, GError **error)
{
    JsonArray *array = json_read_array(object, "blocks", BLOCKS_MAX, error);

    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JobBlock block;
        if (!block_from_json(json_array_get_element(array, i), &block)) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "'blocks[%u]' is no block", i);
            return FALSE;
        }
        g_array_append_val(job->blocks, block);
    }
    return array != NULL;
}

static gboolean state_from_json(JsonObject *object, const char *name, JobState *state,
                                GError **error)
{
    const char *text = json_read_string(object, name, 64, error);

    if (!text)
        return FALSE;
    if (!job_state_parse(text, state)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "'%s' is no job's state", name);
        return FALSE;
    }
    return TRUE;
}

static gboolean job_fill(UnplugJob *job, JsonObject *object, GError **error)
{
    gint64 id, reoffline, allow_partial = 0, reclaim = 0;

    if (!json_read_int(object, "id", 1, G_MAXINT64 - 1, &id, error) ||
        !state_from_json(object, "state", &job->state, error) ||
        !state_from_json(object, "outcome", &job->outcome, error) ||
        !json_read_int(object, "was-reoffline", 0, 1, &reoffline, error) ||
        (json_object_has_member(object, "allow-partial") &&
         !json_read_int(object, "allow-partial", 0, 1, &allow_partial, error)) ||
        (json_object_has_member(object, "reclaim") &&
         !json_read_int(object, "reclaim", 0, 1, &reclaim, error)))
        return FALSE;
    job->allow_partial = (gboolean)allow_partial;
    job->reclaim = (gboolean)reclaim;
    job->id = (guint64)id;
    job->was_reoffline = (gboolean)reoffline;
    if (json_object_has_member(object, "key")) {
        const char *key = json_read_string(object, "key", UNPLUG_KEY_MAX, error);
        if (!key)
            return FALSE;
        job->key = g_strdup(key);
    }
    if (json_object_has_member(object, "ask-end-usec") &&
        !json_read_int(object, "ask-end-usec", 0, G_MAXINT64, &job->ask_end_usec, error))
        return FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(figures); i++) {
        if (!json_read_int(object, figures[i].name, 0, figures[i].max, figure_of(job, i), error))
            return FALSE;
    }
    return selectors_from_json(object, job, error) && devices_from_json(object, job, error) &&
           blocks_from_json(object, job, error) && pools_from_json(object, job, error) &&
           reasons_from_json(object, job->reasons, error);
}

UnplugJob *journal_job_from_json(JsonNode *node, GError **error)
{
    JsonObject *object = json_read_object(node, "job", error);
    if (!object)
        return NULL;

    const UnplugJob empty = {.id = 0};
    g_autoptr(UnplugJob) job = unplug_job_copy(&empty); /* with empty lists */
    return job_fill(job, object, error) ? g_steal_pointer(&job) : NULL;
}
