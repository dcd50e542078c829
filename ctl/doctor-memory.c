/*
 * doctor: the memory itself: block size, DIMMs, zones, and what sits in memory that cannot move.
 */
#include <string.h>
#include <unistd.h>

#include "ctl/doctor.h"
#include "ctl/text.h"

#define MEMORY "sys/devices/system/memory"
#define ACPI "sys/bus/acpi/devices"
#define RATIO_WARN 4

/* What the blocks of one ACPI memory device are. */
typedef struct {
    guint n_blocks, n_kernel, n_offline;
} Dimm;

/* The last part of what PATH links to, NULL: no link. (transfer full) */
static char *link_name(const Doctor *doctor, const char *path)
{
    g_autofree char *full = doctor_path(doctor, path);
    char target[512];
    gssize n = readlink(full, target, sizeof target - 1);

    if (n <= 0)
        return NULL;
    target[n] = '\0';
    return g_path_get_basename(target);
}

static void take_block(const Doctor *doctor, const char *name, GHashTable *dimms)
{
    g_autofree char *link = g_strconcat(MEMORY "/", name, "/firmware_node", NULL);
    g_autofree char *state_path = g_strconcat(MEMORY "/", name, "/state", NULL);
    g_autofree char *zones_path = g_strconcat(MEMORY "/", name, "/valid_zones", NULL);
    g_autofree char *device = link_name(doctor, link);

    if (!device || !g_str_has_prefix(device, "PNP0C80"))
        return;
    Dimm *dimm = g_hash_table_lookup(dimms, device);
    if (!dimm) {
        dimm = g_new0(Dimm, 1);
        g_hash_table_insert(dimms, g_steal_pointer(&device), dimm);
    }
    g_autofree char *state = doctor_read(doctor, state_path);
    dimm->n_blocks++;
    if (g_strcmp0(state, "online") != 0) {
        dimm->n_offline++;
        return;
    }
    /* An online block's zones are safe to read; a new one's, whose node is not set yet, are not. */
    g_autofree char *zones = doctor_read(doctor, zones_path);
    dimm->n_kernel += zones && strcmp(zones, "Movable") != 0 ? 1 : 0;
}

static GHashTable *find_dimms(const Doctor *doctor)
{
    GHashTable *dimms = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GPtrArray) names = doctor_list(doctor, MEMORY);

    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        if (g_str_has_prefix(name, "memory") && g_ascii_isdigit(name[strlen("memory")]))
            take_block(doctor, name, dimms);
    }
    return dimms;
}

static void judge_dimm(Doctor *doctor, const char *name, const Dimm *dimm, guint64 block_bytes)
{
    g_autofree char *size = text_size((dimm ? dimm->n_blocks : 0) * block_bytes);
    g_autofree char *block = text_size(block_bytes);

    if (!dimm)
        doctor_add(doctor, FINDING_BAD, "DIMM",
                   g_strdup_printf("on the host, plug DIMMs in multiples of %s", block),
                   "%s is plugged and has no blocks: it is smaller than a block of %s, or not "
                   "aligned to one",
                   name, block);
    else if (dimm->n_kernel > 0)
        doctor_add(doctor, FINDING_BAD, "DIMM",
                   g_strdup("systemctl start memplugd (with rezone=yes it moves them)"),
                   "%s (%s): %u of its %u blocks are in a kernel zone, so it cannot be unplugged",
                   name, size, dimm->n_kernel, dimm->n_blocks);
    else if (dimm->n_offline > 0)
        doctor_add(doctor, FINDING_NOTE, "DIMM", NULL, "%s (%s): %u of its %u blocks are offline",
                   name, size, dimm->n_offline, dimm->n_blocks);
    else
        doctor_add(doctor, FINDING_GOOD, "DIMM", NULL, "%s (%s) is online as movable", name, size);
}

