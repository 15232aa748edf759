/* An engine's weights move into memory while it answers, and the answers stay what they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "infer/engine.h"
#include "infer/infer_int.h"
#include "model/model_int.h"

#define TINY GOLDEN_DIR "/tiny/llama-tied.gguf"

enum { N_ANSWER = 40 };

struct answer {
    int32_t tokens[N_ANSWER];
    size_t n;
};

static bool on_token(void *ctx, int32_t token)
{
    struct answer *a = ctx;
    a->tokens[a->n++] = token;
    return true;
}

static struct answer ask(struct engine *e)
{
    static const int32_t prompt[] = {3, 1, 4, 1, 5, 9, 2, 6};
    struct answer a = {.n = 0};
    struct generate_request req = {.prompt = prompt,
                                   .n_prompt = sizeof prompt / sizeof *prompt,
                                   .max_tokens = N_ANSWER,
                                   .sample = sample_params_default(),
                                   .on_token = on_token,
                                   .ctx = &a};
    struct generate_result res;
    struct error err = {0};
    struct session *s;
    if (session_create(e, 64, &s, &err) || session_generate(s, &req, &res, &err))
        fail_msg("%s", err.msg);
    session_destroy(s);
    return a;
}

/* The thread begins only after a second, so there is time to tell it that a tiny model will do. */
static struct engine *open_settling(const char *cache)
{
    struct engine *e;
    struct error err = {0};
    struct engine_options opt = {.n_threads = 2, .cache_dir = cache, .settle = true};
    if (engine_open(TINY, &opt, &e, &err)) fail_msg("%s", err.msg);
    assert_true(e->model->packed_mapped);
    e->model->settle.forced = true;
    return e;
}

static void remove_folder(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *f;
    char path[600];
    while (d && (f = readdir(d))) {
        snprintf(path, sizeof path, "%s/%s", dir, f->d_name);
        if (f->d_name[0] != '.') unlink(path);
    }
    if (d) closedir(d);
    rmdir(dir);
}

struct asker {
    struct engine *e;
    const struct answer *want;
    size_t wrong;
    int stop;
};

static void *keep_asking(void *ctx)
{
    struct asker *a = ctx;
    while (!__atomic_load_n(&a->stop, __ATOMIC_RELAXED)) {
        struct answer got = ask(a->e);
        a->wrong += got.n != a->want->n ||
                    memcmp(got.tokens, a->want->tokens, got.n * sizeof *got.tokens) != 0;
    }
    return NULL;
}

static void test_moves_under_answers(void **state)
{
    (void)state;
    char dir[] = "/tmp/hearth-settling-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct engine *e = open_settling(dir);
    struct answer want = ask(e);
    struct asker a = {.e = e, .want = &want};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, keep_asking, &a), 0);
    engine_settle(e);
    __atomic_store_n(&a.stop, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    assert_int_equal(want.n, N_ANSWER);
    assert_int_equal(a.wrong, 0);
    assert_false(e->model->packed_mapped);
    struct answer after = ask(e);
    assert_memory_equal(after.tokens, want.tokens, sizeof want.tokens);
    engine_settle(e); /* done: returns */
    engine_close(e);
    remove_folder(dir);
}

static void test_closed_before_it_began(void **state)
{
    (void)state;
    char dir[] = "/tmp/hearth-settling-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct engine *e = open_settling(dir);
    engine_close(e);
    remove_folder(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves_under_answers),
        cmocka_unit_test(test_closed_before_it_began),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
