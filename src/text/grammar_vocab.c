#include <stdlib.h>
#include <string.h>

#include "text/grammar_int.h"
#include "text/tokenizer.h"

enum { MAX_PIECE = 1024 }; /* a longer token is never allowed */

struct word {
    uint32_t at, len; /* in the bytes of all */
    int32_t id;
};

struct gather {
    char *bytes;
    size_t n_bytes, cap_bytes;
    struct word *words;
    size_t n, cap;
    uint32_t *low, *high; /* per node: its words */
    size_t cap_nodes;
    struct fa_budget budget; /* for its growing arrays */
};

static int by_text(const void *x, const void *y, void *bytes)
{
    const struct word *a = x, *b = y;
    size_t n = a->len < b->len ? a->len : b->len;
    int c = memcmp((char *)bytes + a->at, (char *)bytes + b->at, n);
    if (c) return c;
    if (a->len != b->len) return a->len < b->len ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* Control tokens are no text; unused ones neither. */
static bool is_text(const struct tokenizer *tok, int32_t id)
{
    enum token_type type = tokenizer_type(tok, id);
    return (type == TOKEN_NORMAL || type == TOKEN_USER_DEFINED || type == TOKEN_BYTE) &&
           !tokenizer_is_end(tok, id);
}

static bool gather_words(struct grammar_vocab *v, struct gather *g)
{
    size_t n = tokenizer_n_tokens(v->tok);
    for (size_t i = 0; i < n; i++) {
        char piece[MAX_PIECE];
        int32_t id = (int32_t)i;
        if (tokenizer_is_end(v->tok, id)) {
            int32_t *ends = fa_realloc(&g->budget, v->ends, v->n_ends + 1, sizeof *ends);
            if (!ends) return false;
            v->ends = ends;
            v->ends[v->n_ends++] = id;
            continue;
        }
        if (!is_text(v->tok, id)) continue;
        size_t len = tokenizer_piece(v->tok, id, false, piece, sizeof piece);
        if (len == 0 || len > sizeof piece) continue;
        while (g->n_bytes + len > g->cap_bytes) {
            size_t cap = g->cap_bytes ? 2 * g->cap_bytes : 1 << 16;
            char *p = fa_realloc(&g->budget, g->bytes, cap, 1);
            if (!p) return false;
            g->bytes = p;
            g->cap_bytes = cap;
        }
        if (!fa_grow(&g->budget, &g->words, g->n, &g->cap, sizeof *g->words)) return false;
        memcpy(g->bytes + g->n_bytes, piece, len);
        g->words[g->n++] = (struct word){(uint32_t)g->n_bytes, (uint32_t)len, id};
        g->n_bytes += len;
    }
    return true;
}

static bool add_node(struct grammar_vocab *v, struct gather *g, uint8_t byte, size_t depth, size_t low,
                     size_t high)
{
    if (v->n_nodes == g->cap_nodes) {
        size_t cap = g->cap_nodes ? 2 * g->cap_nodes : 1024;
        void *p = fa_realloc(&g->budget, v->nodes, cap, sizeof *v->nodes);
        if (p) v->nodes = p;
        void *l = fa_realloc(&g->budget, g->low, cap, sizeof *g->low);
        if (l) g->low = l;
        void *h = fa_realloc(&g->budget, g->high, cap, sizeof *g->high);
        if (h) g->high = h;
        if (g->budget.st != OK) return false;
        g->cap_nodes = cap;
    }
    v->nodes[v->n_nodes] = (struct vocab_node){.byte = byte, .depth = depth < 255 ? (uint8_t)depth : 255};
    g->low[v->n_nodes] = (uint32_t)low;
    g->high[v->n_nodes++] = (uint32_t)high;
    return true;
}

/* Nodes by their depth, so that the children of one stand together. */
static bool build_tree(struct grammar_vocab *v, struct gather *g)
{
    size_t depth = 0, level = 1;
    v->tokens = fa_realloc(&g->budget, NULL, g->n, sizeof *v->tokens);
    if (!v->tokens || !add_node(v, g, 0, 0, 0, g->n)) return false;
    size_t n_tokens = 0;
    for (size_t i = 0; i < v->n_nodes; i++) {
        if (i == level) {
            depth++;
            level = v->n_nodes;
        }
        size_t low = g->low[i], high = g->high[i];
        v->nodes[i].token = (uint32_t)n_tokens;
        while (low < high && g->words[low].len == depth) {
            v->tokens[n_tokens++] = g->words[low++].id;
            if (v->nodes[i].n_tokens < UINT16_MAX) v->nodes[i].n_tokens++;
        }
        v->nodes[i].child = (uint32_t)v->n_nodes;
        while (low < high) {
            uint8_t byte = (uint8_t)g->bytes[g->words[low].at + depth];
            size_t end = low;
            while (end < high && (uint8_t)g->bytes[g->words[end].at + depth] == byte) end++;
            if (!add_node(v, g, byte, depth + 1, low, end)) return false;
            v->nodes[i].n_children++;
            low = end;
        }
    }
    /* Children stand behind their parents. */
    for (size_t i = v->n_nodes; i-- > 0;) {
        struct vocab_node *n = &v->nodes[i];
        if (n->n_tokens) n->longest = n->depth;
        for (uint32_t k = 0; k < n->n_children; k++)
            if (v->nodes[n->child + k].longest > n->longest) n->longest = v->nodes[n->child + k].longest;
    }
    return true;
}

const uint8_t grammar_lengths[GRAMMAR_LENGTHS] = {3, 4, 5, 6, 8, 10, 14, 20, 32};

static bool mark_lengths(struct grammar_vocab *v, const struct gather *g)
{
    for (size_t i = 0; i < GRAMMAR_LENGTHS; i++) {
        v->shorter[i] = calloc(GRAMMAR_MASK_WORDS(v->n_vocab), sizeof *v->shorter[i]);
        if (!v->shorter[i]) return false;
        for (size_t k = 0; k < g->n; k++)
            if (g->words[k].len < grammar_lengths[i])
                v->shorter[i][g->words[k].id / 64] |= UINT64_C(1) << g->words[k].id % 64;
    }
    return true;
}

enum status grammar_vocab_create(const struct tokenizer *tok, size_t n_vocab,
                                 struct grammar_vocab **out, struct error *err)
{
    struct gather g = {.budget = {.states = SIZE_MAX, .deadline = 1e300}};
    struct grammar_vocab *v = calloc(1, sizeof *v);
    *out = NULL;
    if (n_vocab < tokenizer_n_tokens(tok)) {
        free(v);
        return error_set(err, ERR_INVALID, "%zu logits for %zu tokens", n_vocab,
                         tokenizer_n_tokens(tok));
    }
    bool good = v != NULL;
    if (good) {
        v->tok = tok;
        v->n_vocab = n_vocab;
        good = gather_words(v, &g);
        if (good && g.n) qsort_r(g.words, g.n, sizeof *g.words, by_text, g.bytes);
        good = good && build_tree(v, &g) && mark_lengths(v, &g);
    }
    free(g.bytes);
    free(g.words);
    free(g.low);
    free(g.high);
    if (!good) {
        grammar_vocab_destroy(v);
        return error_set(err, ERR_NOMEM, "no memory for the tree of %zu tokens", n_vocab);
    }
    *out = v;
    return OK;
}

void grammar_vocab_destroy(struct grammar_vocab *v)
{
    if (!v) return;
    free(v->nodes);
    free(v->tokens);
    free(v->ends);
    for (size_t i = 0; i < GRAMMAR_LENGTHS; i++) free(v->shorter[i]);
    free(v);
}

size_t grammar_vocab_size(const struct grammar_vocab *v)
{
    return v->n_vocab;
}
