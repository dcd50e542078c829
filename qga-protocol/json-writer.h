/*
 * A streaming JSON writer, so that a long reply never exists as a tree. Its text is laid out like
 * QEMU's (qobject/qjson.c): ", " and ": " between things, ASCII only. It must never write text that
 * is not JSON: a byte that is not UTF-8 becomes U+FFFD, a double that is not finite becomes null.
 *
 * The caller keeps the grammar: a key before each value of an object, as many ends as begins. The
 * writer puts the separators.
 */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

#include "qga-protocol/out-queue.h"

/* A plain struct so that it can live inside others; its members are json-writer.c's alone. */
typedef struct {
    QgaOutQueue *queue; /* NULL: everything written is thrown away */
    guint depth;
    gboolean need_comma;
} QgaWriter;

/* Starts a text that goes to QUEUE (borrowed; NULL throws it away). Nothing to free. */
void qga_writer_init(QgaWriter *writer, QgaOutQueue *queue);

/* Open objects and arrays; 0 when the value is complete. */
guint qga_writer_depth(const QgaWriter *writer);

void qga_writer_begin_object(QgaWriter *writer);
void qga_writer_end_object(QgaWriter *writer);
void qga_writer_begin_array(QgaWriter *writer);
void qga_writer_end_array(QgaWriter *writer);
void qga_writer_key(QgaWriter *writer, const char *key);

void qga_writer_int(QgaWriter *writer, gint64 value);
void qga_writer_uint(QgaWriter *writer, guint64 value);  /* a plain JSON integer, up to 2^64 - 1 */
void qga_writer_double(QgaWriter *writer, double value); /* shortest form that reads back equal */
void qga_writer_bool(QgaWriter *writer, gboolean value);
void qga_writer_null(QgaWriter *writer);
void qga_writer_string(QgaWriter *writer, const char *value); /* NULL writes null */
/* N bytes that need not end with NUL nor be UTF-8. */
void qga_writer_string_bytes(QgaWriter *writer, const char *bytes, gsize n_bytes);
/* Any JSON tree; NULL writes null. */
void qga_writer_node(QgaWriter *writer, JsonNode *node);
/* A value that the framer has passed (json-text.h), written again in this writer's layout. Numbers
 * stay digit for digit, which is why an id is echoed by this and not by a tree. */
void qga_writer_json_text(QgaWriter *writer, const char *text, gsize n_bytes);

/* A key and its value at once. */
void qga_writer_member_int(QgaWriter *writer, const char *key, gint64 value);
void qga_writer_member_uint(QgaWriter *writer, const char *key, guint64 value);
void qga_writer_member_bool(QgaWriter *writer, const char *key, gboolean value);
void qga_writer_member_string(QgaWriter *writer, const char *key, const char *value);
void qga_writer_member_object(QgaWriter *writer, const char *key); /* begins it */
void qga_writer_member_array(QgaWriter *writer, const char *key);  /* begins it */
