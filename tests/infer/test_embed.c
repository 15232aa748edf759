/* Embedding and reranking: the same bits in whatever company, and every way out of a failure. What
 * the numbers are is held to transformers in tests/e2e/test_embed.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "infer/embed.h"
#include "infer/engine.h"

#define EMBED(name) GOLDEN_DIR "/embed/" name ".gguf"

/* ---- failures ---------------------------------------------------------------------------------
 */

static int until_failure;

static bool fails_now(void)
{
    if (__atomic_load_n(&until_failure, __ATOMIC_RELAXED) == 0) return false;
    return __atomic_sub_fetch(&until_failure, 1, __ATOMIC_RELAXED) == 0;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
    return fails_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails_now() ? NULL : __real_realloc(p, n);
}

/* ---- texts ------------------------------------------------------------------------------------
 */

enum { N_TEXTS = 100, MAX_TEXT = 400 };

static char letters[N_TEXTS][MAX_TEXT];
static struct text_str texts[N_TEXTS];

static void make_texts(void)
{
    static const char *const words[] = {"sort",    "a", "list",   "trees",
                                        "reading", "x", "value.", "zq"};
    uint32_t seed = 7;
    for (size_t t = 0; t < N_TEXTS; t++) {
        size_t n_words = (t * 37 % 41) / (t % 3 + 1), len = 0;
        for (size_t i = 0; i < n_words; i++) {
            seed = seed * 1664525 + 1013904223;
            len += (size_t)snprintf(letters[t] + len, MAX_TEXT - len, "%s ", words[seed >> 29]);
        }
        texts[t] = (struct text_str){letters[t], len};
    }
}

static struct engine *engine(const char *path, int n_threads)
{
    struct engine *e;
    struct error err = {0};
    struct engine_options opt = {.n_threads = n_threads};
    if (engine_open(path, &opt, &e, &err)) fail_msg("%s", err.msg);
    return e;
}

static struct embeddings embed(struct engine *e, const struct text_str *t, size_t n,
                               const struct embed_options *opt)
{
    struct embeddings v;
    struct error err = {0};
    if (engine_embed(e, t, n, opt, &v, &err)) fail_msg("%s", err.msg);
    assert_int_equal(v.n_texts, n);
    return v;
}

static void assert_vectors(const struct embeddings *a, size_t i, const struct embeddings *b,
                           size_t j)
{
    size_t n = a->first[i + 1] - a->first[i];
    assert_int_equal(a->dim, b->dim);
    assert_int_equal(n, b->first[j + 1] - b->first[j]);
    assert_memory_equal(a->data + a->first[i] * a->dim, b->data + b->first[j] * b->dim,
                        n * a->dim * sizeof(float));
}

/* ---- tests ------------------------------------------------------------------------------------
 */

static const char *const models[] = {EMBED("bert-mean"), EMBED("bert-cls"), EMBED("qwen3-last")};

static void test_company_does_not_matter(void **state)
{
    (void)state;
    static const size_t batches[] = {1, 50, 100, 4096};
    for (size_t m = 0; m < 3; m++) {
        struct engine *e = engine(models[m], 1);
        struct embeddings all = embed(e, texts, N_TEXTS, NULL);
        for (size_t i = 0; i < N_TEXTS; i++) {
            struct embeddings one = embed(e, &texts[i], 1, NULL);
            assert_vectors(&all, i, &one, 0);
            embeddings_fini(&one);
        }
        engine_close(e);
        for (size_t b = 0; b < 4; b++) {
            struct embed_options opt = {.batch_tokens = batches[b]};
            e = engine(models[m], b == 1 ? 3 : 2);
            struct embeddings v = embed(e, texts, N_TEXTS, &opt);
            for (size_t i = 0; i < N_TEXTS; i++) assert_vectors(&all, i, &v, i);
            embeddings_fini(&v);
            engine_close(e);
        }
        embeddings_fini(&all);
    }
}

