/*
 * The virtio-serial port: opened when it is there, waited for when it is not.
 */
#pragma once

#include <glib.h>

#include "os/connection.h"

typedef struct Port Port;

Port *port_new(const char *path, QgaDispatch *dispatch);
void port_free(Port *port); /* accepts NULL */
/* NULL while there is no port. */
QgaSession *port_session(Port *port);
