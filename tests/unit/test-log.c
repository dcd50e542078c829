/*
 * The bound of the whole log: whoever makes lines cannot have more of them written than that, and
 * what is left out is counted.
 */
#include <string.h>

#include "os/log.h"
#include "system/units.h"
#include "temp-tree.h"

/* As in log.c. */
#define LINES_BURST 1000
#define LINES_PER_SECOND 20
#define LINES 3000

static guint count(const char *text, const char *what)
{
    guint n = 0;

    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what))
        n++;
    return n;
}

/* The sum of what the log says it has dropped. */
static guint64 count_dropped(const char *text)
{
    static const char prefix[] = "memplugd: warning: ";
    guint64 n = 0;

    for (const char *at = text; (at = strstr(at, prefix)) != NULL;) {
        at += strlen(prefix);
        n += g_ascii_strtoull(at, NULL, 10);
    }
    return n;
}

/* What is in the file, which a process of its own writes, once LAST is. */
static char *read_until(TempTree *tree, const char *last)
{
    gint64 end_usec = g_get_monotonic_time() + 60 * USEC_PER_SEC;

    for (;;) {
        g_autofree char *text = temp_tree_read(tree, "log");
        if (strstr(text, last))
            return g_steal_pointer(&text);
        g_assert_cmpint(g_get_monotonic_time(), <, end_usec);
        g_usleep(10000);
    }
}

static void test_burst(void)
{
    g_autoptr(TempTree) tree = temp_tree_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(tree->root, "log", NULL);
    gint64 start_usec = g_get_monotonic_time();
    Log *log = log_open(path, FALSE, &error);

    g_assert_no_error(error);
    for (guint i = 0; i < LINES; i++)
        g_message("line");
    gint64 took_usec = g_get_monotonic_time() - start_usec;
    g_usleep(4 * USEC_PER_SEC / LINES_PER_SECOND);
    g_message("one more"); /* tells of the others, once */
    g_message("last");
    g_autofree char *text = read_until(tree, "last\n");
    log_close(log);

    guint n_written = count(text, "line\n");
    g_assert_cmpuint(n_written, >=, LINES_BURST);
    g_assert_cmpuint(n_written, <=, LINES_BURST + 1 + took_usec * LINES_PER_SECOND / USEC_PER_SEC);
    g_assert_cmpuint(n_written + count_dropped(text), ==, LINES);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/burst", test_burst);
    return g_test_run();
}
