/*
 * A streaming writer of JSON values, as text or into another form (a sink), so that a long reply
 * never exists as a tree. Its text is laid out like QEMU's (qobject/qjson.c): ", " and ": " between
 * things, ASCII only. It must never write text that is not JSON: a byte that is not UTF-8 becomes
 * U+FFFD, a double that is not finite becomes null.
 *
 * The caller keeps the grammar: a key before each value of an object, as many ends as begins. The
 * writer puts the separators.
 */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

#include "qga-protocol/out-queue.h"

/* Where a value goes that is not to become text: one function for each thing that is written, in
 * the order of the writing. A number of up to 2^63 - 1 comes as int always. */
typedef struct {
    void (*begin)(gpointer target, gboolean is_object);
    void (*end)(gpointer target);
    void (*key)(gpointer target, const char *key);
    void (*string)(gpointer target, const char *value); /* UTF-8 */
    void (*int64)(gpointer target, gint64 value);
    void (*uint64)(gpointer target, guint64 value);
    void (*real)(gpointer target, double value); /* finite */
    void (*boolean)(gpointer target, gboolean value);
    void (*null)(gpointer target);
} QgaWriterSink;

/* A plain struct so that it can live inside others; its members are json-writer.c's alone. */
typedef struct {
    QgaOutQueue *queue;        /* NULL: everything written is thrown away */
    const QgaWriterSink *sink; /* instead of the queue; NULL: text */
    gpointer target;
    guint depth;
    gboolean need_comma;
} QgaWriter;

/* Starts a text that goes to QUEUE (borrowed; NULL throws it away). Nothing to free. */
void qga_writer_init(QgaWriter *writer, QgaOutQueue *queue);

/* Starts a value that goes to SINK (static), whose functions get TARGET. */
void qga_writer_init_sink(QgaWriter *writer, const QgaWriterSink *sink, gpointer target);

/* Open objects and arrays; 0 when the value is complete. */
guint qga_writer_depth(const QgaWriter *writer);

void qga_writer_begin_object(QgaWriter *writer);
void qga_writer_end_object(QgaWriter *writer);
void qga_writer_begin_array(QgaWriter *writer);
void qga_writer_end_array(QgaWriter *writer);
void qga_writer_key(QgaWriter *writer, const char *key);

void qga_writer_int(QgaWriter *writer, gint64 value);
void qga_writer_uint(QgaWriter *writer, guint64 value);  /* a plain JSON integer, up to 2^64 - 1 */
void qga_writer_double(QgaWriter *writer, double value); /* 17 digits: reads back equal */
void qga_writer_bool(QgaWriter *writer, gboolean value);
void qga_writer_null(QgaWriter *writer);
void qga_writer_string(QgaWriter *writer, const char *value); /* NULL writes null */
/* N bytes that need not end with NUL nor be UTF-8. */
void qga_writer_string_bytes(QgaWriter *writer, const char *bytes, gsize n_bytes);
/* Any JSON tree; NULL writes null. */
void qga_writer_node(QgaWriter *writer, JsonNode *node);
/* A value that qga_json_parse() or the framer has passed, written again in this writer's layout.
 * Numbers stay digit for digit, which is why an id is echoed by this and not by a tree. For text
 * only. */
void qga_writer_json_text(QgaWriter *writer, const char *text, gsize n_bytes);

/* A key and its value at once. */
void qga_writer_member_int(QgaWriter *writer, const char *key, gint64 value);
void qga_writer_member_uint(QgaWriter *writer, const char *key, guint64 value);
void qga_writer_member_bool(QgaWriter *writer, const char *key, gboolean value);
void qga_writer_member_string(QgaWriter *writer, const char *key, const char *value);
void qga_writer_member_object(QgaWriter *writer, const char *key); /* begins it */
void qga_writer_member_array(QgaWriter *writer, const char *key);  /* begins it */
