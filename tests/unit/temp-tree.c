/*
 * Trees of files for tests. See temp-tree.h.
 */
#include "tests/unit/temp-tree.h"

#include <ftw.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <unistd.h>

TempTree *temp_tree_new(void)
{
    g_autoptr(GError) error = NULL;
    TempTree *tree = g_new0(TempTree, 1);

    tree->root = g_dir_make_tmp("memplug-test-XXXXXX", &error);
    g_assert_no_error(error);
    return tree;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_all(const char *path)
{
    g_assert_cmpint(nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS), ==, 0);
}

void temp_tree_free(TempTree *tree)
{
    if (tree == NULL)
        return;
    remove_all(tree->root);
    g_free(tree->root);
    g_free(tree);
}

static char *make_way(TempTree *tree, const char *path)
{
    char *full = g_build_filename(tree->root, path, NULL);
    g_autofree char *dir = g_path_get_dirname(full);

    g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
    return full;
}

void temp_tree_write(TempTree *tree, const char *path, const char *text)
{
    g_autofree char *full = make_way(tree, path);
    FILE *file = fopen(full, "we");

    g_assert_nonnull(file);
    g_assert_cmpint(fputs(text, file), >=, 0);
    g_assert_cmpint(fclose(file), ==, 0);
}

void temp_tree_mkdir(TempTree *tree, const char *path)
{
    g_autofree char *full = g_build_filename(tree->root, path, NULL);

    g_assert_cmpint(g_mkdir_with_parents(full, 0755), ==, 0);
}

void temp_tree_link(TempTree *tree, const char *path, const char *target)
{
    g_autofree char *full = make_way(tree, path);

    g_assert_cmpint(symlink(target, full), ==, 0);
}

void temp_tree_remove(TempTree *tree, const char *path)
{
    g_autofree char *full = g_build_filename(tree->root, path, NULL);

    remove_all(full);
}

char *temp_tree_read(TempTree *tree, const char *path)
{
    g_autofree char *full = g_build_filename(tree->root, path, NULL);
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    g_file_get_contents(full, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}
