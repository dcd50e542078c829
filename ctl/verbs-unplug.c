/*
 * check, plan, prepare, cancel.
 */
#include <string.h>

#include "ctl/ask.h"
#include "ctl/follow.h"
#include "ctl/interrupt.h"
#include "ctl/json.h"
#include "ctl/text.h"

/* --- check --- */

static void show_verdict(Ctl *ctl, JsonObject *verdict)
{
    gboolean can = ctl_json_bool(verdict, "ready-to-prepare");
    g_autofree char *needed = text_size(ctl_json_uint(verdict, "needed-bytes"));
    g_autofree char *available = text_size(ctl_json_uint(verdict, "available-bytes"));
    g_autofree char *reserve = text_size(ctl_json_uint(verdict, "reserve-bytes"));

    terminal_print(&ctl->terminal, can ? COLOUR_GOOD : COLOUR_BAD, "%s",
                   can ? "can be prepared" : "cannot be prepared");
    terminal_print(&ctl->terminal, COLOUR_NONE, "  needs %s elsewhere; available %s, reserve %s",
                   needed, available, reserve);
    view_reasons(&ctl->terminal, ctl_json_array(verdict, "reasons"),
                 can ? COLOUR_WARN : COLOUR_BAD);
}

CtlStatus verb_check(Ctl *ctl, GError **error)
{
    JsonArray *devices = ask_devices(ctl, ctl->line->operands, TRUE, error);
    if (!devices)
        return CTL_USAGE;
    JsonObject *arguments = json_object_new();
    json_object_set_array_member(arguments, "devices", devices);
    JsonNode *answer = client_call(ctl->client, "memory-check-unplug", arguments, error);
    if (!answer)
        return CTL_REFUSED;
    gboolean can = ctl_json_bool(ctl_json_as_object(answer), "ready-to-prepare");
    if (ctl->line->json)
        ctl_json_print(answer);
    else
        show_verdict(ctl, ctl_json_as_object(answer));
    json_node_unref(answer);
    return can ? CTL_DONE : CTL_REFUSED;
}

/* --- plan --- */

static char *join(JsonArray *words)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < ctl_json_length(words); i++)
        g_string_append_printf(text, " %s", ctl_json_string_at(words, i));
    g_autofree char *raw = g_string_free(text, FALSE);
    return text_safe(raw);
}

static void show_choice(Ctl *ctl, const char *what, JsonObject *choice)
{
    g_autofree char *size = text_size(ctl_json_uint(choice, "bytes"));
    g_autofree char *names = join(ctl_json_array(choice, "devices"));

    if (*names)
        terminal_print(&ctl->terminal, COLOUR_NONE, "%s %s:%s", what, size, names);
    else
        terminal_print(&ctl->terminal, COLOUR_WARN, "%s nothing", what);
}

static void show_plan(Ctl *ctl, JsonObject *plan)
{
    JsonObject *above = ctl_json_object(plan, "next-above");
    JsonArray *excluded = ctl_json_array(plan, "excluded");

    show_choice(ctl, "takes", plan);
    if (above)
        show_choice(ctl, "the next above is", above);
    for (guint i = 0; i < ctl_json_length(excluded); i++) {
        JsonObject *entry = ctl_json_object_at(excluded, i);
        g_autofree char *id = text_safe(ctl_json_string(entry, "device"));
        terminal_print(&ctl->terminal, COLOUR_NONE, "not %s:", id);
        view_reasons(&ctl->terminal, ctl_json_array(entry, "reasons"), COLOUR_WARN);
    }
}

