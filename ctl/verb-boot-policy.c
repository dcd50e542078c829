/*
 * boot-policy: whether the kernel itself brings DIMMs that are there at boot online as movable, set
 * on its command line as this distribution wants it done, and undone. It changes what it has made
 * itself and nothing else, and takes effect at the next boot.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/wait.h>

#include "ctl/json.h"
#include "ctl/text.h"
#include "ctl/verbs.h"
#include "system/attr.h"

#define OPTION "memhp_default_state="
#define WORD OPTION "online_movable"
#define GRUB_FILE "etc/default/grub.d/memplug.cfg"
#define CMDLINE_FILE "etc/kernel/cmdline"
/* What was done where that is in no file of our own. */
#define MARK_FILE "etc/memplug/boot-policy"
#define TEXT_MAX_BYTES (64 * 1024)

static const char grub_text[] =
    "# By memplugctl boot-policy movable; memplugctl boot-policy default removes it.\n"
    "GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX " WORD "\"\n";

typedef enum { WAY_NONE, WAY_GRUBBY, WAY_GRUB_D, WAY_CMDLINE } Way;
static const char *const way_names[] = {"none", "grubby", "grub.d", "kernel-install"};

typedef struct {
    const AttrIo *io;
    const char *root;
    gboolean is_elsewhere; /* no program is run for another tree than the machine's own */
    Way way;
    gboolean is_ours;
    GPtrArray *files;    /* which hold the option, ours among them */
    char *running;       /* the option's value in this boot; NULL: it is not there */
    gboolean is_movable; /* by the files, or by us, at the next boot */
    GPtrArray *told;     /* lines: what was done */
} Boot;

static char *read_text(const Boot *boot, const char *path)
{
    char *text = NULL;

    return attr_read_all(boot->io, path, TEXT_MAX_BYTES, &text) < 0 ? NULL : text;
}

static gboolean is_there(const Boot *boot, const char *path)
{
    g_autofree char *full = g_build_filename(boot->root, path, NULL);

    return g_file_test(full, G_FILE_TEST_EXISTS);
}

/* The option's last value in a text of lines, of which those that begin with # say nothing. */
static char *value_in(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    char *value = NULL;

    for (char **line = lines; *line; line++) {
        g_auto(GStrv) words = g_strsplit_set(g_strstrip(*line), " \t\"'", -1);
        for (char **word = words; **line != '#' && *word; word++) {
            if (!g_str_has_prefix(*word, OPTION))
                continue;
            g_free(value);
            value = g_strdup(*word + strlen(OPTION));
        }
    }
    return value;
}

static void look_at_file(Boot *boot, const char *path)
{
    g_autofree char *text = read_text(boot, path);
    g_autofree char *value = value_in(text);

    if (!value)
        return;
    g_ptr_array_add(boot->files, g_strconcat("/", path, NULL));
    boot->is_movable = boot->is_movable || strcmp(value, "online_movable") == 0;
}

static gboolean add_name(const char *name, gpointer user_data)
{
    if (g_str_has_suffix(name, ".cfg") || g_str_has_suffix(name, ".conf"))
        g_ptr_array_add(user_data, g_strdup(name));
    return TRUE;
}

static Way find_way(const Boot *boot)
{
    static const char *const entries[] = {"boot/loader/entries", "efi/loader/entries",
                                          "boot/efi/loader/entries"};

    if (is_there(boot, "usr/sbin/grubby") || is_there(boot, "usr/bin/grubby"))
        return WAY_GRUBBY;
    if (is_there(boot, "etc/default/grub") && is_there(boot, "usr/sbin/update-grub"))
        return WAY_GRUB_D;
    if (!is_there(boot, "usr/bin/kernel-install"))
        return WAY_NONE;
    for (guint i = 0; i < G_N_ELEMENTS(entries); i++) {
        if (is_there(boot, entries[i]))
            return WAY_CMDLINE;
    }
    return is_there(boot, CMDLINE_FILE) ? WAY_CMDLINE : WAY_NONE;
}

