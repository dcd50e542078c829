/*
 * Walks the cgroup tree for cpuset.mems (kernel/cgroup/cpuset.c), level by level and bounded.
 */
#include "system/cpusets.h"

#include <errno.h>
#include <string.h>

#define MEMS "cpuset.mems"

gboolean node_set_parse(const char *text, NodeSet *set)
{
    NodeSet parsed = {{0}};
    const char *at = text;

    for (;;) {
        char *end;
        if (!g_ascii_isdigit(*at))
            return FALSE;
        guint64 first = g_ascii_strtoull(at, &end, 10), last = first;
        if (*end == '-') {
            at = end + 1;
            if (!g_ascii_isdigit(*at))
                return FALSE;
            last = g_ascii_strtoull(at, &end, 10);
        }
        if (last < first || last >= NODES_MAX)
            return FALSE;
        for (guint64 node = first; node <= last; node++)
            node_set_add(&parsed, (guint)node);
        if (*end == '\0')
            break;
        if (*end != ',')
            return FALSE;
        at = end + 1;
    }
    *set = parsed;
    return TRUE;
}

gboolean node_set_is_within(const NodeSet *set, const NodeSet *other)
{
    guint64 any = 0;

    for (guint i = 0; i < G_N_ELEMENTS(set->bits); i++) {
        if ((set->bits[i] & ~other->bits[i]) != 0)
            return FALSE;
        any |= set->bits[i];
    }
    return any != 0;
}

gboolean node_has_cpus(const AttrIo *io, gint node)
{
    NodeSet set;
    char text[ATTR_VALUE_MAX];

    return node < 0 ||
           attr_read_line(io, "sys/devices/system/node/has_cpu", text, sizeof text) < 0 ||
           !node_set_parse(text, &set) || node_set_has(&set, (guint)node);
}

typedef struct {
    const char *parent;
    GPtrArray *paths;
} Walk;

/* A cgroup's own files begin with the name of a controller, or are v1's three; the rest are
 * cgroups. */
static gboolean is_file(const char *name)
{
    static const char *const begins[] = {"cgroup.",  "cpu.",  "cpuset.",  "cpuacct.", "memory.",
                                         "io.",      "pids.", "hugetlb.", "misc.",    "rdma.",
                                         "devices.", "net_",  "blkio.",   "freezer.", "perf_event.",
                                         "dmem.",    "irq."};

    for (guint i = 0; i < G_N_ELEMENTS(begins); i++) {
        if (g_str_has_prefix(name, begins[i]))
            return TRUE;
    }
    return g_str_equal(name, "tasks") || g_str_equal(name, "notify_on_release") ||
           g_str_equal(name, "release_agent");
}

static gboolean collect_child(const char *name, gpointer user_data)
{
    Walk *walk = user_data;

    if (!is_file(name) && strlen(walk->parent) + strlen(name) + sizeof MEMS + 2 < ATTR_PATH_MAX)
        g_ptr_array_add(walk->paths, g_strconcat(walk->parent, "/", name, NULL));
    return walk->paths->len < CPUSETS_LOOKED_AT_MAX;
}

static void add_once(GArray *sets, const NodeSet *set)
{
    for (guint i = 0; i < sets->len; i++) {
        if (memcmp(&g_array_index(sets, NodeSet, i), set, sizeof *set) == 0)
            return;
    }
    g_array_append_val(sets, *set);
}

/* Not there, or no longer: then it confines nobody. */
static gboolean is_gone(gssize result)
{
    return result == -ENOENT || result == -ENODEV || result == -ENOTDIR;
}

GArray *cpusets_read(const AttrIo *io, int *error)
{
    GArray *sets = g_array_new(FALSE, FALSE, sizeof(NodeSet));
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

    *error = 0;
    g_ptr_array_add(paths, g_strdup(CPUSETS_DIR));
    for (guint i = 0; i < paths->len; i++) {
        const char *path = paths->pdata[i];
        Walk walk = {.parent = path, .paths = paths};
        g_autofree char *file = g_strconcat(path, "/" MEMS, NULL);
        char line[ATTR_VALUE_MAX];
        NodeSet set;

        gssize n = attr_read_line(io, file, line, sizeof line);
        if (n > 0 && node_set_parse(line, &set))
            add_once(sets, &set);
        int listed =
            paths->len < CPUSETS_LOOKED_AT_MAX ? attr_list(io, path, collect_child, &walk) : 0;
        if (n < 0 && !is_gone(n))
            *error = (int)-n;
        else if (listed < 0 && !is_gone(listed))
            *error = -listed;
    }
    return sets;
}
