#include "vocab_make.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
    if (!p) abort();
    return p;
}

static void must_ok(enum status st)
{
    if (st) abort();
}

void made_init(struct made_vocab *m, const char *model, const char *pre)
{
    *m = (struct made_vocab){0};
    struct vocab_source *s = &m->src;
    s->model = model;
    s->pre = pre;
    s->bos = s->eos = s->eot = s->unk = s->pad = s->sep = s->cls = s->mask = TOKEN_NONE;
    s->fim_pre = s->fim_suf = s->fim_mid = s->fim_pad = s->fim_rep = s->fim_sep = TOKEN_NONE;
    s->add_space_prefix = strcmp(model, "llama") == 0;
}

void made_fini(struct made_vocab *m)
{
    for (size_t i = 0; i < m->src.n_tokens; i++) free((char *)m->tokens[i].data);
    for (size_t i = 0; i < m->src.n_merges; i++) free((char *)m->merges[i].data);
    free(m->tokens);
    free(m->merges);
    free(m->scores);
    free(m->types);
    *m = (struct made_vocab){0};
}

/* Exactly sized copies, so that a sanitizer sees a read past the end. */
static struct text_str copy(const char *text, size_t len)
{
    char *p = must(malloc(len ? len : 1));
    memcpy(p, text, len);
    return (struct text_str){p, len};
}

int32_t made_token_bytes(struct made_vocab *m, const char *text, size_t len, enum token_type type,
                         float score)
{
    struct vocab_source *s = &m->src;
    if (s->n_tokens == m->cap) {
        m->cap = m->cap ? 2 * m->cap : 512;
        m->tokens = must(realloc(m->tokens, m->cap * sizeof *m->tokens));
        m->scores = must(realloc(m->scores, m->cap * sizeof *m->scores));
        m->types = must(realloc(m->types, m->cap));
    }
    m->tokens[s->n_tokens] = copy(text, len);
    m->scores[s->n_tokens] = score;
    m->types[s->n_tokens] = (uint8_t)type;
    s->tokens = m->tokens;
    s->scores = m->scores;
    s->types = m->types;
    return (int32_t)s->n_tokens++;
}

int32_t made_token(struct made_vocab *m, const char *text, enum token_type type, float score)
{
    return made_token_bytes(m, text, strlen(text), type, score);
}

void made_merge(struct made_vocab *m, const char *line)
{
    struct vocab_source *s = &m->src;
    if (s->n_merges == m->merges_cap) {
        m->merges_cap = m->merges_cap ? 2 * m->merges_cap : 512;
        m->merges = must(realloc(m->merges, m->merges_cap * sizeof *m->merges));
    }
    m->merges[s->n_merges++] = copy(line, strlen(line));
    s->merges = m->merges;
}

