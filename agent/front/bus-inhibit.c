#include "front/bus-inhibit.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <unistd.h>

#define ACTION_DELAY "org.memplug.inhibit-delay"
#define ACTION_BLOCK "org.memplug.inhibit-block"

struct BusLocks {
    Unplugger *unplugger;
    BusLocksChangedFunc func;
    gpointer user_data;
    GPtrArray *list; /* of Lock, owned */
};

typedef struct {
    BusLocks *locks;
    guint64 id; /* of the Inhibitor */
    int fd;     /* the read end: it hangs up when nobody has the other one any more */
    guint watch;
} Lock;

static void lock_free(gpointer data)
{
    Lock *lock = data;

    g_source_remove(lock->watch);
    close(lock->fd);
    g_free(lock);
}

BusLocks *bus_locks_new(Unplugger *unplugger, BusLocksChangedFunc func, gpointer user_data)
{
    BusLocks *locks = g_new(BusLocks, 1);

    *locks = (BusLocks){.unplugger = unplugger, .func = func, .user_data = user_data};
    locks->list = g_ptr_array_new_with_free_func(lock_free);
    return locks;
}

void bus_locks_free(BusLocks *locks)
{
    g_ptr_array_unref(locks->list);
    g_free(locks);
}

static gboolean on_hangup(G_GNUC_UNUSED gint fd, G_GNUC_UNUSED GIOCondition condition,
                          gpointer user_data)
{
    Lock *lock = user_data;
    BusLocks *locks = lock->locks;
    guint64 id = lock->id;

    g_info("the lock %" G_GUINT64_FORMAT " of an application has ended", id);
    g_ptr_array_remove_fast(locks->list, lock);
    unplugger_release(locks->unplugger, id);
    locks->func(locks->user_data);
    return G_SOURCE_CONTINUE; /* it went with the lock */
}

/* What is wrong with REQUEST, whose texts INHIBITOR borrows; NULL: nothing. */
static const char *read_request(sd_bus_message *request, Inhibitor *inhibitor)
{
    const char *who, *why, *mode;

    if (sd_bus_message_read(request, "sss", &who, &why, &mode) < 0)
        return "who, why and mode are three strings";
    *inhibitor = (Inhibitor){.who = (char *)who, .why = (char *)why};
    return inhibit_mode_parse(mode, &inhibitor->mode) ? inhibitors_judge_texts(who, why)
                                                      : "mode is delay or block";
}

const char *bus_inhibit_action(sd_bus_message *request)
{
    Inhibitor inhibitor;
    const char *problem = read_request(request, &inhibitor);

    if (problem) {
        sd_bus_reply_method_errorf(request, SD_BUS_ERROR_INVALID_ARGS, "%s", problem);
        return NULL;
    }
    return inhibitor.mode == INHIBIT_BLOCK ? ACTION_BLOCK : ACTION_DELAY;
}

static int make_lock(BusLocks *locks, sd_bus_message *request, guint64 id)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    int r = sd_bus_reply_method_return(request, "h", ends[1]); /* with a copy of it */
    close(ends[1]);
    if (r < 0) {
        close(ends[0]);
        return r;
    }
    Lock *lock = g_new(Lock, 1);
    *lock = (Lock){.locks = locks, .id = id, .fd = ends[0]};
    lock->watch = g_unix_fd_add(ends[0], G_IO_HUP, on_hangup, lock);
    g_ptr_array_add(locks->list, lock);
    return 0;
}

void bus_locks_grant(BusLocks *locks, sd_bus_message *request, const BusSender *sender)
{
    Inhibitor inhibitor;

    sd_bus_message_rewind(request, 1); /* bus_inhibit_action() has looked at it */
    const char *problem = read_request(request, &inhibitor);
    inhibitor.uid = sender->uid;
    inhibitor.pid = sender->pid;
    guint64 id = problem ? 0 : unplugger_inhibit(locks->unplugger, &inhibitor, &problem);
    if (id == 0) {
        sd_bus_reply_method_errorf(request, SD_BUS_ERROR_LIMITS_EXCEEDED, "%s", problem);
        return;
    }
    int r = make_lock(locks, request, id);
    if (r < 0) {
        unplugger_release(locks->unplugger, id);
        sd_bus_reply_method_errnof(request, r, "the lock cannot be made: %s", g_strerror(-r));
        return;
    }
    g_info("uid %u, pid %u has taken the %s lock %" G_GUINT64_FORMAT, sender->uid, sender->pid,
           inhibit_mode_name(inhibitor.mode), id);
    locks->func(locks->user_data);
}

int bus_inhibit_append(sd_bus_message *reply, const Inhibitors *inhibitors)
{
    const GPtrArray *list = inhibitors_list(inhibitors);
    int r = sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "(sssuu)");

    for (guint i = 0; r >= 0 && i < list->len; i++) {
        const Inhibitor *inhibitor = list->pdata[i];
        r = sd_bus_message_append(reply, "(sssuu)", inhibitor->who, inhibitor->why,
                                  inhibit_mode_name(inhibitor->mode), inhibitor->uid,
                                  inhibitor->pid);
    }
    return r >= 0 ? sd_bus_message_close_container(reply) : r;
}