static void look(Boot *boot)
{
    static const char *const files[] = {"etc/default/grub", CMDLINE_FILE, "boot/grub2/grubenv"};
    static const char *const folders[] = {"etc/default/grub.d", "boot/loader/entries",
                                          "efi/loader/entries", "boot/efi/loader/entries"};
    g_autofree char *now = read_text(boot, "proc/cmdline");
    g_autofree char *own = read_text(boot, GRUB_FILE);

    g_ptr_array_set_size(boot->files, 0);
    g_free(boot->running);
    boot->running = value_in(now);
    boot->way = find_way(boot);
    boot->is_ours = g_strcmp0(own, grub_text) == 0 || is_there(boot, MARK_FILE);
    boot->is_movable = is_there(boot, MARK_FILE);
    for (guint i = 0; i < G_N_ELEMENTS(files); i++)
        look_at_file(boot, files[i]);
    for (guint i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        attr_list(boot->io, folders[i], add_name, names);
        for (guint n = 0; n < names->len; n++) {
            g_autofree char *path = g_build_filename(folders[i], names->pdata[n], NULL);
            look_at_file(boot, path);
        }
    }
}

/* --- changing --- */

static void tell(Boot *boot, const char *what, const char *object)
{
    g_ptr_array_add(boot->told, g_strconcat(what, " ", object, NULL));
}

static gboolean write_text(Boot *boot, const char *path, const char *text, GError **error)
{
    g_autofree char *full = g_build_filename(boot->root, path, NULL);
    g_autofree char *folder = g_path_get_dirname(full);

    if (g_mkdir_with_parents(folder, 0755) < 0) {
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "%s: %s", folder, g_strerror(errno));
        return FALSE;
    }
    if (!g_file_set_contents(full, text, -1, error))
        return FALSE;
    g_chmod(full, 0644);
    tell(boot, "wrote", full);
    return TRUE;
}

static gboolean remove_file(Boot *boot, const char *path, GError **error)
{
    g_autofree char *full = g_build_filename(boot->root, path, NULL);

    if (g_unlink(full) == 0) {
        tell(boot, "removed", full);
    } else if (errno != ENOENT) {
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "%s: %s", full, g_strerror(errno));
        return FALSE;
    }
    return TRUE;
}

/* Makes the boot loader's own files out of what stands in /etc. */
static gboolean run_tool(Boot *boot, gboolean set, GError **error)
{
    g_autofree char *release = read_text(boot, "proc/sys/kernel/osrelease");
    g_autofree char *image = NULL, *said = NULL;
    const char *argv[5] = {"update-grub"};
    int status;

    g_strchomp(release ? release : (release = g_strdup("")));
    image = g_strdup_printf("usr/lib/modules/%s/vmlinuz", release);
    if (!is_there(boot, image)) {
        g_free(image);
        image = g_strdup_printf("boot/vmlinuz-%s", release);
    }
    g_autofree char *path = g_strconcat("/", image, NULL);
    if (boot->way == WAY_GRUBBY) {
        argv[0] = "grubby";
        argv[1] = "--update-kernel=ALL";
        argv[2] = set ? "--args=" WORD : "--remove-args=" WORD;
    } else if (boot->way == WAY_CMDLINE) {
        argv[0] = "kernel-install";
        argv[1] = "add";
        argv[2] = release;
        argv[3] = path;
    }
    g_autofree char *line = g_strjoinv(" ", (char **)argv);
    if (boot->is_elsewhere) {
        tell(boot, "to be run there:", line);
        return TRUE;
    }
    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL,
                      NULL, NULL, NULL, &said, &status, error))
        return FALSE;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "%s failed: %s", line, g_strstrip(said));
        return FALSE;
    }
    tell(boot, "ran", line);
    return TRUE;
}

