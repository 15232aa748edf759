/* Perplexity against sums of session_score, divergences against their definition, and kept
 * predictions, whole and damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "infer/eval.h"
#include "infer/infer_int.h"
#include "infer/logits_file.h"

#define TINY  GOLDEN_DIR "/tiny/llama-gqa.gguf"
#define OTHER GOLDEN_DIR "/tiny/q4_0.gguf"

enum { N_TEXT = 2000, MAX_FILE = 4 << 20, BOS = 99 };

static char folder[] = "/tmp/hearth-eval-XXXXXX";
static char with_bos[64], kept[64];
static int32_t text[N_TEXT];
static struct engine *e, *other;

static struct engine *open_engine(const char *path, int threads)
{
    struct engine *opened;
    struct error err = {0};
    if (engine_open(path, &(struct engine_options){.n_threads = threads}, &opened, &err))
        fail_msg("%s", err.msg);
    return opened;
}

static void write_file(const char *path, const char *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* The tiny model, but it asks for BOS: the flag's byte behind its key and type. */
static void make_bos_model(void)
{
    static const char key[] = "tokenizer.ggml.add_bos_token";
    struct buf b;
    buf_init(&b, MAX_FILE);
    assert_int_equal(file_read_all(TINY, &b, NULL), OK);
    char *at = memmem(b.data, b.len, key, strlen(key));
    assert_non_null(at);
    at += strlen(key) + 4;
    assert_int_equal(*at, 0);
    *at = 1;
    write_file(with_bos, b.data, b.len);
    buf_fini(&b);
}

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(with_bos, sizeof with_bos, "%s/bos.gguf", folder);
    snprintf(kept, sizeof kept, "%s/kept.logits", folder);
    uint32_t x = 1;
    for (int i = 0; i < N_TEXT; i++) {
        x = x * 1664525u + 1013904223u;
        text[i] = (int32_t)((x >> 16) % 99);
    }
    make_bos_model();
    e = open_engine(TINY, 2);
    other = open_engine(OTHER, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    engine_close(e);
    engine_close(other);
    unlink(with_bos);
    unlink(kept);
    return rmdir(folder);
}

static struct eval_result run(struct eval_job job)
{
    struct error err = {0};
    struct eval_result r;
    if (!job.tokens && !job.base) {
        job.tokens = text;
        job.n_tokens = N_TEXT;
    }
    if (eval_run(&job, &r, &err)) fail_msg("%s", err.msg);
    return r;
}

static enum status refused(struct eval_job job, struct error *err)
{
    struct eval_result r;
    if (!job.tokens && !job.base) {
        job.tokens = text;
        job.n_tokens = N_TEXT;
    }
    enum status st = eval_run(&job, &r, err);
    assert_int_not_equal(st, OK);
    assert_int_equal(err->code, st);
    return st;
}

/* -ln p of each token that counts, by session_score over each context alone. */
static size_t expect_nll(struct engine *engine, size_t n_ctx, size_t n_chunks, bool bos, double *nll)
{
    struct session *s;
    double *score = calloc(n_ctx, sizeof *score);
    int32_t *ids = calloc(n_ctx, sizeof *ids);
    size_t n = 0;
    assert_int_equal(session_create(engine, n_ctx, &s, NULL), OK);
    for (size_t c = 0; c < n_chunks; c++) {
        memcpy(ids, text + c * n_ctx, n_ctx * sizeof *ids);
        if (bos) ids[0] = BOS;
        assert_int_equal(session_score(s, ids, n_ctx, score, NULL), OK);
        for (size_t i = n_ctx / 2 + 1; i < n_ctx; i++) nll[n++] = -score[i];
    }
    session_destroy(s);
    free(score);
    free(ids);
    return n;
}

static void assert_near(double a, double b, double within)
{
    if (!(fabs(a - b) <= within)) fail_msg("%.17g is not %.17g", a, b);
}

