/*
 * Taking DIMMs away: the guest prepares them, the hypervisor deletes them. Which they are was
 * decided before the guest was asked for anything.
 */
#include <string.h>

#include "ctl/ask.h"
#include "ctl/follow.h"
#include "ctl/host.h"
#include "ctl/json.h"
#include "ctl/text.h"

#define LOOK_MS 1000
#define GIVE_BACK_USEC (15 * G_GINT64_CONSTANT(1000000))
/* A daemon's default (docs/protocol.md, memory-prepare-unplug). */
#define TIMEOUT_MS 30000
#define TIMEOUT_MS_PER_GIB 5000
#define TIMEOUT_MS_MAX 600000
#define GIB (G_GUINT64_CONSTANT(1) << 30)

typedef struct {
    Host *host;
    GPtrArray *dimms;   /* of HvDevice */
    GPtrArray *steps;   /* of JsonObject, one a DIMM */
    GHashTable *failed; /* the caller's */
    guint64 job;        /* 0: none */
    gboolean was_left;
} Taking;

/* ---- the hypervisor's part ---- */

static gboolean is_there(Host *host, const char *id, gboolean *there, GError **error)
{
    g_autoptr(HvMemory) memory = hypervisor_memory(host->hv, error);

    *there = memory && hv_memory_by_id(memory, id) != NULL;
    return memory != NULL;
}

/* What happened to the guest while DIMM was to go. */
static void tell_why(Host *host, JsonObject *step, const char *id, HvEventKind last)
{
    g_autofree char *stopped = hypervisor_stopped_by(host->hv);

    if (last == HV_EVENT_REFUSED)
        host_reason(host, step, "guest-refuses", "the guest's kernel refuses to let go of %s", id);
    else if (last == HV_EVENT_RESET)
        host_reason(host, step, "booted-again", "the guest was reset before it had let go of %s",
                    id);
    else if (host->is_interrupted)
        host_reason(host, step, "interrupted",
                    "interrupted while %s was going; the guest may still let go of it", id);
    else
        host_reason(host, step, "no-answer",
                    "the guest has not let go of %s within %d s, and may still do so%s%s", id,
                    HOST_STANDSTILL_MS / 1000, stopped ? "; it is " : "", stopped ? stopped : "");
}

/* Waits for the end of DIMM. FALSE without an error: it is still there, and STEP says why. */
static gboolean wait_gone(Host *host, JsonObject *step, const char *id, GError **error)
{
    gint64 end_usec = g_get_monotonic_time() + (gint64)HOST_STANDSTILL_MS * 1000;
    HvEventKind last = HV_EVENT_NONE;
    gboolean there = TRUE;

    while (g_get_monotonic_time() < end_usec && last == HV_EVENT_NONE && !host->is_interrupted) {
        HvEvent event;
        Wake wake = hypervisor_wait(host->hv, host->interrupt, LOOK_MS, &event);
        gboolean is_ours = wake == WAKE_NEWS && g_strcmp0(event.device, id) == 0;
        gboolean is_reset = wake == WAKE_NEWS && event.kind == HV_EVENT_RESET;
        g_free(event.device);
        if (wake == WAKE_LOST)
            return host_lost(host, error);
        if (is_ours && event.kind == HV_EVENT_DELETED)
            return TRUE;
        host->is_interrupted = wake == WAKE_INTERRUPTED;
        last = (is_ours && event.kind == HV_EVENT_REFUSED) || is_reset ? event.kind : last;
        /* An event may be lost in a flood that the guest made; what there is counts. */
        if (wake == WAKE_NEWS && last == HV_EVENT_NONE)
            continue;
        if (!is_there(host, id, &there, error))
            return FALSE;
        if (!there) {
            hypervisor_forget(host->hv, id);
            return TRUE;
        }
    }
    tell_why(host, step, id, last);
    return FALSE;
}

/* What came before, of an earlier try. */
static void drain(Host *host)
{
    HvEvent event;

    for (guint i = 0; i < 1000 && hypervisor_wait(host->hv, -1, 0, &event) == WAKE_NEWS; i++)
        g_free(event.device);
}

gboolean host_delete(Host *host, JsonObject *step, const char *id, GError **error)
{
    g_autoptr(GError) refusal = NULL;

    drain(host);
    if (hypervisor_unplug(host->hv, id, &refusal))
        return wait_gone(host, step, id, error);
    if (refusal->code == CTL_NO_CONNECTION)
        g_propagate_error(error, g_steal_pointer(&refusal));
    else
        host_reason(host, step, "hypervisor-refuses", "%s", refusal->message);
    return FALSE;
}

