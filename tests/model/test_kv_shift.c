/* Keys and values at other positions: keys of the first layer depend on token and position alone,
 * so that shifted ones must be those computed there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/gguf.h"
#include "model/kv_shift.h"
#include "model/model_int.h"

enum { LEAD = 37, N = 60 };

struct world {
    struct gguf *g;
    struct model *m;
    struct forward *f;
    struct kv_pool *pool;
    float *logits;
};

static void open_world(struct world *w, const char *name)
{
    struct error err = {0};
    char path[512];
    snprintf(path, sizeof path, GOLDEN_DIR "/tiny/%s.gguf", name);
    if (gguf_open(path, &w->g, &err)) fail_msg("%s", err.msg);
    struct model_options opt = {.n_threads = 1};
    if (model_open(w->g, &opt, &w->m, &err)) fail_msg("%s", err.msg);
    assert_int_equal(forward_create(w->m, 1, 128, &w->f, &err), OK);
    assert_int_equal(kv_pool_create(w->m, 1024, &w->pool, &err), OK);
    w->logits = malloc(model_info(w->m)->n_vocab * sizeof(float));
}

static void close_world(struct world *w)
{
    free(w->logits);
    kv_pool_destroy(w->pool);
    forward_destroy(w->f);
    model_close(w->m);
    gguf_close(w->g);
}

static struct kv_seq *feed(struct world *w, struct kv_seq *s, const int32_t *tokens, size_t n,
                           bool logits)
{
    struct forward_row rows[128];
    struct error err = {0};
    if (!s) assert_int_equal(kv_seq_create(w->pool, &s, &err), OK);
    for (size_t i = 0; i < n; i++)
        rows[i] = (struct forward_row){s, tokens[i], logits && i + 1 == n};
    if (forward_run(w->f, rows, n, w->logits, NULL, &err)) fail_msg("%s", err.msg);
    return s;
}

/* Keys of the first layer depend on token and position alone. */
static void first_layer_keys_are_those_of_the_new_place(const char *name)
{
    struct world w;
    open_world(&w, name);
    int32_t tokens[N], lead[LEAD];
    for (int i = 0; i < N; i++) tokens[i] = (i * 7 + 3) % 90;
    for (int i = 0; i < LEAD; i++) lead[i] = (i * 5 + 1) % 90;
    struct error err;
    struct kv_seq *there = feed(&w, NULL, lead, LEAD, false);
    feed(&w, there, tokens, N, false);
    struct kv_seq *here = feed(&w, NULL, tokens, N, false);
    struct kv_seq *moved = feed(&w, NULL, lead, LEAD, false);
    assert_int_equal(kv_shift_append(w.m, moved, here, 0, N, &err), OK);
    assert_int_equal(kv_seq_len(moved), LEAD + N);
    const struct kv_layout *l = kv_seq_layout(there);
    const struct kern_ops *ops;
    assert_int_equal(kern_select(NULL, &ops, &err), OK);
    float k1[256], v1[256], k2[256], v2[256];
    double worst = 0, largest = 0;
    for (size_t p = LEAD; p < LEAD + N; p++)
        for (uint32_t h = 0; h < l->n_head_kv; h++) {
            kv_read(l, ops, kv_seq_pages(there)[p / 32], 0, h, p % 32, NULL, k1, v1);
            kv_read(l, ops, kv_seq_pages(moved)[p / 32], 0, h, p % 32, NULL, k2, v2);
            assert_memory_equal(v1, v2, l->head_dim * sizeof *v1);
            for (uint32_t d = 0; d < l->head_dim; d++) {
                worst = fmax(worst, fabs((double)k1[d] - (double)k2[d]));
                largest = fmax(largest, fabs((double)k1[d]));
            }
        }
    assert_true(worst < 2e-3 * largest); /* two roundings to halves */
    /* Back again, from the middle of a page to the middle of another. */
    kv_seq_truncate(here, 11);
    assert_int_equal(kv_shift_append(w.m, here, moved, LEAD + 11, N - 11, &err), OK);
    assert_int_equal(kv_seq_len(here), N);
    assert_int_equal(kv_shift_append(w.m, here, moved, LEAD + N - 1, 2, &err), ERR_INVALID);
    assert_int_equal(kv_shift_append(w.m, here, moved, 0, 0, &err), OK);
    kv_seq_destroy(here);
    kv_seq_destroy(moved);
    kv_seq_destroy(there);
    close_world(&w);
}

static void plain_rope(void **state)
{
    (void)state;
    first_layer_keys_are_those_of_the_new_place("llama-gqa");
}

static void scaled_and_partial_rope(void **state)
{
    (void)state;
    first_layer_keys_are_those_of_the_new_place("llama-yarn");
    first_layer_keys_are_those_of_the_new_place("llama-partial");
    first_layer_keys_are_those_of_the_new_place("llama-freqs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_rope),
        cmocka_unit_test(scaled_and_partial_rope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
