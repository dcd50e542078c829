/*
 * The real attribute I/O below a temporary directory: what is read and written, by whose inode, and
 * that nothing leads out of a root that is not "/".
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/attr-root.h"
#include "system/attr.h"
#include "tests/unit/temp-tree.h"

#define SECRET "outside-of-the-root"

static AttrIo *open_io(const TempTree *tree, AttrAccess access)
{
    g_autoptr(GError) error = NULL;
    AttrIo *io = attr_io_open(tree->root, access, &error);

    g_assert_no_error(error);
    return io;
}

static void test_read(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = open_io(tree, ATTR_READ_ONLY);
    char buf[16] = "untouched";

    temp_tree_write(tree, "sys/state", "online\n");
    g_assert_cmpint(attr_read(io, "sys/none", buf, sizeof buf), ==, -ENOENT);
    g_assert_cmpstr(buf, ==, "untouched");
    g_assert_cmpint(attr_read(io, "sys/state", buf, sizeof buf), ==, 7);
    g_assert_cmpstr(buf, ==, "online\n");
    g_assert_cmpint(attr_read(io, "sys/state", buf, 4), ==, 3);
    g_assert_cmpstr(buf, ==, "onl");
    g_assert_cmpint(attr_read(io, "sys/state", buf, 0), ==, -EINVAL);
    g_assert_cmpint(attr_read(io, "/sys/state", buf, sizeof buf), ==, -EINVAL);
    g_assert_cmpint(attr_read(io, "", buf, sizeof buf), ==, -EINVAL);
}

static void test_long_path(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = open_io(tree, ATTR_READ_ONLY);
    g_autofree char *path = g_strnfill(ATTR_PATH_MAX, 'a');
    char buf[16];

    g_assert_cmpint(attr_read(io, path, buf, sizeof buf), ==, -ENAMETOOLONG);
}

static void test_read_all(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = open_io(tree, ATTR_READ_ONLY);
    g_autofree char *big = g_strnfill(100000, 'x');
    g_autofree char *text = NULL;
    char *kept = NULL;

    temp_tree_write(tree, "proc/big", big);
    temp_tree_write(tree, "proc/empty", "");
    g_assert_cmpint(attr_read_all(io, "proc/big", 99999, &kept), ==, -EFBIG);
    g_assert_null(kept);
    g_assert_cmpint(attr_read_all(io, "proc/none", 99999, &kept), ==, -ENOENT);
    g_assert_null(kept);
    g_assert_cmpint(attr_read_all(io, "proc/big", 100000, &text), ==, 100000);
    g_assert_cmpstr(text, ==, big);
    g_assert_cmpint(attr_read_all(io, "proc/empty", 10, &kept), ==, 0);
    g_assert_cmpstr(kept, ==, "");
    g_free(kept);
}

static void test_write(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = open_io(tree, ATTR_READ_WRITE);
    guint64 inode = 0;

    /* Longer than what is written: nothing is truncated, the kernel has no use for it. */
    temp_tree_write(tree, "sys/memory3/state", "online\n");
    g_assert_cmpint(attr_identify(io, "sys/memory3", &inode), ==, 0);
    g_assert_cmpint(attr_write(io, "sys/memory3", inode, "state", "off"), ==, 0);
    g_autofree char *text = temp_tree_read(tree, "sys/memory3/state");
    g_assert_cmpstr(text, ==, "offine\n");
    g_assert_cmpint(attr_write(io, "sys/memory3", 0, "state", "OFF"), ==, 0);
    g_assert_cmpint(attr_write(io, "sys/memory3", inode, "none", "1"), ==, -ENOENT);
    g_assert_cmpint(attr_write(io, "sys/memory4", inode, "state", "1"), ==, -ENOENT);
    g_assert_cmpint(attr_write(io, "sys", 0, "memory3/state", "1"), ==, -EINVAL);
}

static void test_write_stale(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = open_io(tree, ATTR_READ_WRITE);
    guint64 inode = 0;

    temp_tree_write(tree, "sys/memory3/state", "online\n");
    g_assert_cmpint(attr_identify(io, "sys/memory3", &inode), ==, 0);
    /* Keep the old inode number from being given out again. */
    temp_tree_mkdir(tree, "sys/other");
    g_assert_cmpint(attr_write(io, "sys/memory3", inode + 1, "state", "offline"), ==, -ESTALE);
    g_autofree char *text = temp_tree_read(tree, "sys/memory3/state");
    g_assert_cmpstr(text, ==, "online\n");
}

