/*
 * Settings as a table: one row for each key, with the functions that read and print its kind of
 * value. A new key is a new row.
 */
#include "os/settings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "decide/unplug.h"
#include "qga-protocol/errors.h"

#define FILE_MAX_BYTES (256 * 1024)
#define QUOTE_MAX_BYTES 200

typedef struct {
    guint64 min, max;
} Range;

typedef struct Key Key;
struct Key {
    const char *group;
    const char *key;
    /* Whether a reload's value is used at once; else it is used from the next start on. */
    gboolean is_live;
    gsize offset, size; /* of the member in Settings */
    /* Returns NULL, or what was expected. */
    const char *(*parse)(const Key *key, const char *text, gpointer member);
    /* (transfer full); NULL: at its default, which has no text. */
    char *(*print)(gconstpointer member);
    Range range;
};

static const char *const methods[] = {[METHOD_VIRTIO_SERIAL] = "virtio-serial",
                                      [METHOD_UNIX_LISTEN] = "unix-listen",
                                      [METHOD_ISA_SERIAL] = "isa-serial",
                                      [METHOD_VSOCK_LISTEN] = "vsock-listen"};

static const char *parse_method(G_GNUC_UNUSED const Key *key, const char *text, gpointer member)
{
    for (guint i = 0; i < G_N_ELEMENTS(methods); i++) {
        if (g_str_equal(text, methods[i])) {
            *(ChannelMethod *)member = i;
            return NULL;
        }
    }
    return "virtio-serial, unix-listen, isa-serial or vsock-listen";
}

static char *print_method(gconstpointer member)
{
    return g_strdup(methods[*(const ChannelMethod *)member]);
}

/* Of vsock-listen: "3:1234". */
static gboolean is_cid_and_port(const char *text)
{
    const char *colon = strchr(text, ':');

    return colon && colon != text && colon[1] &&
           strspn(text, "0123456789") == (gsize)(colon - text) &&
           strspn(colon + 1, "0123456789") == strlen(colon + 1);
}

