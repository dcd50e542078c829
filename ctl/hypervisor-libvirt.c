/*
 * The hypervisor by libvirt's API. What a device is libvirt tells in the domain's XML only.
 */
#include "ctl/libvirt.h"

#ifdef MEMPLUG_LIBVIRT

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "ctl/errors.h"
#include "ctl/libvirt-private.h"

#define KIB 1024
#define DIMM_ALIAS "ua-memplug-dimm%u" /* "ua-": libvirt takes no other name of a user's */
#define ALIAS_PREFIX "ua-"
#define IDS_MAX 1024

typedef struct {
    Hypervisor hypervisor;
    Libvirt *libvirt;
} ByLibvirt;

/* ---- reading the XML ---- */

typedef struct {
    HvMemory *memory;
    GString *path; /* of the element that is being read: "/domain/devices/memory" */
    guint64 total_bytes;
    HvDevice device; /* being read */
    char *model, *xml_unit;
} Reading;

static const char *attribute(const char **names, const char **values, const char *name)
{
    for (guint i = 0; names[i]; i++) {
        if (strcmp(names[i], name) == 0)
            return values[i];
    }
    return NULL;
}

static gboolean is_at(Reading *reading, const char *path)
{
    return strcmp(reading->path->str, path) == 0;
}

static void start_element(GMarkupParseContext *context, const char *element, const char **names,
                          const char **values, gpointer data, GError **error)
{
    Reading *reading = data;
    const char *value;

    (void)context;
    (void)error;
    g_string_append_printf(reading->path, "/%s", element);
    g_free(reading->xml_unit);
    reading->xml_unit = g_strdup(attribute(names, values, "unit"));
    if (is_at(reading, "/domain/devices/memory")) {
        g_free(reading->model);
        reading->model = g_strdup(attribute(names, values, "model"));
        reading->device = (HvDevice){.slot = -1};
    } else if (is_at(reading, "/domain/maxMemory")) {
        value = attribute(names, values, "slots");
        reading->memory->slots = value ? (gint64)g_ascii_strtoull(value, NULL, 10) : -1;
    } else if (is_at(reading, "/domain/cpu/numa/cell")) {
        reading->memory->nodes++;
    } else if (is_at(reading, "/domain/devices/memory/alias")) {
        g_free(reading->device.id);
        reading->device.id = g_strdup(attribute(names, values, "name"));
    } else if (is_at(reading, "/domain/devices/memory/address") ||
               is_at(reading, "/domain/devices/memory/target/address")) {
        value = attribute(names, values, "slot");
        if (value &&
            strcmp(attribute(names, values, "type") ? attribute(names, values, "type") : "",
                   "dimm") == 0)
            reading->device.slot = (gint64)g_ascii_strtoull(value, NULL, 0);
        value = attribute(names, values, "base");
        if (value)
            reading->device.address = g_ascii_strtoull(value, NULL, 0);
    }
}

/* A size in UNIT. libvirt itself writes KiB. */
static guint64 bytes_of(const char *text, const char *unit)
{
    guint64 number = g_ascii_strtoull(text, NULL, 10);
    guint64 factor = g_strcmp0(unit, "bytes") == 0 || g_strcmp0(unit, "b") == 0 ? 1 : KIB;

    return number > G_MAXINT64 / factor ? 0 : number * factor;
}

static void text(GMarkupParseContext *context, const char *string, gsize n_bytes, gpointer data,
                 GError **error)
{
    Reading *reading = data;
    guint64 bytes = bytes_of(string, reading->xml_unit);
    const struct {
        const char *path;
        guint64 *target;
    } sizes[] = {
        {"/domain/memory", &reading->total_bytes},
        {"/domain/maxMemory", &reading->memory->max_bytes},
        {"/domain/devices/memory/target/size", &reading->device.size_bytes},
        {"/domain/devices/memory/target/requested", &reading->device.requested_bytes},
        {"/domain/devices/memory/target/current", &reading->device.plugged_bytes},
        {"/domain/devices/memory/target/block", &reading->device.block_bytes},
    };

    (void)context;
    (void)n_bytes;
    (void)error;
    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        if (is_at(reading, sizes[i].path))
            *sizes[i].target = bytes;
    }
    if (is_at(reading, "/domain/devices/memory/target/node"))
        reading->device.node = (gint64)g_ascii_strtoull(string, NULL, 10);
}

