/*
 * The fake kernel's table, its locks, and what a test puts into it. See fake-kernel.h.
 */
#include "tests/unit/fake-kernel-private.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static void init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

FakeKernel *fake_kernel_new(guint64 block_size_bytes)
{
    FakeKernel *fake = mmap(NULL, sizeof *fake, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    g_assert_true(fake != MAP_FAILED);
    init_lock(&fake->table_lock);
    init_lock(&fake->hotplug_lock);
    fake->block_size_bytes = block_size_bytes;
    fake->next_inode = 1000;
    fake->offlining = -1;
    fake->hotplug_flag = 1;
    g_strlcpy(fake->default_zone, "Normal", sizeof fake->default_zone);
    return fake;
}

void fake_kernel_free(FakeKernel *fake)
{
    if (fake == NULL)
        return;
    munmap(fake, sizeof *fake);
}

AttrIo *fake_kernel_io(FakeKernel *fake)
{
    AttrIo *io = g_new(AttrIo, 1);

    io->ops = &fake_kernel_ops;
    io->self = fake;
    return io;
}

/* --- locks --- */

static void remove_dimm(FakeKernel *fake, int slot)
{
    FakeSlot *found = &fake->slots[slot];

    for (guint32 i = 0; i < found->count; i++)
        fake_drop(fake, found->first + i);
    *found = (FakeSlot){0};
}

/* The writer was killed: a fatal signal ends the loop in offline_pages() like any other. */
static void put_back(FakeKernel *fake)
{
    FakeBlock *block = fake->offlining >= 0 ? fake_find(fake, (guint32)fake->offlining) : NULL;

    if (block != NULL && strcmp(block->state, "going-offline") == 0)
        g_strlcpy(block->state, "online", sizeof block->state);
    fake->offlining = -1;
}

static void lock_table(FakeKernel *fake)
{
    if (pthread_mutex_lock(&fake->table_lock) == EOWNERDEAD)
        pthread_mutex_consistent(&fake->table_lock);
}

void fake_lock_hotplug(FakeKernel *fake)
{
    if (pthread_mutex_lock(&fake->hotplug_lock) != EOWNERDEAD)
        return;
    pthread_mutex_consistent(&fake->hotplug_lock);
    lock_table(fake);
    put_back(fake);
    fake_unlock(fake);
}

void fake_lock(FakeKernel *fake)
{
    lock_table(fake);
    if (fake->eject_end_usec != 0 && g_get_monotonic_time() >= fake->eject_end_usec) {
        fake->eject_end_usec = 0;
        if (fake->eject_slot >= 0)
            remove_dimm(fake, fake->eject_slot);
    }
    if (fake->offlining >= 0) {
        int busy = pthread_mutex_trylock(&fake->hotplug_lock);

        if (busy == EBUSY)
            return;
        if (busy == EOWNERDEAD)
            pthread_mutex_consistent(&fake->hotplug_lock);
        put_back(fake);
        pthread_mutex_unlock(&fake->hotplug_lock);
    }
}

void fake_unlock(FakeKernel *fake)
{
    pthread_mutex_unlock(&fake->table_lock);
}

/* --- the table, with the lock held --- */

FakeBlock *fake_find(FakeKernel *fake, guint32 index)
{
    return index < fake->end && fake->blocks[index].exists ? &fake->blocks[index] : NULL;
}

FakeBlock *fake_touch(FakeKernel *fake, guint32 index, gboolean is_write)
{
    FakeBlock *block = fake_find(fake, index);

    if (block != NULL && (block->vanish == FAKE_VANISHES_ON_ACCESS ||
                          (block->vanish == FAKE_VANISHES_ON_WRITE && is_write))) {
        fake_drop(fake, index);
        return NULL;
    }
    return block;
}

void fake_drop(FakeKernel *fake, guint32 index)
{
    FakeBlock *block = fake_find(fake, index);

    if (block == NULL)
        return;
    fake_change_state(fake, block, "offline", "");
    *block = (FakeBlock){0};
}

void fake_change_state(FakeKernel *fake, FakeBlock *block, const char *state, const char *zone)
{
    gboolean was_online = block->zone[0] != '\0';
    gboolean is_online = zone[0] != '\0';

    if (is_online && !was_online)
        fake->available_bytes += fake->block_size_bytes;
    if (was_online && !is_online)
        fake->available_bytes -= MIN(fake->available_bytes, fake->block_size_bytes);
    if (was_online && !is_online) /* dissolve_free_huge_pages() */
        fake->pool -= MIN(fake->pool, fake->pool_per_block);
    g_strlcpy(block->state, state, sizeof block->state);
    g_strlcpy(block->zone, zone, sizeof block->zone);
    block->zones[0] = '\0';
}

static FakeBlock *add_block(FakeKernel *fake, guint32 index)
{
    g_assert_cmpuint(index, <, FAKE_INDEX_MAX);
    FakeBlock *block = &fake->blocks[index];
    if (block->exists)
        g_error("the fake kernel has a block %u already", index);
    *block = (FakeBlock){.exists = TRUE, .inode = fake->next_inode++, .node = -1};
    g_strlcpy(block->state, "offline", sizeof block->state);
    fake->end = MAX(fake->end, index + 1);
    return block;
}

FakeBlock *fake_must_find(FakeKernel *fake, guint32 index)
{
    FakeBlock *block = fake_find(fake, index);

    if (block == NULL)
        g_error("the fake kernel has no block %u", index);
    return block;
}

FakeFile *fake_find_file(FakeKernel *fake, const char *path)
{
    for (guint i = 0; i < FAKE_FILES_MAX; i++) {
        if (strcmp(fake->files[i].path, path) == 0)
            return &fake->files[i];
    }
    return NULL;
}

/* --- what a test puts in --- */

void fake_kernel_add_boot(FakeKernel *fake, guint32 first, guint32 count)
{
    fake_lock(fake);
    for (guint32 i = first; i < first + count; i++) {
        FakeBlock *block = add_block(fake, i);

        block->node = 0;
        fake_change_state(fake, block, "online",
                          i * fake->block_size_bytes < (guint64)4 << 30 ? "DMA32" : "Normal");
    }
    fake_unlock(fake);
}

void fake_kernel_add_dimm(FakeKernel *fake, int slot, guint32 first, guint32 count)
{
    g_assert_cmpint(slot, <, FAKE_SLOT_MAX);
    fake_lock(fake);
    g_assert_cmpuint(fake->slots[slot].count, ==, 0);
    fake->slots[slot] = (FakeSlot){.first = first, .count = count};
    for (guint32 i = first; i < first + count; i++) {
        FakeBlock *block = add_block(fake, i);

        block->node = 0;
        g_snprintf(block->link, sizeof block->link, "../../../LNXSYSTM:00/LNXSYBUS:00/PNP0C80:%02x",
                   (guint)slot);
    }
    fake_unlock(fake);
}

void fake_kernel_add_virtio_mem(FakeKernel *fake, int number, guint32 first, guint32 region_count,
                                guint32 count)
{
    fake_lock(fake);
    g_assert_cmpuint(fake->n_regions, <, FAKE_REGIONS_MAX);
    fake->regions[fake->n_regions++] =
        (FakeRegion){.number = number, .first = first, .count = region_count};
    for (guint32 i = first; i < first + count; i++)
        add_block(fake, i)->node = 0;
    fake_unlock(fake);
}

void fake_kernel_add_block(FakeKernel *fake, guint32 index)
{
    fake_lock(fake);
    add_block(fake, index);
    fake_unlock(fake);
}

void fake_kernel_remove(FakeKernel *fake, guint32 first, guint32 count)
{
    fake_lock(fake);
    for (guint32 i = first; i < first + count; i++)
        fake_drop(fake, i);
    fake_unlock(fake);
}

void fake_kernel_remove_dimm(FakeKernel *fake, int slot)
{
    fake_lock(fake);
    remove_dimm(fake, slot);
    fake_unlock(fake);
}

void fake_kernel_set_state(FakeKernel *fake, guint32 index, const char *state, const char *zones)
{
    fake_lock(fake);
    FakeBlock *block = fake_must_find(fake, index);
    const char *zone = "";

    if (strcmp(state, "online") == 0)
        zone = zones != NULL ? zones : fake->default_zone;
    fake_change_state(fake, block, state, zone);
    g_strlcpy(block->zones, zones != NULL ? zones : "", sizeof block->zones);
    fake_unlock(fake);
}

void fake_kernel_set_node(FakeKernel *fake, guint32 index, int node)
{
    fake_lock(fake);
    fake_must_find(fake, index)->node = node;
    fake_unlock(fake);
}

void fake_kernel_set_firmware_node(FakeKernel *fake, guint32 index, const char *target)
{
    fake_lock(fake);
    FakeBlock *block = fake_must_find(fake, index);
    g_strlcpy(block->link, target != NULL ? target : "", sizeof block->link);
    fake_unlock(fake);
}

void fake_kernel_set_default_zone(FakeKernel *fake, const char *zone)
{
    fake_lock(fake);
    g_strlcpy(fake->default_zone, zone, sizeof fake->default_zone);
    fake_unlock(fake);
}

void fake_kernel_set_available(FakeKernel *fake, guint64 available_bytes)
{
    fake_lock(fake);
    fake->available_bytes = available_bytes;
    fake_unlock(fake);
}

void fake_kernel_set_file(FakeKernel *fake, const char *path, const char *text)
{
    fake_lock(fake);
    FakeFile *file = fake_find_file(fake, path);
    if (file == NULL)
        file = fake_find_file(fake, "");
    if (file == NULL || (text != NULL && strlen(text) >= sizeof file->text))
        g_error("no room in the fake kernel for %s", path);
    g_strlcpy(file->path, path, sizeof file->path);
    file->is_hidden = text == NULL;
    file->read_error = 0;
    g_strlcpy(file->text, text != NULL ? text : "", sizeof file->text);
    fake_unlock(fake);
}

void fake_kernel_fail_read(FakeKernel *fake, const char *path, int error)
{
    fake_kernel_set_file(fake, path, NULL);
    fake_lock(fake);
    FakeFile *file = fake_find_file(fake, path);
    file->read_error = error;
    if (error == 0)
        file->path[0] = '\0'; /* free again */
    fake_unlock(fake);
}
