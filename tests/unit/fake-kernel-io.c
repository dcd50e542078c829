/*
 * The fake kernel's files: which paths there are, what they read, and where a write goes.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "system/block.h"
#include "tests/unit/fake-kernel-private.h"

#define HOTPLUG_FLAG "sys/firmware/acpi/hotplug/memory/enabled"
/* include/uapi/linux/kernel-page-flags.h */
#define KPF_ANON_AND_LRU (G_GUINT64_CONSTANT(1) << 12 | G_GUINT64_CONSTANT(1) << 5)
#define KPF_BUDDY (G_GUINT64_CONSTANT(1) << 10)
#define NODE_DIR "sys/devices/system/node"
#define POOL_DIR NODE_DIR "/node0/hugepages"
#define POOL POOL_DIR "/hugepages-2048kB/nr_hugepages"
#define ACPI_DEVICES "sys/bus/acpi/devices"

/* "sys/devices/system/memory/memory12/state" -> 12, "state" ("" for the directory itself). */
static gboolean parse_block_path(const char *path, guint32 *index, const char **attribute)
{
    char name[32];

    if (!g_str_has_prefix(path, BLOCK_DIR "/"))
        return FALSE;
    path += strlen(BLOCK_DIR "/");
    gsize length = strcspn(path, "/");
    if (length >= sizeof name)
        return FALSE;
    memcpy(name, path, length);
    name[length] = '\0';
    *attribute = path[length] == '/' ? path + length + 1 : "";
    return block_parse_name(name, index);
}

/* "…/PNP0C80:0a" and "…/PNP0C80:0a/status" -> 10, or -1. */
static int slot_of_link(const char *link)
{
    const char *at = strstr(link, "PNP0C80:");
    char number[8];
    guint64 slot;

    if (at == NULL)
        return -1;
    g_strlcpy(number, at + strlen("PNP0C80:"), sizeof number);
    number[strcspn(number, "/")] = '\0';
    if (!g_ascii_string_to_unsigned(number, 16, 0, FAKE_SLOT_MAX - 1, &slot, NULL))
        return -1;
    return (int)slot;
}

/* valid_zones_show(): with the node not set yet it dereferences what is not there. */
static char *block_zones(FakeKernel *fake, const FakeBlock *block)
{
    if (block->node < 0 && strcmp(block->state, "online") != 0)
        fake->traps++;
    if (block->zones[0] != '\0')
        return g_strdup_printf("%s\n", block->zones);
    if (block->zone[0] != '\0')
        return g_strdup_printf("%s\n", block->zone);
    return g_strdup_printf("%s %s\n", fake->default_zone,
                           strcmp(fake->default_zone, "Movable") == 0 ? "Normal" : "Movable");
}

static char *block_text(FakeKernel *fake, guint32 index, const FakeBlock *block,
                        const char *attribute)
{
    int slot = slot_of_link(block->link);

    if (strcmp(attribute, "state") == 0)
        return g_strdup_printf("%s\n", block->state);
    if (strcmp(attribute, "valid_zones") == 0)
        return block_zones(fake, block);
    if (strcmp(attribute, "phys_index") == 0)
        return g_strdup_printf("%08x\n", index);
    if (strcmp(attribute, "removable") == 0)
        return g_strdup("1\n");
    if (strcmp(attribute, "online") == 0) {
        fake->traps++;
        return g_strdup(strcmp(block->state, "online") == 0 ? "1\n" : "0\n");
    }
    if (slot >= 0 && strcmp(attribute, "firmware_node/uid") == 0)
        return g_strdup_printf("0x%02X\n", (guint)slot);
    if (slot >= 0 && strcmp(attribute, "firmware_node/path") == 0)
        return g_strdup_printf("\\_SB_.MHPC.MP%02X\n", (guint)slot);
    return NULL;
}

static char *meminfo_text(FakeKernel *fake)
{
    guint64 total = 0;

    for (guint32 i = 0; i < fake->end; i++)
        total += fake->blocks[i].exists && fake->blocks[i].zone[0] != '\0';
    return g_strdup_printf("MemTotal:       %8" G_GUINT64_FORMAT " kB\n"
                           "MemFree:        %8" G_GUINT64_FORMAT " kB\n"
                           "MemAvailable:   %8" G_GUINT64_FORMAT " kB\n"
                           "Hugepagesize:       2048 kB\n"
                           "Hugetlb:        %8u kB\n",
                           total * (fake->block_size_bytes >> 10), fake->available_bytes >> 10,
                           fake->available_bytes >> 10, fake->pool * 2048);
}

