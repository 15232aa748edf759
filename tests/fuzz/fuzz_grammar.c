/* libFuzzer target: a grammar of some kind, then a text. Whatever compiles must follow the text the same
 * byte by byte and at once, go back to where it was, and its masks must say what single tokens say.
 *
 * Input: kind, then the grammar up to a byte 0xFF (it is no part of UTF-8), then the text. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "text/grammar.h"
#include "vocab_make.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct made_vocab made;
static struct tokenizer *tok;
static struct grammar_vocab *vocab;

static void make_vocab(void)
{
    struct error err;
    made_sample(&made, "gpt2", "starcoder");
    if (tokenizer_create(&made.src, &tok, &err) != OK ||
        grammar_vocab_create(tok, tokenizer_n_tokens(tok), &vocab, &err) != OK)
        abort();
}

static void use(struct grammar *g, const char *text, size_t len)
{
    struct grammar_state *s, *whole;
    struct error err = {0};
    static uint64_t mask[4096];
    size_t n = grammar_vocab_size(vocab), i = 0;
    if (GRAMMAR_MASK_WORDS(n) > 4096) abort();
    if (grammar_state_create(g, &s, &err) != OK) return;
    if (grammar_state_clone(s, &whole, &err) != OK) abort();
    enum status st = OK;
    for (; i < len && st == OK; i++) {
        if (i < 8 && grammar_mask(s, mask, &err) == OK) {
            size_t allowed = 0;
            for (size_t t = i % 5; t < n; t += 5) {
                bool in = mask[t / 64] >> t % 64 & 1;
                allowed += in;
                if (in != grammar_allows(s, (int32_t)t)) __builtin_trap();
            }
            (void)allowed;
        }
        st = grammar_accept_bytes(s, text + i, 1, &err);
        if (st == ERR_LIMIT) goto out;
    }
    bool good = st == OK;
    st = grammar_accept_bytes(whole, text, len, &err);
    if (len > 0 && st != ERR_LIMIT && good != (st == OK)) __builtin_trap();
    if (good && st == OK && grammar_is_complete(s) != grammar_is_complete(whole)) __builtin_trap();
    if (good && len > 0 && len <= GRAMMAR_MAX_ROLLBACK) {
        if (grammar_rollback(s, len, &err) != OK) __builtin_trap();
        if (grammar_accept_bytes(s, text, len, &err) != OK) __builtin_trap();
    }
    struct buf forced;
    buf_init(&forced, 256);
    if (grammar_forced(s, &forced, &err) == OK && forced.len &&
        grammar_accept_bytes(s, forced.data, forced.len, &err) == ERR_INVALID)
        __builtin_trap();
    buf_fini(&forced);
out:
    grammar_state_destroy(s);
    grammar_state_destroy(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct grammar_limits limits = {.max_states = 20000, .max_depth = 60, .max_ms = 100, .max_cache = 1 << 18};
    struct grammar *g;
    struct error err = {0};
    if (!vocab) make_vocab();
    if (size < 1) return 0;
    const uint8_t *grammar = data + 1, *end = data + size, *split = memchr(grammar, 0xFF, size - 1);
    size_t len = (size_t)((split ? split : end) - grammar);
    limits.ignore_format = data[0] & 4;
    enum status st = grammar_compile((enum grammar_kind)(data[0] % 4), (const char *)grammar, len, vocab,
                                     &limits, &g, &err);
    if ((st == OK) != (g != NULL) || (st != OK && (err.code != st || !err.msg[0]))) __builtin_trap();
    if (g) use(g, split ? (const char *)split + 1 : "", split ? (size_t)(end - split - 1) : 0);
    grammar_unref(g);
    return 0;
}
