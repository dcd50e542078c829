/*
 * share-port: sets memplugd in front of the distribution's qemu-ga, on the one port that hosts
 * know, and takes it back. Two files do it: a drop-in of qemu-ga's unit, which gives qemu-ga a
 * socket in place of the port and keeps the rest of its command line, and one of memplugd's
 * settings. It must never leave half of it: where both agents do not answer, all is undone.
 *
 * qemu-ga takes the last of several --method and --path (qga/main.c, config_parse()), so they are
 * put behind what its unit says. The words of that come from systemd, as it would run them.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "ctl/json.h"
#include "ctl/peer.h"
#include "ctl/verbs.h"

#define UNIT "qemu-guest-agent.service"
#define AGENT_UNIT "memplugd.service"
#define PORT "/dev/virtio-ports/org.qemu.guest_agent.0"
#define SOCKET "/run/memplug-qemu-ga/qemu-ga.sock"
/* The last of its kind: whatever an administrator has put beside it is in the command line. */
#define UNIT_FOLDER "/etc/systemd/system/" UNIT ".d"
#define UNIT_FILE UNIT_FOLDER "/zz-memplug-share-port.conf"
#define CONFIG_FOLDER "/etc/memplug/memplugd.conf.d"
#define CONFIG_FILE CONFIG_FOLDER "/share-port.conf"
#define BEHIND " --method=unix-listen --path=" SOCKET "\n"
/* How long the two may take to answer once they are started. */
#define PATIENCE_USEC (20 * G_GINT64_CONSTANT(1000000))
#define PAUSE_USEC 500000

static const char config_text[] =
    "# By memplugctl share-port enable; memplugctl share-port disable "
    "removes it.\n"
    "[channel]\nmethod=virtio-serial\npath=" PORT "\nupstream=" SOCKET "\n";

static gboolean fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean fail(GError **error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_set_error_literal(error, CTL_ERROR, CTL_REFUSED, text);
    return FALSE;
}

/* UNIT NULL: none. */
static gboolean systemctl(const char *verb, const char *unit, GError **error)
{
    char *argv[] = {(char *)"systemctl", (char *)verb, (char *)unit, NULL};
    g_autofree char *said = NULL;
    g_autoptr(GError) wrong = NULL;
    int status = 0;

    if (g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL,
                     NULL, &said, &status, &wrong) &&
        status == 0)
        return TRUE;
    return fail(error, "systemctl %s %s: %s", verb, unit ? unit : "",
                wrong ? wrong->message : g_strstrip(said));
}

/* --- the command line of the unit --- */

/* A word as it has to stand in a unit. What systemd expands when it runs it, such as ${X}, stays.
 */
static void append_word(GString *line, const char *word)
{
    g_string_append(line, line->len > 0 ? " \"" : "\"");
    for (; *word; word++) {
        if (*word == '"' || *word == '\\')
            g_string_append_printf(line, "\\%c", *word);
        else if (*word == '%')
            g_string_append(line, "%%");
        else if ((guchar)*word < ' ')
            g_string_append_printf(line, "\\x%02x", (guchar)*word);
        else
            g_string_append_c(line, *word);
    }
    g_string_append_c(line, '"');
}

/* One of the property's structs: (transfer full), NULL: there is none. */
static char *read_command(sd_bus_message *message)
{
    const char *path = NULL;
    gboolean has_argv0 = FALSE;
    char **words = NULL;
    int ignores = 0;

    if (sd_bus_message_enter_container(message, 'r', "sasbttttuii") <= 0 ||
        sd_bus_message_read(message, "s", &path) <= 0 ||
        sd_bus_message_read_strv(message, &words) < 0 ||
        sd_bus_message_read(message, "b", &ignores) <= 0 ||
        sd_bus_message_skip(message, "ttttuii") < 0 || sd_bus_message_exit_container(message) < 0)
        return NULL;
    g_autoptr(GString) line = g_string_new(NULL);
    has_argv0 = words && words[0] && strcmp(words[0], path) != 0;
    append_word(line, path);
    for (char **word = words; word && *word; word++) {
        if (word != words || has_argv0)
            append_word(line, *word);
        free(*word);
    }
    free(words);
    return g_strconcat(ignores ? "-" : "", has_argv0 ? "@" : "", line->str, NULL);
}