static const FakeRegion *region_of(const FakeKernel *fake, guint32 index)
{
    for (guint i = 0; i < fake->n_regions; i++) {
        if (index >= fake->regions[i].first &&
            index - fake->regions[i].first < fake->regions[i].count)
            return &fake->regions[i];
    }
    return NULL;
}

static void append_range(const FakeKernel *fake, GString *text, const char *indent, guint32 first,
                         guint32 count, const char *name)
{
    g_string_append_printf(text, "%s%08" G_GINT64_MODIFIER "x-%08" G_GINT64_MODIFIER "x : %s\n",
                           indent, first * fake->block_size_bytes,
                           (guint64)(first + count) * fake->block_size_bytes - 1, name);
}

/* Each block on its own line: the kernel merges neighbours, readers must not care. */
static char *iomem_text(FakeKernel *fake)
{
    GString *text = g_string_new("00000000-00000fff : Reserved\n");
    const FakeRegion *open = NULL;
    char name[24];

    for (guint32 i = 0; i < fake->end; i++) {
        const FakeRegion *region = region_of(fake, i);

        if (region != NULL && region != open) {
            g_snprintf(name, sizeof name, "virtio%d", region->number);
            append_range(fake, text, "", region->first, region->count, name);
        }
        open = region;
        if (fake->blocks[i].exists)
            append_range(fake, text, region != NULL ? "  " : "", i, 1,
                         region != NULL ? "System RAM (virtio_mem)" : "System RAM");
    }
    return g_string_free(text, FALSE);
}

/* "sys/bus/acpi/devices/PNP0C80:02/status" */
static char *acpi_text(FakeKernel *fake, const char *path)
{
    int slot = slot_of_link(path);
    char expected[96];

    if (slot < 0)
        return NULL;
    g_snprintf(expected, sizeof expected, ACPI_DEVICES "/PNP0C80:%02x/status", (guint)slot);
    if (strcmp(path, expected) != 0)
        return NULL;
    return g_strdup(fake->slots[slot].count > 0 ? "15\n" : "0\n");
}

/* The whole text of PATH, with the lock held, or NULL. */
static char *text_of(FakeKernel *fake, const char *path)
{
    const FakeFile *file = fake_find_file(fake, path);
    const char *attribute;
    guint32 index;

    if (file != NULL)
        return file->is_hidden ? NULL : g_strdup(file->text);
    if (parse_block_path(path, &index, &attribute)) {
        const FakeBlock *block = fake_touch(fake, index, FALSE);

        return block != NULL ? block_text(fake, index, block, attribute) : NULL;
    }
    if (strcmp(path, BLOCK_DIR "/block_size_bytes") == 0)
        return g_strdup_printf("%" G_GINT64_MODIFIER "x\n", fake->block_size_bytes);
    if (strcmp(path, HOTPLUG_FLAG) == 0)
        return fake->hotplug_flag < 0 ? NULL : g_strdup_printf("%d\n", fake->hotplug_flag);
    if (strcmp(path, POOL) == 0 && fake->pool_max > 0)
        return g_strdup_printf("%u\n", fake->pool);
    if (strcmp(path, "proc/meminfo") == 0)
        return meminfo_text(fake);
    if (strcmp(path, "proc/iomem") == 0)
        return iomem_text(fake);
    if (g_str_has_prefix(path, ACPI_DEVICES "/"))
        return acpi_text(fake, path);
    return NULL;
}

/* NULL with a negative errno in *RESULT. */
static char *take_text(FakeKernel *fake, const char *path, int *result)
{
    fake_lock(fake);
    fake->operations++;
    const FakeFile *file = fake_find_file(fake, path);
    char *text = text_of(fake, path);
    *result = file != NULL && file->read_error ? -file->read_error : -ENOENT;
    fake_unlock(fake);
    return text;
}

static gssize fake_read(gpointer self, const char *path, char *buf, gsize size)
{
    int result;
    g_autofree char *text = take_text(self, path, &result);

    if (text == NULL)
        return result;
    g_strlcpy(buf, text, size);
    return (gssize)strlen(buf);
}