static void end_element(GMarkupParseContext *context, const char *element, gpointer data,
                        GError **error)
{
    Reading *reading = data;
    gboolean is_dimm = g_strcmp0(reading->model, "dimm") == 0;

    (void)context;
    (void)error;
    if (is_at(reading, "/domain/devices/memory")) {
        if (is_dimm || g_strcmp0(reading->model, "virtio-mem") == 0) {
            HvDevice *device = hv_memory_add(reading->memory, is_dimm ? HV_DIMM : HV_VIRTIO_MEM,
                                             reading->device.id);
            g_autofree char *id = device->id;
            HvKind kind = device->kind;
            g_free(reading->device.id);
            *device = reading->device;
            device->id = g_steal_pointer(&id);
            device->kind = kind;
            device->can_unplug = is_dimm && device->id;
            device->block_bytes = MAX(device->block_bytes, 1);
        } else {
            g_free(reading->device.id);
        }
        reading->device = (HvDevice){.slot = -1};
    }
    g_string_truncate(reading->path, reading->path->len - strlen(element) - 1);
    g_clear_pointer(&reading->xml_unit, g_free); /* what follows is space between elements */
}

static HvMemory *by_libvirt_memory(Hypervisor *hv, GError **error)
{
    Libvirt *libvirt = ((ByLibvirt *)hv)->libvirt;
    static const GMarkupParser parser = {start_element, end_element, text, NULL, NULL};
    char *xml = libvirt->virDomainGetXMLDesc(libvirt->domain, 0);

    if (!xml) {
        libvirt_failed(libvirt, "the guest's XML", CTL_NO_CONNECTION, error);
        return NULL;
    }
    Reading reading = {.memory = hv_memory_new(), .path = g_string_new(NULL)};
    g_autoptr(GMarkupParseContext) context = g_markup_parse_context_new(&parser, 0, &reading, NULL);
    g_autoptr(GError) wrong = NULL;
    gboolean good = g_markup_parse_context_parse(context, xml, (gssize)strlen(xml), &wrong);
    guint64 devices_bytes = 0;
    free(xml); /* of libvirt's malloc() */
    g_string_free(reading.path, TRUE);
    g_free(reading.model);
    g_free(reading.xml_unit);
    if (!good) {
        g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION, "libvirt's XML: %s", wrong->message);
        hv_memory_free(reading.memory);
        return NULL;
    }
    for (guint i = 0; i < reading.memory->devices->len; i++)
        devices_bytes += ((const HvDevice *)reading.memory->devices->pdata[i])->size_bytes;
    reading.memory->base_bytes = reading.total_bytes - MIN(devices_bytes, reading.total_bytes);
    hv_memory_sort(reading.memory);
    return reading.memory;
}

/* ---- changing ---- */

static char *dimm_xml(const HvPlug *plug, const char *alias)
{
    GString *xml = g_string_new("<memory model='dimm'><target>");

    g_string_append_printf(xml,
                           "<size unit='KiB'>%" G_GUINT64_FORMAT "</size><node>%" //
                           G_GINT64_FORMAT "</node></target>",
                           plug->size_bytes / KIB, MAX(plug->node, 0));
    g_autofree char *escaped = g_markup_escape_text(alias, -1);
    g_string_append_printf(xml, "<alias name='%s'/>", escaped);
    if (plug->address > 0)
        g_string_append_printf(xml, "<address type='dimm' base='0x%" G_GINT64_MODIFIER "x'/>",
                               plug->address);
    g_string_append(xml, "</memory>");
    return g_string_free(xml, FALSE);
}

static char *by_libvirt_plug(Hypervisor *hv, const HvPlug *plug, GError **error)
{
    Libvirt *libvirt = ((ByLibvirt *)hv)->libvirt;
    g_autoptr(HvMemory) memory = by_libvirt_memory(hv, error);
    g_autofree char *alias = NULL;

    if (!memory)
        return NULL;
    if (plug->id)
        alias = g_str_has_prefix(plug->id, ALIAS_PREFIX)
                    ? g_strdup(plug->id)
                    : g_strconcat(ALIAS_PREFIX, plug->id, NULL);
    for (guint n = 0; !alias && n < IDS_MAX; n++) {
        g_autofree char *free_alias = g_strdup_printf(DIMM_ALIAS, n);
        alias = hv_memory_by_id(memory, free_alias) ? NULL : g_steal_pointer(&free_alias);
    }
    g_autofree char *xml = dimm_xml(plug, alias ? alias : "");
    if (libvirt->virDomainAttachDeviceFlags(libvirt->domain, xml, VIR_DOMAIN_AFFECT_LIVE) == 0)
        return g_steal_pointer(&alias);
    libvirt_failed(libvirt, "attach", CTL_REFUSED, error);
    return NULL;
}

static gboolean by_libvirt_unplug(Hypervisor *hv, const char *id, GError **error)
{
    Libvirt *libvirt = ((ByLibvirt *)hv)->libvirt;

    return libvirt->virDomainDetachDeviceAlias(libvirt->domain, id, VIR_DOMAIN_AFFECT_LIVE) == 0 ||
           libvirt_failed(libvirt, "detach", CTL_REFUSED, error);
}

