/*
 * What the keeper tells, and when: once, from the loop, and never from inside a call.
 */
#include "engine/model-keeper.h"
#include "fake-kernel.h"
#include "system/units.h"

typedef struct {
    FakeKernel *fake;
    AttrIo *io;
    ModelKeeper *keeper;
    guint n_told;
    guint depth; /* of calls of on_change() that have not returned */
    guint n_added;
    BlockState before, now; /* of block 9, as the last change had it */
    gboolean looks_again;
} World;

static void look_at(World *world, guint32 index)
{
    model_keeper_reread(world->keeper, &index, 1);
}

static void on_change(const ModelChange *change, gpointer user_data)
{
    World *world = user_data;
    const Block *before = snapshot_find_block(change->before, 9);
    const Block *now = snapshot_find_block(change->now, 9);

    g_assert_cmpuint(world->depth++, ==, 0);
    world->n_told++;
    world->n_added = change->n_added;
    world->before = before ? before->state : BLOCK_STATE_UNKNOWN;
    world->now = now ? now->state : BLOCK_STATE_UNKNOWN;
    if (world->looks_again) {
        world->looks_again = FALSE;
        fake_kernel_set_state(world->fake, 9, "offline", NULL);
        look_at(world, 9);
        g_assert_cmpint(snapshot_find_block(change->now, 9)->state, ==, world->now);
    }
    world->depth--;
}

static void set_up(World *world, G_GNUC_UNUSED gconstpointer data)
{
    world->fake = fake_kernel_new(128 * MIB);
    world->io = fake_kernel_io(world->fake);
    fake_kernel_add_boot(world->fake, 0, 8);
    fake_kernel_add_dimm(world->fake, 0, 8, 2);
    world->keeper = model_keeper_new(world->io, 0, on_change, world, NULL);
}

static void tear_down(World *world, G_GNUC_UNUSED gconstpointer data)
{
    model_keeper_free(world->keeper);
    attr_io_free(world->io);
    fake_kernel_free(world->fake);
}

static void run_loop(void)
{
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

static void test_told_from_the_loop(World *world, G_GNUC_UNUSED gconstpointer data)
{
    fake_kernel_set_state(world->fake, 9, "online", "Movable");
    look_at(world, 9);
    g_assert_cmpint(snapshot_find_block(model_keeper_snapshot(world->keeper), 9)->state, ==,
                    BLOCK_STATE_ONLINE);
    g_assert_cmpuint(world->n_told, ==, 0);
    run_loop();
    g_assert_cmpuint(world->n_told, ==, 1);
    g_assert_cmpint(world->before, ==, BLOCK_STATE_OFFLINE);
    g_assert_cmpint(world->now, ==, BLOCK_STATE_ONLINE);
}

static void test_several_are_told_as_one(World *world, G_GNUC_UNUSED gconstpointer data)
{
    fake_kernel_set_state(world->fake, 9, "online", "Movable");
    look_at(world, 9);
    fake_kernel_add_dimm(world->fake, 1, 10, 1);
    look_at(world, 10);
    fake_kernel_remove_dimm(world->fake, 0);
    look_at(world, 9);
    run_loop();
    g_assert_cmpuint(world->n_told, ==, 1);
    g_assert_cmpuint(world->n_added, ==, 1);
    g_assert_cmpint(world->before, ==, BLOCK_STATE_OFFLINE);
    g_assert_cmpint(world->now, ==, BLOCK_STATE_UNKNOWN); /* gone */
}

/* on_change() itself holds that it is not entered again. */
static void test_a_look_while_told(World *world, G_GNUC_UNUSED gconstpointer data)
{
    world->looks_again = TRUE;
    fake_kernel_set_state(world->fake, 9, "online", "Movable");
    look_at(world, 9);
    run_loop();
    g_assert_cmpuint(world->n_told, ==, 2);
    g_assert_cmpint(world->before, ==, BLOCK_STATE_ONLINE);
    g_assert_cmpint(world->now, ==, BLOCK_STATE_OFFLINE);
}

static void test_a_look_without_news(World *world, G_GNUC_UNUSED gconstpointer data)
{
    look_at(world, 9);
    run_loop();
    g_assert_cmpuint(world->n_told, ==, 0);
}

static void test_freed_before_it_told(World *world, G_GNUC_UNUSED gconstpointer data)
{
    fake_kernel_set_state(world->fake, 9, "online", "Movable");
    look_at(world, 9);
    g_clear_pointer(&world->keeper, model_keeper_free);
    run_loop();
    g_assert_cmpuint(world->n_told, ==, 0);
}

#define ADD(path, test) g_test_add(path, World, NULL, set_up, test, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/model-keeper/told-from-the-loop", test_told_from_the_loop);
    ADD("/model-keeper/several-are-told-as-one", test_several_are_told_as_one);
    ADD("/model-keeper/a-look-while-told", test_a_look_while_told);
    ADD("/model-keeper/a-look-without-news", test_a_look_without_news);
    ADD("/model-keeper/freed-before-it-told", test_freed_before_it_told);
    return g_test_run();
}
