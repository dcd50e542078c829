/*
 * The names of error classes, and how much of a peer's text an error may quote.
 */
#include "qga-protocol/errors.h"

#include <string.h>

GQuark qga_error_quark(void)
{
    return g_quark_from_static_string("qga-error-quark");
}

gsize qga_error_clip(const char *text, gsize max_bytes)
{
    gsize n_bytes = strnlen(text, max_bytes);

    if (text[n_bytes] != '\0')
        while (n_bytes > 0 && (text[n_bytes] & 0xC0) == 0x80)
            n_bytes--;
    return n_bytes;
}

const char *qga_error_class_name(QgaErrorClass error_class)
{
    switch (error_class) {
    case QGA_CLASS_COMMAND_NOT_FOUND:
        return "CommandNotFound";
    case QGA_CLASS_GENERIC:
        break;
    }
    return "GenericError";
}
