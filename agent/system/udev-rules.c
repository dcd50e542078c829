/*
 * Follows each rules file as udevd would for a memory block, once for each kind of event.
 */
#include "system/udev-rules.h"

#include <errno.h>
#include <string.h>

#include "system/udev-match.h"
#include "system/udev-rule.h"

#define FILE_MAX_BYTES (1024 * 1024)
#define FILES_MAX 4096
#define SCRIPT_MAX_BYTES (64 * 1024)

static const char *const directories[] = {
    "etc/udev/rules.d",     "run/udev/rules.d", "usr/local/lib/udev/rules.d",
    "usr/lib/udev/rules.d", "lib/udev/rules.d",
};

/* What happens to a block; when one is removed nothing can be written to it any more. */
static const char *const actions[] = {"add", "change", "online", "offline"};

static void rule_free(gpointer data)
{
    UdevMemoryRule *rule = data;

    g_free(rule->path);
    g_free(rule->text);
    g_ptr_array_unref(rule->values);
    g_free(rule);
}

/* --- what a rule does --- */

static gboolean is_online_word(const char *word)
{
    return g_str_equal(word, "online") || g_str_equal(word, "online_kernel") ||
           g_str_equal(word, "online_movable");
}

/* As the kernel reads a truth value (kstrtobool(), lib/kstrtox.c). */
static gboolean is_true(const char *text)
{
    return (text[0] != '\0' && strchr("1yYtT", text[0]) != NULL) ||
           g_ascii_strncasecmp(text, "on", 2) == 0;
}

static void add_value(GPtrArray *values, const char *value)
{
    if (!g_ptr_array_find_with_equal_func(values, value, g_str_equal, NULL))
        g_ptr_array_add(values, g_strdup(value));
}

/* The name of the block's own attribute that KEY assigns to: also as [memory/memory32]state. */
static const char *own_attribute(const UdevKey *key)
{
    const char *name = key->attribute;

    if (g_str_has_prefix(name, "[memory/") && strchr(name, ']'))
        name = strchr(name, ']') + 1;
    return name;
}

/* What ATTR{…}="…" may write to the state of a block; VALUES is added to. FALSE: perhaps it writes
 * something else. */
static gboolean read_assignment(const UdevEvent *event, const UdevKey *key, GPtrArray *values)
{
    g_autoptr(GPtrArray) given = udev_event_expand(event, key->value);
    const char *attribute = own_attribute(key);
    guint n_sure = 0;

    for (guint i = 0; i < given->len; i++) {
        const char *value = given->pdata[i];
        gboolean is_open = strpbrk(value, "$%") != NULL, is_taken = TRUE;

        if (g_str_equal(attribute, "state") && (is_open || is_online_word(value)))
            add_value(values, value);
        /* A boolean: it means plain online (memory_subsys_online(), drivers/base/memory.c). */
        else if (g_str_equal(attribute, "online") && (is_open || is_true(value)))
            add_value(values, "online");
        else
            is_taken = FALSE;
        n_sure += is_taken && !is_open ? 1 : 0;
    }
    return n_sure == given->len;
}

/* What chmem, told so in COMMAND, writes. */
static void read_chmem(const char *command, GPtrArray *values)
{
    if (!g_regex_match_simple("chmem\\b.*\\s(-[a-z]*e|--enable)", command, 0, 0))
        return;
    add_value(values, g_regex_match_simple("(-z|--zone)[\\s=]*Movable", command, 0, 0)
                          ? "online_movable"
                          : "online");
}

