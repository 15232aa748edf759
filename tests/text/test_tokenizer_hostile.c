/* Sources that lie, and texts that are long and dull: an error or a result, soon. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "vocab_make.h"

static void refused(const struct vocab_source *s, enum status want)
{
    struct tokenizer *t = (void *)1;
    struct error err = {0};
    assert_int_equal(tokenizer_create(s, &t, &err), want);
    assert_null(t);
    assert_int_equal(err.code, want);
    assert_true(err.msg[0] != 0);
}

static void bad_counts(void **unused)
{
    (void)unused;
    struct made_vocab m;
    made_init(&m, "gpt2", "gpt-2");
    refused(&m.src, ERR_FORMAT);
    made_all_bytes(&m);
    struct vocab_source s = m.src;
    s.tokens = NULL;
    refused(&s, ERR_INVALID);
    s = m.src;
    s.n_merges = 3;
    refused(&s, ERR_INVALID);
    s = m.src;
    s.n_tokens = (size_t)-1;
    refused(&s, ERR_LIMIT);
    s = m.src;
    s.merges = m.tokens;
    s.n_merges = (size_t)1 << 40;
    refused(&s, ERR_LIMIT);
    s = m.src;
    m.tokens[7].len = (size_t)1 << 40;
    refused(&s, ERR_LIMIT);
    m.tokens[7].len = 1;
    made_fini(&m);
}

/* The inverse of token_map.c's mix: texts of eight bytes whose hashes all fall into one place. */
static uint64_t unmix(uint64_t y)
{
    uint64_t k = 0xD6E8FEB86659FD93u, inverse = k;
    for (int i = 0; i < 6; i++) inverse *= 2 - k * inverse;
    y ^= y >> 32;
    y *= inverse;
    y ^= y >> 32;
    y *= inverse;
    return y ^ y >> 32;
}

static void colliding_texts(void **unused)
{
    (void)unused;
    assert_int_equal(unmix(unmix(0)), 0);
    struct made_vocab m;
    made_init(&m, "gpt2", "gpt-2");
    for (uint64_t i = 0; i < 3000; i++) {
        uint64_t key = unmix(i << 32 | 5) - 8 * 0x9E3779B97F4A7C15u;
        made_token_bytes(&m, (const char *)&key, 8, TOKEN_NORMAL, 0);
    }
    refused(&m.src, ERR_FORMAT);
    made_fini(&m);
}

/* Ids, types, scores, flags and merges at random: whatever is accepted must work on texts. */
static void random_sources(void **unused)
{
    (void)unused;
    static const char *const models[] = {"gpt2", "llama", "gemma4"};
    static const char *const pre[] = {NULL, "qwen2", "llama-bpe", "starcoder"};
    uint64_t state = 99;
    struct buf text, got;
    buf_init(&text, 1 << 20);
    buf_init(&got, 1 << 20);
    for (int round = 0; round < 300; round++) {
        struct made_vocab m;
        made_init(&m, models[random_below(&state, 3)], pre[random_below(&state, 4)]);
        if (random_below(&state, 4)) made_all_bytes(&m);
        if (random_below(&state, 2)) made_characters(&m);
        if (random_below(&state, 2)) made_specials(&m);
        made_joins(&m, random_below(&state, 50), 1 + random_next(&state));
        for (int i = 0; i < 20; i++) {
            random_text(&state, &text);
            made_token_bytes(&m, text.data ? text.data : "", text.len,
                             (enum token_type)random_below(&state, 9),
                             random_below(&state, 5) ? (float)random_below(&state, 9) - 5 : NAN);
            random_text(&state, &text);
            made_merge(&m, text.data ? text.data : "");
        }
        for (int i = 0; i < 30; i++)
            m.types[random_below(&state, m.src.n_tokens)] = (uint8_t)random_next(&state);
        int32_t *const ids[] = {&m.src.bos, &m.src.eos, &m.src.eot, &m.src.unk, &m.src.fim_pre,
                                &m.src.fim_pad};
        for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
            *ids[i] = (int32_t)random_below(&state, 2 * m.src.n_tokens) - 10;
        m.src.add_space_prefix = random_below(&state, 2);
        m.src.strip_after_special = random_below(&state, 2);

        struct tokenizer *t;
        struct error err = {0};
        enum status st = tokenizer_create(&m.src, &t, &err);
        if (st) fail_msg("%s", err.msg);
        for (int i = 0; i < 30; i++) {
            struct token_list l = {0};
            random_text(&state, &text);
            st = tokenizer_encode(t, text.data ? text.data : "", text.len, i & 1, &l, &err);
            assert_true(st == OK || st == ERR_UNSUPPORTED);
            for (size_t k = 0; k < l.len; k++) assert_in_range(l.ids[k], 0, m.src.n_tokens - 1);
            buf_clear(&got);
            assert_int_equal(tokenizer_decode(t, l.ids, l.len, true, &got, &err), OK);
            token_list_fini(&l);
        }
        tokenizer_destroy(t);
        made_fini(&m);
    }
    buf_fini(&text);
    buf_fini(&got);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A megabyte without a place to cut. The vocabularies have tokens that keep the merging going: joins
 * of a letter with itself up to 64 times. */
static void a_megabyte_of_one_thing(void **unused)
{
    (void)unused;
    static const char *const models[] = {"gpt2", "llama", "gemma4"};
    static const char *const units[] = {"a", " ", "\u00E9", "\xFF", "<", "ab", "        ", "\u2581"};
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE);
    for (size_t k = 0; k < 3; k++) {
        struct made_vocab m;
        struct tokenizer *t;
        struct error err = {0};
        made_init(&m, models[k], "qwen2");
        made_all_bytes(&m);
        if (k) made_characters(&m);
        made_specials(&m);
        const char *const seeds[] = {"a", k ? "\u2581" : "\u0120"};
        for (size_t s = 0; s < 2; s++)
            for (size_t n = 1; n < 64; n++) {
                char join[64 * 3 + 1] = "", line[64 * 3 + 6];
                for (size_t i = 0; i < n; i++) strcat(join, seeds[s]);
                snprintf(line, sizeof line, "%s %s", join, seeds[s]);
                made_merge(&m, line);
                made_token(&m, strcat(join, seeds[s]), TOKEN_NORMAL, -(float)n);
            }
        assert_int_equal(tokenizer_create(&m.src, &t, &err), OK);
        for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
            size_t unit = strlen(units[u]), n = 0;
            for (; n + unit <= SIZE; n += unit) memcpy(text + n, units[u], unit);
            double start = cpu_seconds();
            assert_true(round_trips(t, text, n, false));
            double took = cpu_seconds() - start;
            if (took > 10) fail_msg("%s took %.1f s on unit %zu", models[k], took, u);
        }
        tokenizer_destroy(t);
        made_fini(&m);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_counts),
        cmocka_unit_test(colliding_texts),
        cmocka_unit_test(random_sources),
        cmocka_unit_test(a_megabyte_of_one_thing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
