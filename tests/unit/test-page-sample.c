/*
 * The sample of kpageflags, from files of a temporary root and with a clock of the test's.
 */
#include <string.h>

#include "system/page-sample.h"
#include "system/units.h"
#include "temp-tree.h"

#define PAGES_PER_BLOCK 4096 /* blocks of 16 MiB: small files */
#define FREE 0x400u          /* BUDDY */
#define ANON 0x1828u         /* ANON, MMAP, LRU, UPTODATE */
#define CACHE 0x28u          /* LRU, UPTODATE */
#define HUGE_IN_USE 0x20800u /* HUGE, MMAP */
#define HUGE_FREE 0x28000u   /* HUGE, COMPOUND_HEAD */
#define SLAB 0x80u
#define NOPAGE 0x100000u

static gint64 now_usec;
static gint64 usec_per_look;

/* Each look at the clock takes the time of a read. */
static gint64 fake_clock(void)
{
    now_usec += usec_per_look;
    return now_usec;
}

typedef struct {
    TempTree *tree;
    AttrIo *io;
    guint64 *flags;
    guint n_blocks;
} Fixture;

static void fill(Fixture *fixture, guint first_page, guint n, guint64 flags)
{
    for (guint i = 0; i < n; i++)
        fixture->flags[first_page + i] = flags;
}

static void set_up(Fixture *fixture, guint n_blocks)
{
    fixture->tree = temp_tree_new();
    temp_tree_mkdir(fixture->tree, "proc");
    fixture->n_blocks = n_blocks;
    fixture->flags = g_new0(guint64, n_blocks * PAGES_PER_BLOCK);
    fill(fixture, 0, n_blocks * PAGES_PER_BLOCK, FREE);
    fixture->io = attr_io_open(fixture->tree->root, ATTR_READ_ONLY, NULL);
    now_usec = 0;
    usec_per_look = 0;
}

static void publish(Fixture *fixture)
{
    g_autofree char *path = g_build_filename(fixture->tree->root, "proc/kpageflags", NULL);

    g_assert_true(g_file_set_contents(path, (const char *)fixture->flags,
                                      fixture->n_blocks * PAGES_PER_BLOCK * sizeof(guint64), NULL));
}

static void tear_down(Fixture *fixture)
{
    attr_io_free(fixture->io);
    temp_tree_free(fixture->tree);
    g_free(fixture->flags);
}

static void look(Fixture *fixture, gint64 budget_usec, const guint32 *indices, guint n,
                 PageSample *samples)
{
    PageSampler sampler = {.io = fixture->io,
                           .block_size_bytes = PAGES_PER_BLOCK * 4 * KIB,
                           .page_size_bytes = 4 * KIB,
                           .clock = fake_clock,
                           .budget_usec = budget_usec};

    page_sample_blocks(&sampler, indices, n, samples);
}

static void test_kinds(void)
{
    g_assert_cmpint(page_kind(FREE), ==, PAGE_FREE);
    g_assert_cmpint(page_kind(ANON), ==, PAGE_ANONYMOUS);
    g_assert_cmpint(page_kind(CACHE), ==, PAGE_CACHE);
    g_assert_cmpint(page_kind(HUGE_IN_USE), ==, PAGE_HUGETLB_IN_USE);
    g_assert_cmpint(page_kind(HUGE_FREE), ==, PAGE_HUGETLB_OTHER);
    g_assert_cmpint(page_kind(SLAB), ==, PAGE_KERNEL);
    g_assert_cmpint(page_kind(NOPAGE), ==, PAGE_ABSENT);
    g_assert_cmpint(page_kind(0), ==, PAGE_OTHER);
    g_assert_cmpint(page_kind(0x411000), ==,
                    PAGE_ANONYMOUS); /* the tail of a huge anonymous page */
}