static void check_dimms(Doctor *doctor)
{
    gint64 block_bytes = doctor_read_number(doctor, MEMORY "/block_size_bytes", 16);
    g_autoptr(GHashTable) dimms = find_dimms(doctor);
    g_autoptr(GPtrArray) names = doctor_list(doctor, ACPI);
    g_autofree char *size = text_size(block_bytes > 0 ? (guint64)block_bytes : 0);

    if (block_bytes > 0)
        doctor_add(doctor, FINDING_GOOD, "block size", NULL,
                   "%s: a DIMM is taken back in whole blocks of that", size);
    else
        doctor_add(doctor, FINDING_BAD, "block size",
                   g_strdup("boot a kernel with CONFIG_MEMORY_HOTPLUG"),
                   "/" MEMORY "/block_size_bytes cannot be read: this kernel has no memory blocks");
    /* Without that nothing can be said of a DIMM. */
    for (guint i = 0; i < names->len && block_bytes > 0; i++) {
        const char *name = names->pdata[i];
        g_autofree char *path = g_strconcat(ACPI "/", name, "/status", NULL);
        /* An empty slot is listed too, with status 0. */
        if (g_str_has_prefix(name, "PNP0C80") && doctor_read_number(doctor, path, 10) > 0)
            judge_dimm(doctor, name, g_hash_table_lookup(dimms, name), (guint64)block_bytes);
    }
}

/* Managed pages of Movable and of all other zones. */
static void check_ratio(Doctor *doctor)
{
    g_autofree char *text = doctor_read(doctor, "proc/zoneinfo");
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    guint64 movable = 0, kernel = 0;
    gboolean in_movable = FALSE, in_device = FALSE;

    for (char **line = lines; *line; line++) {
        const char *word = g_strchug(*line);
        if (g_str_has_prefix(word, "Node ")) {
            in_movable = strstr(word, "Movable") != NULL;
            in_device = strstr(word, "Device") != NULL;
        } else if (g_str_has_prefix(word, "managed") && !in_device) {
            *(in_movable ? &movable : &kernel) +=
                g_ascii_strtoull(word + strlen("managed"), NULL, 10);
        }
    }
    if (kernel == 0)
        return;
    if (movable > RATIO_WARN * kernel)
        doctor_add(doctor, FINDING_BAD, "zones",
                   g_strdup("policy=auto in /etc/memplug/memplugd.conf, or more boot memory"),
                   "movable memory is %.1f times the kernel's: it may run out of its own",
                   (double)movable / (double)kernel);
    else
        doctor_add(doctor, FINDING_GOOD, "zones", NULL, "movable memory is %.1f times the kernel's",
                   (double)movable / (double)kernel);
}

static void check_drivers(Doctor *doctor)
{
    static const char balloon[] =
        "a balloon is there: inflated, its pages keep blocks from going offline";
    /* A driver's directory has a link for each device that it is bound to. */
    static const struct {
        const char *driver, *directory, *device_prefix, *text;
    } drivers[] = {
        {"virtio_balloon", "sys/bus/virtio/drivers/virtio_balloon", "virtio", balloon},
        {"hv_balloon", "sys/bus/vmbus/drivers/hv_balloon", "vmbus", balloon},
        {"xen-balloon", "sys/devices/system/xen_memory", "xen_memory", balloon},
        {"virtio_mem", "sys/bus/virtio/drivers/virtio_mem", "virtio",
         "is there: it gives memory back by itself, in sub-blocks, and needs no prepare"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(drivers); i++) {
        g_autoptr(GPtrArray) names = doctor_list(doctor, drivers[i].directory);
        for (guint n = 0; n < names->len; n++) {
            if (g_str_has_prefix(names->pdata[n], drivers[i].device_prefix))
                doctor_add(doctor, FINDING_NOTE, drivers[i].driver, NULL, "%s", drivers[i].text);
        }
    }
}

static void check_hugepages(Doctor *doctor)
{
    g_autoptr(GPtrArray) sizes = doctor_list(doctor, "sys/kernel/mm/hugepages");
    gboolean found = FALSE;

    for (guint i = 0; i < sizes->len; i++) {
        const char *name = sizes->pdata[i];
        g_autofree char *path =
            g_strconcat("sys/kernel/mm/hugepages/", name, "/nr_hugepages", NULL);
        gint64 n = doctor_read_number(doctor, path, 10);
        if (n <= 0)
            continue;
        found = TRUE;
        doctor_add(doctor, FINDING_NOTE, "huge pages",
                   g_strdup_printf("echo 0 >/%s, before an unplug", path),
                   "%" G_GINT64_FORMAT " of %s are reserved: each needs a free one elsewhere to "
                   "move to",
                   n, name + strlen("hugepages-"));
    }
    if (!found && sizes->len > 0)
        doctor_add(doctor, FINDING_GOOD, "huge pages", NULL, "none are reserved");
}

void doctor_check_memory(Doctor *doctor)
{
    check_dimms(doctor);
    check_ratio(doctor);
    check_drivers(doctor);
    check_hugepages(doctor);
}
