/*
 * Reasons as data: names for the protocol and the journal, and who owns what.
 *
 * The sentences themselves are written where something is decided. Nothing in here may look at
 * the world or drop a part of a reason that it was given.
 */
#include "decide/reason.h"

static const char *const code_names[] = {
    [REASON_NO_SUCH_DEVICE] = "no-such-device",
    [REASON_BOOT_MEMORY] = "boot-memory",
    [REASON_PARTIAL_DEVICE] = "partial-device",
    [REASON_NOT_MOVABLE] = "not-movable",
    [REASON_NOT_A_DIMM] = "not-a-dimm",
    [REASON_GOING_OFFLINE] = "going-offline",
    [REASON_BUSY_PAGES] = "busy-pages",
    [REASON_LOW_MEMORY] = "low-memory",
    [REASON_HUGEPAGES] = "hugepages",
    [REASON_TIMEOUT] = "timeout",
    [REASON_INTERRUPTED] = "interrupted",
    [REASON_VANISHED] = "vanished",
    [REASON_ONLINED_ELSEWHERE] = "onlined-elsewhere",
    [REASON_ALREADY_PREPARING] = "already-preparing",
    [REASON_KERNEL_BUSY] = "kernel-busy",
    [REASON_AGENT_STOPPED] = "agent-stopped",
    [REASON_BALLOON_ACTIVE] = "balloon-active",
    [REASON_HUGEPAGES_LOST] = "hugepages-lost",
    [REASON_LAST_OF_NODE] = "last-of-node",
    [REASON_INHIBITED] = "inhibited",
    [REASON_DIRTY_PAGES] = "dirty-pages",
    [REASON_ERROR] = "error",
};
G_STATIC_ASSERT(G_N_ELEMENTS(code_names) == REASON_COUNT);

/* CODE as the protocol writes it. Static; "error" for what is no code. */
const char *reason_code_name(ReasonCode code)
{
    if ((guint)code >= REASON_COUNT)
        return code_names[REASON_ERROR];
    return code_names[code];
}

/* The code that NAME (not NULL) stands for. *CODE is written on success only. */
gboolean reason_code_parse(const char *name, ReasonCode *code)
{
    for (guint i = 0; i < REASON_COUNT; i++) {
        if (g_str_equal(name, code_names[i])) {
            *code = i;
            return TRUE;
        }
    }
    return FALSE;
}

/* A reason with the sentence DESC_FORMAT. Return (transfer full): free with reason_free(). */
Reason *reason_new(ReasonCode code, const char *device, gint64 block, int error,
                   const char *desc_format, ...)
{
    Reason *reason = g_new0(Reason, 1);
    va_list args;

    va_start(args, desc_format);
    reason->desc = g_strdup_vprintf(desc_format, args);
    va_end(args);
    reason->code = code;
    reason->device = g_strdup(device);
    reason->block = block;
    reason->error = error;
    reason->is_warning = code == REASON_BALLOON_ACTIVE || code == REASON_HUGEPAGES_LOST ||
                         code == REASON_LAST_OF_NODE;
    return reason;
}

/* The same reason with strings of its own. Return (transfer full). */
Reason *reason_copy(const Reason *reason)
{
    Reason *copy = g_new0(Reason, 1);

    *copy = *reason;
    copy->desc = g_strdup(reason->desc);
    copy->device = g_strdup(reason->device);
    return copy;
}

/* Accepts NULL. */
void reason_free(Reason *reason)
{
    if (reason == NULL)
        return;
    g_free(reason->desc);
    g_free(reason->device);
    g_free(reason);
}

static void reason_destroy(gpointer reason)
{
    reason_free(reason);
}

/* An empty list that frees its reasons. Return (transfer full): g_ptr_array_unref(). */
GPtrArray *reason_list_new(void)
{
    return g_ptr_array_new_with_free_func(reason_destroy);
}

/* Whether one of REASONS (NULL: none) is more than a warning. */
gboolean reason_list_refuses(const GPtrArray *reasons)
{
    for (guint i = 0; reasons != NULL && i < reasons->len; i++) {
        const Reason *reason = g_ptr_array_index(reasons, i);

        if (!reason->is_warning)
            return TRUE;
    }
    return FALSE;
}

/* Whether some refuse, and each of these for want of memory. */
gboolean reason_list_lacks_room(const GPtrArray *reasons)
{
    for (guint i = 0; i < reasons->len; i++) {
        const Reason *reason = g_ptr_array_index(reasons, i);

        if (!reason->is_warning && reason->code != REASON_LOW_MEMORY)
            return FALSE;
    }
    return reason_list_refuses(reasons);
}