static void test_every_token(void **state)
{
    (void)state;
    struct engine *e = engine(EMBED("bert-mean"), 2);
    struct embed_options none = {.pooling = EMBED_POOL_NONE, .raw = true};
    struct embed_options mean = {.pooling = EMBED_POOL_MEAN, .raw = true};
    struct embeddings rows = embed(e, texts, N_TEXTS, &none), v = embed(e, texts, N_TEXTS, &mean);
    assert_int_equal(rows.first[N_TEXTS], rows.n_tokens);
    assert_int_equal(v.first[N_TEXTS], N_TEXTS);
    for (size_t t = 0; t < N_TEXTS; t++) {
        size_t n = rows.first[t + 1] - rows.first[t];
        for (size_t d = 0; d < v.dim; d++) {
            double sum = 0;
            for (size_t r = rows.first[t]; r < rows.first[t + 1]; r++)
                sum += (double)rows.data[r * v.dim + d];
            assert_true(fabs(sum / (double)n - (double)v.data[t * v.dim + d]) < 1e-5);
        }
    }
    embeddings_fini(&rows);
    embeddings_fini(&v);
    /* No texts are fine. */
    v = embed(e, texts, 0, NULL);
    assert_int_equal(v.first[0], 0);
    embeddings_fini(&v);
    engine_close(e);
}

/* A decoder's text goes in parts where it is longer than a batch. */
static void test_parts(void **state)
{
    (void)state;
    struct engine *e = engine(EMBED("qwen3-last"), 2);
    for (size_t batch = 3; batch < 20; batch += 13) {
        struct embed_options whole = {.pooling = EMBED_POOL_NONE}, parts = whole;
        parts.batch_tokens = batch;
        struct embeddings a = embed(e, texts, N_TEXTS, &whole),
                          b = embed(e, texts, N_TEXTS, &parts);
        for (size_t t = 0; t < N_TEXTS; t++) assert_vectors(&a, t, &b, t);
        embeddings_fini(&a);
        embeddings_fini(&b);
    }
    engine_close(e);
}

static void test_length_one(void **state)
{
    (void)state;
    struct engine *e = engine(EMBED("bert-cls"), 1);
    struct embeddings v = embed(e, texts, N_TEXTS, NULL);
    for (size_t t = 0; t < N_TEXTS; t++) {
        double sum = 0;
        for (size_t d = 0; d < v.dim; d++) sum += pow((double)v.data[t * v.dim + d], 2);
        assert_true(fabs(sum - 1) < 1e-5);
    }
    embeddings_fini(&v);
    engine_close(e);
}

static void test_refusals(void **state)
{
    (void)state;
    static char words[1000];
    for (size_t i = 0; i < sizeof words; i++) words[i] = i % 2 ? 'x' : ' ';
    struct text_str t[] = {texts[1], {words, sizeof words}};
    struct engine *e = engine(EMBED("bert-mean"), 2), *r = engine(EMBED("bert-rank"), 1);
    struct embeddings v;
    struct error err = {0};
    float scores[2];
    assert_int_equal(engine_embed(e, t, 2, NULL, &v, &err), ERR_LIMIT);
    assert_null(v.data);
    struct embed_options opt = {.truncate = true};
    v = embed(e, t, 2, &opt);
    assert_int_equal(v.n_truncated, 1);
    assert_true(v.n_tokens < 80 + 60);
    embeddings_fini(&v);
    int cancel = 1;
    opt.cancel = &cancel;
    assert_int_equal(engine_embed(e, t, 2, &opt, &v, &err), ERR_CANCELLED);
    assert_null(v.data);
    opt.cancel = NULL;
    assert_int_equal(engine_embed(r, t, 1, NULL, &v, &err), ERR_UNSUPPORTED);
    assert_int_equal(engine_rerank(e, t[0], t, 1, NULL, scores, &err), ERR_UNSUPPORTED);
    assert_int_equal(engine_rerank(r, t[0], t, 2, NULL, scores, &err), ERR_LIMIT);
    assert_int_equal(engine_rerank(r, t[0], t, 2, &opt, scores, &err), OK);
    assert_int_equal(engine_rerank(r, t[1], t, 2, &opt, scores, &err), ERR_LIMIT);
    struct session *s;
    assert_int_equal(session_create(e, 0, &s, &err), ERR_UNSUPPORTED);
    engine_close(e);
    engine_close(r);
}

