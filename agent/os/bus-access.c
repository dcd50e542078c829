/*
 * Access to the daemon over D-Bus. Two steps, each an asynchronous call: the bus driver tells uid
 * and pid of the sender (org.freedesktop.DBus.GetConnectionCredentials), then polkit judges senders
 * that are not root (org.freedesktop.PolicyKit1.Authority.CheckAuthorization).
 */
#include "os/bus-access.h"

#include <errno.h>

#include "system/units.h"

/* A person may have to type a password. */
#define POLKIT_TIMEOUT_USEC (120 * USEC_PER_SEC)
#define POLKIT_ALLOW_INTERACTION 1u
/* Any user may be refused as often as he likes: he must not fill the log, nor use up what the
 * journal takes of us. */
#define REFUSALS_LOGGED_MAX 10
#define REFUSALS_PERIOD_USEC (30 * USEC_PER_SEC)

struct BusAccess {
    BusAllowedFunc func;
    gpointer user_data;
    GHashTable *pending; /* of Check */
    guint n_polkit;
    gint64 refusals_since_usec; /* the period that runs, if any */
    guint n_refusals;           /* in it */
};

typedef struct {
    BusAccess *access;
    const char *action;
    sd_bus_message *request;
    sd_bus_slot *slot; /* of the call that is under way */
    BusSender sender;
    gboolean is_at_polkit;
} Check;

static void check_free(gpointer data)
{
    Check *check = data;

    check->access->n_polkit -= check->is_at_polkit ? 1 : 0;
    sd_bus_slot_unref(check->slot);
    sd_bus_message_unref(check->request);
    g_free(check);
}

static void log_refusal(const Check *check, const char *text)
{
    BusAccess *access = check->access;
    gint64 now_usec = g_get_monotonic_time();

    if (now_usec - access->refusals_since_usec > REFUSALS_PERIOD_USEC) {
        if (access->n_refusals > REFUSALS_LOGGED_MAX)
            g_message("D-Bus: %u more requests were refused",
                      access->n_refusals - REFUSALS_LOGGED_MAX);
        access->refusals_since_usec = now_usec;
        access->n_refusals = 0;
    }
    if (++access->n_refusals <= REFUSALS_LOGGED_MAX)
        g_message("D-Bus: %s (uid %u, pid %u) is refused %s: %s",
                  sd_bus_message_get_sender(check->request), check->sender.uid, check->sender.pid,
                  sd_bus_message_get_member(check->request), text);
    if (access->n_refusals == REFUSALS_LOGGED_MAX)
        g_message("D-Bus: further refusals are counted, and not logged, for %d s",
                  (int)(REFUSALS_PERIOD_USEC / USEC_PER_SEC));
}

static int refuse(Check *check, const char *name, const char *text)
{
    log_refusal(check, text);
    sd_bus_reply_method_errorf(check->request, name, "%s", text);
    g_hash_table_remove(check->access->pending, check);
    return 1;
}

static int allow(Check *check)
{
    BusAccess *access = check->access;
    sd_bus_message *request = sd_bus_message_ref(check->request);
    BusSender sender = check->sender;

    g_hash_table_remove(access->pending, check);
    access->func(request, &sender, access->user_data);
    sd_bus_message_unref(request);
    return 1;
}

static int on_polkit(sd_bus_message *reply, void *user_data, G_GNUC_UNUSED sd_bus_error *out_error)
{
    Check *check = user_data;
    int is_authorized = 0, is_challenge = 0;

    if (sd_bus_message_is_method_error(reply, NULL))
        return refuse(check, SD_BUS_ERROR_ACCESS_DENIED,
                      "polkit does not answer, and without it only root may do this");
    if (sd_bus_message_enter_container(reply, SD_BUS_TYPE_STRUCT, "bba{ss}") <= 0 ||
        sd_bus_message_read(reply, "bb", &is_authorized, &is_challenge) <= 0)
        return refuse(check, SD_BUS_ERROR_ACCESS_DENIED, "polkit's answer makes no sense");
    if (is_authorized)
        return allow(check);
    return is_challenge ? refuse(check, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                                 "polkit asks for a password, and nobody is there to give it")
                        : refuse(check, SD_BUS_ERROR_ACCESS_DENIED, "polkit does not allow it");
}

