/* Collected importance: the sums of what an observer sees, whole contexts at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "gguf/gguf.h"
#include "infer/importance.h"
#include "infer/infer_int.h"

#define TINY GOLDEN_DIR "/tiny/llama-gqa.gguf"

enum { N_TEXT = 700, CTX = 60, N_CHUNKS = N_TEXT / CTX, BOS = 99, MAX_FILE = 4 << 20 };

static char with_bos[] = "/tmp/hearth-importance-XXXXXX";
static int32_t text[N_TEXT];
static struct engine *e;

static struct engine *open_engine(const char *path, int threads)
{
    struct engine *opened;
    struct error err = {0};
    if (engine_open(path, &(struct engine_options){.n_threads = threads}, &opened, &err))
        fail_msg("%s", err.msg);
    return opened;
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
    at[strlen(key) + 4] = 1;
    int fd = mkstemp(with_bos);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, b.data, b.len), b.len);
    close(fd);
    buf_fini(&b);
}

static int set_up(void **state)
{
    (void)state;
    uint32_t x = 7;
    for (int i = 0; i < N_TEXT; i++) {
        x = x * 1664525u + 1013904223u;
        text[i] = (int32_t)((x >> 16) % 99);
    }
    make_bos_model();
    e = open_engine(TINY, 2);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    engine_close(e);
    return unlink(with_bos);
}

static struct importance_job job_of(struct engine *engine)
{
    return (struct importance_job){
        .engine = engine, .tokens = text, .n_tokens = N_TEXT, .n_ctx = CTX};
}

static struct imatrix *collect(struct importance_job job, struct imatrix *m)
{
    struct error err = {0};
    if (!m) assert_int_equal(imatrix_create(&m, NULL), OK);
    if (importance_collect(&job, m, &err)) fail_msg("%s", err.msg);
    return m;
}

static void assert_same(const struct imatrix *a, const struct imatrix *b)
{
    assert_int_equal(imatrix_n_entries(a), imatrix_n_entries(b));
    for (size_t i = 0; i < imatrix_n_entries(a); i++) {
        const struct imatrix_entry *x = imatrix_entry_at(a, i), *y = imatrix_entry_at(b, i);
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->n_cols, y->n_cols);
        assert_memory_equal(x->sums, y->sums, x->n_cols * sizeof *x->sums);
        assert_true(x->counts[0] == y->counts[0]);
    }
}

/* ---- what it should be ------------------------------------------------------------------------ */

struct expected {
    const char *name;
    size_t n_rows;
    double sums[256];
};

static void sum_up(void *ctx, const struct forward_input *in)
{
    struct expected *x = ctx;
    if (!gguf_str_eq(in->tensor->name, x->name)) return;
    for (size_t r = 0; r < in->n_rows; r++, x->n_rows++)
        for (size_t i = 0; i < in->n_cols; i++) {
            double v = (double)in->x[r * in->stride + i];
            x->sums[i] += v * v;
        }
}

/* Token by token over each context. */
static struct expected expect(struct engine *engine, const char *name, bool bos)
{
    struct expected x = {.name = name};
    struct session *s;
    assert_int_equal(session_create(engine, CTX, &s, NULL), OK);
    engine_observe(engine, sum_up, &x);
    for (size_t c = 0; c < N_CHUNKS; c++) {
        kv_seq_truncate(s->seq, 0);
        for (size_t i = 0; i < CTX; i++) {
            int32_t id = bos && i == 0 ? BOS : text[c * CTX + i];
            assert_int_equal(session_feed(s, &id, 1, false, false, NULL, NULL, NULL), OK);
        }
    }
    engine_observe(engine, NULL, NULL);
    session_destroy(s);
    return x;
}

static void check(struct engine *engine, bool bos)
{
    static const char *const names[] = {"blk.0.attn_q.weight", "blk.1.attn_output.weight",
                                        "blk.1.ffn_down.weight", "blk.0.ffn_gate.weight"};
    struct imatrix *m = collect(job_of(engine), NULL);
    assert_int_equal(imatrix_n_entries(m), 14);
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        struct expected x = expect(engine, names[k], bos);
        const struct imatrix_entry *got = imatrix_find(m, names[k], strlen(names[k]));
        assert_non_null(got);
        assert_int_equal(got->n_parts, 1);
        assert_int_equal(x.n_rows, N_CHUNKS * CTX);
        assert_true(got->counts[0] == N_CHUNKS * CTX);
        for (size_t i = 0; i < got->n_cols; i++) {
            double d = got->sums[i] - x.sums[i];
            if (!(d <= 1e-12 * x.sums[i] && -d <= 1e-12 * x.sums[i]) || !(x.sums[i] > 0))
                fail_msg("%s column %zu: %g is not %g", names[k], i, got->sums[i], x.sums[i]);
        }
    }
    imatrix_destroy(m);
}

static void test_sums_are_those_of_all_inputs(void **state)
{
    (void)state;
    check(e, false);
    struct engine *bos = open_engine(with_bos, 1);
    check(bos, true);
    engine_close(bos);
}