static void test_ranking(void **state)
{
    (void)state;
    static const char *const rankers[] = {EMBED("bert-rank"), EMBED("xlm-roberta-rank")};
    static float all[N_TEXTS], again[N_TEXTS], one;
    struct error err = {0};
    struct embed_options opt = {.truncate = true}, small = {.truncate = true, .batch_tokens = 20};
    for (size_t m = 0; m < 2; m++) {
        struct engine *e = engine(rankers[m], 2);
        assert_int_equal(engine_rerank(e, texts[3], texts, N_TEXTS, &opt, all, &err), OK);
        assert_int_equal(engine_rerank(e, texts[3], texts, N_TEXTS, &small, again, &err), OK);
        assert_memory_equal(all, again, sizeof all);
        for (size_t i = 0; i < N_TEXTS; i += 7) {
            assert_int_equal(engine_rerank(e, texts[3], &texts[i], 1, &opt, &one, &err), OK);
            assert_memory_equal(&one, &all[i], sizeof one);
        }
        engine_close(e);
    }
}

/* ---- several callers --------------------------------------------------------------------------
 */

struct caller {
    struct engine *e;
    const struct embeddings *want;
    size_t from;
    bool same;
};

static void *call(void *ctx)
{
    struct caller *c = ctx;
    struct embeddings v;
    c->same = true;
    for (int round = 0; round < 3; round++) {
        size_t n = N_TEXTS - c->from;
        if (engine_embed(c->e, texts + c->from, n, NULL, &v, NULL)) {
            c->same = false;
            return NULL;
        }
        c->same &= memcmp(v.data, c->want->data + c->from * v.dim, n * v.dim * sizeof(float)) == 0;
        embeddings_fini(&v);
    }
    return NULL;
}

static void test_callers_share_an_engine(void **state)
{
    (void)state;
    struct engine *e = engine(EMBED("bert-mean"), 2);
    struct embeddings want = embed(e, texts, N_TEXTS, NULL);
    struct caller callers[3];
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++) {
        callers[i] = (struct caller){e, &want, i * 30, false};
        assert_int_equal(pthread_create(&threads[i], NULL, call, &callers[i]), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_true(callers[i].same);
    }
    embeddings_fini(&want);
    engine_close(e);
}

static void test_every_failure(void **state)
{
    (void)state;
    struct engine *e = engine(EMBED("bert-mean"), 1), *r = engine(EMBED("bert-rank"), 1);
    struct embeddings want = embed(e, texts, 5, NULL), v;
    struct error err = {0};
    float scores[5];
    bool done = false;
    int n;
    for (n = 1; !done; n++) {
        until_failure = n;
        enum status st = engine_embed(e, texts, 5, NULL, &v, &err);
        enum status rank = engine_rerank(r, texts[5], texts, 5, NULL, scores, &err);
        done = until_failure > 0;
        until_failure = 0;
        assert_true(st == OK || st == ERR_NOMEM);
        assert_true(rank == OK || rank == ERR_NOMEM);
        if (st == OK) {
            assert_memory_equal(v.data, want.data, 5 * want.dim * sizeof(float));
            embeddings_fini(&v);
        }
    }
    assert_true(n > 20);
    embeddings_fini(&want);
    engine_close(e);
    engine_close(r);
}

int main(void)
{
    make_texts();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_company_does_not_matter),
        cmocka_unit_test(test_every_token),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_length_one),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_ranking),
        cmocka_unit_test(test_callers_share_an_engine),
        cmocka_unit_test(test_every_failure),
    };
    return cmocka_run_group_tests_name("embed", tests, NULL, NULL);
}
