/*
 * Settings: defaults, files in their order, and errors that name file, group and key.
 */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/settings.h"
#include "temp-tree.h"

static char *path_in(const TempTree *tree, const char *name)
{
    return g_build_filename(tree->root, name, NULL);
}

static void test_defaults(void)
{
    g_autoptr(Settings) settings = settings_new();

    g_assert_cmpint(settings->online.policy, ==, ONLINE_POLICY_MOVABLE);
    g_assert_cmpuint(settings->lease_ms, ==, 60000);
    g_assert_cmpstr(settings_channel_path(settings), ==, SETTINGS_PORT_PATH);
}

static void test_files_in_name_order(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(Settings) settings = settings_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = path_in(tree, "m.conf");

    temp_tree_write(tree, "m.conf", "# a comment\n[unplug]\nlease-ms=1\ntimeout-ms=7\n");
    temp_tree_write(tree, "m.conf.d/20-b.conf", "[unplug]\nlease-ms = 3\n");
    temp_tree_write(tree, "m.conf.d/10-a.conf", "[unplug]\nlease-ms=2\n[online]\npolicy=none\n");
    temp_tree_write(tree, "m.conf.d/30-c.conf.bak", "[nonsense]\n");
    g_assert_true(settings_load(settings, path, TRUE, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(settings->lease_ms, ==, 3);
    g_assert_cmpuint(settings->timeout_ms, ==, 7);
    g_assert_cmpint(settings->online.policy, ==, ONLINE_POLICY_NONE);
}

/* What is wrong, where: and nothing of the file set is taken over. */
static void check_refused(const char *text, const char *group_and_key)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(Settings) settings = settings_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = path_in(tree, "m.conf");
    g_autofree char *drop_in = path_in(tree, "m.conf.d/x.conf");

    temp_tree_write(tree, "m.conf", "[unplug]\nlease-ms=5\n");
    temp_tree_write(tree, "m.conf.d/x.conf", text);
    g_assert_false(settings_load(settings, path, TRUE, &error));
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, drop_in));
    g_assert_nonnull(strstr(error->message, group_and_key));
    g_assert_cmpuint(settings->lease_ms, ==, 60000);
}

static void test_refused(void)
{
    check_refused("[nowhere]\n", "[nowhere]");
    check_refused("\xff\n", "line 1 is not UTF-8");
    check_refused("[unplug]\n# \xc3\nlease-ms=1\n", "line 2 is not UTF-8");
    check_refused("[unplug]\nlease=1\n", "[unplug] lease");
    check_refused("[unplugged]\nlease-ms=1\n", "[unplugged] lease-ms");
    check_refused("[unplug]\nlease-ms=0\n", "[unplug] lease-ms: '0'");
    check_refused("[unplug]\nlease-ms=3600001\n", "[unplug] lease-ms");
    check_refused("[unplug]\nlease-ms=-1\n", "[unplug] lease-ms");
    check_refused("[unplug]\nlease-ms=1s\n", "[unplug] lease-ms");
    check_refused("[unplug]\ntimeout-ms=600001\n", "[unplug] timeout-ms");
    check_refused("[online]\npolicy=sideways\n", "[online] policy: 'sideways'");
    check_refused("[channel]\nmethod=parallel\n", "[channel] method");
    check_refused("[channel]\npath=3:\n", "[channel] path");
    check_refused("lease-ms=1\n", "");
}

