/*
 * libFuzzer: the framer. The first byte of an input says how the rest is cut into pieces; cut or
 * whole, the frames must be the same, every message must be one (framer-check.h), and the framer
 * must not hold more than it promises.
 */
#include <string.h>

#include "../unit/framer-check.h"
#include "qga-protocol/framer.h"

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

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    GString *whole;
    GString *cut;

    if (size < 1)
        return 0;
    whole = frames_of(data + 1, size - 1, G_MAXSIZE, TRUE);
    cut = frames_of(data + 1, size - 1, data[0] % 16 + 1, FALSE);
    g_assert(g_string_equal(whole, cut));
    g_string_free(whole, TRUE);
    g_string_free(cut, TRUE);
    return 0;
}