static gboolean delete_one(Taking *taking, guint i, GError **error)
{
    const HvDevice *dimm = taking->dimms->pdata[i];
    JsonObject *step = taking->steps->pdata[i];
    g_autofree char *size = text_exact(dimm->size_bytes);
    g_autoptr(GError) wrong = NULL;

    if (host_delete(taking->host, step, dimm->id, &wrong)) {
        host_step_end(taking->host, step, "done", "gone, %s", size);
        return TRUE;
    }
    g_hash_table_add(taking->failed, g_strdup(dimm->id));
    if (wrong)
        g_propagate_error(error, g_steal_pointer(&wrong));
    else
        host_step_end(taking->host, step, "failed", "stays, %s", size);
    return FALSE;
}

/* ---- the guest's part ---- */

static gint64 timeout_ms(Taking *taking)
{
    guint64 bytes = 0;

    if (taking->host->ctl->line->timeout_ms != NOT_GIVEN)
        return taking->host->ctl->line->timeout_ms;
    for (guint i = 0; i < taking->dimms->len; i++)
        bytes += ((const HvDevice *)taking->dimms->pdata[i])->size_bytes;
    guint64 gib = MIN((bytes + GIB - 1) / GIB, TIMEOUT_MS_MAX);
    return (gint64)MIN(TIMEOUT_MS + gib * TIMEOUT_MS_PER_GIB, TIMEOUT_MS_MAX);
}

static JsonNode *start_prepare(Taking *taking, GError **error)
{
    JsonObject *arguments = json_object_new();
    JsonArray *devices = json_array_new();

    for (guint i = 0; i < taking->dimms->len; i++)
        json_array_add_object_element(devices, ask_selector(taking->dimms->pdata[i]));
    json_object_set_array_member(arguments, "devices", devices);
    json_object_set_int_member(arguments, "timeout-ms", timeout_ms(taking));
    return client_call(taking->host->ctl->client, "memory-prepare-unplug", arguments, error);
}

/* The reasons of JOB, each to the step of the device that it names. */
static void take_reasons(Taking *taking, JsonArray *reasons)
{
    Host *host = taking->host;
    g_autoptr(JsonNode) answer = ask(host->ctl, "memory-get-devices", NULL);
    JsonArray *devices = ctl_json_as_array(answer);

    for (guint i = 0; i < ctl_json_length(reasons); i++) {
        JsonObject *reason = ctl_json_object_at(reasons, i);
        const char *name = ctl_json_string(reason, "device");
        JsonObject *step = NULL;
        for (guint j = 0; j < taking->dimms->len && *name; j++) {
            const HvDevice *dimm = taking->dimms->pdata[j];
            JsonObject *record = host_record(devices, dimm);
            if (!record || strcmp(ctl_json_string(record, "id"), name) != 0)
                continue;
            step = taking->steps->pdata[j];
            g_hash_table_add(taking->failed, g_strdup(dimm->id));
        }
        if (reason)
            json_array_add_object_element(step ? ctl_json_array(step, "reasons") : host->reasons,
                                          json_object_ref(reason));
    }
}

/* The steps of a job that is not ready. */
static void end_steps(Taking *taking)
{
    for (guint i = 0; i < taking->dimms->len; i++) {
        const HvDevice *dimm = taking->dimms->pdata[i];
        g_autofree char *size = text_exact(dimm->size_bytes);
        if (taking->dimms->len == 1 || g_hash_table_contains(taking->failed, dimm->id))
            host_step_end(taking->host, taking->steps->pdata[i], "failed", "stays, %s", size);
    }
    taking->host->has_failed = TRUE;
}

