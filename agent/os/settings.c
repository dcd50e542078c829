/*
 * Settings as a table: one row for each key, with the functions that read and print its kind of
 * value. A new key is a new row.
 */
#include "os/settings.h"

#include <string.h>

#include "decide/unplug.h"

typedef struct {
    guint64 min, max;
} Range;

typedef struct Key Key;
struct Key {
    const char *group;
    const char *key;
    gsize offset; /* of the member in Settings */
    /* Returns NULL, or what was expected. */
    const char *(*parse)(const Key *key, const char *text, gpointer member);
    /* (transfer full); NULL: at its default, which has no text. */
    char *(*print)(gconstpointer member);
    Range range;
};

static const char *parse_method(G_GNUC_UNUSED const Key *key, const char *text, gpointer member)
{
    ChannelMethod *method = member;

    if (g_str_equal(text, "virtio-serial"))
        *method = METHOD_VIRTIO_SERIAL;
    else if (g_str_equal(text, "unix-listen"))
        *method = METHOD_UNIX_LISTEN;
    else
        return "virtio-serial or unix-listen";
    return NULL;
}

static char *print_method(gconstpointer member)
{
    const ChannelMethod *method = member;

    return g_strdup(*method == METHOD_UNIX_LISTEN ? "unix-listen" : "virtio-serial");
}

static const char *parse_path(G_GNUC_UNUSED const Key *key, const char *text, gpointer member)
{
    char **path = member;

    if (!g_path_is_absolute(text) && strchr(text, '/') == NULL)
        return "a path";
    g_free(*path);
    *path = g_strdup(text);
    return NULL;
}

static char *print_path(gconstpointer member)
{
    return g_strdup(*(char *const *)member);
}

/* A GKeyFile list; the names themselves are checked by whoever knows the commands. */
static const char *parse_list(G_GNUC_UNUSED const Key *key, const char *text, gpointer member)
{
    char ***list = member;

    g_strfreev(*list);
    *list = g_strsplit_set(text, ";,", -1);
    guint kept = 0;
    for (char **name = *list; *name; name++) {
        if (*g_strstrip(*name))
            (*list)[kept++] = *name;
        else
            g_free(*name);
    }
    (*list)[kept] = NULL;
    return NULL;
}

static char *print_list(gconstpointer member)
{
    char *const *const *list = member;

    return *list ? g_strjoinv(";", (char **)*list) : NULL;
}

static const char *parse_policy(G_GNUC_UNUSED const Key *key, const char *text, gpointer member)
{
    return online_policy_parse(text, member) ? NULL : "movable, kernel, auto or none";
}

static char *print_policy(gconstpointer member)
{
    return g_strdup(online_policy_name(*(const OnlinePolicy *)member));
}

static const char *parse_existing(G_GNUC_UNUSED const Key *key, const char *text, gpointer member)
{
    gboolean *adopt = member;

    if (!g_str_equal(text, "adopt") && !g_str_equal(text, "leave"))
        return "adopt or leave";
    *adopt = g_str_equal(text, "adopt");
    return NULL;
}

static char *print_existing(gconstpointer member)
{
    return g_strdup(*(const gboolean *)member ? "adopt" : "leave");
}

static const char *parse_bool(G_GNUC_UNUSED const Key *key, const char *text, gpointer member)
{
    gboolean *value = member;

    if (!g_str_equal(text, "yes") && !g_str_equal(text, "no"))
        return "yes or no";
    *value = g_str_equal(text, "yes");
    return NULL;
}

static char *print_bool(gconstpointer member)
{
    return g_strdup(*(const gboolean *)member ? "yes" : "no");
}

static const char *parse_uint(const Key *key, const char *text, gpointer member)
{
    guint64 value;

    if (!g_ascii_string_to_unsigned(text, 10, key->range.min, key->range.max, &value, NULL))
        return "a whole number within its limits (see memplugd.conf)";
    *(guint64 *)member = value;
    return NULL;
}

static char *print_uint(gconstpointer member)
{
    guint64 value = *(const guint64 *)member;

    return value ? g_strdup_printf("%" G_GUINT64_FORMAT, value) : NULL;
}