static void check_perplexity(struct engine *engine, size_t n_ctx, size_t n_chunks, bool bos)
{
    static double nll[N_TEXT];
    size_t n = expect_nll(engine, n_ctx, n_chunks, bos, nll);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += nll[i];
    for (size_t i = 0; i < n; i++) squares += nll[i] * nll[i];
    double mean = sum / (double)n, variance = squares / (double)n - mean * mean;
    struct eval_result r = run((struct eval_job){.engine = engine, .n_ctx = n_ctx});
    assert_int_equal(r.n_ctx, n_ctx);
    assert_int_equal(r.n_chunks, n_chunks);
    assert_int_equal(r.n_counted, n);
    assert_false(r.compared);
    assert_near(r.nll.value, mean, 1e-12);
    assert_near(r.perplexity.value, exp(mean), 1e-9);
    if (n > 1) {
        assert_near(r.nll.error, sqrt(variance / (double)(n - 1)), 1e-9);
        assert_near(r.perplexity.error, exp(mean) * r.nll.error, 1e-9);
    }
}

static void test_perplexity_is_that_of_scores(void **state)
{
    (void)state;
    check_perplexity(e, 3, N_TEXT / 3, false); /* one token of each context */
    check_perplexity(e, 64, 31, false);
    check_perplexity(e, 101, 19, false);
    check_perplexity(e, 2000, 1, false); /* more than a pass, before the middle and behind it */
}

static void test_bos_takes_the_place_of_each_first_token(void **state)
{
    (void)state;
    struct engine *bos = open_engine(with_bos, 1);
    check_perplexity(bos, 64, 31, true);
    struct eval_result with = run((struct eval_job){.engine = bos, .n_ctx = 64});
    struct eval_result without = run((struct eval_job){.engine = e, .n_ctx = 64});
    assert_true(fabs(with.nll.value - without.nll.value) > 1e-6);
    engine_close(bos);
}

static void test_threads_change_nothing(void **state)
{
    (void)state;
    struct eval_result want =
        run((struct eval_job){.engine = other, .against = e, .n_ctx = 200});
    for (int threads = 2; threads <= 3; threads++) {
        struct engine *t = open_engine(OTHER, threads);
        struct eval_result r = run((struct eval_job){.engine = t, .against = e, .n_ctx = 200});
        assert_memory_equal(&r, &want, sizeof r);
        engine_close(t);
    }
}

/* The logits of a context's rows from `first` on, by one pass each. */
static float *all_logits(struct engine *engine, size_t n_ctx, size_t first)
{
    size_t n_vocab = engine_model_info(engine)->n_vocab;
    float *logits = calloc(n_ctx * n_vocab, sizeof *logits);
    struct session *s;
    assert_int_equal(session_create(engine, n_ctx, &s, NULL), OK);
    for (size_t i = 0; i + 1 < n_ctx; i++)
        assert_int_equal(session_feed(s, text + i, 1, true, true, logits + i * n_vocab, NULL, NULL),
                         OK);
    session_destroy(s);
    memmove(logits, logits + first * n_vocab, (n_ctx - 1 - first) * n_vocab * sizeof *logits);
    return logits;
}

static double probability(const float *logits, size_t n, size_t token)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += exp((double)logits[i]);
    return exp((double)logits[token]) / sum;
}

