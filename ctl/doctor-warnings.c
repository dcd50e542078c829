/*
 * doctor: what memory-get-status warns of, and what is well where it does not; and what udev's
 * rules do beside that.
 */
#include "ctl/doctor.h"

#include <string.h>

#include "ctl/json.h"
#include "decide/warnings.h"
#include "system/zone-stats.h"

/* What a person looks for; other codes are their own subject. */
static const char *subject_of(const Doctor *doctor, const char *code)
{
    static const struct {
        const char *code, *subject;
    } subjects[] = {{"kernel-zone-blocks", "DIMM"}, {"offline-blocks", "DIMM"},
                    {"unusable-dimm", "DIMM"},      {"kernel-auto-online", "auto_online_blocks"},
                    {"movable-ratio", "zones"},     {"udev-rule", "udev rule"},
                    {"kernel-memory-low", "zones"}, {"virtio-mem-no-driver", "virtio_mem"}};

    for (guint i = 0; i < G_N_ELEMENTS(subjects); i++) {
        if (strcmp(subjects[i].code, code) == 0)
            return subjects[i].subject;
    }
    return strcmp(code, "balloon-driver") == 0 && doctor->setup->balloon.driver
               ? doctor->setup->balloon.driver
               : code;
}

/* Where the daemon does not tell: it may have any block offline. */
static gboolean may_be_held(G_GNUC_UNUSED guint32 index, G_GNUC_UNUSED guint64 inode,
                            G_GNUC_UNUSED gpointer user_data)
{
    return TRUE;
}

/* The judgement without what only a daemon knows. */
static GPtrArray *judge(const Doctor *doctor)
{
    OnlineConfig config = ONLINE_CONFIG_DEFAULT;
    WarningInput input = {.snapshot = doctor->snapshot,
                          .setup = doctor->setup,
                          .config = &config,
                          .is_daemon_up = doctor->is_daemon_up,
                          .is_held = doctor->is_daemon_up ? may_be_held : NULL};

    if (doctor->policy)
        online_policy_parse(doctor->policy, &config.policy);
    return warnings_find(&input);
}

/* The one of WARNINGS with CODE and DESC, or else the first with CODE (IS_EXACT: FALSE), or NULL.
 */
static const Warning *find_warning(const GPtrArray *warnings, const char *code, const char *desc,
                                   gboolean *is_exact)
{
    const Warning *found = NULL;

    *is_exact = FALSE;
    for (guint i = 0; i < warnings->len && !*is_exact; i++) {
        const Warning *one = warnings->pdata[i];
        if (strcmp(one->code, code) != 0)
            continue;
        *is_exact = strcmp(one->desc, desc) == 0;
        if (!found || *is_exact)
            found = one;
    }
    return found;
}

/* The daemon's own words; the cure is ours where we would have said the same. */
static void add_daemons(Doctor *doctor, const GPtrArray *ours, GHashTable *said)
{
    JsonArray *list = ctl_json_array(ctl_json_as_object(doctor->status), "warnings");

    for (guint i = 0; i < ctl_json_length(list); i++) {
        JsonObject *warning = ctl_json_object_at(list, i);
        const char *code = ctl_json_string(warning, "code"),
                   *desc = ctl_json_string(warning, "desc");
        gboolean is_exact;
        const Warning *like = find_warning(ours, code, desc, &is_exact);

        finding_add_warning(doctor->findings, like && like->is_note ? FINDING_NOTE : FINDING_BAD,
                            subject_of(doctor, code), code, desc, is_exact ? like->cure : NULL);
        g_hash_table_add(said, g_strdup(code));
    }
}

static void add_ours(Doctor *doctor, const GPtrArray *ours, GHashTable *said)
{
    for (guint i = 0; i < ours->len; i++) {
        const Warning *warning = ours->pdata[i];

        finding_add_warning(doctor->findings, warning->is_note ? FINDING_NOTE : FINDING_BAD,
                            subject_of(doctor, warning->code), warning->code, warning->desc,
                            warning->cure);
        g_hash_table_add(said, g_strdup(warning->code));
    }
}

/* --- what is well --- */

static void praise_zones(Doctor *doctor)
{
    guint64 movable_bytes = 0, kernel_bytes = 0;

    for (guint i = 0; doctor->setup->zones && i < doctor->setup->zones->len; i++) {
        const ZoneStats *zone = &g_array_index(doctor->setup->zones, ZoneStats, i);
        *(zone->is_movable ? &movable_bytes : &kernel_bytes) += zone->present_bytes;
    }
    if (kernel_bytes > 0)
        finding_add(doctor->findings, FINDING_GOOD, "zones", NULL,
                    "movable memory is %.1f times the kernel's",
                    (double)movable_bytes / (double)kernel_bytes);
}

static void praise(Doctor *doctor, GHashTable *said)
{
    const char *word = doctor->setup->auto_online_blocks;

    if (word[0] != '\0' && !g_hash_table_contains(said, "kernel-auto-online"))
        finding_add(doctor->findings, FINDING_GOOD, "auto_online_blocks", NULL, "%s", word);
    if (!g_hash_table_contains(said, "movable-ratio"))
        praise_zones(doctor);
}

/* --- rules --- */

static void check_own_rule(Doctor *doctor)
{
    const UdevRules *rules = doctor->setup->rules;

    if (rules->is_own_in_force)
        finding_add(doctor->findings, FINDING_GOOD, "udev rule", NULL,
                    "%s makes new memory movable while no daemon runs", rules->own_path);
    else if (rules->own_path)
        finding_add(doctor->findings, FINDING_BAD, "udev rule",
                    g_strdup_printf("rm %s", rules->own_path), "%s masks memplug's rule",
                    rules->own_path);
    else
        finding_add(doctor->findings, FINDING_BAD, "udev rule",
                    g_strdup("install memplug's udev rules"), "memplug's rule is not installed");
}

static void check_rules(Doctor *doctor)
{
    const UdevRules *rules = doctor->setup->rules;

    check_own_rule(doctor);
    for (guint i = 0; i < rules->onlining->len; i++) {
        const UdevMemoryRule *rule = rules->onlining->pdata[i];
        if (rule->is_movable && strcmp(rule->name, UDEV_OWN_RULES) != 0)
            finding_add(doctor->findings, FINDING_GOOD, "udev rule", NULL,
                        "%s, line %u, writes online_movable", rule->path, rule->first);
    }
    for (guint i = 0; i < rules->reloading->len; i++) {
        const UdevMemoryRule *rule = rules->reloading->pdata[i];
        finding_add(
            doctor->findings, FINDING_NOTE, "kdump", NULL,
            "%s, line %u, has a program load the crash kernel anew at each block that comes, "
            "goes or changes its state: that costs CPU time for as long as memory is added "
            "or taken; a job does not wait for it. Linux 6.6 or newer with a kexec-tools "
            "that knows crash_hotplug does without",
            rule->path, rule->first);
    }
}

void doctor_check_warnings(Doctor *doctor)
{
    g_autoptr(GHashTable) said = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    check_rules(doctor);
    if (!doctor->snapshot)
        return;
    g_autoptr(GPtrArray) ours = judge(doctor);
    if (doctor->status)
        add_daemons(doctor, ours, said);
    else
        add_ours(doctor, ours, said);
    praise(doctor, said);
}
