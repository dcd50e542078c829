/*
 * memplugd: argv, signals, the loop. Everything else is in the library that the tests link too.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "front/agent.h"
#include "os/log.h"
#include "os/options.h"
#include "os/signals.h"

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
    if (signal == SIGHUP) {
        agent_reload(daemon->agent);
        return;
    }
    daemon->is_stopping = TRUE;
    log_event(LOG_STOPPING, G_LOG_LEVEL_MESSAGE, NULL, "%s: stopping", strsignal(signal));
    agent_stop(daemon->agent, on_stopped, daemon);
}

static int run(Options *options)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    g_autoptr(GError) error = NULL;
    Daemon daemon = {.loop = g_main_loop_new(NULL, FALSE)};

    SignalSource *source =
        signal_source_new(signals, G_N_ELEMENTS(signals), on_signal, &daemon, &error);
    if (source)
        daemon.agent = agent_new(options, &error);
    if (daemon.agent)
        g_main_loop_run(daemon.loop);
    else
        g_printerr("memplugd: %s\n", error->message);
    int status = daemon.agent ? EXIT_SUCCESS : EXIT_FAILURE;
    agent_free(daemon.agent);
    signal_source_free(source);
    g_main_loop_unref(daemon.loop);
    return status;
}

/* The options that only print something. */
static int print(Options *options)
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
    /* While memory is scarce the daemon must not wait for its own pages to be read back; on fault,
     * so that what the libraries bring along and never use costs nothing. */
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
        g_info("memory is not locked: %s", g_strerror(errno));
    return run(options);
}