static gssize fake_read_all(gpointer self, const char *path, gsize max_bytes, char **contents)
{
    int result;
    char *text = take_text(self, path, &result);

    if (text == NULL)
        return result;
    if (strlen(text) > max_bytes) {
        g_free(text);
        return -EFBIG;
    }
    *contents = text;
    return (gssize)strlen(text);
}

static FakeWrite *log_write(FakeKernel *fake, const char *dir, const char *name, const char *value)
{
    fake_lock(fake);
    fake->operations++;
    if (fake->n_writes == FAKE_WRITES_MAX)
        g_error("the fake kernel's log is full");
    FakeWrite *write = &fake->writes[fake->n_writes++];
    write->pid = getpid();
    g_snprintf(write->path, sizeof write->path, "%s/%s", dir, name);
    g_strlcpy(write->value, value, sizeof write->value);
    write->result = FAKE_PENDING;
    fake_unlock(fake);
    return write;
}

static int fake_write(gpointer self, const char *dir, guint64 expected_inode, const char *name,
                      const char *value)
{
    FakeKernel *fake = self;
    FakeWrite *write = log_write(fake, dir, name, value);
    const char *attribute;
    guint32 index;
    int result;

    if (parse_block_path(dir, &index, &attribute) && *attribute == '\0' &&
        strcmp(name, "state") == 0) {
        result = fake_write_state(fake, index, expected_inode, value);
    } else if (strcmp(write->path, HOTPLUG_FLAG) == 0) {
        result = fake_write_hotplug_flag(fake, value);
    } else if (strcmp(write->path, "proc/sys/vm/drop_caches") == 0) {
        result = fake_write_drop_caches(fake, value);
    } else if (strcmp(write->path, POOL) == 0 && fake->pool_max > 0) {
        result = fake_write_pool(fake, value);
    } else {
        FakeFile *file;

        fake_lock(fake);
        if (strcmp(name, "online") == 0)
            fake->traps++;
        file = fake_find_file(fake, write->path);
        result = file == NULL || file->is_hidden ? -ENOENT : 0;
        if (result == 0)
            g_strlcpy(file->text, value, sizeof file->text);
        fake_unlock(fake);
    }
    write->result = result;
    return result;
}

/* Files that a test has put right into PATH. */
static void add_files(const FakeKernel *fake, const char *path, GPtrArray *names)
{
    for (guint i = 0; i < G_N_ELEMENTS(fake->files); i++) {
        const FakeFile *file = &fake->files[i];
        g_autofree char *directory = g_path_get_dirname(file->path);

        if (file->path[0] && !file->is_hidden && strcmp(directory, path) == 0)
            g_ptr_array_add(names, g_path_get_basename(file->path));
    }
}

/* The names in PATH, with the lock held, or NULL if there is no such directory. */
static GPtrArray *names_in(FakeKernel *fake, const char *path)
{
    static const char *const beside[] = {
        "auto_online_blocks", "block_size_bytes", "power", "probe", "uevent",
        "memory012",          "memoryfoo",        "memory"};
    static const char *const inside[] = {"online", "phys_index", "power",  "removable",
                                         "state",  "subsystem",  "uevent", "valid_zones"};
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    const char *attribute;
    guint32 index;

    if (strcmp(path, BLOCK_DIR) == 0) {
        for (guint i = 0; i < G_N_ELEMENTS(beside); i++)
            g_ptr_array_add(names, g_strdup(beside[i]));
        /* Not in order: a directory's names come by their hash. */
        for (guint32 i = fake->end; i-- > 0;) {
            if (fake->blocks[i].exists)
                g_ptr_array_add(names, g_strdup_printf("memory%u", i));
        }
        return names;
    }
    if (fake->pool_max > 0 && (strcmp(path, NODE_DIR) == 0 || strcmp(path, POOL_DIR) == 0)) {
        g_ptr_array_add(names,
                        g_strdup(path[strlen(NODE_DIR)] == '\0' ? "node0" : "hugepages-2048kB"));
        return names;
    }
    if (strcmp(path, ACPI_DEVICES) == 0) {
        for (guint i = 0; i < 16; i++)
            g_ptr_array_add(names, g_strdup_printf("PNP0C80:%02x", i));
        return names;
    }
    if (parse_block_path(path, &index, &attribute) && *attribute == '\0') {
        const FakeBlock *block = fake_touch(fake, index, FALSE);

        if (block != NULL) {
            for (guint i = 0; i < G_N_ELEMENTS(inside); i++)
                g_ptr_array_add(names, g_strdup(inside[i]));
            if (block->node >= 0)
                g_ptr_array_add(names, g_strdup_printf("node%d", block->node));
            if (block->link[0] != '\0')
                g_ptr_array_add(names, g_strdup("firmware_node"));
            return names;
        }
    }
    add_files(fake, path, names);
    if (names->len > 0)
        return names;
    g_ptr_array_unref(names);
    return NULL;
}