/* What COMMAND, a program with its arguments or the text of a script, may write. */
static void read_command(const char *command, GPtrArray *values)
{
    g_autoptr(GRegex) word =
        g_regex_new("(?<![\\w/.-])(online(?:_movable|_kernel)?)(?![\\w.-])", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;

    if (strstr(command, "chmem")) {
        read_chmem(command, values);
        return;
    }
    if (strstr(command, "online") == NULL)
        return;
    if (g_regex_match_simple("\\b(1|y|on)\\b.*/online\\b", command, 0, 0))
        add_value(values, "online"); /* echo 1 >/sys$devpath/online */
    g_regex_match(word, command, 0, &match);
    for (; g_match_info_matches(match); g_match_info_next(match, NULL)) {
        g_autofree char *found = g_match_info_fetch(match, 1);
        if (strstr(command, "state"))
            add_value(values, found);
    }
    if (values->len == 0 && strstr(command, "mem") &&
        !g_regex_match_simple("\\b(0|n|off)\\b.*/online\\b", command, 0, 0))
        add_value(values, "online"); /* /usr/local/bin/memory-online.sh */
}

/* The text of the script that COMMAND runs; NULL: it runs none, or one that cannot be read. What is
 * not an absolute path is below udev's own directory (udev(7), "RUN"). (transfer full) */
static char *read_script(const AttrIo *io, const char *command)
{
    g_autofree char *name = g_strndup(command, strcspn(command, " "));
    g_autofree char *path =
        name[0] == '/' ? g_strdup(name + 1) : g_strconcat("usr/lib/udev/", name, NULL);
    char *text = NULL;

    if (attr_read_all(io, path, SCRIPT_MAX_BYTES, &text) > 0 && g_str_has_prefix(text, "#!"))
        return text;
    g_free(text);
    return NULL;
}

static gboolean runs_command(const UdevKey *key)
{
    return g_str_equal(key->name, "PROGRAM") ||
           (g_str_equal(key->name, "RUN") && !g_str_equal(key->attribute, "builtin")) ||
           (g_str_equal(key->name, "IMPORT") && g_str_equal(key->attribute, "program"));
}

static gboolean assigns(const UdevKey *key)
{
    return key->op == UDEV_OP_ASSIGN || key->op == UDEV_OP_ADD;
}

/* --- what was found --- */

typedef struct {
    const AttrIo *io;
    UdevRules *rules;
    UdevEvent *event;
    const char *path; /* of the file */
} Walk;

/* The one for RULE in LIST, made where there is none yet: another event may have found it. */
static UdevMemoryRule *found_rule(const Walk *walk, GPtrArray *list, const UdevRule *rule)
{
    for (guint i = 0; i < list->len; i++) {
        UdevMemoryRule *known = list->pdata[i];
        if (known->first == rule->first && g_str_equal(known->path + 1, walk->path))
            return known;
    }
    if (list->len >= UDEV_MEMORY_RULES_MAX)
        return NULL;
    UdevMemoryRule *made = g_new0(UdevMemoryRule, 1);
    made->path = g_strconcat("/", walk->path, NULL);
    made->name = strrchr(made->path, '/') + 1;
    made->first = rule->first;
    made->last = rule->last;
    made->text = g_strdup(rule->text);
    made->is_needed =
        udev_rule_value(rule->keys, "LABEL") != NULL || udev_rule_value(rule->keys, "GOTO") != NULL;
    made->values = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(list, made);
    return made;
}

static void take_values(const Walk *walk, const UdevRule *rule, const GPtrArray *values,
                        UdevTruth truth, gboolean is_program)
{
    UdevMemoryRule *found = values->len > 0 ? found_rule(walk, walk->rules->onlining, rule) : NULL;

    if (!found)
        return;
    for (guint i = 0; i < values->len; i++)
        add_value(found->values, values->pdata[i]);
    found->is_movable =
        found->values->len == 1 && g_str_equal(found->values->pdata[0], "online_movable");
    found->is_certain |= truth == UDEV_YES;
    found->is_program |= is_program;
}

/* REACHED: whether udevd comes to RULE at all. */
static void take_rule(const Walk *walk, const UdevRule *rule, UdevTruth reached)
{
    UdevTruth truth = MIN(reached, udev_event_matches(walk->event, rule->keys, TRUE));
    /* A program is run before it is known whether the rest matches. */
    UdevTruth run = MIN(reached, udev_event_matches(walk->event, rule->keys, FALSE));
    g_autoptr(GPtrArray) written = g_ptr_array_new_with_free_func(g_free);
    gboolean is_sure = TRUE;

    /* In the order in which udevd carries out what a rule assigns: ENV before ATTR. */
    for (guint i = 0; i < rule->keys->len; i++) {
        const UdevKey *key = rule->keys->pdata[i];
        if (assigns(key) && g_str_equal(key->name, "ENV"))
            udev_event_set(walk->event, key, truth);
    }
    for (guint i = 0; i < rule->keys->len; i++) {
        const UdevKey *key = rule->keys->pdata[i];
        g_autoptr(GPtrArray) by_program = g_ptr_array_new_with_free_func(g_free);
        UdevTruth at_all = g_str_equal(key->name, "RUN") ? truth : run;

        if (truth != UDEV_NO && assigns(key) && g_str_equal(key->name, "ATTR"))
            is_sure &= read_assignment(walk->event, key, written) || written->len == 0;
        if (at_all == UDEV_NO || !runs_command(key))
            continue;
        read_command(key->value, by_program);
        g_autofree char *script = by_program->len == 0 ? read_script(walk->io, key->value) : NULL;
        if (script) /* in which what is written may depend on anything */
            read_command(script, by_program);
        take_values(walk, rule, by_program, script ? MIN(at_all, UDEV_PERHAPS) : at_all, TRUE);
        if (strstr(key->value, "kdump") || strstr(key->value, "kexec"))
            found_rule(walk, walk->rules->reloading, rule);
    }
    take_values(walk, rule, written, is_sure ? truth : MIN(truth, UDEV_PERHAPS), FALSE);
}

/* --- the way through a file --- */

static void walk_file(const Walk *walk, const GPtrArray *lines)
{
    g_autofree gboolean *is_reached = g_new0(gboolean, lines->len + 1);
    guint farthest = 0; /* of what may be jumped to: before that nothing is certain */

    is_reached[0] = TRUE;
    for (guint i = 0; i < lines->len; i++) {
        const UdevRule *rule = lines->pdata[i];

        if (!is_reached[i])
            continue;
        UdevTruth reached = farthest > i ? UDEV_PERHAPS : UDEV_YES;
        UdevTruth truth = udev_event_matches(walk->event, rule->keys, TRUE);
        take_rule(walk, rule, reached);
        if (rule->jump > 0 && truth != UDEV_NO) {
            is_reached[rule->jump] = TRUE;
            farthest = MAX(farthest, rule->jump);
        }
        is_reached[i + 1] |= rule->jump == 0 || truth != UDEV_YES;
    }
}

/* --- files --- */

typedef struct {
    char *path;       /* without the leading slash */
    GPtrArray *lines; /* of UdevRule */
} File;

static void file_free(gpointer data)
{
    File *file = data;

    g_free(file->path);
    g_ptr_array_unref(file->lines);
    g_free(file);
}

typedef struct {
    const AttrIo *io;
    const char *directory;
    GHashTable *places; /* file name -> path; the first directory that has it wins */
} Listing;

static gboolean is_mask(const AttrIo *io, const char *path)
{
    char target[ATTR_PATH_MAX];

    return attr_follow(io, path, target, sizeof target) >= 0 &&
           g_str_has_suffix(target, "/dev/null");
}

/* A link to nothing counts for nothing. */
static gboolean is_dangling(const AttrIo *io, const char *path)
{
    char target[ATTR_PATH_MAX];
    g_autofree char *text = NULL;

    return attr_follow(io, path, target, sizeof target) >= 0 &&
           attr_read_all(io, path, FILE_MAX_BYTES, &text) == -ENOENT;
}

static gboolean see_file(const char *name, gpointer user_data)
{
    Listing *listing = user_data;
    g_autofree char *path = g_strconcat(listing->directory, "/", name, NULL);

    if (g_str_has_suffix(name, ".rules") && !g_hash_table_contains(listing->places, name) &&
        (is_mask(listing->io, path) || !is_dangling(listing->io, path)))
        g_hash_table_insert(listing->places, g_strdup(name), g_steal_pointer(&path));
    return g_hash_table_size(listing->places) < FILES_MAX;
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(a, b);
}

static void say_unreadable(UdevRules *rules, const char *path, int error)
{
    g_ptr_array_add(rules->unreadable,
                    g_strdup_printf("/%s cannot be read (%s)", path, g_strerror(-error)));
}

static void read_file(const AttrIo *io, UdevRules *rules, const char *name, const char *path,
                      GPtrArray *files)
{
    g_autofree char *text = NULL;
    /* An empty file, or a link to /dev/null, only hides others. */
    gssize n = is_mask(io, path) ? 0 : attr_read_all(io, path, FILE_MAX_BYTES, &text);

    if (g_str_equal(name, UDEV_OWN_RULES)) {
        rules->own_path = g_strconcat("/", path, NULL);
        rules->is_own_in_force = n > 0;
    }
    if (n < 0 && n != -ENOENT && n != -EISDIR)
        say_unreadable(rules, path, (int)n);
    if (n <= 0)
        return;
    File *file = g_new(File, 1);
    *file = (File){.path = g_strdup(path), .lines = udev_rules_parse(text)};
    g_ptr_array_add(files, file);
}

/* The files in force, in the order of their names. (transfer full): of File. */
static GPtrArray *read_files(const AttrIo *io, UdevRules *rules)
{
    GPtrArray *files = g_ptr_array_new_with_free_func(file_free);
    g_autoptr(GHashTable) places = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    for (guint i = 0; i < G_N_ELEMENTS(directories); i++) {
        Listing listing = {.io = io, .directory = directories[i], .places = places};
        int error = attr_list(io, directories[i], see_file, &listing);

        if (error < 0 && error != -ENOENT && error != -ENOTDIR)
            say_unreadable(rules, directories[i], error);
    }
    g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(places), compare_names);
    for (const GList *name = names; name != NULL; name = name->next)
        read_file(io, rules, name->data, g_hash_table_lookup(places, name->data), files);
    return files;
}

