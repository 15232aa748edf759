#include <stdlib.h>
#include <string.h>

#include "text/tokenizer_int.h"

/* Well-known spellings, for files whose metadata leaves an id out. Within a field the first that the
 * vocabulary has is taken. A token found so is a control token, whatever its type says. */
static const struct {
    size_t field;
    const char *text;
} spellings[] = {
#define FIELD(name) offsetof(struct vocab_source, name)
    {FIELD(eot), "<|eot_id|>"},                /* Llama 3 */
    {FIELD(eot), "<|im_end|>"},                /* ChatML: Qwen, SmolLM2 */
    {FIELD(eot), "<|end|>"},                   /* Phi-3 */
    {FIELD(eot), "<end_of_turn>"},             /* Gemma */
    {FIELD(eot), "\u2581<EOT>"},               /* Code Llama */
    {FIELD(eot), "<EOT>"},
    {FIELD(eot), "_<EOT>"},
    {FIELD(eot), "[EOT]"},
    {FIELD(eot), "<|endoftext|>"},             /* GPT-2, StarCoder */
    {FIELD(eot), "<|end_of_text|>"},           /* Granite */
    {FIELD(eot), "<\uFF5Cend\u2581of\u2581sentence\uFF5C>"}, /* DeepSeek */
    {FIELD(eot), "<end_of_utterance>"},

    {FIELD(fim_pre), "<|fim_prefix|>"},        /* Qwen, CodeGemma */
    {FIELD(fim_pre), "<fim_prefix>"},          /* StarCoder, Refact, Granite */
    {FIELD(fim_pre), "<fim-prefix>"},          /* SantaCoder */
    {FIELD(fim_pre), "<\uFF5Cfim\u2581begin\uFF5C>"}, /* DeepSeek */
    {FIELD(fim_pre), "\u2581<PRE>"},           /* Code Llama */
    {FIELD(fim_pre), "<PRE>"},
    {FIELD(fim_pre), "[PREFIX]"},              /* Codestral */
    {FIELD(fim_pre), "<|code_prefix|>"},       /* GLM */
    {FIELD(fim_pre), "<|prefix|>"},            /* Falcon-H1 */

    {FIELD(fim_suf), "<|fim_suffix|>"},
    {FIELD(fim_suf), "<fim_suffix>"},
    {FIELD(fim_suf), "<fim-suffix>"},
    {FIELD(fim_suf), "<\uFF5Cfim\u2581hole\uFF5C>"},
    {FIELD(fim_suf), "\u2581<SUF>"},
    {FIELD(fim_suf), "<SUF>"},
    {FIELD(fim_suf), "[SUFFIX]"},
    {FIELD(fim_suf), "<|code_suffix|>"},
    {FIELD(fim_suf), "<|suffix|>"},

    {FIELD(fim_mid), "<|fim_middle|>"},
    {FIELD(fim_mid), "<fim_middle>"},
    {FIELD(fim_mid), "<fim-middle>"},
    {FIELD(fim_mid), "<\uFF5Cfim\u2581end\uFF5C>"},
    {FIELD(fim_mid), "\u2581<MID>"},
    {FIELD(fim_mid), "<MID>"},
    {FIELD(fim_mid), "[MIDDLE]"},
    {FIELD(fim_mid), "<|code_middle|>"},
    {FIELD(fim_mid), "<|middle|>"},

    {FIELD(fim_pad), "<|fim_pad|>"},
    {FIELD(fim_pad), "<fim_pad>"},
    {FIELD(fim_pad), "<fim-pad>"},
    {FIELD(fim_pad), "<PAD>"},
    {FIELD(fim_pad), "[PAD]"},

    {FIELD(fim_rep), "<|fim_repo|>"},
    {FIELD(fim_rep), "<|repo_name|>"},         /* Qwen */
    {FIELD(fim_rep), "<fim-repo>"},
    {FIELD(fim_rep), "<repo_name>"},           /* StarCoder 2, SmolLM2 */
    {FIELD(fim_rep), "<REPO>"},
    {FIELD(fim_rep), "<reponame>"},            /* Granite, Refact */

    {FIELD(fim_sep), "<|file_sep|>"},          /* Qwen */
    {FIELD(fim_sep), "<file_sep>"},            /* StarCoder 2, SmolLM2 */
    {FIELD(fim_sep), "<|file_separator|>"},    /* CodeGemma */
#undef FIELD
};

/* Tokens that end generation wherever they occur. */
static const char *const end_texts[] = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>",
    "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "\u2581<EOT>",
    "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>",
    "<|tool_response>", "<\uFF5Cend\u2581of\u2581sentence\uFF5C>", "[e~[", NULL,
};

/* Channel marks of gpt-oss, which its answers are read by. */
static const char *const visible_texts[] = {
    "<|channel|>", "<|message|>", "<|start|>", "<|constrain|>", NULL,
};

