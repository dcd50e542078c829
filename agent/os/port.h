/*
 * The virtio-serial port, or a serial line: opened when it is there, waited for when it is not.
 */
#pragma once

#include <glib.h>

#include "os/connection.h"

typedef struct Port Port;

/* What port_error() says has changed; never called from inside port_new(). */
typedef void (*PortChangedFunc)(gpointer user_data);

/* IS_SERIAL: a terminal line, which is made raw. ON_CHANGE may be NULL. */
Port *port_new(const char *path, gboolean is_serial, QgaDispatch *dispatch,
               PortChangedFunc on_change, gpointer user_data);
void port_free(Port *port); /* accepts NULL */
/* Why nobody can talk to the daemon by the port: that there is none, or why it cannot be opened. ""
 * while it is open. */
const char *port_error(const Port *port);
/* NULL while there is no port. */
QgaSession *port_session(Port *port);
