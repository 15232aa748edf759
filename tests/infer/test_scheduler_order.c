/* Which requests come first, and how they end early. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/clock.h"
#include "sched_world.h"

/* ---- who comes first ------------------------------------------------------------------------- */

static void test_clients_take_turns(void **state)
{
    (void)state;
    struct world w;
    enum { N = 12 };
    struct got greedy[N], modest;
    int32_t prompt[N][400], small[40];
    open_world(&w, (struct fake_options){.row_us = 50},
               (struct sched_options){.kv_tokens = 32768, .max_rows = 64, .max_running = 4});
    for (size_t i = 0; i < N; i++) {
        kit_tokens(prompt[i], 400, i + 50, N_VOCAB);
        struct sched_request r = kit_request(prompt[i], 400, 2);
        r.client = "greedy";
        submit(&w, &r, &greedy[i]);
    }
    kit_tokens(small, 40, 4, N_VOCAB);
    struct sched_request r = kit_request(small, 40, 2);
    r.client = "modest";
    submit(&w, &r, &modest);
    got_wait(&modest);
    size_t before = 0;
    for (size_t i = 0; i < N; i++) {
        got_wait(&greedy[i]);
        before += greedy[i].done_at < modest.done_at;
        got_fini(&greedy[i]);
    }
    assert_true(before <= 4); /* a turn's rows, of a queue of 12 */
    got_fini(&modest);
    close_world(&w);
}

static void test_completions_go_first(void **state)
{
    (void)state;
    struct world w;
    enum { N = 10 };
    struct got g[SCHED_CLASSES][N];
    int32_t prompt[SCHED_CLASSES][N][200];
    double last[SCHED_CLASSES] = {0}, first[SCHED_CLASSES] = {1e300, 1e300, 1e300};
    open_world(&w, (struct fake_options){.row_us = 50},
               (struct sched_options){.kv_tokens = 32768, .max_rows = 64, .ageing_ms = 1e9});
    for (size_t i = 0; i < N; i++)
        for (int cls = SCHED_CLASSES - 1; cls >= 0; cls--) {
            kit_tokens(prompt[cls][i], 200, (uint64_t)cls * 100 + i, N_VOCAB);
            struct sched_request r = kit_request(prompt[cls][i], 200, 1);
            r.cls = (enum sched_class)cls;
            submit(&w, &r, &g[cls][i]);
        }
    for (int cls = 0; cls < SCHED_CLASSES; cls++)
        for (size_t i = 0; i < N; i++) {
            got_wait(&g[cls][i]);
            if (g[cls][i].done_at > last[cls]) last[cls] = g[cls][i].done_at;
            if (i > 0 && g[cls][i].done_at < first[cls]) first[cls] = g[cls][i].done_at;
            got_fini(&g[cls][i]);
        }
    /* All but the first, which was alone when it came. */
    assert_true(last[SCHED_COMPLETION] < first[SCHED_CHAT]);
    assert_true(last[SCHED_CHAT] < first[SCHED_BACKGROUND]);
    close_world(&w);
}

/* Completions come without a pause; the background request is served all the same. */
static void test_what_waits_long_gets_its_turn(void **state)
{
    (void)state;
    struct world w;
    struct got low, g[40];
    int32_t prompt[40][300], own[64];
    open_world(&w, (struct fake_options){.row_us = 50},
               (struct sched_options){.kv_tokens = 65536, .max_rows = 64, .ageing_ms = 20});
    for (size_t i = 0; i < 40; i++) {
        kit_tokens(prompt[i], 300, i + 10, N_VOCAB);
        struct sched_request r = kit_request(prompt[i], 300, 1);
        r.cls = SCHED_COMPLETION;
        submit(&w, &r, &g[i]);
    }
    kit_tokens(own, 64, 1, N_VOCAB);
    struct sched_request r = kit_request(own, 64, 1);
    r.cls = SCHED_BACKGROUND;
    submit(&w, &r, &low);
    got_wait(&low);
    size_t after = 0;
    for (size_t i = 0; i < 40; i++) {
        got_wait(&g[i]);
        after += g[i].done_at > low.done_at;
        got_fini(&g[i]);
    }
    assert_true(after > 10);
    got_fini(&low);
    close_world(&w);
}

