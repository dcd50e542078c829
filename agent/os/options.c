/*
 * The command line by GOption. Settings go through settings_set(), so that a bad value has the same
 * error wherever it stands.
 */
#include "os/options.h"

#include "os/monitor.h"

/* What the command line says of a setting, or NULL. */
static const char *argument_of(const Options *options, const char *group, const char *key)
{
    const struct {
        const char *group, *key, *value;
    } arguments[] = {
        {"channel", "method", options->arguments.method},
        {"channel", "path", options->arguments.path},
        {"protocol", "allow-rpcs", options->arguments.allow_rpcs},
        {"protocol", "block-rpcs", options->arguments.block_rpcs},
    };

    for (guint i = 0; i < G_N_ELEMENTS(arguments); i++) {
        if (g_str_equal(arguments[i].group, group) && g_str_equal(arguments[i].key, key))
            return arguments[i].value;
    }
    return NULL;
}

static void say_overridden(const char *group, const char *key, G_GNUC_UNUSED gboolean is_live,
                           gpointer user_data)
{
    if (argument_of(user_data, group, key))
        g_message("[%s] %s: the change has no effect, as the command line says otherwise", group,
                  key);
}

static gboolean apply(Settings *settings, const Options *options, const char *group,
                      const char *key, GError **error)
{
    const char *value = argument_of(options, group, key);

    return !value || settings_set(settings, group, key, value, error);
}

Settings *options_load_settings(Options *options, GError **error)
{
    g_autoptr(Settings) from_files = settings_new();

    if (!settings_load(from_files, options->config_path, options->config_required, error))
        return NULL;
    g_autoptr(Settings) settings = settings_copy(from_files);
    if (!apply(settings, options, "channel", "method", error) ||
        !apply(settings, options, "channel", "path", error) ||
        !apply(settings, options, "protocol", "allow-rpcs", error) ||
        !apply(settings, options, "protocol", "block-rpcs", error))
        return NULL;
    if (options->from_files)
        settings_compare(options->from_files, from_files, say_overridden, options);
    settings_free(options->from_files);
    options->from_files = g_steal_pointer(&from_files);
    return g_steal_pointer(&settings);
}

static gboolean parse_argv(Options *options, int argc, char **argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"method", 'm', 0, G_OPTION_ARG_STRING, &options->arguments.method,
         "virtio-serial (the default), isa-serial, unix-listen or vsock-listen", "METHOD"},
        {"path", 'p', 0, G_OPTION_ARG_FILENAME, &options->arguments.path,
         "the port, the socket, or CID:PORT", "PATH"},
        {"statedir", 't', 0, G_OPTION_ARG_FILENAME, &options->state_dir,
         "where jobs are kept (" SETTINGS_STATE_DIR ")", "DIR"},
        {"config", 'c', 0, G_OPTION_ARG_FILENAME, &options->config_path,
         "the config file (" SETTINGS_CONFIG_PATH ")", "FILE"},
        {"dump-conf", 'D', 0, G_OPTION_ARG_NONE, &options->dump_config,
         "print the settings as a config file, and exit", NULL},
        {"allow-rpcs", 'a', 0, G_OPTION_ARG_STRING, &options->arguments.allow_rpcs,
         "the only commands to answer", "NAMES"},
        {"block-rpcs", 'b', 0, G_OPTION_ARG_STRING, &options->arguments.block_rpcs,
         "commands not to answer; \"help\" lists all", "NAMES"},
        {"logfile", 'l', 0, G_OPTION_ARG_FILENAME, &options->log_path,
         "append the log to FILE instead of standard error", "FILE"},
        {"verbose", 'v', 0, G_OPTION_ARG_NONE, &options->verbose, "log more", NULL},
        {"version", 'V', 0, G_OPTION_ARG_NONE, &options->show_version, "print the version", NULL},
        {"sysroot", 0, 0, G_OPTION_ARG_FILENAME, &options->sysroot,
         "look at the /sys and /proc below DIR, and change nothing", "DIR"},
        {"undo", 0, 0, G_OPTION_ARG_NONE, &options->undo,
         "give back what a daemon that was killed has left, and exit", NULL},
        {"rule", 0, 0, G_OPTION_ARG_NONE, &options->decide_rule,
         "decide whether udev's rule brings memory online, and exit", NULL},
        {"uevent-buffer-bytes", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_INT,
         &options->uevent_buffer_bytes, "size of the event socket's buffer (for tests)", "N"},
        {NULL, 0, 0, 0, NULL, NULL, NULL}};
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_set_summary(context,
                                 "The guest's side of memory hot-unplug: see memplugd(8).");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, error))
        return FALSE;
    if (argc > 1) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, "unexpected argument '%s'",
                    argv[1]);
        return FALSE;
    }
    return TRUE;
}

/* What --undo works with: nothing is begun, and nobody can ask for anything. The policy stays: by
 * it a block comes back that was on its way from one zone to the other. */
static void settings_for_undo(Settings *settings, const char *state_dir)
{
    settings->online.kernel_settings = KERNEL_SETTINGS_NO;
    settings->online.rezone = FALSE;
    settings->adopt_existing = FALSE;
    settings->unplug_gate = FALSE;
    settings->method = METHOD_UNIX_LISTEN;
    g_free(settings->path);
    settings->path = g_build_filename(state_dir, "undo.sock", NULL);
}

/* The settings; for --undo and --rule a mistake in the files is no reason to do nothing. */
static Settings *settings_for(Options *options, GError **error)
{
    g_autoptr(GError) problem = NULL;
    Settings *settings = options_load_settings(options, &problem);

    if (!settings && (options->undo || options->decide_rule)) {
        g_printerr("memplugd: %s\n", problem->message);
        settings = settings_new();
        settings->online.policy = ONLINE_POLICY_NONE;
    } else if (!settings) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return NULL;
    }
    if (options->undo)
        settings_for_undo(settings, options->state_dir);
    return settings;
}

static gboolean parse(Options *options, int argc, char **argv, GError **error)
{
    if (!parse_argv(options, argc, argv, error))
        return FALSE;
    if (options->uevent_buffer_bytes < 1) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "--uevent-buffer-bytes must be at least 1");
        return FALSE;
    }
    options->config_required = options->config_path != NULL;
    if (!options->config_path)
        options->config_path = g_strdup(SETTINGS_CONFIG_PATH);
    if (!options->state_dir)
        options->state_dir = g_strdup(SETTINGS_STATE_DIR);
    if (g_strcmp0(options->arguments.block_rpcs, "help") == 0) {
        options->list_rpcs = TRUE;
        g_clear_pointer(&options->arguments.block_rpcs, g_free);
    }
    options->settings = settings_for(options, error);
    return options->settings != NULL;
}

Options *options_parse(int argc, char **argv, GError **error)
{
    g_autoptr(Options) options = g_new0(Options, 1);

    options->uevent_buffer_bytes = MONITOR_BUFFER_BYTES;
    return parse(options, argc, argv, error) ? g_steal_pointer(&options) : NULL;
}

void options_free(Options *options)
{
    if (!options)
        return;
    settings_free(options->settings);
    settings_free(options->from_files);
    g_free(options->arguments.method);
    g_free(options->arguments.path);
    g_free(options->arguments.allow_rpcs);
    g_free(options->arguments.block_rpcs);
    g_free(options->config_path);
    g_free(options->state_dir);
    g_free(options->log_path);
    g_free(options->sysroot);
    g_free(options);
}
