/* Quantizing files: what is carried over, the same bytes for any number of threads, and what is
 * refused without leaving anything behind. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "convert/column_weights_int.h"
#include "convert/quantize.h"
#include "gguf/gguf.h"
#include "gguf/gguf_write.h"
#include "quant/quant.h"

enum { COLS = 512, ROWS = 300, EXPERTS = 3 };

static char folder[] = "/tmp/hearth-quantize-XXXXXX";
static char in[300], out[300];

static uint64_t seed;

static float uniform(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(seed >> 40) * 0x1p-24f - 0.5f;
}

/* A model of a few matrices. `bad` replaces one value of the second where it is not 0. */
static void write_model(uint32_t type, float bad)
{
    static const struct {
        const char *name;
        uint64_t ne[3];
    } tensors[] = {
        {"token_embd.weight", {COLS, ROWS, 1}},
        {"blk.0.ffn_down_exps.weight", {COLS, ROWS, EXPERTS}},
        {"blk.0.attn_v.weight", {COLS, 7, 1}},
        {"blk.0.attn_norm.weight", {COLS, 1, 1}},
    };
    struct gguf_writer *w;
    struct error err = {0};
    struct gguf_str words[] = {{"a", 1}, {"", 0}, {"\xff\0b", 3}};
    assert_int_equal(gguf_writer_begin(in, 64, &w, &err), OK);
    gguf_writer_str(w, "general.architecture", "llama");
    gguf_writer_u64(w, "llama.block_count", GGUF_U32, 1);
    gguf_writer_u64(w, "general.file_type", GGUF_U32, 0);
    gguf_writer_i64(w, "test.i64", GGUF_I64, INT64_MIN + 1);
    gguf_writer_u64(w, "test.u64", GGUF_U64, UINT64_MAX);
    gguf_writer_i64(w, "test.i8", GGUF_I8, -3);
    gguf_writer_f64(w, "test.f32", GGUF_F32, 0.1f);
    gguf_writer_f64(w, "test.f64", GGUF_F64, 0.1);
    gguf_writer_bool(w, "test.bool", true);
    gguf_writer_array(w, "test.numbers", GGUF_I16, 3, (const int16_t[]){1, -2, 3});
    gguf_writer_strings(w, "test.words", words, 3);
    gguf_writer_u64(w, "split.count", GGUF_U16, 1);
    const struct quant_traits *t = quant_find(type);
    for (size_t i = 0; i < 4; i++)
        gguf_writer_tensor(w, tensors[i].name, i < 3 ? type : (uint32_t)QUANT_F32, i < 3 ? 3 : 1,
                           tensors[i].ne);
    if (gguf_writer_start(w, &err)) fail_msg("%s", err.msg);
    seed = 7;
    for (size_t i = 0; i < 4; i++) {
        size_t n = tensors[i].ne[0] * tensors[i].ne[1] * tensors[i].ne[2];
        float *x = malloc(n * sizeof *x);
        void *blocks = malloc(n * sizeof *x);
        assert_true(x && blocks);
        for (size_t k = 0; k < n; k++) x[k] = uniform();
        if (i == 1 && bad != 0) x[COLS * (ROWS + 5) + 9] = bad;
        if (i < 3 && type != QUANT_F32)
            assert_true(t->encode(x, NULL, blocks, n / t->block_elems));
        else
            memcpy(blocks, x, n * sizeof *x);
        assert_int_equal(gguf_writer_put(w, i, 0, blocks, gguf_writer_tensor_bytes(w, i), &err),
                         OK);
        free(x);
        free(blocks);
    }
    if (gguf_writer_commit(w, &err)) fail_msg("%s", err.msg);
}

static struct quantize_request request(const char *mix, int threads)
{
    return (struct quantize_request){
        .in = in,
        .out = out,
        .choices = {.mix = quantize_mix_find(mix), .output = -1, .token_embd = -1},
        .n_threads = threads,
    };
}

static void quantize(const struct quantize_request *rq, struct quantize_result *res)
{
    struct error err = {0};
    if (quantize_file(rq, res, &err)) fail_msg("%s", err.msg);
}