static int32_t find_text(const struct tokenizer *t, const char *text)
{
    return token_map_find(&t->map, text, strlen(text));
}

/* An id outside the vocabulary counts as absent. */
static void drop_bad_ids(struct vocab_source *s)
{
    int32_t *const ids[] = {&s->bos, &s->eos, &s->eot, &s->unk, &s->pad, &s->sep, &s->cls, &s->mask,
                            &s->fim_pre, &s->fim_suf, &s->fim_mid, &s->fim_pad, &s->fim_rep,
                            &s->fim_sep};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (*ids[i] < 0 || (size_t)*ids[i] >= s->n_tokens) *ids[i] = TOKEN_NONE;
}

static void fill_by_text(struct tokenizer *t)
{
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        int32_t *id = (int32_t *)((char *)&t->src + spellings[i].field);
        if (*id != TOKEN_NONE) continue;
        *id = find_text(t, spellings[i].text);
        if (*id != TOKEN_NONE) t->types[*id] = TOKEN_CONTROL;
    }
}

bool tokenizer_is_end(const struct tokenizer *t, int32_t id)
{
    for (size_t i = 0; i < t->n_ends; i++)
        if (t->ends[i] == id) return true;
    return false;
}

static void add_end(struct tokenizer *t, int32_t id)
{
    if (id != TOKEN_NONE && !tokenizer_is_end(t, id)) t->ends[t->n_ends++] = id;
}

static void remove_end(struct tokenizer *t, const char *text, enum token_type type)
{
    int32_t id = find_text(t, text);
    for (size_t i = 0; i < t->n_ends; i++) {
        if (t->ends[i] != id) continue;
        t->ends[i] = t->ends[--t->n_ends];
        t->types[id] = (uint8_t)type;
        return;
    }
}

static bool ends_at(const struct tokenizer *t, const char *text)
{
    return tokenizer_is_end(t, find_text(t, text));
}

static enum status collect_ends(struct tokenizer *t)
{
    const struct vocab_source *s = &t->src;
    t->ends = malloc((sizeof end_texts / sizeof end_texts[0] + 8) * sizeof *t->ends);
    if (!t->ends) return ERR_NOMEM;
    add_end(t, s->fim_pad);
    add_end(t, s->fim_rep);
    add_end(t, s->fim_sep);
    for (size_t i = 0; end_texts[i]; i++) {
        int32_t id = find_text(t, end_texts[i]);
        if (id != TOKEN_NONE) t->types[id] = TOKEN_CONTROL;
        add_end(t, id);
    }
    for (size_t i = 0; visible_texts[i]; i++) {
        int32_t id = find_text(t, visible_texts[i]);
        if (id != TOKEN_NONE) t->types[id] = TOKEN_USER_DEFINED;
    }
    add_end(t, s->eos);
    add_end(t, s->eot);

    /* <|end|> closes a channel, not the answer, where <|return|> or <|flush|> does that; and </s> is
     * an HTML tag for models that end otherwise. */
    bool call = ends_at(t, "<|call|>") || ends_at(t, "<|calls|>");
    if (call && (ends_at(t, "<|return|>") || ends_at(t, "<|flush|>")))
        remove_end(t, "<|end|>", TOKEN_USER_DEFINED);
    if (ends_at(t, "<|tool_response>") || ends_at(t, "<|plamo:eos|>"))
        remove_end(t, "</s>", TOKEN_NORMAL);
    return OK;
}

static bool is_special(const struct tokenizer *t, size_t id)
{
    enum token_type type = t->types[id];
    return t->tokens[id].len &&
           (type == TOKEN_CONTROL || type == TOKEN_UNKNOWN || type == TOKEN_USER_DEFINED);
}

static int by_length(const void *a, const void *b, void *tokenizer)
{
    const struct tokenizer *t = tokenizer;
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    size_t m = t->tokens[x].len, n = t->tokens[y].len;
    if (m != n) return m > n ? -1 : 1;
    return x < y ? -1 : x > y;
}

static enum status collect_specials(struct tokenizer *t)
{
    size_t n = 0;
    for (size_t id = 0; id < t->src.n_tokens; id++) n += is_special(t, id);
    if (n == 0) return OK;
    t->specials = malloc(n * sizeof *t->specials);
    if (!t->specials) return ERR_NOMEM;
    for (size_t id = 0; id < t->src.n_tokens; id++)
        if (is_special(t, id)) t->specials[t->n_specials++] = (int32_t)id;
    qsort_r(t->specials, n, sizeof *t->specials, by_length, t);
    return OK;
}

enum status special_build(struct tokenizer *t, struct error *err)
{
    drop_bad_ids(&t->src);
    fill_by_text(t);
    enum status st = collect_ends(t);
    if (st == OK) st = collect_specials(t);
    return st ? error_set(err, st, "out of memory") : OK;
}

/* ---- partition ---- */

/* Which pairs of adjacent bytes a text holds: a token can only occur where all of its own do, which
 * spares most texts the search for most tokens. */
