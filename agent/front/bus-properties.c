/*
 * The properties: figures of memory-get-status, and the jobs with their states. They are open to
 * every user, so nothing of a reason or of a host's key is in them.
 */
#include <errno.h>
#include <string.h>

#include "front/agent-private.h"
#include "front/bus-private.h"

void bus_figures_clear(BusFigures *figures)
{
    g_free(figures->policy);
    g_free(figures->port_error);
    if (figures->jobs)
        g_array_unref(figures->jobs);
    *figures = (BusFigures){.policy = NULL};
}

static void read_jobs(Agent *agent, BusFigures *figures)
{
    g_autoptr(GPtrArray) jobs = unplug_machine_list(unplugger_machine(agent->unplugger));

    figures->jobs = g_array_new(FALSE, TRUE, sizeof(BusJob));
    for (guint i = 0; i < jobs->len; i++) {
        const UnplugJob *job = jobs->pdata[i];
        BusJob entry = {.id = job->id, .state = job->state};
        g_array_append_val(figures->jobs, entry);
    }
}

/* SNAPSHOT is taken as it is: what changes is announced while memory comes, event by event, and
 * must not cost a look at it each time. */
static void read_figures(BusService *service, Snapshot *snapshot, BusFigures *bus)
{
    Agent *agent = service->agent;
    Figures figures = pieces_figures(agent->pieces, snapshot);

    *bus = (BusFigures){
        .block_size_bytes = snapshot->block_size_bytes,
        .at_boot_bytes = figures.at_boot_bytes,
        .current_bytes = figures_current_bytes(&figures),
        .requested_bytes = agent->target.is_set ? agent->target.bytes : 0,
        .policy = g_strdup(online_policy_name(onliner_config(agent->onliner)->policy)),
        .application_delay_ms = agent->options->settings->application_delay_ms,
        .port_error = g_strdup(channel_error(agent->channel)),
    };
    read_jobs(agent, bus);
    bus->inhibitors = inhibitors_generation(unplugger_inhibitors(agent->unplugger));
}

/* --- the table --- */

#define JOBS_TYPE "a(ts)"

typedef struct {
    const char *name;
    const char *signature;
    gsize offset; /* in BusFigures */
} Property;

static const Property properties[] = {
    {"BlockSize", "t", offsetof(BusFigures, block_size_bytes)},
    {"GuestAtBoot", "t", offsetof(BusFigures, at_boot_bytes)},
    {"GuestCurrent", "t", offsetof(BusFigures, current_bytes)},
    {"GuestRequested", "t", offsetof(BusFigures, requested_bytes)},
    {"Policy", "s", offsetof(BusFigures, policy)},
    {"PortError", "s", offsetof(BusFigures, port_error)},
    {"ApplicationDelayMs", "t", offsetof(BusFigures, application_delay_ms)},
    {"Jobs", JOBS_TYPE, offsetof(BusFigures, jobs)},
    {"Inhibitors", INHIBITORS_TYPE, offsetof(BusFigures, inhibitors)},
};

static int append_jobs(sd_bus_message *reply, const GArray *jobs)
{
    int r = sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "(ts)");

    for (guint i = 0; r >= 0 && i < jobs->len; i++) {
        const BusJob *job = &g_array_index(jobs, BusJob, i);
        r = sd_bus_message_append(reply, "(ts)", job->id, job_state_name(job->state));
    }
    return r >= 0 ? sd_bus_message_close_container(reply) : r;
}

static int append_value(sd_bus_message *reply, const BusService *service, const Property *property,
                        const BusFigures *figures)
{
    gconstpointer member = (const char *)figures + property->offset;

    switch (property->signature[0]) {
    case SD_BUS_TYPE_UINT64:
        return sd_bus_message_append(reply, "t", *(const guint64 *)member);
    case SD_BUS_TYPE_STRING:
        return sd_bus_message_append(reply, "s", *(char *const *)member);
    default:
        return g_str_equal(property->signature, JOBS_TYPE)
                   ? append_jobs(reply, *(GArray *const *)member)
                   : bus_inhibit_append(reply, unplugger_inhibitors(service->agent->unplugger));
    }
}

static int get_property(G_GNUC_UNUSED sd_bus *connection, G_GNUC_UNUSED const char *path,
                        G_GNUC_UNUSED const char *interface, const char *name,
                        sd_bus_message *reply, void *user_data, G_GNUC_UNUSED sd_bus_error *error)
{
    BusService *service = user_data;
    BusFigures figures;
    int r = -ENOENT;

    read_figures(service, model_keeper_catch_up_for_answer(service->agent->keeper), &figures);
    for (guint i = 0; i < G_N_ELEMENTS(properties); i++) {
        if (g_str_equal(properties[i].name, name))
            r = append_value(reply, service, &properties[i], &figures);
    }
    bus_figures_clear(&figures);
    return r;
}

static int get_version(G_GNUC_UNUSED sd_bus *connection, G_GNUC_UNUSED const char *path,
                       G_GNUC_UNUSED const char *interface, G_GNUC_UNUSED const char *name,
                       sd_bus_message *reply, G_GNUC_UNUSED void *user_data,
                       G_GNUC_UNUSED sd_bus_error *error)
{
    return sd_bus_message_append(reply, "s", MEMPLUG_VERSION);
}

void bus_properties_add(BusService *service)
{
    sd_bus_vtable version =
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST);

    g_array_append_val(service->vtable, version);
    for (guint i = 0; i < G_N_ELEMENTS(properties); i++) {
        sd_bus_vtable entry = SD_BUS_PROPERTY(properties[i].name, properties[i].signature,
                                              get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE);
        g_array_append_val(service->vtable, entry);
    }
}

/* --- changes --- */

static gboolean jobs_equal(const GArray *a, const GArray *b)
{
    if (a->len != b->len)
        return FALSE;
    for (guint i = 0; i < a->len; i++) {
        const BusJob *one = &g_array_index(a, BusJob, i), *other = &g_array_index(b, BusJob, i);
        if (one->id != other->id || one->state != other->state)
            return FALSE;
    }
    return TRUE;
}

static gboolean is_equal(const Property *property, const BusFigures *a, const BusFigures *b)
{
    gconstpointer one = (const char *)a + property->offset;
    gconstpointer other = (const char *)b + property->offset;

    switch (property->signature[0]) {
    case SD_BUS_TYPE_UINT64:
        return *(const guint64 *)one == *(const guint64 *)other;
    case SD_BUS_TYPE_STRING:
        return g_str_equal(*(char *const *)one, *(char *const *)other);
    default:
        return g_str_equal(property->signature, JOBS_TYPE)
                   ? jobs_equal(*(GArray *const *)one, *(GArray *const *)other)
                   : *(const guint64 *)one == *(const guint64 *)other;
    }
}

void bus_properties_refresh(BusService *service)
{
    char *changed[G_N_ELEMENTS(properties) + 1] = {NULL};
    sd_bus *connection = bus_connection(service->bus);
    BusFigures now;
    guint n = 0;

    read_figures(service, model_keeper_snapshot(service->agent->keeper), &now);
    for (guint i = 0; service->announced.policy && i < G_N_ELEMENTS(properties); i++) {
        if (!is_equal(&properties[i], &service->announced, &now))
            changed[n++] = (char *)properties[i].name;
    }
    bus_figures_clear(&service->announced);
    service->announced = now;
    if (n > 0 && connection)
        sd_bus_emit_properties_changed_strv(connection, BUS_PATH, BUS_INTERFACE, changed);
}
