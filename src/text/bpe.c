#include <stdlib.h>
#include <string.h>

#include "text/tokenizer_int.h"
#include "text/utf8_int.h"

/* Merging keeps the word as a linked list of symbols and its mergeable pairs in a heap ordered by
 * rank, then by position: O(n log n) for a word of n symbols, with the order of merges that trying
 * the best pair of the whole word again and again would give. */

struct symbol {
    int32_t id;         /* TOKEN_NONE: has no token, never merges */
    int32_t prev, next; /* -1 at the ends */
    uint32_t begin;     /* in the word */
};

struct pair {
    uint64_t key; /* rank << 32 | left symbol: smallest first */
    const struct merge_slot *merge;
};

struct word_encoder {
    const struct tokenizer *t;
    struct symbol *symbols;
    struct pair *heap;
    size_t cap;   /* symbols; the heap has room for two pairs a symbol */
    size_t n_heap;
};

static enum status encoder_reserve(struct word_encoder *e, size_t n)
{
    if (n <= e->cap) return OK;
    size_t cap = n < 64 ? 64 : n + n / 4;
    free(e->symbols);
    free(e->heap);
    e->cap = 0;
    e->symbols = malloc(cap * sizeof *e->symbols);
    e->heap = malloc(2 * cap * sizeof *e->heap);
    if (!e->symbols || !e->heap) return ERR_NOMEM;
    e->cap = cap;
    return OK;
}

static void encoder_fini(struct word_encoder *e)
{
    free(e->symbols);
    free(e->heap);
}

static void heap_push(struct word_encoder *e, struct pair p)
{
    size_t i = e->n_heap++;
    while (i > 0 && e->heap[(i - 1) / 2].key > p.key) {
        e->heap[i] = e->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    e->heap[i] = p;
}

static struct pair heap_pop(struct word_encoder *e)
{
    struct pair top = e->heap[0], last = e->heap[--e->n_heap];
    size_t i = 0, n = e->n_heap;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && e->heap[child + 1].key < e->heap[child].key) child++;
        if (e->heap[child].key >= last.key) break;
        e->heap[i] = e->heap[child];
        i = child;
    }
    if (n) e->heap[i] = last;
    return top;
}

static void try_pair(struct word_encoder *e, int32_t left, int32_t right)
{
    if (left < 0 || right < 0) return;
    const struct merge_slot *m =
        merge_map_find(&e->t->merges, e->symbols[left].id, e->symbols[right].id);
    if (m) heap_push(e, (struct pair){(uint64_t)m->rank << 32 | (uint32_t)left, m});
}

/* Each merge takes one pair out and puts at most two in, so the heap holds fewer than two pairs a
 * symbol. A pair is stale when either side has changed since it was pushed; a merged-away symbol has
 * left the list, so the left one's successor tells. */
static void merge_all(struct word_encoder *e, size_t n)
{
    struct symbol *s = e->symbols;
    e->n_heap = 0;
    for (size_t i = 1; i < n; i++) try_pair(e, (int32_t)i - 1, (int32_t)i);
    while (e->n_heap) {
        struct pair p = heap_pop(e);
        int32_t left = (int32_t)(uint32_t)p.key, right = s[left].next;
        if ((uint32_t)s[left].id + 1 != p.merge->left_plus1 || right < 0 ||
            s[right].id != p.merge->right)
            continue;
        s[left].id = p.merge->merged;
        s[left].next = s[right].next;
        s[right].id = TOKEN_NONE;
        if (s[left].next >= 0) s[s[left].next].prev = left;
        try_pair(e, s[left].prev, left);
        try_pair(e, left, s[left].next);
    }
}

/* One symbol a byte, or one a character where the vocabulary is not byte-level; returns how many. A literal U+2581 gets
 * no token there: its token means a space. */
