/*
 * Writes events. Each is written once for each connection, as connections differ in what they take.
 */
#include "front/events.h"

#include "decide/block-events.h"

typedef void (*DataFunc)(QgaWriter *writer, gconstpointer data);

typedef struct {
    const char *name;
    DataFunc write_data;
    gconstpointer data;
    gint64 timestamp_usec; /* wall clock */
} Event;

static void send_to(QgaSession *session, gpointer user_data)
{
    const Event *event = user_data;
    QgaWriter *writer = qga_session_begin_event(session, event->name, event->timestamp_usec);

    if (!writer)
        return;
    qga_writer_begin_object(writer);
    event->write_data(writer, event->data);
    qga_writer_end_object(writer);
    qga_session_end_event(session);
}

static void send_signal(BusService *bus, const Event *event)
{
    QgaWriter *writer = bus_service_begin_event(bus, event->name);

    if (!writer)
        return;
    qga_writer_begin_object(writer);
    event->write_data(writer, event->data);
    qga_writer_end_object(writer);
    bus_service_end_event(bus);
}

static void send_event(const EventListeners *listeners, const char *name, DataFunc write_data,
                       gconstpointer data)
{
    Event event = {
        .name = name, .write_data = write_data, .data = data, .timestamp_usec = g_get_real_time()};

    if (listeners->channel)
        channel_foreach_session(listeners->channel, send_to, &event);
    send_signal(listeners->bus, &event);
}

static void write_blocks(QgaWriter *writer, gconstpointer data)
{
    const BlockEvent *event = data;

    qga_writer_member_uint(writer, "first-block", event->first_block);
    qga_writer_member_uint(writer, "block-count", event->block_count);
    if (event->device[0] != '\0')
        qga_writer_member_string(writer, "device", event->device);
    if (event->kind == BLOCKS_ONLINED)
        qga_writer_member_string(writer, "zone", zone_name(event->zone));
}

void events_send_change(const EventListeners *listeners, const ModelChange *change)
{
    if (!listeners->channel && !listeners->bus)
        return;
    g_autoptr(GArray) events = block_events_find(change->before, change->now);

    for (guint i = 0; i < events->len; i++) {
        const BlockEvent *event = &g_array_index(events, BlockEvent, i);
        send_event(listeners, block_event_name(event->kind), write_blocks, event);
    }
}

typedef struct {
    guint64 id;
    JobState state;
} JobNews;

static void write_job(QgaWriter *writer, gconstpointer data)
{
    const JobNews *news = data;

    qga_writer_member_uint(writer, "job", news->id);
    qga_writer_member_string(writer, "state", job_state_name(news->state));
}

void events_send_job(const EventListeners *listeners, const UnplugJob *job, JobState state)
{
    JobNews news = {.id = job->id, .state = state};

    send_event(listeners, "MEMORY_UNPLUG_CHANGED", write_job, &news);
}

static void write_target(QgaWriter *writer, gconstpointer data)
{
    const guint64 *bytes = data;

    qga_writer_member_uint(writer, "bytes", *bytes);
}

void events_send_target(const EventListeners *listeners, const Target *target)
{
    send_event(listeners, "MEMORY_TARGET_REACHED", write_target, &target->bytes);
}

static void write_pressure(QgaWriter *writer, gconstpointer data)
{
    const PressureNews *news = data;

    qga_writer_member_uint(writer, "available", news->available_bytes);
    qga_writer_member_uint(writer, "some-avg10", news->some_avg10);
    qga_writer_member_uint(writer, "full-avg10", news->full_avg10);
    if (news->has_target)
        qga_writer_member_uint(writer, "below-target", news->below_target_bytes);
}

void events_send_pressure(const EventListeners *listeners, QgaSession *session,
                          const PressureNews *news)
{
    Event event = {.name = "MEMORY_PRESSURE",
                   .write_data = write_pressure,
                   .data = news,
                   .timestamp_usec = g_get_real_time()};

    send_to(session, &event);
    send_signal(listeners->bus, &event);
}
