/*
 * Sets of NUMA nodes: those that have CPUs, those that cpusets confine processes to.
 */
#pragma once

#include <glib.h>

#include "system/attr.h"

#define NODES_MAX 1024 /* CONFIG_NODES_SHIFT is at most 10 */

typedef struct {
    guint64 bits[NODES_MAX / 64];
} NodeSet;

static inline gboolean node_set_has(const NodeSet *set, guint node)
{
    return node < NODES_MAX && (set->bits[node / 64] >> (node % 64) & 1) != 0;
}

static inline void node_set_add(NodeSet *set, guint node)
{
    if (node < NODES_MAX)
        set->bits[node / 64] |= G_GUINT64_CONSTANT(1) << (node % 64);
}

/* Parses "0-1,3" (bitmap_parselist() in lib/bitmap.c). FALSE, and *SET as it was, if it is no such
 * list, or an empty one. */
gboolean node_set_parse(const char *text, NodeSet *set);
/* Whether SET is not empty and lies wholly in OTHER. */
gboolean node_set_is_within(const NodeSet *set, const NodeSet *other);

/* Whether NODE (-1: none) has CPUs, also where the kernel does not say so. */
gboolean node_has_cpus(const AttrIo *io, gint node);

/* What the cpusets below /sys/fs/cgroup say in cpuset.mems, each set once; cgroup v1 and v2. Those
 * that inherit from above say nothing. It looks at CPUSETS_LOOKED_AT_MAX cgroups at most. Memory
 * policies of processes (mbind(2), numactl) are in no cgroup and stay unknown. *ERROR: errno for
 * which a cgroup that is there could not be looked at, else 0. Return (transfer full): a GArray of
 * NodeSet. */
#define CPUSETS_LOOKED_AT_MAX 1024
#define CPUSETS_DIR "sys/fs/cgroup"
GArray *cpusets_read(const AttrIo *io, int *error);