static void test_write_follows_no_link(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = open_io(tree, ATTR_READ_WRITE);

    temp_tree_write(tree, "sys/real/state", "online\n");
    temp_tree_link(tree, "sys/link", "real");
    temp_tree_link(tree, "sys/dir/state", "../real/state");
    g_assert_cmpint(attr_write(io, "sys/link", 0, "state", "x"), <, 0);
    g_assert_cmpint(attr_write(io, "sys/dir", 0, "state", "x"), ==, -ELOOP);
    g_autofree char *text = temp_tree_read(tree, "sys/real/state");
    g_assert_cmpstr(text, ==, "online\n");
}

static void test_read_only(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = open_io(tree, ATTR_READ_ONLY);

    temp_tree_write(tree, "sys/memory3/state", "online\n");
    g_assert_cmpint(attr_write(io, "sys/memory3", 0, "state", "offline"), ==, -EROFS);
    g_assert_cmpint(attr_write(io, "sys/nothing", 0, "state", "offline"), ==, -EROFS);
    g_autofree char *text = temp_tree_read(tree, "sys/memory3/state");
    g_assert_cmpstr(text, ==, "online\n");
}

static gboolean collect(const char *name, gpointer user_data)
{
    g_ptr_array_add(user_data, g_strdup(name));
    return TRUE;
}

static gboolean collect_one(const char *name, gpointer user_data)
{
    collect(name, user_data);
    return FALSE;
}

static void test_list(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = open_io(tree, ATTR_READ_ONLY);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    /* More than one buffer of names. */
    for (guint i = 0; i < 1000; i++) {
        g_autofree char *path = g_strdup_printf("sys/memory%u", i);
        temp_tree_mkdir(tree, path);
    }
    g_assert_cmpint(attr_list(io, "sys", collect, names), ==, 0);
    g_assert_cmpuint(names->len, ==, 1000);
    for (guint i = 0; i < names->len; i++)
        g_hash_table_add(seen, g_ptr_array_index(names, i));
    g_assert_cmpuint(g_hash_table_size(seen), ==, 1000);
    g_assert_true(g_hash_table_contains(seen, "memory999"));

    g_ptr_array_set_size(names, 0);
    g_assert_cmpint(attr_list(io, "sys", collect_one, names), ==, 0);
    g_assert_cmpuint(names->len, ==, 1);
    g_assert_cmpint(attr_list(io, "none", collect, names), ==, -ENOENT);
}

static void test_identify(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = open_io(tree, ATTR_READ_ONLY);
    g_autofree char *full = g_build_filename(tree->root, "sys", NULL);
    guint64 inode = 7;
    struct stat st;

    temp_tree_write(tree, "sys/file", "");
    temp_tree_link(tree, "link", "sys");
    g_assert_cmpint(stat(full, &st), ==, 0);
    g_assert_cmpint(attr_identify(io, "sys/file", &inode), ==, -ENOTDIR);
    g_assert_cmpint(attr_identify(io, "link", &inode), ==, -ENOTDIR);
    g_assert_cmpint(attr_identify(io, "none", &inode), ==, -ENOENT);
    g_assert_cmpuint(inode, ==, 7);
    g_assert_cmpint(attr_identify(io, "sys", &inode), ==, 0);
    g_assert_cmpuint(inode, ==, st.st_ino);
}

static void test_follow(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = open_io(tree, ATTR_READ_ONLY);
    char target[32] = "untouched";

    temp_tree_link(tree, "sys/firmware_node", "../acpi/PNP0C80:02");
    temp_tree_write(tree, "sys/file", "");
    g_assert_cmpint(attr_follow(io, "sys/file", target, sizeof target), ==, -EINVAL);
    g_assert_cmpint(attr_follow(io, "sys/none", target, sizeof target), ==, -ENOENT);
    g_assert_cmpint(attr_follow(io, "sys/firmware_node", target, 18), ==, -ENAMETOOLONG);
    g_assert_cmpstr(target, ==, "untouched");
    g_assert_cmpint(attr_follow(io, "sys/firmware_node", target, 19), ==, 18);
    g_assert_cmpstr(target, ==, "../acpi/PNP0C80:02");
}