/* What /etc/kernel/cmdline has to hold where it is not there: what kernel-install takes instead. */
static char *first_cmdline(const Boot *boot)
{
    g_autofree char *text = read_text(boot, "usr/lib/kernel/cmdline");
    g_autoptr(GString) kept = g_string_new(NULL);

    if (!text)
        text = read_text(boot, "proc/cmdline");
    g_auto(GStrv) words = g_strsplit_set(text ? text : "", " \n", -1);
    for (char **word = words; *word; word++) {
        if (**word && !g_str_has_prefix(*word, "BOOT_IMAGE=") &&
            !g_str_has_prefix(*word, "initrd="))
            g_string_append_printf(kept, "%s ", *word);
    }
    return g_strdup(kept->str);
}

static gboolean write_cmdline(Boot *boot, GError **error)
{
    g_autofree char *old = read_text(boot, CMDLINE_FILE);
    g_autofree char *start = old ? g_strchomp(g_strdup(old)) : g_strchomp(first_cmdline(boot));
    g_autofree char *text = g_strconcat(start, *start ? " " : "", WORD "\n", NULL);
    g_autofree char *mark = g_strconcat(old ? "edited\n" : "created ", old ? "" : text, NULL);

    return write_text(boot, MARK_FILE, mark, error) && write_text(boot, CMDLINE_FILE, text, error);
}

/* Takes the last of our words out again, or the file, where it is as we made it. */
static gboolean restore_cmdline(Boot *boot, const char *mark, GError **error)
{
    g_autofree char *text = read_text(boot, CMDLINE_FILE);
    char *last = text ? g_strrstr(text, WORD) : NULL;

    if (text && g_str_has_prefix(mark, "created ") && strcmp(mark + strlen("created "), text) == 0)
        return remove_file(boot, CMDLINE_FILE, error);
    if (!last)
        return TRUE;
    char *end = last + strlen(WORD);
    if (last > text && last[-1] == ' ')
        last--;
    memmove(last, end, strlen(end) + 1);
    return write_text(boot, CMDLINE_FILE, text, error);
}

static gboolean undo(Boot *boot, GError **error)
{
    g_autofree char *mark = read_text(boot, MARK_FILE);
    g_autofree char *own = read_text(boot, GRUB_FILE);

    if (g_strcmp0(own, grub_text) == 0 && !remove_file(boot, GRUB_FILE, error))
        return FALSE;
    if (mark && boot->way == WAY_CMDLINE && !restore_cmdline(boot, mark, error))
        return FALSE;
    return run_tool(boot, FALSE, error) && remove_file(boot, MARK_FILE, error);
}

static gboolean set_movable(Boot *boot, GError **error)
{
    gboolean is_written = boot->way == WAY_GRUB_D ? write_text(boot, GRUB_FILE, grub_text, error)
                          : boot->way == WAY_CMDLINE
                              ? write_cmdline(boot, error)
                              : write_text(boot, MARK_FILE, "grubby\n", error);

    if (is_written && run_tool(boot, TRUE, error))
        return TRUE;
    undo(boot, NULL); /* as far as it goes: what failed is told */
    return FALSE;
}

/* --- the verb --- */

static gboolean change(Boot *boot, const char *to, GError **error)
{
    gboolean to_movable = strcmp(to, "movable") == 0;
    g_autofree char *where = NULL;

    g_ptr_array_add(boot->files, NULL);
    where = g_strjoinv(", ", (char **)boot->files->pdata);
    g_ptr_array_remove_index(boot->files, boot->files->len - 1);
    if (to_movable ? boot->is_movable : !boot->is_ours && boot->files->len == 0)
        return TRUE; /* as it is asked for already */
    if (!to_movable && !boot->is_ours)
        g_set_error(error, CTL_ERROR, CTL_REFUSED,
                    "%s has " OPTION ", and memplugctl did not put it there: change it by hand",
                    where);
    else if (to_movable && boot->way == WAY_NONE)
        g_set_error(error, CTL_ERROR, CTL_REFUSED,
                    "no boot loader is known here (grubby, GRUB with update-grub, kernel-install): "
                    "put " WORD " on the kernel's command line where this guest gets it from");
    else
        return to_movable ? set_movable(boot, error) : undo(boot, error);
    return FALSE;
}

