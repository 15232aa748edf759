/* The search among int8 vectors against floats, with vectors of every awkward sort. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/vector_store.h"
#include "index/vectors.h"

enum { DIM = 64, N = 3001, Q = 40 };

static uint32_t seed = 3;
static float rnd(void) { return seed = seed * 1664525u + 1013904223u, (float)(seed >> 8) / (1 << 23) - 1; }

static float all[N][DIM];

static void fill(struct vectors *v)
{
    struct error err;
    uint8_t packed[DIM + 4];
    *v = (struct vectors){.dim = DIM};
    assert_int_equal(kern_select(NULL, &v->ops, &err), OK);
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int k = 0; k < DIM; k++) all[i][k] = rnd();
        for (int k = 0; k < DIM; k++) sum += (double)all[i][k] * all[i][k];
        for (int k = 0; k < DIM; k++) all[i][k] = i == 5 ? 0 : all[i][k] / (float)sqrt(sum);
        vectors_pack(all[i], DIM, packed);
        assert_int_equal(vectors_add(v, 1000 + i, packed), OK);
    }
}

static float dot(const float *a, const float *b)
{
    float sum = 0;
    for (int k = 0; k < DIM; k++) sum += a[k] * b[k];
    return sum;
}

static void test_recall(void **state)
{
    (void)state;
    struct vectors v;
    struct error err;
    struct pool *pool;
    int found = 0;
    fill(&v);
    assert_int_equal(pool_create(2, &pool, &err), OK);
    for (int q = 0; q < Q; q++) {
        struct vectors_hit one[100], two[100];
        size_t n1, n2;
        const float *x = all[q * 70 + 1];
        assert_int_equal(vectors_scan(&v, NULL, x, one, 100, &n1), OK);
        assert_int_equal(vectors_scan(&v, pool, x, two, 100, &n2), OK);
        assert_int_equal(n1, 100);
        assert_int_equal(n1, n2);
        for (size_t i = 0; i < n1; i++) { /* threads change nothing */
            assert_int_equal(one[i].chunk, two[i].chunk);
            assert_memory_equal(&one[i].score, &two[i].score, sizeof one[i].score);
        }
        assert_int_equal(one[0].chunk, 1000 + q * 70 + 1);
        struct vectors_hit exact[10];
        size_t have = 0;
        for (int i = 0; i < N; i++) {
            struct vectors_hit h = {1000 + i, dot(all[i], x)};
            size_t at = have < 10 ? have++ : 9;
            if (at == 9 && have == 10 && i >= 10 && exact[9].score >= h.score) continue;
            for (; at > 0 && exact[at - 1].score < h.score; at--) exact[at] = exact[at - 1];
            exact[at] = h;
        }
        for (int k = 0; k < 10; k++)
            for (size_t i = 0; i < n1; i++) found += one[i].chunk == exact[k].chunk;
    }
    assert_true(found >= Q * 10 * 99 / 100);
    pool_destroy(pool);
    vectors_fini(&v);
}

static void test_small(void **state)
{
    (void)state;
    struct vectors v = {.dim = DIM};
    struct error err;
    struct vectors_hit hits[10];
    uint8_t packed[DIM + 4];
    float x[DIM] = {1}, y[DIM] = {0, -1};
    size_t n = 7;
    assert_int_equal(kern_select(NULL, &v.ops, &err), OK);
    assert_int_equal(vectors_scan(&v, NULL, x, hits, 10, &n), OK);
    assert_int_equal(n, 0);
    vectors_pack(y, DIM, packed);
    vectors_add(&v, 3, packed);
    vectors_pack(x, DIM, packed);
    vectors_add(&v, 9, packed);
    vectors_add(&v, 2, packed);
    assert_int_equal(vectors_scan(&v, NULL, x, hits, 10, &n), OK);
    assert_int_equal(n, 3);
    assert_int_equal(hits[0].chunk, 2); /* equal scores in the order of the chunks */
    assert_int_equal(hits[1].chunk, 9);
    assert_int_equal(hits[2].chunk, 3);
    assert_true(fabsf(hits[0].score - 1) < 0.01f && fabsf(hits[2].score) < 0.01f);
    vectors_fini(&v);
}

/* Equal code under one model has one key, wherever the model's file lies; the key leads back to the hash. */
static void test_keys(void **state)
{
    (void)state;
    uint8_t hash[VECTOR_KEY_BYTES], a[VECTOR_KEY_BYTES], b[VECTOR_KEY_BYTES];
    for (int i = 0; i < VECTOR_KEY_BYTES; i++) hash[i] = (uint8_t)(i * 37);
    assert_string_equal(vector_store_model("/home/one/minilm.gguf"), "minilm.gguf");
    assert_string_equal(vector_store_model("team/minilm"), "team/minilm");
    vector_store_key("/home/one/minilm.gguf", hash, a);
    vector_store_key("/srv/models/minilm.gguf", hash, b);
    assert_memory_equal(a, b, sizeof a);
    vector_store_key("/srv/models/other.gguf", hash, b);
    assert_memory_not_equal(a, b, sizeof a);
    vector_store_key("minilm.gguf", a, b);
    assert_memory_equal(b, hash, sizeof b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_recall), cmocka_unit_test(test_small),
                                       cmocka_unit_test(test_keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
