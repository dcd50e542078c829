/*
 * Follows each rules file as udevd would for a memory block, as far as a file alone can tell: what
 * does not match a memory block is passed over, a GOTO that surely is taken is taken.
 */
#include "system/udev-rules.h"

#include <fnmatch.h>
#include <string.h>

#include "system/udev-rule.h"

#define FILE_MAX_BYTES (1024 * 1024)
#define FILES_MAX 4096

/* The block that every rule is tried on. */
#define SAMPLE_KERNEL "memory64"
#define SAMPLE_DEVPATH "/devices/system/memory/memory64"

static const char *const directories[] = {
    "etc/udev/rules.d",     "run/udev/rules.d", "usr/local/lib/udev/rules.d",
    "usr/lib/udev/rules.d", "lib/udev/rules.d",
};

typedef enum { NEVER, MAYBE, ALWAYS } Verdict;

typedef struct {
    guint number; /* from 1 */
    char *text;
    GPtrArray *keys; /* of UdevKey; NULL: udev refuses the line */
} Line;

static void line_free(gpointer data)
{
    Line *line = data;

    g_free(line->text);
    if (line->keys != NULL)
        g_ptr_array_unref(line->keys);
    g_free(line);
}

static void rule_free(gpointer data)
{
    UdevMemoryRule *rule = data;

    g_free(rule->path);
    g_free(rule->text);
    g_free(rule->writes);
    g_free(rule);
}

static gboolean matches(const char *patterns, const char *text)
{
    g_auto(GStrv) alternatives = g_strsplit(patterns, "|", -1);

    for (guint i = 0; alternatives[i] != NULL; i++) {
        if (fnmatch(alternatives[i], text, 0) == 0)
            return TRUE;
    }
    return FALSE;
}

static Verdict judge_key(const UdevKey *key)
{
    Verdict verdict = MAYBE;

    if (key->op != UDEV_OP_MATCH && key->op != UDEV_OP_NO_MATCH)
        return ALWAYS;
    if (g_str_equal(key->name, "SUBSYSTEM"))
        verdict = matches(key->value, "memory") ? ALWAYS : NEVER;
    else if (g_str_equal(key->name, "KERNEL") && !matches(key->value, SAMPLE_KERNEL))
        verdict = strstr(key->value, "memory") != NULL ? MAYBE : NEVER; /* one certain block */
    else if (g_str_equal(key->name, "KERNEL"))
        verdict = ALWAYS;
    else if (g_str_equal(key->name, "DEVPATH") && !matches(key->value, SAMPLE_DEVPATH))
        verdict = strstr(key->value, "memory") != NULL ? MAYBE : NEVER;
    if (verdict == MAYBE || key->op == UDEV_OP_MATCH)
        return verdict;
    return verdict == ALWAYS ? NEVER : ALWAYS;
}

static Verdict judge_rule(const GPtrArray *keys)
{
    Verdict verdict = ALWAYS;

    for (guint i = 0; i < keys->len; i++)
        verdict = MIN(verdict, judge_key(keys->pdata[i]));
    return verdict;
}

static gboolean runs_program(const UdevKey *key)
{
    return g_str_equal(key->name, "RUN") || g_str_equal(key->name, "PROGRAM") ||
           g_str_equal(key->name, "IMPORT");
}

/* What KEY writes to a block's state, or NULL. */
static const char *written_by(const UdevKey *key)
{
    gboolean assigns = key->op == UDEV_OP_ASSIGN || key->op == UDEV_OP_ADD;

    if (assigns && g_str_equal(key->name, "ATTR") && g_str_equal(key->attribute, "state"))
        return g_str_has_prefix(key->value, "online") || strpbrk(key->value, "$%") ? key->value
                                                                                   : NULL;
    /* A boolean, so whatever it says it means plain online (drivers/base/core.c, online_store). */
    if (assigns && g_str_equal(key->name, "ATTR") && g_str_equal(key->attribute, "online"))
        return strchr("1yYtT", key->value[0]) != NULL && key->value[0] != '\0' ? "online" : NULL;
    if (runs_program(key) && ((strstr(key->value, "state") && strstr(key->value, "online")) ||
                              strstr(key->value, "chmem")))
        return "a program";
    return NULL;
}

