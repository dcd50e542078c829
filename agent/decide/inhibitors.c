#include "decide/inhibitors.h"

#include <string.h>

#include "system/safe-text.h"

struct Inhibitors {
    GPtrArray *list; /* of Inhibitor, owned */
    guint64 last_id;
    guint64 generation;
};

static const char *const mode_names[] = {[INHIBIT_DELAY] = "delay", [INHIBIT_BLOCK] = "block"};

const char *inhibit_mode_name(InhibitMode mode)
{
    return mode_names[mode];
}

gboolean inhibit_mode_parse(const char *name, InhibitMode *mode)
{
    for (guint i = 0; i < G_N_ELEMENTS(mode_names); i++) {
        if (g_str_equal(name, mode_names[i])) {
            *mode = i;
            return TRUE;
        }
    }
    return FALSE;
}

static void inhibitor_destroy(gpointer data)
{
    Inhibitor *inhibitor = data;

    g_free(inhibitor->who);
    g_free(inhibitor->why);
    g_free(inhibitor);
}

Inhibitors *inhibitors_new(void)
{
    Inhibitors *inhibitors = g_new0(Inhibitors, 1);

    inhibitors->list = g_ptr_array_new_with_free_func(inhibitor_destroy);
    return inhibitors;
}

void inhibitors_free(Inhibitors *inhibitors)
{
    if (inhibitors == NULL)
        return;
    g_ptr_array_unref(inhibitors->list);
    g_free(inhibitors);
}

const char *inhibitors_judge_texts(const char *who, const char *why)
{
    if (who[0] == '\0' || strlen(who) > INHIBIT_WHO_MAX)
        return "who must have 1 to " G_STRINGIFY(INHIBIT_WHO_MAX) " bytes";
    if (why[0] == '\0' || strlen(why) > INHIBIT_WHY_MAX)
        return "why must have 1 to " G_STRINGIFY(INHIBIT_WHY_MAX) " bytes";
    return NULL;
}

/* Whether UID may have one more. root's own always find room beside those of others. */
static const char *judge_number(const Inhibitors *inhibitors, guint32 uid)
{
    guint n_others = 0, n_own = 0;

    for (guint i = 0; i < inhibitors->list->len; i++) {
        const Inhibitor *inhibitor = inhibitors->list->pdata[i];

        n_others += inhibitor->uid != 0;
        n_own += inhibitor->uid == uid;
    }
    if (uid != 0 && n_own >= INHIBITORS_USER_MAX)
        return "this user has " G_STRINGIFY(INHIBITORS_USER_MAX) " locks already";
    if (inhibitors->list->len >= INHIBITORS_MAX || (uid != 0 && n_others >= INHIBITORS_OTHERS_MAX))
        return "there are too many locks already";
    return NULL;
}

guint64 inhibitors_add(Inhibitors *inhibitors, const Inhibitor *request, const char **problem)
{
    *problem = inhibitors_judge_texts(request->who, request->why);
    if (*problem == NULL)
        *problem = judge_number(inhibitors, request->uid);
    if (*problem != NULL)
        return 0;
    Inhibitor *inhibitor = g_new(Inhibitor, 1);
    *inhibitor = *request;
    inhibitor->id = ++inhibitors->last_id;
    inhibitor->who = text_safe(request->who);
    inhibitor->why = text_safe(request->why);
    g_ptr_array_add(inhibitors->list, inhibitor);
    inhibitors->generation++;
    return inhibitor->id;
}

void inhibitors_remove(Inhibitors *inhibitors, guint64 id)
{
    for (guint i = 0; i < inhibitors->list->len; i++) {
        if (((const Inhibitor *)inhibitors->list->pdata[i])->id != id)
            continue;
        g_ptr_array_remove_index(inhibitors->list, i);
        inhibitors->generation++;
        return;
    }
}

const GPtrArray *inhibitors_list(const Inhibitors *inhibitors)
{
    return inhibitors->list;
}

guint64 inhibitors_generation(const Inhibitors *inhibitors)
{
    return inhibitors->generation;
}

guint64 inhibitors_last_id(const Inhibitors *inhibitors)
{
    return inhibitors->last_id;
}

const Inhibitor *inhibitors_oldest(const Inhibitors *inhibitors, InhibitMode mode)
{
    for (guint i = 0; i < inhibitors->list->len; i++) {
        const Inhibitor *inhibitor = inhibitors->list->pdata[i];

        if (inhibitor->mode == mode)
            return inhibitor;
    }
    return NULL;
}
