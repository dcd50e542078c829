/*
 * memplugd: argv, signals, the loop. Everything else is in the library that the tests link too.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "outside/log.h"
#include "outside/options.h"
#include "outside/signals.h"
#include "wiring/agent.h"

typedef struct {
    GMainLoop *loop;
    Agent *agent;
    gboolean is_stopping;
} Daemon;

static void on_stopped(gpointer user_data)
{
    Daemon *daemon = user_data;

    g_main_loop_quit(daemon->loop);
}

static void on_signal(int signal, gpointer user_data)
{
    Daemon *daemon = user_data;

    if (daemon->is_stopping)
        return; /* rolling back already; the journal holds what a SIGKILL would interrupt */
    daemon->is_stopping = TRUE;
    g_message("%s: stopping", strsignal(signal));
    sd_notify(0, "STOPPING=1");
    agent_stop(daemon->agent, on_stopped, daemon);
}

static int run(const Options *options)
{
    static const int signals[] = {SIGTERM, SIGINT};
    g_autoptr(GError) error = NULL;
    Daemon daemon = {.loop = g_main_loop_new(NULL, FALSE)};

    SignalSource *source =
        signal_source_new(signals, G_N_ELEMENTS(signals), on_signal, &daemon, &error);
    if (source)
        daemon.agent = agent_new(options, &error);
    if (daemon.agent) {
        sd_notify(0, "READY=1");
        g_main_loop_run(daemon.loop);
    } else {
        g_printerr("memplugd: %s\n", error->message);
    }
    int status = daemon.agent ? EXIT_SUCCESS : EXIT_FAILURE;
    agent_free(daemon.agent);
    signal_source_free(source);
    g_main_loop_unref(daemon.loop);
    return status;
}

/* The options that only print something. */
static int print(const Options *options)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    if (options->show_version)
        text = g_strdup("memplugd " MEMPLUG_VERSION "\n");
    else if (options->dump_config)
        text = settings_dump(options->settings);
    else
        text = agent_list_rpcs(options, &error);
    if (!text) {
        g_printerr("memplugd: %s\n", error->message);
        return EXIT_FAILURE;
    }
    fputs(text, stdout);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Options) options = options_parse(argc, argv, &error);

    if (!options) {
        g_printerr("memplugd: %s\n", error->message);
        return EXIT_FAILURE;
    }
    if (options->show_version || options->dump_config || options->list_rpcs)
        return print(options);
    if (!log_open(options->log_path, options->verbose, &error)) {
        g_printerr("memplugd: %s\n", error->message);
        return EXIT_FAILURE;
    }
    signal(SIGPIPE, SIG_IGN);
    return run(options);
}
