/*
 * A finding is said in words and in JSON from the same members, so the two never differ.
 */
#include "ctl/finding.h"

#include "ctl/json.h"
#include "ctl/text.h"

typedef struct {
    FindingKind kind;
    char *subject, *code, *desc, *fix;
} Finding;

struct Findings {
    GArray *list; /* of Finding */
};

static const struct {
    const char *word, *shown;
    Colour colour;
} kinds[] = {[FINDING_GOOD] = {"good", "good", COLOUR_GOOD},
             [FINDING_NOTE] = {"note", "note", COLOUR_WARN},
             [FINDING_BAD] = {"bad", "BAD ", COLOUR_BAD}};

static void finding_clear(gpointer data)
{
    Finding *finding = data;

    g_free(finding->subject);
    g_free(finding->code);
    g_free(finding->desc);
    g_free(finding->fix);
}

Findings *findings_new(void)
{
    Findings *findings = g_new(Findings, 1);

    findings->list = g_array_new(FALSE, FALSE, sizeof(Finding));
    g_array_set_clear_func(findings->list, finding_clear);
    return findings;
}

void findings_free(Findings *findings)
{
    g_array_unref(findings->list);
    g_free(findings);
}

void finding_add(Findings *findings, FindingKind kind, const char *subject, char *fix,
                 const char *desc_format, ...)
{
    Finding finding = {.kind = kind, .subject = g_strdup(subject), .fix = fix};
    va_list args;

    va_start(args, desc_format);
    finding.desc = g_strdup_vprintf(desc_format, args);
    va_end(args);
    g_array_append_val(findings->list, finding);
}

void finding_add_warning(Findings *findings, FindingKind kind, const char *subject,
                         const char *code, const char *desc, const char *fix)
{
    Finding finding = {.kind = kind,
                       .subject = g_strdup(subject),
                       .code = g_strdup(code),
                       .desc = g_strdup(desc),
                       .fix = g_strdup(fix)};

    g_array_append_val(findings->list, finding);
}

guint findings_count(const Findings *findings, FindingKind kind)
{
    guint n = 0;

    for (guint i = 0; i < findings->list->len; i++)
        n += g_array_index(findings->list, Finding, i).kind == kind ? 1 : 0;
    return n;
}

void findings_print(const Findings *findings, Terminal *terminal)
{
    for (guint i = 0; i < findings->list->len; i++) {
        const Finding *finding = &g_array_index(findings->list, Finding, i);
        g_autofree char *subject = text_safe(finding->subject);
        g_autofree char *desc = text_safe(finding->desc);
        g_autofree char *fix = text_safe(finding->fix);

        terminal_print(terminal, COLOUR_NONE, "%s%s%s  %s: %s",
                       terminal_on(terminal, kinds[finding->kind].colour),
                       kinds[finding->kind].shown, terminal_off(terminal), subject, desc);
        if (finding->fix)
            terminal_print(terminal, COLOUR_NONE, "      -> %s", fix);
    }
}

void findings_print_json(const Findings *findings)
{
    JsonArray *list = json_array_new();
    JsonNode *node = json_node_init_array(json_node_alloc(), list);

    for (guint i = 0; i < findings->list->len; i++) {
        const Finding *finding = &g_array_index(findings->list, Finding, i);
        JsonObject *object = json_object_new();
        json_object_set_string_member(object, "subject", finding->subject);
        json_object_set_string_member(object, "verdict", kinds[finding->kind].word);
        if (finding->code)
            json_object_set_string_member(object, "code", finding->code);
        json_object_set_string_member(object, "desc", finding->desc);
        if (finding->fix)
            json_object_set_string_member(object, "fix", finding->fix);
        json_array_add_object_element(list, object);
    }
    ctl_json_print(node);
    json_node_unref(node);
    json_array_unref(list);
}
