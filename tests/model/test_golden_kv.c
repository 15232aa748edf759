/* The forward pass with quantized KV caches: near the logits that PyTorch computed with keys and
 * values in F16, and the same bits whatever the batch, the threads and the kernels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden_kit.h"
#include "kern/kern.h"
#include "model/model.h"

/* Heads of 32, biased keys and plain ones, all of a head turned and a part, weights of any kind. */
static const char *const fixtures[] = {"llama-tied",  "llama-keylen", "llama-partial", "llama-yarn",
                                       "llama-freqs", "qwen2-untied", "qwen2-yarn",    "mixed"};
enum { N_FIXTURES = sizeof fixtures / sizeof *fixtures };

/* Largest difference from PyTorch as a share of the logits' range: half as much again as the
 * largest that was seen. Random keys and values are the worst case for a block's one scale. */
struct type {
    const char *name;
    double tolerance;
};
static struct type types[] = {{"q8_0", 0.017}, {"q8_0/q4_0", 0.17}, {"q4_0", 0.23}};

/* Many queries a call, and few: the kernels treat them otherwise. */
struct way {
    int n_threads;
    size_t chunk;
};
static const struct way ways[] = {{1, 80}, {2, 3}};
enum { N_WAYS = sizeof ways / sizeof *ways };

/* Logits by one table of kernels; `base`, where it is not NULL, is what they have to be. */
static float *run_table(const char *fixture, const struct golden *g, const char *table,
                        const char *kv_type, float *base)
{
    struct loaded l = golden_open(fixture, table, kv_type);
    assert_string_equal(model_info(l.m)->kv_type, kv_type);
    for (size_t i = 0; i < N_WAYS; i++) {
        char what[160];
        float *out = golden_run(l.m, ways[i].n_threads, ways[i].chunk, g->ids, (size_t)g->n_ids);
        snprintf(what, sizeof what, "%s, %s, %s, %d threads, batches of %zu", fixture, kv_type,
                 table, ways[i].n_threads, ways[i].chunk);
        if (base) {
            golden_assert_same(out, base, (size_t)g->n_ids, (size_t)g->n_vocab, what);
            free(out);
        } else {
            base = out;
        }
    }
    golden_close(&l);
    return base;
}

static void check_fixture(const char *fixture, const struct type *type)
{
    struct golden g = golden_load(fixture);
    const struct kern_ops *tables[16];
    size_t n_tables = kern_available(tables, 16);
    float *base = NULL;
    for (size_t t = 0; t < n_tables; t++) {
        /* sse2 has no fused multiply-add, and so its own last bits. */
        bool alone = strcmp(tables[t]->name, "sse2") == 0;
        float *mine = run_table(fixture, &g, tables[t]->name, type->name, alone ? NULL : base);
        double diff = golden_max_rel(&g, g.rounded, mine);
        if (alone || !base)
            print_message("%-10s %-14s %-8s %.1e\n", type->name, fixture, tables[t]->name, diff);
        assert_true(diff <= type->tolerance);
        if (alone)
            free(mine);
        else
            base = mine;
    }
    free(base);
    free(g.file);
}

static void test_type(void **state)
{
    for (size_t i = 0; i < N_FIXTURES; i++) check_fixture(fixtures[i], *state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"q8_0", test_type, NULL, NULL, &types[0]},
        {"q8_0/q4_0", test_type, NULL, NULL, &types[1]},
        {"q4_0", test_type, NULL, NULL, &types[2]},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
