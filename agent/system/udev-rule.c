/*
 * KEY{attribute}OP"value", with commas or white space between. As udevd reads it: what it would
 * refuse is refused whole, as it then acts on nothing of the line.
 */
#include "system/udev-rule.h"

#include <string.h>

#define BLANKS " \t\n\r"
/* UDEV_LINE_SIZE: a longer rule is ignored. */
#define RULE_MAX_BYTES 16384

typedef enum { NO_ATTRIBUTE, NEEDS_ATTRIBUTE, MAY_HAVE_ATTRIBUTE } AttributeUse;

typedef enum {
    MATCHES,      /* == and != only */
    MATCHES_ONCE, /* what is assigned is taken for == */
    ASSIGNS,      /* no match, nothing can be removed */
    SETS,         /* = only */
    BOTH,         /* match or set: += and := are taken for = */
    LISTS,        /* match or set or add */
} Kind;

static const struct {
    const char *name;
    AttributeUse attribute;
    Kind kind;
} known_keys[] = {
    {"ACTION", NO_ATTRIBUTE, MATCHES},
    {"DEVPATH", NO_ATTRIBUTE, MATCHES},
    {"KERNEL", NO_ATTRIBUTE, MATCHES},
    {"SUBSYSTEM", NO_ATTRIBUTE, MATCHES},
    {"DRIVER", NO_ATTRIBUTE, MATCHES},
    {"KERNELS", NO_ATTRIBUTE, MATCHES},
    {"SUBSYSTEMS", NO_ATTRIBUTE, MATCHES},
    {"DRIVERS", NO_ATTRIBUTE, MATCHES},
    {"TAGS", NO_ATTRIBUTE, MATCHES},
    {"ATTRS", NEEDS_ATTRIBUTE, MATCHES},
    {"CONST", NEEDS_ATTRIBUTE, MATCHES},
    {"TEST", MAY_HAVE_ATTRIBUTE, MATCHES},
    {"RESULT", NO_ATTRIBUTE, MATCHES},
    {"PROGRAM", NO_ATTRIBUTE, MATCHES_ONCE},
    {"IMPORT", NEEDS_ATTRIBUTE, MATCHES_ONCE},
    {"OPTIONS", NO_ATTRIBUTE, ASSIGNS},
    {"OWNER", NO_ATTRIBUTE, ASSIGNS},
    {"GROUP", NO_ATTRIBUTE, ASSIGNS},
    {"MODE", NO_ATTRIBUTE, ASSIGNS},
    {"SECLABEL", NEEDS_ATTRIBUTE, ASSIGNS},
    {"RUN", MAY_HAVE_ATTRIBUTE, ASSIGNS},
    {"GOTO", NO_ATTRIBUTE, SETS},
    {"LABEL", NO_ATTRIBUTE, SETS},
    {"NAME", NO_ATTRIBUTE, BOTH},
    {"ATTR", NEEDS_ATTRIBUTE, BOTH},
    {"SYSCTL", NEEDS_ATTRIBUTE, BOTH},
    {"ENV", NEEDS_ATTRIBUTE, LISTS},
    {"TAG", NO_ATTRIBUTE, LISTS},
    {"SYMLINK", NO_ATTRIBUTE, LISTS},
};

static void key_free(gpointer data)
{
    UdevKey *key = data;

    g_free(key->name);
    g_free(key->attribute);
    g_free(key->value);
    g_free(key);
}

static void rule_free(gpointer data)
{
    UdevRule *rule = data;

    g_free(rule->text);
    g_ptr_array_unref(rule->keys);
    g_free(rule);
}

