/* Vocabularies read from GGUF metadata: what the keys mean, what their absence means, and what is
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gguf/gguf_int.h"
#include "gguf_build.h"
#include "infer/vocab_gguf.h"
#include "text/tokenizer.h"

#define KEY(name) "tokenizer.ggml." name
enum { N = 8 };
static const char *const tokens[N] = {"<unk>", "<s>", "</s>", "\u2581", "a", "b", "ab", "<0x0A>"};
static const int32_t types[N] = {2, 3, 3, 1, 1, 1, 1, 6};
static const float scores[N] = {0, 0, 0, -1, -2, -3, -4, 0};

struct file {
    struct gguf_build b;
    struct buf bytes;
    struct gguf *g;
    struct vocab *v;
    struct error err;
};

static void start(struct file *f, const char *model, const char *pre)
{
    *f = (struct file){0};
    build_init(&f->b, 3);
    if (model) build_str(&f->b, KEY("model"), model);
    if (pre) build_str(&f->b, KEY("pre"), pre);
}

static void start_spm(struct file *f)
{
    start(f, "llama", NULL);
    build_strings(&f->b, KEY("tokens"), tokens, N);
    build_array(&f->b, KEY("scores"), GGUF_F32, N, scores, sizeof scores);
    build_array(&f->b, KEY("token_type"), GGUF_I32, N, types, sizeof types);
}

static enum status finish(struct file *f)
{
    buf_init(&f->bytes, 1 << 20);
    build_finish(&f->b, &f->bytes);
    assert_int_equal(
        gguf_open_memory((uint8_t *)f->bytes.data, f->bytes.len, "m.gguf", &f->g, &f->err), OK);
    return vocab_open(f->g, &f->v, &f->err);
}

static void end(struct file *f)
{
    vocab_close(f->v);
    gguf_close(f->g);
    build_fini(&f->b);
    buf_fini(&f->bytes);
}

static void refused(struct file *f, enum status want, const char *word)
{
    assert_int_equal(finish(f), want);
    assert_null(f->v);
    assert_non_null(strstr(f->err.msg, "m.gguf"));
    if (!strstr(f->err.msg, word)) fail_msg("'%s' does not say '%s'", f->err.msg, word);
    end(f);
}

static void defaults_of_spm(void **unused)
{
    (void)unused;
    struct file f;
    start_spm(&f);
    assert_int_equal(finish(&f), OK);
    const struct tokenizer *t = vocab_tokenizer(f.v);
    const struct vocab_source *s = tokenizer_source(t);
    assert_int_equal(s->unk, 0);
    assert_int_equal(s->bos, 1);
    assert_int_equal(s->eos, 2);
    assert_true(s->add_bos && !s->add_eos && s->add_space_prefix);
    assert_int_equal(tokenizer_type(t, 7), TOKEN_BYTE);
    struct token_list ids = {0};
    assert_int_equal(tokenizer_encode(t, "ab\n", 3, false, &ids, &f.err), OK);
    assert_int_equal(ids.len, 3);
    assert_memory_equal(ids.ids, ((const int32_t[]){3, 6, 7}), 12);
    token_list_fini(&ids);
    end(&f);
}

static void keys_are_heeded(void **unused)
{
    (void)unused;
    struct file f;
    start_spm(&f);
    build_number(&f.b, KEY("bos_token_id"), GGUF_U32, 4);
    build_number(&f.b, KEY("eos_token_id"), GGUF_U32, 99); /* outside: the default stays */
    build_number(&f.b, KEY("padding_token_id"), GGUF_I32, (uint64_t)-1);
    build_number(&f.b, KEY("add_bos_token"), GGUF_BOOL, 0);
    build_number(&f.b, KEY("add_eos_token"), GGUF_BOOL, 1);
    build_number(&f.b, KEY("add_space_prefix"), GGUF_BOOL, 0);
    build_number(&f.b, KEY("prefix_token_id"), GGUF_U32, 4);
    build_number(&f.b, KEY("suffix_token_id"), GGUF_U32, 5);
    build_number(&f.b, KEY("fim_suf_token_id"), GGUF_U32, 6);
    build_number(&f.b, KEY("middle_token_id"), GGUF_U64, 7);
    build_str(&f.b, "general.name", "Small PHI-3 clone");
    assert_int_equal(finish(&f), OK);
    const struct vocab_source *s = tokenizer_source(vocab_tokenizer(f.v));
    assert_int_equal(s->bos, 4);
    assert_int_equal(s->eos, 2);
    assert_int_equal(s->pad, TOKEN_NONE);
    assert_true(!s->add_bos && s->add_eos && !s->add_space_prefix && s->strip_after_special);
    assert_int_equal(s->fim_pre, 4);
    assert_int_equal(s->fim_suf, 6);
    assert_int_equal(s->fim_mid, 7);
    end(&f);
}

