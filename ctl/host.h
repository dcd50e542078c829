/*
 * What plug, unplug and resize share: the guest as the hypervisor has it, what the guest itself
 * says, and the report of what was done. Nothing that the guest says decides what is taken from it,
 * or how much is added: it can refuse, and nothing else.
 */
#pragma once

#include "ctl/verbs.h"

/* Nothing that is waited for may stand still longer. */
#define HOST_STANDSTILL_MS 30000
#define HOST_BLOCK_BYTES_MAX (G_GUINT64_CONSTANT(2) << 30)

typedef struct {
    Ctl *ctl;
    Hypervisor *hv;
    int interrupt;           /* of interrupt_open(): Ctrl-C never just ends these verbs */
    char *boot_id;           /* the guest's, "" where it says none */
    guint64 block_bytes;     /* the guest's; 0: what it says can be none */
    guint64 base_bytes;      /* by the hypervisor: what the guest was started with, in no device */
    guint64 began_bytes;     /* by the hypervisor, as the verb began */
    guint64 wanted_bytes;    /* what was asked for, in all */
    guint64 planned_bytes;   /* --dry-run: what it would come to */
    JsonArray *steps;        /* {device, action, bytes, result, reasons} */
    JsonArray *reasons;      /* that belong to no step */
    gboolean has_failed;     /* something that was tried did not happen */
    gboolean is_interrupted; /* somebody pressed Ctrl-C, so nothing more is begun */
} Host;

/* Connects nothing, asks the guest who it is. NULL and an error. */
Host *host_open(Ctl *ctl, GError **error);
void host_free(Host *host); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Host, host_free)

/* ---- the guest's word ---- */

/* The guest's record of DEVICE in DEVICES (its answer to memory-get-devices): the one that begins
 * where DEVICE does and is not larger. NULL: it has none. Borrowed. */
JsonObject *host_record(JsonArray *devices, const HvDevice *device);
/* The device of MEMORY that the guest calls ID; NULL: none. Borrowed. */
const HvDevice *host_device(const HvMemory *memory, JsonArray *devices, const char *id);

/* ---- the report ---- */

/* A step with DEVICE (the hypervisor's id) by so many BYTES; what became of it is set later.
 * Borrowed. */
JsonObject *host_step(Host *host, const char *device, const char *action, guint64 bytes);
/* RESULT: "done", "failed", "planned", "not-tried". Prints the step, with FORMAT behind it. */
void host_step_end(Host *host, JsonObject *step, const char *result, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
/* Gives STEP (NULL: all of it) a reason. CODE is one of the protocol's or of memplugctl(1). */
void host_reason(Host *host, JsonObject *step, const char *code, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
/* Gives STEP (NULL: all of it) reasons that the guest told, those about DEVICE alone (the guest's
 * id; NULL: whichever). */
void host_guest_reasons(Host *host, JsonObject *step, JsonArray *reasons, const char *device);

/* The hypervisor hung up; sets ERROR. Always FALSE. */
gboolean host_lost(Host *host, GError **error);

/* Ends the verb: what was asked, what is there by the hypervisor and by the guest, all reasons.
 * PROMISED_BYTES: the size by the hypervisor that counts as success. */
CtlStatus host_finish(Host *host, guint64 promised_bytes, GError **error);
/* Ends the verb where nothing was begun, for ERROR: with --json a refusal is a report too. */
CtlStatus host_refuse(Host *host, GError **error);

/* ---- what is done (host-unplug.c, host-plug.c) ---- */

/* Has the hypervisor delete DIMM ID, and waits until it is gone. FALSE without an error: it stays,
 * and STEP has the reason. */
gboolean host_delete(Host *host, JsonObject *step, const char *id, GError **error);

/* Takes DIMMS (HvDevice, borrowed) away: prepares them in the guest and deletes them, these and no
 * others. FAILED: the ids of those that would not go are added; where the guest did not say which
 * of them it was, none. FALSE: not all are gone. ERROR is set only where nothing more can be
 * done. */
gboolean host_take(Host *host, GPtrArray *dimms, GHashTable *failed, GError **error);

/* Adds BYTES (a multiple of the guest's block) in DIMMs of PIECES (guint64) bytes each, as far as
 * the guest has room for the page descriptors, each online before the next. FALSE: not all of it is
 * there and online. */
gboolean host_add(Host *host, GArray *pieces, GError **error);

/* Asks virtio-mem DEVICE to hold BYTES, and follows until it does or stands still; then the request
 * is set to what was reached. FALSE: it does not hold them. */
gboolean host_request(Host *host, const HvDevice *device, guint64 bytes, GError **error);