static const char *parse_path(G_GNUC_UNUSED const Key *key, const char *text, gpointer member)
{
    char **path = member;

    if (strchr(text, '/') == NULL && !is_cid_and_port(text))
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

static const char *const kernel_settings_names[] = {
    [KERNEL_SETTINGS_AUTO] = "auto",
    [KERNEL_SETTINGS_YES] = "yes",
    [KERNEL_SETTINGS_NO] = "no",
};

static const char *parse_kernel_settings(G_GNUC_UNUSED const Key *key, const char *text,
                                         gpointer member)
{
    for (guint i = 0; i < G_N_ELEMENTS(kernel_settings_names); i++) {
        if (g_str_equal(text, kernel_settings_names[i])) {
            *(KernelSettings *)member = (KernelSettings)i;
            return NULL;
        }
    }
    return "auto, yes or no";
}

static char *print_kernel_settings(gconstpointer member)
{
    return g_strdup(kernel_settings_names[*(const KernelSettings *)member]);
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

static const char *parse_percent(G_GNUC_UNUSED const Key *key, const char *text, gpointer member)
{
    guint64 value = 0;

    if (!g_str_equal(text, "no") && !g_ascii_string_to_unsigned(text, 10, 1, 100, &value, NULL))
        return "no, or a percentage from 1 to 100";
    *(guint64 *)member = value;
    return NULL;
}

static char *print_percent(gconstpointer member)
{
    char *text = print_uint(member);

    return text ? text : g_strdup("no");
}

#define MEMBER(name) offsetof(Settings, name), sizeof(((Settings *)NULL)->name)
#define LIVE TRUE
#define AT_START FALSE

/* clang-format off */
static const Key keys[] = {
    {"channel", "method", AT_START, MEMBER(method), parse_method, print_method, {0, 0}},
    {"channel", "path", AT_START, MEMBER(path), parse_path, print_path, {0, 0}},
    {"channel", "upstream", AT_START, MEMBER(upstream), parse_path, print_path, {0, 0}},
    {"protocol", "allow-rpcs", LIVE, MEMBER(allow_rpcs), parse_list, print_list, {0, 0}},
    {"protocol", "block-rpcs", LIVE, MEMBER(block_rpcs), parse_list, print_list, {0, 0}},
    {"online", "policy", LIVE, MEMBER(online.policy), parse_policy, print_policy, {0, 0}},
    {"online", "existing", AT_START, MEMBER(adopt_existing), parse_existing, print_existing, {0, 0}},
    {"online", "rezone", LIVE, MEMBER(online.rezone), parse_bool, print_bool, {0, 0}},
    {"online", "kernel-settings", LIVE, MEMBER(online.kernel_settings), parse_kernel_settings,
     print_kernel_settings, {0, 0}},
    {"online", "movable-ratio", LIVE, MEMBER(online.movable_ratio), parse_uint, print_uint,
     {ONLINE_RATIO_MIN, ONLINE_RATIO_MAX}},
    {"online", "kernel-floor-bytes", LIVE, MEMBER(online.kernel_floor_bytes), parse_uint, print_uint,
     {0, G_MAXINT64}},
    {"unplug", "timeout-ms", LIVE, MEMBER(timeout_ms), parse_uint, print_uint,
     {1, UNPLUG_TIMEOUT_MAX_MS}},
    {"unplug", "lease-ms", LIVE, MEMBER(lease_ms), parse_uint, print_uint,
     {1, UNPLUG_LEASE_MAX_MS}},
    {"unplug", "reserve-bytes", LIVE, MEMBER(reserve_bytes), parse_uint, print_uint, {0, G_MAXINT64}},
    {"unplug", "use-swap", LIVE, MEMBER(use_swap), parse_percent, print_percent, {0, 0}},
    {"unplug", "application-delay-ms", LIVE, MEMBER(application_delay_ms), parse_uint, print_uint,
     {1, UNPLUG_APPLICATION_DELAY_MAX_MS}},
    {"unplug", "gate", AT_START, MEMBER(unplug_gate), parse_bool, print_bool, {0, 0}},
};
/* clang-format on */

static gpointer member_of(const Settings *settings, const Key *key)
{
    return (char *)settings + key->offset;
}

Settings *settings_new(void)
{
    Settings *settings = g_new0(Settings, 1);

    settings->online = (OnlineConfig)ONLINE_CONFIG_DEFAULT;
    settings->adopt_existing = TRUE;
    settings->lease_ms = 60000;
    settings->application_delay_ms = 5000;
    return settings;
}

static void settings_clear(Settings *settings)
{
    g_free(settings->path);
    g_free(settings->upstream);
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

static const Key *find_key(const char *group, const char *key)
{
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (g_str_equal(keys[i].group, group) && g_str_equal(keys[i].key, key))
            return &keys[i];
    }
    return NULL;
}

gboolean settings_set(Settings *settings, const char *group, const char *key, const char *value,
                      GError **error)
{
    const Key *found = find_key(group, key);
    const char *expected;

    if (!found) {
        g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_KEY_NOT_FOUND,
                    "[%s] %.*s: there is no such setting", group,
                    (int)qga_error_clip(key, QUOTE_MAX_BYTES), key);
        return FALSE;
    }
    expected = found->parse(found, value, member_of(settings, found));
    if (expected)
        g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
                    "[%s] %s: '%.*s' is not %s", group, key,
                    (int)qga_error_clip(value, QUOTE_MAX_BYTES), value, expected);
    return expected == NULL;
}

void settings_compare(const Settings *a, const Settings *b, SettingsKeyFunc func,
                      gpointer user_data)
{
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autofree char *left = keys[i].print(member_of(a, &keys[i]));
        g_autofree char *right = keys[i].print(member_of(b, &keys[i]));

        if (g_strcmp0(left, right) != 0)
            func(keys[i].group, keys[i].key, keys[i].is_live, user_data);
    }
}

void settings_swap_live(Settings *a, Settings *b)
{
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        guint8 bytes[sizeof(Settings)];

        if (!keys[i].is_live)
            continue;
        memcpy(bytes, member_of(a, &keys[i]), keys[i].size);
        memcpy(member_of(a, &keys[i]), member_of(b, &keys[i]), keys[i].size);
        memcpy(member_of(b, &keys[i]), bytes, keys[i].size);
    }
}

Settings *settings_copy(const Settings *settings)
{
    Settings *copy = g_new(Settings, 1);

    *copy = *settings;
    copy->path = g_strdup(settings->path);
    copy->upstream = g_strdup(settings->upstream);
    copy->allow_rpcs = g_strdupv(settings->allow_rpcs);
    copy->block_rpcs = g_strdupv(settings->block_rpcs);
    return copy;
}

/* --- files --- */

static gboolean fail(GError **error, const char *path, int code, const char *text)
{
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(code), "%s: %s", path, text);
    return FALSE;
}