static gboolean take_operator(const char **at, UdevOperator *op, gboolean *is_final)
{
    static const struct {
        const char *text;
        UdevOperator op;
    } operators[] = {{"==", UDEV_OP_MATCH},  {"!=", UDEV_OP_NO_MATCH}, {"+=", UDEV_OP_ADD},
                     {"-=", UDEV_OP_REMOVE}, {":=", UDEV_OP_ASSIGN},   {"=", UDEV_OP_ASSIGN}};

    for (guint i = 0; i < G_N_ELEMENTS(operators); i++) {
        if (g_str_has_prefix(*at, operators[i].text)) {
            *is_final = **at == ':';
            *at += strlen(operators[i].text);
            *op = operators[i].op;
            return TRUE;
        }
    }
    return FALSE;
}

/* One escape of e"…", AT behind the backslash. FALSE: there is no such escape. */
static gboolean take_escape(const char **at, GString *value)
{
    static const char letters[] = "abfnrtv\\\"'s", meanings[] = "\a\b\f\n\r\t\v\\\"' ";
    const char *letter = **at != '\0' ? strchr(letters, **at) : NULL;
    int byte = 0;

    if (letter != NULL) {
        g_string_append_c(value, meanings[letter - letters]);
        (*at)++;
        return TRUE;
    }
    if (**at == 'x') {
        int high = g_ascii_xdigit_value((*at)[1]);
        int low = high >= 0 ? g_ascii_xdigit_value((*at)[2]) : -1;
        byte = low >= 0 ? high * 16 + low : 0;
    } else {
        for (guint i = 0; i < 3; i++) {
            if ((*at)[i] < '0' || (*at)[i] > '7')
                return FALSE;
            byte = byte * 8 + (*at)[i] - '0';
        }
    }
    *at += 3;
    if (byte <= 0 || byte > G_MAXUINT8)
        return FALSE;
    g_string_append_c(value, (char)byte);
    return TRUE;
}

/* "…", e"…" (C escapes), i"…" (matches in any case): the text between the quotes. */
static char *take_value(const char **at, gboolean *is_caseless)
{
    g_autoptr(GString) value = g_string_new(NULL);
    gboolean has_escapes = FALSE;

    *is_caseless = FALSE;
    for (; **at == 'e' || **at == 'i'; (*at)++) {
        has_escapes |= **at == 'e';
        *is_caseless |= **at == 'i';
    }
    if (**at != '"')
        return NULL;
    (*at)++;
    while (**at != '"') {
        if (**at == '\0')
            return NULL;
        if (**at == '\\' && has_escapes) {
            (*at)++;
            if (!take_escape(at, value))
                return NULL;
            continue;
        }
        if ((*at)[0] == '\\' && (*at)[1] == '"')
            (*at)++;
        g_string_append_c(value, *(*at)++);
    }
    (*at)++;
    return g_string_free(g_steal_pointer(&value), FALSE);
}

/* Makes KEY's operator what udevd takes it for. FALSE: udevd refuses it. */
static gboolean settle_operator(UdevKey *key, Kind kind, gboolean is_final)
{
    gboolean is_match = key->op == UDEV_OP_MATCH || key->op == UDEV_OP_NO_MATCH;

    if (key->is_caseless && !is_match)
        return FALSE;
    switch (kind) {
    case MATCHES:
        return is_match;
    case MATCHES_ONCE:
        if (!is_match && key->op != UDEV_OP_REMOVE)
            key->op = UDEV_OP_MATCH;
        return key->op != UDEV_OP_REMOVE;
    case ASSIGNS:
        return !is_match && key->op != UDEV_OP_REMOVE;
    case SETS:
        return key->op == UDEV_OP_ASSIGN && !is_final;
    case BOTH:
        if (key->op == UDEV_OP_ADD)
            key->op = UDEV_OP_ASSIGN;
        return key->op != UDEV_OP_REMOVE;
    case LISTS:
        break;
    }
    return key->op != UDEV_OP_REMOVE || !g_str_equal(key->name, "ENV");
}

static gboolean is_acceptable(UdevKey *key, gboolean has_attribute, gboolean is_final)
{
    for (guint i = 0; i < G_N_ELEMENTS(known_keys); i++) {
        if (!g_str_equal(known_keys[i].name, key->name))
            continue;
        if (known_keys[i].attribute == NO_ATTRIBUTE
                ? has_attribute
                : known_keys[i].attribute == NEEDS_ATTRIBUTE && key->attribute[0] == '\0')
            return FALSE;
        return settle_operator(key, known_keys[i].kind, is_final);
    }
    return FALSE;
}

