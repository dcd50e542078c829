/*
 * The kernel's own settings for new memory. What was there is written to statedir before the first
 * write. A setting that somebody else has changed since is theirs: it is not put back.
 */
#include "engine/kernel-setter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "os/boot-file.h"
#include "system/block.h"

#define PARAMETERS_DIR "sys/module/memory_hotplug/parameters"
#define DAX_DIR "sys/bus/dax/devices"
#define ORIGINALS_FILE "kernel-settings"

enum { AUTO_ONLINE, ONLINE_POLICY, MOVABLE_RATIO, N_SETTINGS };

static const struct {
    const char *dir, *name;
    gsize offset; /* in KernelOnlining */
} places[N_SETTINGS] = {
    {BLOCK_DIR, "auto_online_blocks", offsetof(KernelOnlining, auto_online_blocks)},
    {PARAMETERS_DIR, "online_policy", offsetof(KernelOnlining, online_policy)},
    {PARAMETERS_DIR, "auto_movable_ratio", offsetof(KernelOnlining, movable_ratio)},
};

struct KernelSetter {
    const AttrIo *io;
    Executor *executor;
    const char *state_dir;
    const char *boot_id;
    KernelOnlining original; /* before any daemon of this boot */
    KernelOnlining set;      /* what the last write was to make of it; else as original */
    gboolean is_journaled;   /* the originals are in statedir */
    gboolean is_unkept;      /* said once: they cannot be put there */
    gboolean is_left_alone;  /* the last word on it: the settings are not ours to make */
    gboolean has_warned;
    guint n_tasks;               /* that have not called back */
    KernelSetterFunc on_settled; /* or NULL */
    gpointer on_settled_data;
    KernelSetterFunc on_restored;
    gpointer on_restored_data;
};

/* One set of writes. Its words live as long as the worker may read them. */
typedef struct {
    KernelSetter *setter;
    KernelOnlining words;
    KernelOnlining before;
    int places[N_SETTINGS]; /* of each step */
    KernelSetterFunc func;  /* or NULL */
    gpointer user_data;
    gboolean is_restore;
} Task;

static char *word_of(KernelOnlining *words, int place)
{
    return (char *)words + places[place].offset;
}

static KernelOnlining read_now(const AttrIo *io, gboolean is_first)
{
    KernelOnlining now = {"", "", ""};

    for (int i = 0; i < N_SETTINGS; i++) {
        char path[128], line[KERNEL_WORD_MAX];
        g_snprintf(path, sizeof path, "%s/%s", places[i].dir, places[i].name);
        gssize n = attr_read_line(io, path, line, sizeof line);
        if (n > 0)
            g_strlcpy(word_of(&now, i), line, KERNEL_WORD_MAX);
        else if (n < 0 && n != -ENOENT && is_first)
            g_warning("cannot read /%s, so it is left alone: %s", path, g_strerror((int)-n));
    }
    return now;
}

static gboolean save_originals(KernelSetter *setter)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) lines = g_string_new(NULL);

    if (setter->is_journaled)
        return TRUE;
    for (int i = 0; i < N_SETTINGS; i++)
        g_string_append_printf(lines, "%s\n", word_of(&setter->original, i));
    if (!boot_file_save(setter->state_dir, ORIGINALS_FILE, setter->boot_id, lines->str, &error)) {
        if (!setter->is_unkept)
            g_warning("the kernel's settings are left alone, as they cannot be kept: %s",
                      error->message);
        setter->is_unkept = TRUE;
        return FALSE;
    }
    setter->is_journaled = TRUE;
    setter->is_unkept = FALSE;
    return TRUE;
}

/* A word that the kernel could have printed. */
static gboolean is_word(const char *word)
{
    return strlen(word) < KERNEL_WORD_MAX &&
           strspn(word, "abcdefghijklmnopqrstuvwxyz_-0123456789") == strlen(word);
}

/* What an earlier daemon found, if its file makes sense; it was killed, or this is not its first.
 */
