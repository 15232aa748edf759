/* Models that come and go: loaded once for all who ask, unloaded by time and by memory, never in
 * use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "infer/models.h"
#include "model/model.h"
#include "sched_kit.h"

#define A GOLDEN_DIR "/tiny/llama-gqa.gguf"
#define B GOLDEN_DIR "/tiny/qwen2.gguf"
#define C GOLDEN_DIR "/tiny/q4_0.gguf"

static struct models *create(uint64_t memory)
{
    struct models *m;
    struct error err;
    struct models_options opt = {.engine = {.n_threads = 1},
                                 .sched = {.n_ctx = 64, .kv_tokens = 256},
                                 .memory_bytes = memory};
    assert_int_equal(models_create(&opt, &m, &err), OK);
    return m;
}

static struct model_use *acquire(struct models *m, const char *path, double keep_ms)
{
    struct model_use *u;
    struct error err = {0};
    if (models_acquire(m, path, "a model", keep_ms, &u, &err) != OK) fail_msg("%s", err.msg);
    return u;
}

static void generate(struct model_use *u)
{
    struct got g;
    struct error err;
    int32_t prompt[20];
    kit_tokens(prompt, 20, 1, engine_model_info(model_use_engine(u))->n_vocab);
    struct sched_request r = kit_request(prompt, 20, 10);
    got_init(&g, &r);
    assert_int_equal(scheduler_submit(model_use_scheduler(u), &r, NULL, &err), OK);
    got_wait(&g);
    kit_expect_same(model_use_engine(u), 64, &r, 0, &g, 0);
    got_fini(&g);
}

struct seen {
    int a, b, c;
    uint64_t bytes;
    size_t users;
};

static void see(void *ctx, const struct model_status *s)
{
    struct seen *x = ctx;
    x->a += strcmp(s->path, A) == 0;
    x->b += strcmp(s->path, B) == 0;
    x->c += strcmp(s->path, C) == 0;
    x->bytes += s->bytes;
    x->users += s->users;
}

static struct seen look(struct models *m)
{
    struct seen x = {0};
    models_each(m, see, &x);
    return x;
}

static void test_opened_once(void **state)
{
    (void)state;
    struct models *m = create(0);
    struct model_use *u = acquire(m, A, -1), *v = acquire(m, A, -1), *w = acquire(m, B, -1);
    assert_ptr_equal(model_use_engine(u), model_use_engine(v));
    assert_ptr_not_equal(model_use_engine(u), model_use_engine(w));
    generate(u);
    generate(w);
    struct seen x = look(m);
    assert_int_equal(x.a + x.b, 2);
    assert_int_equal(x.users, 3);
    assert_true(x.bytes > 100000);
    models_release(u);
    models_release(v);
    models_release(w);
    usleep(20000);
    x = look(m);
    assert_int_equal(x.a + x.b, 2); /* kept for ever */
    assert_int_equal(x.users, 0);
    models_destroy(m);
}

static void wait_gone(struct models *m, const char *path)
{
    double end = clock_now() + 20;
    for (;;) {
        struct seen x = look(m);
        if (!(strcmp(path, A) == 0 ? x.a : x.b)) return;
        assert_true(clock_now() < end);
        usleep(1000);
    }
}

static void test_unloaded_by_time(void **state)
{
    (void)state;
    struct models *m = create(0);
    struct model_use *u = acquire(m, A, 500), *v = acquire(m, B, 0);
    usleep(150000);
    assert_int_equal(look(m).a + look(m).b, 2); /* in use */
    double start = clock_now();
    models_release(u);
    models_release(v);
    wait_gone(m, B);
    assert_int_equal(look(m).a, 1);
    wait_gone(m, A);
    assert_true(clock_now() - start > 0.49);
    u = acquire(m, A, -1); /* comes back */
    generate(u);
    assert_false(models_unload(m, B));
    assert_true(models_unload(m, A));
    usleep(20000);
    assert_int_equal(look(m).a, 1);
    models_release(u);
    wait_gone(m, A);
    models_destroy(m);
}

static void test_unloaded_by_memory(void **state)
{
    (void)state;
    struct error err;
    struct models *m = create(0);
    struct model_use *u = acquire(m, A, -1), *v = acquire(m, B, -1), *w;
    uint64_t both = look(m).bytes;
    models_release(u);
    models_release(v);
    models_destroy(m);
    m = create(both + 1000);
    u = acquire(m, A, -1);
    v = acquire(m, B, -1);
    assert_int_equal(models_acquire(m, C, "a model", -1, &w, &err), ERR_BUSY);
    assert_null(w);
    models_release(u);
    usleep(2000);
    models_release(v);
    w = acquire(m, C, -1); /* the one unused for longest goes, and no more than is needed */
    struct seen x = look(m);
    assert_int_equal(x.a, 0);
    assert_int_equal(x.c, 1);
    assert_true(x.bytes <= both + 1000);
    generate(w);
    models_release(w);
    models_destroy(m);
    m = create(1); /* one alone may be larger */
    u = acquire(m, A, -1);
    models_release(u);
    models_destroy(m);
}

static size_t generate_cached(struct model_use *u)
{
    struct got g;
    struct error err;
    int32_t prompt[40];
    kit_tokens(prompt, 40, 2, engine_model_info(model_use_engine(u))->n_vocab);
    struct sched_request r = kit_request(prompt, 40, 10);
    got_init(&g, &r);
    assert_int_equal(scheduler_submit(model_use_scheduler(u), &r, NULL, &err), OK);
    got_wait(&g);
    kit_expect_same(model_use_engine(u), 64, &r, 0, &g, 0);
    size_t n = g.result.n_cached;
    got_fini(&g);
    return n;
}

