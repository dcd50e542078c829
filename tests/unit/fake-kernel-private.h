/*
 * The inside of the fake kernel: its table, and the lock that must be held to look at it.
 */
#pragma once

#include <pthread.h>

#include "tests/unit/fake-kernel.h"

#define FAKE_WRITES_MAX 16384
#define FAKE_FILES_MAX 16
#define FAKE_FILE_BYTES 16384
#define FAKE_REGIONS_MAX 16

typedef enum { FAKE_STAYS, FAKE_VANISHES_ON_WRITE, FAKE_VANISHES_ON_ACCESS } FakeVanish;

typedef struct {
    gboolean exists;
    guint64 inode;
    char state[24];
    char zone[16];  /* where it is online, else "" */
    char zones[64]; /* a test's own valid_zones, or "" */
    int node;
    char link[96]; /* firmware_node, or "" */
    FakeVanish vanish;
    char fail_verb[16]; /* "": any */
    int fail_error;
    int fail_times;
    int offline_ms;
    guint used_pages;
} FakeBlock;

typedef struct {
    guint32 first;
    guint32 count; /* 0: the slot is empty */
} FakeSlot;

typedef struct {
    int number;
    guint32 first;
    guint32 count;
} FakeRegion;

typedef struct {
    char path[128]; /* "": free */
    gboolean is_hidden;
    int read_error; /* the text is not this one's to say */
    char text[FAKE_FILE_BYTES];
} FakeFile;

struct FakeKernel {
    pthread_mutex_t table_lock;   /* guards everything below; held for moments */
    pthread_mutex_t hotplug_lock; /* the kernel's device_hotplug_lock; taken before the other */
    guint64 block_size_bytes;
    guint64 next_inode;
    guint64 available_bytes;
    guint64 cache_bytes[2]; /* page cache, slab: what drop_caches makes available */
    int drop_ms;
    char default_zone[16];
    gboolean has_pages;    /* /proc/kpageflags can be read */
    gint64 offlining;      /* index of the block that the holder of hotplug_lock offlines, -1 */
    gint64 eject_end_usec; /* 0: none in flight */
    int eject_slot;
    int hotplug_flag;                     /* -1: hidden */
    guint pool, pool_per_block, pool_max; /* huge pages */
    guint traps;
    guint64 operations;
    guint n_writes;
    guint32 end; /* no block has this index or a higher one */
    guint n_regions;
    FakeRegion regions[FAKE_REGIONS_MAX];
    FakeSlot slots[FAKE_SLOT_MAX];
    FakeFile files[FAKE_FILES_MAX];
    FakeWrite writes[FAKE_WRITES_MAX];
    FakeBlock blocks[FAKE_INDEX_MAX];
};

/* Takes the table lock and lets happen what is due: an eject that ends, an offline whose writer has
 * died. */
void fake_lock(FakeKernel *fake);
/* A writer waits here until a signal kills it, as in lock_device_hotplug_sysfs(). A block that the
 * last one was killed at is put back first. Before fake_lock(), never with it. */
void fake_lock_hotplug(FakeKernel *fake);
void fake_unlock(FakeKernel *fake);

/* With the table lock held. */
FakeBlock *fake_find(FakeKernel *fake, guint32 index); /* or NULL */
FakeBlock *fake_must_find(FakeKernel *fake, guint32 index);
FakeBlock *fake_touch(FakeKernel *fake, guint32 index, gboolean is_write); /* it may vanish */
void fake_drop(FakeKernel *fake, guint32 index);
void fake_change_state(FakeKernel *fake, FakeBlock *block, const char *state, const char *zone);
FakeFile *fake_find_file(FakeKernel *fake, const char *path); /* or NULL */

/* A write of `state`, from the words to the waiting. Takes the locks itself. */
int fake_write_state(FakeKernel *fake, guint32 index, guint64 expected_inode, const char *value);
/* A write of hotplug/memory/enabled. */
int fake_write_hotplug_flag(FakeKernel *fake, const char *value);

/* A write of the pool's nr_hugepages. */
int fake_write_drop_caches(FakeKernel *fake, const char *value);
int fake_write_pool(FakeKernel *fake, const char *value);

/* The AttrIo's operations. */
extern const AttrOps fake_kernel_ops;
