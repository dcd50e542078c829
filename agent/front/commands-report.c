/*
 * memory-get-status and memory-get-devices: what is there, as measured in the guest.
 */
#include <unistd.h>

#include "front/agent-private.h"
#include "front/reply.h"
#include "front/warnings-gather.h"
#include "system/capabilities.h"
#include "system/pressure.h"

#define PROTOCOL_VERSION 1
#define KERNEL_RELEASE_PATH "proc/sys/kernel/osrelease"

/* An attribute's one line, "" if it cannot be read. */
static const char *read_word(const AttrIo *io, const char *path, char *buf, gsize size)
{
    if (attr_read_line(io, path, buf, size) < 0)
        buf[0] = '\0';
    return buf;
}

/* Memory that jobs hold ready. */
static guint64 ready_bytes(const UnplugMachine *machine)
{
    g_autoptr(GPtrArray) jobs = unplug_machine_list(machine);
    guint64 bytes = 0;

    for (guint i = 0; i < jobs->len; i++) {
        const UnplugJob *job = jobs->pdata[i];
        for (guint b = 0; job->state == JOB_READY && b < job->blocks->len; b++) {
            if (g_array_index(job->blocks, JobBlock, b).phase != JOB_BLOCK_GONE)
                bytes += job->block_size_bytes;
        }
    }
    return bytes;
}

static void reply_figures(QgaWriter *writer, const Agent *agent, Snapshot *snapshot)
{
    Figures figures = pieces_figures(agent->pieces, snapshot);

    qga_writer_member_uint(writer, "guest-at-boot", figures.at_boot_bytes);
    qga_writer_member_uint(writer, "guest-current", figures_current_bytes(&figures));
    if (agent->target.is_set)
        qga_writer_member_uint(writer, "guest-requested", agent->target.bytes);
    qga_writer_member_uint(writer, "online-movable", figures.online_movable_bytes);
    qga_writer_member_uint(writer, "online-kernel", figures.online_kernel_bytes);
    qga_writer_member_uint(writer, "offline", figures.offline_bytes);
    qga_writer_member_uint(writer, "present", figures.present_bytes);
    if (figures.balloon_error == 0)
        qga_writer_member_uint(writer, "balloon", figures.balloon_bytes);
}

/* What there is room for: in the guest as it is, for more memory, for less. */
static void reply_room(QgaWriter *writer, const Agent *agent, const Setup *setup,
                       guint64 block_size_bytes)
{
    UnplugLimit limit = unplugger_limit(agent->unplugger);
    Stall stall;

    qga_writer_member_uint(writer, "available", limit.available_bytes);
    if (setup->zones) {
        qga_writer_member_uint(writer, "kernel-free", online_kernel_free_bytes(setup->zones));
        qga_writer_member_uint(writer, "plug-limit",
                               online_plug_limit_bytes(onliner_config(agent->onliner), setup->zones,
                                                       (guint64)sysconf(_SC_PAGESIZE),
                                                       block_size_bytes));
    }
    qga_writer_member_uint(writer, "unplug-limit", limit.limit_bytes);
    if (!stall_read(agent->io, &stall))
        return;
    qga_writer_member_object(writer, "pressure");
    qga_writer_member_uint(writer, "some-avg10", stall.some_avg10);
    qga_writer_member_uint(writer, "full-avg10", stall.full_avg10);
    qga_writer_end_object(writer);
}

static void reply_capabilities(QgaWriter *writer, const Agent *agent, const Snapshot *snapshot)
{
    g_autoptr(Capability) all =
        capabilities_read(agent->io, snapshot, agent->options->settings->unplug_gate);

    qga_writer_member_array(writer, "capabilities");
    for (guint i = 0; i < CAPABILITY_COUNT; i++) {
        qga_writer_begin_object(writer);
        qga_writer_member_string(writer, "name", all[i].name);
        qga_writer_member_bool(writer, "available", all[i].is_available);
        if (all[i].desc)
            qga_writer_member_string(writer, "desc", all[i].desc);
        qga_writer_end_object(writer);
    }
    qga_writer_end_array(writer);
}

static void reply_warnings(QgaWriter *writer, const Agent *agent, const Setup *setup)
{
    g_autoptr(GPtrArray) warnings = warnings_gather(agent, setup);

    qga_writer_member_array(writer, "warnings");
    for (guint i = 0; i < warnings->len; i++) {
        const Warning *warning = warnings->pdata[i];
        qga_writer_begin_object(writer);
        qga_writer_member_string(writer, "code", warning->code);
        qga_writer_member_string(writer, "desc", warning->desc);
        qga_writer_end_object(writer);
    }
    qga_writer_end_array(writer);
}

static void reply_inhibitors(QgaWriter *writer, const Inhibitors *inhibitors)
{
    const GPtrArray *list = inhibitors_list(inhibitors);

    qga_writer_member_array(writer, "inhibitors");
    for (guint i = 0; i < list->len; i++) {
        const Inhibitor *inhibitor = list->pdata[i];
        qga_writer_begin_object(writer);
        qga_writer_member_string(writer, "who", inhibitor->who);
        qga_writer_member_string(writer, "why", inhibitor->why);
        qga_writer_member_string(writer, "mode", inhibit_mode_name(inhibitor->mode));
        qga_writer_end_object(writer);
    }
    qga_writer_end_array(writer);
}

