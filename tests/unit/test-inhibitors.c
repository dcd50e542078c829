/*
 * The list of inhibitors: who may have how many, what a hostile text becomes, and its order.
 */
#include "decide/inhibitors.h"

#include <string.h>

static guint64 add_as(Inhibitors *list, guint32 uid, const char *who, const char *why,
                      InhibitMode mode)
{
    const Inhibitor request = {
        .who = (char *)who, .why = (char *)why, .mode = mode, .uid = uid, .pid = 7};
    const char *problem = "untouched";
    guint64 id = inhibitors_add(list, &request, &problem);

    g_assert_true((id == 0) == (problem != NULL));
    return id;
}

static void test_order(void)
{
    Inhibitors *list = inhibitors_new();

    g_assert_null(inhibitors_oldest(list, INHIBIT_DELAY));
    g_assert_cmpuint(inhibitors_last_id(list), ==, 0);
    guint64 first = add_as(list, 1, "db", "cache", INHIBIT_DELAY);
    guint64 second = add_as(list, 1, "db", "cache", INHIBIT_DELAY);
    guint64 block = add_as(list, 0, "backup", "runs", INHIBIT_BLOCK);
    guint64 generation = inhibitors_generation(list);
    g_assert_cmpuint(first, <, second);
    g_assert_cmpuint(inhibitors_oldest(list, INHIBIT_DELAY)->id, ==, first);
    g_assert_cmpuint(inhibitors_oldest(list, INHIBIT_BLOCK)->id, ==, block);
    inhibitors_remove(list, first);
    g_assert_cmpuint(inhibitors_generation(list), !=, generation);
    inhibitors_remove(list, first);
    g_assert_cmpuint(inhibitors_oldest(list, INHIBIT_DELAY)->id, ==, second);
    inhibitors_remove(list, block);
    g_assert_null(inhibitors_oldest(list, INHIBIT_BLOCK));
    g_assert_cmpuint(inhibitors_last_id(list), ==, block);
    inhibitors_free(list);
}

static void test_numbers(void)
{
    Inhibitors *list = inhibitors_new();
    guint64 mine = 0;

    for (guint i = 0; i < INHIBITORS_USER_MAX; i++)
        g_assert_cmpuint(mine = add_as(list, 1000, "a", "b", INHIBIT_DELAY), !=, 0);
    g_assert_cmpuint(add_as(list, 1000, "a", "b", INHIBIT_DELAY), ==, 0);
    for (guint i = INHIBITORS_USER_MAX; i < INHIBITORS_OTHERS_MAX; i++)
        g_assert_cmpuint(add_as(list, 2000 + i, "a", "b", INHIBIT_DELAY), !=, 0);
    g_assert_cmpuint(add_as(list, 1, "a", "b", INHIBIT_DELAY), ==, 0);
    for (guint i = INHIBITORS_OTHERS_MAX; i < INHIBITORS_MAX; i++)
        g_assert_cmpuint(add_as(list, 0, "a", "b", INHIBIT_BLOCK), !=, 0);
    g_assert_cmpuint(add_as(list, 0, "a", "b", INHIBIT_BLOCK), ==, 0);
    inhibitors_remove(list, mine);
    g_assert_cmpuint(add_as(list, 1000, "a", "b", INHIBIT_DELAY), !=, 0);
    g_assert_cmpuint(inhibitors_list(list)->len, ==, INHIBITORS_MAX);
    inhibitors_free(list);
}

static void test_texts(void)
{
    Inhibitors *list = inhibitors_new();
    g_autofree char *who = g_strnfill(INHIBIT_WHO_MAX + 1, 'w');
    g_autofree char *why = g_strnfill(INHIBIT_WHY_MAX + 1, 'w');

    g_assert_cmpuint(add_as(list, 0, "", "why", INHIBIT_DELAY), ==, 0);
    g_assert_cmpuint(add_as(list, 0, "who", "", INHIBIT_DELAY), ==, 0);
    g_assert_cmpuint(add_as(list, 0, who, "why", INHIBIT_DELAY), ==, 0);
    g_assert_cmpuint(add_as(list, 0, "who", why, INHIBIT_DELAY), ==, 0);
    g_assert_cmpuint(add_as(list, 0, who + 1, why + 1, INHIBIT_DELAY), !=, 0);
    g_assert_cmpuint(add_as(list, 0, "a\nb\x1b[2J",
                            "\xe2\x80\xae"
                            "x\xff\xc3\xa9",
                            INHIBIT_BLOCK),
                     !=, 0);
    const Inhibitor *hostile = inhibitors_oldest(list, INHIBIT_BLOCK);
    g_assert_cmpstr(hostile->who, ==, "a\\x0ab\\x1b[2J");
    g_assert_cmpstr(hostile->why, ==, "\\u{202e}x\\xff\xc3\xa9");
    inhibitors_free(list);
}

static void test_modes(void)
{
    InhibitMode mode = INHIBIT_DELAY;

    g_assert_true(inhibit_mode_parse("block", &mode));
    g_assert_cmpint(mode, ==, INHIBIT_BLOCK);
    g_assert_false(inhibit_mode_parse("Delay", &mode));
    g_assert_cmpint(mode, ==, INHIBIT_BLOCK);
    g_assert_cmpstr(inhibit_mode_name(INHIBIT_DELAY), ==, "delay");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/inhibitors/order", test_order);
    g_test_add_func("/inhibitors/numbers", test_numbers);
    g_test_add_func("/inhibitors/texts", test_texts);
    g_test_add_func("/inhibitors/modes", test_modes);
    return g_test_run();
}
