/*
 * The port: what it does where there is something at its path that cannot be talked to.
 */
#include "os/port.h"

#include "temp-tree.h"

/* A file cannot be watched (as nothing can where the kernel is short of memory): that passes. */
static void test_tried_again(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autofree char *path = g_build_filename(tree->root, "port", NULL);

    temp_tree_write(tree, "port", "");
    g_test_expect_message("memplug", G_LOG_LEVEL_WARNING, "*cannot open the port*cannot watch*");
    Port *port = port_new(path, NULL);
    g_test_assert_expected_messages();
    g_assert_null(port_session(port));
    g_assert_nonnull(g_main_context_find_source_by_user_data(NULL, port)); /* the next try */
    port_free(port);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/port/tried-again", test_tried_again);
    return g_test_run();
}
