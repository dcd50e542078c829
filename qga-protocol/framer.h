/*
 * Finds the messages in a stream of bytes: one JSON value after the other, newlines or not. While
 * it reads it bounds a message's bytes, tokens and nesting, and checks grammar, escapes and UTF-8,
 * so that a peer is told of a mistake when qemu-ga tells of it. It resynchronises where
 * qemu-ga does (qobject/json-lexer.c, json-streamer.c in QEMU). It must never keep more than 1.25
 * times the message (and 4 KiB), and never build a tree.
 *
 * How it resynchronises. A byte that can begin or continue no token is one error, at once; then
 * bytes are skipped up to a structural character, a control character other than tab, 0xFE or 0xFF.
 * 0xFF is such a byte itself: wherever it stands it gives one error and leaves nothing open. A
 * message against the grammar or over a limit is one error, at the first token that cannot be; the
 * rest of it is skipped without another one, until its braces and brackets balance (or close too
 * many) or a bad byte comes.
 */
#pragma once

#include <glib.h>

/* Limits of a message: bytes of its tokens (white space between them is free), number of tokens,
 * open objects and arrays. */
#define QGA_FRAMER_MAX_BYTES (1024 * 1024)
#define QGA_FRAMER_MAX_TOKENS (32 * 1024)
/* Of a message that is passed on: half of what QEMU takes (MAX_TOKEN_COUNT,
 * qobject/json-streamer.c), which would read the rest of a larger one as messages of its own. */
#define QGA_FRAMER_MAX_PASSED_TOKENS (1024 * 1024)
#define QGA_FRAMER_MAX_NESTING 64

/* Where messages are passed on (qga_framer_set_passing): bytes of a message, and of white space in
 * it that are kept as they came. */
#define QGA_FRAMER_MAX_PASSED_BYTES (16 * 1024 * 1024)
#define QGA_FRAMER_MAX_SPACE_BYTES (64 * 1024)

typedef enum {
    QGA_FRAME_NONE,    /* all bytes taken, nothing complete */
    QGA_FRAME_MESSAGE, /* text is a JSON value without white space between its tokens */
    QGA_FRAME_ERROR,   /* text is what to tell the peer; it may hold bytes that are not UTF-8 */
    QGA_FRAME_PART,    /* text is a piece of a message over the limits: more pieces follow, then the
                          last one as QGA_FRAME_MESSAGE, or QGA_FRAME_ERROR */
} QgaFrameKind;

typedef struct {
    QgaFrameKind kind;
    const char *text; /* NUL-terminated, owned by the framer, valid until the next call */
    gsize n_bytes;
    /* Only where messages are passed on, of a message and of its parts as far as it was seen, owned
     * by the framer: the string that is the member "execute" of the outermost object, and the text
     * that is its "id"; NULL where there is none (yet), or a very long one. */
    const char *over; /* the limit that the message is over, else NULL */
    const char *execute;
    const char *id;
    gsize id_n_bytes;
} QgaFrame;

typedef struct QgaFramer QgaFramer;

QgaFramer *qga_framer_new(void);
void qga_framer_free(QgaFramer *framer); /* NULL is fine */

/* Takes bytes up to the end of at most one frame, which *OUT gets. Returns how many it took: it may
 * be 0 with a frame (a number ends at the byte behind it), never 0 with QGA_FRAME_NONE unless N is
 * 0. Call it again with the rest. */
gsize qga_framer_feed(QgaFramer *framer, const guint8 *bytes, gsize n_bytes, QgaFrame *out);

/* Messages may go on to another agent: they keep their white space, those over the limits on bytes
 * and tokens come in parts, and frames tell "execute" and "id". */
void qga_framer_set_passing(QgaFramer *framer, gboolean passing);
/* After QGA_FRAME_PART: the message is not to be passed. *OUT gets the error that tells which limit
 * it is over; the rest of it is skipped. */
void qga_framer_refuse(QgaFramer *framer, QgaFrame *out);

/* Forgets everything, as for a new connection. */
void qga_framer_reset(QgaFramer *framer);

/* Is a message or a token begun and not ended? */
gboolean qga_framer_is_open(const QgaFramer *framer);

/* Bytes that the framer holds now: for tests. */
gsize qga_framer_memory_bytes(const QgaFramer *framer);
