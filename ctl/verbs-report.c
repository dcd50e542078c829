/*
 * The verbs that only look (and policy, which may set what it shows).
 */
#include <string.h>

#include "ctl/ask.h"
#include "ctl/json.h"
#include "ctl/text.h"

CtlStatus verb_status(Ctl *ctl, GError **error)
{
    Screen screen;

    if (ctl->line->json) {
        JsonNode *status = ask_status(ctl, error);
        if (!status)
            return CTL_REFUSED;
        ctl_json_print(status);
        json_node_unref(status);
        return CTL_DONE;
    }
    if (!ask_screen(ctl, &screen, error))
        return CTL_REFUSED;
    view_screen(&ctl->terminal, &screen);
    screen_clear(&screen);
    return CTL_DONE;
}

typedef void (*ListView)(Terminal *terminal, JsonArray *list);

/* Takes ANSWER over. */
static CtlStatus show_list(Ctl *ctl, JsonNode *answer, ListView view)
{
    if (!answer)
        return CTL_REFUSED;
    if (ctl->line->json)
        ctl_json_print(answer);
    else
        view(&ctl->terminal, ctl_json_as_array(answer));
    json_node_unref(answer);
    return CTL_DONE;
}

static void view_devices_fully(Terminal *terminal, JsonArray *devices)
{
    view_devices(terminal, devices);
    for (guint i = 0; i < ctl_json_length(devices); i++) {
        JsonObject *device = ctl_json_object_at(devices, i);
        JsonArray *blockers = ctl_json_array(device, "blockers");
        g_autofree char *id = text_safe(ctl_json_string(device, "id"));
        /* That the boot memory stays is no news. */
        if (ctl_json_length(blockers) == 0 || strcmp(ctl_json_string(device, "kind"), "boot") == 0)
            continue;
        terminal_print(terminal, COLOUR_NONE, "%s:", id);
        view_reasons(terminal, blockers, COLOUR_WARN);
    }
}

CtlStatus verb_devices(Ctl *ctl, GError **error)
{
    return show_list(ctl, ask(ctl, "memory-get-devices", error), view_devices_fully);
}

CtlStatus verb_blocks(Ctl *ctl, GError **error)
{
    return show_list(ctl, ask(ctl, "memory-get-map", error), view_map);
}

static gboolean is_any_asking(JsonNode *jobs)
{
    JsonArray *list = ctl_json_as_array(jobs);

    for (guint i = 0; i < ctl_json_length(list); i++)
        if (strcmp(ctl_json_string(ctl_json_object_at(list, i), "state"), "asking") == 0)
            return TRUE;
    return FALSE;
}

/* Takes JOBS over. Where one is asking, it is shown whose locks stand. */
static CtlStatus show_jobs(Ctl *ctl, JsonNode *jobs, GError **error)
{
    JsonNode *status = NULL;

    if (jobs && !ctl->line->json && is_any_asking(jobs) && !(status = ask_status(ctl, error)))
        g_clear_pointer(&jobs, json_node_unref);
    CtlStatus result = show_list(ctl, jobs, view_jobs);
    if (status) {
        view_locks(&ctl->terminal, ctl_json_array(ctl_json_as_object(status), "inhibitors"));
        json_node_unref(status);
    }
    return result;
}

CtlStatus verb_jobs(Ctl *ctl, GError **error)
{
    const char *word = ctl->line->operands[0];
    guint64 job;

    if (!word)
        return show_jobs(ctl, ask(ctl, "memory-query-unplug", error), error);
    if (!g_ascii_string_to_unsigned(word, 10, 1, G_MAXINT64, &job, NULL)) {
        g_set_error(error, CTL_ERROR, CTL_USAGE, "'%s' is no job's number", word);
        return CTL_USAGE;
    }
    JsonNode *answer = ask_job(ctl, job, error);
    if (answer && !ctl->line->json) {
        JsonArray *list = json_array_new();
        json_array_add_element(list, answer);
        answer = json_node_init_array(json_node_alloc(), list);
        json_array_unref(list);
    }
    return show_jobs(ctl, answer, error);
}

static gboolean set_policy(Ctl *ctl, GError **error)
{
    const CommandLine *line = ctl->line;
    JsonObject *arguments = json_object_new();

    if (line->operands[0])
        json_object_set_string_member(arguments, "policy", line->operands[0]);
    if (line->rezone)
        json_object_set_boolean_member(arguments, "rezone", strcmp(line->rezone, "yes") == 0);
    if (line->movable_ratio != NOT_GIVEN)
        json_object_set_int_member(arguments, "movable-ratio", line->movable_ratio);
    JsonNode *answer = client_call(ctl->client, "memory-set-policy", arguments, error);
    if (answer)
        json_node_unref(answer);
    return answer != NULL;
}

CtlStatus verb_policy(Ctl *ctl, GError **error)
{
    const CommandLine *line = ctl->line;

    if ((line->operands[0] || line->rezone || line->movable_ratio != NOT_GIVEN) &&
        !set_policy(ctl, error))
        return CTL_REFUSED;
    JsonNode *answer = ask(ctl, "memory-get-policy", error);
    if (!answer)
        return CTL_REFUSED;
    JsonObject *policy = ctl_json_as_object(answer);
    g_autofree char *name = text_safe(ctl_json_string(policy, "policy"));
    if (line->json)
        ctl_json_print(answer);
    else
        terminal_print(&ctl->terminal, COLOUR_NONE,
                       "policy %s, rezone %s, movable-ratio %" G_GUINT64_FORMAT " %%", name,
                       ctl_json_bool(policy, "rezone") ? "yes" : "no",
                       ctl_json_uint(policy, "movable-ratio"));
    json_node_unref(answer);
    return CTL_DONE;
}