static size_t put_utf8(uint32_t c, char *dst)
{
    if (c < 0x80) {
        dst[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        dst[0] = (char)(0xC0 | c >> 6);
        dst[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        dst[0] = (char)(0xE0 | c >> 12);
        dst[1] = (char)(0x80 | (c >> 6 & 0x3F));
        dst[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    dst[0] = (char)(0xF0 | c >> 18);
    dst[1] = (char)(0x80 | (c >> 12 & 0x3F));
    dst[2] = (char)(0x80 | (c >> 6 & 0x3F));
    dst[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* Written apart from the tokenizer's own table, after GPT-2's encoder.py: bytes that print stand for
 * themselves, the others for U+0100 and up in their order. */
static void byte_level_alphabet(uint32_t chars[256])
{
    uint32_t next = 256;
    for (uint32_t b = 0; b < 256; b++) {
        bool prints = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
        chars[b] = prints ? b : next++;
    }
}

void made_all_bytes(struct made_vocab *m)
{
    uint32_t chars[256];
    byte_level_alphabet(chars);
    for (unsigned b = 0; b < 256; b++) {
        char text[8];
        if (strcmp(m->src.model, "gpt2") == 0) {
            made_token_bytes(m, text, put_utf8(chars[b], text), TOKEN_NORMAL, 0);
        } else {
            snprintf(text, sizeof text, "<0x%02X>", b);
            made_token(m, text, TOKEN_BYTE, 0);
        }
    }
}

void made_characters(struct made_vocab *m)
{
    static const uint32_t more[] = {0x2581, '\n', '\t', 0xE9, 0xDF, 0x4E2D, 0x6587, 0x1F680};
    char text[4];
    for (uint32_t c = '!'; c <= '~'; c++)
        made_token_bytes(m, text, put_utf8(c, text), TOKEN_NORMAL, -1000.0f - (float)c);
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++)
        made_token_bytes(m, text, put_utf8(more[i], text), TOKEN_NORMAL, -2000.0f - (float)i);
}

void made_specials(struct made_vocab *m)
{
    static const char *const control[] = {"<|endoftext|>", "<|fim_prefix|>", "<|fim_suffix|>",
                                          "<|fim_middle|>", "<|im_start|>", "<|im_end|>"};
    for (size_t i = 0; i < sizeof control / sizeof control[0]; i++)
        made_token(m, control[i], TOKEN_CONTROL, 0);
    made_token(m, "<tool_call>", TOKEN_USER_DEFINED, 0);
    made_token(m, "        ", TOKEN_USER_DEFINED, 0);
}

void made_joins(struct made_vocab *m, size_t n, uint64_t seed)
{
    size_t n_parts = m->src.n_tokens;
    uint64_t state = seed;
    for (size_t made = 0, tries = 0; n_parts && made < n && tries < 50 * n; tries++) {
        size_t a = random_below(&state, n_parts), b = random_below(&state, n_parts);
        struct text_str x = m->tokens[a], y = m->tokens[b];
        char line[64];
        if (m->types[a] != TOKEN_NORMAL || m->types[b] != TOKEN_NORMAL || x.len + y.len > 24) continue;
        snprintf(line, sizeof line, "%.*s%.*s", (int)x.len, x.data, (int)y.len, y.data);
        bool known = false;
        for (size_t i = 0; i < m->src.n_tokens && !known; i++)
            known = m->tokens[i].len == x.len + y.len &&
                    memcmp(m->tokens[i].data, line, x.len + y.len) == 0;
        if (known) continue;
        made_token(m, line, TOKEN_NORMAL, -(float)made);
        snprintf(line, sizeof line, "%.*s %.*s", (int)x.len, x.data, (int)y.len, y.data);
        made_merge(m, line);
        n_parts = m->src.n_tokens;
        made++;
    }
}

void made_sample(struct made_vocab *m, const char *model, const char *pre)
{
    made_init(m, model, pre);
    m->src.unk = made_token(m, "<unk>", TOKEN_UNKNOWN, 0);
    m->src.bos = made_token(m, "<s>", TOKEN_CONTROL, 0);
    m->src.eos = made_token(m, "</s>", TOKEN_CONTROL, 0);
    made_all_bytes(m);
    if (strcmp(model, "gpt2") != 0) made_characters(m);
    made_joins(m, 1500, 12345);
    made_specials(m);
}

uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545F4914F6CDD1Du;
}

size_t random_below(uint64_t *state, size_t n)
{
    return (size_t)((random_next(state) >> 32) % n);
}

static void put_codepoint(uint64_t *state, struct buf *out)
{
    static const uint32_t tops[] = {0x80, 0x300, 0x3000, 0x11000, 0x110000};
    uint32_t c = (uint32_t)random_below(state, tops[random_below(state, 5)]);
    if (c >= 0xD800 && c < 0xE000) c = 0x2581;
    char text[4];
    must_ok(buf_append(out, text, put_utf8(c, text)));
}

static void put_fragment(uint64_t *state, struct buf *out)
{
    static const char *const fragments[] = {
        " ", "  ", "    ", "        ", "\n", "\r\n", "\t", "\n\n\n", "int", "return", " x", "foo_bar",
        "don't", "WE'LL", "=", "==", "->", "();", "{", "}", "//", "0", "12", "12345678", "3.14",
        "\u00A0", "\u2581", "\u2581\u2581", "\u3000", "\u2028", "\xC2\x85", "\u4E2D\u6587", "\uAC00",
        "\u3042", "e\u0301", "\u00E9", "\U0001F680", "\u0130", "\uFFFD", "\u00C0", "\u00F7",
        "<|im_end|>", "<|endoftext|>", "<s>", "</s>", "<unk>", "<0x41>", "<tool_call>",
        "<|fim_prefix|>", "<fim_prefix>", "<|", "|>",
    };
    must_ok(buf_append_str(out, fragments[random_below(state, sizeof fragments / sizeof fragments[0])]));
}

static void put_byte(uint64_t *state, struct buf *out)
{
    char byte = (char)random_next(state);
    must_ok(buf_append(out, &byte, 1));
}

static void put_run(uint64_t *state, struct buf *out)
{
    static const char units[] = " a0\n.\t\xFF\xC3";
    char unit = units[random_below(state, sizeof units - 1)];
    for (size_t n = random_below(state, 40); n; n--) must_ok(buf_append(out, &unit, 1));
}

void random_text(uint64_t *state, struct buf *out)
{
    static void (*const makers[])(uint64_t *, struct buf *) = {put_fragment, put_codepoint, put_byte,
                                                               put_run};
    buf_clear(out);
    size_t mode = random_below(state, 5);
    for (size_t n = random_below(state, 25); n; n--)
        makers[mode < 4 ? mode : random_below(state, 4)](state, out);
}

void expected_text(const struct tokenizer *t, const char *text, size_t len, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < len; i++)
        if (tokenizer_has_byte(t, (uint8_t)text[i]))
            must_ok(buf_append(out, text + i, 1));
        else
            must_ok(buf_append_str(out, "\uFFFD"));
}

static void print_text(const char *label, const struct buf *b)
{
    fprintf(stderr, "%s", label);
    for (size_t i = 0; i < b->len; i++) fprintf(stderr, " %02X", (unsigned char)b->data[i]);
    fprintf(stderr, "\n");
}

bool round_trips(const struct tokenizer *t, const char *text, size_t len, bool special)
{
    struct token_list ids = {0};
    struct error err = {0};
    struct buf got, want;
    buf_init(&got, 1 << 28);
    buf_init(&want, 1 << 28);
    expected_text(t, text, len, &want);
    enum status st = tokenizer_encode(t, text, len, special, &ids, &err);
    if (st == OK) st = tokenizer_decode(t, ids.ids, ids.len, special, &got, &err);
    bool same = st == OK && got.len == want.len && (len == 0 || memcmp(got.data, want.data, got.len) == 0);
    if (!same) {
        fprintf(stderr, "status %d: %s\n", st, err.msg);
        print_text("want", &want);
        print_text("got ", &got);
    }
    token_list_fini(&ids);
    buf_fini(&got);
    buf_fini(&want);
    return same;
}