static void load_originals(KernelSetter *setter)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text =
        boot_file_load(setter->state_dir, ORIGINALS_FILE, setter->boot_id, &error);

    if (error)
        g_warning("the kernel's original settings are lost: %s", error->message);
    if (!text)
        return;
    g_auto(GStrv) lines = g_strsplit(text, "\n", N_SETTINGS + 1);
    for (int i = 0; i < N_SETTINGS; i++) {
        if (g_strv_length(lines) != N_SETTINGS + 1 || !is_word(lines[i])) {
            g_warning("the kernel's original settings are lost: the file makes no sense");
            return;
        }
    }
    for (int i = 0; i < N_SETTINGS; i++)
        g_strlcpy(word_of(&setter->original, i), lines[i], KERNEL_WORD_MAX);
    setter->is_journaled = TRUE;
}

KernelSetter *kernel_setter_new(const AttrIo *io, Executor *executor, const char *state_dir,
                                const char *boot_id)
{
    KernelSetter *setter = g_new0(KernelSetter, 1);

    setter->io = io;
    setter->executor = executor;
    setter->state_dir = state_dir;
    setter->boot_id = boot_id;
    setter->original = read_now(io, TRUE);
    setter->set = setter->original;
    load_originals(setter);
    return setter;
}

void kernel_setter_free(KernelSetter *setter)
{
    g_free(setter);
}

static void on_done(const WorkResult *result, gpointer user_data)
{
    Task *task = user_data;
    KernelSetter *setter = task->setter;
    guint n_failed = 0;

    for (guint i = 0; i < result->n_steps; i++) {
        int place = task->places[i];
        if (result->errors[i] == 0)
            continue;
        n_failed++;
        g_strlcpy(word_of(&setter->set, place), word_of(&task->before, place), KERNEL_WORD_MAX);
        if (!setter->has_warned)
            g_warning("cannot write '%s' to /%s/%s (%s%s): the kernel brings new memory online its "
                      "own way, and what is wrong with that is put right afterwards",
                      word_of(&task->words, place), places[place].dir, places[place].name,
                      work_result_prefix(result), g_strerror(result->errors[i]));
        setter->has_warned = TRUE;
    }
    if (task->is_restore && n_failed == 0 && setter->n_tasks == 1) {
        boot_file_remove(setter->state_dir, ORIGINALS_FILE);
        setter->is_journaled = FALSE;
    }
    if (task->func)
        task->func(task->user_data);
    setter->n_tasks--;
    if (setter->on_settled && setter->n_tasks == 0) {
        KernelSetterFunc func = g_steal_pointer(&setter->on_settled);
        func(setter->on_settled_data);
    }
}

/* Writes those of WANTED that differ from what is there. TRUE if that was anything. IS_RESTORE: but
 * not those that somebody else has changed. */
static gboolean write_wanted(KernelSetter *setter, const KernelOnlining *wanted,
                             gboolean is_restore, KernelSetterFunc func, gpointer user_data)
{
    KernelOnlining now = read_now(setter->io, FALSE);
    gboolean is_known = setter->n_tasks == 0; /* else what waits to be written comes first */
    WorkStep steps[N_SETTINGS];
    guint n = 0;
    Task *task = g_new0(Task, 1);

    *task = (Task){.setter = setter,
                   .words = *wanted,
                   .before = now,
                   .func = func,
                   .user_data = user_data,
                   .is_restore = is_restore};
    /* auto_online_blocks last: it makes the others count. */
    for (int i = N_SETTINGS - 1; i >= 0; i--) {
        const char *word = word_of(&task->words, i);
        if (word[0] == '\0' ||
            (is_known && (strcmp(word, word_of(&now, i)) == 0 ||
                          (is_restore && strcmp(word_of(&now, i), word_of(&setter->set, i)) != 0))))
            continue;
        task->places[n] = i;
        steps[n++] = (WorkStep){
            .kind = STEP_ATTR, .dir = places[i].dir, .name = places[i].name, .verb = word};
    }
    if (n == 0) {
        g_free(task);
        return FALSE;
    }
    setter->n_tasks++;
    executor_submit(setter->executor, EXECUTOR_SOON, steps, n, NULL, on_done, task, g_free);
    return TRUE;
}