/* A model gives way to another, comes back, and finds the beginnings that it knew. */
static void test_beginnings_outlive_a_swap(void **state)
{
    (void)state;
    struct models *m;
    struct model_use *u, *v;
    struct error err;
    struct models_options opt = {
        .engine = {.n_threads = 1}, .sched = {.n_ctx = 64, .kv_tokens = 256}, .max_open = 1};
    assert_int_equal(models_create(&opt, &m, &err), OK);
    for (int turn = 0; turn < 3; turn++) {
        u = acquire(m, A, -1);
        assert_int_equal(generate_cached(u), turn ? 32 : 0);
        models_release(u);
        v = acquire(m, B, -1);
        assert_int_equal(look(m).a, 0);
        assert_true(models_kept_bytes(m) > 0);
        generate(v);
        models_release(v);
    }
    assert_false(models_unload(m, A)); /* who asks for the memory gets all of it */
    assert_int_equal(models_kept_bytes(m), 0);
    u = acquire(m, A, 0);
    assert_int_equal(generate_cached(u), 0);
    models_release(u);
    wait_gone(m, A);
    assert_int_equal(models_kept_bytes(m), 0); /* nor does it outlive its time */
    models_destroy(m);
}

static enum status attach(void *ctx, struct model_use *u, void **beside, struct error *err)
{
    int *count = ctx;
    if (strcmp(model_use_name(u), "unwanted") == 0)
        return error_set(err, ERR_UNSUPPORTED, "unwanted");
    *beside = count;
    count[0]++;
    return OK;
}

static void detach(void *beside)
{
    int *count = beside;
    count[1]++;
}

static void test_what_is_beside_lives_as_long(void **state)
{
    (void)state;
    int count[2] = {0};
    struct error err;
    struct models *m;
    struct model_use *u, *v;
    struct models_options opt = {.engine = {.n_threads = 1},
                                 .sched = {.n_ctx = 1 << 20, .kv_tokens = 1 << 20},
                                 .max_open = 1,
                                 .keep_ms = -1,
                                 .attach = attach,
                                 .detach = detach,
                                 .ctx = count};
    assert_int_equal(models_create(&opt, &m, &err), OK);
    assert_int_equal(models_acquire(m, A, "unwanted", NAN, &u, &err), ERR_UNSUPPORTED);
    assert_int_equal(look(m).a, 0);
    u = acquire(m, A, NAN);
    assert_ptr_equal(model_use_beside(u), count);
    assert_int_equal(scheduler_n_ctx(model_use_scheduler(u)),
                     engine_model_info(model_use_engine(u))->n_ctx_train);
    assert_int_equal(models_acquire(m, B, "b", NAN, &v, &err), ERR_BUSY); /* one at a time */
    models_release(u);
    u = acquire(m, B, NAN);
    assert_int_equal(count[0], 2);
    assert_int_equal(count[1], 1);
    models_release(u);
    models_destroy(m);
    assert_int_equal(count[1], 2);
}

static void test_errors(void **state)
{
    (void)state;
    struct error err;
    struct model_use *u;
    struct models *m = create(0);
    assert_int_equal(models_acquire(m, "/nonesuch.gguf", "a model", -1, &u, &err), ERR_NOT_FOUND);
    assert_int_equal(models_acquire(m, GOLDEN_DIR "/arch/qwen3.golden", "a model", -1, &u, &err),
                     ERR_FORMAT);
    assert_null(u);
    assert_int_equal(look(m).a, 0);
    models_destroy(m);
    models_destroy(NULL);
}

/* ---- threads --------------------------------------------------------------------------------- */

struct worker {
    struct models *m;
    uint64_t seed;
    int done, busy;
};

static void *work(void *arg)
{
    static const char *const paths[] = {A, B, C};
    struct worker *w = arg;
    uint64_t x = w->seed;
    for (int i = 0; i < 30; i++) {
        struct model_use *u;
        struct error err;
        double keep = (double)(kit_random(&x) % 3) - 1;
        enum status st = models_acquire(w->m, paths[kit_random(&x) % 3], "a model", keep, &u, &err);
        if (st == ERR_BUSY) {
            w->busy++;
            continue;
        }
        if (st != OK) return NULL;
        usleep((unsigned)(kit_random(&x) % 500));
        if (!model_use_engine(u) || !model_use_scheduler(u)) return NULL;
        models_release(u);
        w->done++;
    }
    return NULL;
}

static void test_many_threads(void **state)
{
    (void)state;
    struct models *m = create(0);
    struct model_use *u = acquire(m, A, -1);
    uint64_t one = look(m).bytes;
    models_release(u);
    models_destroy(m);
    m = create(2 * one + one / 2);
    struct worker w[4];
    pthread_t t[4];
    for (size_t i = 0; i < 4; i++) {
        w[i] = (struct worker){.m = m, .seed = i + 1};
        assert_int_equal(pthread_create(&t[i], NULL, work, &w[i]), 0);
    }
    int done = 0, busy = 0;
    for (size_t i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        done += w[i].done;
        busy += w[i].busy;
    }
    assert_int_equal(done + busy, 120);
    assert_true(done > 60);
    assert_int_equal(look(m).users, 0);
    models_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opened_once),
        cmocka_unit_test(test_unloaded_by_time),
        cmocka_unit_test(test_unloaded_by_memory),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_beginnings_outlive_a_swap),
        cmocka_unit_test(test_what_is_beside_lives_as_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
