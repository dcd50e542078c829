/*
 * doctor: udev rules that online memory. Files of all directories are one list by name, and of two
 * with the same name the one in the earlier directory is in force (udev(7)). A write to an
 * attribute happens at once, so of several rules that online a block the first one wins.
 */
#include <string.h>
#include <sys/stat.h>

#include "ctl/doctor.h"

#define OWN_RULES "39-memplug-online.rules"

static const char *const directories[] = {"etc/udev/rules.d", "run/udev/rules.d",
                                          "usr/local/lib/udev/rules.d", "usr/lib/udev/rules.d",
                                          "lib/udev/rules.d"};

/* name -> path, of the files in force. */
static GHashTable *find_files(const Doctor *doctor)
{
    GHashTable *files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    for (guint i = 0; i < G_N_ELEMENTS(directories); i++) {
        g_autoptr(GPtrArray) names = doctor_list(doctor, directories[i]);
        for (guint n = 0; n < names->len; n++) {
            const char *name = names->pdata[n];
            if (g_str_has_suffix(name, ".rules") && !g_hash_table_contains(files, name))
                g_hash_table_insert(files, g_strdup(name),
                                    g_strconcat(directories[i], "/", name, NULL));
        }
    }
    return files;
}

static char *match_of(const char *pattern, const char *line)
{
    g_autoptr(GRegex) regex = g_regex_new(pattern, 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;

    return g_regex_match(regex, line, 0, &match) ? g_match_info_fetch(match, 1) : NULL;
}

/* What LINE writes to a block's state, itself or by a program; NULL: it does not. (transfer full)
 */
static char *written_state(const char *line)
{
    char *value = match_of("ATTR\\{state\\}\\s*=\\s*\"([^\"]*)\"", line);

    if (!value)
        value = match_of("ATTR\\{(online)\\}\\s*=\\s*\"1\"", line);
    if (!value)
        value =
            match_of("(?:RUN|PROGRAM|IMPORT)[^\"]*\"[^\"]*\\b(online\\w*)\\b[^\"]*/state", line);
    return value;
}

static void judge(Doctor *doctor, const char *name, const char *path, guint number,
                  const char *value, gboolean own_in_force)
{
    gboolean is_harmless = strcmp(value, "online_movable") == 0;

    if (strcmp(name, OWN_RULES) == 0)
        return;
    g_autofree char *mask = g_strdup_printf("ln -s /dev/null /etc/udev/rules.d/%s && udevadm "
                                            "control --reload",
                                            name);

    if (is_harmless)
        doctor_add(doctor, FINDING_GOOD, "udev rule", NULL, "/%s:%u writes '%s'", path, number,
                   value);
    else if (own_in_force && strcmp(name, OWN_RULES) > 0)
        doctor_add(doctor, FINDING_NOTE, "udev rule", g_steal_pointer(&mask),
                   "/%s:%u writes '%s'; " OWN_RULES " comes before it with new memory, but at "
                   "'udevadm trigger' it onlines what a job has made ready",
                   path, number, value);
    else
        doctor_add(doctor, FINDING_BAD, "udev rule", g_steal_pointer(&mask),
                   "/%s:%u writes '%s' to new memory before memplug can make it movable", path,
                   number, value);
}

/* Joins lines that end with a backslash; NUMBER is that of the first. */
static void check_file(Doctor *doctor, const char *name, const char *path, gboolean own_in_force)
{
    g_autofree char *text = doctor_read(doctor, path);
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);

    if (!text)
        doctor_add(doctor, FINDING_NOTE, "udev rule", g_strdup("memplugctl doctor, as root"),
                   "/%s cannot be read: whether it onlines memory is not known", path);
    if (!text || !strstr(text, "\"memory")) /* SUBSYSTEM=="memory", KERNEL=="memory[0-9]*" */
        return;
    for (guint i = 0; lines[i]; i++) {
        guint first = i + 1;
        g_autoptr(GString) line = g_string_new(lines[i]);
        while (g_str_has_suffix(line->str, "\\") && lines[i + 1]) {
            g_string_truncate(line, line->len - 1);
            g_string_append(line, lines[++i]);
        }
        g_autofree char *value = g_strstrip(line->str)[0] == '#' ? NULL : written_state(line->str);
        if (value)
            judge(doctor, name, path, first, value, own_in_force);
    }
}

/* Whether PATH says anything: not a link to /dev/null, not empty. */
static gboolean is_in_force(const Doctor *doctor, const char *path)
{
    g_autofree char *full = path ? doctor_path(doctor, path) : NULL;
    struct stat st;

    return full && stat(full, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(a, b);
}

void doctor_check_rules(Doctor *doctor)
{
    g_autoptr(GHashTable) files = find_files(doctor);
    GList *names = g_list_sort(g_hash_table_get_keys(files), compare_names);
    const char *own = g_hash_table_lookup(files, OWN_RULES);
    gboolean own_in_force = is_in_force(doctor, own);

    if (own_in_force)
        doctor_add(doctor, FINDING_GOOD, "udev rule", NULL,
                   "/%s makes new memory movable while no daemon runs", own);
    else
        doctor_add(doctor, FINDING_BAD, "udev rule",
                   own ? g_strdup_printf("rm /%s", own) : g_strdup("install memplug's udev rules"),
                   own ? "/%s masks memplug's rule" : "memplug's rule is not installed%s",
                   own ? own : "");
    for (GList *name = names; name; name = name->next) {
        const char *path = g_hash_table_lookup(files, name->data);
        if (is_in_force(doctor, path))
            check_file(doctor, name->data, path, own_in_force);
    }
    g_list_free(names);
}
