/*
 * Reading text that the framer has passed. There are no checks for the end of the text in here: the
 * framer has seen every token closed, and a NUL stands behind the text. What may still be wrong
 * (keys given twice, too many of them) is found while the tree is built.
 */
#include "qga-protocol/json-text.h"

#include <string.h>

#include "qga-protocol/errors.h"

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
        p++;
        if (*p == 'u') {
            p++;
            if (read_unicode_escape(&p, end) < 0)
                return g_strdup_printf("%.*s is not a valid Unicode character", (int)(p - begin),
                                       begin);
        } else if (simple_escape(*p++) == '\0') {
            return g_strdup("invalid escape sequence in string");
        }
    }
    return NULL;
}

char *qga_json_read_string(QgaJsonCursor *cursor)
{
    char quote = *cursor->at++;
    const char *close = cursor->at;
    GString *decoded;

    /* Decoded text is never longer than its token, so the buffer is made once. */
    while (*close != quote)
        close += *close == '\\' ? 2 : 1;
    decoded = g_string_sized_new((gsize)(close - cursor->at));
    while (cursor->at < close) {
        const char *begin = cursor->at;

        while (cursor->at < close && *cursor->at != '\\')
            cursor->at++;
        g_string_append_len(decoded, begin, cursor->at - begin);
        if (cursor->at == close)
            break;
        cursor->at++;
        if (*cursor->at == 'u') {
            cursor->at++;
            g_string_append_unichar(decoded, (gunichar)read_unicode_escape(&cursor->at, close));
        } else {
            g_string_append_c(decoded, simple_escape(*cursor->at++));
        }
    }
    cursor->at++;
    return g_string_free(decoded, FALSE);
}

static JsonNode *read_number(QgaJsonCursor *cursor)
{
    const char *begin = cursor->at;
    JsonNode *node = json_node_alloc();
    gboolean is_integer = TRUE;
    char *digits;
    gint64 value;

    while (cursor->at < cursor->end && strchr("+-.eE0123456789", *cursor->at) != NULL) {
        if (strchr(".eE", *cursor->at) != NULL)
            is_integer = FALSE;
        cursor->at++;
    }
    digits = g_strndup(begin, (gsize)(cursor->at - begin));
    if (is_integer && g_ascii_string_to_signed(digits, 10, G_MININT64, G_MAXINT64, &value, NULL))
        json_node_init_int(node, value);
    else
        json_node_init_double(node, g_ascii_strtod(digits, NULL));
    g_free(digits);
    return node;
}

static JsonNode *read_array(QgaJsonCursor *cursor, GError **error)
{
    JsonArray *array = json_array_new();
    JsonNode *node;

    cursor->at++;
    while (*cursor->at != ']') {
        node = qga_json_read_value(cursor, error);
        if (node == NULL) {
            json_array_unref(array);
            return NULL;
        }
        json_array_add_element(array, node);
        if (*cursor->at == ',')
            cursor->at++;
    }
    cursor->at++;
    node = json_node_init_array(json_node_alloc(), array);
    json_array_unref(array);
    return node;
}

gboolean qga_json_may_add_member(guint n_members, gboolean has_key, GError **error)
{
    if (has_key)
        g_set_error(error, QGA_ERROR, QGA_CLASS_GENERIC, "JSON parse error, duplicate key");
    else if (n_members == QGA_JSON_MAX_MEMBERS)
        g_set_error(error, QGA_ERROR, QGA_CLASS_GENERIC, "JSON object member limit exceeded");
    return !has_key && n_members < QGA_JSON_MAX_MEMBERS;
}

static JsonNode *read_object(QgaJsonCursor *cursor, GError **error)
{
    JsonObject *object = json_object_new();
    JsonNode *node;

    cursor->at++;
    while (*cursor->at != '}') {
        char *key = qga_json_read_string(cursor);

        cursor->at++; /* the colon */
        node = qga_json_read_value(cursor, error);
        if (node != NULL && !qga_json_may_add_member(json_object_get_size(object),
                                                     json_object_has_member(object, key), error))
            g_clear_pointer(&node, json_node_unref);
        if (node != NULL)
            json_object_set_member(object, key, node);
        g_free(key);
        if (node == NULL) {
            json_object_unref(object);
            return NULL;
        }
        if (*cursor->at == ',')
            cursor->at++;
    }
    cursor->at++;
    node = json_node_init_object(json_node_alloc(), object);
    json_object_unref(object);
    return node;
}

JsonNode *qga_json_read_value(QgaJsonCursor *cursor, GError **error)
{
    switch (*cursor->at) {
    case '{':
        return read_object(cursor, error);
    case '[':
        return read_array(cursor, error);
    case '"':
    case '\'': {
        char *text = qga_json_read_string(cursor);
        JsonNode *node = json_node_init_string(json_node_alloc(), text);

        g_free(text);
        return node;
    }
    case 't':
        cursor->at += strlen("true");
        return json_node_init_boolean(json_node_alloc(), TRUE);
    case 'f':
        cursor->at += strlen("false");
        return json_node_init_boolean(json_node_alloc(), FALSE);
    case 'n':
        cursor->at += strlen("null");
        return json_node_init_null(json_node_alloc());
    default:
        return read_number(cursor);
    }
}
