/*
 * Bytes on their way out: a queue of fixed chunks, filled at the tail by the JSON writer and
 * emptied at the head by whoever owns the channel. It knows no limit (the session does), and must
 * never move a byte once it is in: that is what makes a reply of megabytes cheap.
 */
#pragma once

#include <glib.h>

/* Bytes in a chunk. The kernel cuts writes to a virtio port at 32 KiB
 * (drivers/char/virtio_console.c, port_fops_write), so a larger peek would buy nothing. */
#define QGA_OUT_CHUNK_BYTES 32768

typedef struct QgaOutQueue QgaOutQueue;

QgaOutQueue *qga_out_queue_new(void);
void qga_out_queue_free(QgaOutQueue *queue); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QgaOutQueue, qga_out_queue_free)

/* Appends N bytes (copied). */
void qga_out_queue_append(QgaOutQueue *queue, const void *bytes, gsize n_bytes);

/* Bytes queued and not consumed. */
gsize qga_out_queue_size(const QgaOutQueue *queue);

/* The first bytes of the queue, as many as lie together: *OUT_BYTES is valid until the next call
 * that changes the queue. Returns their number, 0 (and *OUT_BYTES NULL) when the queue is empty. */
gsize qga_out_queue_peek(const QgaOutQueue *queue, const guint8 **out_bytes);

/* Drops the first N bytes; N must not exceed the size. A chunk is freed with its last byte. */
void qga_out_queue_consume(QgaOutQueue *queue, gsize n_bytes);

/* Takes back the last N bytes, for a reply that fails while it is written; N must not exceed the
 * size. */
void qga_out_queue_truncate(QgaOutQueue *queue, gsize n_bytes);

/* Drops everything. */
void qga_out_queue_clear(QgaOutQueue *queue);

/* (transfer full): all of it as one text that ends with NUL; the queue is empty then. */
char *qga_out_queue_take_text(QgaOutQueue *queue);