static int fake_list(gpointer self, const char *path, AttrNameFunc each, gpointer user_data)
{
    FakeKernel *fake = self;

    fake_lock(fake);
    fake->operations++;
    const FakeFile *file = fake_find_file(fake, path);
    int error = file != NULL && file->read_error ? file->read_error : ENOENT;
    g_autoptr(GPtrArray) names = names_in(fake, path);
    fake_unlock(fake);
    if (names == NULL)
        return -error;
    for (guint i = 0; i < names->len; i++) {
        if (!each(g_ptr_array_index(names, i), user_data))
            break;
    }
    return 0;
}

static int fake_identify(gpointer self, const char *path, guint64 *inode)
{
    FakeKernel *fake = self;
    const char *attribute;
    guint32 index;
    int result = -ENOENT;

    fake_lock(fake);
    fake->operations++;
    if (parse_block_path(path, &index, &attribute) && *attribute == '\0') {
        const FakeBlock *block = fake_touch(fake, index, FALSE);

        if (block != NULL) {
            *inode = block->inode;
            result = 0;
        }
    } else if (strcmp(path, BLOCK_DIR) == 0) {
        *inode = 1;
        result = 0;
    }
    fake_unlock(fake);
    return result;
}

/* Whether a block is linked to SLOT; then the ACPI device has a link back. */
static gboolean is_bound(FakeKernel *fake, int slot)
{
    for (guint32 i = 0; i < fake->end; i++) {
        if (fake->blocks[i].exists && slot_of_link(fake->blocks[i].link) == slot)
            return TRUE;
    }
    return FALSE;
}

static gssize fake_follow(gpointer self, const char *path, char *target, gsize size)
{
    FakeKernel *fake = self;
    const char *attribute;
    const char *found = NULL;
    guint32 index;

    fake_lock(fake);
    fake->operations++;
    if (parse_block_path(path, &index, &attribute)) {
        const FakeBlock *block = fake_touch(fake, index, FALSE);

        if (block != NULL && strcmp(attribute, "firmware_node") == 0 && block->link[0] != '\0')
            found = block->link;
    } else if (g_str_has_prefix(path, ACPI_DEVICES "/") &&
               g_str_has_suffix(path, "/physical_node")) {
        if (is_bound(fake, slot_of_link(path)))
            found = "../../../devices/system/memory/memory0";
    }
    gssize n = found != NULL ? (gssize)strlen(found) : -ENOENT;
    if (n >= (gssize)size)
        n = -ENAMETOOLONG;
    if (n > 0)
        g_strlcpy(target, found, size);
    fake_unlock(fake);
    return n;
}

/* The table outlives its views: fake_kernel_free() ends it. */
static void fake_free(gpointer self)
{
    (void)self;
}

static gssize fake_read_at(gpointer self, const char *path, guint64 offset, void *buf, gsize size)
{
    FakeKernel *fake = self;
    guint64 n_pages = fake->block_size_bytes / (guint64)sysconf(_SC_PAGESIZE);
    guint64 *flags = buf;
    gssize n_bytes = 0;

    fake_lock(fake);
    if (strcmp(path, "proc/kpageflags") != 0 || !fake->has_pages)
        n_bytes = -ENOENT;
    for (guint64 page = offset / sizeof *flags; n_bytes >= 0 && (gsize)n_bytes < size; page++) {
        const FakeBlock *block = fake_find(fake, (guint32)(page / n_pages));
        gboolean is_used = block && page % n_pages < block->used_pages;
        *flags++ = is_used ? KPF_ANON_AND_LRU : KPF_BUDDY;
        n_bytes += (gssize)sizeof *flags;
    }
    fake_unlock(fake);
    return n_bytes;
}

const AttrOps fake_kernel_ops = {
    .read = fake_read,
    .read_all = fake_read_all,
    .read_at = fake_read_at,
    .write = fake_write,
    .list = fake_list,
    .identify = fake_identify,
    .follow = fake_follow,
    .free = fake_free,
};