static gint compare_rules(gconstpointer a, gconstpointer b)
{
    const UdevMemoryRule *one = *(UdevMemoryRule *const *)a, *other = *(UdevMemoryRule *const *)b;
    int by_name = strcmp(one->name, other->name);

    return by_name != 0 ? by_name : (one->first > other->first) - (one->first < other->first);
}

UdevRules *udev_rules_read(const AttrIo *io)
{
    UdevRules *rules = g_new0(UdevRules, 1);

    rules->onlining = g_ptr_array_new_with_free_func(rule_free);
    rules->reloading = g_ptr_array_new_with_free_func(rule_free);
    rules->unreadable = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) files = read_files(io, rules);
    for (guint a = 0; a < G_N_ELEMENTS(actions); a++) {
        Walk walk = {.io = io, .rules = rules, .event = udev_event_new(io, actions[a])};
        for (guint i = 0; i < files->len; i++) {
            const File *file = files->pdata[i];
            walk.path = file->path;
            walk_file(&walk, file->lines);
        }
        udev_event_free(walk.event);
    }
    g_ptr_array_sort(rules->onlining, compare_rules);
    g_ptr_array_sort(rules->reloading, compare_rules);
    return rules;
}

void udev_rules_free(UdevRules *rules)
{
    if (!rules)
        return;
    g_ptr_array_unref(rules->onlining);
    g_ptr_array_unref(rules->reloading);
    g_ptr_array_unref(rules->unreadable);
    g_free(rules->own_path);
    g_free(rules);
}

static gint compare_values(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *udev_memory_rule_writes(const UdevMemoryRule *rule)
{
    g_autoptr(GString) text = g_string_new(NULL);

    g_ptr_array_sort(rule->values, compare_values);
    for (guint i = 0; i < rule->values->len; i++)
        g_string_append_printf(text, "%s%s", i > 0 ? " or " : "", (char *)rule->values->pdata[i]);
    return g_string_free(g_steal_pointer(&text), FALSE);
}