static UdevKey *take_key(const char **at)
{
    UdevKey *key = g_new0(UdevKey, 1);
    gsize length = strcspn(*at, BLANKS "={+-!:");
    gboolean has_attribute, is_final = FALSE;

    key->name = g_strndup(*at, length);
    *at += length;
    has_attribute = **at == '{';
    const char *end = has_attribute ? strchr(*at, '}') : NULL;
    key->attribute = end ? g_strndup(*at + 1, (gsize)(end - *at - 1)) : g_strdup("");
    if (end)
        *at = end + 1;
    *at += strspn(*at, BLANKS);
    if ((!has_attribute || end) && take_operator(at, &key->op, &is_final)) {
        *at += strspn(*at, BLANKS);
        key->value = take_value(at, &key->is_caseless);
        if (key->value && is_acceptable(key, has_attribute, is_final))
            return key;
    }
    key_free(key);
    return NULL;
}

GPtrArray *udev_rule_parse(const char *line)
{
    g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(key_free);

    for (const char *at = line; *(at += strspn(at, BLANKS ",")) != '\0';) {
        UdevKey *key = take_key(&at);

        if (key == NULL)
            return NULL;
        g_ptr_array_add(keys, key);
    }
    return g_steal_pointer(&keys);
}

const char *udev_rule_value(const GPtrArray *keys, const char *name)
{
    for (guint i = 0; i < keys->len; i++) {
        const UdevKey *key = keys->pdata[i];

        if (g_str_equal(key->name, name))
            return key->value;
    }
    return NULL;
}

static void add_rule(GPtrArray *rules, const char *text, guint first, guint last)
{
    GPtrArray *keys = strlen(text) < RULE_MAX_BYTES ? udev_rule_parse(text) : NULL;

    if (keys == NULL || keys->len == 0) {
        g_clear_pointer(&keys, g_ptr_array_unref);
        return;
    }
    UdevRule *rule = g_new(UdevRule, 1);
    *rule = (UdevRule){.first = first, .last = last, .text = g_strdup(text), .keys = keys};
    g_ptr_array_add(rules, rule);
}

/* A GOTO leads to the next rule with its label; without one it is ignored. */
static void find_jumps(GPtrArray *rules)
{
    for (guint i = 0; i < rules->len; i++) {
        UdevRule *rule = rules->pdata[i];
        const char *label = udev_rule_value(rule->keys, "GOTO");

        for (guint to = i + 1; label && to < rules->len && rule->jump == 0; to++) {
            const UdevRule *other = rules->pdata[to];
            if (g_strcmp0(udev_rule_value(other->keys, "LABEL"), label) == 0)
                rule->jump = to;
        }
    }
}

GPtrArray *udev_rules_parse(const char *text)
{
    GPtrArray *rules = g_ptr_array_new_with_free_func(rule_free);
    g_auto(GStrv) raw = g_strsplit(text, "\n", -1);
    g_autoptr(GString) joined = g_string_new(NULL);
    guint first = 0;

    for (guint i = 0; raw[i] != NULL; i++) {
        const char *piece = g_strchug(raw[i]);

        /* A comment may stand between the lines of a rule; what the end of the file cuts off is no
         * rule. */
        if (*piece == '#')
            continue;
        if (*piece == '\0' && raw[i + 1] == NULL)
            break;
        if (first == 0)
            first = i + 1;
        g_string_append(joined, piece);
        if (g_str_has_suffix(piece, "\\") && raw[i + 1] != NULL) {
            g_string_truncate(joined, joined->len - 1);
            continue;
        }
        add_rule(rules, joined->str, first, i + 1);
        g_string_truncate(joined, 0);
        first = 0;
    }
    find_jumps(rules);
    return rules;
}