static size_t most_likely(const float *logits, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void test_divergence_is_its_definition(void **state)
{
    (void)state;
    enum { CTX = 203, FIRST = CTX / 2, N = CTX - 1 - FIRST };
    size_t n_vocab = engine_model_info(e)->n_vocab, same = 0;
    float *p = all_logits(e, CTX, FIRST), *q = all_logits(other, CTX, FIRST);
    double kl[N], sum = 0, squares = 0, ratio = 0;
    for (size_t i = 0; i < N; i++) {
        const float *a = p + i * n_vocab, *b = q + i * n_vocab;
        kl[i] = 0;
        for (size_t t = 0; t < n_vocab; t++) {
            double pa = probability(a, n_vocab, t), pb = probability(b, n_vocab, t);
            kl[i] += pa * log(pa / pb);
        }
        size_t token = (size_t)text[FIRST + i + 1];
        ratio += log(probability(a, n_vocab, token) / probability(b, n_vocab, token));
        same += most_likely(a, n_vocab) == most_likely(b, n_vocab);
        sum += kl[i];
        squares += kl[i] * kl[i];
    }
    qsort(kl, N, sizeof *kl, ascending);
    struct eval_result r = run((struct eval_job){
        .engine = other, .against = e, .n_ctx = CTX, .max_chunks = 1});
    assert_true(r.compared);
    assert_int_equal(r.n_counted, N);
    double mean = sum / N;
    assert_near(r.kl.value, mean, 1e-9);
    assert_near(r.kl.error, sqrt((squares / N - mean * mean) / (N - 1)), 1e-9);
    assert_near(r.log_ratio.value, ratio / N, 1e-9);
    assert_near(r.base_perplexity.value * exp(ratio / N), r.perplexity.value, 1e-6);
    assert_near(r.same_top.value, (double)same / N, 1e-12);
    assert_near(r.kl_median, kl[N / 2] / 2 + kl[(N - 1) / 2] / 2, 1e-9);
    assert_near(r.kl_p90, kl[90], 1e-9); /* of 101 values */
    assert_near(r.kl_p99, kl[99], 1e-9);
    assert_near(r.kl_max, kl[N - 1], 1e-9);
    free(p);
    free(q);
}

static void test_a_model_has_lost_nothing_against_itself(void **state)
{
    (void)state;
    struct eval_result r = run((struct eval_job){.engine = e, .against = e, .n_ctx = 100});
    assert_true(r.compared);
    assert_true(r.kl_max == 0 && r.kl.value == 0 && r.kl.error == 0);
    assert_true(r.log_ratio.value == 0 && r.log_ratio.error == 0);
    assert_true(r.same_top.value == 1);
    assert_true(r.base_perplexity.value == r.perplexity.value);
}

/* ---- kept predictions ------------------------------------------------------------------------- */

static void test_kept_predictions_are_the_models(void **state)
{
    (void)state;
    struct eval_result direct = run((struct eval_job){.engine = other, .against = e, .n_ctx = 128});
    run((struct eval_job){.engine = e, .n_ctx = 128, .save = kept});
    struct logits_file *f;
    assert_int_equal(logits_file_open(kept, &f, NULL), OK);
    assert_int_equal(logits_file_info(f)->n_ctx, 128);
    assert_int_equal(logits_file_info(f)->n_chunks, N_TEXT / 128);
    assert_memory_equal(logits_file_info(f)->tokens, text, (N_TEXT / 128) * 128 * sizeof *text);
    struct eval_result r = run((struct eval_job){.engine = other, .base = f});
    assert_int_equal(r.n_counted, direct.n_counted);
    assert_true(r.perplexity.value == direct.perplexity.value);
    /* 16 bits of at most 16 nats. */
    assert_near(r.kl.value, direct.kl.value, 1e-4);
    assert_near(r.kl_max, direct.kl_max, 1e-3);
    assert_near(r.log_ratio.value, direct.log_ratio.value, 1e-4);
    assert_near(r.same_top.value, direct.same_top.value, 0.01);
    struct eval_result self = run((struct eval_job){.engine = e, .base = f, .max_chunks = 2});
    assert_int_equal(self.n_chunks, 2);
    assert_near(self.kl.value, 0, 1e-5);
    assert_true(self.kl_max < 1e-4);
    logits_file_close(f);
}

static void test_rows_of_any_spread_come_back(void **state)
{
    (void)state;
    const float wide[5] = {3, -40, 2.5f, -12.9f, -13.1f}; /* two of them below e^-16 */
    const float flat[4] = {1.5f, 1.5f, 1.5f, 1.5f};
    float back[5];
    uint16_t row[16];
    assert_int_equal(logits_row_words(5), 10);
    double lse = log(exp(3.0) + exp(2.5) + exp(-12.9));
    logits_row_encode(wide, 5, lse, row);
    assert_int_equal(logits_row_decode(row, 5, back), 0);
    assert_near((double)back[0], 3 - lse, 3e-4);
    assert_near((double)back[2], 2.5 - lse, 3e-4);
    assert_true(isinf(back[1]) && isinf(back[3]) && isinf(back[4]));
    assert_near(logits_row_nll(row, 2), lse - 2.5, 3e-4);
    assert_near(logits_row_nll(row, 1), lse + 13, 3e-4);
    logits_row_encode(flat, 4, 1.5 + log(4), row);
    assert_int_equal(logits_row_decode(row, 4, back), 0);
    for (int i = 0; i < 4; i++) assert_near((double)back[i], -log(4), 1e-6);
}

static void expect_damaged(const char *data, size_t len, const char *part)
{
    struct logits_file *f;
    struct error err = {0};
    write_file(kept, data, len);
    assert_int_equal(logits_file_open(kept, &f, &err), ERR_FORMAT);
    assert_null(f);
    if (!strstr(err.msg, part) || !strstr(err.msg, kept)) fail_msg("%s", err.msg);
}

static void set_i32(char *data, size_t at, int32_t value)
{
    memcpy(data + at, &value, sizeof value);
}

static void test_damaged_files_are_refused(void **state)
{
    (void)state;
    run((struct eval_job){.engine = e, .n_ctx = 16, .max_chunks = 2, .save = kept});
    struct buf b;
    buf_init(&b, MAX_FILE);
    assert_int_equal(file_read_all(kept, &b, NULL), OK);
    char *copy = calloc(b.len + 1, 1);
    assert_non_null(copy);
    enum { CTX_AT = 8, VOCAB_AT = 12, CHUNKS_AT = 16, TOKENS_AT = 20 };
    static const struct {
        size_t at;
        int32_t value;
        const char *part;
    } changes[] = {
        {0, 0, "no file of kept predictions"},
        {CTX_AT, 2, "make no sense"},
        {CTX_AT, -16, "make no sense"},
        {CTX_AT, INT32_MAX, "not complete"},
        {VOCAB_AT, 0, "make no sense"},
        {VOCAB_AT, 98, "not complete"},
        {VOCAB_AT, INT32_MAX, "not complete"},
        {CHUNKS_AT, 0, "make no sense"},
        {CHUNKS_AT, 1, "not complete"},
        {CHUNKS_AT, INT32_MAX, "not complete"},
        {TOKENS_AT + 4, 100, "token 1"},
        {TOKENS_AT + 31 * 4, -1, "token 31"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        memcpy(copy, b.data, b.len);
        set_i32(copy, changes[i].at, changes[i].value);
        expect_damaged(copy, b.len, changes[i].part);
    }
    expect_damaged(b.data, 0, "no file of kept predictions");
    expect_damaged(b.data, 19, "no file of kept predictions");
    expect_damaged(b.data, b.len - 1, "not complete");
    memcpy(copy, b.data, b.len);
    expect_damaged(copy, b.len + 1, "not complete");
    free(copy);
    buf_fini(&b);
}

/* ---- what makes no sense ---------------------------------------------------------------------- */

static void test_short_texts_are_told_what_is_missing(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(refused((struct eval_job){.engine = e, .tokens = text, .n_tokens = 511}, &err),
                     ERR_INVALID);
    assert_non_null(strstr(err.msg, "511 tokens"));
    assert_non_null(strstr(err.msg, "512 tokens or more"));
    assert_int_equal(run((struct eval_job){.engine = e, .tokens = text, .n_tokens = 512}).n_chunks,
                     1);
    assert_int_equal(refused((struct eval_job){.engine = e, .n_ctx = 2}, &err), ERR_INVALID);
}

static void test_contexts_are_the_models(void **state)
{
    (void)state;
    struct error err;
    static int32_t zeros[3000];
    struct eval_job job = {.engine = e, .tokens = zeros, .n_tokens = 3000, .n_ctx = 2049};
    assert_int_equal(refused(job, &err), ERR_LIMIT);
    assert_non_null(strstr(err.msg, "2048"));
}

static void test_tokens_are_checked(void **state)
{
    (void)state;
    struct error err;
    int32_t bad[16] = {1, 2, 100};
    struct eval_job job = {.engine = e, .tokens = bad, .n_tokens = 16, .n_ctx = 16};
    assert_int_equal(refused(job, &err), ERR_INVALID);
}

static void test_other_vocabularies_are_refused(void **state)
{
    (void)state;
    struct error err;
    uint16_t row[16] = {0};
    int32_t ids[3] = {0, 1, 2};
    struct logits_info info = {3, 7, 1, ids};
    struct logits_writer *w;
    struct logits_file *f;
    assert_int_equal(logits_writer_begin(kept, &info, &w, NULL), OK);
    assert_int_equal(logits_writer_put(w, row, 1, NULL), OK);
    assert_int_equal(logits_writer_commit(w, NULL), OK);
    assert_int_equal(logits_file_open(kept, &f, NULL), OK);
    assert_int_equal(refused((struct eval_job){.engine = e, .base = f}, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "7 candidates"));
    logits_file_close(f);
}

static void test_a_file_that_lacks_rows_gets_no_name(void **state)
{
    (void)state;
    int32_t ids[3] = {0, 1, 2};
    struct logits_info info = {3, 7, 1, ids};
    struct logits_writer *w;
    unlink(kept);
    assert_int_equal(logits_writer_begin(kept, &info, &w, NULL), OK);
    assert_int_equal(logits_writer_commit(w, NULL), ERR_INVALID);
    assert_int_equal(access(kept, F_OK), -1);
    struct error err;
    assert_int_equal(
        refused((struct eval_job){.engine = e, .save = "/nowhere/at/all"}, &err), ERR_IO);
}

struct stop {
    volatile int flag;
    uint64_t last, total;
};

static void stop_in_the_middle(void *ctx, uint64_t done, uint64_t total)
{
    struct stop *s = ctx;
    assert_true(done >= s->last && done <= total);
    s->last = done;
    s->total = total;
    if (done > total / 2) s->flag = 1;
}

static void test_a_run_can_be_stopped(void **state)
{
    (void)state;
    struct error err;
    struct stop s = {0};
    unlink(kept);
    struct eval_job job = {.engine = e,
                           .n_ctx = 100,
                           .save = kept,
                           .cancel = &s.flag,
                           .progress = stop_in_the_middle,
                           .progress_ctx = &s};
    assert_int_equal(refused(job, &err), ERR_CANCELLED);
    assert_true(s.last < s.total && s.total == N_TEXT);
    assert_int_equal(access(kept, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_perplexity_is_that_of_scores),
        cmocka_unit_test(test_bos_takes_the_place_of_each_first_token),
        cmocka_unit_test(test_threads_change_nothing),
        cmocka_unit_test(test_divergence_is_its_definition),
        cmocka_unit_test(test_a_model_has_lost_nothing_against_itself),
        cmocka_unit_test(test_kept_predictions_are_the_models),
        cmocka_unit_test(test_rows_of_any_spread_come_back),
        cmocka_unit_test(test_damaged_files_are_refused),
        cmocka_unit_test(test_short_texts_are_told_what_is_missing),
        cmocka_unit_test(test_contexts_are_the_models),
        cmocka_unit_test(test_tokens_are_checked),
        cmocka_unit_test(test_other_vocabularies_are_refused),
        cmocka_unit_test(test_a_file_that_lacks_rows_gets_no_name),
        cmocka_unit_test(test_a_run_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