static gboolean see_any(G_GNUC_UNUSED const char *name, gpointer user_data)
{
    *(gboolean *)user_data = TRUE;
    return FALSE;
}

/* Memory of a dax device (CXL, persistent memory) comes online as these settings say, too, and who
 * makes it says where. In doubt there is one. */
static gboolean has_dax(const AttrIo *io)
{
    gboolean is_seen = FALSE;
    int result = attr_list(io, DAX_DIR, see_any, &is_seen);

    return is_seen || (result < 0 && result != -ENOENT);
}

/* Why the settings are not to be made; NULL: they are. */
static const char *why_not(const KernelSetter *setter, const OnlineConfig *config)
{
    if (config->kernel_settings == KERNEL_SETTINGS_NO)
        return "as configured";
    if (config->kernel_settings == KERNEL_SETTINGS_AUTO && has_dax(setter->io))
        return "as there is a dax device";
    return NULL;
}

static void tell(KernelSetter *setter, const KernelOnlining *wanted, const OnlineConfig *config,
                 const char *left_alone)
{
    if (left_alone && !setter->is_left_alone)
        g_message("the kernel's settings for new memory are left alone, %s", left_alone);
    else if (!left_alone && strcmp(setter->set.auto_online_blocks, wanted->auto_online_blocks) != 0)
        g_message("auto_online_blocks: %s, for policy %s", wanted->auto_online_blocks,
                  online_policy_name(config->policy));
    setter->is_left_alone = left_alone != NULL;
}

void kernel_setter_apply(KernelSetter *setter, const OnlineConfig *config, gboolean has_room)
{
    const char *left_alone = why_not(setter, config);
    KernelOnlining wanted =
        left_alone ? setter->original : kernel_onlining_wanted(config, &setter->original, has_room);
    gboolean is_news = memcmp(&wanted, &setter->set, sizeof wanted) != 0;

    if (is_news && memcmp(&wanted, &setter->original, sizeof wanted) != 0 &&
        !save_originals(setter))
        return;
    tell(setter, &wanted, config, left_alone);
    if (is_news)
        write_wanted(setter, &wanted, left_alone != NULL, NULL, NULL);
    setter->set = wanted;
}

gboolean kernel_setter_is_enough(const KernelSetter *setter, const OnlineConfig *config)
{
    return kernel_onlining_is_enough(config, &setter->set);
}

gboolean kernel_setter_is_ours(const KernelSetter *setter, const OnlineConfig *config,
                               const char *word)
{
    if (strcmp(setter->set.auto_online_blocks, word) != 0)
        return FALSE;
    return strcmp(setter->set.auto_online_blocks, setter->original.auto_online_blocks) != 0 ||
           kernel_setter_is_enough(setter, config);
}

void kernel_setter_wait(KernelSetter *setter, KernelSetterFunc func, gpointer user_data)
{
    if (setter->n_tasks == 0) {
        func(user_data);
        return;
    }
    setter->on_settled = func;
    setter->on_settled_data = user_data;
}

static void on_may_restore(gpointer user_data)
{
    KernelSetter *setter = user_data;
    KernelOnlining original = setter->original;

    if (write_wanted(setter, &original, TRUE, setter->on_restored, setter->on_restored_data))
        return;
    if (setter->is_journaled)
        boot_file_remove(setter->state_dir, ORIGINALS_FILE);
    setter->is_journaled = FALSE;
    setter->on_restored(setter->on_restored_data);
}

void kernel_setter_restore(KernelSetter *setter, KernelSetterFunc func, gpointer user_data)
{
    setter->on_restored = func;
    setter->on_restored_data = user_data;
    /* What is still to be written would be written after it, or be lost with the daemon. */
    kernel_setter_wait(setter, on_may_restore, setter);
}
