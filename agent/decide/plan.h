/*
 * Which DIMMs to take to free that many bytes: the exact best subset, not a greedy one.
 *
 * Greedy takes the largest that fits and then cannot combine the rest: of {512, 384, 384} with 768
 * wanted it frees 512. Sizes are multiples of a common unit (a memory block, or more), so the
 * subset sum is exact and cheap. Pure: sizes in, positions out; whether a DIMM may go at all is the
 * check's to say, before.
 */
#pragma once

#include <glib.h>

/* QEMU has no more slots than this. */
#define PLAN_DEVICES_MAX 256
/* The most units (see unplug_plan()) that the search goes through: 32 TiB in blocks of 128 MiB. It
 * bounds one plan to some 12 MiB of memory and a tenth of a second. */
#define PLAN_UNITS_MAX (256 * 1024)

typedef struct {
    guint64 size_bytes; /* not 0 */
    guint64 used_pages; /* what would have to move: an estimate is enough, it only breaks ties.
                         * Below 2^40 */
    gboolean has_cpus;  /* its node has: then a device of a node without goes rather */
} PlanDevice;

typedef struct {
    guint64 bytes;
    guint *devices; /* owned: positions in the devices given, ascending */
    guint n_devices;
} PlanChoice;

typedef struct {
    PlanChoice best;
    gboolean has_next_above;
    PlanChoice next_above; /* the smallest sum above what was wanted, where BEST misses it */
} UnplugPlan;

/**
 * unplug_plan: chooses among @devices.
 * @n: at most PLAN_DEVICES_MAX.
 * @allow_more: FALSE: the largest sum that is at most @wanted_bytes (it may be 0, of no device).
 *   TRUE: the smallest sum that is at least @wanted_bytes, or all devices where they do not
 * suffice.
 *
 * Among subsets of the same sum the one with the least on nodes with CPUs wins, then the one with
 * the fewest used pages, then the one with the fewest devices.
 *
 * Return: (transfer full): free with unplug_plan_free(). NULL if the sum of the sizes that matter
 * is more than PLAN_UNITS_MAX times their greatest common divisor.
 */
UnplugPlan *unplug_plan(const PlanDevice *devices, guint n, guint64 wanted_bytes,
                        gboolean allow_more);
void unplug_plan_free(UnplugPlan *plan); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(UnplugPlan, unplug_plan_free)