static void show_json(const Boot *boot)
{
    JsonObject *object = json_object_new();
    JsonArray *files = json_array_new(), *done = json_array_new();
    JsonNode *node = json_node_init_object(json_node_alloc(), object);
    gboolean is_now = g_strcmp0(boot->running, "online_movable") == 0;

    for (guint i = 0; i < boot->files->len; i++)
        json_array_add_string_element(files, boot->files->pdata[i]);
    for (guint i = 0; i < boot->told->len; i++)
        json_array_add_string_element(done, boot->told->pdata[i]);
    json_object_set_string_member(object, "policy", boot->is_movable ? "movable" : "default");
    json_object_set_string_member(object, "way", way_names[boot->way]);
    json_object_set_boolean_member(object, "by-memplug", boot->is_ours);
    json_object_set_array_member(object, "files", files);
    if (boot->running)
        json_object_set_string_member(object, "running", boot->running);
    json_object_set_boolean_member(object, "reboot-needed", boot->is_movable != is_now);
    json_object_set_array_member(object, "done", done);
    ctl_json_print(node);
    json_node_unref(node);
    json_object_unref(object);
}

static void show(const Boot *boot, Terminal *terminal)
{
    gboolean is_now = g_strcmp0(boot->running, "online_movable") == 0;

    for (guint i = 0; i < boot->told->len; i++)
        terminal_print(terminal, COLOUR_NONE, "%s", (char *)boot->told->pdata[i]);
    terminal_print(terminal, COLOUR_NONE, "next boot:   %s%s",
                   boot->is_movable ? WORD : "as the kernel was built",
                   !boot->is_movable ? ""
                   : boot->is_ours   ? ", by memplugctl (boot-policy default undoes it)"
                                     : ", not by memplugctl");
    for (guint i = 0; i < boot->files->len; i++) {
        g_autofree char *file = text_safe(boot->files->pdata[i]);
        terminal_print(terminal, COLOUR_NONE, "             in %s", file);
    }
    g_autofree char *running = boot->running ? text_safe(boot->running) : NULL;
    terminal_print(terminal, COLOUR_NONE, "this kernel: %s%s", running ? OPTION : "was not told",
                   running ? running : "");
    if (boot->is_movable != is_now)
        terminal_print(terminal, COLOUR_WARN, "a reboot is needed for it to take effect");
}

CtlStatus verb_boot_policy(Ctl *ctl, GError **error)
{
    const char *to = ctl->line->operands[0] ? ctl->line->operands[0] : "status";
    const char *root = ctl->line->sysroot;
    g_autoptr(AttrIo) io = attr_io_open(root ? root : "/", ATTR_READ_ONLY, error);
    static const char *const known[] = {"movable", "default", "status", NULL};
    Boot boot = {.io = io, .root = root ? root : "/", .is_elsewhere = root != NULL};

    if (io && !g_strv_contains(known, to))
        g_set_error(error, CTL_ERROR, CTL_USAGE, "boot-policy takes movable, default or status");
    if (!io || !g_strv_contains(known, to))
        return CTL_USAGE;
    boot.files = g_ptr_array_new_with_free_func(g_free);
    boot.told = g_ptr_array_new_with_free_func(g_free);
    look(&boot);
    gboolean is_done = strcmp(to, "status") == 0 || change(&boot, to, error);
    if (is_done) {
        look(&boot);
        if (ctl->line->json)
            show_json(&boot);
        else
            show(&boot, &ctl->terminal);
    }
    g_ptr_array_unref(boot.files);
    g_ptr_array_unref(boot.told);
    g_free(boot.running);
    return is_done ? CTL_DONE : CTL_REFUSED;
}
