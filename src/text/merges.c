#include <stdlib.h>
#include <string.h>

#include "text/tokenizer_int.h"

enum { MAX_PROBES = 1024 };

static size_t home(const struct merge_map *m, int32_t left, int32_t right)
{
    uint64_t x = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    x ^= x >> 29;
    x *= 0xBF58476D1CE4E5B9u;
    return (size_t)(x >> 24) & m->mask;
}

void merge_map_fini(struct merge_map *m)
{
    free(m->slots);
    *m = (struct merge_map){0};
}

const struct merge_slot *merge_map_find(const struct merge_map *m, int32_t left, int32_t right)
{
    if (left < 0 || right < 0) return NULL;
    for (size_t i = home(m, left, right); m->slots[i].left_plus1; i = (i + 1) & m->mask) {
        const struct merge_slot *s = &m->slots[i];
        if (s->left_plus1 == (uint32_t)left + 1 && s->right == right) return s;
    }
    return NULL;
}

/* A merge on its way into the map. */
struct pending {
    struct token_probe left, right;
    uint32_t rank;
    int32_t l, r, merged;
    size_t slot;
};

/* Of two merges of the same pair the first counts. */
static bool insert(struct merge_map *m, const struct pending *p)
{
    size_t i = p->slot, probes = 0;
    for (; m->slots[i].left_plus1; i = (i + 1) & m->mask) {
        if (m->slots[i].left_plus1 == (uint32_t)p->l + 1 && m->slots[i].right == p->r) return true;
        if (++probes > MAX_PROBES) return false;
    }
    m->slots[i] = (struct merge_slot){(uint32_t)p->l + 1, p->r, p->rank, p->merged};
    return true;
}

static bool is_join(struct text_str whole, struct text_str left, struct text_str right)
{
    return whole.len == left.len + right.len && memcmp(whole.data, left.data, left.len) == 0 &&
           memcmp(whole.data + left.len, right.data, right.len) == 0;
}

/* The id of left+right. Vocabularies list merged tokens in the order of their merges, so the
 * successor of the last one found is tried before the map. */
static int32_t find_join(const struct tokenizer *t, const struct pending *p, int32_t last,
                         char *scratch)
{
    struct text_str left = {p->left.text, p->left.len}, right = {p->right.text, p->right.len};
    size_t len = left.len + right.len;
    if (len > t->map.max_len) return TOKEN_NONE;
    if ((size_t)(last + 1) < t->src.n_tokens && is_join(t->tokens[last + 1], left, right))
        return last + 1;
    memcpy(scratch, left.data, left.len);
    memcpy(scratch + left.len, right.data, right.len);
    return token_map_find(&t->map, scratch, len);
}

/* Splits a line at the first space after its first byte; false where there is none. */
static bool begin(const struct tokenizer *t, struct text_str line, uint32_t rank, struct pending *p)
{
    if (line.len < 3) return false;
    const char *space = memchr(line.data + 1, ' ', line.len - 1);
    if (!space) return false;
    size_t left = (size_t)(space - line.data), right = line.len - left - 1;
    if (left > t->map.max_len || right > t->map.max_len) return false;
    p->left = token_map_probe(&t->map, line.data, left);
    p->right = token_map_probe(&t->map, space + 1, right);
    p->rank = rank;
    return true;
}

/* False where a part or the result has no token, or one that must not come out of running text. */
static bool resolve(const struct tokenizer *t, struct pending *p, int32_t *last, char *scratch)
{
    p->l = token_map_finish(&t->map, &p->left);
    p->r = token_map_finish(&t->map, &p->right);
    if (p->l < 0 || p->r < 0) return false;
    p->merged = find_join(t, p, *last, scratch);
    if (p->merged < 0) return false;
    *last = p->merged;
    if (!token_is_text(t->types[p->merged])) return false;
    p->slot = home(&t->merges, p->l, p->r);
    __builtin_prefetch(&t->merges.slots[p->slot], 1);
    return true;
}

enum status merges_build(struct tokenizer *t, const struct vocab_source *src, struct error *err)
{
    size_t size = 16;
    while (size < src->n_merges + src->n_merges / 2) size *= 2;
    t->merges.slots = calloc(size, sizeof *t->merges.slots);
    char *scratch = malloc(t->map.max_len + 1);
    enum status st = OK;
    if (!t->merges.slots || !scratch) {
        st = error_set(err, ERR_NOMEM, "out of memory");
        goto out;
    }
    t->merges.mask = size - 1;
    int32_t last = TOKEN_NONE;
    struct pending batch[32];
    for (size_t i = 0; i < src->n_merges;) {
        size_t n = 0, kept = 0;
        for (; i < src->n_merges && n < sizeof batch / sizeof batch[0]; i++)
            n += begin(t, src->merges[i], (uint32_t)i, &batch[n]);
        for (size_t j = 0; j < n; j++)
            if (resolve(t, &batch[j], &last, scratch)) batch[kept++] = batch[j];
        for (size_t j = 0; j < kept; j++) {
            if (insert(&t->merges, &batch[j])) continue;
            st = error_set(err, ERR_FORMAT, "the vocabulary's merges are made to collide");
            goto out;
        }
    }
out:
    free(scratch);
    return st;
}