/* Not a link that leads nowhere, and not what may not be looked at: those are there. */
static gboolean is_missing(const char *path)
{
    struct stat st;

    return lstat(path, &st) < 0 && errno == ENOENT;
}

/* A file, or /dev/null, which is how systemd's tools mask one. */
static gboolean is_file(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 &&
           (S_ISREG(st.st_mode) || (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)));
}

/* The whole of PATH, which is text. */
static GString *read_text(const char *path, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    char bytes[4096];
    gssize n;

    /* Not to wait for a FIFO's other end. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        fail(error, path, errno, g_strerror(errno));
        return NULL;
    }
    int code = is_file(fd) ? 0 : EINVAL;
    const char *fault = code ? "this is no file" : NULL;
    while (!code && (n = read(fd, bytes, sizeof bytes)) != 0) {
        if (n > 0)
            g_string_append_len(text, bytes, n);
        else if (errno != EINTR)
            fault = g_strerror(code = errno);
        if (text->len > FILE_MAX_BYTES)
            fault = g_strerror(code = EFBIG);
    }
    close(fd);
    /* GLib's check takes a NUL for a fault too. */
    const char *end = text->str;
    g_autofree char *where = NULL;
    if (!code && !g_utf8_validate(text->str, (gssize)text->len, &end)) {
        guint line = 1;
        for (const char *at = text->str; at < end; at++)
            line += *at == '\n' ? 1 : 0;
        code = EILSEQ;
        fault = where = g_strdup_printf("line %u is not UTF-8 text", line);
    }
    if (!code)
        return g_steal_pointer(&text);
    fail(error, path, code, fault);
    return NULL;
}

static gboolean is_group(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (g_str_equal(keys[i].group, name))
            return TRUE;
    }
    return FALSE;
}

static gboolean take_group(Settings *settings, GKeyFile *file, const char *group, GError **error)
{
    g_auto(GStrv) names = g_key_file_get_keys(file, group, NULL, NULL);

    if (!is_group(group)) {
        g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_GROUP_NOT_FOUND,
                    "[%.*s]%s%.*s: there is no such group",
                    (int)qga_error_clip(group, QUOTE_MAX_BYTES), group, names && *names ? " " : "",
                    names && *names ? (int)qga_error_clip(*names, QUOTE_MAX_BYTES) : 0,
                    names && *names ? *names : "");
        return FALSE;
    }
    for (char **name = names; name && *name; name++) {
        g_autofree char *value = g_key_file_get_value(file, group, *name, NULL);
        if (!settings_set(settings, group, *name, g_strstrip(value), error))
            return FALSE;
    }
    return TRUE;
}

static gboolean load_file(Settings *settings, const char *path, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GString) text = read_text(path, error);

    if (!text)
        return FALSE;
    /* An empty file has nothing to parse. */
    gboolean ok = text->len == 0 ||
                  g_key_file_load_from_data(file, text->str, text->len, G_KEY_FILE_NONE, error);
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
    for (char **group = groups; ok && *group; group++)
        ok = take_group(settings, file, *group, error);
    if (!ok)
        g_prefix_error(error, "%s: ", path);
    return ok;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static gboolean load_directory(Settings *settings, const char *path, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const struct dirent *entry;

    if (is_missing(path))
        return TRUE;
    DIR *directory = opendir(path);
    if (!directory)
        return fail(error, path, errno, g_strerror(errno));
    while ((void)(errno = 0), (entry = readdir(directory))) {
        if (g_str_has_suffix(entry->d_name, ".conf") && entry->d_name[0] != '.')
            g_ptr_array_add(names, g_build_filename(path, entry->d_name, NULL));
    }
    int code = errno;
    closedir(directory);
    if (code)
        return fail(error, path, code, g_strerror(code));
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

    if ((required || !is_missing(path)) && !load_file(loaded, path, error))
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

gboolean settings_let_rule_online(const Settings *settings, OnlinePolicy policy)
{
    return settings->adopt_existing &&
           (policy == ONLINE_POLICY_MOVABLE || policy == ONLINE_POLICY_AUTO);
}

const char *settings_channel_path(const Settings *settings)
{
    static const char *const defaults[] = {[METHOD_VIRTIO_SERIAL] = SETTINGS_PORT_PATH,
                                           [METHOD_UNIX_LISTEN] =
                                               SETTINGS_STATE_DIR "/memplugd.sock",
                                           [METHOD_ISA_SERIAL] = SETTINGS_SERIAL_PATH,
                                           [METHOD_VSOCK_LISTEN] = NULL};

    return settings->path ? settings->path : defaults[settings->method];
}