/* clang-format off */
static const Key keys[] = {
    {"channel", "method", offsetof(Settings, method), parse_method, print_method, {0, 0}},
    {"channel", "path", offsetof(Settings, path), parse_path, print_path, {0, 0}},
    {"protocol", "allow-rpcs", offsetof(Settings, allow_rpcs), parse_list, print_list, {0, 0}},
    {"protocol", "block-rpcs", offsetof(Settings, block_rpcs), parse_list, print_list, {0, 0}},
    {"online", "policy", offsetof(Settings, online.policy), parse_policy, print_policy, {0, 0}},
    {"online", "existing", offsetof(Settings, adopt_existing), parse_existing, print_existing, {0, 0}},
    {"online", "rezone", offsetof(Settings, online.rezone), parse_bool, print_bool, {0, 0}},
    {"online", "movable-ratio", offsetof(Settings, online.movable_ratio), parse_uint, print_uint,
     {ONLINE_RATIO_MIN, ONLINE_RATIO_MAX}},
    {"online", "kernel-floor-bytes", offsetof(Settings, online.kernel_floor_bytes), parse_uint,
     print_uint, {0, G_MAXINT64}},
    {"unplug", "timeout-ms", offsetof(Settings, timeout_ms), parse_uint, print_uint,
     {1, UNPLUG_TIMEOUT_MAX_MS}},
    {"unplug", "lease-ms", offsetof(Settings, lease_ms), parse_uint, print_uint,
     {1, UNPLUG_LEASE_MAX_MS}},
    {"unplug", "reserve-bytes", offsetof(Settings, reserve_bytes), parse_uint, print_uint,
     {0, G_MAXINT64}},
    {"unplug", "gate", offsetof(Settings, unplug_gate), parse_bool, print_bool, {0, 0}},
};
/* clang-format on */

static gpointer member_of(const Settings *settings, const Key *key)
{
    return (char *)settings + key->offset;
}

Settings *settings_new(void)
{
    Settings *settings = g_new0(Settings, 1);

    settings->online = (OnlineConfig){
        .policy = ONLINE_POLICY_MOVABLE, .movable_ratio = ONLINE_RATIO_DEFAULT, .rezone = TRUE};
    settings->adopt_existing = TRUE;
    settings->lease_ms = 60000;
    return settings;
}

static void settings_clear(Settings *settings)
{
    g_free(settings->path);
    g_strfreev(settings->allow_rpcs);
    g_strfreev(settings->block_rpcs);
}

void settings_free(Settings *settings)
{
    if (!settings)
        return;
    settings_clear(settings);
    g_free(settings);
}

gboolean settings_set(Settings *settings, const char *group, const char *key, const char *value,
                      GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (!g_str_equal(keys[i].group, group) || !g_str_equal(keys[i].key, key))
            continue;
        const char *expected = keys[i].parse(&keys[i], value, member_of(settings, &keys[i]));
        if (!expected)
            return TRUE;
        g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
                    "[%s] %s: '%s' is not %s", group, key, value, expected);
        return FALSE;
    }
    g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_KEY_NOT_FOUND,
                "[%s] %s: there is no such setting", group, key);
    return FALSE;
}

static Settings *settings_copy(const Settings *settings)
{
    Settings *copy = g_new(Settings, 1);

    *copy = *settings;
    copy->path = g_strdup(settings->path);
    copy->allow_rpcs = g_strdupv(settings->allow_rpcs);
    copy->block_rpcs = g_strdupv(settings->block_rpcs);
    return copy;
}

static gboolean load_file(Settings *settings, const char *path, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();

    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, error)) {
        g_prefix_error(error, "%s: ", path);
        return FALSE;
    }
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
    for (char **group = groups; *group; group++) {
        g_auto(GStrv) names = g_key_file_get_keys(file, *group, NULL, NULL);
        for (char **name = names; name && *name; name++) {
            g_autofree char *value = g_key_file_get_value(file, *group, *name, NULL);
            if (!settings_set(settings, *group, *name, g_strstrip(value), error)) {
                g_prefix_error(error, "%s: ", path);
                return FALSE;
            }
        }
    }
    return TRUE;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static gboolean load_directory(Settings *settings, const char *path, GError **error)
{
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    while (directory && (name = g_dir_read_name(directory))) {
        if (g_str_has_suffix(name, ".conf") && name[0] != '.')
            g_ptr_array_add(names, g_build_filename(path, name, NULL));
    }
    g_ptr_array_sort(names, compare_names);
    for (guint i = 0; i < names->len; i++) {
        if (!load_file(settings, names->pdata[i], error))
            return FALSE;
    }
    return TRUE;
}

gboolean settings_load(Settings *settings, const char *path, gboolean required, GError **error)
{
    g_autoptr(Settings) loaded = settings_copy(settings);
    g_autofree char *directory = g_strconcat(path, ".d", NULL);

    if ((required || g_file_test(path, G_FILE_TEST_EXISTS)) && !load_file(loaded, path, error))
        return FALSE;
    if (!load_directory(loaded, directory, error))
        return FALSE;
    Settings old = *settings;
    *settings = *loaded;
    *loaded = old;
    return TRUE;
}

char *settings_dump(const Settings *settings)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const char *group = "";

    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autofree char *value = keys[i].print(member_of(settings, &keys[i]));
        if (!value)
            continue;
        if (!g_str_equal(group, keys[i].group))
            g_string_append_printf(text, "%s[%s]\n", *group ? "\n" : "", keys[i].group);
        group = keys[i].group;
        g_string_append_printf(text, "%s=%s\n", keys[i].key, value);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

const char *settings_channel_path(const Settings *settings)
{
    if (settings->path)
        return settings->path;
    return settings->method == METHOD_VIRTIO_SERIAL ? SETTINGS_PORT_PATH
                                                    : SETTINGS_STATE_DIR "/memplugd.sock";
}