static void defaults_of_bpe(void **unused)
{
    (void)unused;
    static const char *const merges[] = {"a b"};
    struct file f;
    start(&f, "gpt2", "llama-bpe");
    build_strings(&f.b, KEY("tokens"), tokens, N);
    build_strings(&f.b, KEY("merges"), merges, 1);
    assert_int_equal(finish(&f), OK);
    const struct tokenizer *t = vocab_tokenizer(f.v);
    const struct vocab_source *s = tokenizer_source(t);
    assert_int_equal(s->bos, TOKEN_NONE);
    assert_true(s->add_bos && s->ignore_merges && !s->add_space_prefix);
    assert_string_equal(s->pre, "llama-bpe");
    struct token_list ids = {0};
    assert_int_equal(tokenizer_encode(t, "ab", 2, false, &ids, &f.err), OK);
    assert_int_equal(ids.len, 1);
    assert_int_equal(ids.ids[0], 6);
    token_list_fini(&ids);
    end(&f);
}

static void missing_parts(void **unused)
{
    (void)unused;
    struct file f;
    start(&f, NULL, NULL);
    refused(&f, ERR_NOT_FOUND, "tokenizer.ggml.model");
    start(&f, "llama", NULL);
    refused(&f, ERR_NOT_FOUND, "tokenizer.ggml.tokens");
    start(&f, "gpt2", NULL);
    build_strings(&f.b, KEY("tokens"), tokens, N);
    refused(&f, ERR_FORMAT, "tokenizer.ggml.merges");
    start(&f, "llama", NULL);
    build_strings(&f.b, KEY("tokens"), tokens, 0);
    refused(&f, ERR_FORMAT, "no tokens");
    start(&f, "rwkv", NULL);
    build_strings(&f.b, KEY("tokens"), tokens, N);
    refused(&f, ERR_UNSUPPORTED, "'rwkv'");
    start(&f, "gpt2", "klingon");
    build_strings(&f.b, KEY("tokens"), tokens, N);
    build_strings(&f.b, KEY("merges"), tokens, N);
    refused(&f, ERR_UNSUPPORTED, "'klingon'");
}

static void wrong_arrays(void **unused)
{
    (void)unused;
    struct file f;
    start(&f, "llama", NULL);
    build_array(&f.b, KEY("tokens"), GGUF_I32, N, types, sizeof types);
    refused(&f, ERR_FORMAT, "tokenizer.ggml.tokens");
    start(&f, "llama", NULL);
    build_strings(&f.b, KEY("tokens"), tokens, N);
    build_array(&f.b, KEY("scores"), GGUF_F32, N - 1, scores, sizeof scores - 4);
    refused(&f, ERR_FORMAT, "tokenizer.ggml.scores");
    start(&f, "llama", NULL);
    build_strings(&f.b, KEY("tokens"), tokens, N);
    build_strings(&f.b, KEY("token_type"), tokens, N);
    refused(&f, ERR_FORMAT, "tokenizer.ggml.token_type");
    start(&f, "gpt2", NULL);
    build_strings(&f.b, KEY("tokens"), tokens, N);
    build_array(&f.b, KEY("merges"), GGUF_I32, N, types, sizeof types);
    refused(&f, ERR_FORMAT, "tokenizer.ggml.merges");
    start(&f, "a-name-of-more-than-sixty-three-bytes-that-no-tokenizer-of-this-world-has", NULL);
    refused(&f, ERR_FORMAT, "tokenizer.ggml.model");
    start_spm(&f);
    build_str(&f.b, KEY("add_bos_token"), "yes");
    refused(&f, ERR_FORMAT, "tokenizer.ggml.add_bos_token");
}

/* Arrays that are longer than the tokens, and numbers of other types, are taken as they are. */
static void generous_arrays(void **unused)
{
    (void)unused;
    static const int8_t small_scores[N + 1] = {0, 0, 0, -1, -2, -3, -4, 0, 0};
    static const uint16_t wide_types[N + 1] = {2, 3, 3, 1, 1, 700, 1, 6, 1};
    struct file f;
    start(&f, "llama", NULL);
    build_strings(&f.b, KEY("tokens"), tokens, N);
    build_array(&f.b, KEY("scores"), GGUF_I8, N + 1, small_scores, sizeof small_scores);
    build_array(&f.b, KEY("token_type"), GGUF_U16, N + 1, wide_types, sizeof wide_types);
    assert_int_equal(finish(&f), OK);
    const struct tokenizer *t = vocab_tokenizer(f.v);
    assert_true(tokenizer_source(t)->scores[5] == -3);
    assert_int_equal(tokenizer_type(t, 1), TOKEN_CONTROL);
    assert_int_equal(tokenizer_type(t, 5), TOKEN_NORMAL);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_of_spm), cmocka_unit_test(keys_are_heeded),
        cmocka_unit_test(defaults_of_bpe), cmocka_unit_test(missing_parts),
        cmocka_unit_test(wrong_arrays),    cmocka_unit_test(generous_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