static void test_threads_change_nothing(void **state)
{
    (void)state;
    struct imatrix *want = collect(job_of(e), NULL);
    for (int threads = 1; threads <= 3; threads += 2) {
        struct engine *other = open_engine(TINY, threads);
        struct imatrix *m = collect(job_of(other), NULL);
        assert_same(m, want);
        imatrix_destroy(m);
        engine_close(other);
    }
    imatrix_destroy(want);
}

static void test_two_parts_are_the_whole(void **state)
{
    (void)state;
    struct imatrix *want = collect(job_of(e), NULL);
    struct importance_job first = job_of(e), second = job_of(e);
    first.max_chunks = 4;
    second.first_chunk = 4;
    struct imatrix *m = collect(first, NULL);
    assert_int_equal(imatrix_chunk_count(m, CTX), 4);
    collect(second, m);
    assert_same(m, want);
    /* Nothing is left to do. */
    second.first_chunk = N_CHUNKS;
    collect(second, m);
    assert_same(m, want);
    imatrix_destroy(m);
    imatrix_destroy(want);
}

/* ---- stopping --------------------------------------------------------------------------------- */

struct stop {
    volatile int flag;
    size_t at, done;
    enum status fail;
};

static enum status on_chunk(void *ctx, size_t done, size_t total, struct error *err)
{
    struct stop *s = ctx;
    assert_int_equal(total, N_CHUNKS);
    assert_int_equal(done, s->done + 1);
    s->done = done;
    if (done == s->at && s->fail) return error_set(err, s->fail, "made to fail");
    s->flag = done == s->at;
    return OK;
}

static void test_a_run_that_ends_early_has_whole_contexts(void **state)
{
    (void)state;
    struct importance_job job = job_of(e);
    job.max_chunks = 3;
    struct imatrix *want = collect(job, NULL), *m;
    for (int fail = 0; fail < 2; fail++) {
        struct stop s = {.at = 3, .fail = fail ? ERR_IO : OK};
        struct error err = {0};
        assert_int_equal(imatrix_create(&m, NULL), OK);
        job = job_of(e);
        job.cancel = &s.flag;
        job.on_chunk = on_chunk;
        job.ctx = &s;
        assert_int_equal(importance_collect(&job, m, &err), fail ? ERR_IO : ERR_CANCELLED);
        assert_int_equal(s.done, 3);
        assert_same(m, want);
        imatrix_destroy(m);
    }
    imatrix_destroy(want);
}

static void test_runs_are_told_apart(void **state)
{
    (void)state;
    char id[IMATRIX_RUN_SIZE], other[IMATRIX_RUN_SIZE];
    struct importance_job job = job_of(e);
    assert_int_equal(importance_run_id(&job, id, NULL), OK);
    assert_int_equal(strlen(id), IMATRIX_RUN_SIZE - 1);
    job.max_chunks = 2; /* more of the same text is the same run */
    assert_int_equal(importance_run_id(&job, other, NULL), OK);
    assert_string_equal(other, id);
    job.n_ctx++;
    assert_int_equal(importance_run_id(&job, other, NULL), OK);
    assert_string_not_equal(other, id);
    job = job_of(e);
    job.n_tokens--;
    assert_int_equal(importance_run_id(&job, other, NULL), OK);
    assert_string_not_equal(other, id);
    struct engine *q4 = open_engine(GOLDEN_DIR "/tiny/q4_0.gguf", 1);
    job = job_of(q4);
    assert_int_equal(importance_run_id(&job, other, NULL), OK);
    assert_string_not_equal(other, id);
    engine_close(q4);
}

static void test_what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct error err = {0};
    struct imatrix *m;
    struct imatrix_entry *entry;
    int32_t bad[CTX] = {-1};
    assert_int_equal(imatrix_create(&m, NULL), OK);
    struct importance_job job = job_of(e);
    job.n_tokens = CTX - 1;
    assert_int_equal(importance_collect(&job, m, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "59 tokens"));
    assert_non_null(strstr(err.msg, "60 tokens or more"));
    job = job_of(e);
    job.tokens = bad;
    job.n_tokens = CTX;
    assert_int_equal(importance_collect(&job, m, &err), ERR_INVALID);
    assert_int_equal(imatrix_n_entries(m), 0);
    assert_int_equal(imatrix_entry(m, "blk.1.attn_q.weight", 19, 65, 1, &entry, NULL), OK);
    job = job_of(e);
    assert_int_equal(importance_collect(&job, m, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "blk.1.attn_q.weight"));
    imatrix_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_are_those_of_all_inputs),
        cmocka_unit_test(test_threads_change_nothing),
        cmocka_unit_test(test_two_parts_are_the_whole),
        cmocka_unit_test(test_a_run_that_ends_early_has_whole_contexts),
        cmocka_unit_test(test_runs_are_told_apart),
        cmocka_unit_test(test_what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
