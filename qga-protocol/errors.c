#include "qga-protocol/errors.h"

GQuark qga_error_quark(void)
{
    return g_quark_from_static_string("qga-error-quark");
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
