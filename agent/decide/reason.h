/*
 * Why something cannot be done: a code for programs and a sentence that a person can act on.
 */
#pragma once

#include <glib.h>

typedef enum {
    REASON_NO_SUCH_DEVICE,
    REASON_BOOT_MEMORY,
    REASON_PARTIAL_DEVICE,
    REASON_NOT_MOVABLE,
    REASON_NOT_A_DIMM,
    REASON_GOING_OFFLINE,
    REASON_BUSY_PAGES,
    REASON_LOW_MEMORY,
    REASON_HUGEPAGES,
    REASON_TIMEOUT,
    REASON_INTERRUPTED,
    REASON_VANISHED,
    REASON_ONLINED_ELSEWHERE,
    REASON_ALREADY_PREPARING,
    REASON_KERNEL_BUSY,
    REASON_AGENT_STOPPED,
    REASON_BALLOON_ACTIVE, /* a warning */
    REASON_HUGEPAGES_LOST, /* a warning */
    REASON_LAST_OF_NODE,   /* a warning, unless it says otherwise */
    REASON_INHIBITED,
    REASON_DIRTY_PAGES,
    REASON_ERROR,
    REASON_COUNT
} ReasonCode;

typedef struct {
    ReasonCode code;
    char *desc;          /* owned: one sentence, no full stop */
    char *device;        /* owned: a device id, or NULL */
    gint64 block;        /* index, or -1 */
    int error;           /* errno, or 0 */
    guint64 bytes;       /* 0: does not apply */
    gboolean is_warning; /* refuses nothing */
} Reason;

/* "no-such-device", …: the names of the protocol. */
const char *reason_code_name(ReasonCode code);
/* The other way, for the journal. FALSE if there is no such name. */
gboolean reason_code_parse(const char *name, ReasonCode *code);

/* DEVICE may be NULL, BLOCK -1, ERROR 0. Set `bytes` afterwards where it applies. `is_warning` is
 * what CODE is as a rule. */
Reason *reason_new(ReasonCode code, const char *device, gint64 block, int error,
                   const char *desc_format, ...) G_GNUC_PRINTF(5, 6);
Reason *reason_copy(const Reason *reason);
void reason_free(Reason *reason); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Reason, reason_free)

/* A GPtrArray of Reason that frees them. */
GPtrArray *reason_list_new(void);
/* Whether a reason in REASONS refuses (everything but a warning does). */
gboolean reason_list_refuses(const GPtrArray *reasons);
/* Whether some refuse, and each of these for want of memory. */
gboolean reason_list_lacks_room(const GPtrArray *reasons);
