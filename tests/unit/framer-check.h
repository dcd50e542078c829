/*
 * What must be true of every message that a framer hands out, whatever was fed: for the framer's
 * unit test and its fuzzer. Aborts where it is not.
 */
#pragma once

#include <glib.h>

/* TEXT (N bytes, NUL behind them) is a message: it can be read into a tree or has a key twice;
 * written, framed and written again it stays the same; the text written is ASCII; and json-glib,
 * which knows nothing of this framer, reads the same tree from it. */
void framer_check_message(const char *text, gsize n_bytes);
