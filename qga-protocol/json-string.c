/*
 * Strings of JSON. Every function is told where its bytes end, and never reads there: the text may
 * end in the middle of a character, of an escape, or of a token.
 */
#include "qga-protocol/json-string.h"

#include <string.h>

/* QEMU refuses noncharacters too (util/unicode.c, is_valid_codepoint). */
static gboolean is_character(gint32 cp)
{
    return cp >= 0 && cp <= 0x10FFFF && !(cp >= 0xD800 && cp <= 0xDFFF) &&
           !(cp >= 0xFDD0 && cp <= 0xFDEF) && (cp & 0xFFFE) != 0xFFFE;
}

static guint8 byte_at(const char *p)
{
    return (guint8)*p;
}

gint32 qga_utf8_next(const char **p, const char *end)
{
    /* The smallest code point that needs so many bytes, by number of bytes. */
    static const gint32 smallest[] = {0, 0, 0x80, 0x800, 0x10000, 0x200000, 0x4000000};
    guint8 lead = byte_at((*p)++);
    guint n_bytes = 0;
    gint32 cp;

    if (lead < 0x80)
        return lead;
    if (lead < 0xC0 || lead >= 0xFE)
        return -1;
    while (lead & (0x80 >> n_bytes))
        n_bytes++;
    cp = lead & (0x7F >> n_bytes);
    for (guint i = 1; i < n_bytes; i++) {
        if (*p == end || (byte_at(*p) & 0xC0) != 0x80)
            return -1;
        cp = (cp << 6) | (byte_at((*p)++) & 0x3F);
    }
    return cp >= smallest[n_bytes] && is_character(cp) ? cp : -1;
}

/* Four hex digits at P, or -1. */
static gint32 read_hex4(const char *p, const char *end)
{
    gint32 value = 0;

    if (end - p < 4)
        return -1;
    for (guint i = 0; i < 4; i++) {
        if (!g_ascii_isxdigit(p[i]))
            return -1;
        value = value << 4 | g_ascii_xdigit_value(p[i]);
    }
    return value;
}

/* The character that the escape after "\u" at *P stands for; a surrogate pair is read whole. -1
 * where it is none; *P then stands where QEMU's message ends. */
static gint32 read_unicode_escape(const char **p, const char *end)
{
    gint32 cp = read_hex4(*p, end);

    *p += MIN(4, end - *p);
    if (cp >= 0xD800 && cp <= 0xDBFF && end - *p >= 2 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        gint32 low = read_hex4(*p + 2, end);

        if (low < 0xDC00 || low > 0xDFFF)
            return -1;
        *p += 6;
        cp = 0x10000 + ((cp & 0x3FF) << 10 | (low & 0x3FF));
    }
    return cp > 0 && is_character(cp) ? cp : -1;
}

/* What an escape of one letter stands for, or 0. */
static char simple_escape(char letter)
{
    static const char letters[] = "\"'\\/bfnrt";
    static const char meanings[] = "\"'\\/\b\f\n\r\t";
    const char *found = letter != '\0' ? strchr(letters, letter) : NULL;

    return found != NULL ? meanings[found - letters] : '\0';
}

char *qga_json_string_fault(const char *token, gsize n_bytes)
{
    const char *p = token + 1;
    const char *end = token + n_bytes; /* QEMU's messages may reach the closing quote */

    while (p < end - 1) {
        const char *begin = p;

        if (*p != '\\') {
            if (qga_utf8_next(&p, end - 1) < 0)
                return g_strdup("invalid UTF-8 sequence in string");
            continue;
        }
        if (++p < end && *p == 'u') {
            p++;
            if (read_unicode_escape(&p, end) < 0)
                return g_strdup_printf("%.*s is not a valid Unicode character", (int)(p - begin),
                                       begin);
        } else if (p == end || simple_escape(*p++) == '\0') {
            return g_strdup("invalid escape sequence in string");
        }
    }
    return NULL;
}

char *qga_json_string_decode(const char *token, gsize n_bytes)
{
    const char *p = token + 1;
    const char *end = token + n_bytes - 1;
    GString *decoded;

    g_assert(n_bytes >= 2);
    if (memchr(p, '\\', (gsize)(end - p)) == NULL)
        return g_strndup(p, (gsize)(end - p));
    /* Decoded text is never longer than its token, so the buffer is made once. */
    decoded = g_string_sized_new(n_bytes);
    while (p < end) {
        const char *escape = memchr(p, '\\', (gsize)(end - p));

        g_string_append_len(decoded, p, (escape != NULL ? escape : end) - p);
        p = escape != NULL ? escape + 1 : end;
        if (p == end)
            break;
        if (*p == 'u') {
            p++;
            g_string_append_unichar(decoded, (gunichar)read_unicode_escape(&p, end));
        } else {
            g_string_append_c(decoded, simple_escape(*p++));
        }
    }
    return g_string_free(decoded, FALSE);
}
