/*
 * A guest that libvirt runs: its agent by libvirt's passthrough (the port org.qemu.guest_agent.0),
 * its devices by libvirt's own calls and events. libvirt is loaded when it is asked for, and only
 * where memplugctl was built beside its headers: who has no libvirt needs none.
 */
#pragma once

#include "ctl/client.h"
#include "ctl/hypervisor.h"

typedef struct Libvirt Libvirt;

/* Connects to URI (NULL: libvirt's default) and finds DOMAIN, by name or UUID. NULL and
 * CTL_NO_CONNECTION; CTL_USAGE where this memplugctl knows no libvirt. */
Libvirt *libvirt_open(const char *domain, const char *uri, GError **error);
void libvirt_close(Libvirt *libvirt); /* accepts NULL; what was made of it is freed before */

/* The guest's daemon, and the hypervisor. They borrow LIBVIRT. */
Client *client_new_libvirt(Libvirt *libvirt);
Hypervisor *hypervisor_new_libvirt(Libvirt *libvirt);
