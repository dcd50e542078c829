/*
 * Units: the multiples that names such as size_bytes and lease_ms speak of, and sizes for people.
 */
#pragma once

#include <glib.h>

#define KIB (G_GUINT64_CONSTANT(1) << 10)
#define MIB (G_GUINT64_CONSTANT(1) << 20)
#define GIB (G_GUINT64_CONSTANT(1) << 30)

#define USEC_PER_MSEC G_GINT64_CONSTANT(1000)
#define USEC_PER_SEC G_GINT64_CONSTANT(1000000)

/* *RESULT = A + B, A * B. FALSE, and *RESULT of no use, where that does not fit. GLib's own
 * g_uint64_checked_add() of before 2.68 writes through a cast, which gcc 10 takes for something
 * else: wrong sums. */
static inline gboolean u64_add(guint64 *result, guint64 a, guint64 b)
{
    return !__builtin_add_overflow(a, b, result);
}

static inline gboolean u64_multiply(guint64 *result, guint64 a, guint64 b)
{
    return !__builtin_mul_overflow(a, b, result);
}

/* Room for the longest text that units_format_bytes() writes. */
#define UNITS_BYTES_MAX 24

/* SIZE_BYTES for a person: "0 B", "128 MiB", "1.5 GiB" (at most one decimal). Returns BUF. */
const char *units_format_bytes(guint64 size_bytes, char buf[UNITS_BYTES_MAX]);
