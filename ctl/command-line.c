#include "ctl/command-line.h"

#include <string.h>

#include "ctl/errors.h"

#define UNIX_PREFIX "unix:"

static const char summary[] =
    "Verbs:\n"
    "  status            figures, a map of the memory, warnings, jobs\n"
    "  devices           what backs the memory, and what keeps it from being unplugged\n"
    "  blocks            all memory blocks, in runs\n"
    "  check DEV…        could these devices be prepared now?\n"
    "  plan SIZE         which devices to take to free SIZE\n"
    "  prepare DEV…      offline devices and hold them for the host\n"
    "  cancel JOB        give a job's memory back\n"
    "  jobs [JOB]        jobs and what became of them\n"
    "  watch             status, live\n"
    "  policy [POLICY]   show or set the online policy\n"
    "  inhibit COMMAND…  run a command, and be asked before memory leaves (--mode block: say no)\n"
    "  hooks [DIR]       run an administrator's scripts around each unplug (a service does)\n"
    "  doctor            what decides whether memory here can be taken back\n"
    "  boot-policy [TO]  movable, default or status: DIMMs that are there at boot\n"
    "  share-port WORD   enable, disable, status: one port for memplugd and qemu-ga\n"
    "With --host and --qmp, or with --libvirt, on the host:\n"
    "  plug SIZE         add memory as DIMMs and wait until the guest has it\n"
    "  unplug DEV…       prepare, device_del, and wait until it is gone\n"
    "  resize SIZE       grow or shrink to the nearest size that is not below SIZE\n"
    "\n"
    "DEV is slotN, virtioN (check: virtioN=SIZE), an address, or with --qmp QEMU's id. SIZE is "
    "256M\n"
    "or 1.5G. Exit status: 0 done, 1 refused, 2 usage, 3 no connection.";

static gboolean strip_unix(char **path, const char *option, GError **error)
{
    if (!*path)
        return TRUE;
    if (!g_str_has_prefix(*path, UNIX_PREFIX) || (*path)[strlen(UNIX_PREFIX)] == '\0') {
        g_set_error(error, CTL_ERROR, CTL_USAGE, "--%s needs unix:PATH, not '%s'", option, *path);
        return FALSE;
    }
    char *stripped = g_strdup(*path + strlen(UNIX_PREFIX));
    g_free(*path);
    *path = stripped;
    return TRUE;
}

static gboolean is_negative(gint64 number)
{
    return number < 0 && number != NOT_GIVEN;
}

gboolean command_line_fits_verb(const CommandLine *line, GError **error)
{
    const struct {
        const char *option;
        gboolean is_given;
        const char *verbs[5];
    } options[] = {
        {"timeout-ms", line->timeout_ms != NOT_GIVEN, {"prepare", "unplug", "resize"}},
        {"lease-ms", line->lease_ms != NOT_GIVEN, {"prepare"}},
        {"key", line->key != NULL, {"prepare"}},
        {"allow-more", line->allow_more, {"plan"}},
        {"allow-partial", line->allow_partial, {"prepare"}},
        {"reclaim", line->reclaim, {"prepare"}},
        {"rezone", line->rezone != NULL, {"policy"}},
        {"movable-ratio", line->movable_ratio != NOT_GIVEN, {"policy"}},
        {"sysroot", line->sysroot != NULL, {"doctor", "boot-policy"}},
        {"id", line->id != NULL, {"plug"}},
        {"backend", line->backend != NULL, {"plug", "resize"}},
        {"node", line->node != NOT_GIVEN, {"plan", "plug", "resize"}},
        {"who", line->who != NULL, {"inhibit"}},
        {"why", line->why != NULL, {"inhibit"}},
        {"mode", line->mode != NULL, {"inhibit"}},
        {"dry-run", line->dry_run, {"resize"}},
        {"best-effort", line->best_effort, {"plug", "resize"}},
    };

    for (guint i = 0; i < G_N_ELEMENTS(options); i++) {
        if (!options[i].is_given || g_strv_contains(options[i].verbs, line->verb))
            continue;
        g_set_error(error, CTL_ERROR, CTL_USAGE, "%s takes no --%s", line->verb, options[i].option);
        return FALSE;
    }
    return TRUE;
}

static gboolean is_sound(CommandLine *line, GError **error)
{
    const char *problem = NULL;

    if (!strip_unix(&line->host, "host", error) || !strip_unix(&line->qmp, "qmp", error))
        return FALSE;
    if (is_negative(line->node))
        problem = "a node's number cannot be negative";
    else if (is_negative(line->timeout_ms) || is_negative(line->lease_ms) ||
             is_negative(line->movable_ratio))
        problem = "a number of milliseconds or percent cannot be negative";
    else if (line->libvirt && (line->host || line->qmp))
        problem = "--libvirt is instead of --host and --qmp";
    else if (line->connect && !line->libvirt)
        problem = "--connect needs --libvirt";
    else if (line->qmp && !line->host)
        problem = "--qmp needs --host: both belong to one guest";
    else if (line->rezone && strcmp(line->rezone, "yes") != 0 && strcmp(line->rezone, "no") != 0)
        problem = "--rezone is yes or no";
    else if (!line->show_version && !line->verb)
        problem = "a verb is missing; memplugctl --help lists them";
    if (problem)
        g_set_error(error, CTL_ERROR, CTL_USAGE, "%s", problem);
    return problem == NULL;
}