/* The unit's command, without our drop-in: that must be gone, and systemd must know it. */
static char *unit_command(GError **error)
{
    sd_bus *bus = NULL;
    sd_bus_error bus_error = SD_BUS_ERROR_NULL;
    sd_bus_message *unit = NULL, *reply = NULL;
    const char *path = NULL;
    char *command = NULL, *second = NULL;

    int r = sd_bus_open_system(&bus);
    if (r >= 0)
        r = sd_bus_call_method(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                               "org.freedesktop.systemd1.Manager", "LoadUnit", &bus_error, &unit,
                               "s", UNIT);
    if (r >= 0)
        r = sd_bus_message_read(unit, "o", &path);
    if (r >= 0)
        r = sd_bus_get_property(bus, "org.freedesktop.systemd1", path,
                                "org.freedesktop.systemd1.Service", "ExecStart", &bus_error, &reply,
                                "a(sasbttttuii)");
    if (r >= 0)
        r = sd_bus_message_enter_container(reply, 'a', "(sasbttttuii)");
    if (r >= 0 && (command = read_command(reply)))
        second = read_command(reply);
    if (r < 0)
        fail(error, "systemd: %s", bus_error.message ? bus_error.message : g_strerror(-r));
    else if (!command)
        fail(error, "there is no %s here, or it starts nothing", UNIT);
    else if (second)
        fail(error, "%s starts more than one program", UNIT);
    if (second)
        g_clear_pointer(&command, g_free);
    g_free(second);
    sd_bus_error_free(&bus_error);
    sd_bus_message_unref(reply);
    sd_bus_message_unref(unit);
    sd_bus_flush_close_unref(bus);
    return command;
}

/* --- the two files --- */

static gboolean write_file(const char *folder, const char *path, const char *text, GError **error)
{
    g_autoptr(GError) wrong = NULL;

    if (g_mkdir_with_parents(folder, 0755) < 0)
        return fail(error, "%s: %s", folder, g_strerror(errno));
    if (!g_file_set_contents(path, text, -1, &wrong))
        return fail(error, "%s", wrong->message);
    g_chmod(path, 0644);
    return TRUE;
}

/* Whether there was one. */
static gboolean remove_files(void)
{
    gboolean had = g_unlink(UNIT_FILE) == 0;

    had = g_unlink(CONFIG_FILE) == 0 || had;
    g_rmdir(UNIT_FOLDER); /* where nothing else is in it */
    return had;
}

static gboolean is_enabled(void)
{
    return g_file_test(UNIT_FILE, G_FILE_TEST_EXISTS) &&
           g_file_test(CONFIG_FILE, G_FILE_TEST_EXISTS);
}

/* --- do both answer? --- */

static JsonArray *commands_in(JsonNode *info)
{
    JsonNode *list = info && JSON_NODE_HOLDS_OBJECT(info)
                         ? json_object_get_member(json_node_get_object(info), "supported_commands")
                         : NULL;

    return list && JSON_NODE_HOLDS_ARRAY(list) ? json_node_get_array(list) : NULL;
}

static gboolean has_command(JsonArray *list, const char *name)
{
    for (guint i = 0; list && i < json_array_get_length(list); i++) {
        JsonNode *entry = json_array_get_element(list, i);
        if (JSON_NODE_HOLDS_OBJECT(entry) &&
            g_strcmp0(name, json_object_get_string_member_with_default(json_node_get_object(entry),
                                                                       "name", NULL)) == 0)
            return TRUE;
    }
    return FALSE;
}

/* memplugd, on its port, tells of a command that is qemu-ga's alone: it has asked it. */
static gboolean both_answer(GError **error)
{
    g_autoptr(Client) client = client_new_bus(error);
    g_autoptr(JsonNode) status = client ? client_properties(client, error) : NULL;
    g_autoptr(JsonNode) info = status ? client_call(client, "guest-info", NULL, error) : NULL;

    if (!info)
        return FALSE;
    JsonObject *figures = json_node_get_object(status);
    if (json_object_has_member(figures, "port-error"))
        return fail(error, "memplugd: %s", json_object_get_string_member(figures, "port-error"));
    JsonArray *commands = commands_in(info);
    if (!has_command(commands, "memory-get-status") || !has_command(commands, "guest-get-time"))
        return fail(error, "qemu-ga does not answer on %s", SOCKET);
    return TRUE;
}