static void test_numbers(void)
{
    static const struct {
        const char *text;
        int base;
        int result;
        guint64 value;
    } cases[] = {
        {"8000000\n", 16, 0, 0x8000000},
        {"0x0A", 16, 0, 10},
        {"ff\n", 16, 0, 255},
        {"12\n", 10, 0, 12},
        {"18446744073709551615", 10, 0, G_MAXUINT64},
        {"18446744073709551616", 10, -ERANGE, 0},
        {"ffffffffffffffff", 16, 0, G_MAXUINT64},
        {"10000000000000000", 16, -ERANGE, 0},
        {"", 10, -EINVAL, 0},
        {"\n", 10, -EINVAL, 0},
        {"0x", 16, -EINVAL, 0},
        {"0x10", 10, -EINVAL, 0},
        {"-1", 10, -EINVAL, 0},
        {" 1", 10, -EINVAL, 0},
        {"1 ", 10, -EINVAL, 0},
        {"1\n\n", 10, -EINVAL, 0},
        {"1a", 10, -EINVAL, 0},
        {"000000000000000000000000000000000000000000001", 10, -EINVAL, 0},
        {"1", 8, -EINVAL, 0},
        {"10\n", 0, 0, 10},
        {"010\n", 0, 0, 10},
        {"0x10\n", 0, 0, 16},
        {"0X0a\n", 0, 0, 10},
        {"0A\n", 0, -EINVAL, 0},
        {"0x\n", 0, -EINVAL, 0},
        {"10 \n", 0, -EINVAL, 0},
        {"18446744073709551616", 0, -ERANGE, 0},
    };
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = open_io(tree, ATTR_READ_ONLY);

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint64 value = 4711;

        temp_tree_write(tree, "number", cases[i].text);
        g_test_message("\"%s\" in base %d", cases[i].text, cases[i].base);
        g_assert_cmpint(attr_read_uint64(io, "number", cases[i].base, &value), ==, cases[i].result);
        g_assert_cmpuint(value, ==, cases[i].result == 0 ? cases[i].value : 4711);
    }
}

static void test_line(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = open_io(tree, ATTR_READ_ONLY);
    g_autofree char *big = g_strnfill(ATTR_VALUE_MAX, 'x');
    char buf[8] = "kept";

    temp_tree_write(tree, "line", "two\nlines\n");
    g_assert_cmpint(attr_read_line(io, "line", buf, sizeof buf), ==, -EINVAL);
    temp_tree_write(tree, "line", "too long");
    g_assert_cmpint(attr_read_line(io, "line", buf, sizeof buf), ==, -EFBIG);
    temp_tree_write(tree, "line", big);
    g_assert_cmpint(attr_read_line(io, "line", buf, sizeof buf), ==, -EFBIG);
    g_assert_cmpstr(buf, ==, "kept");
    temp_tree_write(tree, "line", "online\n");
    g_assert_cmpint(attr_read_line(io, "line", buf, 7), ==, 6);
    g_assert_cmpstr(buf, ==, "online");
    temp_tree_write(tree, "line", "");
    g_assert_cmpint(attr_read_line(io, "line", buf, sizeof buf), ==, 0);
    g_assert_cmpstr(buf, ==, "");
}

/* A tree in a tree: "outside" lies beside the root of the AttrIo, "inside" below it. */
static void fill_trap(TempTree *tree)
{
    g_autofree char *outside = g_build_filename(tree->root, "outside", NULL);

    temp_tree_write(tree, "outside/file", SECRET);
    temp_tree_write(tree, "root/inside/file", "inside");
    temp_tree_link(tree, "root/up", "../outside/file");
    temp_tree_link(tree, "root/far", "inside/../../../../../outside/file");
    temp_tree_link(tree, "root/absolute", outside);
    temp_tree_link(tree, "root/absolute-inside", "/inside/file");
    temp_tree_link(tree, "root/chain", "absolute-inside");
    temp_tree_link(tree, "root/loop", "loop");
    temp_tree_link(tree, "root/deep/er/link", "../../inside");
    temp_tree_link(tree, "root/magic", "/proc/self/cwd");
    temp_tree_link(tree, "root/top", "/");
    temp_tree_link(tree, "root/deep/absolute", "/inside/file");
}

static void check_root(AttrRoot *root, const char *path, const char *expected)
{
    char buf[64] = "";
    int fd = attr_root_openat(root, path, O_RDONLY);

    g_test_message("%s", path);
    if (expected == NULL) {
        g_assert_cmpint(fd, <, 0);
        return;
    }
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(read(fd, buf, sizeof buf - 1), >=, 0);
    g_assert_cmpstr(buf, ==, expected);
    close(fd);
}

