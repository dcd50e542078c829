/*
 * The error classes that may cross the wire (qapi/error.json in QEMU), and the GError domain that
 * carries one inside this layer. It must never grow a class that qemu-ga's clients do not know.
 */
#pragma once

#include <glib.h>

typedef enum {
    QGA_CLASS_GENERIC,           /* "GenericError" */
    QGA_CLASS_COMMAND_NOT_FOUND, /* "CommandNotFound": unknown, or blocked */
} QgaErrorClass;

/* Domain of every GError of this layer; its code is a QgaErrorClass, its message the desc. */
#define QGA_ERROR (qga_error_quark())
GQuark qga_error_quark(void);

/* How many bytes of TEXT, up to MAX, to quote: what a peer sent may be a megabyte, and neither a
 * message nor its making may be. Cuts at the start of a character. */
gsize qga_error_clip(const char *text, gsize max_bytes);

/* What a message quotes of a name, and what it may have in all. */
#define QGA_ERROR_NAME_MAX_BYTES 1024
#define QGA_ERROR_DESC_MAX_BYTES 2048

/* The name on the wire: "GenericError" or "CommandNotFound". Static, never NULL. */
const char *qga_error_class_name(QgaErrorClass error_class);
