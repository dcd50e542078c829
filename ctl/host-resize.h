/*
 * How a guest is made larger and smaller: what plug, unplug and resize are made of. BYTES are the
 * hypervisor's; ERROR is set where nothing more can be done, and is never NULL.
 */
#pragma once

#include "ctl/host.h"

/* ---- larger (host-grow.c) ---- */

/* FALSE and ERROR: the guest tells no block size that can be true. */
gboolean host_has_block(Host *host, GError **error);
/* Whether BYTES more in DIMMs fit into what the guest was started with. With --best-effort *BYTES
 * becomes what does. */
gboolean host_fits(Host *host, const HvMemory *memory, guint64 *bytes, GError **error);
/* Adds BYTES, which fit: in one DIMM (WHOLE) or in several. */
void host_grow_dimms(Host *host, const HvMemory *memory, guint64 bytes, gboolean whole,
                     GError **error);
/* Adds BYTES. *PROMISED: the size that counts as success. */
void host_grow(Host *host, const HvMemory *memory, guint64 bytes, guint64 *promised,
               GError **error);

/* ---- smaller (host-shrink.c) ---- */

/* What virtio-mem devices hold, and what they could give back of BYTES. */
guint64 host_virtio_mem_bytes(const HvMemory *memory);
guint64 host_virtio_mem_gives(const HvMemory *memory, guint64 bytes);
/* Takes DIMMs, and others where some would not go, until the guest has what was wanted. */
void host_shrink_dimms(Host *host, GError **error);
/* Has virtio-mem devices give back what the guest is too large by, the last one first. */
void host_shrink_virtio_mem(Host *host, GError **error);
/* --dry-run: virtio-mem DEVICE would be asked to hold BYTES. */
void host_plan_request(Host *host, const HvDevice *device, guint64 bytes);

/* ---- which (host-choose.c) ---- */

typedef struct {
    Host *host;
    GHashTable *failed;    /* ids of DIMMs that would not go */
    gboolean has_excluded; /* the guest has said which cannot */
} Shrinking;

/* The DIMMs that could go, but for those of FAILED (NULL: none), larger ones first. (transfer
 * full), of HvDevice, which are MEMORY's. */
GPtrArray *host_candidates(const HvMemory *memory, GHashTable *failed);
/* The largest sum of DIMMS that is not above LIMIT; those of it are added to CHOSEN (NULL: none).
 */
guint64 host_best_of(GPtrArray *dimms, guint64 limit, GPtrArray *chosen);
/* Which DIMMs to take for BYTES. NULL and ERROR. (transfer full), of HvDevice of MEMORY. */
GPtrArray *host_choose(Shrinking *shrinking, const HvMemory *memory, guint64 bytes, GError **error);