/* By the kernel's openat2() and by hand: the same answers. */
static void check_confinement(gboolean has_openat2)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autofree char *path = g_build_filename(tree->root, "root", NULL);
    AttrRoot root;

    fill_trap(tree);
    g_assert_cmpint(attr_root_open(&root, path), ==, 0);
    g_assert_true(root.is_confined);
    root.has_openat2 = root.has_openat2 && has_openat2;
    check_root(&root, "inside/file", "inside");
    check_root(&root, "./inside//file", "inside");
    check_root(&root, "../outside/file", NULL);
    check_root(&root, "../root/inside/file", NULL);
    check_root(&root, "inside/../inside/file", "inside");
    check_root(&root, "../../inside/file", "inside");
    check_root(&root, "up", NULL);
    check_root(&root, "far", NULL);
    check_root(&root, "absolute/file", NULL);
    check_root(&root, "absolute-inside", "inside");
    check_root(&root, "chain", "inside");
    check_root(&root, "loop", NULL);
    check_root(&root, "deep/er/link/file", "inside");
    check_root(&root, "top/top/inside/file", "inside");
    check_root(&root, "deep/absolute", "inside");
    check_root(&root, "inside/file/x", NULL);
    g_assert_cmpint(attr_root_openat(&root, "loop", O_RDONLY), ==, -ELOOP);
    g_assert_cmpint(attr_root_openat(&root, "chain", O_RDONLY | O_NOFOLLOW), ==, -ELOOP);
    attr_root_close(&root);
}

static void test_confined_by_kernel(void)
{
    check_confinement(TRUE);
}

static void test_confined_by_hand(void)
{
    check_confinement(FALSE);
}

/* A captured tree may hold anything; a pipe that nobody writes must not stop the program. */
static void test_pipe(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = open_io(tree, ATTR_READ_ONLY);
    g_autofree char *path = g_build_filename(tree->root, "pipe", NULL);
    char buf[16];

    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    g_assert_cmpint(attr_read(io, "pipe", buf, sizeof buf), <=, 0);
}

static void test_no_root(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(attr_io_open("/nonexistent/directory", ATTR_READ_ONLY, &error));
    g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
    g_assert_nonnull(strstr(error->message, "/nonexistent/directory"));
}

/* Below "/" the short ways are taken; they say the same. */
static void test_slash(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(AttrIo) io = attr_io_open("/", ATTR_READ_ONLY, NULL);
    g_autofree char *link = g_build_filename(tree->root + 1, "link", NULL);
    char target[32];
    guint64 inode;

    g_assert_nonnull(io);
    temp_tree_link(tree, "link", "target");
    g_assert_cmpint(attr_follow(io, link, target, sizeof target), ==, 6);
    g_assert_cmpstr(target, ==, "target");
    g_assert_cmpint(attr_follow(io, "proc/meminfo", target, sizeof target), ==, -EINVAL);
    g_assert_cmpint(attr_follow(io, "/proc", target, sizeof target), ==, -EINVAL);
    g_assert_cmpint(attr_identify(io, "proc", &inode), ==, 0);
    g_assert_cmpint(attr_identify(io, "/proc", &inode), ==, -EINVAL);
    g_assert_cmpint(attr_identify(io, link, &inode), ==, -ENOTDIR);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/attr/read", test_read);
    g_test_add_func("/attr/long-path", test_long_path);
    g_test_add_func("/attr/read-all", test_read_all);
    g_test_add_func("/attr/write", test_write);
    g_test_add_func("/attr/write-stale", test_write_stale);
    g_test_add_func("/attr/write-follows-no-link", test_write_follows_no_link);
    g_test_add_func("/attr/read-only", test_read_only);
    g_test_add_func("/attr/list", test_list);
    g_test_add_func("/attr/identify", test_identify);
    g_test_add_func("/attr/follow", test_follow);
    g_test_add_func("/attr/numbers", test_numbers);
    g_test_add_func("/attr/line", test_line);
    g_test_add_func("/attr/confined/by-kernel", test_confined_by_kernel);
    g_test_add_func("/attr/confined/by-hand", test_confined_by_hand);
    g_test_add_func("/attr/pipe", test_pipe);
    g_test_add_func("/attr/no-root", test_no_root);
    g_test_add_func("/attr/slash", test_slash);
    return g_test_run();
}