static int ask_polkit(Check *check)
{
    BusAccess *access = check->access;
    sd_bus *connection = sd_bus_message_get_bus(check->request);
    sd_bus_message *call = NULL;
    uint32_t flags = sd_bus_message_get_allow_interactive_authorization(check->request) > 0
                         ? POLKIT_ALLOW_INTERACTION
                         : 0;

    if (access->n_polkit >= BUS_ACCESS_POLKIT_MAX)
        return refuse(check, SD_BUS_ERROR_LIMITS_EXCEEDED, "too many requests wait for polkit");
    check->is_at_polkit = TRUE;
    access->n_polkit++;
    int r = sd_bus_message_new_method_call(
        connection, &call, "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",
        "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization");
    if (r >= 0)
        r = sd_bus_message_append(call, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s",
                                  sd_bus_message_get_sender(check->request), check->action, 0,
                                  flags, "");
    check->slot = sd_bus_slot_unref(check->slot);
    if (r >= 0)
        r = sd_bus_call_async(connection, &check->slot, call, on_polkit, check,
                              POLKIT_TIMEOUT_USEC);
    sd_bus_message_unref(call);
    return r >= 0 ? 1 : refuse(check, SD_BUS_ERROR_ACCESS_DENIED, "polkit cannot be asked");
}

/* Reads what is known of the sender out of an a{sv}. */
static int read_credentials(sd_bus_message *reply, BusSender *sender)
{
    gboolean has_uid = FALSE;
    int r = sd_bus_message_enter_container(reply, SD_BUS_TYPE_ARRAY, "{sv}");

    while (r >= 0 &&
           (r = sd_bus_message_enter_container(reply, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
        const char *key = NULL;
        r = sd_bus_message_read(reply, "s", &key);
        if (r > 0 && g_str_equal(key, "UnixUserID")) {
            r = sd_bus_message_read(reply, "v", "u", &sender->uid);
            has_uid = r > 0;
        } else if (r > 0 && g_str_equal(key, "ProcessID")) {
            r = sd_bus_message_read(reply, "v", "u", &sender->pid);
        } else if (r > 0) {
            r = sd_bus_message_skip(reply, "v");
        }
        if (r >= 0)
            r = sd_bus_message_exit_container(reply);
    }
    return r < 0 ? r : has_uid ? 0 : -ENODATA;
}

static int on_credentials(sd_bus_message *reply, void *user_data,
                          G_GNUC_UNUSED sd_bus_error *out_error)
{
    Check *check = user_data;

    if (sd_bus_message_is_method_error(reply, NULL) || read_credentials(reply, &check->sender) < 0)
        return refuse(check, SD_BUS_ERROR_ACCESS_DENIED, "D-Bus does not say who asks");
    return check->sender.uid == 0 ? allow(check) : ask_polkit(check);
}

int bus_access_check(BusAccess *access, sd_bus_message *request, const char *action)
{
    Check *check = g_new0(Check, 1);

    check->access = access;
    check->action = action;
    check->request = sd_bus_message_ref(request);
    check->sender.uid = G_MAXUINT32;
    g_hash_table_add(access->pending, check);
    if (g_hash_table_size(access->pending) > BUS_ACCESS_PENDING_MAX)
        return refuse(check, SD_BUS_ERROR_LIMITS_EXCEEDED, "too many requests are pending");
    int r = sd_bus_call_method_async(
        sd_bus_message_get_bus(request), &check->slot, "org.freedesktop.DBus",
        "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionCredentials", on_credentials,
        check, "s", sd_bus_message_get_sender(request));
    if (r < 0) {
        g_hash_table_remove(access->pending, check);
        return r;
    }
    return 1;
}

void bus_access_forget(BusAccess *access)
{
    g_hash_table_remove_all(access->pending);
}

BusAccess *bus_access_new(BusAllowedFunc func, gpointer user_data)
{
    BusAccess *access = g_new0(BusAccess, 1);

    access->func = func;
    access->user_data = user_data;
    access->pending = g_hash_table_new_full(NULL, NULL, check_free, NULL);
    return access;
}

void bus_access_free(BusAccess *access)
{
    if (!access)
        return;
    g_hash_table_unref(access->pending);
    g_free(access);
}
