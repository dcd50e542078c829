/*
 * Reading JSON text that the framer has passed: strings decoded, trees built. Behind the framer,
 * and instead of json-glib's own parser, which accepts much that is not JSON and misreads some that
 * is (leading zeros, NUL, 2^64 - 1). It must never be given text that no framer has passed.
 *
 * The text is JSON with QEMU's two extensions (qobject/json-lexer.c): strings may be in single
 * quotes, and \' is an escape. It has no white space between tokens.
 */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

/* Decodes one character of UTF-8 at *P (before END) and steps over it. -1 where the bytes are no
 * character: malformed, overlong, a surrogate, a noncharacter, or beyond U+10FFFF; it then has
 * stepped over what belonged together, as util/unicode.c in QEMU does. */
gint32 qga_utf8_next(const char **p, const char *end);

/* What is wrong with a string token (N bytes with its quotes, whose end the lexer found)? NULL:
 * nothing; else a text to free, in the words of QEMU's qobject/json-parser.c. U+0000 is refused: no
 * C string can hold it. */
char *qga_json_string_fault(const char *token, gsize n_bytes);

/* A place in the text; the functions below step over what they read. */
typedef struct {
    const char *at;
    const char *end;
} QgaJsonCursor;

/* The string at the cursor, decoded; to free. */
char *qga_json_read_string(QgaJsonCursor *cursor);

/* Members of one object. No command takes a tenth of it; the bound is there because g_str_hash()
 * has no secret: keys that all fall into one bucket cost their number squared. */
#define QGA_JSON_MAX_MEMBERS 256

/* May an object of N_MEMBERS get one more, whose key it HAS_KEY already or not? FALSE with
 * QGA_ERROR where not. */
gboolean qga_json_may_add_member(guint n_members, gboolean has_key, GError **error);

/* The value at the cursor as a tree; free with json_node_unref(). Integers of int64 stay integers,
 * larger ones become doubles. NULL with QGA_ERROR where an object has a key twice or more than
 * QGA_JSON_MAX_MEMBERS. */
JsonNode *qga_json_read_value(QgaJsonCursor *cursor, GError **error);
