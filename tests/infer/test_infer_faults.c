/* Every allocation and every thread's start fails once in turn, from opening a model to a score,
 * through speculation, forced beginnings, prepared prompts and kept sessions, and through perplexity,
 * kept predictions and importance matrices: each time there
 * is an error or the right result, and nothing leaks (the leak checker's part). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hearth.h"
#include "infer/engine.h"
#include "infer/eval.h"
#include "infer/importance.h"
#include "infer/logits_file.h"
#include "infer/session_file.h"
#include "text/tokenizer.h"

#define TINY GOLDEN_DIR "/tiny/llama-gqa.gguf"

/* Calls until one fails; 0 = none fails. Threads allocate too. */
static int until_failure;
static bool failed;

static bool fails_now(void)
{
    int left = __atomic_load_n(&until_failure, __ATOMIC_RELAXED);
    if (left == 0) return false;
    if (__atomic_sub_fetch(&until_failure, 1, __ATOMIC_RELAXED) != 0) return false;
    failed = true;
    return true;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);

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

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    return fails_now() ? NULL : __real_aligned_alloc(align, n);
}

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
    return fails_now() ? 11 /* EAGAIN */ : __real_pthread_create(t, a, fn, arg);
}

/* What a run gives, compared with a run without failures. */
struct outcome {
    int32_t ids[64];
    size_t n_ids;
    char text[512];
    size_t len;
    double logprobs[64];
    int32_t tokens[64]; /* of all texts, one behind the other */
    size_t n_tokens;
};

struct failure {
    int code;
    char msg[1024];
};

static bool on_text(void *ctx, const char *text, size_t len)
{
    struct outcome *o = ctx;
    assert_true(o->len + len < sizeof o->text);
    memcpy(o->text + o->len, text, len);
    o->len += len;
    return true;
}

static enum hearth_status generate(struct hearth_session *s, struct outcome *o,
                                   struct hearth_error *err)
{
    static const struct hearth_logit_bias bias = {99, -1000};
    static const char prompt[] = "for (every item) in";
    struct hearth_request req;
    hearth_request_init(&req);
    req.prompt = prompt;
    req.prompt_len = strlen(prompt);
    req.max_tokens = 12;
    req.temperature = 0.9f;
    req.seed = 5;
    req.repeat_penalty = 1.1f;
    req.bias = &bias;
    req.n_bias = 1;
    req.deadline_ms = 60000;
    req.on_text = on_text;
    req.ctx = o;
    o->len = 0;
    return hearth_generate(s, &req, NULL, err);
}

static int run_interface(struct outcome *o, struct failure *f)
{
    static const char code[] = "while (1) return the value";
    struct hearth_engine_options opt = {.n_threads = 2};
    struct hearth_engine *e;
    struct hearth_session *s = NULL;
    struct hearth_error err = {0};
    enum hearth_status st = hearth_engine_open(TINY, &opt, &e, &err);
    if (st == HEARTH_OK)
        st = hearth_tokenize(e, code, strlen(code), HEARTH_ADD_BOS, o->ids, 64, &o->n_ids, &err);
    else
        assert_null(e);
    if (st == HEARTH_OK) st = hearth_session_create(e, 256, &s, &err);
    if (st == HEARTH_OK) {
        st = generate(s, o, &err);
        /* A session that failed once goes on. */
        if (st != HEARTH_OK) assert_int_equal(generate(s, o, NULL), HEARTH_OK);
    }
    if (st == HEARTH_OK) st = hearth_score(s, o->ids, o->n_ids, o->logprobs, &err);
    hearth_session_destroy(s);
    hearth_engine_close(e);
    f->code = (int)err.code;
    snprintf(f->msg, sizeof f->msg, "%s", err.message);
    return (int)st;
}

/* ---- below the interface -----------------------------------------------------------------------
 */

static char folder[] = "/tmp/hearth-faults-XXXXXX";

enum { N_PROMPT = 40 };
static int32_t prompt[N_PROMPT];

static bool on_token(void *ctx, int32_t token)
{
    struct outcome *o = ctx;
    assert_true(o->n_tokens < 64);
    o->tokens[o->n_tokens++] = token;
    return true;
}

/* A text with a forced beginning, drafted from the prompt and by a second session. */
static enum status speculate(struct engine *e, struct session *s, struct session *draft,
                             struct outcome *o, struct error *err)
{
    char begin[64];
    size_t n = tokenizer_piece(engine_tokenizer(e), 70, false, begin, sizeof begin);
    struct generate_request req = {
        .prompt = prompt,
        .n_prompt = N_PROMPT,
        .max_tokens = 12,
        .sample = sample_params_default(),
        .begin = begin,
        .n_begin = n,
        .speculate = {.mode = SPECULATE_AUTO, .draft = draft},
        .on_token = on_token,
        .ctx = o,
    };
    struct generate_result res;
    assert_in_range(n, 1, sizeof begin);
    return session_generate(s, &req, &res, err);
}

static enum status prepare_and_keep(struct session *s, struct session *other, struct error *err)
{
    int32_t next[N_PROMPT];
    size_t n;
    for (size_t i = 0; i < N_PROMPT; i++) next[i] = prompt[i < 20 ? i : N_PROMPT - i];
    enum status st = session_prepare(s, next, N_PROMPT, 0, NULL, &n, err);
    if (st == OK) assert_int_equal(n, N_PROMPT);
    if (st == OK) st = session_save(s, folder, "a text", SESSION_FILES_BYTES, err);
    if (st != OK) return st;
    st = session_load(other, folder, "a text", &n, err);
    assert_int_equal(session_cached(other, prompt, N_PROMPT), st == OK ? N_PROMPT - 1 : 0);
    return st;
}

