/*
 * The queue of output: a list of chunks, so that a peek needs no search. None of them is empty but
 * the only one: it is kept, as most replies are short and come one after the other.
 */
#include "qga-protocol/out-queue.h"

#include <string.h>

typedef struct {
    gsize begin; /* first byte not consumed */
    gsize end;   /* first byte free */
    guint8 bytes[QGA_OUT_CHUNK_BYTES];
} Chunk;

struct QgaOutQueue {
    GQueue chunks; /* of Chunk */
    gsize size;
};

QgaOutQueue *qga_out_queue_new(void)
{
    QgaOutQueue *queue = g_new0(QgaOutQueue, 1);

    g_queue_init(&queue->chunks);
    return queue;
}

void qga_out_queue_free(QgaOutQueue *queue)
{
    if (queue == NULL)
        return;
    qga_out_queue_clear(queue);
    g_free(queue);
}

void qga_out_queue_append(QgaOutQueue *queue, const void *bytes, gsize n_bytes)
{
    const guint8 *from = bytes;

    queue->size += n_bytes;
    while (n_bytes > 0) {
        Chunk *chunk = queue->chunks.tail != NULL ? queue->chunks.tail->data : NULL;
        gsize n;

        if (chunk == NULL || chunk->end == QGA_OUT_CHUNK_BYTES) {
            chunk = g_new(Chunk, 1);
            chunk->begin = chunk->end = 0;
            g_queue_push_tail(&queue->chunks, chunk);
        }
        n = MIN(n_bytes, QGA_OUT_CHUNK_BYTES - chunk->end);
        memcpy(chunk->bytes + chunk->end, from, n);
        chunk->end += n;
        from += n;
        n_bytes -= n;
    }
}

gsize qga_out_queue_size(const QgaOutQueue *queue)
{
    return queue->size;
}

gsize qga_out_queue_peek(const QgaOutQueue *queue, const guint8 **out_bytes)
{
    const Chunk *chunk = queue->chunks.head != NULL ? queue->chunks.head->data : NULL;

    *out_bytes = queue->size > 0 ? chunk->bytes + chunk->begin : NULL;
    return queue->size > 0 ? chunk->end - chunk->begin : 0;
}

/* CHUNK, an end of the queue, has become empty. */
static void drop_chunk(QgaOutQueue *queue, Chunk *chunk)
{
    if (queue->chunks.length == 1) {
        chunk->begin = chunk->end = 0;
        return;
    }
    g_queue_remove(&queue->chunks, chunk);
    g_free(chunk);
}

void qga_out_queue_consume(QgaOutQueue *queue, gsize n_bytes)
{
    g_assert(n_bytes <= queue->size);
    queue->size -= n_bytes;
    while (n_bytes > 0) {
        Chunk *chunk = g_queue_peek_head(&queue->chunks);
        gsize n = MIN(n_bytes, chunk->end - chunk->begin);

        chunk->begin += n;
        n_bytes -= n;
        if (chunk->begin == chunk->end)
            drop_chunk(queue, chunk);
    }
}

void qga_out_queue_truncate(QgaOutQueue *queue, gsize n_bytes)
{
    g_assert(n_bytes <= queue->size);
    queue->size -= n_bytes;
    while (n_bytes > 0) {
        Chunk *chunk = g_queue_peek_tail(&queue->chunks);
        gsize n = MIN(n_bytes, chunk->end - chunk->begin);

        chunk->end -= n;
        n_bytes -= n;
        if (chunk->begin == chunk->end)
            drop_chunk(queue, chunk);
    }
}

void qga_out_queue_clear(QgaOutQueue *queue)
{
    g_queue_clear_full(&queue->chunks, g_free);
    queue->size = 0;
}

char *qga_out_queue_take_text(QgaOutQueue *queue)
{
    char *text = g_malloc(queue->size + 1);
    char *to = text;
    const guint8 *bytes;
    gsize n;

    while ((n = qga_out_queue_peek(queue, &bytes)) > 0) {
        memcpy(to, bytes, n);
        to += n;
        qga_out_queue_consume(queue, n);
    }
    *to = '\0';
    return text;
}
