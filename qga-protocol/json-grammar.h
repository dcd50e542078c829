/*
 * The grammar of JSON, one token after the other, in a few words of memory instead of on a stack:
 * how QEMU's parser (qobject/json-parser.c) sees the tokens since it takes them one by one, with
 * its words for what is wrong. It must never be given more nesting than it has bits for, nor a
 * token after a fault.
 */
#pragma once

#include <glib.h>

#include "qga-protocol/json-lexer.h"

#define QGA_GRAMMAR_MAX_NESTING 64

typedef enum {
    QGA_EXPECT_VALUE,
    QGA_EXPECT_VALUE_OR_CLOSE, /* after [ */
    QGA_EXPECT_KEY,
    QGA_EXPECT_KEY_OR_CLOSE, /* after { */
    QGA_EXPECT_COLON,
    QGA_EXPECT_COMMA_OR_CLOSE,
} QgaExpect;

/* All zero at the beginning of a value. */
typedef struct {
    QgaExpect expect;
    guint depth; /* open objects and arrays; 0 after a token that was fine: the value is whole */
    guint64 is_object; /* bit D-1: what is open at depth D is an object */
} QgaGrammar;

/* Takes TOKEN, whose text is TEXT (N bytes). NULL: fine; else what is wrong, to free. */
char *qga_grammar_accept(QgaGrammar *grammar, QgaToken token, const char *text, gsize n_bytes);