CtlStatus verb_plan(Ctl *ctl, GError **error)
{
    guint64 bytes;

    if (!text_parse_size(ctl->line->operands[0], &bytes, error))
        return CTL_USAGE;
    JsonObject *arguments = json_object_new();
    json_object_set_int_member(arguments, "bytes", (gint64)bytes);
    json_object_set_boolean_member(arguments, "allow-more", ctl->line->allow_more);
    if (ctl->line->node != NOT_GIVEN)
        json_object_set_int_member(arguments, "node", ctl->line->node);
    JsonNode *answer = client_call(ctl->client, "memory-plan-unplug", arguments, error);
    if (!answer)
        return CTL_REFUSED;
    gboolean found = ctl_json_length(ctl_json_array(ctl_json_as_object(answer), "devices")) > 0;
    if (ctl->line->json)
        ctl_json_print(answer);
    else
        show_plan(ctl, ctl_json_as_object(answer));
    json_node_unref(answer);
    return found ? CTL_DONE : CTL_REFUSED;
}

/* --- prepare, cancel --- */

/* Follows JOB with a signal handler of its own. */
static JsonNode *follow(Ctl *ctl, guint64 job, FollowAim aim, gint64 timeout_ms, gboolean *was_left,
                        GError **error)
{
    Follow how = {.aim = aim,
                  .interrupt = interrupt_open(),
                  .deadline_usec = follow_deadline_usec(timeout_ms)};
    JsonNode *answer = follow_job(ctl, job, &how, was_left, NULL, error);

    interrupt_close(how.interrupt);
    return answer;
}

/* The last word on a job that was followed. Takes ANSWER (NULL: an error is set) over. */
static CtlStatus conclude(Ctl *ctl, JsonNode *answer, const char *wanted, gboolean was_left)
{
    if (!answer)
        return CTL_REFUSED;
    JsonObject *job = ctl_json_as_object(answer);
    gboolean good = strcmp(ctl_json_string(job, "state"), wanted) == 0;
    if (ctl->line->json)
        ctl_json_print(answer);
    else if (was_left)
        say_left(ctl, ctl_json_uint(job, "job"));
    else
        view_reasons(&ctl->terminal, ctl_json_array(job, "reasons"),
                     good ? COLOUR_WARN : COLOUR_BAD);
    json_node_unref(answer);
    return good ? CTL_DONE : CTL_REFUSED;
}

CtlStatus verb_prepare(Ctl *ctl, GError **error)
{
    const CommandLine *line = ctl->line;
    gboolean was_left;
    JsonArray *devices = ask_devices(ctl, line->operands, FALSE, error);

    if (!devices)
        return CTL_USAGE;
    JsonObject *arguments = json_object_new();
    json_object_set_array_member(arguments, "devices", devices);
    if (line->timeout_ms != NOT_GIVEN)
        json_object_set_int_member(arguments, "timeout-ms", line->timeout_ms);
    if (line->lease_ms != NOT_GIVEN)
        json_object_set_int_member(arguments, "lease-ms", line->lease_ms);
    if (line->key)
        json_object_set_string_member(arguments, "key", line->key);
    if (line->allow_partial)
        json_object_set_boolean_member(arguments, "allow-partial", TRUE);
    if (line->reclaim)
        json_object_set_boolean_member(arguments, "reclaim", TRUE);
    JsonNode *answer = client_call(ctl->client, "memory-prepare-unplug", arguments, error);
    if (!answer)
        return CTL_REFUSED;
    guint64 job = ctl_json_uint(ctl_json_as_object(answer), "job");
    json_node_unref(answer);
    answer = follow(ctl, job, FOLLOW_TO_READY, line->timeout_ms, &was_left, error);
    return conclude(ctl, answer, "ready", was_left);
}

CtlStatus verb_cancel(Ctl *ctl, GError **error)
{
    const char *word = ctl->line->operands[0];
    gboolean was_left;
    guint64 job;

    if (!g_ascii_string_to_unsigned(word, 10, 1, G_MAXINT64, &job, NULL)) {
        g_set_error(error, CTL_ERROR, CTL_USAGE, "'%s' is no job's number", word);
        return CTL_USAGE;
    }
    if (!cancel_job(ctl, job, error))
        return CTL_REFUSED;
    JsonNode *answer = follow(ctl, job, FOLLOW_TO_END, 0, &was_left, error);
    return conclude(ctl, answer, "cancelled", was_left);
}