static size_t files_in_folder(void)
{
    size_t n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void expect_refusal(const struct quantize_request *rq, enum status code, const char *why)
{
    struct quantize_result res;
    struct error err = {0};
    unlink(out);
    assert_int_equal(quantize_file(rq, &res, &err), code);
    if (!strstr(err.msg, why)) fail_msg("'%s' lacks '%s'", err.msg, why);
    quantize_result_fini(&res);
    assert_int_equal(files_in_folder(), 1); /* the input */
}

static void metadata_is_carried_over(void **state)
{
    (void)state;
    struct quantize_request rq = request("Q4_K_M", 2);
    struct quantize_result res;
    struct error err = {0};
    struct gguf *g;
    struct gguf_array a;
    struct gguf_str s;
    uint64_t u, cursor = 0;
    int64_t i;
    double f;
    bool b;
    write_model(QUANT_F32, 0);
    quantize(&rq, &res);
    if (gguf_open(out, &g, &err)) fail_msg("%s", err.msg);
    assert_true(gguf_get_i64(g, "test.i64", &i, &err) == OK && i == INT64_MIN + 1);
    assert_true(gguf_get_u64(g, "test.u64", &u, &err) == OK && u == UINT64_MAX);
    assert_true(gguf_get_i64(g, "test.i8", &i, &err) == OK && i == -3);
    assert_true(gguf_get_f64(g, "test.f32", &f, &err) == OK && f == (double)0.1f);
    assert_true(gguf_get_f64(g, "test.f64", &f, &err) == OK && f == 0.1);
    assert_true(gguf_get_bool(g, "test.bool", &b, &err) == OK && b);
    assert_true(gguf_get_array(g, "test.numbers", &a, &err) == OK && a.type == GGUF_I16 &&
                a.count == 3 && gguf_array_i64(&a, 1) == -2);
    assert_true(gguf_get_array(g, "test.words", &a, &err) == OK && a.count == 3);
    while (gguf_array_next_str(&a, &cursor, &s)) continue;
    assert_true(s.len == 3 && memcmp(s.data, "\xff\0b", 3) == 0);
    assert_int_equal(gguf_get_u64(g, "split.count", &u, NULL), ERR_NOT_FOUND);
    assert_true(gguf_get_u64(g, "general.file_type", &u, &err) == OK && u == 15);
    assert_true(gguf_get_u64(g, "general.quantization_version", &u, &err) == OK && u == 2);
    assert_int_equal(gguf_n_keys(g), 12);
    assert_int_equal(gguf_n_tensors(g), 4);
    assert_int_equal(gguf_tensor_find(g, "token_embd.weight")->type, QUANT_Q6_K);
    assert_int_equal(gguf_file_bytes(g), res.file_out);
    /* The error told is the error made. */
    for (size_t t = 0; t < res.n; t++) {
        const struct gguf_tensor *q = gguf_tensor_at(g, t);
        assert_true(q->type == res.tensors[t].plan.to);
        if (q->type == QUANT_F32)
            assert_true(res.tensors[t].error == 0);
        else
            assert_true(res.tensors[t].error > 0 &&
                        res.tensors[t].error < 0.01 * res.tensors[t].squares);
    }
    gguf_close(g);
    quantize_result_fini(&res);
}

static void importance(struct column_weights *im, uint64_t n)
{
    struct error err = {0};
    static const char name[] = "blk.0.ffn_down_exps.weight";
    *im = (struct column_weights){0};
    struct column_weight *e = column_weights_add(im, "test", name, strlen(name), COLS, n, &err);
    assert_non_null(e);
    seed = 8;
    for (uint64_t i = 0; i < n; i++) e->values[i] = expf(8 * uniform());
}

static void release(struct column_weights *im)
{
    free(im->entries[0].name);
    free(im->entries[0].values);
    free(im->entries);
}

static void threads_change_nothing(void **state)
{
    (void)state;
    struct column_weights im;
    struct error err = {0};
    importance(&im, COLS * EXPERTS);
    write_model(QUANT_F32, 0);
    for (int weighted = 0; weighted < 2; weighted++) {
        struct buf first;
        double error = 0;
        buf_init(&first, 64 << 20);
        for (int threads = 1; threads <= 5; threads++) {
            struct quantize_request rq = request("Q4_0", threads);
            struct quantize_result res;
            struct buf now;
            rq.imatrix = weighted ? &im : NULL;
            quantize(&rq, &res);
            buf_init(&now, 64 << 20);
            assert_int_equal(file_read_all(out, threads == 1 ? &first : &now, &err), OK);
            if (threads == 1) {
                error = res.tensors[1].error;
            } else {
                assert_int_equal(now.len, first.len);
                assert_memory_equal(now.data, first.data, now.len);
                assert_true(res.tensors[1].error == error);
            }
            assert_int_equal(res.tensors[1].weighted, weighted);
            assert_int_equal(res.n_unweighted, weighted); /* attn_v */
            buf_fini(&now);
            quantize_result_fini(&res);
        }
        buf_fini(&first);
    }
    release(&im);
}

/* Each expert has its own columns of importance. */
static void experts_have_their_own_weights(void **state)
{
    (void)state;
    struct column_weights im;
    struct error err = {0};
    const struct quant_traits *t = quant_find(QUANT_Q4_1);
    struct quantize_request rq = request("Q4_1", 2);
    struct quantize_result res;
    struct gguf *source, *g;
    importance(&im, COLS * EXPERTS);
    write_model(QUANT_F32, 0);
    rq.imatrix = &im;
    quantize(&rq, &res);
    assert_int_equal(gguf_open(in, &source, &err), OK);
    assert_int_equal(gguf_open(out, &g, &err), OK);
    const struct gguf_tensor *from = gguf_tensor_at(source, 1), *to = gguf_tensor_at(g, 1);
    assert_int_equal(to->type, QUANT_Q4_1);
    static const size_t row_bytes = COLS / 32 * 20;
    for (size_t row = 0; row < ROWS * EXPERTS; row += 97) {
        float x[COLS];
        uint8_t want[COLS];
        memcpy(x, from->data + row * sizeof x, sizeof x);
        assert_true(t->encode(x, im.entries[0].values + row / ROWS * COLS, want, COLS / 32));
        assert_memory_equal(to->data + row * row_bytes, want, row_bytes);
    }
    gguf_close(source);
    gguf_close(g);
    quantize_result_fini(&res);
    release(&im);
}

static void refusals(void **state)
{
    (void)state;
    struct column_weights im;
    struct quantize_request rq = request("Q4_K_M", 3);
    write_model(QUANT_F32, NAN);
    expect_refusal(&rq, ERR_FORMAT, "'blk.0.ffn_down_exps.weight' holds nan at row 305, column 9");
    write_model(QUANT_F32, -INFINITY);
    expect_refusal(&rq, ERR_FORMAT, "holds -inf");
    rq = request("F32", 3); /* copying looks as well */
    expect_refusal(&rq, ERR_FORMAT, "holds -inf");
    write_model(QUANT_F32, 1e6f);
    rq = request("F16", 3);
    expect_refusal(&rq, ERR_INVALID, "1e+06 at row 305, column 9, more than F16 can");
    write_model(QUANT_Q8_0, 0);
    rq = request("Q4_0", 1);
    expect_refusal(&rq, ERR_INVALID, "--allow-requantize");
    write_model(QUANT_F32, 0);
    importance(&im, COLS); /* of one expert */
    rq.imatrix = &im;
    expect_refusal(&rq, ERR_INVALID, "another model");
    release(&im);
    rq = request("Q4_0", 1);
    rq.out = in;
    expect_refusal(&rq, ERR_INVALID, "its own input");
    rq = request("Q4_0", 1);
    rq.out = "/nowhere/at/all.gguf";
    expect_refusal(&rq, ERR_IO, "/nowhere/at/all.gguf");
}

static void requantizing_when_allowed(void **state)
{
    (void)state;
    struct quantize_request rq = request("Q4_0", 2);
    struct quantize_result res;
    write_model(QUANT_Q8_0, 0);
    rq.allow_requantize = true;
    quantize(&rq, &res);
    assert_int_equal(res.n_requantized, 3);
    assert_int_equal(res.tensors[1].plan.to, QUANT_Q4_0);
    quantize_result_fini(&res);
    /* The same type again is a copy. */
    rq = request("Q8_0", 2);
    quantize(&rq, &res);
    assert_int_equal(res.n_requantized, 0);
    assert_true(res.tensors[1].error == 0 && res.tensors[1].bytes_in == res.tensors[1].bytes_out);
    quantize_result_fini(&res);
    struct gguf *from, *to;
    struct error err = {0};
    assert_int_equal(gguf_open(in, &from, &err), OK);
    assert_int_equal(gguf_open(out, &to, &err), OK);
    for (size_t i = 0; i < 4; i++) {
        const struct gguf_tensor *a = gguf_tensor_at(from, i), *b = gguf_tensor_at(to, i);
        assert_int_equal(a->size, b->size);
        assert_memory_equal(a->data, b->data, a->size);
    }
    gguf_close(from);
    gguf_close(to);
}

static bool stop_at_once(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    assert_true(done <= total);
    return false;
}

static void stopping_leaves_nothing(void **state)
{
    (void)state;
    struct quantize_request rq = request("Q2_K", 2);
    write_model(QUANT_F32, 0);
    rq.progress = stop_at_once;
    expect_refusal(&rq, ERR_CANCELLED, "stopped");
    rq = request("Q2_K", 2);
    rq.dry_run = true;
    struct quantize_result res;
    unlink(out);
    quantize(&rq, &res);
    assert_int_equal(files_in_folder(), 1);
    uint64_t planned = res.file_out;
    quantize_result_fini(&res);
    rq.dry_run = false;
    quantize(&rq, &res);
    assert_int_equal(res.file_out, planned);
    quantize_result_fini(&res);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(in, sizeof in, "%s/in.gguf", folder);
    snprintf(out, sizeof out, "%s/out.gguf", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(in);
    unlink(out);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata_is_carried_over),       cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(experts_have_their_own_weights), cmocka_unit_test(refusals),
        cmocka_unit_test(requantizing_when_allowed),      cmocka_unit_test(stopping_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
