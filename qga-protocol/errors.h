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

/* Domain of every GError of this layer; the code is a QgaErrorClass, the message goes out as desc. */
#define QGA_ERROR (qga_error_quark())
GQuark qga_error_quark(void);

/* The name on the wire: "GenericError" or "CommandNotFound". Static, never NULL. */
const char *qga_error_class_name(QgaErrorClass error_class);