struct byte_pairs {
    uint8_t bits[65536 / 8];
};

static void pairs_collect(struct byte_pairs *p, const char *text, size_t len)
{
    const unsigned char *u = (const unsigned char *)text;
    memset(p, 0, sizeof *p);
    for (size_t i = 1; i < len; i++) p->bits[u[i - 1] << 5 | u[i] >> 3] |= (uint8_t)(1 << (u[i] & 7));
}

static bool pairs_cover(const struct byte_pairs *p, struct text_str s)
{
    const unsigned char *u = (const unsigned char *)s.data;
    for (size_t i = 1; i < s.len; i++)
        if (!(p->bits[u[i - 1] << 5 | u[i] >> 3] >> (u[i] & 7) & 1)) return false;
    return true;
}

static enum status list_add(struct fragment_list *l, size_t begin, size_t len, int32_t id)
{
    if (l->len == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        struct fragment *items = realloc(l->items, cap * sizeof *items);
        if (!items) return ERR_NOMEM;
        l->items = items;
        l->cap = cap;
    }
    l->items[l->len++] = (struct fragment){begin, len, id};
    return OK;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The first occurrence of a token without a marked byte. */
static const char *find_token(const char *text, size_t len, const char *marks, struct text_str s)
{
    const char *p = text, *end = text + len, *hit;
    while ((hit = memmem(p, (size_t)(end - p), s.data, s.len)) && marks &&
           memchr(marks + (hit - text), 1, s.len))
        p = hit + 1;
    return hit;
}

/* Takes every occurrence of one token out of the text fragments of `in`, with `strip` together with
 * the white space behind it. */
static enum status cut_out(const struct fragment_list *in, const char *text, const char *marks,
                           int32_t id, struct text_str s, bool strip, struct fragment_list *out)
{
    enum status st = OK;
    out->len = 0;
    for (size_t i = 0; i < in->len && st == OK; i++) {
        struct fragment f = in->items[i];
        const char *hit;
        while (st == OK && f.id == TOKEN_NONE && f.len >= s.len &&
               (hit = find_token(text + f.begin, f.len, marks ? marks + f.begin : NULL, s))) {
            size_t before = (size_t)(hit - (text + f.begin));
            if (before) st = list_add(out, f.begin, before, TOKEN_NONE);
            if (st == OK) st = list_add(out, f.begin + before, s.len, id);
            size_t skip = before + s.len;
            while (strip && skip < f.len && is_space(text[f.begin + skip])) skip++;
            f.begin += skip;
            f.len -= skip;
        }
        if (st == OK && (f.len || f.id != TOKEN_NONE)) st = list_add(out, f.begin, f.len, f.id);
    }
    return st;
}

/* Phi-3's tokens strip what follows them, except those that begin or end a text. */
static bool strips(const struct tokenizer *t, int32_t id)
{
    return t->src.strip_after_special && id != t->src.bos && id != t->src.unk &&
           id != find_text(t, "<|endoftext|>");
}

/* The shapes that converters take for control tokens (llama.cpp's does_token_look_special). */
static bool looks_special(struct text_str s)
{
    static const struct {
        const char *begin, *end;
    } shapes[] = {{"<|", "|>"}, {"<\uFF5C", "\uFF5C>"}, {"[|", "|]"}, {"<start_of_", ">"}, {"<end_of_", ">"}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        size_t n = strlen(shapes[i].begin), m = strlen(shapes[i].end);
        if (s.len >= n + m && memcmp(s.data, shapes[i].begin, n) == 0 &&
            memcmp(s.data + s.len - m, shapes[i].end, m) == 0)
            return true;
    }
    return false;
}

enum status special_partition(const struct tokenizer *t, const char *text, size_t len,
                              bool parse_special, const char *marks, struct fragment_list *out,
                              struct error *err)
{
    struct fragment_list other = {0};
    enum status st = OK;
    out->len = 0;
    if (len == 0) return OK;
    struct byte_pairs *pairs = malloc(sizeof *pairs);
    if (!pairs) return error_set(err, ERR_NOMEM, "out of memory");
    pairs_collect(pairs, text, len);
    st = list_add(out, 0, len, TOKEN_NONE);
    for (size_t i = 0; i < t->n_specials && st == OK; i++) {
        int32_t id = t->specials[i];
        struct text_str s = t->tokens[id];
        bool words = t->types[id] == TOKEN_USER_DEFINED; /* a token for a text that anyone may write */
        if (!parse_special && !words) continue;
        if (s.len > len || !pairs_cover(pairs, s) || !memmem(text, len, s.data, s.len)) continue;
        st = cut_out(out, text, words && !looks_special(s) ? NULL : marks, id, s,
                     parse_special && strips(t, id), &other);
        struct fragment_list swap = *out;
        *out = other;
        other = swap;
    }
    free(other.items);
    free(pairs);
    return st ? error_set(err, st, "out of memory") : OK;
}
