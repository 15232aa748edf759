/* Which type each tensor gets: llama.cpp's rules, worked out by hand for 24 layers. (On real models
 * tools/eval/quantize_compare.py counts the tensors whose type differs from llama-quantize's.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "convert/quantize_plan.h"
#include "quant/quant.h"

enum { LAYERS = 24, A_LAYER = 9, N = LAYERS * A_LAYER + 3 };

struct fake {
    char names[N][64];
    struct quantize_tensor t[N];
    struct quantize_model m;
    size_t n;
};

static void add(struct fake *f, uint64_t cols, uint64_t rows, uint64_t experts, const char *name)
{
    struct quantize_tensor *t = &f->t[f->n];
    snprintf(f->names[f->n], sizeof f->names[0], "%s", name);
    *t = (struct quantize_tensor){f->names[f->n], 3, {cols, rows, experts, 1}, QUANT_F32, 0, 0};
    if (rows == 1) t->n_dims = 1;
    f->n++;
}

/* Layers in the order of the alphabet (0, 1, 10, 11, ...), as many files have them. */
static void make(struct fake *f, uint64_t embd, uint64_t experts, bool tied)
{
    static const char *const matrices[] = {"attn_q", "attn_k", "attn_v", "attn_output"};
    static const int order[LAYERS] = {0, 1,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
                                      2, 20, 21, 22, 23, 3,  4,  5,  6,  7,  8,  9};
    char name[64];
    memset(f, 0, sizeof *f);
    f->m = (struct quantize_model){LAYERS, 16, 2, (uint32_t)experts};
    add(f, embd, 1000, 1, "token_embd.weight");
    add(f, embd, 1, 1, "output_norm.weight");
    if (!tied) add(f, embd, 1000, 1, "output.weight");
    for (int i = 0; i < LAYERS; i++) {
        for (int k = 0; k < 4; k++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", order[i], matrices[k]);
            add(f, embd, embd, 1, name);
        }
        const char *end = experts ? "_exps" : "";
        uint64_t stack = experts ? experts : 1;
        snprintf(name, sizeof name, "blk.%d.ffn_up%s.weight", order[i], end);
        add(f, embd, 512, stack, name);
        snprintf(name, sizeof name, "blk.%d.ffn_gate%s.weight", order[i], end);
        add(f, embd, 512, stack, name);
        snprintf(name, sizeof name, "blk.%d.ffn_down%s.weight", order[i], end);
        add(f, 512, embd, stack, name);
        snprintf(name, sizeof name, "blk.%d.attn_norm.weight", order[i]);
        add(f, embd, 1, 1, name);
        if (!experts) continue;
        snprintf(name, sizeof name, "blk.%d.ffn_gate_inp.weight", order[i]);
        add(f, embd, experts, 1, name);
    }
}

static struct quantize_choices choices(const char *mix)
{
    struct quantize_choices c = {.mix = quantize_mix_find(mix), .output = -1, .token_embd = -1};
    assert_non_null(c.mix);
    return c;
}

static void plan(struct fake *f, const struct quantize_choices *c)
{
    struct error err = {0};
    if (quantize_plan(c, &f->m, f->t, f->n, &err)) fail_msg("%s", err.msg);
}

static void expect(const struct fake *f, const char *name, uint32_t type)
{
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->names[i], name) != 0) continue;
        if (f->t[i].to != type)
            fail_msg("%s is %s, expected %s", name, quant_find(f->t[i].to)->name,
                     quant_find(type)->name);
        return;
    }
    fail_msg("no tensor %s", name);
}

static void expect_layers(const struct fake *f, const char *part, const char *larger,
                          uint32_t large, uint32_t plain)
{
    char name[64];
    for (int i = 0; i < LAYERS; i++) {
        snprintf(name, sizeof name, "blk.%d.%s.weight", i, part);
        expect(f, name, larger[i] == 'x' ? large : plain);
    }
}

/* Layers that get more bits: the first three, the last three and every third between. */
static const char sensitive[] = "xxx..x..x..x..x..x..xxxx";

