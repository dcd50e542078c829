/*
 * Three-valued, so that nothing is guessed: what only udevd can know (programs, its data base,
 * properties that other programs set) is UDEV_PERHAPS.
 */
#include "system/udev-match.h"

#include <fnmatch.h>
#include <string.h>

#include "system/block.h"

#define DEVPATH_PREFIX "/devices/system/memory/memory"
#define DMI_PREFIX "[dmi/id]"
#define EXPANSIONS_MAX 16

struct UdevEvent {
    const AttrIo *io;
    const char *action;
    GHashTable *properties; /* name -> GPtrArray of char *: what ENV{name} may be; NULL: anything */
};

static void free_values(gpointer values)
{
    g_ptr_array_unref(values);
}

UdevEvent *udev_event_new(const AttrIo *io, const char *action)
{
    UdevEvent *event = g_new(UdevEvent, 1);

    *event = (UdevEvent){.io = io,
                         .action = action,
                         .properties =
                             g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_values)};
    return event;
}

void udev_event_free(UdevEvent *event)
{
    g_hash_table_unref(event->properties);
    g_free(event);
}

static UdevTruth block_report_of(gboolean is_so)
{
    return is_so ? UDEV_YES : UDEV_NO;
}

/* Whether one of KEY's alternatives, a|b|c, matches TEXT. */
static gboolean fits(const UdevKey *key, const char *text)
{
    g_auto(GStrv) alternatives = g_strsplit(key->value, "|", -1);

    if (alternatives[0] == NULL) /* "" */
        return text[0] == '\0';
    for (guint i = 0; alternatives[i] != NULL; i++) {
        if (fnmatch(alternatives[i], text, key->is_caseless ? FNM_CASEFOLD : 0) == 0)
            return TRUE;
    }
    return FALSE;
}

/* Whether PATTERNS name a certain block, or certain blocks. */
static gboolean names_blocks(const char *patterns)
{
    for (const char *at = patterns; (at = strstr(at, "memory")) != NULL; at += strlen("memory")) {
        char next = at[strlen("memory")];
        if (next != '\0' && strchr("0123456789*?[", next) != NULL)
            return TRUE;
    }
    return FALSE;
}

/* PREFIX and the number of a block: which, cannot be told. */
static UdevTruth fits_some_block(const UdevKey *key, const char *prefix)
{
    static const guint samples[] = {0, 9, 32, 64, 100, 255, 1024, 32768};
    guint n = 0;

    for (guint i = 0; i < G_N_ELEMENTS(samples); i++) {
        g_autofree char *name = g_strdup_printf("%s%u", prefix, samples[i]);
        n += fits(key, name) ? 1 : 0;
    }
    if (n == G_N_ELEMENTS(samples))
        return UDEV_YES;
    /* A certain block may be among those that come. */
    return n > 0 || names_blocks(key->value) ? UDEV_PERHAPS : UDEV_NO;
}

/* The attribute at PATH. */
static UdevTruth fits_file(const UdevEvent *event, const UdevKey *key, const char *path)
{
    char text[ATTR_VALUE_MAX];

    if (attr_read_line(event->io, path, text, sizeof text) < 0)
        return UDEV_PERHAPS;
    return block_report_of(fits(key, g_strchomp(text)));
}

/* Attributes of every memory block (drivers/base/memory.c) that this does not know the value of. */
static gboolean is_other_attribute(const char *name)
{
    static const char *const others[] = {"removable", "phys_index", "phys_device", "valid_zones",
                                         "uevent"};

    for (guint i = 0; i < G_N_ELEMENTS(others); i++) {
        if (g_str_equal(name, others[i]))
            return TRUE;
    }
    return strpbrk(name, "/[$%*") != NULL;
}

