#include "ctl/libvirt.h"

#include "ctl/errors.h"

#ifndef MEMPLUG_LIBVIRT

Libvirt *libvirt_open(const char *domain, const char *uri, GError **error)
{
    (void)domain;
    (void)uri;
    g_set_error(
        error, CTL_ERROR, CTL_USAGE,
        "this memplugctl was built without libvirt; build it where libvirt-dev is installed, "
        "or use --host and --qmp");
    return NULL;
}

void libvirt_close(Libvirt *libvirt)
{
    (void)libvirt;
}

Client *client_new_libvirt(Libvirt *libvirt)
{
    (void)libvirt;
    return NULL;
}

Hypervisor *hypervisor_new_libvirt(Libvirt *libvirt)
{
    (void)libvirt;
    return NULL;
}

#else

#include <dlfcn.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ctl/json.h"
#include "ctl/libvirt-private.h"
#include "ctl/text.h"

#define KEEPALIVE_S 5
#define KEEPALIVES 3
#define TICK_MS 500
#define EVENTS_MAX 1000
#define REPLY_S 15

gboolean libvirt_failed(Libvirt *libvirt, const char *what, int code, GError **error)
{
    virErrorPtr last = libvirt->virGetLastError();

    g_set_error(error, CTL_ERROR, code, "libvirt: %s: %s", what,
                last && last->message ? last->message : "it does not say why");
    return FALSE;
}

/* ---- loading ---- */

