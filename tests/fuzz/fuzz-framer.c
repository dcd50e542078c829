/*
 * libFuzzer: the framer. The first byte of an input says how the rest is cut into pieces; cut or
 * whole, the frames must be the same, every message must be one (framer-check.h), and the framer
 * must not hold more than it promises.
 */
#include <string.h>

#include "../unit/framer-check.h"
#include "qga-protocol/framer.h"
#include "qga-protocol/json-reader.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

/* Feeds N bytes in pieces of at most PIECE; the frames as text. */
static GString *frames_of(const guint8 *bytes, gsize n_bytes, gsize piece, gboolean check)
{
    QgaFramer *framer = qga_framer_new();
    GString *frames = g_string_new(NULL);
    gsize done = 0;
    gsize frame_start = 0;
    gsize idle = 0;

    while (done < n_bytes) {
        QgaFrame frame;
        gsize n = MIN(piece, n_bytes - done);
        gsize taken = qga_framer_feed(framer, bytes + done, n, &frame);

        g_assert(taken <= n && (frame.kind != QGA_FRAME_NONE || taken == n));
        /* One number may end at a byte that is not taken; the next call takes it. */
        idle = taken == 0 ? idle + 1 : 0;
        g_assert(idle <= 1);
        done += taken;
        g_assert(qga_framer_memory_bytes(framer) <= (done - frame_start) * 5 / 4 + 4096);
        if (frame.kind == QGA_FRAME_NONE)
            continue;
        frame_start = done;
        g_assert(strlen(frame.text) == frame.n_bytes);
        g_string_append_printf(frames, "%d ", frame.kind);
        g_string_append_len(frames, frame.text, (gssize)frame.n_bytes);
        g_string_append_c(frames, '\n');
        if (check && frame.kind == QGA_FRAME_MESSAGE)
            framer_check_message(frame.text, frame.n_bytes);
    }
    qga_framer_free(framer);
    return frames;
}

/* The reader gets the bytes as they are, in memory of their size, with limits that they choose. */
static void read_raw(const guint8 *bytes, gsize n_bytes)
{
    const QgaJsonLimits limits = {bytes[0] * 8u, bytes[0] % 61u, bytes[0] % 67u, bytes[0] % 31u};
    g_autofree char *copy = g_memdup(bytes, (guint)n_bytes);
    QgaJsonMark mark = {.name = "id"};
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) node = qga_json_parse(copy, n_bytes, &limits, &mark, &error);

    g_assert_true((node == NULL) == (error != NULL));
    if (node != NULL && mark.text != NULL)
        g_assert_true(mark.text >= copy && mark.text + mark.n_bytes <= copy + n_bytes);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    GString *whole;
    GString *cut;

    if (size < 1)
        return 0;
    read_raw(data, size);
    read_raw(data + size / 2, size - size / 2);
    whole = frames_of(data + 1, size - 1, G_MAXSIZE, TRUE);
    cut = frames_of(data + 1, size - 1, data[0] % 16 + 1, FALSE);
    g_assert(g_string_equal(whole, cut));
    g_string_free(whole, TRUE);
    g_string_free(cut, TRUE);
    return 0;
}