static void mixes(void **state)
{
    (void)state;
    static struct fake f;
    static const struct {
        const char *mix, *larger_v, *larger_down;
        uint32_t plain, v_large, v, down_large, down, attn_output, output;
    } cases[] = {
        {"Q4_K_M", sensitive, sensitive, QUANT_Q4_K, QUANT_Q6_K, QUANT_Q4_K, QUANT_Q6_K, QUANT_Q4_K,
         QUANT_Q4_K, QUANT_Q6_K},
        {"q5_k_m", sensitive, sensitive, QUANT_Q5_K, QUANT_Q6_K, QUANT_Q5_K, QUANT_Q6_K, QUANT_Q5_K,
         QUANT_Q5_K, QUANT_Q6_K},
        {"Q4_K_S", "xxxx....................", "xxx.....................", QUANT_Q4_K, QUANT_Q5_K,
         QUANT_Q4_K, QUANT_Q5_K, QUANT_Q4_K, QUANT_Q4_K, QUANT_Q6_K},
        {"Q3_K", "xx......................", "x.......................", QUANT_Q3_K, QUANT_Q5_K,
         QUANT_Q4_K, QUANT_Q5_K, QUANT_Q4_K, QUANT_Q4_K, QUANT_Q6_K},
        {"Q3_K_L", "........................", "........................", QUANT_Q3_K, QUANT_Q5_K,
         QUANT_Q5_K, QUANT_Q5_K, QUANT_Q5_K, QUANT_Q5_K, QUANT_Q6_K},
        {"Q2_K", "........................", "........................", QUANT_Q2_K, QUANT_Q4_K,
         QUANT_Q4_K, QUANT_Q3_K, QUANT_Q3_K, QUANT_Q3_K, QUANT_Q6_K},
        {"IQ4_XS", "........................", "xxx.....................", QUANT_IQ4_XS, QUANT_Q5_K,
         QUANT_Q5_K, QUANT_Q5_K, QUANT_IQ4_XS, QUANT_IQ4_XS, QUANT_Q6_K},
        {"Q6_K", "........................", "........................", QUANT_Q6_K, 0, QUANT_Q6_K,
         0, QUANT_Q6_K, QUANT_Q6_K, QUANT_Q6_K},
        {"Q8_0", "........................", "........................", QUANT_Q8_0, 0, QUANT_Q8_0,
         0, QUANT_Q8_0, QUANT_Q8_0, QUANT_Q8_0},
        {"Q4_0", "........................", "........................", QUANT_Q4_0, 0, QUANT_Q4_0,
         0, QUANT_Q4_0, QUANT_Q4_0, QUANT_Q6_K},
        {"F16", "........................", "........................", QUANT_F16, 0, QUANT_F16, 0,
         QUANT_F16, QUANT_F16, QUANT_F16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct quantize_choices c = choices(cases[i].mix);
        for (int tied = 0; tied < 2; tied++) {
            make(&f, 1024, 0, tied);
            plan(&f, &c);
            expect_layers(&f, "attn_v", cases[i].larger_v, cases[i].v_large, cases[i].v);
            expect_layers(&f, "ffn_down", cases[i].larger_down, cases[i].down_large, cases[i].down);
            expect_layers(&f, "attn_output", "........................", 0, cases[i].attn_output);
            expect_layers(&f, "ffn_up", "........................", 0, cases[i].plain);
            expect_layers(&f, "attn_q", "........................", 0, cases[i].plain);
            expect_layers(&f, "attn_norm", "........................", 0, QUANT_F32);
            expect(&f, "output_norm.weight", QUANT_F32);
            expect(&f, "token_embd.weight", tied ? cases[i].output : cases[i].plain);
            if (!tied) expect(&f, "output.weight", cases[i].output);
        }
    }
}

static void rows_that_do_not_fit(void **state)
{
    (void)state;
    static struct fake f;
    struct quantize_choices c = choices("Q4_K_M");
    make(&f, 64, 0, true); /* 64 columns, but for ffn_down's 512 */
    plan(&f, &c);
    expect_layers(&f, "ffn_up", "........................", 0, QUANT_Q5_0);
    expect_layers(&f, "attn_v", sensitive, QUANT_Q8_0, QUANT_Q5_0);
    expect_layers(&f, "ffn_down", sensitive, QUANT_Q6_K, QUANT_Q4_K);
    expect(&f, "token_embd.weight", QUANT_Q8_0);
    make(&f, 40, 0, true);
    plan(&f, &c);
    expect_layers(&f, "ffn_up", "........................", 0, QUANT_F16);
    c = choices("IQ4_XS");
    make(&f, 96, 0, true);
    plan(&f, &c);
    expect_layers(&f, "ffn_up", "........................", 0, QUANT_IQ4_NL);
    c = choices("F32");
    plan(&f, &c);
    expect_layers(&f, "ffn_up", "........................", 0, QUANT_F32);
}

static void experts(void **state)
{
    (void)state;
    static struct fake f;
    struct quantize_choices c = choices("Q4_K_M");
    make(&f, 1024, 8, false);
    plan(&f, &c);
    expect_layers(&f, "attn_v", "........................", 0, QUANT_Q8_0);
    expect_layers(&f, "attn_k", "........................", 0, QUANT_Q8_0);
    expect_layers(&f, "attn_output", "........................", 0, QUANT_Q5_K);
    expect_layers(&f, "ffn_down_exps", sensitive, QUANT_Q6_K, QUANT_Q4_K);
    expect_layers(&f, "ffn_gate_inp", "........................", 0, QUANT_F32);
    c = choices("MXFP4_MOE");
    make(&f, 1024, 32, false);
    plan(&f, &c);
    expect_layers(&f, "ffn_up_exps", "........................", 0, QUANT_MXFP4);
    expect_layers(&f, "attn_q", "........................", 0, QUANT_Q8_0);
    expect(&f, "output.weight", QUANT_Q8_0);
}

static void what_the_person_asks_for(void **state)
{
    (void)state;
    static struct fake f;
    struct quantize_choices c = choices("Q4_K_M");
    struct quantize_override over[] = {{"blk\\.[0-2]\\.attn_V", QUANT_F16}, {"attn_v", QUANT_Q8_0}};
    c.overrides = over;
    c.n_overrides = 2;
    c.output = QUANT_Q5_K;
    c.token_embd = QUANT_Q3_K;
    make(&f, 1024, 0, false);
    plan(&f, &c);
    expect_layers(&f, "attn_v", "xxx.....................", QUANT_F16, QUANT_Q8_0);
    expect(&f, "output.weight", QUANT_Q5_K);
    expect(&f, "token_embd.weight", QUANT_Q3_K);
    c = choices("Q4_K_M");
    c.leave_output = true;
    plan(&f, &c);
    expect(&f, "output.weight", QUANT_F32);
    c = choices("Q4_K_M");
    c.pure = true;
    plan(&f, &c);
    expect_layers(&f, "attn_v", "........................", 0, QUANT_Q4_K);
    expect(&f, "output.weight", QUANT_Q4_K);
    c = choices("Q4_0");
    c.weighted = true;
    plan(&f, &c);
    expect_layers(&f, "ffn_down", "xxx.....................", QUANT_Q4_1, QUANT_Q4_0);
}

static void a_broken_pattern(void **state)
{
    (void)state;
    static struct fake f;
    struct quantize_choices c = choices("Q4_K_M");
    struct quantize_override over = {"attn_(v", QUANT_Q8_0};
    struct error err = {0};
    c.overrides = &over;
    c.n_overrides = 1;
    make(&f, 1024, 0, false);
    assert_int_equal(quantize_plan(&c, &f.m, f.t, f.n, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "attn_(v"));
}

static void every_mix_can_be_written(void **state)
{
    (void)state;
    for (const struct quantize_mix *m = quantize_mix_all(); m->name; m++) {
        assert_ptr_equal(quantize_mix_find(m->name), m);
        assert_non_null(quant_find(m->type)->encode);
        assert_non_null(quant_find(m->output)->encode);
        for (const struct quantize_rule *r = m->rules; r->type != QUANT_F32; r++)
            assert_non_null(quant_find(r->type)->encode);
    }
    assert_null(quantize_mix_find("Q9_K"));
    assert_null(quantize_mix_find(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mixes),
        cmocka_unit_test(rows_that_do_not_fit),
        cmocka_unit_test(experts),
        cmocka_unit_test(what_the_person_asks_for),
        cmocka_unit_test(a_broken_pattern),
        cmocka_unit_test(every_mix_can_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
