/*
 * The host's memory behind a DIMM: an object of QEMU's. A guest whose RAM is shared with another
 * process (virtiofs, vhost-user), or comes from huge pages, needs DIMMs of the same kind: such a
 * process dies, or sees other bytes, where one is private.
 */
#pragma once

#include "ctl/peer.h"

/* The properties for object-add, but for id and size: as TEXT has them ("memfd,share=on"), or TEXT
 * NULL like the guest's RAM. IN_USE: ids of the backends of devices, which say nothing of RAM.
 * NULL and CTL_USAGE where TEXT makes no sense, CTL_REFUSED where the RAM cannot be imitated. */
JsonObject *qemu_backend_properties(Peer *qmp, const char *text, GHashTable *in_use,
                                    GError **error);
/* Whether TEXT makes sense. FALSE and CTL_USAGE. */
gboolean qemu_backend_check(const char *text, GError **error);
