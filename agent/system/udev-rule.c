/*
 * KEY{attribute}OP"value", with commas or white space between. As udevd reads it: what it would
 * refuse is refused whole, as it then acts on nothing of the line.
 */
#include "system/udev-rule.h"

#include <string.h>

static void key_free(gpointer data)
{
    UdevKey *key = data;

    g_free(key->name);
    g_free(key->attribute);
    g_free(key->value);
    g_free(key);
}

static gboolean take_operator(const char **at, UdevOperator *op)
{
    static const struct {
        const char *text;
        UdevOperator op;
    } operators[] = {{"==", UDEV_OP_MATCH},  {"!=", UDEV_OP_NO_MATCH}, {"+=", UDEV_OP_ADD},
                     {"-=", UDEV_OP_REMOVE}, {":=", UDEV_OP_ASSIGN},   {"=", UDEV_OP_ASSIGN}};

    for (guint i = 0; i < G_N_ELEMENTS(operators); i++) {
        if (g_str_has_prefix(*at, operators[i].text)) {
            *at += strlen(operators[i].text);
            *op = operators[i].op;
            return TRUE;
        }
    }
    return FALSE;
}

/* "…", e"…" (C escapes), i"…" (matches in any case): the text between the quotes. */
static char *take_value(const char **at)
{
    GString *value = g_string_new(NULL);

    if (**at == 'e' || **at == 'i')
        (*at)++;
    if (*(*at)++ != '"') {
        g_string_free(value, TRUE);
        return NULL;
    }
    while (**at != '"' && **at != '\0') {
        if ((*at)[0] == '\\' && (*at)[1] == '"')
            (*at)++;
        g_string_append_c(value, *(*at)++);
    }
    gboolean is_closed = **at == '"';
    if (is_closed)
        (*at)++;
    return g_string_free(value, !is_closed);
}

static UdevKey *take_key(const char **at)
{
    g_autofree char *attribute = NULL;
    UdevOperator op;
    gsize length = 0;

    while (g_ascii_isalpha((*at)[length]) || (*at)[length] == '_')
        length++;
    if (length == 0)
        return NULL;
    g_autofree char *name = g_strndup(*at, length);
    *at += length;
    if (**at == '{') {
        const char *end = strchr(*at, '}');

        if (end == NULL)
            return NULL;
        attribute = g_strndup(*at + 1, (gsize)(end - *at - 1));
        *at = end + 1;
    }
    *at += strspn(*at, " \t");
    if (!take_operator(at, &op))
        return NULL;
    *at += strspn(*at, " \t");
    char *value = take_value(at);
    if (value == NULL)
        return NULL;
    UdevKey *key = g_new(UdevKey, 1);
    *key = (UdevKey){.name = g_steal_pointer(&name),
                     .attribute = attribute ? g_steal_pointer(&attribute) : g_strdup(""),
                     .op = op,
                     .value = value};
    return key;
}

GPtrArray *udev_rule_parse(const char *line)
{
    g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(key_free);

    for (const char *at = line; *(at += strspn(at, " \t,")) != '\0';) {
        UdevKey *key = take_key(&at);

        if (key == NULL)
            return NULL;
        g_ptr_array_add(keys, key);
    }
    return g_steal_pointer(&keys);
}
