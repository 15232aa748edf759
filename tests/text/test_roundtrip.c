/* 100,000 random texts, invalid UTF-8 among them, through encode and decode: over vocabularies made
 * here, and over the real ones of HEARTH_VOCAB_DIR where it is set. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "infer/vocab_gguf.h"
#include "vocab_dir.h"
#include "vocab_make.h"

enum { N_TEXTS = 100000 };

/* With special tokens parsed as well, except where a model's tokens swallow white space. */
static int run(const char *name, const struct tokenizer *t, size_t n, uint64_t seed)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    uint64_t state = seed;
    size_t n_bad = 0, n_bytes = 0;
    for (size_t i = 0; i < n && n_bad < 10; i++) {
        random_text(&state, &text);
        bool special = i % 4 == 0 && !tokenizer_source(t)->strip_after_special;
        if (!round_trips(t, text.data ? text.data : "", text.len, special)) {
            fprintf(stderr, "%s: text %zu of seed %llu\n", name, i, (unsigned long long)seed);
            n_bad++;
        }
        n_bytes += text.len;
    }
    printf("%s: %zu texts of %.1f bytes, %zu wrong\n", name, n, (double)n_bytes / (double)n, n_bad);
    buf_fini(&text);
    return n_bad != 0;
}

static int run_made(const char *model, const char *pre, size_t n, uint64_t seed)
{
    struct made_vocab m;
    made_sample(&m, model, pre);
    struct tokenizer *t = NULL;
    struct error err = {0};
    int bad = 1;
    if (tokenizer_create(&m.src, &t, &err))
        fprintf(stderr, "%s/%s: %s\n", model, pre, err.msg);
    else
        bad = run(pre ? pre : model, t, n, seed);
    tokenizer_destroy(t);
    made_fini(&m);
    return bad;
}

struct real {
    int n, bad;
};

/* WordPiece and Unigram normalise. */
static bool keeps_texts(const struct vocab *v)
{
    const char *model = tokenizer_source(vocab_tokenizer(v))->model;
    return strcmp(model, "bert") != 0 && strcmp(model, "t5") != 0;
}

static bool count(const char *path, const struct vocab *v, void *ctx)
{
    (void)path;
    if (keeps_texts(v)) ((struct real *)ctx)->n++;
    return true;
}

static bool run_real(const char *path, const struct vocab *v, void *ctx)
{
    struct real *r = ctx;
    if (!keeps_texts(v)) return true;
    r->bad += run(strrchr(path, '/') + 1, vocab_tokenizer(v), N_TEXTS / (size_t)r->n + 1,
                  0xABCDEF + strlen(path));
    return true;
}

int main(void)
{
    static const char *const pre[] = {"qwen2", "deepseek-coder", "deepseek-llm", "starcoder",
                                      "llama-bpe", "gpt-2", "falcon", "default"};
    size_t n_pre = sizeof pre / sizeof pre[0];
    int bad = 0;
    for (size_t i = 0; i < n_pre; i++)
        bad += run_made("gpt2", pre[i], N_TEXTS / (n_pre + 2), 1000 + i);
    bad += run_made("llama", NULL, N_TEXTS / (n_pre + 2), 2000);
    bad += run_made("gemma4", NULL, N_TEXTS / (n_pre + 2), 3000);

    struct real real = {0};
    if (vocab_dir()) {
        if (vocab_dir_each(count, &real) <= 0) bad++;
        if (vocab_dir_each(run_real, &real) != real.n) bad++;
        bad += real.bad;
    }
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
