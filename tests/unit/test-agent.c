/*
 * The agent whole, below a root of the test's own: what a start leaves that comes to nothing.
 */
#include <gio/gio.h>

#include "front/agent.h"
#include "os/options.h"
#include "temp-tree.h"

#define MEMORY "root/sys/devices/system/memory/"

static Options *parse(const TempTree *tree)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *config = g_build_filename(tree->root, "conf", NULL);
    g_autofree char *socket = g_build_filename(tree->root, "socket", NULL);
    g_autofree char *state = g_build_filename(tree->root, "state", NULL);
    g_autofree char *root = g_strdup_printf("--sysroot=%s/root", tree->root);
    const char *argv[] = {"memplugd", "-c",   config, "-m",  "unix-listen",
                          "-p",       socket, "-t",   state, root};

    Options *options = options_parse(G_N_ELEMENTS(argv), (char **)argv, &error);
    g_assert_no_error(error);
    return options;
}

static gboolean is_active(const TempTree *tree)
{
    g_autofree char *path = g_build_filename(tree->root, "state", "active", NULL);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* "active" makes udev's rule leave new memory to the daemon: not to one that does not run. */
static void test_channel_in_use(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(GError) error = NULL;

    temp_tree_write(tree, "conf", "");
    temp_tree_write(tree, MEMORY "block_size_bytes", "8000000\n");
    temp_tree_write(tree, MEMORY "memory0/state", "online\n");
    temp_tree_write(tree, "socket", "not a socket");
    g_autoptr(Options) options = parse(tree);
    g_assert_null(agent_new(options, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
    g_assert_false(is_active(tree));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/agent/channel-in-use", test_channel_in_use);
    return g_test_run();
}
