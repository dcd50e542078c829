/*
 * guest-set-memory-blocks' requests: what a large request costs, and its guard.
 */
#include "engine/block-requests.h"

#include <errno.h>

#include "decide/online-policy.h"
#include "unplugger-fixture.h"

#define MANY 1000

typedef struct {
    guint n_answers;
    guint n_entries;
    BlockSetEntry first;
} Answer;

static void on_set(const BlockSetEntry *entries, guint n, gpointer user_data)
{
    Answer *answer = user_data;

    answer->n_answers++;
    answer->n_entries = n;
    answer->first = entries[0];
}

static GArray *plan_none(G_GNUC_UNUSED const guint32 *indices, G_GNUC_UNUSED guint n,
                         G_GNUC_UNUSED gpointer user_data)
{
    return g_array_new(FALSE, FALSE, sizeof(OnlineStep));
}

/* A policy that wants every block but the first in a kernel zone. */
static GArray *plan_kernel(const guint32 *indices, guint n, G_GNUC_UNUSED gpointer user_data)
{
    GArray *plan = g_array_new(FALSE, FALSE, sizeof(OnlineStep));

    for (guint i = 0; i < n; i++) {
        OnlineStep step = {.index = indices[i], .verb = "online_kernel"};
        if (indices[i] != WORLD_FIRST)
            g_array_append_val(plan, step);
    }
    return plan;
}

/* Online as the policy says, and where it says nothing, so that it can be given back. */
static void test_policy(World *world, G_GNUC_UNUSED gconstpointer data)
{
    const BlockSetEntry entries[] = {{.phys_index = WORLD_FIRST + 1, .online = TRUE},
                                     {.phys_index = WORLD_FIRST, .online = TRUE}};
    BlockRequests *requests = block_requests_new(world->io, world->keeper, world->executor,
                                                 world->unplugger, plan_kernel, NULL);
    Answer answer = {.n_answers = 0};

    for (guint i = 0; i < 2; i++)
        fake_kernel_set_state(world->fake, WORLD_FIRST + i, "offline", NULL);
    model_keeper_catch_up(world->keeper);
    g_assert_true(block_requests_add(requests, entries, 2, on_set, &answer));
    while (answer.n_answers == 0)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(answer.first.result, ==, BLOCK_SET_SUCCESS);
    g_assert_cmpstr(fake_kernel_zone(world->fake, WORLD_FIRST), ==, "Movable");
    g_assert_cmpstr(fake_kernel_zone(world->fake, WORLD_FIRST + 1), ==, "Normal");
    executor_free(world->executor);
    block_requests_free(requests);
    world->executor = NULL;
}

/* The loop reads next to nothing for a request, however often it names a block. */
static void test_large_request(World *world, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree BlockSetEntry *entries = g_new0(BlockSetEntry, MANY);
    BlockRequests *requests = block_requests_new(world->io, world->keeper, world->executor,
                                                 world->unplugger, plan_none, NULL);
    Answer answer = {.n_answers = 0};

    for (guint i = 0; i < MANY; i++)
        entries[i].phys_index = WORLD_FIRST;
    guint64 before = fake_kernel_operations(world->fake);
    g_assert_true(block_requests_add(requests, entries, MANY, on_set, &answer));
    g_assert_cmpuint(fake_kernel_operations(world->fake) - before, <, 10);
    while (answer.n_answers == 0)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpuint(answer.n_entries, ==, MANY);
    g_assert_cmpint(answer.first.result, ==, BLOCK_SET_SUCCESS);
    executor_free(world->executor);
    block_requests_free(requests);
    world->executor = NULL;
}

