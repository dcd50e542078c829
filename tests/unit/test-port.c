/*
 * The port: what it does where there is something at its path that cannot be talked to.
 */
#include "os/port.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "temp-tree.h"

/* A file cannot be watched (as nothing can where the kernel is short of memory): that passes. */
static void test_tried_again(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autofree char *path = g_build_filename(tree->root, "port", NULL);

    temp_tree_write(tree, "port", "");
    g_test_expect_message("memplug", G_LOG_LEVEL_WARNING, "*cannot open the port*cannot watch*");
    Port *port = port_new(path, FALSE, NULL, NULL, NULL);
    g_test_assert_expected_messages();
    g_assert_nonnull(strstr(port_error(port), "cannot watch"));
    g_assert_null(port_session(port));
    g_assert_nonnull(g_main_context_find_source_by_user_data(NULL, port)); /* the next try */
    port_free(port);
}

static void count_change(gpointer user_data)
{
    (*(guint *)user_data)++;
}

/* That there is no port, that what is there cannot be opened, and that it can: each is told once.
 */
static void test_error(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autofree char *path = g_build_filename(tree->root, "port", NULL);
    guint n_changes = 0;

    g_test_expect_message("memplug", G_LOG_LEVEL_MESSAGE, "there is no port *; waiting for it");
    Port *port = port_new(path, FALSE, NULL, count_change, &n_changes);
    g_assert_true(g_str_has_prefix(port_error(port), "there is no port "));
    temp_tree_write(tree, "another", "");
    while (g_main_context_iteration(NULL, FALSE)) /* it looks, and there is none as before */
        ;
    g_assert_cmpuint(n_changes, ==, 0);
    g_test_expect_message("memplug", G_LOG_LEVEL_WARNING, "cannot open the port *directory*");
    temp_tree_mkdir(tree, "port");
    while (n_changes == 0)
        g_main_context_iteration(NULL, TRUE);
    g_assert_nonnull(strstr(port_error(port), "directory"));
    /* The same again is no news; then something that can be opened and watched is there. */
    g_assert_cmpint(g_rmdir(path), ==, 0);
    g_test_expect_message("memplug", G_LOG_LEVEL_MESSAGE, "there is no port *");
    while (n_changes == 1)
        g_main_context_iteration(NULL, TRUE);
    g_test_expect_message("memplug", G_LOG_LEVEL_MESSAGE, "listening on the port *");
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    while (n_changes == 2)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpstr(port_error(port), ==, "");
    g_test_assert_expected_messages();
    port_free(port);
}

/* The port's driver is loaded later, and makes its directories too. */
static void test_directories_come_later(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autofree char *directory = g_build_filename(tree->root, "dev", "ports", NULL);
    g_autofree char *path = g_build_filename(directory, "port", NULL);
    guint n_changes = 0;

    g_test_expect_message("memplug", G_LOG_LEVEL_MESSAGE, "there is no port *; waiting for it");
    g_test_expect_message("memplug", G_LOG_LEVEL_MESSAGE, "listening on the port *");
    Port *port = port_new(path, FALSE, NULL, count_change, &n_changes);
    temp_tree_mkdir(tree, "dev/ports");
    while (g_main_context_iteration(NULL, FALSE))
        ;
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    while (n_changes == 0)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpstr(port_error(port), ==, "");
    g_test_assert_expected_messages();
    port_free(port);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/port/tried-again", test_tried_again);
    g_test_add_func("/port/error", test_error);
    g_test_add_func("/port/directories-come-later", test_directories_come_later);
    return g_test_run();
}
