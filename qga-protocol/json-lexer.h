/*
 * The lexer of the framer and of the reader: which token a byte begins, continues or ends. It keeps
 * one state and no bytes, and must never decide whether tokens make sense together.
 *
 * It takes the tokens of RFC 8259 and QEMU's single-quoted strings (qobject/json-lexer.c), takes
 * any run of a-z for a keyword, and looks into strings only as far as to find their end: the framer
 * judges the rest when the token is whole.
 */
#pragma once

#include <glib.h>

typedef enum {
    QGA_LEX_START,    /* between tokens */
    QGA_LEX_RECOVERY, /* after a bad byte: skips to a place where a token may begin */
    QGA_LEX_STRING,   /* in "…" */
    QGA_LEX_STRING_ESCAPE,
    QGA_LEX_APOSTROPHE, /* in '…' */
    QGA_LEX_APOSTROPHE_ESCAPE,
    QGA_LEX_SIGN,
    QGA_LEX_ZERO,
    QGA_LEX_DIGITS,
    QGA_LEX_POINT,
    QGA_LEX_FRACTION,
    QGA_LEX_EXPONENT,
    QGA_LEX_EXPONENT_SIGN,
    QGA_LEX_EXPONENT_DIGITS,
    QGA_LEX_KEYWORD,
} QgaLexState;

typedef enum {
    QGA_TOKEN_NONE, /* not yet */
    QGA_TOKEN_BAD,  /* the byte fits nowhere: it is taken, and ends the bad token */
    QGA_TOKEN_OPEN_BRACE,
    QGA_TOKEN_CLOSE_BRACE,
    QGA_TOKEN_OPEN_BRACKET,
    QGA_TOKEN_CLOSE_BRACKET,
    QGA_TOKEN_COLON,
    QGA_TOKEN_COMMA,
    QGA_TOKEN_STRING,
    QGA_TOKEN_NUMBER,
    QGA_TOKEN_KEYWORD,
} QgaToken;

/* Steps over BYTE. *OUT_TAKEN tells whether the byte was used; where not (a number ends at the byte
 * behind it), step over the same byte again. A token that is returned ends with BYTE if it was
 * taken, before it if not. White space is taken with the state START before and after. */
QgaToken qga_lexer_step(QgaLexState *state, guint8 byte, gboolean *out_taken);

/* Bytes at the front of BYTES that a string takes without a look at each: the state stays as it is.
 */
gsize qga_lexer_plain_run(QgaLexState state, const guint8 *bytes, gsize n_bytes);

/* The token that begins at or behind *AT, in a text that ends at END: *OUT_BEGIN gets its first
 * byte, *AT the byte behind it. BAD: a byte that fits nowhere, or the text ends within the token.
 * NONE: nothing but white space is left. It never looks at END or behind it. */
QgaToken qga_lexer_next(const char **at, const char *end, const char **out_begin);
