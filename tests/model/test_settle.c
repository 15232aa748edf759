/* Weights move from the mapped cache into memory, and nothing that is computed changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_int.h"
#include "tiny_model.h"

struct fixture {
    char *dir, *cache;
    struct gguf *g;
    struct model *m;
    uint8_t *want; /* the packed weights */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct error err = {0};
    struct tiny_model t;
    char path[512];
    f->dir = tiny_make_dir();
    f->cache = tiny_make_dir();
    snprintf(path, sizeof path, "%s/model.gguf", f->dir);
    tiny_init(&t, "qwen2");
    tiny_write(&t, path);
    struct model_options opt = {.n_threads = 2, .cache_dir = f->cache};
    if (gguf_open(path, &f->g, &err) || model_open(f->g, &opt, &f->m, &err)) fail_msg("%s", err.msg);
    assert_true(f->m->packed_mapped);
    f->want = malloc(f->m->packed_bytes);
    assert_non_null(f->want);
    memcpy(f->want, f->m->packed, f->m->packed_bytes);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    model_close(f->m);
    gguf_close(f->g);
    tiny_remove_dir(f->dir);
    tiny_remove_dir(f->cache);
    free(f->dir);
    free(f->cache);
    free(f->want);
    free(f);
    return 0;
}

/* All matrices, wherever they lie now; how many have left the mapping. */
static size_t check_weights(const struct fixture *f, const uint8_t *from, uint64_t bytes)
{
    const struct model *m = f->m;
    size_t moved = 0;
    for (size_t i = 0, at = 0; i < m->n_stages * STAGE_MATRICES; i++) {
        const struct weight *w = &m->stages[i / STAGE_MATRICES].w[i % STAGE_MATRICES];
        if (!w->src) continue;
        size_t n = w->part_bytes * w->n_parts;
        assert_memory_equal(w->mat.data, f->want + at, n);
        moved += w->mat.data < from || w->mat.data >= from + bytes;
        at += (n + 63) / 64 * 64;
    }
    return moved;
}

static void test_moves_one_by_one(void **state)
{
    struct fixture *f = *state;
    struct model *m = f->m;
    const uint8_t *from = m->packed;
    uint64_t bytes = m->packed_bytes;
    size_t moved = 0;
    m->settle.forced = true;
    while (model_settle_copy(m)) {
        assert_int_equal(check_weights(f, from, bytes), moved);
        if (!model_settle_ready(m)) continue;
        model_settle_use(m);
        moved++;
        if (m->packed_mapped) assert_int_equal(check_weights(f, from, bytes), moved);
    }
    assert_true(moved > 10);
    assert_false(m->packed_mapped);
    assert_memory_equal(m->packed, f->want, bytes);
    check_weights(f, from, bytes);
    assert_false(model_settle_copy(m));
    model_settle_use(m); /* nothing waits: nothing happens */
    assert_memory_equal(m->packed, f->want, bytes);
}

static void test_closed_midway(void **state)
{
    struct fixture *f = *state;
    f->m->settle.forced = true;
    for (int i = 0; i < 5; i++) {
        assert_true(model_settle_copy(f->m));
        model_settle_use(f->m);
    }
    check_weights(f, f->m->packed, f->m->packed_bytes);
}

static void test_small_models_stay(void **state)
{
    struct fixture *f = *state;
    assert_false(model_settle_copy(f->m));
    assert_true(f->m->packed_mapped);
}

static void test_memory_stays(void **state)
{
    struct fixture *f = *state;
    f->m->packed_mapped = false; /* as weights are that no cache holds */
    f->m->settle.forced = true;
    assert_false(model_settle_copy(f->m));
    f->m->packed_mapped = true;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_moves_one_by_one),
        TEST(test_closed_midway),
        TEST(test_small_models_stay),
        TEST(test_memory_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