/* With time enough, everything is counted, exactly. */
static void test_whole(void)
{
    Fixture fixture;
    PageSample samples[2];

    set_up(&fixture, 4);
    fill(&fixture, 2 * PAGES_PER_BLOCK + 7, 1000, ANON);
    fill(&fixture, 2 * PAGES_PER_BLOCK + 3000, 96, CACHE);
    fill(&fixture, 3 * PAGES_PER_BLOCK, PAGES_PER_BLOCK, NOPAGE);
    publish(&fixture);
    look(&fixture, G_MAXINT32, (const guint32[]){2, 3}, 2, samples);

    g_assert_cmpuint(samples[0].sampled, ==, PAGES_PER_BLOCK);
    g_assert_cmpuint(samples[0].counts[PAGE_ANONYMOUS], ==, 1000);
    g_assert_cmpuint(samples[0].counts[PAGE_CACHE], ==, 96);
    g_assert_cmpuint(samples[0].counts[PAGE_FREE], ==, PAGES_PER_BLOCK - 1096);
    g_assert_cmpuint(page_sample_estimate_used(&samples[0], PAGES_PER_BLOCK), ==, 1096);
    g_assert_cmpuint(page_sample_estimate(&samples[0], PAGE_CACHE, 2 * PAGES_PER_BLOCK), ==, 192);
    g_assert_cmpuint(page_sample_estimate_used(&samples[1], PAGES_PER_BLOCK), ==, 0);
    tear_down(&fixture);
}

/* The budget ends it; what was looked at is spread over all blocks, and over each of them. */
static void test_budget(void)
{
    Fixture fixture;
    PageSample samples[8];
    guint32 indices[8];

    set_up(&fixture, 8);
    for (guint i = 0; i < 8; i++) {
        indices[i] = i;
        fill(&fixture, i * PAGES_PER_BLOCK + PAGES_PER_BLOCK / 2, PAGES_PER_BLOCK / 2, ANON);
    }
    publish(&fixture);
    usec_per_look = 100;
    look(&fixture, 8 * 4 * 100 + 50, indices, 8, samples);
    g_assert_cmpint(now_usec, <=, 8 * 4 * 100 + 50 + 200);
    for (guint i = 0; i < 8; i++) {
        g_assert_cmpuint(samples[i].sampled, ==, 4 * 32);
        g_assert_cmpuint(page_sample_estimate_used(&samples[i], PAGES_PER_BLOCK), ==,
                         PAGES_PER_BLOCK / 2);
    }
    look(&fixture, 3 * 100 + 50, indices, 8, samples);
    guint n_seen = 0;
    for (guint i = 0; i < 8; i++)
        n_seen += samples[i].sampled > 0;
    g_assert_cmpuint(n_seen, ==, 3);
    tear_down(&fixture);
}

/* The first 8 looks at a block of 16 MiB meet each of its eight 2 MiB. */
static void test_every_huge_page(void)
{
    Fixture fixture;
    PageSample sample;

    for (guint huge = 0; huge < 8; huge++) {
        set_up(&fixture, 1);
        fill(&fixture, huge * 512, 512, HUGE_IN_USE);
        publish(&fixture);
        usec_per_look = 100;
        look(&fixture, 8 * 100 + 50, (const guint32[]){0}, 1, &sample);
        g_assert_cmpuint(sample.sampled, ==, 8 * 32);
        g_assert_cmpuint(page_sample_estimate(&sample, PAGE_HUGETLB_IN_USE, PAGES_PER_BLOCK), ==,
                         512);
        memset(&sample, 0, sizeof sample);
        g_assert_true(page_sample_each(fixture.io, 0, 512, 8, &sample)); /* one look at each */
        g_assert_cmpuint(sample.sampled, ==, 8);
        g_assert_cmpuint(sample.counts[PAGE_HUGETLB_IN_USE], ==, 1);
        tear_down(&fixture);
    }
}

/* No file, a file that is too short, no block: nothing is told, and it ends. */
static void test_nothing_to_read(void)
{
    Fixture fixture;
    PageSample samples[2];

    set_up(&fixture, 2);
    look(&fixture, G_MAXINT32, (const guint32[]){0, 1}, 2, samples);
    g_assert_cmpuint(samples[0].sampled + samples[1].sampled, ==, 0);
    g_assert_cmpuint(page_sample_estimate_used(&samples[0], 77), ==, 77);
    g_assert_cmpuint(page_sample_estimate(&samples[0], PAGE_CACHE, 77), ==, 0);
    publish(&fixture);
    look(&fixture, G_MAXINT32, (const guint32[]){1, 2}, 2, samples);
    g_assert_cmpuint(samples[0].sampled, ==, PAGES_PER_BLOCK);
    g_assert_cmpuint(samples[1].sampled, ==, 0);
    look(&fixture, G_MAXINT32, NULL, 0, samples);
    tear_down(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/page-sample/kinds", test_kinds);
    g_test_add_func("/page-sample/whole", test_whole);
    g_test_add_func("/page-sample/budget", test_budget);
    g_test_add_func("/page-sample/every-huge-page", test_every_huge_page);
    g_test_add_func("/page-sample/nothing-to-read", test_nothing_to_read);
    return g_test_run();
}