/* What is there and cannot be read is not what is not there. */
static void test_unreadable(void)
{
    static const char *const kinds[] = {"dangling", "loop", "directory", "fifo", "big", "nul"};

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        for (guint is_main = 0; is_main < 2; is_main++) {
            g_autoptr(TempTree) tree = temp_tree_new();
            g_autoptr(Settings) settings = settings_new();
            g_autoptr(GError) error = NULL;
            g_autofree char *path = path_in(tree, "m.conf");
            g_autofree char *bad = path_in(tree, is_main ? "m.conf" : "m.conf.d/x.conf");
            g_autofree char *directory = g_path_get_dirname(bad);
            g_autofree char *big = g_strnfill(257 * 1024, '\n');

            g_assert_cmpint(g_mkdir_with_parents(directory, 0700), ==, 0);
            if (g_str_equal(kinds[i], "dangling"))
                g_assert_cmpint(symlink("nowhere", bad), ==, 0);
            else if (g_str_equal(kinds[i], "loop"))
                g_assert_cmpint(symlink(bad, bad), ==, 0);
            else if (g_str_equal(kinds[i], "directory"))
                g_assert_cmpint(g_mkdir(bad, 0700), ==, 0);
            else if (g_str_equal(kinds[i], "fifo"))
                g_assert_cmpint(mkfifo(bad, 0600), ==, 0);
            else
                g_assert_true(g_file_set_contents(bad, i == 4 ? big : "[unplug]\n\0",
                                                  i == 4 ? 257 * 1024 : 10, NULL));
            g_test_message("%s", kinds[i]);
            g_assert_false(settings_load(settings, path, FALSE, &error));
            g_assert_nonnull(error);
            g_assert_true(g_str_has_prefix(error->message, bad));
        }
    }
}

/* The directory itself; and a file that is masked as systemd's tools do it is empty. */
static void test_unreadable_directory(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(Settings) settings = settings_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = path_in(tree, "m.conf");
    g_autofree char *directory = path_in(tree, "m.conf.d");
    g_autofree char *masked = path_in(tree, "m.conf.d/x.conf");

    g_assert_cmpint(symlink("nowhere", directory), ==, 0);
    g_assert_false(settings_load(settings, path, FALSE, &error));
    g_assert_true(g_str_has_prefix(error->message, directory));
    g_clear_error(&error);
    g_assert_cmpint(unlink(directory), ==, 0);
    temp_tree_write(tree, "m.conf.d", "a file");
    g_assert_false(settings_load(settings, path, FALSE, &error));
    g_assert_true(g_str_has_prefix(error->message, directory));
    g_clear_error(&error);
    g_assert_cmpint(unlink(directory), ==, 0);
    temp_tree_write(tree, "m.conf.d/y.conf", "");
    g_assert_cmpint(symlink("/dev/null", masked), ==, 0);
    g_assert_true(settings_load(settings, path, FALSE, &error));
    g_assert_no_error(error);
}

static void test_missing(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(Settings) settings = settings_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = path_in(tree, "m.conf");

    g_assert_true(settings_load(settings, path, FALSE, &error));
    g_assert_no_error(error);
    g_assert_false(settings_load(settings, path, TRUE, &error));
    g_assert_nonnull(strstr(error->message, path));
}

static void test_lists(void)
{
    g_autoptr(Settings) settings = settings_new();
    g_autoptr(GError) error = NULL;

    g_assert_true(settings_set(settings, "protocol", "block-rpcs", "a; b,c;;", &error));
    g_assert_cmpuint(g_strv_length(settings->block_rpcs), ==, 3);
    g_assert_cmpstr(settings->block_rpcs[1], ==, "b");
    g_assert_null(settings->allow_rpcs);
}

/* What is dumped can be loaded, and is the same. */
static void test_dump_round_trip(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(Settings) settings = settings_new(), again = settings_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = path_in(tree, "m.conf");

    g_assert_true(settings_set(settings, "channel", "method", "unix-listen", &error));
    g_assert_true(settings_set(settings, "channel", "path", "/run/x", &error));
    g_assert_true(settings_set(settings, "protocol", "allow-rpcs", "a;b", &error));
    g_assert_true(settings_set(settings, "unplug", "reserve-bytes", "12345", &error));
    g_autofree char *text = settings_dump(settings);
    temp_tree_write(tree, "m.conf", text);
    g_assert_true(settings_load(again, path, TRUE, &error));
    g_autofree char *text_again = settings_dump(again);
    g_assert_cmpstr(text, ==, text_again);
    g_assert_nonnull(strstr(text, "reserve-bytes=12345"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/settings/defaults", test_defaults);
    g_test_add_func("/settings/files-in-name-order", test_files_in_name_order);
    g_test_add_func("/settings/refused", test_refused);
    g_test_add_func("/settings/unreadable", test_unreadable);
    g_test_add_func("/settings/unreadable-directory", test_unreadable_directory);
    g_test_add_func("/settings/missing", test_missing);
    g_test_add_func("/settings/lists", test_lists);
    g_test_add_func("/settings/dump-round-trip", test_dump_round_trip);
    return g_test_run();
}
