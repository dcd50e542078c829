/*
 * doctor: the kernel, how it was built, how it was started, and what is known of its faults.
 */
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>

#include "ctl/doctor.h"
#include "system/block.h"

#define DEFAULT_STATE "memhp_default_state="
#define RATIO_PATH "sys/module/memory_hotplug/parameters/auto_movable_ratio"
#define CONFIG_MAX_BYTES (1024 * 1024)
#define OLDEST_MAJOR 5
#define OLDEST_MINOR 8

static void check_version(Doctor *doctor, const char *release)
{
    guint major = 0, minor = 0;

    if (sscanf(release, "%u.%u", &major, &minor) != 2)
        finding_add(doctor->findings, FINDING_NOTE, "kernel", NULL,
                    "the release '%s' cannot be read", release);
    else if (major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR))
        finding_add(doctor->findings, FINDING_BAD, "kernel", g_strdup("boot Linux 5.8 or newer"),
                    "Linux %s is too old", release);
    else
        finding_add(doctor->findings, FINDING_GOOD, "kernel", NULL, "Linux %s", release);
}

/* The upstream version X.Y.Z that was built: /proc/version tells more than a distribution's release
 * ("6.1.0-37-amd64 (…) … Debian 6.1.140-1"). FALSE: Z is not known. */
static gboolean upstream_version(const Doctor *doctor, const char *release, guint version[3])
{
    g_autofree char *text = doctor_text(doctor, "proc/version");
    g_autofree char *prefix = NULL;
    guint last = 0;

    if (sscanf(release, "%u.%u.%u", &version[0], &version[1], &version[2]) != 3)
        return FALSE;
    prefix = g_strdup_printf("%u.%u.", version[0], version[1]);
    for (const char *at = text; (at = strstr(at, prefix)) != NULL; at += strlen(prefix)) {
        if (at > text && !g_ascii_isdigit(at[-1]) && at[-1] != '.')
            last = MAX(last, (guint)g_ascii_strtoull(at + strlen(prefix), NULL, 10));
    }
    version[2] = MAX(version[2], last);
    return version[2] > 0 || version[0] > 6 || (version[0] == 6 && version[1] >= 16);
}

/* Linux 6.16 began to count the references of shmem pages in the swap cache wrongly, and stable
 * series took that over; f183663901f2 ("mm: consider non-anon swap cache folios in
 * folio_expected_ref_count()") mends it: in 6.19, and in each series from January 2026 on. */
static void check_known_hangs(Doctor *doctor, const char *release)
{
    static const struct {
        guint minor, mended; /* of Linux 6; 0: never */
        gboolean is_sure;    /* the series had the fault from its beginning */
    } series[] = {{1, 160, FALSE}, {6, 120, FALSE}, {12, 65, FALSE},
                  {16, 0, TRUE},   {17, 0, TRUE},   {18, 4, TRUE}};
    guint version[3];

    if (!upstream_version(doctor, release, version) || version[0] != 6)
        return;
    for (guint i = 0; i < G_N_ELEMENTS(series); i++) {
        if (series[i].minor != version[1] ||
            (series[i].mended > 0 && version[2] >= series[i].mended))
            continue;
        finding_add(doctor->findings, FINDING_NOTE, "kernel",
                    series[i].mended > 0
                        ? g_strdup_printf("Linux 6.%u.%u or newer", version[1], series[i].mended)
                        : g_strdup("Linux 6.18.4 or newer"),
                    "Linux %u.%u.%u %s: where tmpfs or shared memory is in the swap cache, taking "
                    "memory offline tries its pages again and again, without an end (\"migrating "
                    "pfn … failed ret:7\"); memplugd gives up at the job's timeout",
                    version[0], version[1], version[2],
                    series[i].is_sure ? "is known to hang" : "may hang");
    }
}

/* --- how it was built --- */

static char *unpack(const char *bytes, gsize n)
{
    g_autoptr(GZlibDecompressor) zlib = g_zlib_decompressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP);
    g_autoptr(GInputStream) packed = g_memory_input_stream_new_from_data(bytes, (gssize)n, NULL);
    g_autoptr(GInputStream) stream = g_converter_input_stream_new(packed, G_CONVERTER(zlib));
    char *text = g_malloc0(CONFIG_MAX_BYTES + 1);

    if (g_input_stream_read_all(stream, text, CONFIG_MAX_BYTES, NULL, NULL, NULL))
        return text;
    g_free(text);
    return NULL;
}

/* The kernel's configuration: as the distribution lays it down, or as the kernel itself tells.
 * NULL: neither is there. (transfer full) */
static char *read_config(const Doctor *doctor, const char *path)
{
    g_autofree char *packed = NULL;
    char *text = NULL;

    if (attr_read_all(doctor->io, path, CONFIG_MAX_BYTES, &text) >= 0)
        return text;
    gssize n = attr_read_all(doctor->io, "proc/config.gz", CONFIG_MAX_BYTES, &packed);
    return n > 0 ? unpack(packed, (gsize)n) : NULL;
}

static gboolean has_line(const char *config, const char *line)
{
    gsize length = strlen(line);

    for (const char *at = config; (at = strstr(at, line)) != NULL; at += length) {
        if ((at == config || at[-1] == '\n') && (at[length] == '\n' || at[length] == '\0'))
            return TRUE;
    }
    return FALSE;
}

