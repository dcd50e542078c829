#include "ctl/text.h"

#include <string.h>

#include "ctl/errors.h"
#include "system/units.h"

guint text_width(const char *text)
{
    guint width = 0;

    for (; *text; text = g_utf8_next_char(text)) {
        gunichar c = g_utf8_get_char(text);
        width += g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
    }
    return width;
}

void text_cut(GString *text, guint columns)
{
    guint width = 0;
    const char *p = text->str;

    if (text_width(text->str) <= columns)
        return;
    for (; *p && width + 2 < columns; p = g_utf8_next_char(p))
        width += g_unichar_iswide(g_utf8_get_char(p)) ? 2 : 1;
    g_string_truncate(text, (gsize)(p - text->str));
    g_string_append(text, "…");
}

/* The factor of a suffix ("", "M", "MiB", "m"), 0: none. */
static guint64 factor_of(const char *suffix)
{
    static const char letters[] = "KMGT";
    guint64 factor = 1;

    if (*suffix == '\0' || strcmp(suffix, "B") == 0)
        return 1;
    const char *letter = strchr(letters, g_ascii_toupper(*suffix));
    if (!letter ||
        (suffix[1] != '\0' && strcmp(suffix + 1, "iB") != 0 && strcmp(suffix + 1, "B") != 0))
        return 0;
    for (const char *p = letters; p <= letter; p++)
        factor *= KIB;
    return factor;
}

gboolean text_parse_size(const char *text, guint64 *bytes, GError **error)
{
    char *rest = (char *)text;
    guint64 whole = 0, fraction = 0, scale = 1, sum = 0;

    if (g_ascii_isdigit(*text))
        whole = g_ascii_strtoull(text, &rest, 10);
    const char *digits_end = rest;
    if (rest != text && *rest == '.') {
        for (rest++; g_ascii_isdigit(*rest) && scale < 1000000000; rest++) {
            fraction = fraction * 10 + (guint64)(*rest - '0');
            scale *= 10;
        }
    }
    guint64 factor = digits_end == text ? 0 : factor_of(rest);
    if (factor == 0 || whole == G_MAXUINT64 || !u64_multiply(&sum, whole, factor) ||
        (fraction * (factor / scale) + fraction * (factor % scale) / scale) > G_MAXINT64 - sum ||
        sum > G_MAXINT64) {
        g_set_error(error, CTL_ERROR, CTL_USAGE, "'%s' is no size such as 256M or 1.5G", text);
        return FALSE;
    }
    *bytes = sum + fraction * (factor / scale) + fraction * (factor % scale) / scale;
    return TRUE;
}

char *text_size(guint64 bytes)
{
    char buf[UNITS_BYTES_MAX];

    return g_strdup(units_format_bytes(bytes, buf));
}

char *text_exact(guint64 bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    guint unit = 0;

    while (bytes > 0 && bytes % KIB == 0 && unit + 1 < G_N_ELEMENTS(units)) {
        bytes /= KIB;
        unit++;
    }
    return g_strdup_printf("%" G_GUINT64_FORMAT " %s", bytes, units[unit]);
}
