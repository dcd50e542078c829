/*
 * The command line by GOption. Settings go through settings_set(), so that a bad value has the same
 * error wherever it stands.
 */
#include "os/options.h"

#include "os/monitor.h"

static gboolean apply(Settings *settings, const char *group, const char *key, const char *value,
                      GError **error)
{
    return !value || settings_set(settings, group, key, value, error);
}

static gboolean apply_all(Settings *settings, const Options *options, GError **error)
{
    return apply(settings, "channel", "method", options->arguments.method, error) &&
           apply(settings, "channel", "path", options->arguments.path, error) &&
           apply(settings, "protocol", "allow-rpcs", options->arguments.allow_rpcs, error) &&
           apply(settings, "protocol", "block-rpcs", options->arguments.block_rpcs, error);
}

Settings *options_load_settings(const Options *options, GError **error)
{
    g_autoptr(Settings) settings = settings_new();

    if (!settings_load(settings, options->config_path, options->config_required, error) ||
        !apply_all(settings, options, error))
        return NULL;
    return g_steal_pointer(&settings);
}

static gboolean parse_argv(Options *options, int argc, char **argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"method", 'm', 0, G_OPTION_ARG_STRING, &options->arguments.method,
         "virtio-serial (the default) or unix-listen", "METHOD"},
        {"path", 'p', 0, G_OPTION_ARG_FILENAME, &options->arguments.path, "the port or socket",
         "PATH"},
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
    options->settings = options_load_settings(options, error);
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
