/*
 * How much could be unplugged at this moment: the most that a check would let pass. Pure.
 */
#pragma once

#include "decide/unplug-check.h"

typedef struct {
    guint64 available_bytes; /* as the check counts it */
    guint64 limit_bytes;     /* DIMMs that can be prepared together, and what virtio-mem devices
                              * can give back beside them */
} UnplugLimit;

/**
 * unplug_limit: judges every device of INPUT's snapshot; its selectors, allow_virtio_mem and
 * hugetlb are not looked at.
 * @shares: what huge pages lie in each device of the snapshot; NULL: no device has any
 *
 * Where not all DIMMs can go together: exact for a guest with one node, of DIMMs that are wholly
 * online or wholly offline; of others what is offline does not count. With several nodes, and with
 * SHARES, it may be less than the most: of each set that finds no room it tries the halves, and
 * only so often.
 */
UnplugLimit unplug_limit(const UnplugCheckInput *input, const HugepageShare *shares);