static void take_rule(GPtrArray *found, const char *path, const Line *line)
{
    for (guint i = 0; i < line->keys->len && found->len < UDEV_MEMORY_RULES_MAX; i++) {
        const char *writes = written_by(line->keys->pdata[i]);

        if (writes == NULL)
            continue;
        UdevMemoryRule *rule = g_new(UdevMemoryRule, 1);
        *rule = (UdevMemoryRule){.path = g_strconcat("/", path, NULL),
                                 .line = line->number,
                                 .text = g_strdup(line->text),
                                 .writes = g_strdup(writes)};
        g_ptr_array_add(found, rule);
        return;
    }
}

/* Whole rules: comments gone, continued lines joined (a comment may stand between them). */
static GPtrArray *split_lines(const char *text)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(line_free);
    g_auto(GStrv) raw = g_strsplit(text, "\n", -1);
    g_autoptr(GString) joined = g_string_new(NULL);
    guint first = 0;

    for (guint i = 0; raw[i] != NULL; i++) {
        char *piece = g_strchug(raw[i]);

        if (*piece == '#')
            continue;
        if (joined->len == 0)
            first = i + 1;
        g_string_append(joined, piece);
        if (joined->len > 0 && joined->str[joined->len - 1] == '\\') {
            g_string_truncate(joined, joined->len - 1);
            continue;
        }
        g_strchomp(joined->str);
        if (joined->str[0] != '\0') {
            Line *line = g_new(Line, 1);

            *line = (Line){.number = first,
                           .text = g_strdup(joined->str),
                           .keys = udev_rule_parse(joined->str)};
            g_ptr_array_add(lines, line);
        }
        g_string_truncate(joined, 0);
    }
    return lines;
}

static const char *value_of(const GPtrArray *keys, const char *name)
{
    for (guint i = 0; keys != NULL && i < keys->len; i++) {
        const UdevKey *key = keys->pdata[i];

        if (g_str_equal(key->name, name))
            return key->value;
    }
    return NULL;
}

/* Where the line at FROM jumps to: behind it, or FROM + 1 where there is no such label. */
static guint goto_target(const GPtrArray *lines, guint from)
{
    const Line *line = lines->pdata[from];
    const char *label = value_of(line->keys, "GOTO");

    for (guint i = from + 1; label != NULL && i < lines->len; i++) {
        const Line *other = lines->pdata[i];

        if (g_strcmp0(value_of(other->keys, "LABEL"), label) == 0)
            return i;
    }
    return from + 1;
}

static void take_file(GPtrArray *found, const char *path, const char *text)
{
    g_autoptr(GPtrArray) lines = split_lines(text);

    for (guint i = 0; i < lines->len;) {
        const Line *line = lines->pdata[i];
        Verdict verdict = line->keys != NULL ? judge_rule(line->keys) : NEVER;

        if (verdict != NEVER)
            take_rule(found, path, line);
        i = verdict == ALWAYS ? goto_target(lines, i) : i + 1;
    }
}

typedef struct {
    const char *directory;
    GHashTable *places; /* file name -> path; the first directory that has it wins */
} Listing;

static gboolean see_file(const char *name, gpointer user_data)
{
    Listing *listing = user_data;

    if (g_str_has_suffix(name, ".rules") && !g_hash_table_contains(listing->places, name))
        g_hash_table_insert(listing->places, g_strdup(name),
                            g_strconcat(listing->directory, "/", name, NULL));
    return g_hash_table_size(listing->places) < FILES_MAX;
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(a, b);
}

GPtrArray *udev_rules_find(const AttrIo *io)
{
    GPtrArray *found = g_ptr_array_new_with_free_func(rule_free);
    g_autoptr(GHashTable) places = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    for (guint i = 0; i < G_N_ELEMENTS(directories); i++) {
        Listing listing = {.directory = directories[i], .places = places};

        attr_list(io, directories[i], see_file, &listing);
    }
    g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(places), compare_names);
    for (const GList *name = names; name != NULL; name = name->next) {
        const char *path = g_hash_table_lookup(places, name->data);
        g_autofree char *text = NULL;

        /* An empty file, or a link to /dev/null, only hides others. */
        if (attr_read_all(io, path, FILE_MAX_BYTES, &text) > 0)
            take_file(found, path, text);
    }
    return found;
}
