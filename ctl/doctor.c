#include "ctl/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "ctl/json.h"
#include "ctl/text.h"
#include "ctl/verbs.h"

#define FILE_MAX_BYTES (1024 * 1024)

typedef struct {
    Verdict verdict;
    const char *subject;
    char *desc, *fix;
} Finding;

struct Doctor {
    const char *root; /* "" or --sysroot */
    GArray *findings;
};

static void finding_clear(gpointer data)
{
    Finding *finding = data;

    g_free(finding->desc);
    g_free(finding->fix);
}

void doctor_add(Doctor *doctor, Verdict verdict, const char *subject, char *fix,
                const char *desc_format, ...)
{
    Finding finding = {.verdict = verdict, .subject = subject, .fix = fix};
    va_list args;

    va_start(args, desc_format);
    finding.desc = g_strdup_vprintf(desc_format, args);
    va_end(args);
    g_array_append_val(doctor->findings, finding);
}

/* --- files --- */

char *doctor_path(const Doctor *doctor, const char *path)
{
    return g_strconcat(doctor->root, "/", path, NULL);
}

char *doctor_read(const Doctor *doctor, const char *path)
{
    g_autofree char *full = doctor_path(doctor, path);
    g_autoptr(GString) text = g_string_new(NULL);
    char bytes[4096];
    gssize n;

    int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    while ((n = read(fd, bytes, sizeof bytes)) > 0 && text->len < FILE_MAX_BYTES)
        g_string_append_len(text, bytes, n);
    close(fd);
    if (n < 0)
        return NULL;
    if (text->len > 0 && text->str[text->len - 1] == '\n')
        g_string_truncate(text, text->len - 1);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

gint64 doctor_read_number(const Doctor *doctor, const char *path, guint base)
{
    g_autofree char *text = doctor_read(doctor, path);
    guint64 value;

    return text && g_ascii_string_to_unsigned(text, base, 0, G_MAXINT64, &value, NULL)
               ? (gint64)value
               : -1;
}

gboolean doctor_exists(const Doctor *doctor, const char *path)
{
    g_autofree char *full = doctor_path(doctor, path);

    return access(full, F_OK) == 0;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

GPtrArray *doctor_list(const Doctor *doctor, const char *path)
{
    g_autofree char *full = doctor_path(doctor, path);
    g_autoptr(GDir) directory = g_dir_open(full, 0, NULL);
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    while (directory && (name = g_dir_read_name(directory)))
        g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, compare_names);
    return names;
}

gboolean doctor_is_elsewhere(const Doctor *doctor)
{
    return doctor->root[0] != '\0';
}

/* --- the verb --- */

static void print_finding(Terminal *terminal, const Finding *finding)
{
    static const struct {
        const char *word;
        Colour colour;
    } words[] = {[FINDING_GOOD] = {"good", COLOUR_GOOD},
                 [FINDING_NOTE] = {"note", COLOUR_WARN},
                 [FINDING_BAD] = {"BAD ", COLOUR_BAD}};
    g_autofree char *desc = text_safe(finding->desc);
    g_autofree char *fix = text_safe(finding->fix);

    terminal_print(terminal, COLOUR_NONE, "%s%s%s  %s: %s",
                   terminal_on(terminal, words[finding->verdict].colour),
                   words[finding->verdict].word, terminal_off(terminal), finding->subject, desc);
    if (finding->fix)
        terminal_print(terminal, COLOUR_NONE, "      -> %s", fix);
}

static void print_json(const Doctor *doctor)
{
    static const char *const words[] = {"good", "note", "bad"};
    JsonArray *list = json_array_new();
    JsonNode *node = json_node_init_array(json_node_alloc(), list);

    for (guint i = 0; i < doctor->findings->len; i++) {
        const Finding *finding = &g_array_index(doctor->findings, Finding, i);
        JsonObject *object = json_object_new();
        json_object_set_string_member(object, "subject", finding->subject);
        json_object_set_string_member(object, "verdict", words[finding->verdict]);
        json_object_set_string_member(object, "desc", finding->desc);
        if (finding->fix)
            json_object_set_string_member(object, "fix", finding->fix);
        json_array_add_object_element(list, object);
    }
    ctl_json_print(node);
    json_node_unref(node);
    json_array_unref(list);
}

CtlStatus verb_doctor(Ctl *ctl, G_GNUC_UNUSED GError **error)
{
    Doctor doctor = {.root = ctl->line->sysroot ? ctl->line->sysroot : "",
                     .findings = g_array_new(FALSE, FALSE, sizeof(Finding))};
    guint n_bad = 0;

    g_array_set_clear_func(doctor.findings, finding_clear);
    doctor_check_kernel(&doctor);
    doctor_check_rules(&doctor);
    doctor_check_memory(&doctor);
    doctor_check_agent(&doctor);
    for (guint i = 0; i < doctor.findings->len; i++) {
        const Finding *finding = &g_array_index(doctor.findings, Finding, i);
        n_bad += finding->verdict == FINDING_BAD ? 1 : 0;
        if (!ctl->line->json)
            print_finding(&ctl->terminal, finding);
    }
    if (ctl->line->json)
        print_json(&doctor);
    g_array_unref(doctor.findings);
    return n_bad > 0 ? CTL_REFUSED : CTL_DONE;
}
