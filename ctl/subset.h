/*
 * Which sizes add up to the most that is not above a limit. Exact, not greedy: of 512, 384 and 384
 * the best for 768 is 384 + 384.
 */
#pragma once

#include <glib.h>

/* Marks in CHOSEN (may be NULL) which of N SIZES (in bytes, none of them 0) have the largest sum
 * that is not above LIMIT; among equals larger ones that come first. Returns the sum. Where the
 * sizes have so little in common that an exact answer would take too much memory, a good one. */
guint64 subset_best(const guint64 *sizes, guint n, guint64 limit, gboolean *chosen);
