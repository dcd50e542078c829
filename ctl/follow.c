#include "ctl/follow.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ask.h"
#include "ctl/interrupt.h"
#include "ctl/json.h"
#include "ctl/text.h"

#define LOOK_MS 500
#define MISSES_MAX 3
#define EVENTS_MAX 1000
#define COMPARE_USEC (2 * G_GINT64_CONSTANT(1000000))
#define TIMEOUT_MAX_MS 600000 /* a job's, docs/protocol.md */
#define ROLLBACK_MS 30000

gboolean cancel_job(Ctl *ctl, guint64 job, GError **error)
{
    JsonObject *arguments = json_object_new();

    json_object_set_int_member(arguments, "job", (gint64)job);
    JsonNode *answer = client_call(ctl->client, "memory-cancel-unplug", arguments, error);
    if (answer)
        json_node_unref(answer);
    return answer != NULL;
}

typedef enum { GO_ON, LEAVE, CANCEL } Choice;

/* After a SIGNAL. A second one at the question leaves the job running, as does one that no person
 * sent. UNASKED: the choice where there is nobody to read the question. */
static Choice ask_person(Ctl *ctl, guint64 job, int interrupt, int signal, Choice unasked)
{
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = interrupt, .events = POLLIN}};
    char answer[16];

    if (signal != SIGINT || !isatty(STDIN_FILENO) || !ctl->terminal.is_live || ctl->line->json)
        return unasked;
    terminal_print(&ctl->terminal, COLOUR_NONE,
                   "Cancel job %" G_GUINT64_FORMAT " (c), leave it running (l), or go on watching "
                   "(Enter)?",
                   job);
    poll(fds, G_N_ELEMENTS(fds), -1);
    if (fds[1].revents & POLLIN || !fgets(answer, sizeof answer, stdin))
        return LEAVE;
    return answer[0] == 'c' ? CANCEL : answer[0] == 'l' ? LEAVE : GO_ON;
}

gint64 follow_deadline_usec(gint64 timeout_ms)
{
    gint64 ms = timeout_ms == NOT_GIVEN ? TIMEOUT_MAX_MS : MIN(timeout_ms, TIMEOUT_MAX_MS);

    return g_get_monotonic_time() + (ms + ROLLBACK_MS) * 1000;
}

gboolean follow_same_boot(Ctl *ctl, const char *boot_id, GError **error)
{
    if (!boot_id)
        return TRUE;
    g_autoptr(JsonNode) status = ask(ctl, "memory-get-status", error);
    if (!status)
        return FALSE;
    if (strcmp(ctl_json_string(ctl_json_as_object(status), "boot-id"), boot_id) == 0)
        return TRUE;
    g_set_error(error, CTL_ERROR, CTL_REFUSED,
                "the guest has booted again meanwhile; its jobs ended with the earlier boot");
    return FALSE;
}

static gboolean is_there(JsonObject *job, FollowAim aim)
{
    return job_has_ended(job) ||
           (aim == FOLLOW_TO_READY && strcmp(ctl_json_string(job, "state"), "ready") == 0);
}

static void show(Ctl *ctl, JsonObject *job, char **last)
{
    char *line = view_progress(&ctl->terminal, job);

    /* What is not a terminal gets a line only where something is new. */
    if (!ctl->line->json && g_strcmp0(line, *last) != 0)
        terminal_redraw(&ctl->terminal, line);
    g_free(*last);
    *last = line;
}

typedef struct {
    guint misses;         /* questions without an answer, one after the other */
    gint64 compared_usec; /* when the boot was compared last */
} Looks;

/* Whether the hypervisor has told of a reset. Where there is none to ask it may have been. */
static gboolean may_be_reset(Ctl *ctl)
{
    gboolean is_reset = ctl->hv == NULL;
    HvEvent event;

    for (guint i = 0; ctl->hv && i < EVENTS_MAX; i++) {
        if (hypervisor_wait(ctl->hv, -1, 0, &event) != WAKE_NEWS)
            break;
        is_reset = is_reset || event.kind == HV_EVENT_RESET;
        g_free(event.device);
    }
    return is_reset;
}

