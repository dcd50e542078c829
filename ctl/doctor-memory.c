/*
 * doctor: the memory itself: block size, DIMMs that are as they should be, and what sits in memory
 * that does not move as other memory does.
 */
#include <stdlib.h>
#include <string.h>

#include "ctl/doctor.h"
#include "ctl/text.h"
#include "system/block.h"

#define HUGEPAGES "sys/kernel/mm/hugepages"
#define GIGANTIC "hugepages-1048576kB"

static void check_blocks(Doctor *doctor)
{
    g_autofree char *size = text_size(doctor->snapshot ? doctor->snapshot->block_size_bytes : 0);

    if (doctor->snapshot)
        finding_add(doctor->findings, FINDING_GOOD, "block size", NULL,
                    "%s: a DIMM is taken back in whole blocks of that", size);
    else if (!g_error_matches(doctor->fault, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        finding_add(doctor->findings, FINDING_NOTE, "memory blocks",
                    g_strdup("memplugctl doctor, as root"), "what they are is not known: %s",
                    doctor->fault->message);
    else
        finding_add(doctor->findings, FINDING_BAD, "block size",
                    g_strdup("boot a kernel with CONFIG_MEMORY_HOTPLUG"),
                    "/" BLOCK_DIR "/block_size_bytes cannot be read: this kernel has no memory "
                    "blocks");
}

static void check_devices(Doctor *doctor)
{
    for (guint32 i = 0; doctor->snapshot && i < doctor->snapshot->device_count; i++) {
        const Device *device = &doctor->snapshot->devices[i];
        g_autofree char *size = text_size(device->size_bytes);

        if (device->kind == DEVICE_DIMM && device->online_kernel_bytes == 0 &&
            device->offline_bytes == 0)
            finding_add(doctor->findings, FINDING_GOOD, "DIMM", NULL,
                        "%s (%s) is online as movable", device->id, size);
        else if (device->kind == DEVICE_VIRTIO_MEM)
            finding_add(doctor->findings, FINDING_NOTE, "virtio_mem", NULL,
                        "%s is there: it gives memory back by itself, in sub-blocks, and needs no "
                        "prepare",
                        device->id);
    }
}

/* --- huge pages --- */

static gboolean see_size(const char *name, gpointer user_data)
{
    if (g_str_has_prefix(name, "hugepages-"))
        g_ptr_array_add(user_data, g_strdup(name));
    return TRUE;
}

static guint64 count(const Doctor *doctor, const char *size, const char *attribute)
{
    g_autofree char *path = g_strconcat(HUGEPAGES "/", size, "/", attribute, NULL);
    guint64 n;

    return attr_read_uint64(doctor->io, path, 10, &n) == 0 ? n : 0;
}

/* A gigantic page comes from memory that cannot move (alloc_contig_pages(), mm/hugetlb.c), unless
 * vm.movable_gigantic_pages says otherwise. */
static void check_gigantic(Doctor *doctor)
{
    g_autofree char *command_line = doctor_text(doctor, "proc/cmdline");
    gboolean is_wanted = count(doctor, GIGANTIC, "nr_hugepages") > 0 ||
                         count(doctor, GIGANTIC, "nr_overcommit_hugepages") > 0 ||
                         strstr(command_line, "hugepagesz=1G");
    guint64 may_move;

    if (attr_read_uint64(doctor->io, "proc/sys/vm/movable_gigantic_pages", 10, &may_move) < 0)
        may_move = 0;
    if (is_wanted && !may_move)
        finding_add(
            doctor->findings, FINDING_NOTE, "huge pages",
            g_strdup("boot memory for them (hugepagesz=1G hugepages=N on the kernel command "
                     "line), or policy=kernel for the DIMMs that they shall come from, "
                     "which then cannot be unplugged"),
            "huge pages of 1 GiB are in use or asked for, and memory that is online as "
            "movable cannot give any");
}

static void check_hugepages(Doctor *doctor)
{
    g_autoptr(GPtrArray) sizes = g_ptr_array_new_with_free_func(g_free);
    gboolean found = FALSE;

    attr_list(doctor->io, HUGEPAGES, see_size, sizes);
    for (guint i = 0; i < sizes->len; i++) {
        const char *name = sizes->pdata[i];
        guint64 n = count(doctor, name, "nr_hugepages");
        if (n == 0)
            continue;
        found = TRUE;
        finding_add(
            doctor->findings, FINDING_NOTE, "huge pages",
            g_strdup_printf("echo 0 >/" HUGEPAGES "/%s/nr_hugepages, before an unplug", name),
            "%" G_GUINT64_FORMAT " of %s are reserved: each needs a free one elsewhere to "
            "move to",
            n, name + strlen("hugepages-"));
    }
    if (!found && sizes->len > 0)
        finding_add(doctor->findings, FINDING_GOOD, "huge pages", NULL, "none are reserved");
    check_gigantic(doctor);
}

void doctor_check_memory(Doctor *doctor)
{
    check_blocks(doctor);
    check_devices(doctor);
    check_hugepages(doctor);
}