static void check_options(Doctor *doctor, const char *config, const char *path)
{
    static const char *const options[] = {"CONFIG_MEMORY_HOTPLUG", "CONFIG_MEMORY_HOTREMOVE",
                                          "CONFIG_ACPI_HOTPLUG_MEMORY", "CONFIG_MIGRATION"};
    guint missing = 0;

    if (!config) {
        gboolean has_blocks = !g_error_matches(doctor->fault, G_FILE_ERROR, G_FILE_ERROR_NOENT);
        finding_add(doctor->findings, has_blocks ? FINDING_GOOD : FINDING_BAD, "kernel options",
                    NULL,
                    has_blocks ? "memory blocks are there (no /%s to look closer)"
                               : "there are no memory blocks, and no /%s to say why",
                    path);
        return;
    }
    for (guint i = 0; i < G_N_ELEMENTS(options); i++) {
        g_autofree char *line = g_strconcat(options[i], "=y", NULL);
        if (has_line(config, line))
            continue;
        missing++;
        finding_add(doctor->findings, FINDING_BAD, "kernel options",
                    g_strdup("boot a kernel that was built with it"), "%s is not set", options[i]);
    }
    if (missing == 0)
        finding_add(doctor->findings, FINDING_GOOD, "kernel options", NULL,
                    "hot-plug, hot-remove and migration are built in");
}

/* --- how it was started --- */

/* What this kernel does to DIMMs that are there at boot, before any program runs, where its command
 * line does not say. */
static void check_default_state(Doctor *doctor, const char *config, const char *path)
{
    static const char cure[] = "memplugctl boot-policy movable, and a reboot";

    if (config && has_line(config, "CONFIG_MHP_DEFAULT_ONLINE_TYPE_ONLINE_MOVABLE=y"))
        finding_add(doctor->findings, FINDING_GOOD, "kernel command line", NULL,
                    "this kernel brings DIMMs that are there at boot online as movable");
    else if (config && (has_line(config, "CONFIG_MHP_DEFAULT_ONLINE_TYPE_ONLINE_AUTO=y") ||
                        has_line(config, "CONFIG_MHP_DEFAULT_ONLINE_TYPE_ONLINE_KERNEL=y") ||
                        has_line(config, "CONFIG_MEMORY_HOTPLUG_DEFAULT_ONLINE=y")))
        finding_add(
            doctor->findings, FINDING_NOTE, "kernel command line", g_strdup(cure),
            "this kernel brings DIMMs that are there at boot online in a kernel zone before "
            "any program runs; memplugd moves what can still be moved");
    else if (config)
        finding_add(doctor->findings, FINDING_GOOD, "kernel command line", NULL,
                    "this kernel leaves DIMMs that are there at boot offline, and memplugd brings "
                    "them online as movable");
    else
        finding_add(doctor->findings, FINDING_NOTE, "kernel command line", g_strdup(cure),
                    "DIMMs that are there at boot may come online in a kernel zone before any "
                    "program runs: without /%s or /proc/config.gz it is not known what this kernel "
                    "does",
                    path);
}

static gboolean is_harmless(const Doctor *doctor, const char *state)
{
    return strcmp(state, "offline") == 0 || strcmp(state, "online_movable") == 0 ||
           (strcmp(state, "online") == 0 &&
            strcmp(doctor->setup->online_policy, "auto-movable") == 0);
}

static void check_command_line(Doctor *doctor, const char *config, const char *path)
{
    static const char *const words[] = {
        "movable_node", "kernelcore=", "movablecore=", DEFAULT_STATE, "memory_hotplug."};
    g_autofree char *text = doctor_text(doctor, "proc/cmdline");
    g_auto(GStrv) given = g_strsplit_set(text, " \n", -1);
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
    if (state && !is_harmless(doctor, state))
        finding_add(doctor->findings, FINDING_BAD, "kernel command line",
                    g_strdup(DEFAULT_STATE "online_movable in place of it"),
                    "has " DEFAULT_STATE "%s: DIMMs that are there at boot come online where they "
                    "cannot be taken from",
                    state);
    else if (found->len > 0)
        finding_add(doctor->findings, FINDING_GOOD, "kernel command line", NULL, "has%s",
                    found->str);
    if (!state)
        check_default_state(doctor, config, path);
}

static void check_parameters(Doctor *doctor)
{
    const char *policy = doctor->setup->online_policy;
    guint64 percent;

    if (policy[0] != '\0')
        finding_add(doctor->findings, FINDING_GOOD, "online_policy", NULL, "%s%s", policy,
                    strcmp(policy, "auto-movable") == 0
                        ? ": 'online' means movable as long as the ratio lets it"
                        : "");
    if (attr_read_uint64(doctor->io, RATIO_PATH, 10, &percent) == 0)
        finding_add(doctor->findings, FINDING_GOOD, "auto_movable_ratio", NULL,
                    "%" G_GUINT64_FORMAT " %%", percent);
}

void doctor_check_kernel(Doctor *doctor)
{
    char release[ATTR_VALUE_MAX];

    if (attr_read_line(doctor->io, "proc/sys/kernel/osrelease", release, sizeof release) < 0)
        release[0] = '\0';
    g_autofree char *path = g_strconcat("boot/config-", release, NULL);
    g_autofree char *config =
        strchr(release, '/') || !release[0] ? NULL : read_config(doctor, path);
    check_version(doctor, release);
    check_known_hangs(doctor, release);
    check_options(doctor, config, path);
    check_parameters(doctor);
    check_command_line(doctor, config, path);
}
