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
#include "os/state-dir.h"

typedef struct {
    GMainLoop *loop;
    Agent *agent;
    gboolean is_stopping;
    gboolean is_whole; /* nothing that was to be given back is left */
} Daemon;

static void on_stopped(gboolean is_whole, gpointer user_data)
{
    Daemon *daemon = user_data;

    daemon->is_whole = is_whole;
    g_main_loop_quit(daemon->loop);
}

/* --undo is a daemon that takes over what the last one left, and stops at once. */
static gboolean on_undo(gpointer user_data)
{
    Daemon *daemon = user_data;

    daemon->is_stopping = TRUE;
    agent_stop(daemon->agent, on_stopped, daemon);
    return G_SOURCE_REMOVE;
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
    if (daemon.agent && options->undo)
        g_idle_add(on_undo, &daemon);
    if (daemon.agent)
        g_main_loop_run(daemon.loop);
    else
        g_printerr("memplugd: %s\n", error->message);
    int status = daemon.agent && daemon.is_whole ? EXIT_SUCCESS : EXIT_FAILURE;
    agent_free(daemon.agent);
    signal_source_free(source);
    g_main_loop_unref(daemon.loop);
    return status;
}

/* --rule: the answer is printed, and left for the rule. */
static int decide_rule(const Options *options)
{
    g_autoptr(GError) error = NULL;
    gboolean online = settings_let_rule_online(options->settings, options->settings->online.policy);

    if (!state_dir_decide_rule(options->state_dir, online, &error))
        g_printerr("memplugd: %s\n", error->message);
    puts(online ? "online" : "leave");
    return error ? EXIT_FAILURE : EXIT_SUCCESS;
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
        text = agent_list_rpcs(options);
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
    if (options->decide_rule)
        return decide_rule(options);
    if (options->show_version || options->dump_config || options->list_rpcs)
        return print(options);
    Log *log = log_open(options->log_path, options->verbose, &error);
    if (!log) {
        g_printerr("memplugd: %s\n", error->message);
        return EXIT_FAILURE;
    }
    signal(SIGPIPE, SIG_IGN);
    /* While memory is scarce the daemon must not wait for its own pages to be read back; on fault,
     * so that what the libraries bring along and never use costs nothing. */
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
        g_info("memory is not locked: %s", g_strerror(errno));
    int status = run(options);
    log_close(log);
    return status;
}
