/*
 * The hypervisor as the verbs see it: which memory devices a guest has, adding one, asking for one
 * back, and what has become of that. What it says is the truth about sizes; the guest's word is
 * advice. Verbs know neither QMP nor libvirt.
 *
 *     g_autoptr(HvMemory) memory = hypervisor_memory(hv, &error);
 *     const HvDevice *dimm = hv_memory_by_id(memory, "dimm3");
 *     if (dimm && hypervisor_unplug(hv, dimm->id, &error))
 *         while (hypervisor_wait(hv, interrupt_fd, 1000, &event) == WAKE_NEWS) …
 */
#pragma once

#include <json-glib/json-glib.h>

#include "ctl/line-socket.h"

typedef struct Hypervisor Hypervisor;

typedef enum {
    HV_DIMM,
    HV_VIRTIO_MEM,
} HvKind;

/* A memory device. */
typedef struct {
    char *id; /* the hypervisor's; NULL: it has none, so nothing can be done with it */
    HvKind kind;
    guint64 address;    /* guest-physical */
    guint64 size_bytes; /* of the range: what a DIMM holds, what a virtio-mem device could hold */
    gint64 slot;        /* a DIMM's; -1 otherwise */
    gint64 node;        /* of the guest */
    gboolean is_hotplugged;
    gboolean can_unplug;
    /* virtio-mem alone: */
    guint64 requested_bytes, plugged_bytes, block_bytes;
} HvDevice;

/* What the guest sees of DEVICE's memory now, in bytes. */
guint64 hv_device_bytes(const HvDevice *device);

/* All memory of a guest. */
typedef struct {
    guint64 base_bytes; /* there from the start, in no device */
    guint64 max_bytes;  /* base and devices together may be this much; 0: not known */
    gint64 slots;       /* for DIMMs, used ones included; -1: not known */
    guint nodes;        /* of the guest that have memory from the start; 0: not known */
    GPtrArray *devices; /* of HvDevice, in the order of their addresses */
} HvMemory;

void hv_memory_free(HvMemory *memory); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HvMemory, hv_memory_free)

/* base_bytes and all that devices hold. */
guint64 hv_memory_bytes(const HvMemory *memory);
/* Slots that no DIMM is in; -1: not known. */
gint64 hv_memory_free_slots(const HvMemory *memory);
/* By how much devices could grow the guest within max_bytes; G_MAXUINT64: not known. */
guint64 hv_memory_room_bytes(const HvMemory *memory);
/* The device of that id, of that slot, or at that address; NULL: there is none. Borrowed. */
const HvDevice *hv_memory_by_id(const HvMemory *memory, const char *id);
const HvDevice *hv_memory_by_slot(const HvMemory *memory, gint64 slot);
const HvDevice *hv_memory_by_address(const HvMemory *memory, guint64 address);

/* A DIMM to be. */
typedef struct {
    guint64 size_bytes;
    const char *id;      /* NULL: a free one is chosen */
    const char *backend; /* QEMU's alone: "ram", "memfd" or "file" and ",name=value…"; NULL: as the
                            guest's RAM */
    guint64 address;     /* 0: the hypervisor chooses */
    gint64 node;         /* -1: the hypervisor's default, node 0 */
} HvPlug;

typedef enum {
    HV_EVENT_NONE,         /* nothing that anybody waits for */
    HV_EVENT_DELETED,      /* DEVICE is gone */
    HV_EVENT_REFUSED,      /* the guest does not give DEVICE back */
    HV_EVENT_SIZE_CHANGED, /* virtio-mem DEVICE holds another amount */
    HV_EVENT_RESET,        /* the guest began anew */
    HV_EVENT_STOPPED,      /* it is paused, or moved to another host */
    HV_EVENT_RESUMED,
    HV_EVENT_SHUTDOWN,
} HvEventKind;

typedef struct {
    HvEventKind kind;
    char *device; /* its id; NULL where the event is about the guest. To free */
} HvEvent;

/* QEMU's monitor at PATH. NULL and CTL_NO_CONNECTION. */
Hypervisor *hypervisor_new_qmp(const char *path, GError **error);
void hypervisor_free(Hypervisor *hv); /* accepts NULL */

/* "QEMU" or "libvirt", for messages. */
const char *hypervisor_name(Hypervisor *hv);

/* What there is now. NULL and an error. */
HvMemory *hypervisor_memory(Hypervisor *hv, GError **error);

/* Adds a DIMM; its id, to free. NULL and an error where the hypervisor refuses: nothing is left
 * behind then. */
char *hypervisor_plug(Hypervisor *hv, const HvPlug *plug, GError **error);

/* Asks the guest to give DIMM ID back, and returns at once: HV_EVENT_DELETED or HV_EVENT_REFUSED
 * follows, or nothing at all. FALSE and an error where it may not even be asked for. */
gboolean hypervisor_unplug(Hypervisor *hv, const char *id, GError **error);

/* Asks virtio-mem device ID to hold BYTES (a multiple of its block), and returns at once:
 * HV_EVENT_SIZE_CHANGED follows as it gets there. */
gboolean hypervisor_request(Hypervisor *hv, const char *id, guint64 bytes, GError **error);

/* Waits for an event that is not HV_EVENT_NONE, INTERRUPT_FD (-1: none) or the end of TIMEOUT_MS.
 * What the device of an HV_EVENT_DELETED leaves in the hypervisor is removed first. */
Wake hypervisor_wait(Hypervisor *hv, int interrupt_fd, guint timeout_ms, HvEvent *event);

/* Device ID has gone without an event that was seen: removes what it leaves in the hypervisor. */
void hypervisor_forget(Hypervisor *hv, const char *id);

/* Removes what earlier commands of ours that were killed left in the hypervisor without a device.
 */
void hypervisor_tidy(Hypervisor *hv);

/* What keeps the guest from running ("paused", "shutdown"), to free. NULL: it runs, or the
 * hypervisor does not say. */
char *hypervisor_stopped_by(Hypervisor *hv);

/* ---- for the implementations ---- */

typedef struct {
    const char *name;
    HvMemory *(*memory)(Hypervisor *hv, GError **error);
    char *(*plug)(Hypervisor *hv, const HvPlug *plug, GError **error);
    gboolean (*unplug)(Hypervisor *hv, const char *id, GError **error);
    gboolean (*request)(Hypervisor *hv, const char *id, guint64 bytes, GError **error);
    Wake (*wait)(Hypervisor *hv, int interrupt_fd, guint timeout_ms, HvEvent *event);
    void (*forget)(Hypervisor *hv, const char *id);
    void (*tidy)(Hypervisor *hv);
    char *(*stopped_by)(Hypervisor *hv);
    void (*free)(Hypervisor *hv);
} HypervisorOps;

struct Hypervisor {
    const HypervisorOps *ops;
};

/* An empty record, and a device added to it (borrowed from it). */
HvMemory *hv_memory_new(void);
HvDevice *hv_memory_add(HvMemory *memory, HvKind kind, const char *id);
/* Puts the devices in order. */
void hv_memory_sort(HvMemory *memory);
