#include "infer/draft_index.h"

#include <stdlib.h>

enum {
    MAX_LEN = 64,    /* of a match, as counted */
    MAX_PLACES = 32, /* looked at for one order */
    MAX_BITS = 20,
};

static const size_t order_len[DRAFT_ORDERS] = {8, 4, 2};

enum status draft_index_init(struct draft_index *ix, size_t cap, struct error *err)
{
    *ix = (struct draft_index){.cap = cap, .bits = 8};
    while (ix->bits < MAX_BITS && ((size_t)1 << ix->bits) < cap) ix->bits++;
    bool ok = cap < UINT32_MAX;
    if (ok) ix->text = malloc((cap + 1) * sizeof *ix->text);
    ok = ok && ix->text;
    for (int o = 0; ok && o < DRAFT_ORDERS; o++) {
        ix->head[o] = calloc((size_t)1 << ix->bits, sizeof *ix->head[o]);
        ix->prev[o] = malloc((cap + 1) * sizeof *ix->prev[o]);
        ok = ix->head[o] && ix->prev[o];
    }
    if (ok) return OK;
    draft_index_fini(ix);
    return error_set(err, ERR_NOMEM, "no memory to draft from %zu tokens", cap);
}

void draft_index_fini(struct draft_index *ix)
{
    free(ix->text);
    for (int o = 0; o < DRAFT_ORDERS; o++) {
        free(ix->head[o]);
        free(ix->prev[o]);
    }
    *ix = (struct draft_index){0};
}

static size_t hash_before(const struct draft_index *ix, size_t end, size_t len)
{
    uint64_t h = len;
    for (size_t i = end - len; i < end; i++) h = (h ^ (uint32_t)ix->text[i]) * 0x9e3779b97f4a7c15u;
    return (size_t)(h >> (64 - ix->bits));
}

void draft_index_push(struct draft_index *ix, int32_t token)
{
    if (ix->n == ix->cap) return;
    ix->text[ix->n++] = token;
    for (int o = 0; o < DRAFT_ORDERS; o++) {
        if (ix->n < order_len[o]) continue;
        uint32_t *head = &ix->head[o][hash_before(ix, ix->n, order_len[o])];
        ix->prev[o][ix->n] = *head;
        *head = (uint32_t)ix->n;
    }
}

/* How many tokens before `at` equal the last ones of the text. */
static size_t common_ending(const struct draft_index *ix, size_t at)
{
    size_t len = 0;
    while (len < MAX_LEN && len < at && ix->text[at - 1 - len] == ix->text[ix->n - 1 - len] &&
           ix->text[at - 1 - len] != DRAFT_GAP)
        len++;
    return len;
}

/* The token with most votes; a place's vote is the square of its match's length. */
static struct draft_match elect(const struct draft_index *ix, const struct draft_match *place,
                                size_t n)
{
    struct draft_match best = {0};
    double most = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t token = ix->text[place[i].at];
        double votes = 0;
        bool counted = false;
        all += (double)(place[i].len * place[i].len);
        for (size_t j = 0; j < n && !counted; j++) {
            if (ix->text[place[j].at] != token) continue;
            counted = j < i;
            votes += (double)(place[j].len * place[j].len);
        }
        if (counted || votes <= most) continue;
        most = votes;
        best = place[i];
        for (size_t j = i + 1; j < n; j++)
            if (ix->text[place[j].at] == token && place[j].len > best.len) best = place[j];
    }
    best.sure = most >= 0.9 * all;
    return best;
}

struct draft_match draft_index_find(const struct draft_index *ix)
{
    for (int o = 0; o < DRAFT_ORDERS; o++) {
        if (ix->n < order_len[o]) continue;
        struct draft_match place[MAX_PLACES];
        size_t n = 0, looked = 0;
        for (uint32_t at = ix->prev[o][ix->n]; at != 0 && looked < MAX_PLACES;
             at = ix->prev[o][at], looked++) {
            size_t len = common_ending(ix, at);
            if (len >= order_len[o] && ix->text[at] != DRAFT_GAP)
                place[n++] = (struct draft_match){.at = at, .len = len};
        }
        if (n > 0) return elect(ix, place, n);
    }
    return (struct draft_match){0};
}
