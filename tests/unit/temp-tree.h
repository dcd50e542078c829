/*
 * A directory of a test's own, filled with files and links. It is removed, with all that is in it,
 * when it is freed.
 */
#pragma once

#include <glib.h>

typedef struct {
    char *root; /* absolute path */
} TempTree;

TempTree *temp_tree_new(void);
void temp_tree_free(TempTree *tree); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TempTree, temp_tree_free)

/* Makes PATH (below the root) and the directories above it. */
void temp_tree_write(TempTree *tree, const char *path, const char *text);
void temp_tree_mkdir(TempTree *tree, const char *path);
void temp_tree_link(TempTree *tree, const char *path, const char *target);
/* Removes the file, link or whole directory PATH. */
void temp_tree_remove(TempTree *tree, const char *path);
/* The text of PATH; the test fails if it cannot be read. Return (transfer full). */
char *temp_tree_read(TempTree *tree, const char *path);
