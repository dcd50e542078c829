/*
 * The target: three lines of arithmetic, kept apart because they are a promise.
 */
#include "decide/target.h"

void target_set(Target *target, guint64 bytes)
{
    *target = (Target){.is_set = TRUE, .bytes = bytes};
}

gboolean target_update(Target *target, guint64 current_bytes, guint64 tolerance_bytes)
{
    guint64 distance = current_bytes > target->bytes ? current_bytes - target->bytes
                                                     : target->bytes - current_bytes;

    if (!target->is_set || target->is_reached || distance >= tolerance_bytes)
        return FALSE;
    target->is_reached = TRUE;
    return TRUE;
}