static size_t split_symbols(struct word_encoder *e, const char *word, size_t len)
{
    const struct tokenizer *t = e->t;
    struct symbol *s = e->symbols;
    size_t n = 0;
    for (size_t i = 0, step; i < len; i += step, n++) {
        int32_t id;
        if (t->kind->byte_level) {
            step = 1;
            id = t->byte_ids[(unsigned char)word[i]];
        } else {
            step = utf8_sequence(word + i, len - i);
            id = TOKEN_NONE;
            if (word[i] == ' ')
                id = t->space_id;
            else if (step && !(step == 3 && memcmp(word + i, UTF8_LOWER_BLOCK, 3) == 0))
                id = token_map_find(&t->map, word + i, step);
            if (id >= 0 && !token_is_text(t->types[id])) id = TOKEN_NONE;
            if (!step) step = 1;
        }
        s[n] = (struct symbol){id, (int32_t)n - 1, (int32_t)n + 1, (uint32_t)i};
    }
    s[n - 1].next = -1;
    return n;
}

static enum status encode_word(struct word_encoder *e, const char *word, size_t len,
                               struct token_list *out, struct error *err)
{
    if (encoder_reserve(e, len)) return error_set(err, ERR_NOMEM, "out of memory");
    size_t n = split_symbols(e, word, len);
    if (n > 1) merge_all(e, n);
    for (int32_t i = 0; i >= 0; i = e->symbols[i].next) {
        const struct symbol *s = &e->symbols[i];
        enum status st = OK;
        if (s->id >= 0) {
            st = token_list_push(out, s->id);
            if (st) error_set(err, st, "out of memory");
        } else {
            size_t end = s->next >= 0 ? e->symbols[s->next].begin : len;
            for (size_t b = s->begin; b < end && st == OK; b++)
                st = tokenizer_push_byte(e->t, (uint8_t)word[b], out, err);
        }
        if (st) return st;
    }
    return OK;
}

/* The token that a whole word is, where the vocabulary is asked before the merges. */
static int32_t find_word(const struct tokenizer *t, const char *word, size_t len, char *scratch)
{
    int32_t id;
    if (len > t->map.max_len) return TOKEN_NONE;
    if (!t->kind->byte_level) {
        /* Gemma has tokens for runs of newlines that no merge leads to. */
        if (word[0] != '\n') return TOKEN_NONE;
        id = token_map_find(&t->map, word, len);
    } else {
        if (!t->src.ignore_merges) return TOKEN_NONE;
        size_t n = 0;
        for (size_t i = 0; i < len; i++) n += byte_char((uint8_t)word[i], scratch + n);
        id = token_map_find(&t->map, scratch, n);
    }
    return id >= 0 && token_is_text(t->types[id]) ? id : TOKEN_NONE;
}

static enum status bpe_encode(const struct tokenizer *t, const char *text, size_t len, bool prefix,
                              struct token_list *out, struct error *err)
{
    (void)prefix;
    struct piece_list pieces = {0};
    struct word_encoder e = {.t = t};
    char *scratch = malloc(2 * t->map.max_len + 1);
    enum status st;
    if (!scratch) {
        st = error_set(err, ERR_NOMEM, "out of memory");
        goto out;
    }
    st = pretok_split(t->pretok, text, len, &pieces, err);
    for (size_t i = 0, begin = 0; i < pieces.len && st == OK; begin = pieces.ends[i++]) {
        const char *word = text + begin;
        size_t n = pieces.ends[i] - begin;
        int32_t id = find_word(t, word, n, scratch);
        if (id < 0)
            st = encode_word(&e, word, n, out, err);
        else if ((st = token_list_push(out, id)))
            error_set(err, st, "out of memory");
    }
out:
    free(scratch);
    encoder_fini(&e);
    piece_list_fini(&pieces);
    return st;
}

/* GPT-2: bytes as printable characters, words cut by a pre-tokenizer. */
const struct vocab_kind vocab_byte_bpe = {
    .name = "gpt2",
    .merges = true,
    .byte_level = true,
    .defaults = {TOKEN_NONE, TOKEN_NONE, TOKEN_NONE, TOKEN_NONE, TOKEN_NONE, TOKEN_NONE, TOKEN_NONE},
    .encode = bpe_encode,
};

/* Gemma 4: merges over characters, U+2581 for a space, <0xXX> for the rest. */
const struct vocab_kind vocab_char_bpe = {
    .name = "gemma4",
    .pre = "gemma4",
    .merges = true,
    .defaults = {TOKEN_NONE, TOKEN_NONE, TOKEN_NONE, TOKEN_NONE, TOKEN_NONE, TOKEN_NONE, TOKEN_NONE,
                 .add_bos = true},
    .encode = bpe_encode,
};