/* Short prompts leave no room for the long one, until it has waited long. */
static void test_long_prompts_get_their_pages(void **state)
{
    (void)state;
    enum { N = 60 };
    struct world w;
    struct got big, g[N];
    int32_t prompt[N][100], own[490];
    open_world(&w, (struct fake_options){.pass_us = 300},
               (struct sched_options){.kv_tokens = N_CTX + 32, .ageing_ms = 5, .no_cache = true});
    for (size_t i = 0; i < N; i++) {
        kit_tokens(prompt[i], 100, i + 10, N_VOCAB);
        struct sched_request r = kit_request(prompt[i], 100, 20 + 7 * (i % 5));
        if (i == 3) {
            kit_tokens(own, 490, 1, N_VOCAB);
            struct sched_request b = kit_request(own, 490, 1);
            submit(&w, &b, &big);
        }
        submit(&w, &r, &g[i]);
    }
    got_wait(&big);
    size_t after = 0;
    for (size_t i = 0; i < N; i++) {
        got_wait(&g[i]);
        after += g[i].done_at > big.done_at;
        got_fini(&g[i]);
    }
    assert_true(after > N / 4);
    got_fini(&big);
    close_world(&w);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void test_supersede(void **state)
{
    (void)state;
    struct world w;
    struct got old, other, plain, new;
    int32_t prompt[400];
    open_world(&w, (struct fake_options){.pass_us = 1000},
               (struct sched_options){.kv_tokens = 8192});
    kit_tokens(prompt, 400, 3, N_VOCAB);
    struct sched_request r = kit_request(prompt, 100, 200);
    r.client = "a";
    submit(&w, &r, &plain); /* not a completion that can be replaced */
    r.supersedes = true;
    submit(&w, &r, &old);
    r.client = "b";
    submit(&w, &r, &other);
    wait_running(&w, SCHED_CHAT, 3);
    r.client = "a";
    r.max_tokens = 3;
    submit(&w, &r, &new);
    got_wait(&old);
    assert_int_equal(old.result.finish, FINISH_SUPERSEDED);
    got_wait(&new);
    assert_int_equal(new.result.finish, FINISH_LENGTH);
    assert_true(old.done_at < new.done_at);
    got_wait(&plain);
    got_wait(&other);
    assert_int_equal(plain.result.finish, FINISH_LENGTH);
    assert_int_equal(other.result.finish, FINISH_LENGTH);
    got_fini(&old);
    got_fini(&other);
    got_fini(&plain);
    got_fini(&new);
    close_world(&w);
}

/* Waiting, reading its prompt, writing: a step later its pages are back. */
static void test_cancel_in_every_phase(void **state)
{
    (void)state;
    struct world w;
    struct got g[3];
    int32_t prompt[400];
    open_world(&w, (struct fake_options){.row_us = 100},
               (struct sched_options){.kv_tokens = 2048, .max_rows = 32, .max_running = 1});
    kit_tokens(prompt, 400, 3, N_VOCAB);
    struct sched_request r = kit_request(prompt, 400, 400);
    submit(&w, &r, &g[0]);
    submit(&w, &r, &g[1]);
    submit(&w, &r, &g[2]);
    wait_running(&w, SCHED_CHAT, 1);
    double start = clock_now();
    assert_true(scheduler_cancel(w.s, g[1].ticket)); /* it waits */
    got_wait(&g[1]);
    assert_true(scheduler_cancel(w.s, g[0].ticket)); /* it reads */
    got_wait(&g[0]);
    assert_true(clock_now() - start < 0.2);
    assert_false(scheduler_cancel(w.s, g[0].ticket));
    assert_false(scheduler_cancel(w.s, 12345));
    assert_int_equal(g[0].result.finish, FINISH_CANCELLED);
    assert_int_equal(g[1].result.finish, FINISH_CANCELLED);
    assert_int_equal(g[1].n[0], 0);
    assert_true(scheduler_cancel(w.s, g[2].ticket));
    got_wait(&g[2]);
    for (int i = 0; i < 3; i++) got_fini(&g[i]);

    /* From the callback, at the fifth token. */
    got_init(&g[0], &r);
    g[0].s = w.s;
    g[0].cancel_at = 5;
    struct error err;
    r.max_tokens = 100;
    assert_int_equal(scheduler_submit(w.s, &r, &g[0].ticket, &err), OK);
    got_wait(&g[0]);
    assert_int_equal(g[0].result.finish, FINISH_CANCELLED);
    assert_int_equal(g[0].n[0], 5);
    got_fini(&g[0]);
    got_init(&g[0], &r);
    g[0].give_up_at = 7;
    assert_int_equal(scheduler_submit(w.s, &r, &g[0].ticket, &err), OK);
    got_wait(&g[0]);
    assert_int_equal(g[0].result.finish, FINISH_CALLBACK);
    assert_int_equal(g[0].n[0], 7);
    got_fini(&g[0]);
    close_world(&w);
}

static void test_deadlines(void **state)
{
    (void)state;
    struct world w;
    struct got g;
    int32_t prompt[100];
    open_world(&w, (struct fake_options){.pass_us = 2000},
               (struct sched_options){.kv_tokens = 2048});
    kit_tokens(prompt, 100, 3, N_VOCAB);
    struct sched_request r = kit_request(prompt, 100, 400);
    r.deadline_ms = -1;
    submit(&w, &r, &g);
    got_wait(&g);
    assert_int_equal(g.result.finish, FINISH_DEADLINE);
    assert_int_equal(g.n[0], 0);
    got_fini(&g);
    r.deadline_ms = 60;
    double start = clock_now();
    submit(&w, &r, &g);
    got_wait(&g);
    assert_int_equal(g.result.finish, FINISH_DEADLINE);
    assert_true(g.n[0] > 0 && g.n[0] < 40);
    assert_true(g.done_at - start < 1);
    got_fini(&g);
    close_world(&w);
}

static void test_destroy_ends_all(void **state)
{
    (void)state;
    struct world w;
    struct got g[20];
    int32_t prompt[300];
    open_world(&w, (struct fake_options){.pass_us = 500},
               (struct sched_options){.kv_tokens = 2048});
    kit_tokens(prompt, 300, 3, N_VOCAB);
    struct sched_request r = kit_request(prompt, 300, 200);
    for (int i = 0; i < 20; i++) submit(&w, &r, &g[i]);
    wait_running(&w, SCHED_CHAT, 1);
    assert_false(scheduler_drain(w.s, 5));
    struct error err;
    assert_int_equal(scheduler_submit(w.s, &r, NULL, &err), ERR_BUSY);
    scheduler_destroy(w.s);
    for (int i = 0; i < 20; i++) {
        assert_true(g[i].done);
        assert_int_equal(g[i].result.finish, FINISH_CANCELLED);
        got_fini(&g[i]);
    }
    engine_close(w.e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clients_take_turns),
        cmocka_unit_test(test_completions_go_first),
        cmocka_unit_test(test_what_waits_long_gets_its_turn),
        cmocka_unit_test(test_long_prompts_get_their_pages),
        cmocka_unit_test(test_supersede),
        cmocka_unit_test(test_cancel_in_every_phase),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_destroy_ends_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