/* What is not even tried, with the errno that the kernel would give. */
static void test_refusals(World *world, G_GNUC_UNUSED gconstpointer data)
{
    static const struct {
        guint64 index;
        BlockSetResult result;
        int error;
    } cases[] = {{WORLD_FIRST + 99, BLOCK_SET_NOT_FOUND, ENOENT},
                 {G_MAXUINT64, BLOCK_SET_NOT_FOUND, ENOENT},
                 {WORLD_FIRST, BLOCK_SET_FAILED, EBUSY},
                 {WORLD_FIRST + 1, BLOCK_SET_FAILED, EINVAL},
                 {WORLD_FIRST + 10, BLOCK_SET_FAILED, EPERM}};
    BlockRequests *requests = block_requests_new(world->io, world->keeper, world->executor,
                                                 world->unplugger, plan_none, NULL);

    fake_kernel_set_state(world->fake, WORLD_FIRST, "online", "Normal");
    fake_kernel_set_state(world->fake, WORLD_FIRST + 1, "online", "none");
    fake_kernel_add_block(world->fake, WORLD_FIRST + 10);
    fake_kernel_set_state(world->fake, WORLD_FIRST + 10, "online", "Movable");
    fake_kernel_set_firmware_node(world->fake, WORLD_FIRST + 10, "../../ACPI0017:00");
    model_keeper_catch_up(world->keeper);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        const BlockSetEntry entry = {.phys_index = cases[i].index};
        Answer answer = {.n_answers = 0};

        g_assert_true(block_requests_add(requests, &entry, 1, on_set, &answer));
        g_assert_cmpuint(answer.n_answers, ==, 1);
        g_assert_cmpint(answer.first.result, ==, cases[i].result);
        g_assert_cmpint(answer.first.error, ==, cases[i].error);
    }
    executor_free(world->executor);
    block_requests_free(requests);
    world->executor = NULL;
}

/* Memory that runs low ends the offline, and the answer says why. */
static void test_guard(World *world, G_GNUC_UNUSED gconstpointer data)
{
    const BlockSetEntry entry = {.phys_index = WORLD_FIRST};
    BlockRequests *requests = block_requests_new(world->io, world->keeper, world->executor,
                                                 world->unplugger, plan_none, NULL);
    Answer answer = {.n_answers = 0};

    fake_kernel_set_offline_ms(world->fake, WORLD_FIRST, FAKE_FOR_EVER);
    g_assert_true(block_requests_add(requests, &entry, 1, on_set, &answer));
    while (g_strcmp0(fake_kernel_state(world->fake, WORLD_FIRST), "going-offline") != 0)
        g_main_context_iteration(NULL, FALSE);
    fake_kernel_set_available(world->fake, 1 * MIB);
    while (answer.n_answers == 0)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(answer.first.result, ==, BLOCK_SET_FAILED);
    g_assert_cmpint(answer.first.error, ==, ENOMEM);
    world_assert_all_movable(world);
    executor_free(world->executor);
    block_requests_free(requests);
    world->executor = NULL;
}

/* The answer comes in time, and the attempt ends with it: nothing goes on that nobody asks about.
 */
static void test_end_of_time(World *world, G_GNUC_UNUSED gconstpointer data)
{
    const BlockSetEntry entry = {.phys_index = WORLD_FIRST};
    BlockRequests *requests = block_requests_new(world->io, world->keeper, world->executor,
                                                 world->unplugger, plan_none, NULL);
    Answer answer = {.n_answers = 0};

    fake_kernel_set_offline_ms(world->fake, WORLD_FIRST, FAKE_FOR_EVER);
    g_assert_true(block_requests_add(requests, &entry, 1, on_set, &answer));
    while (answer.n_answers == 0)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(answer.first.result, ==, BLOCK_SET_FAILED);
    g_assert_cmpint(answer.first.error, ==, ETIMEDOUT);
    for (guint n_left = 32000; n_left > 0 && executor_is_busy(world->executor); n_left--) {
        fake_kernel_set_used_pages(world->fake, WORLD_FIRST, n_left); /* pages move all the time */
        g_usleep(1000);
        g_main_context_iteration(NULL, FALSE);
    }
    g_assert_false(executor_is_busy(world->executor));
    world_assert_all_movable(world);
    executor_free(world->executor);
    block_requests_free(requests);
    world->executor = NULL;
}

#define ADD(name, func)                                                                            \
    g_test_add("/block-requests/" name, World, NULL, world_set_up, func, world_tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("policy", test_policy);
    ADD("large-request", test_large_request);
    ADD("refusals", test_refusals);
    ADD("guard", test_guard);
    ADD("end-of-time", test_end_of_time);
    return g_test_run();
}
