#include "ctl/follow.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ask.h"
#include "ctl/interrupt.h"
#include "ctl/json.h"

#define LOOK_MS 500

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
 * sent, or where there is nobody to read the question. */
static Choice ask_person(Ctl *ctl, guint64 job, int interrupt, int signal)
{
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = interrupt, .events = POLLIN}};
    char answer[16];

    if (signal != SIGINT || !isatty(STDIN_FILENO) || !ctl->terminal.is_live || ctl->line->json)
        return LEAVE;
    terminal_print(&ctl->terminal, COLOUR_NONE,
                   "Cancel job %" G_GUINT64_FORMAT " (c), leave it running (l), or go on watching "
                   "(Enter)?",
                   job);
    poll(fds, G_N_ELEMENTS(fds), -1);
    if (fds[1].revents & POLLIN || !fgets(answer, sizeof answer, stdin))
        return LEAVE;
    return answer[0] == 'c' ? CANCEL : answer[0] == 'l' ? LEAVE : GO_ON;
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

static JsonNode *follow(Ctl *ctl, guint64 job, FollowAim aim, int interrupt, gboolean *was_left,
                        GError **error)
{
    g_autofree char *last = NULL;

    for (;;) {
        JsonNode *answer = ask_job(ctl, job, error);
        if (!answer)
            return NULL;
        JsonObject *record = ctl_json_as_object(answer);
        show(ctl, record, &last);
        if (is_there(record, aim))
            return answer;
        if (client_wait(ctl->client, interrupt, LOOK_MS) == WAKE_INTERRUPTED) {
            Choice choice = ask_person(ctl, job, interrupt, interrupt_take(interrupt));
            *was_left = choice == LEAVE;
            if (*was_left)
                return answer;
            if (choice == CANCEL && !cancel_job(ctl, job, error)) {
                json_node_unref(answer);
                return NULL;
            }
            aim = choice == CANCEL ? FOLLOW_TO_END : aim;
        }
        json_node_unref(answer);
    }
}

void say_left(Ctl *ctl, guint64 job)
{
    terminal_print(&ctl->terminal, COLOUR_WARN,
                   "job %" G_GUINT64_FORMAT " goes on; memplugctl cancel gives it back", job);
}

JsonNode *follow_job(Ctl *ctl, guint64 job, FollowAim aim, gboolean *was_left, GError **error)
{
    int interrupt = interrupt_open();

    *was_left = FALSE;
    client_subscribe(ctl->client);
    JsonNode *answer = follow(ctl, job, aim, interrupt, was_left, error);
    interrupt_close(interrupt);
    terminal_end_line(&ctl->terminal);
    return answer;
}