/* Gets the DIMMs ready. FALSE without an error: they are not, and the steps say why. */
static gboolean prepare(Taking *taking, GError **error)
{
    Host *host = taking->host;
    Follow how = {.aim = FOLLOW_TO_READY,
                  .interrupt = host->interrupt,
                  .cancels = TRUE,
                  .deadline_usec = follow_deadline_usec(timeout_ms(taking)),
                  .boot_id = host->boot_id};
    g_autoptr(GError) wrong = NULL;
    g_autoptr(JsonNode) answer = start_prepare(taking, &wrong);

    if (answer) {
        guint64 job = ctl_json_uint(ctl_json_as_object(answer), "job");
        g_autoptr(JsonNode) end =
            follow_job(host->ctl, job, &how, &taking->was_left, &host->is_interrupted, &wrong);
        JsonObject *record = ctl_json_as_object(end);
        taking->job = job;
        if (end && strcmp(ctl_json_string(record, "state"), "ready") == 0 && !host->is_interrupted)
            return TRUE;
        if (end && job_has_ended(record))
            taking->job = 0;
        if (end)
            take_reasons(taking, ctl_json_array(record, "reasons"));
        if (end && !host->is_interrupted && ctl_json_length(ctl_json_array(record, "reasons")) == 0)
            host_reason(host, NULL, "guest-refuses",
                        "the guest's job is %s, and it does not say why",
                        ctl_json_string(record, "state"));
        if (host->is_interrupted && taking->was_left)
            host_reason(host, NULL, "interrupted",
                        "interrupted: job %" G_GUINT64_FORMAT
                        " goes on; memplugctl cancel gives its memory back",
                        job);
        else if (host->is_interrupted && end && job_has_ended(record))
            host_reason(host, NULL, "interrupted",
                        "interrupted: the job was cancelled, and the guest has its memory back");
    }
    if (wrong && wrong->code == CTL_NO_CONNECTION) {
        g_autofree char *stopped = hypervisor_stopped_by(host->hv);
        g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION, "%s%s%s", wrong->message,
                    stopped ? "; the guest is " : "", stopped ? stopped : "");
    } else if (wrong) {
        host_reason(host, NULL, "guest-refuses", "%s", wrong->message);
    }
    end_steps(taking);
    return FALSE;
}

/* Gives back what the guest still holds for us. */
static void give_back(Taking *taking)
{
    Host *host = taking->host;
    gboolean was_left;
    Follow how = {.aim = FOLLOW_TO_END,
                  .interrupt = host->interrupt,
                  .deadline_usec = g_get_monotonic_time() + GIVE_BACK_USEC,
                  .boot_id = host->boot_id};

    if (taking->job == 0 || taking->was_left || !follow_same_boot(host->ctl, host->boot_id, NULL) ||
        !cancel_job(host->ctl, taking->job, NULL))
        return;
    g_autoptr(JsonNode) end = follow_job(host->ctl, taking->job, &how, &was_left, NULL, NULL);
    if (end)
        host_guest_reasons(host, NULL, ctl_json_array(ctl_json_as_object(end), "reasons"), NULL);
}

/* One look at the job whose DIMMs are gone: it may have something to say. */
static void look_back(Taking *taking)
{
    g_autoptr(JsonNode) end = ask_job(taking->host->ctl, taking->job, NULL);

    if (end)
        host_guest_reasons(taking->host, NULL, ctl_json_array(ctl_json_as_object(end), "reasons"),
                           NULL);
}

static gboolean take(Taking *taking, gboolean is_known, GError **error)
{
    gboolean good = !is_known || prepare(taking, error);
    gboolean is_ready = good;

    for (guint i = 0; good && i < taking->dimms->len; i++)
        good = delete_one(taking, i, error);
    if (good && is_known)
        look_back(taking);
    else if (!good && is_known && (is_ready || taking->job != 0) && !(error && *error))
        give_back(taking);
    return good;
}

/* Takes those of DIMMS that the guest has, or (IS_KNOWN FALSE) those that it does not even know of:
 * it has nothing to prepare there. */
static gboolean take_some(Host *host, GPtrArray *dimms, JsonArray *devices, gboolean is_known,
                          GHashTable *failed, GError **error)
{
    g_autoptr(GPtrArray) some = g_ptr_array_new(), steps = g_ptr_array_new();
    Taking taking = {.host = host, .dimms = some, .steps = steps, .failed = failed};

    for (guint i = 0; i < dimms->len; i++) {
        HvDevice *dimm = dimms->pdata[i];
        if ((host_record(devices, dimm) != NULL) != is_known)
            continue;
        JsonObject *step = host_step(host, dimm->id, "unplug", dimm->size_bytes);
        if (!is_known)
            host_reason(host, step, "not-in-guest", "the guest has no memory there");
        g_ptr_array_add(some, dimm);
        g_ptr_array_add(steps, step);
    }
    return some->len == 0 || take(&taking, is_known, error);
}

gboolean host_take(Host *host, GPtrArray *dimms, GHashTable *failed, GError **error)
{
    g_autoptr(JsonNode) answer = ask(host->ctl, "memory-get-devices", error);
    JsonArray *devices = ctl_json_as_array(answer);

    if (!answer)
        return FALSE;
    gboolean good = take_some(host, dimms, devices, TRUE, failed, error);
    if ((error && *error) || host->is_interrupted)
        return FALSE;
    return take_some(host, dimms, devices, FALSE, failed, error) && good;
}
