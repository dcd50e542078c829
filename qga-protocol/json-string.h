/*
 * The inside of JSON strings: UTF-8, escapes, and what is wrong with them. It must never read
 * behind the bytes that it is given.
 *
 * Strings are JSON's with QEMU's two extensions (qobject/json-lexer.c): they may be in single
 * quotes, and \' is an escape.
 */
#pragma once

#include <glib.h>

/* Decodes one character of UTF-8 at *P (before END) and steps over it. -1 where the bytes are no
 * character: malformed, overlong, a surrogate, a noncharacter, or beyond U+10FFFF; it then has
 * stepped over what belonged together, as util/unicode.c in QEMU does. */
gint32 qga_utf8_next(const char **p, const char *end);

/* What is wrong with a string token (N bytes with its quotes, whose end the lexer found)? NULL:
 * nothing; else a text to free, in the words of QEMU's qobject/json-parser.c. U+0000 is refused: no
 * C string can hold it. */
char *qga_json_string_fault(const char *token, gsize n_bytes);

/* The string that TOKEN stands for, which has no fault; to free. */
char *qga_json_string_decode(const char *token, gsize n_bytes);
