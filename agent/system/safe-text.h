/*
 * Text of others, made fit for a terminal, a log and a sentence: it may hold control bytes that a
 * terminal would obey.
 */
#pragma once

#include <glib.h>

/* TEXT with everything that is not a printable character as \xNN or \u{N}; NULL as "". (transfer
 * full) */
char *text_safe(const char *text);