static int run_inside(struct outcome *o, struct failure *f)
{
    struct engine_options opt = {.n_threads = 1};
    struct engine *e;
    struct session *s = NULL, *draft = NULL;
    struct error err = {0};
    enum status st = engine_open(TINY, &opt, &e, &err);
    if (st == OK) st = session_create(e, 128, &s, &err);
    if (st == OK) st = session_create(e, 128, &draft, &err);
    if (st == OK) {
        st = speculate(e, s, draft, o, &err);
        o->n_tokens = st == OK ? o->n_tokens : 0;
        if (st != OK) assert_int_equal(speculate(e, s, draft, o, NULL), OK);
    }
    if (st == OK) {
        st = prepare_and_keep(s, draft, &err);
        if (st != OK) assert_int_equal(prepare_and_keep(s, draft, NULL), OK);
    }
    if (st == OK) st = speculate(e, draft, NULL, o, &err); /* goes on from what was kept */
    session_destroy(s);
    session_destroy(draft);
    engine_close(e);
    f->code = (int)err.code;
    snprintf(f->msg, sizeof f->msg, "%s", err.msg);
    return (int)st;
}

/* ---- how good a model is -----------------------------------------------------------------------
 */

static char kept[64], matrix[64];

/* Keeps predictions, and compares with them and with the model itself. */
static enum status evaluate(struct engine *e, struct outcome *o, struct error *err)
{
    struct eval_job job = {
        .engine = e, .tokens = prompt, .n_tokens = N_PROMPT, .n_ctx = 16, .save = kept};
    struct eval_result r;
    struct logits_file *f = NULL;
    enum status st = eval_run(&job, &r, err);
    if (st == OK) st = logits_file_open(kept, &f, err);
    job.save = NULL;
    job.base = f;
    if (st == OK) st = eval_run(&job, &r, err);
    logits_file_close(f);
    o->logprobs[1] = r.nll.value;
    o->logprobs[2] = r.kl.value;
    job.base = NULL;
    job.against = e;
    if (st == OK) st = eval_run(&job, &r, err);
    o->n_tokens = st == OK ? r.n_counted : 0;
    return st;
}

static enum status collect(struct engine *e, struct outcome *o, struct error *err)
{
    struct importance_job job = {.engine = e, .tokens = prompt, .n_tokens = N_PROMPT, .n_ctx = 16};
    struct imatrix_info info = {.chunk_size = 16};
    struct imatrix *m = NULL, *back = NULL;
    enum status st = imatrix_create(&m, err);
    if (st == OK) st = importance_collect(&job, m, err);
    if (st == OK) st = imatrix_write(m, &info, matrix, err);
    if (st == OK) st = imatrix_create(&back, err);
    if (st == OK) st = imatrix_read(back, matrix, NULL, err);
    if (st == OK) o->logprobs[3] = imatrix_entry_at(back, 0)->sums[0];
    imatrix_destroy(m);
    imatrix_destroy(back);
    return st;
}

static int run_quality(struct outcome *o, struct failure *f)
{
    struct engine_options opt = {.n_threads = 2};
    struct engine *e;
    struct error err = {0};
    enum status st = engine_open(TINY, &opt, &e, &err);
    if (st == OK) st = evaluate(e, o, &err);
    if (st == OK) st = collect(e, o, &err);
    engine_close(e);
    f->code = (int)err.code;
    snprintf(f->msg, sizeof f->msg, "%s", err.msg);
    return (int)st;
}

/* ---- the walk ----------------------------------------------------------------------------------
 */

static void walk(int (*run)(struct outcome *o, struct failure *f), int least_errors)
{
    static struct outcome want, got;
    struct failure f = {0};
    memset(&want, 0, sizeof want);
    if (run(&want, &f)) fail_msg("%s", f.msg);
    assert_true((want.len > 0 && want.n_ids > 10) || want.n_tokens > 10);
    int errors = 0;
    for (int at = 1;; at++) {
        memset(&got, 0, sizeof got);
        f = (struct failure){0};
        failed = false;
        __atomic_store_n(&until_failure, at, __ATOMIC_RELAXED);
        int st = run(&got, &f);
        __atomic_store_n(&until_failure, 0, __ATOMIC_RELAXED);
        if (!failed) break;
        if (st == 0) { /* done without, as the watching thread can be */
            got.logprobs[0] = want.logprobs[0] = 0;
            assert_memory_equal(&got, &want, sizeof got);
            continue;
        }
        errors++;
        assert_int_equal(f.code, st);
        if (st != HEARTH_ERR_NOMEM) fail_msg("call %d: status %d: %s", at, st, f.msg);
        assert_true(strlen(f.msg) > 5);
    }
    print_message("%d errors\n", errors);
    assert_true(errors > least_errors);
}

static void every_failure_is_an_error(void **state)
{
    (void)state;
    walk(run_interface, 30);
}

static void every_failure_inside_is_an_error(void **state)
{
    (void)state;
    for (int32_t i = 0; i < N_PROMPT; i++) prompt[i] = 5 + i % 9;
    walk(run_inside, 30);
}

static void every_failure_of_a_measurement_is_an_error(void **state)
{
    (void)state;
    for (int32_t i = 0; i < N_PROMPT; i++) prompt[i] = 5 + i % 9;
    walk(run_quality, 30);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(kept, sizeof kept, "%s/kept.logits", folder);
    snprintf(matrix, sizeof matrix, "%s/matrix.gguf", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    size_t count;
    uint64_t bytes;
    assert_int_equal(session_files_remove(folder, &count, &bytes, NULL), OK);
    unlink(kept);
    unlink(matrix);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_is_an_error),
        cmocka_unit_test(every_failure_inside_is_an_error),
        cmocka_unit_test(every_failure_of_a_measurement_is_an_error),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
