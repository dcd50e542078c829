/*
 * What libvirt.c loads for the two that use it. Only where libvirt's headers are.
 */
#pragma once

#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "ctl/libvirt.h"

/* clang-format off */
#define LIBVIRT_CALLS(CALL) \
    CALL(virEventRegisterDefaultImpl) CALL(virEventRunDefaultImpl) CALL(virEventAddTimeout) \
    CALL(virSetErrorFunc) CALL(virGetLastError) CALL(virConnectOpen) CALL(virConnectClose) \
    CALL(virConnectSetKeepAlive) CALL(virConnectIsAlive) CALL(virConnectDomainEventRegisterAny) \
    CALL(virDomainLookupByName) CALL(virDomainLookupByUUIDString) CALL(virDomainFree) \
    CALL(virDomainGetXMLDesc) CALL(virDomainGetState) CALL(virDomainAttachDeviceFlags) \
    CALL(virDomainDetachDeviceAlias) CALL(virDomainUpdateDeviceFlags)
/* clang-format on */

struct Libvirt {
    void *library, *qemu_library;
    virConnectPtr connection;
    virDomainPtr domain;
    GThread *loop; /* runs libvirt's event loop */
    gint is_ending;
    int wakes; /* an eventfd: something is in `events` */
    GMutex lock;
    GQueue *events; /* of HvEvent */
    gint is_lost;   /* set on the loop's thread */
#define LIBVIRT_MEMBER(name) __typeof__(name) *name;
    LIBVIRT_CALLS(LIBVIRT_MEMBER)
    __typeof__(virDomainQemuAgentCommand) *virDomainQemuAgentCommand;
};

/* Sets ERROR to what libvirt said last, for a person. Returns FALSE. */
gboolean libvirt_failed(Libvirt *libvirt, const char *what, int code, GError **error);
