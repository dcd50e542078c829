/*
 * doctor: the kernel, how it was built, how it was started, and what it does with new memory.
 */
#include <stdio.h>
#include <string.h>

#include "ctl/doctor.h"

#define MEMORY "sys/devices/system/memory/"
#define PARAMETERS "sys/module/memory_hotplug/parameters/"
#define DEFAULT_STATE "memhp_default_state="
#define OLDEST_MAJOR 5
#define OLDEST_MINOR 8
#define RATIO_DEFAULT 301
#define RATIO_SAFE_MAX 401

static void check_version(Doctor *doctor, const char *release)
{
    guint major = 0, minor = 0;

    if (sscanf(release, "%u.%u", &major, &minor) != 2)
        doctor_add(doctor, FINDING_NOTE, "kernel", NULL, "the release '%s' cannot be read",
                   release);
    else if (major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR))
        doctor_add(doctor, FINDING_BAD, "kernel", g_strdup("boot Linux 5.8 or newer"),
                   "Linux %s is too old", release);
    else
        doctor_add(doctor, FINDING_GOOD, "kernel", NULL, "Linux %s", release);
}

/* /boot/config-RELEASE, where the distribution puts it there. */
static void check_options(Doctor *doctor, const char *release)
{
    static const char *const options[] = {"CONFIG_MEMORY_HOTPLUG", "CONFIG_MEMORY_HOTREMOVE",
                                          "CONFIG_ACPI_HOTPLUG_MEMORY", "CONFIG_MIGRATION"};
    g_autofree char *path = g_strconcat("boot/config-", release, NULL);
    g_autofree char *config = strchr(release, '/') ? NULL : doctor_read(doctor, path);
    guint missing = 0;

    if (!config) {
        doctor_add(doctor,
                   doctor_exists(doctor, MEMORY "block_size_bytes") ? FINDING_GOOD : FINDING_BAD,
                   "kernel options", NULL,
                   doctor_exists(doctor, MEMORY "block_size_bytes")
                       ? "memory blocks are there (no /%s to look closer)"
                       : "there are no memory blocks, and no /%s to say why",
                   path);
        return;
    }
    for (guint i = 0; i < G_N_ELEMENTS(options); i++) {
        g_autofree char *line = g_strconcat(options[i], "=y", NULL);
        if (strstr(config, line))
            continue;
        missing++;
        doctor_add(doctor, FINDING_BAD, "kernel options",
                   g_strdup("boot a kernel that was built with it"), "%s is not set", options[i]);
    }
    if (missing == 0)
        doctor_add(doctor, FINDING_GOOD, "kernel options", NULL,
                   "hot-plug, hot-remove and migration are built in");
}

/* Whether the kernel, told WORD, may put new memory where it cannot be taken from. */
static gboolean harms(const Doctor *doctor, const char *word)
{
    g_autofree char *policy = doctor_read(doctor, PARAMETERS "online_policy");

    /* What memplugd itself sets for policy=auto: movable, as far as the ratio lets it. */
    if (strcmp(word, "online") == 0)
        return g_strcmp0(policy, "auto-movable") != 0;
    return strcmp(word, "offline") != 0 && strcmp(word, "online_movable") != 0;
}

static void check_auto_online(Doctor *doctor)
{
    g_autofree char *word = doctor_read(doctor, MEMORY "auto_online_blocks");

    if (!word)
        return;
    if (!harms(doctor, word))
        doctor_add(doctor, FINDING_GOOD, "auto_online_blocks", NULL, "%s", word);
    else
        doctor_add(doctor, FINDING_BAD, "auto_online_blocks",
                   g_strdup("echo online_movable >/" MEMORY "auto_online_blocks, and " DEFAULT_STATE
                            "online_movable on the kernel command line; where "
                            "memplugd set it: policy=movable in /etc/memplug/memplugd.conf"),
                   "'%s': the kernel onlines new memory where it cannot be taken from", word);
}

static void check_parameters(Doctor *doctor)
{
    g_autofree char *policy = doctor_read(doctor, PARAMETERS "online_policy");
    gint64 ratio = doctor_read_number(doctor, PARAMETERS "auto_movable_ratio", 10);

    if (policy)
        doctor_add(doctor, FINDING_GOOD, "online_policy", NULL, "%s%s", policy,
                   strcmp(policy, "auto-movable") == 0
                       ? ": 'online' means movable as long as the ratio lets it"
                       : "");
    if (ratio > RATIO_SAFE_MAX)
        doctor_add(doctor, FINDING_BAD, "auto_movable_ratio",
                   g_strdup_printf("echo %d >/" PARAMETERS "auto_movable_ratio", RATIO_DEFAULT),
                   "%" G_GINT64_FORMAT " %%: that much movable memory starves the kernel", ratio);
    else if (ratio >= 0)
        doctor_add(doctor, FINDING_GOOD, "auto_movable_ratio", NULL, "%" G_GINT64_FORMAT " %%",
                   ratio);
}

static void check_command_line(Doctor *doctor)
{
    static const char *const words[] = {
        "movable_node", "kernelcore=", "movablecore=", DEFAULT_STATE, "memory_hotplug."};
    g_autofree char *text = doctor_read(doctor, "proc/cmdline");
    g_auto(GStrv) given = g_strsplit(text ? text : "", " ", -1);
    g_autoptr(GString) found = g_string_new(NULL);
    const char *state = NULL;

    for (char **word = given; *word; word++) {
        if (g_str_has_prefix(*word, DEFAULT_STATE))
            state = *word + strlen(DEFAULT_STATE);
        for (guint i = 0; i < G_N_ELEMENTS(words); i++) {
            if (g_str_has_prefix(*word, words[i]))
                g_string_append_printf(found, " %s", *word);
        }
    }
    if (state && harms(doctor, state))
        doctor_add(doctor, FINDING_BAD, "kernel command line",
                   g_strdup(DEFAULT_STATE "online_movable in place of it"),
                   "has " DEFAULT_STATE "%s: DIMMs that are there at boot come online where they "
                   "cannot be taken from",
                   state);
    else if (found->len > 0)
        doctor_add(doctor, FINDING_GOOD, "kernel command line", NULL, "has%s", found->str);
    if (!state)
        doctor_add(doctor, FINDING_NOTE, "kernel command line",
                   g_strdup(DEFAULT_STATE "online_movable"),
                   "DIMMs that are there at boot may come online in a kernel zone before memplugd "
                   "runs");
}

void doctor_check_kernel(Doctor *doctor)
{
    g_autofree char *release = doctor_read(doctor, "proc/sys/kernel/osrelease");

    check_version(doctor, release ? release : "");
    check_options(doctor, release ? release : "");
    check_auto_online(doctor);
    check_parameters(doctor);
    check_command_line(doctor);
}