static UdevTruth fits_attribute(const UdevEvent *event, const UdevKey *key)
{
    gboolean is_online = g_str_equal(event->action, "online");

    if (g_str_equal(key->attribute, "state"))
        return block_report_of(fits(key, is_online ? "online" : "offline"));
    if (g_str_equal(key->attribute, "online"))
        return block_report_of(fits(key, is_online ? "1" : "0"));
    if (g_str_has_prefix(key->attribute, DMI_PREFIX)) {
        g_autofree char *path =
            g_strconcat("sys/class/dmi/id/", key->attribute + strlen(DMI_PREFIX), NULL);
        return fits_file(event, key, path);
    }
    /* What a block does not have matches nothing, not even !=, before systemd 251. */
    if (is_other_attribute(key->attribute) || key->op == UDEV_OP_NO_MATCH)
        return UDEV_PERHAPS;
    return UDEV_NO;
}

/* ATTRS: of the block or of its parent, which is the directory of all blocks. */
static UdevTruth fits_attribute_of_any(const UdevEvent *event, const UdevKey *key)
{
    g_autofree char *path = g_strconcat(BLOCK_DIR "/", key->attribute, NULL);
    UdevTruth own = fits_attribute(event, key);

    if (own == UDEV_YES || strpbrk(key->attribute, "/[$%*") != NULL)
        return own;
    return MAX(own, fits_file(event, key, path));
}

static UdevTruth fits_property(const UdevEvent *event, const UdevKey *key)
{
    const GPtrArray *values = g_hash_table_lookup(event->properties, key->attribute);
    guint n = 0;

    if (g_str_equal(key->attribute, "SUBSYSTEM"))
        return block_report_of(fits(key, "memory"));
    if (g_str_equal(key->attribute, "ACTION"))
        return block_report_of(fits(key, event->action));
    if (g_str_equal(key->attribute, "DEVPATH"))
        return fits_some_block(key, DEVPATH_PREFIX);
    if (values == NULL) /* only rules set a name that begins with a dot */
        return key->attribute[0] == '.' ? block_report_of(fits(key, "")) : UDEV_PERHAPS;
    for (guint i = 0; i < values->len; i++) {
        if (values->pdata[i] == NULL)
            return UDEV_PERHAPS;
        n += fits(key, values->pdata[i]) ? 1 : 0;
    }
    return n == 0 ? UDEV_NO : n == values->len ? UDEV_YES : UDEV_PERHAPS;
}

static UdevTruth fits_constant(const UdevKey *key)
{
    if (g_str_equal(key->attribute, "virt"))
        return g_str_equal(key->value, "none") ? UDEV_NO : UDEV_PERHAPS;
    if (!g_str_equal(key->attribute, "arch"))
        return UDEV_PERHAPS;
    gboolean x86 = fits(key, "x86-64"), arm = fits(key, "arm64");
    return x86 && arm ? UDEV_YES : x86 || arm ? UDEV_PERHAPS : UDEV_NO;
}

/* As if KEY's operator were ==. */
static UdevTruth fits_key(const UdevEvent *event, const UdevKey *key)
{
    const char *name = key->name;

    if (g_str_equal(name, "SUBSYSTEM") || g_str_equal(name, "SUBSYSTEMS"))
        return block_report_of(fits(key, "memory"));
    if (g_str_equal(name, "ACTION"))
        return block_report_of(fits(key, event->action));
    if (g_str_equal(name, "KERNEL"))
        return fits_some_block(key, "memory");
    if (g_str_equal(name, "KERNELS")) /* the parent is called memory */
        return fits(key, "memory") ? UDEV_YES : fits_some_block(key, "memory");
    if (g_str_equal(name, "DEVPATH"))
        return fits_some_block(key, DEVPATH_PREFIX);
    if (g_str_equal(name, "DRIVER") || g_str_equal(name, "DRIVERS"))
        return block_report_of(fits(key, "")); /* a memory block has no driver */
    if (g_str_equal(name, "NAME") || g_str_equal(name, "SYMLINK"))
        return fits(key, "") ? UDEV_PERHAPS : UDEV_NO; /* nor a device node */
    if (g_str_equal(name, "ATTR"))
        return fits_attribute(event, key);
    if (g_str_equal(name, "ATTRS"))
        return fits_attribute_of_any(event, key);
    if (g_str_equal(name, "ENV"))
        return fits_property(event, key);
    if (g_str_equal(name, "CONST"))
        return fits_constant(key);
    if (g_str_equal(name, "TEST") && key->attribute[0] == '\0')
        return g_str_equal(key->value, "state") || g_str_equal(key->value, "online") ? UDEV_YES
                                                                                     : UDEV_PERHAPS;
    return UDEV_PERHAPS;
}