/* Waits for it. */
static gboolean verify(GError **error)
{
    gint64 end_usec = g_get_monotonic_time() + PATIENCE_USEC;

    for (;;) {
        g_autoptr(GError) wrong = NULL;
        if (both_answer(&wrong))
            return TRUE;
        if (g_get_monotonic_time() > end_usec) {
            g_propagate_error(error, g_steal_pointer(&wrong));
            return FALSE;
        }
        g_usleep(PAUSE_USEC);
    }
}

/* --- the verb --- */

/* Who has the port gives it up first. */
static gboolean restart(const char *first, const char *second, GError **error)
{
    return systemctl("daemon-reload", NULL, error) && systemctl("restart", first, error) &&
           systemctl("restart", second, error);
}

static gboolean set_up(GError **error)
{
    remove_files();
    if (!systemctl("daemon-reload", NULL, error))
        return FALSE;
    g_autofree char *command = unit_command(error);
    if (!command)
        return FALSE;
    g_autofree char *text = g_strconcat(
        "# By memplugctl share-port enable; memplugctl share-port disable removes it.\n"
        "[Service]\nRuntimeDirectory=memplug-qemu-ga\nRuntimeDirectoryMode=0700\nExecStart=\n"
        "ExecStart=",
        command, BEHIND, NULL);
    return write_file(UNIT_FOLDER, UNIT_FILE, text, error) &&
           write_file(CONFIG_FOLDER, CONFIG_FILE, config_text, error) &&
           restart(UNIT, AGENT_UNIT, error) && verify(error);
}

static CtlStatus disable(GError **error)
{
    gboolean had = remove_files();

    if (had && access("/run/systemd/system", F_OK) == 0 && !restart(AGENT_UNIT, UNIT, error))
        return CTL_REFUSED;
    puts(had ? "qemu-ga has its port again." : "The port was not shared.");
    return CTL_DONE;
}

static CtlStatus enable(GError **error)
{
    g_autoptr(GError) wrong = NULL;

    if (is_enabled() && both_answer(NULL)) {
        puts("memplugd and qemu-ga share " PORT ".");
        return CTL_DONE;
    }
    if (set_up(&wrong)) {
        puts("memplugd and qemu-ga share " PORT ".");
        return CTL_DONE;
    }
    g_autoptr(GError) again = NULL;
    remove_files();
    if (!restart(AGENT_UNIT, UNIT, &again))
        fail(error, "%s; and putting it back: %s", wrong->message, again->message);
    else
        fail(error, "%s; everything is as it was", wrong->message);
    return CTL_REFUSED;
}

static CtlStatus show(const Ctl *ctl, GError **error)
{
    gboolean enabled = is_enabled();
    g_autoptr(GError) wrong = NULL;
    gboolean works = enabled && both_answer(&wrong);

    if (ctl->line->json)
        printf("{\"enabled\": %s, \"works\": %s}\n", enabled ? "true" : "false",
               works ? "true" : "false");
    else if (!enabled)
        puts("The port is not shared.");
    else if (works)
        puts("memplugd and qemu-ga share " PORT ".");
    if (!enabled || works)
        return CTL_DONE;
    g_propagate_prefixed_error(error, g_steal_pointer(&wrong), "the port is shared, but: ");
    return CTL_REFUSED;
}

CtlStatus verb_share_port(Ctl *ctl, GError **error)
{
    const char *word = ctl->line->operands[0];

    if (strcmp(word, "status") == 0)
        return show(ctl, error);
    if (strcmp(word, "enable") != 0 && strcmp(word, "disable") != 0) {
        g_set_error(error, CTL_ERROR, CTL_USAGE, "share-port is enable, disable or status");
        return CTL_USAGE;
    }
    if (geteuid() != 0) {
        fail(error, "only root can change who has the port");
        return CTL_REFUSED;
    }
    return strcmp(word, "enable") == 0 ? enable(error) : disable(error);
}