/* The job as it is now. A guest that says nothing for a while may be paused, booting, or on its way
 * to another host: it is asked again, a few times. NULL without an error: ask again. The boot is
 * compared whenever it may be another one; an answer to that costs the guest more than one about
 * the job. */
static JsonNode *look(Ctl *ctl, guint64 job, const Follow *how, Looks *looks, GError **error)
{
    g_autoptr(GError) wrong = NULL;
    gint64 now_usec = g_get_monotonic_time();
    gboolean is_due =
        looks->misses > 0 || now_usec - looks->compared_usec > COMPARE_USEC || may_be_reset(ctl);
    gboolean is_same = !is_due || follow_same_boot(ctl, how->boot_id, &wrong);
    JsonNode *answer = is_same ? ask_job(ctl, job, &wrong) : NULL;

    looks->compared_usec = is_due && is_same ? now_usec : looks->compared_usec;
    looks->misses = answer ? 0 : looks->misses + 1;
    if (answer || (wrong->code == CTL_NO_CONNECTION && looks->misses < MISSES_MAX))
        return answer;
    g_propagate_error(error, g_steal_pointer(&wrong));
    return NULL;
}

static gboolean is_over(guint64 job, const Follow *how, const char *state, GError **error)
{
    if (g_get_monotonic_time() < how->deadline_usec)
        return FALSE;
    g_autofree char *safe = text_safe(state);
    g_set_error(error, CTL_ERROR, CTL_REFUSED,
                "job %" G_GUINT64_FORMAT " has not come to an end in time: it is still '%s', the "
                "guest says",
                job, safe);
    return TRUE;
}

/* Ctrl-C. Returns what to do; a cancelled job is followed to its end. */
static Choice interrupted(Ctl *ctl, guint64 job, Follow *how, GError **error)
{
    Choice choice = ask_person(ctl, job, how->interrupt, interrupt_take(how->interrupt),
                               how->cancels ? CANCEL : LEAVE);

    if (choice == CANCEL && !cancel_job(ctl, job, error))
        return LEAVE;
    if (choice == CANCEL) {
        how->aim = FOLLOW_TO_END;
        how->deadline_usec = follow_deadline_usec(0);
    }
    return choice;
}

static JsonNode *follow(Ctl *ctl, guint64 job, Follow *how, gboolean *was_left,
                        gboolean *was_interrupted, GError **error)
{
    g_autofree char *last = NULL;
    Looks looks = {.compared_usec = g_get_monotonic_time()};

    for (;;) {
        g_autoptr(GError) wrong = NULL;
        g_autoptr(JsonNode) answer = look(ctl, job, how, &looks, &wrong);
        JsonObject *record = ctl_json_as_object(answer);
        if (answer)
            show(ctl, record, &last);
        if (answer && is_there(record, how->aim))
            return g_steal_pointer(&answer);
        if (wrong || is_over(job, how, ctl_json_string(record, "state"), &wrong)) {
            g_propagate_error(error, g_steal_pointer(&wrong));
            return NULL;
        }
        if (client_wait(ctl->client, how->interrupt, LOOK_MS) != WAKE_INTERRUPTED)
            continue;
        Choice choice = interrupted(ctl, job, how, &wrong);
        *was_interrupted = *was_interrupted || choice != GO_ON;
        *was_left = choice == LEAVE && !wrong;
        if (wrong)
            g_propagate_error(error, g_steal_pointer(&wrong));
        if (choice == LEAVE)
            return *was_left ? g_steal_pointer(&answer) : NULL;
    }
}

void say_left(Ctl *ctl, guint64 job)
{
    terminal_print(&ctl->terminal, COLOUR_WARN,
                   "job %" G_GUINT64_FORMAT " goes on; memplugctl cancel gives it back", job);
}

JsonNode *follow_job(Ctl *ctl, guint64 job, const Follow *how, gboolean *was_left,
                     gboolean *was_interrupted, GError **error)
{
    Follow now = *how;
    gboolean interrupt_seen = FALSE;

    *was_left = FALSE;
    client_subscribe(ctl->client);
    JsonNode *answer = follow(ctl, job, &now, was_left, &interrupt_seen, error);
    if (was_interrupted)
        *was_interrupted = interrupt_seen;
    terminal_end_line(&ctl->terminal);
    return answer;
}
