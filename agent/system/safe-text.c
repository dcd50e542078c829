#include "system/safe-text.h"

char *text_safe(const char *text)
{
    GString *safe = g_string_new(NULL);

    for (const char *p = text ? text : ""; *p;) {
        gunichar c = g_utf8_get_char_validated(p, -1);
        if (c == (gunichar)-1 || c == (gunichar)-2) {
            g_string_append_printf(safe, "\\x%02x", (guchar)*p++);
            continue;
        }
        /* Formatting characters turn text around (U+202E) or hide: no part of a name or a sentence.
         */
        if (g_unichar_isprint(c) && g_unichar_type(c) != G_UNICODE_FORMAT)
            g_string_append_unichar(safe, c);
        else
            g_string_append_printf(safe, c < 0x100 ? "\\x%02x" : "\\u{%x}", c);
        p = g_utf8_next_char(p);
    }
    return g_string_free(safe, FALSE);
}
