#include <stdlib.h>
#include <string.h>

#include "text/tokenizer_int.h"
#include "text/utf8_int.h"

/* SentencePiece's BPE (Kudo and Richardson 2018): characters are merged, best score first and of
 * equal scores the leftmost, while their joint text is a token. */

struct symbol {
    int32_t prev, next; /* -1 at the ends */
    uint32_t begin;     /* in the escaped text */
    uint32_t len;       /* 0: merged away */
    bool literal;       /* bytes that no token may take: invalid UTF-8, or a U+2581 of the input */
};

struct pair {
    float score;
    int32_t left, right;
    uint32_t len;
};

struct spm_state {
    const struct tokenizer *t;
    const char *text; /* escaped: U+2581 for a space */
    struct symbol *symbols;
    size_t n_symbols;
    struct pair *heap;
    size_t n_heap;
};

static bool pair_before(const struct pair *a, const struct pair *b)
{
    return a->score > b->score || (a->score == b->score && a->left < b->left);
}

static void heap_push(struct spm_state *s, struct pair p)
{
    size_t i = s->n_heap++;
    while (i > 0 && pair_before(&p, &s->heap[(i - 1) / 2])) {
        s->heap[i] = s->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->heap[i] = p;
}

static struct pair heap_pop(struct spm_state *s)
{
    struct pair top = s->heap[0], last = s->heap[--s->n_heap];
    size_t i = 0, n = s->n_heap;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && pair_before(&s->heap[child + 1], &s->heap[child])) child++;
        if (!pair_before(&s->heap[child], &last)) break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    if (n) s->heap[i] = last;
    return top;
}

static int32_t find_text_token(const struct tokenizer *t, const char *text, size_t len)
{
    int32_t id = token_map_find(&t->map, text, len);
    return id >= 0 && token_is_text(t->types[id]) ? id : TOKEN_NONE;
}

static void try_pair(struct spm_state *s, int32_t left, int32_t right)
{
    if (left < 0 || right < 0) return;
    const struct symbol *l = &s->symbols[left], *r = &s->symbols[right];
    if (l->literal || r->literal) return;
    uint32_t len = l->len + r->len;
    int32_t id = find_text_token(s->t, s->text + l->begin, len);
    if (id >= 0) heap_push(s, (struct pair){s->t->scores[id], left, right, len});
}

static void merge_all(struct spm_state *s)
{
    for (size_t i = 1; i < s->n_symbols; i++) try_pair(s, (int32_t)i - 1, (int32_t)i);
    while (s->n_heap) {
        struct pair p = heap_pop(s);
        struct symbol *l = &s->symbols[p.left], *r = &s->symbols[p.right];
        if (!l->len || !r->len || l->len + r->len != p.len) continue;
        l->len = p.len;
        r->len = 0;
        l->next = r->next;
        if (r->next >= 0) s->symbols[r->next].prev = p.left;
        try_pair(s, l->prev, p.left);
        try_pair(s, p.left, l->next);
    }
}

/* Splits into characters and escapes the spaces on the way. Both arrays have room: at most three
 * bytes and one symbol for each byte of input and for the prefix. */
static void split_symbols(struct spm_state *s, const char *in, size_t len, bool prefix,
                          char *escaped)
{
    size_t n = 0, end = 0;
    for (size_t i = 0, step; i < len || prefix; i += step, n++) {
        const char *from = prefix ? " " : in + i;
        size_t room = prefix ? 1 : len - i;
        size_t bytes = utf8_sequence(from, room);
        step = prefix ? 0 : bytes ? bytes : 1;
        prefix = false;
        bool literal = bytes == 0 || (bytes == 3 && memcmp(from, UTF8_LOWER_BLOCK, 3) == 0);
        if (bytes == 0) bytes = 1;
        if (*from == ' ') {
            from = UTF8_LOWER_BLOCK;
            bytes = 3;
        }
        memcpy(escaped + end, from, bytes);
        s->symbols[n] = (struct symbol){(int32_t)n - 1, (int32_t)n + 1, (uint32_t)end,
                                        (uint32_t)bytes, literal};
        end += bytes;
    }
    if (n) s->symbols[n - 1].next = -1;
    s->n_symbols = n;
}

static enum status emit(struct spm_state *s, const struct symbol *sym, struct token_list *out,
                        struct error *err)
{
    const struct tokenizer *t = s->t;
    const char *text = s->text + sym->begin;
    int32_t id = sym->literal ? TOKEN_NONE : find_text_token(t, text, sym->len);
    enum status st = OK;
    if (id >= 0) {
        st = token_list_push(out, id);
        return st ? error_set(err, st, "out of memory") : OK;
    }
    if (!sym->literal && sym->len == 3 && memcmp(text, UTF8_LOWER_BLOCK, 3) == 0)
        return tokenizer_push_byte(t, ' ', out, err);
    for (uint32_t b = 0; b < sym->len && st == OK; b++)
        st = tokenizer_push_byte(t, (uint8_t)text[b], out, err);
    return st;
}

static enum status spm_encode(const struct tokenizer *t, const char *text, size_t len, bool prefix,
                              struct token_list *out, struct error *err)
{
    enum status st = OK;
    size_t room = len + 1;
    char *escaped = malloc(3 * room);
    struct spm_state s = {.t = t, .text = escaped};
    s.symbols = malloc(room * sizeof *s.symbols);
    s.heap = malloc(2 * room * sizeof *s.heap);
    if (!escaped || !s.symbols || !s.heap) {
        st = error_set(err, ERR_NOMEM, "out of memory");
        goto out;
    }
    split_symbols(&s, text, len, prefix, escaped);
    merge_all(&s);
    for (int32_t i = s.n_symbols ? 0 : -1; i >= 0 && st == OK; i = s.symbols[i].next)
        st = emit(&s, &s.symbols[i], out, err);
out:
    free(escaped);
    free(s.symbols);
    free(s.heap);
    return st;
}

const struct vocab_kind vocab_spm = {
    .name = "llama",
    .scored = true,
    .prefixed = true,
    .defaults = {.bos = 1, .eos = 2, .unk = 0, .pad = TOKEN_NONE, .sep = TOKEN_NONE, .cls = TOKEN_NONE,
                 .mask = TOKEN_NONE, .add_bos = true, .add_space_prefix = true},
    .encode = spm_encode,
};