/* The part of XML that is the memory device ALIAS: update wants all of it. To free; NULL: none. */
static char *device_xml(const char *xml, const char *alias)
{
    g_autofree char *quoted = g_strdup_printf("<alias name='%s'/>", alias);
    const char *mark = strstr(xml, quoted), *begin = NULL;

    for (const char *at = xml; mark && (at = strstr(at, "<memory model=")) && at < mark; at++)
        begin = at;
    const char *end = begin ? strstr(begin, "</memory>") : NULL;
    return end && end > mark ? g_strndup(begin, (gsize)(end - begin) + strlen("</memory>")) : NULL;
}

static gboolean by_libvirt_request(Hypervisor *hv, const char *id, guint64 bytes, GError **error)
{
    Libvirt *libvirt = ((ByLibvirt *)hv)->libvirt;
    char *all = libvirt->virDomainGetXMLDesc(libvirt->domain, 0);
    g_autofree char *xml = all ? device_xml(all, id) : NULL;
    char *begin = xml ? strstr(xml, "<requested") : NULL;
    char *end = begin ? strstr(begin, "</requested>") : NULL;

    free(all); /* of libvirt's malloc() */
    if (!end) {
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "libvirt: %s has no requested size", id);
        return FALSE;
    }
    g_autofree char *changed = g_strdup_printf("%.*s<requested unit='KiB'>%" G_GUINT64_FORMAT "%s",
                                               (int)(begin - xml), xml, bytes / KIB, end);
    return libvirt->virDomainUpdateDeviceFlags(libvirt->domain, changed, VIR_DOMAIN_AFFECT_LIVE) ==
               0 ||
           libvirt_failed(libvirt, "update", CTL_REFUSED, error);
}

/* ---- waiting ---- */

static Wake by_libvirt_wait(Hypervisor *hv, int interrupt_fd, guint timeout_ms, HvEvent *event)
{
    Libvirt *libvirt = ((ByLibvirt *)hv)->libvirt;
    struct pollfd fds[] = {{.fd = libvirt->wakes, .events = POLLIN},
                           {.fd = interrupt_fd, .events = POLLIN}};
    eventfd_t count;

    poll(fds, G_N_ELEMENTS(fds), (int)timeout_ms);
    if (fds[1].revents & POLLIN)
        return WAKE_INTERRUPTED;
    g_mutex_lock(&libvirt->lock);
    HvEvent *oldest = g_queue_pop_head(libvirt->events);
    if (g_queue_is_empty(libvirt->events))
        eventfd_read(libvirt->wakes, &count);
    g_mutex_unlock(&libvirt->lock);
    if (oldest)
        *event = *oldest;
    g_free(oldest);
    if (event->kind != HV_EVENT_NONE)
        return WAKE_NEWS;
    return g_atomic_int_get(&libvirt->is_lost) ||
                   libvirt->virConnectIsAlive(libvirt->connection) != 1
               ? WAKE_LOST
               : WAKE_TIMEOUT;
}

static void by_libvirt_forget(Hypervisor *hv, const char *id)
{
    (void)hv; /* libvirt keeps backend and device together */
    (void)id;
}

static void by_libvirt_tidy(Hypervisor *hv)
{
    (void)hv;
}

static char *by_libvirt_stopped_by(Hypervisor *hv)
{
    Libvirt *libvirt = ((ByLibvirt *)hv)->libvirt;
    int state = VIR_DOMAIN_RUNNING, reason;

    libvirt->virDomainGetState(libvirt->domain, &state, &reason, 0);
    return state == VIR_DOMAIN_PAUSED    ? g_strdup("paused")
           : state == VIR_DOMAIN_CRASHED ? g_strdup("crashed")
           : state == VIR_DOMAIN_SHUTOFF ? g_strdup("shut off")
                                         : NULL;
}

static void by_libvirt_free(Hypervisor *hv)
{
    g_free(hv);
}

static const HypervisorOps ops = {
    .name = "libvirt",
    .memory = by_libvirt_memory,
    .plug = by_libvirt_plug,
    .unplug = by_libvirt_unplug,
    .request = by_libvirt_request,
    .wait = by_libvirt_wait,
    .forget = by_libvirt_forget,
    .tidy = by_libvirt_tidy,
    .stopped_by = by_libvirt_stopped_by,
    .free = by_libvirt_free,
};

Hypervisor *hypervisor_new_libvirt(Libvirt *libvirt)
{
    ByLibvirt *self = g_new0(ByLibvirt, 1);

    self->hypervisor.ops = &ops;
    self->libvirt = libvirt;
    return &self->hypervisor;
}

#else

/* ISO C wants something in a file. */
typedef int NoLibvirt;

#endif