UdevTruth udev_event_matches(const UdevEvent *event, const GPtrArray *keys, gboolean programs)
{
    UdevTruth all = UDEV_YES;

    for (guint i = 0; i < keys->len && all != UDEV_NO; i++) {
        const UdevKey *key = keys->pdata[i];
        gboolean is_program = g_str_equal(key->name, "PROGRAM") ||
                              g_str_equal(key->name, "RESULT") || g_str_equal(key->name, "IMPORT");

        if ((key->op != UDEV_OP_MATCH && key->op != UDEV_OP_NO_MATCH) || (is_program && !programs))
            continue;
        UdevTruth truth = fits_key(event, key);
        if (key->op == UDEV_OP_NO_MATCH && truth != UDEV_PERHAPS)
            truth = truth == UDEV_YES ? UDEV_NO : UDEV_YES;
        all = MIN(all, truth);
    }
    return all;
}

/* --- properties --- */

static gboolean has_value(const GPtrArray *values, const char *value)
{
    for (guint i = 0; i < values->len; i++) {
        if (g_strcmp0(values->pdata[i], value) == 0)
            return TRUE;
    }
    return FALSE;
}

void udev_event_set(UdevEvent *event, const UdevKey *key, UdevTruth truth)
{
    GPtrArray *values = g_hash_table_lookup(event->properties, key->attribute);
    g_autoptr(GPtrArray) given = udev_event_expand(event, key->value);

    if (truth == UDEV_NO)
        return;
    if (values == NULL || truth == UDEV_YES) {
        values = g_ptr_array_new_with_free_func(g_free);
        g_hash_table_replace(event->properties, g_strdup(key->attribute), values);
        if (truth == UDEV_PERHAPS)
            g_ptr_array_add(values, key->attribute[0] == '.' ? g_strdup("") : NULL);
    }
    for (guint i = 0; i < given->len; i++) {
        gboolean is_known =
            key->op == UDEV_OP_ASSIGN && strpbrk((const char *)given->pdata[i], "$%") == NULL;
        const char *value = is_known ? given->pdata[i] : NULL;

        if (!has_value(values, value) && values->len < EXPANSIONS_MAX)
            g_ptr_array_add(values, g_strdup(value));
    }
}

/* The name in the first $env{name} or %E{name} of VALUE; *REST: behind it. NULL: there is none. */
static char *first_property(const char *value, gsize *start, const char **rest)
{
    const char *dollar = strstr(value, "$env{"), *percent = strstr(value, "%E{");
    const char *at = !dollar || (percent && percent < dollar) ? percent : dollar;
    const char *name = at ? strchr(at, '{') + 1 : NULL;
    const char *end = name ? strchr(name, '}') : NULL;

    if (!end)
        return NULL;
    *start = (gsize)(at - value);
    *rest = end + 1;
    return g_strndup(name, (gsize)(end - name));
}

static void expand(const UdevEvent *event, const char *value, GPtrArray *out)
{
    const char *rest;
    gsize start;
    g_autofree char *name = first_property(value, &start, &rest);
    const GPtrArray *values = name ? g_hash_table_lookup(event->properties, name) : NULL;
    gboolean is_known = values != NULL && !has_value(values, NULL);

    if (out->len >= EXPANSIONS_MAX)
        return;
    for (guint i = 0; is_known && i < values->len; i++) {
        g_autofree char *one =
            g_strdup_printf("%.*s%s%s", (int)start, value, (const char *)values->pdata[i], rest);
        expand(event, one, out);
    }
    if (!is_known)
        g_ptr_array_add(out, g_strdup(value));
}

GPtrArray *udev_event_expand(const UdevEvent *event, const char *value)
{
    GPtrArray *out = g_ptr_array_new_with_free_func(g_free);

    expand(event, value, out);
    return out;
}
