/*
 * Reasons and jobs, as replies show them.
 */
#include "front/reply.h"

#include "system/units.h"

static void reply_reason(QgaWriter *writer, const Reason *reason)
{
    qga_writer_begin_object(writer);
    qga_writer_member_string(writer, "code", reason_code_name(reason->code));
    qga_writer_member_string(writer, "desc", reason->desc);
    if (reason->device)
        qga_writer_member_string(writer, "device", reason->device);
    if (reason->block >= 0)
        qga_writer_member_int(writer, "block", reason->block);
    if (reason->error)
        qga_writer_member_int(writer, "errno", reason->error);
    if (reason->bytes)
        qga_writer_member_uint(writer, "bytes", reason->bytes);
    qga_writer_end_object(writer);
}

void reply_reasons(QgaWriter *writer, const char *name, const GPtrArray *reasons)
{
    qga_writer_member_array(writer, name);
    for (guint i = 0; i < reasons->len; i++)
        reply_reason(writer, reasons->pdata[i]);
    qga_writer_end_array(writer);
}

static void reply_job_devices(QgaWriter *writer, const UnplugJob *job)
{
    qga_writer_member_array(writer, "devices");
    for (guint i = 0; i < job->devices->len; i++) {
        const JobDevice *device = &g_array_index(job->devices, JobDevice, i);
        qga_writer_begin_object(writer);
        qga_writer_member_string(writer, "id", device->id);
        qga_writer_member_string(writer, "state", unplug_job_device_state(job, i));
        reply_reasons(writer, "reasons", device->reasons);
        qga_writer_end_object(writer);
    }
    qga_writer_end_array(writer);
}

void reply_job(QgaWriter *writer, const UnplugJob *job, gint64 now_usec)
{
    UnplugProgress progress = unplug_job_progress(job, now_usec);

    qga_writer_begin_object(writer);
    qga_writer_member_uint(writer, "job", job->id);
    qga_writer_member_string(writer, "state", job_state_name(job->state));
    if (job->key)
        qga_writer_member_string(writer, "key", job->key);
    reply_job_devices(writer, job);
    qga_writer_member_uint(writer, "blocks-done", progress.blocks_done);
    qga_writer_member_uint(writer, "blocks-total", progress.blocks_total);
    qga_writer_member_uint(writer, "bytes", progress.bytes);
    qga_writer_member_int(writer, "elapsed-ms", progress.elapsed_usec / USEC_PER_MSEC);
    if (progress.lease_left_usec >= 0)
        qga_writer_member_int(writer, "lease-left-ms", progress.lease_left_usec / USEC_PER_MSEC);
    reply_reasons(writer, "reasons", job->reasons);
    qga_writer_end_object(writer);
}