static void get_status(QgaCall *call, G_GNUC_UNUSED JsonObject *arguments, gpointer user_data)
{
    Agent *agent = user_data;
    Snapshot *snapshot = model_keeper_catch_up_for_answer(agent->keeper);
    g_autoptr(Setup) setup = setup_read(agent->io);
    char release[128];
    QgaWriter *writer = qga_call_begin_return(call);

    read_word(agent->io, KERNEL_RELEASE_PATH, release, sizeof release);
    qga_writer_begin_object(writer);
    qga_writer_member_int(writer, "protocol-version", PROTOCOL_VERSION);
    qga_writer_member_uint(writer, "block-size", snapshot->block_size_bytes);
    reply_figures(writer, agent, snapshot);
    reply_room(writer, agent, setup, snapshot->block_size_bytes);
    qga_writer_member_uint(writer, "ready", ready_bytes(unplugger_machine(agent->unplugger)));
    qga_writer_member_string(writer, "policy",
                             online_policy_name(onliner_config(agent->onliner)->policy));
    qga_writer_member_string(writer, "kernel-auto-online", setup->auto_online_blocks);
    qga_writer_member_string(writer, "kernel-release", release);
    qga_writer_member_string(writer, "boot-id", agent->boot_id);
    qga_writer_member_int(writer, "agent-start-usec", agent->start_usec);
    reply_capabilities(writer, agent, snapshot);
    reply_inhibitors(writer, unplugger_inhibitors(agent->unplugger));
    reply_warnings(writer, agent, setup);
    qga_writer_end_object(writer);
    qga_call_end_return(call);
}

/* A device as its job sees it: "preparing", "ready"; NULL if no job has it. */
static const char *state_in_job(const Agent *agent, const Snapshot *snapshot, const Device *device)
{
    const Block *first = snapshot_find_block(snapshot, device->first_block);
    const UnplugJob *job = first ? unplug_machine_owner(unplugger_machine(agent->unplugger),
                                                        first->index, first->inode)
                                 : NULL;

    for (guint i = 0; job && i < job->devices->len; i++) {
        if (g_str_equal(g_array_index(job->devices, JobDevice, i).id, device->id))
            return unplug_job_device_state(job, i);
    }
    return NULL;
}

/* Of blocks that are offline nothing can be told: they count as a whole. */
static guint64 plugged_bytes(const Agent *agent, const Snapshot *snapshot, const Device *device)
{
    guint64 bytes =
        device->online_movable_bytes + device->online_kernel_bytes + device->offline_bytes;

    return bytes - MIN(bytes, pieces_missing_bytes(agent->pieces, snapshot, device));
}

static void reply_device(QgaWriter *writer, Agent *agent, const Snapshot *snapshot,
                         const Device *device)
{
    const char *state = state_in_job(agent, snapshot, device);

    g_autoptr(UnplugVerdict) verdict =
        unplugger_check_briefly(agent->unplugger, device, device->kind == DEVICE_VIRTIO_MEM);
    if (!state)
        state =
            device->online_movable_bytes + device->online_kernel_bytes > 0 ? "in-use" : "offline";
    qga_writer_begin_object(writer);
    qga_writer_member_string(writer, "id", device->id);
    qga_writer_member_string(writer, "kind", device_kind_name(device->kind));
    if (device->kind == DEVICE_DIMM) {
        qga_writer_member_int(writer, "slot", device->slot);
        qga_writer_member_string(writer, "acpi-path", device->acpi_path);
    }
    qga_writer_member_uint(writer, "address", device->address);
    qga_writer_member_uint(writer, "size", device->size_bytes);
    qga_writer_member_int(writer, "node", device->node);
    qga_writer_member_uint(writer, "first-block", device->first_block);
    qga_writer_member_uint(writer, "block-count", device->block_count);
    qga_writer_member_uint(writer, "online-movable", device->online_movable_bytes);
    qga_writer_member_uint(writer, "online-kernel", device->online_kernel_bytes);
    qga_writer_member_uint(writer, "offline", device->offline_bytes);
    if (device->kind == DEVICE_VIRTIO_MEM)
        qga_writer_member_uint(writer, "plugged", plugged_bytes(agent, snapshot, device));
    qga_writer_member_string(writer, "state", state);
    reply_reasons(writer, "blockers", verdict->reasons);
    qga_writer_end_object(writer);
}

static void get_devices(QgaCall *call, G_GNUC_UNUSED JsonObject *arguments, gpointer user_data)
{
    Agent *agent = user_data;
    Snapshot *snapshot = model_keeper_catch_up_for_answer(agent->keeper);
    QgaWriter *writer = qga_call_begin_return(call);

    pieces_update(agent->pieces, snapshot);
    qga_writer_begin_array(writer);
    for (guint32 i = 0; i < snapshot->device_count; i++)
        reply_device(writer, agent, snapshot, &snapshot->devices[i]);
    qga_writer_end_array(writer);
    qga_call_end_return(call);
}

void commands_report_register(QgaDispatch *dispatch, Agent *agent)
{
    qga_dispatch_register(dispatch, "memory-get-status", get_status, agent);
    qga_dispatch_register(dispatch, "memory-get-devices", get_devices, agent);
}
