/*
 * Which blocks to bring online, and into which zone. Pure: a snapshot and figures in, verbs out.
 */
#pragma once

#include <glib.h>

#include "system/snapshot.h"

typedef enum {
    ONLINE_POLICY_MOVABLE,
    ONLINE_POLICY_KERNEL,
    ONLINE_POLICY_AUTO, /* the kernel's auto-movable arithmetic (mm/memory_hotplug.c) */
    ONLINE_POLICY_NONE,
} OnlinePolicy;

/* "movable", "kernel", "auto", "none" */
const char *online_policy_name(OnlinePolicy policy);
gboolean online_policy_parse(const char *name, OnlinePolicy *policy);

/* Percent MOVABLE:KERNEL; the kernel's parameter is an unsigned int. */
#define ONLINE_RATIO_DEFAULT 301
#define ONLINE_RATIO_MIN 1
#define ONLINE_RATIO_MAX 100000

/* Whether the kernel's own settings for new memory are set as the policy needs them. */
typedef enum {
    KERNEL_SETTINGS_AUTO, /* not where dax devices are: the settings speak of their memory too */
    KERNEL_SETTINGS_YES,
    KERNEL_SETTINGS_NO,
} KernelSettings;

typedef struct {
    OnlinePolicy policy;
    KernelSettings kernel_settings;
    guint64 movable_ratio;      /* percent */
    guint64 kernel_floor_bytes; /* 0: online_floor_default() */
    gboolean rezone;            /* see decide/rezone-find.h */
} OnlineConfig;

/* The settings' defaults. */
#define ONLINE_CONFIG_DEFAULT                                                                      \
    {                                                                                              \
        .policy = ONLINE_POLICY_MOVABLE, .movable_ratio = ONLINE_RATIO_DEFAULT, .rezone = TRUE     \
    }

typedef struct {
    guint32 index;
    guint64 inode;
    const char *verb;  /* static: for block_write_state() */
    gboolean is_floor; /* the kernel zone, because the floor would be crossed */
} OnlineStep;

/* Tells whether an unplug job keeps the block with this identity offline. */
typedef gboolean (*BlockOwnedFunc)(guint32 index, guint64 inode, gpointer user_data);

/* What becomes of a block that is online in the wrong zone. */
typedef enum {
    BLOCK_STAYS,  /* nothing moves it */
    BLOCK_MOVING, /* it is being moved, or will be tried again */
    BLOCK_STUCK,  /* it was tried, and given up */
} BlockProgress;
typedef BlockProgress (*BlockProgressFunc)(guint32 index, guint64 inode, gpointer user_data);

/* What is so at the moment of a decision. */
typedef struct {
    const Snapshot *snapshot;
    const GArray *zones;     /* of ZoneStats; NULL: not known, then there is no floor, and `auto` is
                              * on the safe side: kernel */
    gboolean is_numa_aware;  /* auto: the ratio must hold on the block's node too */
    BlockOwnedFunc is_owned; /* a block of which it says TRUE is left alone. May be NULL */
    gpointer user_data;
} OnlineWorld;

/**
 * online_policy_decide: what to write to which block.
 * @candidates: blocks that are new (an `add` uevent, or offline at start), any order,
 *   repeats allowed; ones that the snapshot does not have are passed over.
 * @undecided: (transfer full): a GArray of guint32: candidates that nothing backs yet and about
 *   which this policy has to know what does, because devices go one way whole. Ascending. May be
 *   NULL.
 *
 * Only blocks that are offline, and that a DIMM or a virtio-mem device backs or that nothing backs
 * yet (a DIMM's firmware_node is linked after its blocks come online), are brought online: never
 * boot RAM, never a device of kind `other`.
 *
 * The floor: as a block exists its memmap has been taken from the kernel's zones already, so what
 * counts is what is left there now.
 *
 * Return: (transfer full): a GArray of OnlineStep, ascending by index; empty for policy `none`.
 */
GArray *online_policy_decide(const OnlineConfig *config, const OnlineWorld *world,
                             const guint32 *candidates, guint n_candidates, GArray **undecided);

/* What the kernel's zones have to spare: free pages and half of page cache and slab that the
 * kernel gives back when asked (MemAvailable counts them so too). G_MAXUINT64 where ZONES is NULL.
 */
guint64 online_kernel_spare_bytes(const GArray *zones);
/* What the kernel's zones have free above their high watermarks: what they can give at once. 0
 * where ZONES is NULL. */
guint64 online_kernel_free_bytes(const GArray *zones);
/* The largest device, in whole blocks, whose page descriptors the kernel's zones can give and keep
 * the floor. */
guint64 online_plug_limit_bytes(const OnlineConfig *config, const GArray *zones,
                                guint64 page_size_bytes, guint64 block_size_bytes);
/* The floor in force: as configured, or 64 MiB, or twice the kernel zones' high watermarks. */
guint64 online_floor_bytes(const OnlineConfig *config, const GArray *zones);

/* KERNEL_EARLY and MOVABLE of the kernel's arithmetic, of one NODE or of all (-1): RAM of the boot
 * in kernel zones (CMA apart, which counts as movable), and everything in ZONE_MOVABLE. */
typedef struct {
    guint64 kernel_early_bytes;
    guint64 movable_bytes;
} OnlineRatioFigures;
OnlineRatioFigures online_ratio_figures(const Snapshot *snapshot, const GArray *zones, int node);
/* The same with all that is in kernel zones, whenever it came. */
OnlineRatioFigures online_zone_figures(const GArray *zones, int node);
/* Whether MOVABLE is within RATIO percent of KERNEL_EARLY. */
gboolean online_ratio_allows(const OnlineRatioFigures *figures, guint64 ratio_percent);
