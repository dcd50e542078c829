/*
 * What the daemon was told: defaults, then the config files, then the command line.
 *
 * An unknown group or key, or a bad value, is an error that names file, group and key, and what
 * cannot be read is one that names the file; nothing is taken over from a file set that has an
 * error anywhere.
 */
#pragma once

#include <glib.h>

#include "decide/online-policy.h"

#define SETTINGS_CONFIG_PATH "/etc/memplug/memplugd.conf"
#define SETTINGS_PORT_PATH "/dev/virtio-ports/org.memplug.agent.0"
#define SETTINGS_SERIAL_PATH "/dev/ttyS0"
#define SETTINGS_STATE_DIR "/run/memplug"

typedef enum {
    METHOD_VIRTIO_SERIAL,
    METHOD_UNIX_LISTEN,
    METHOD_ISA_SERIAL,
    METHOD_VSOCK_LISTEN,
} ChannelMethod;

typedef struct {
    ChannelMethod method;    /* [channel] method */
    char *path;              /* [channel] path; NULL: the method's default */
    char *upstream;          /* [channel] upstream: qemu-ga's socket; NULL: none */
    char **allow_rpcs;       /* [protocol] allow-rpcs; NULL: all that are not opt-in */
    char **block_rpcs;       /* [protocol] block-rpcs; NULL: none */
    OnlineConfig online;     /* [online] but existing */
    gboolean adopt_existing; /* [online] existing */
    guint64 timeout_ms;      /* [unplug] timeout-ms; 0: by size */
    guint64 lease_ms;        /* [unplug] lease-ms */
    guint64 reserve_bytes;   /* [unplug] reserve-bytes; 0: by size */
    guint64 use_swap;        /* [unplug] use-swap: percent */
    gboolean unplug_gate;    /* [unplug] gate */
    /* [unplug] application-delay-ms */
    guint64 application_delay_ms;
} Settings;

Settings *settings_new(void);                      /* the defaults */
Settings *settings_copy(const Settings *settings); /* (transfer full) */
void settings_free(Settings *settings);            /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Settings, settings_free)

/**
 * settings_load: the config file, then the *.conf in the directory @path with ".d" behind it.
 * @required: FALSE: a missing @path is fine (the default place). Missing is only what the kernel
 *   says ENOENT of: a link that leads nowhere, a directory, what may not be read, what is longer
 *   than 256 KiB and what is not UTF-8 text are errors, in the directory too.
 *
 * Return: FALSE and @error (G_KEY_FILE_ERROR or G_FILE_ERROR); then @settings is unchanged.
 */
gboolean settings_load(Settings *settings, const char *path, gboolean required, GError **error);

/* One value, as the command line gives it. The same errors. */
gboolean settings_set(Settings *settings, const char *group, const char *key, const char *value,
                      GError **error);

/* Calls FUNC for each key whose value in A and in B is not the same. IS_LIVE: a running daemon can
 * take another value over; else it takes effect at the next start only. */
typedef void (*SettingsKeyFunc)(const char *group, const char *key, gboolean is_live,
                                gpointer user_data);
void settings_compare(const Settings *a, const Settings *b, SettingsKeyFunc func,
                      gpointer user_data);
/* Exchanges the values of all keys that are live. */
void settings_swap_live(Settings *a, Settings *b);

/* All of it as a config file. (transfer full) */
char *settings_dump(const Settings *settings);

/* Whether udev's rule is to bring new memory online while no daemon runs, with POLICY in force. */
gboolean settings_let_rule_online(const Settings *settings, OnlinePolicy policy);

/* The path of the channel: as set, or the method's default. NULL: vsock-listen has none. */
const char *settings_channel_path(const Settings *settings);
