/* What keys of a layer have in common, against a sum over positions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "model/model_int.h"

enum { HEADS = 2, HEAD_DIM = 32, POSITIONS = 8192 };

struct world {
    struct model m;
    struct stage stages[3];
    struct attn attn;
    float bias[HEADS * HEAD_DIM], inv_freq[HEAD_DIM / 2];
};

static void open_world(struct world *w, bool neox, uint32_t n_dims, float magnitude)
{
    struct error err;
    *w = (struct world){0};
    for (int i = 0; i < HEADS * HEAD_DIM; i++) w->bias[i] = (float)(i * 37 % 29) - 11;
    for (uint32_t i = 0; i < n_dims / 2; i++) w->inv_freq[i] = (float)pow(1e4, -2.0 * i / n_dims);
    w->inv_freq[n_dims / 2 - 1] = 0; /* a dimension that is not turned at all */
    w->stages[0] = (struct stage){.kind = STAGE_ATTN_IN, .bias = {NULL, w->bias, NULL}};
    w->stages[1] = (struct stage){.kind = STAGE_FFN_IN, .bias = {NULL, w->bias, NULL}};
    w->stages[2] = (struct stage){.kind = STAGE_ATTN_IN, .bias = {w->bias, NULL, w->bias}};
    w->m.info = (struct model_info){.n_head_kv = HEADS, .head_dim = HEAD_DIM, .v_dim = HEAD_DIM};
    w->m.stages = w->stages;
    w->m.n_stages = 3;
    w->m.ropes[0] = (struct rope){
        .neox = neox, .n_dims = n_dims, .inv_freq = w->inv_freq, .magnitude = magnitude};
    w->attn.rope = &w->m.ropes[0];
    for (int i = 0; i < 3; i++) w->stages[i].attn = &w->attn;
    assert_int_equal(kv_centre_keys(&w->m, &err), OK);
}

static void close_world(struct world *w)
{
    for (size_t i = 0; i < w->m.n_owned; i++) free(w->m.owned[i]);
    free(w->m.owned);
}

/* The mean of the bias as RoPE turns it at positions 0 .. POSITIONS - 1. */
static double mean_of(const struct world *w, size_t head, uint32_t d)
{
    const struct rope *r = &w->m.ropes[0];
    const float *x = w->bias + head * HEAD_DIM;
    if (d >= r->n_dims) return (double)x[d];
    uint32_t half = r->n_dims / 2, pair = r->neox ? d % half : d / 2;
    uint32_t a = r->neox ? pair : 2 * pair, b = r->neox ? pair + half : 2 * pair + 1;
    double sum = 0;
    for (int pos = 0; pos < POSITIONS; pos++) {
        double angle = (double)r->inv_freq[pair] * pos;
        sum += d == a ? (double)x[a] * cos(angle) - (double)x[b] * sin(angle)
                      : (double)x[a] * sin(angle) + (double)x[b] * cos(angle);
    }
    return (double)r->magnitude * sum / POSITIONS;
}

static void check(bool neox, uint32_t n_dims, float magnitude)
{
    struct world w;
    open_world(&w, neox, n_dims, magnitude);
    assert_null(w.stages[1].key_centre);
    assert_null(w.stages[2].key_centre); /* its keys have no bias */
    const float *centre = w.stages[0].key_centre;
    assert_non_null(centre);
    for (size_t h = 0; h < HEADS; h++)
        for (uint32_t d = 0; d < HEAD_DIM; d++) {
            double want = mean_of(&w, h, d), got = (double)centre[h * HEAD_DIM + d];
            if (!(fabs(got - want) < 1e-4))
                fail_msg("head %zu, dimension %u: %g is not %g", h, d, got, want);
        }
    close_world(&w);
}

static void test_pairs_side_by_side(void **state)
{
    (void)state;
    check(false, HEAD_DIM, 1);
}

static void test_pairs_of_halves(void **state)
{
    (void)state;
    check(true, HEAD_DIM, 1);
}

static void test_part_of_a_head(void **state)
{
    (void)state;
    check(true, HEAD_DIM / 2, 1);
    check(false, HEAD_DIM / 2, 1);
}

static void test_magnitude(void **state)
{
    (void)state;
    check(true, HEAD_DIM, 1.25f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs_side_by_side),
        cmocka_unit_test(test_pairs_of_halves),
        cmocka_unit_test(test_part_of_a_head),
        cmocka_unit_test(test_magnitude),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
