/*
 * What is in a block that did not go offline, in words for a person. Kinds and figures only: whose
 * pages they are is nobody's business on the other side of a channel.
 */
#include "decide/unplug-private.h"

#include <string.h>

/* "31,200", whatever the locale. */
static void append_number(GString *text, guint64 number)
{
    g_autofree char *digits = g_strdup_printf("%" G_GUINT64_FORMAT, number);
    gsize n = strlen(digits);

    for (gsize i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            g_string_append_c(text, ',');
        g_string_append_c(text, digits[i]);
    }
}

static void append_unwritten(GString *text, guint64 n_pages)
{
    g_string_append(text, " (");
    append_number(text, n_pages);
    g_string_append(text, " not written yet)");
}

/* ": about 31,200 anonymous pages, 1,544 page cache"; "" where nothing is known. (transfer full) */
char *contents_describe(const BlockContents *contents)
{
    static const struct {
        PageKind kind;
        const char *name;
    } kinds[] = {
        {PAGE_ANONYMOUS, "anonymous"},
        {PAGE_CACHE, "page cache"},
        {PAGE_HUGETLB_IN_USE, "hugetlb"},
        {PAGE_HUGETLB_OTHER, "free hugetlb"},
        {PAGE_KERNEL, "kernel (slab, page tables)"},
        {PAGE_OTHER, "of no known kind"},
    };
    GString *text = g_string_new(NULL);

    if (contents->pages.sampled == 0)
        return g_string_free(text, FALSE);
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        guint64 count = contents->pages.counts[kinds[i].kind];

        if (count == 0)
            continue;
        g_string_append(text, text->len == 0 ? ": about " : ", ");
        append_number(text, count);
        g_string_append_printf(text, " %s", kinds[i].name);
        if (kinds[i].kind == PAGE_CACHE && contents->pages.unwritten > 0)
            append_unwritten(text, contents->pages.unwritten);
        if (kinds[i].kind == PAGE_HUGETLB_IN_USE && contents_lack_hugepages(contents))
            g_string_append(text, " with no free huge page elsewhere");
    }
    g_string_append(text, text->len == 0 ? ": hardly any page in use was seen" : " (in pages)");
    return g_string_free(text, FALSE);
}

/* Whether huge pages in use are in the block, and the guest has no free one to move them to. */
gboolean contents_lack_hugepages(const BlockContents *contents)
{
    return contents->pages.counts[PAGE_HUGETLB_IN_USE] > 0 && contents->hugepages_free == 0;
}

/* Whether at least half of what is left in the block and could move is page cache that has to be
 * written first. */
gboolean contents_are_unwritten(const BlockContents *contents)
{
    const guint64 *counts = contents->pages.counts;
    guint64 n_left = counts[PAGE_ANONYMOUS] + counts[PAGE_CACHE] + counts[PAGE_HUGETLB_IN_USE];

    return contents->pages.unwritten > 0 && contents->pages.unwritten >= n_left / 2;
}
