/*
 * The fake kernel's knobs: what a test lets go wrong, and how it looks at what came of it.
 */
#include <string.h>

#include "tests/unit/fake-kernel-private.h"

void fake_kernel_fail(FakeKernel *fake, guint32 index, const char *verb, int error, int times)
{
    fake_lock(fake);
    FakeBlock *block = fake_must_find(fake, index);
    g_strlcpy(block->fail_verb, verb != NULL ? verb : "", sizeof block->fail_verb);
    block->fail_error = error;
    block->fail_times = times;
    fake_unlock(fake);
}

void fake_kernel_set_offline_ms(FakeKernel *fake, guint32 index, int ms)
{
    fake_lock(fake);
    fake_must_find(fake, index)->offline_ms = ms;
    fake_unlock(fake);
}

void fake_kernel_set_used_pages(FakeKernel *fake, guint32 index, guint n_pages)
{
    fake_lock(fake);
    fake->has_pages = TRUE;
    fake_must_find(fake, index)->used_pages = n_pages;
    fake_unlock(fake);
}

static void set_vanish(FakeKernel *fake, guint32 index, FakeVanish vanish)
{
    fake_lock(fake);
    fake_must_find(fake, index)->vanish = vanish;
    fake_unlock(fake);
}

void fake_kernel_vanish_on_access(FakeKernel *fake, guint32 index)
{
    set_vanish(fake, index, FAKE_VANISHES_ON_ACCESS);
}

void fake_kernel_vanish_on_write(FakeKernel *fake, guint32 index)
{
    set_vanish(fake, index, FAKE_VANISHES_ON_WRITE);
}

gboolean fake_kernel_start_eject(FakeKernel *fake, int slot, int ms)
{
    fake_lock(fake);
    gboolean is_let = fake->hotplug_flag != 0;
    if (is_let) {
        fake->eject_slot = slot;
        fake->eject_end_usec = g_get_monotonic_time() + ms * G_GINT64_CONSTANT(1000);
    }
    fake_unlock(fake);
    return is_let;
}

void fake_kernel_hide_hotplug_flag(FakeKernel *fake)
{
    fake_lock(fake);
    fake->hotplug_flag = -1;
    fake_unlock(fake);
}

void fake_kernel_set_pool(FakeKernel *fake, guint n_pages, guint per_block, guint max)
{
    fake_lock(fake);
    fake->pool = n_pages;
    fake->pool_per_block = per_block;
    fake->pool_max = max;
    fake_unlock(fake);
}

guint fake_kernel_pool(FakeKernel *fake)
{
    fake_lock(fake);
    guint n_pages = fake->pool;
    fake_unlock(fake);
    return n_pages;
}

/* --- what a test looks at --- */

const char *fake_kernel_state(FakeKernel *fake, guint32 index)
{
    fake_lock(fake);
    FakeBlock *block = fake_find(fake, index);
    fake_unlock(fake);
    return block != NULL ? block->state : NULL;
}

const char *fake_kernel_zone(FakeKernel *fake, guint32 index)
{
    fake_lock(fake);
    FakeBlock *block = fake_find(fake, index);
    fake_unlock(fake);
    return block != NULL ? block->zone : NULL;
}

guint64 fake_kernel_inode(FakeKernel *fake, guint32 index)
{
    fake_lock(fake);
    FakeBlock *block = fake_find(fake, index);
    fake_unlock(fake);
    return block != NULL ? block->inode : 0;
}

void fake_kernel_set_caches(FakeKernel *fake, guint64 page_bytes, guint64 slab_bytes, int ms)
{
    fake_lock(fake);
    fake->cache_bytes[0] = page_bytes;
    fake->cache_bytes[1] = slab_bytes;
    fake->drop_ms = ms;
    fake_unlock(fake);
}

guint64 fake_kernel_available(FakeKernel *fake)
{
    fake_lock(fake);
    guint64 available = fake->available_bytes;
    fake_unlock(fake);
    return available;
}

int fake_kernel_hotplug_flag(FakeKernel *fake)
{
    fake_lock(fake);
    int flag = fake->hotplug_flag;
    fake_unlock(fake);
    return flag;
}

const FakeWrite *fake_kernel_writes(FakeKernel *fake, guint *n_writes)
{
    fake_lock(fake);
    *n_writes = fake->n_writes;
    fake_unlock(fake);
    return fake->writes;
}

gboolean fake_kernel_will_fail(FakeKernel *fake, guint32 index)
{
    fake_lock(fake);
    const FakeBlock *block = fake_find(fake, index);
    gboolean will_fail = block != NULL && block->fail_times != 0;
    fake_unlock(fake);
    return will_fail;
}

guint fake_kernel_count_writes(FakeKernel *fake, gint64 index, const char *verb)
{
    char wanted[96];
    guint count = 0;

    g_snprintf(wanted, sizeof wanted, "/memory%" G_GINT64_FORMAT "/state", index);
    fake_lock(fake);
    for (guint i = 0; i < fake->n_writes; i++) {
        const FakeWrite *write = &fake->writes[i];

        if (g_str_has_suffix(write->path, index < 0 ? "/state" : wanted) &&
            (verb == NULL || strcmp(write->value, verb) == 0))
            count++;
    }
    fake_unlock(fake);
    return count;
}

void fake_kernel_clear_writes(FakeKernel *fake)
{
    fake_lock(fake);
    fake->n_writes = 0;
    fake_unlock(fake);
}

guint fake_kernel_traps(FakeKernel *fake)
{
    fake_lock(fake);
    guint traps = fake->traps;
    fake_unlock(fake);
    return traps;
}

guint64 fake_kernel_operations(FakeKernel *fake)
{
    fake_lock(fake);
    guint64 operations = fake->operations;
    fake_unlock(fake);
    return operations;
}
