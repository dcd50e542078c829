/*
 * The kernel's events, from the socket through libudev to what the keeper tells: in a network of
 * the test's own, into which Linux lets root send uevents (lib/kobject_uevent.c,
 * uevent_net_broadcast()). Nobody outside hears them.
 */
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/model-keeper.h"
#include "fake-kernel.h"
#include "os/monitor.h"
#include "system/units.h"

typedef struct {
    FakeKernel *fake;
    AttrIo *io;
    ModelKeeper *keeper;
    int kernel; /* the socket to send by */
    guint n_told;
    guint n_touched;
    guint n_added;
} World;

static void on_change(const ModelChange *change, gpointer user_data)
{
    World *world = user_data;

    world->n_told++;
    world->n_touched = change->n_touched;
    world->n_added = change->n_added;
}

static void set_up(World *world, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    world->fake = fake_kernel_new(128 * MIB);
    world->io = fake_kernel_io(world->fake);
    fake_kernel_add_boot(world->fake, 0, 8);
    world->keeper = model_keeper_new(world->io, 64 * KIB, on_change, world, &error);
    g_assert_no_error(error);
    world->kernel = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
    g_assert_cmpint(world->kernel, >=, 0);
}

static void tear_down(World *world, G_GNUC_UNUSED gconstpointer data)
{
    close(world->kernel);
    model_keeper_free(world->keeper);
    attr_io_free(world->io);
    fake_kernel_free(world->fake);
}

/* An event as the kernel would send it. */
static void announce(World *world, const char *action, const char *path, const char *subsystem)
{
    struct sockaddr_nl to = {.nl_family = AF_NETLINK};
    char buffer[512] = "";
    struct nlmsghdr *header = (struct nlmsghdr *)buffer;
    char *text = NLMSG_DATA(header);
    gsize room = sizeof buffer - NLMSG_HDRLEN;

    int n = g_snprintf(text, room, "%s@%s%cACTION=%s%cDEVPATH=%s%cSUBSYSTEM=%s%c", action, path, 0,
                       action, 0, path, 0, subsystem, 0);
    *header = (struct nlmsghdr){.nlmsg_len = (guint32)NLMSG_LENGTH(n),
                                .nlmsg_type = NLMSG_MIN_TYPE,
                                .nlmsg_flags = NLM_F_REQUEST};
    g_assert_cmpint(
        sendto(world->kernel, buffer, header->nlmsg_len, 0, (struct sockaddr *)&to, sizeof to), ==,
        header->nlmsg_len);
}

/* What was sent is in the keeper's socket by now. */
static void take(World *world)
{
    world->n_told = 0;
    model_keeper_catch_up_for_answer(world->keeper);
}

static void test_a_new_block(World *world, G_GNUC_UNUSED gconstpointer data)
{
    fake_kernel_add_dimm(world->fake, 0, 8, 1);
    announce(world, "add", "/devices/system/memory/memory8", "memory");
    announce(world, "online", "/devices/system/memory/memory7", "memory");
    take(world);
    g_assert_cmpuint(world->n_told, ==, 1);
    g_assert_cmpuint(world->n_touched, ==, 2);
    g_assert_cmpuint(world->n_added, ==, 1);
}

/* It is news that names no block. */
static void test_a_dax_device(World *world, G_GNUC_UNUSED gconstpointer data)
{
    announce(world, "bind", "/devices/platform/hmem.0/dax0.0", "dax");
    take(world);
    g_assert_cmpuint(world->n_told, ==, 1);
    g_assert_cmpuint(world->n_touched, ==, 0);
}

static void test_others_are_not_told(World *world, G_GNUC_UNUSED gconstpointer data)
{
    announce(world, "change", "/devices/platform/other", "platform");
    announce(world, "add", "/devices/system/node/node1", "node");
    announce(world, "add", "/devices/system/memory/probe", "memory");
    take(world);
    g_assert_cmpuint(world->n_told, ==, 0);
}

/* What the socket had no room for is found by a scan. */
static void test_more_than_the_socket_holds(World *world, G_GNUC_UNUSED gconstpointer data)
{
    for (guint i = 0; i < 2000; i++)
        announce(world, "online", "/devices/system/memory/memory7", "memory");
    fake_kernel_add_dimm(world->fake, 0, 8, 1);
    announce(world, "add", "/devices/system/memory/memory8", "memory");
    take(world);
    g_assert_cmpuint(world->n_told, ==, 1);
    g_assert_cmpuint(world->n_added, ==, 1);
}

/* FALSE: nobody may have a network of his own here. */
static gboolean enter_network(void)
{
    g_autofree char *root = g_strdup_printf("0 %u 1", (guint)getuid());

    if (unshare(CLONE_NEWNET) == 0)
        return TRUE;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return FALSE;
    int map = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
    gboolean is_root = map >= 0 && write(map, root, strlen(root)) > 0;
    if (map >= 0)
        close(map);
    return is_root;
}

#define ADD(path, test) g_test_add(path, World, NULL, set_up, test, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!enter_network()) {
        g_print("1..0 # SKIP no network name space may be made here\n");
        return 0;
    }
    ADD("/monitor/a-new-block", test_a_new_block);
    ADD("/monitor/a-dax-device", test_a_dax_device);
    ADD("/monitor/others-are-not-told", test_others_are_not_told);
    ADD("/monitor/more-than-the-socket-holds", test_more_than_the_socket_holds);
    return g_test_run();
}
