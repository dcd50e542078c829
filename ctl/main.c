/*
 * memplugctl: a person's view of memplugd, from inside a guest over D-Bus or from its host over the
 * channel.
 */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ask.h"
#include "ctl/text.h"

typedef struct {
    const char *name;
    CtlStatus (*run)(Ctl *ctl, GError **error);
    guint operands_min, operands_max;
    gboolean needs_client;
    gboolean needs_qmp;
} Verb; /* without a client a verb is about this machine alone */

#define MANY 256

/* Where the host's half is a package of its own, the guests' memplugctl is built without it. */
#ifdef MEMPLUG_WITHOUT_HOST
#define verb_plug NULL
#define verb_unplug NULL
#define verb_resize NULL
#endif

/* clang-format off */
static const Verb verbs[] = {
    {"status", verb_status, 0, 0, TRUE, FALSE},
    {"devices", verb_devices, 0, 0, TRUE, FALSE},
    {"blocks", verb_blocks, 0, 0, TRUE, FALSE},
    {"jobs", verb_jobs, 0, 1, TRUE, FALSE},
    {"policy", verb_policy, 0, 1, TRUE, FALSE},
    {"check", verb_check, 1, MANY, TRUE, FALSE},
    {"plan", verb_plan, 1, 1, TRUE, FALSE},
    {"prepare", verb_prepare, 1, MANY, TRUE, FALSE},
    {"cancel", verb_cancel, 1, 1, TRUE, FALSE},
    {"watch", verb_watch, 0, 0, TRUE, FALSE},
    {"inhibit", verb_inhibit, 1, MANY, FALSE, FALSE},
    {"hooks", verb_hooks, 0, 1, FALSE, FALSE},
    {"doctor", verb_doctor, 0, 0, FALSE, FALSE},
    {"boot-policy", verb_boot_policy, 0, 1, FALSE, FALSE},
    {"share-port", verb_share_port, 1, 1, FALSE, FALSE},
    {"plug", verb_plug, 1, 1, TRUE, TRUE},
    {"unplug", verb_unplug, 1, MANY, TRUE, TRUE},
    {"resize", verb_resize, 1, 1, TRUE, TRUE},
};
/* clang-format on */

static const Verb *find_verb(const CommandLine *line, GError **error)
{
    guint n = g_strv_length(line->operands);

    for (guint i = 0; i < G_N_ELEMENTS(verbs); i++) {
        if (strcmp(verbs[i].name, line->verb) != 0)
            continue;
        if (n < verbs[i].operands_min || n > verbs[i].operands_max)
            g_set_error(error, CTL_ERROR, CTL_USAGE, "%s takes %s", line->verb,
                        verbs[i].operands_max == 0      ? "no operand"
                        : verbs[i].run == verb_inhibit  ? "a command"
                        : verbs[i].operands_max == MANY ? "one device or more, 256 at most"
                        : verbs[i].operands_min == 1    ? "one operand"
                                                        : "one operand at most");
        else if (verbs[i].needs_qmp && !line->qmp && !line->libvirt)
            g_set_error(error, CTL_ERROR, CTL_USAGE, "%s needs --host and --qmp, or --libvirt",
                        line->verb);
        else if (!verbs[i].needs_client && (line->host || line->libvirt))
            g_set_error(error, CTL_ERROR, CTL_USAGE, "%s is about this machine and takes no --host",
                        line->verb);
        else if (command_line_fits_verb(line, error))
            return &verbs[i];
        return NULL;
    }
    g_set_error(error, CTL_ERROR, CTL_USAGE, "there is no verb '%s'; memplugctl --help lists them",
                line->verb);
    return NULL;
}

/* Why the guest does not answer, where the hypervisor knows. */
static void add_cause(Ctl *ctl, GError **error)
{
    g_autofree char *stopped = ctl->hv ? hypervisor_stopped_by(ctl->hv) : NULL;

    if (stopped)
        g_prefix_error(error, "the guest is %s: ", stopped);
}

#ifdef MEMPLUG_WITHOUT_HOST

static gboolean connect_hypervisor(Ctl *ctl, GError **error)
{
    if (!ctl->line->libvirt && !ctl->line->qmp)
        return TRUE;
    g_set_error(error, CTL_ERROR, CTL_USAGE,
                "this memplugctl is a guest's, and speaks to no hypervisor: install memplug-host");
    return FALSE;
}

#else

static gboolean connect_hypervisor(Ctl *ctl, GError **error)
{
    const CommandLine *line = ctl->line;

    if (line->libvirt)
        ctl->libvirt = libvirt_open(line->libvirt, line->connect, error);
    if (ctl->libvirt)
        ctl->hv = hypervisor_new_libvirt(ctl->libvirt);
    else if (line->qmp)
        ctl->hv = hypervisor_new_qmp(line->qmp, error);
    return ctl->hv || (!line->libvirt && !line->qmp);
}

#endif

static gboolean connect_to(Ctl *ctl, const Verb *verb, GError **error)
{
    if (!connect_hypervisor(ctl, error))
        return FALSE;
    if (!verb->needs_client || ask_connect(ctl, error))
        return TRUE;
    add_cause(ctl, error);
    return FALSE;
}

static CtlStatus run(const CommandLine *line, GError **error)
{
    Ctl ctl = {.line = line, .terminal = terminal_open()};
    const Verb *verb = find_verb(line, error);
    CtlStatus status = CTL_NO_CONNECTION;

    if (verb && connect_to(&ctl, verb, error))
        status = verb->run(&ctl, error);
    client_free(ctl.client);
    hypervisor_free(ctl.hv);
    libvirt_close(ctl.libvirt);
    return status;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;

    setlocale(LC_CTYPE, "");
    g_autoptr(CommandLine) line = command_line_parse(argc, argv, &error);
    if (line && line->show_version) {
        puts("memplugctl " MEMPLUG_VERSION);
        return CTL_DONE;
    }
    CtlStatus status = line ? run(line, &error) : CTL_USAGE;
    if ((fflush(stdout) != 0 || ferror(stdout)) && !error)
        g_set_error(&error, CTL_ERROR, CTL_REFUSED, "standard output cannot be written");
    if (!error)
        return (int)status;
    /* It may quote a guest, QEMU or the bus. */
    g_autofree char *message = text_safe(error->message);
    fprintf(stderr, "memplugctl: %s\n", message);
    return error->domain == CTL_ERROR ? error->code : CTL_REFUSED;
}