static gboolean load(Libvirt *libvirt, GError **error)
{
    gboolean good;

    libvirt->library = dlopen("libvirt.so.0", RTLD_NOW);
    libvirt->qemu_library = dlopen("libvirt-qemu.so.0", RTLD_NOW);
    good = libvirt->library && libvirt->qemu_library;
#define LIBVIRT_LOAD(name)                                                                         \
    if (good)                                                                                      \
        good = (*(void **)&libvirt->name = dlsym(libvirt->library, #name)) != NULL;
    LIBVIRT_CALLS(LIBVIRT_LOAD)
    if (good)
        *(void **)&libvirt->virDomainQemuAgentCommand =
            dlsym(libvirt->qemu_library, "virDomainQemuAgentCommand");
    if (good && libvirt->virDomainQemuAgentCommand)
        return TRUE;
    g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION, "libvirt cannot be loaded: %s", dlerror());
    return FALSE;
}

static void ignore(void *data, virErrorPtr error)
{
    (void)data;
    (void)error; /* libvirt would print it; we tell it ourselves */
}

/* ---- events, on a thread of libvirt's ---- */

static void push(Libvirt *libvirt, HvEventKind kind, const char *device)
{
    HvEvent *event = g_new0(HvEvent, 1);

    event->kind = kind;
    event->device = g_strdup(device);
    g_mutex_lock(&libvirt->lock);
    if (g_queue_get_length(libvirt->events) < EVENTS_MAX) {
        g_queue_push_tail(libvirt->events, event);
        event = NULL;
    }
    g_mutex_unlock(&libvirt->lock);
    if (event)
        g_free(event->device);
    g_free(event);
    eventfd_write(libvirt->wakes, 1);
}

static void removed(virConnectPtr connection, virDomainPtr domain, const char *alias, void *data)
{
    (void)connection;
    (void)domain;
    push(data, HV_EVENT_DELETED, alias);
}

static void not_removed(virConnectPtr connection, virDomainPtr domain, const char *alias,
                        void *data)
{
    (void)connection;
    (void)domain;
    push(data, HV_EVENT_REFUSED, alias);
}

static void size_changed(virConnectPtr connection, virDomainPtr domain, const char *alias,
                         unsigned long long kib, void *data)
{
    (void)connection;
    (void)domain;
    (void)kib;
    push(data, HV_EVENT_SIZE_CHANGED, alias);
}

static void rebooted(virConnectPtr connection, virDomainPtr domain, void *data)
{
    (void)connection;
    (void)domain;
    push(data, HV_EVENT_RESET, NULL);
}

static int lived(virConnectPtr connection, virDomainPtr domain, int event, int detail, void *data)
{
    Libvirt *libvirt = data;

    (void)connection;
    (void)domain;
    (void)detail;
    if (event == VIR_DOMAIN_EVENT_STOPPED)
        g_atomic_int_set(&libvirt->is_lost, 1);
    push(libvirt,
         event == VIR_DOMAIN_EVENT_SUSPENDED ? HV_EVENT_STOPPED
         : event == VIR_DOMAIN_EVENT_RESUMED ? HV_EVENT_RESUMED
                                             : HV_EVENT_SHUTDOWN,
         NULL);
    return 0;
}

static void tick(int timer, void *data)
{
    (void)timer;
    (void)data; /* the loop looks whether it shall end */
}

static gpointer run_loop(gpointer data)
{
    Libvirt *libvirt = data;

    while (!g_atomic_int_get(&libvirt->is_ending) && libvirt->virEventRunDefaultImpl() == 0)
        ;
    return NULL;
}

static gboolean listen_to(Libvirt *libvirt)
{
    const struct {
        int id;
        virConnectDomainEventGenericCallback call;
    } calls[] = {
        {VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(removed)},
        {VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, VIR_DOMAIN_EVENT_CALLBACK(not_removed)},
        {VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(rebooted)},
        {VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(lived)},
#if LIBVIR_VERSION_NUMBER >= 7009000
        {VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(size_changed)},
#endif
    };
    gboolean good = TRUE;

    for (guint i = 0; good && i < G_N_ELEMENTS(calls); i++)
        good = libvirt->virConnectDomainEventRegisterAny(libvirt->connection, libvirt->domain,
                                                         calls[i].id, calls[i].call, libvirt,
                                                         NULL) >= 0;
    return good;
}

/* ---- life ---- */

static gboolean connect_to(Libvirt *libvirt, const char *domain, const char *uri, GError **error)
{
    libvirt->virSetErrorFunc(NULL, ignore);
    libvirt->virEventRegisterDefaultImpl();
    libvirt->virEventAddTimeout(TICK_MS, tick, NULL, NULL);
    libvirt->loop = g_thread_new("libvirt", run_loop, libvirt);
    libvirt->connection = libvirt->virConnectOpen(uri);
    if (!libvirt->connection)
        return libvirt_failed(libvirt, "no connection", CTL_NO_CONNECTION, error);
    /* A daemon that hangs is found out. Where there is none between, there is nothing to keep. */
    libvirt->virConnectSetKeepAlive(libvirt->connection, KEEPALIVE_S, KEEPALIVES);
    libvirt->domain = libvirt->virDomainLookupByName(libvirt->connection, domain);
    if (!libvirt->domain)
        libvirt->domain = libvirt->virDomainLookupByUUIDString(libvirt->connection, domain);
    if (!libvirt->domain)
        return libvirt_failed(libvirt, "no such guest", CTL_NO_CONNECTION, error);
    return listen_to(libvirt) ||
           libvirt_failed(libvirt, "it tells no events", CTL_NO_CONNECTION, error);
}

Libvirt *libvirt_open(const char *domain, const char *uri, GError **error)
{
    Libvirt *libvirt = g_new0(Libvirt, 1);

    g_mutex_init(&libvirt->lock);
    libvirt->events = g_queue_new();
    libvirt->wakes = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (load(libvirt, error) && connect_to(libvirt, domain, uri, error))
        return libvirt;
    libvirt_close(libvirt);
    return NULL;
}

void libvirt_close(Libvirt *libvirt)
{
    HvEvent *event;

    if (!libvirt)
        return;
    if (libvirt->domain)
        libvirt->virDomainFree(libvirt->domain);
    if (libvirt->connection)
        libvirt->virConnectClose(libvirt->connection);
    g_atomic_int_set(&libvirt->is_ending, 1);
    if (libvirt->loop)
        g_thread_join(libvirt->loop);
    while ((event = g_queue_pop_head(libvirt->events))) {
        g_free(event->device);
        g_free(event);
    }
    g_queue_free(libvirt->events);
    g_mutex_clear(&libvirt->lock);
    close(libvirt->wakes);
    g_free(libvirt); /* the libraries stay: a thread of theirs may not have ended */
}

/* ---- the agent ---- */

typedef struct {
    Client client;
    Libvirt *libvirt;
} LibvirtClient;

/* The agent's refusal, or that there was no answer: libvirt makes an error of both. */
static JsonNode *refused(Libvirt *libvirt, const char *command, GError **error)
{
    virErrorPtr last = libvirt->virGetLastError();
    gboolean is_answer = last && last->code == VIR_ERR_INTERNAL_ERROR && last->message &&
                         strstr(last->message, "unable to execute QEMU agent command");

    libvirt_failed(libvirt, command, is_answer ? CTL_REFUSED : CTL_NO_CONNECTION, error);
    return NULL;
}

static JsonNode *call(Client *client, const char *command, JsonObject *arguments, GError **error)
{
    Libvirt *libvirt = ((LibvirtClient *)client)->libvirt;
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), arguments);
    g_autofree char *json = json_to_string(node, FALSE);
    g_autofree char *request =
        g_strdup_printf("{\"execute\": \"%s\", \"arguments\": %s}", command, json);
    char *said = libvirt->virDomainQemuAgentCommand(libvirt->domain, request, REPLY_S, 0);

    if (!said)
        return refused(libvirt, command, error);
    g_autoptr(JsonNode) reply = ctl_json_parse(said, strlen(said), error);
    JsonObject *object = ctl_json_as_object(reply);
    free(said); /* of libvirt's malloc() */
    if (!reply)
        return NULL;
    if (object && json_object_has_member(object, "return"))
        return json_object_dup_member(object, "return");
    g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION, "the answer to %s makes no sense", command);
    return NULL;
}

static void subscribe(Client *client)
{
    (void)client; /* libvirt passes no events of the agent's on */
}

static Wake wait_for(Client *client, int interrupt_fd, guint timeout_ms)
{
    struct pollfd interrupt = {.fd = interrupt_fd, .events = POLLIN};

    if (g_atomic_int_get(&((LibvirtClient *)client)->libvirt->is_lost))
        return WAKE_LOST;
    return poll(&interrupt, 1, (int)timeout_ms) > 0 ? WAKE_INTERRUPTED : WAKE_TIMEOUT;
}

static void free_client(Client *client)
{
    g_free(client);
}

static const ClientOps client_ops = {call, subscribe, wait_for, NULL, free_client};

Client *client_new_libvirt(Libvirt *libvirt)
{
    LibvirtClient *self = g_new0(LibvirtClient, 1);

    self->client.ops = &client_ops;
    self->libvirt = libvirt;
    return &self->client;
}

#endif