CommandLine *command_line_parse(int argc, char **argv, GError **error)
{
    g_autoptr(CommandLine) line = g_new0(CommandLine, 1);
    g_autoptr(GError) wrong = NULL;
    const GOptionEntry entries[] = {
        {"host", 0, 0, G_OPTION_ARG_FILENAME, &line->host,
         "a guest's memplug socket on this host, not the local daemon", "unix:SOCKET"},
        {"qmp", 0, 0, G_OPTION_ARG_FILENAME, &line->qmp, "that guest's QEMU monitor",
         "unix:SOCKET"},
        {"libvirt", 0, 0, G_OPTION_ARG_STRING, &line->libvirt,
         "a guest of libvirt's, in place of --host and --qmp", "DOMAIN"},
        {"connect", 0, 0, G_OPTION_ARG_STRING, &line->connect, "where libvirt is", "URI"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &line->json, "print the protocol's answer", NULL},
        {"timeout-ms", 0, 0, G_OPTION_ARG_INT64, &line->timeout_ms,
         "prepare, unplug, resize: give up after so long", "MS"},
        {"lease-ms", 0, 0, G_OPTION_ARG_INT64, &line->lease_ms,
         "prepare: how long to hold the memory for the host", "MS"},
        {"key", 0, 0, G_OPTION_ARG_STRING, &line->key,
         "prepare: the same key again is the same job", "KEY"},
        {"allow-more", 0, 0, G_OPTION_ARG_NONE, &line->allow_more,
         "plan: at least SIZE instead of at most", NULL},
        {"allow-partial", 0, 0, G_OPTION_ARG_NONE, &line->allow_partial,
         "prepare: go on without a device that cannot go", NULL},
        {"reclaim", 0, 0, G_OPTION_ARG_NONE, &line->reclaim,
         "prepare: reclaim caches first where memory would not suffice", NULL},
        {"rezone", 0, 0, G_OPTION_ARG_STRING, &line->rezone, "policy: yes or no", "YES|NO"},
        {"movable-ratio", 0, 0, G_OPTION_ARG_INT64, &line->movable_ratio,
         "policy: percent MOVABLE:KERNEL", "PERCENT"},
        {"node", 0, 0, G_OPTION_ARG_INT64, &line->node,
         "plan: devices of this node; plug, resize: the guest's node of new memory", "N"},
        {"id", 0, 0, G_OPTION_ARG_STRING, &line->id, "plug: the DIMM's id", "ID"},
        {"backend", 0, 0, G_OPTION_ARG_STRING, &line->backend,
         "plug, resize: ram, memfd or file, and its properties; by default as the guest's RAM",
         "KIND[,NAME=VALUE…]"},
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &line->dry_run, "resize: only say what would be done",
         NULL},
        {"best-effort", 0, 0, G_OPTION_ARG_NONE, &line->best_effort,
         "plug, resize: take what can be had", NULL},
        {"who", 0, 0, G_OPTION_ARG_STRING, &line->who, "inhibit: what runs", "WHO"},
        {"why", 0, 0, G_OPTION_ARG_STRING, &line->why, "inhibit: why memory must wait", "WHY"},
        {"mode", 0, 0, G_OPTION_ARG_STRING, &line->mode, "inhibit: delay or block", "MODE"},
        {"sysroot", 0, 0, G_OPTION_ARG_FILENAME, &line->sysroot,
         "doctor: look at the files below DIR", "DIR"},
        {"version", 'V', 0, G_OPTION_ARG_NONE, &line->show_version, "print the version", NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &line->rest, NULL, "VERB …"},
        {NULL, 0, 0, 0, NULL, NULL, NULL}};
    line->timeout_ms = line->lease_ms = line->movable_ratio = line->node = NOT_GIVEN;
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_set_summary(context, summary);
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &wrong)) {
        g_set_error(error, CTL_ERROR, CTL_USAGE, "%s", wrong->message);
        return NULL;
    }
    if (line->rest && line->rest[0]) {
        line->verb = line->rest[0];
        line->operands = line->rest + 1;
    }
    return is_sound(line, error) ? g_steal_pointer(&line) : NULL;
}

void command_line_free(CommandLine *line)
{
    if (!line)
        return;
    g_free(line->host);
    g_free(line->qmp);
    g_free(line->libvirt);
    g_free(line->connect);
    g_free(line->sysroot);
    g_free(line->key);
    g_free(line->id);
    g_free(line->backend);
    g_free(line->rezone);
    g_free(line->who);
    g_free(line->why);
    g_free(line->mode);
    g_strfreev(line->rest);
    g_free(line);
}
