/* Each allocation failing in turn: ERR_NOMEM, results untouched, nothing leaked. The linker routes
 * the allocators through here (--wrap), those that PCRE2 is given included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gguf/gguf_int.h"
#include "gguf_build.h"
#include "infer/vocab_gguf.h"
#include "vocab_make.h"

static long fail_at; /* 1 fails the next allocation; 0 never */
static long live;    /* allocations less frees */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
void __wrap_free(void *p);

static bool fails(void)
{
    return fail_at > 0 && --fail_at == 0;
}

static void *counted(void *p)
{
    if (p) live++;
    return p;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : counted(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
    if (fails()) return NULL;
    void *out = __real_realloc(p, n);
    if (out && !p) live++;
    return out;
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : counted(__real_strdup(s));
}

void __wrap_free(void *p)
{
    if (p) live--;
    __real_free(p);
}

static const char text[] = "int main(void)\n{\n    return 12345; // \xFF \u00E9 <tool_call><|im_end|>x\n}\n";

static enum status create_and_use(const struct vocab_source *src)
{
    struct tokenizer *t = NULL;
    struct error err = {0};
    struct token_list ids = {0};
    struct buf out;
    buf_init(&out, 1 << 16);
    enum status st = tokenizer_create(src, &t, &err);
    if (st) {
        assert_null(t);
        goto out;
    }
    st = token_list_push(&ids, 1);
    if (st) goto out;
    for (int special = 0; special < 2 && st == OK; special++) {
        size_t before = ids.len;
        st = tokenizer_encode(t, text, sizeof text - 1, special, &ids, &err);
        if (st) assert_int_equal(ids.len, before);
    }
    if (st == OK) st = tokenizer_decode(t, ids.ids, ids.len, true, &out, &err);
    if (st && t) assert_int_equal(err.code, st);
out:
    token_list_fini(&ids);
    tokenizer_destroy(t);
    buf_fini(&out);
    return st;
}

static void every_allocation(void **model)
{
    const char *name = *model;
    struct made_vocab m;
    made_sample(&m, name, strcmp(name, "gpt2") == 0 ? "starcoder" : NULL);
    long n = 1;
    for (;; n++) {
        long before = live;
        fail_at = n;
        enum status st = create_and_use(&m.src);
        bool reached = fail_at == 0;
        fail_at = 0;
        assert_int_equal(live, before);
        if (!reached) {
            assert_int_equal(st, OK);
            break;
        }
        /* JIT code that finds no memory is done without. */
        if (st != OK) assert_int_equal(st, ERR_NOMEM);
    }
    assert_true(n > 20);
    made_fini(&m);
}

static void bridge(void **unused)
{
    (void)unused;
    static const char *const tokens[] = {"<unk>", "<s>", "</s>", "\u2581", "a", "<0x0A>"};
    static const float scores[6] = {0};
    static const int32_t types[6] = {2, 3, 3, 1, 1, 6};
    struct gguf_build b;
    struct buf file;
    struct gguf *g;
    struct error err = {0};
    build_init(&b, 3);
    build_str(&b, "tokenizer.ggml.model", "llama");
    build_str(&b, "tokenizer.ggml.pre", "default");
    build_strings(&b, "tokenizer.ggml.tokens", tokens, 6);
    build_array(&b, "tokenizer.ggml.scores", GGUF_F32, 6, scores, sizeof scores);
    build_array(&b, "tokenizer.ggml.token_type", GGUF_I32, 6, types, sizeof types);
    buf_init(&file, 1 << 20);
    build_finish(&b, &file);
    assert_int_equal(gguf_open_memory((uint8_t *)file.data, file.len, "m.gguf", &g, &err), OK);
    for (long n = 1;; n++) {
        struct vocab *v = NULL;
        long before = live;
        fail_at = n;
        enum status st = vocab_open(g, &v, &err);
        bool reached = fail_at == 0;
        fail_at = 0;
        if (st) {
            assert_null(v);
            assert_int_equal(st, ERR_NOMEM);
        }
        vocab_close(v);
        assert_int_equal(live, before);
        if (!reached) {
            assert_int_equal(st, OK);
            assert_true(n > 10);
            break;
        }
    }
    gguf_close(g);
    build_fini(&b);
    buf_fini(&file);
}

int main(void)
{
    static char gpt2[] = "gpt2", llama[] = "llama", gemma[] = "gemma4", bert[] = "bert", t5[] = "t5";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(every_allocation, gpt2),
        cmocka_unit_test_prestate(every_allocation, llama),
        cmocka_unit_test_prestate(every_allocation, gemma),
        cmocka_unit_test_prestate(every_allocation, bert),
        cmocka_unit_test_prestate(every_allocation, t5),
        cmocka_unit_test(bridge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
