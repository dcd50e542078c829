/*
 * A message taken apart: {"execute": NAME, "arguments": {…}?, "id": ANY?}, or the error that
 * qemu-ga has for what is not one (qapi/qmp-dispatch.c in QEMU). It must never look up a command.
 */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

/* Bytes of JSON text that an id may have. An id is echoed, and escaping may make it six times as
 * long: without a bound of its own a request would cost more than the 8 MiB that it may. */
#define QGA_REQUEST_ID_MAX_BYTES (64 * 1024)

typedef struct {
    char *execute;         /* owned */
    JsonObject *arguments; /* owned; NULL where the request has none */
    const char *id;        /* the id as JSON text inside the message (borrowed), NULL: none */
    gsize id_n_bytes;
} QgaRequest;

/* Reads TEXT, a message of the framer's, which must live as long as REQUEST is used. FALSE with
 * QGA_ERROR where it is not a request; then REQUEST has at most the id, for the reply. Clear in
 * either case. */
gboolean qga_request_parse(QgaRequest *request, const char *text, gsize n_bytes, GError **error);
void qga_request_clear(QgaRequest *request);
