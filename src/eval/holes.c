/* The registry of benchmarks: a new one is its file and one line here; and what they share. */
#include <stdlib.h>
#include <string.h>

#include "eval/holes.h"

extern const struct eval_bench eval_fim;

const struct eval_bench *const eval_benches[] = {
    &eval_fim,
    NULL,
};

const struct eval_bench *eval_bench_find(const char *name)
{
    for (size_t i = 0; eval_benches[i]; i++)
        if (strcmp(eval_benches[i]->name, name) == 0) return eval_benches[i];
    return NULL;
}

void eval_set_fini(struct eval_set *s)
{
    for (size_t i = 0; i < s->n_problems; i++) {
        struct eval_problem *p = &s->problems[i];
        free(p->id);
        free(p->text);
        free(p->entry);
        free(p->test);
    }
    for (size_t i = 0; i < s->n_texts; i++) free(s->texts[i]);
    for (size_t i = 0; i < s->n_holes; i++) free(s->holes[i].id);
    free(s->problems);
    free(s->texts);
    free(s->holes);
    *s = (struct eval_set){0};
}

/* Room for one more element. */
static bool grow(void **items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) return true;
    size_t more = *cap ? *cap * 2 : 64;
    if (more > 4 * (size_t)EVAL_MAX_HOLES) return false;
    void *p = reallocarray(*items, more, size);
    if (!p) return false;
    *items = p;
    *cap = more;
    return true;
}

enum status eval_set_keep(struct eval_set *s, char *text, struct error *err)
{
    if (!text || !grow((void **)&s->texts, s->n_texts, &s->cap_texts, sizeof *s->texts)) {
        free(text);
        return error_set(err, ERR_NOMEM, "out of memory");
    }
    s->texts[s->n_texts++] = text;
    return OK;
}

enum status eval_set_add(struct eval_set *s, struct eval_hole hole, struct error *err)
{
    bool room = hole.id && s->n_holes < EVAL_MAX_HOLES &&
                grow((void **)&s->holes, s->n_holes, &s->cap_holes, sizeof *s->holes);
    if (!room) {
        enum status st = hole.id && s->n_holes >= EVAL_MAX_HOLES ? ERR_LIMIT : ERR_NOMEM;
        free(hole.id);
        return error_set(err, st, "no room for more than %zu holes", s->n_holes);
    }
    s->holes[s->n_holes++] = hole;
    return OK;
}

const struct eval_hole *eval_set_find(const struct eval_set *s, const char *id)
{
    for (size_t i = 0; i < s->n_holes; i++)
        if (strcmp(s->holes[i].id, id) == 0) return &s->holes[i];
    return NULL;
}

/* Marks `limit` of the holes of one kind (selection sampling: Knuth, TAOCP 2, algorithm 3.4.2 S).
 */
static void choose(const struct eval_set *s, const char *kind, size_t limit, struct eval_rng *rng,
                   bool *chosen)
{
    size_t left = 0;
    for (size_t i = 0; i < s->n_holes; i++) left += strcmp(s->holes[i].kind, kind) == 0;
    for (size_t i = 0; i < s->n_holes; i++) {
        if (strcmp(s->holes[i].kind, kind) != 0) continue;
        if (eval_rng_below(rng, left--) >= limit) continue;
        chosen[i] = true;
        limit--;
    }
}

enum status eval_set_limit(struct eval_set *s, size_t limit, uint64_t seed, struct error *err)
{
    if (limit == 0 || s->n_holes == 0) return OK;
    bool *chosen = calloc(s->n_holes, sizeof *chosen), *done = calloc(s->n_holes, sizeof *done);
    if (!chosen || !done) {
        free(chosen);
        free(done);
        return error_set(err, ERR_NOMEM, "out of memory");
    }
    struct eval_rng rng = {seed};
    for (size_t i = 0; i < s->n_holes; i++) {
        if (done[i]) continue;
        for (size_t j = i; j < s->n_holes; j++)
            if (strcmp(s->holes[j].kind, s->holes[i].kind) == 0) done[j] = true;
        choose(s, s->holes[i].kind, limit, &rng, chosen);
    }
    size_t n = 0;
    for (size_t i = 0; i < s->n_holes; i++) {
        if (chosen[i])
            s->holes[n++] = s->holes[i];
        else
            free(s->holes[i].id);
    }
    s->n_holes = n;
    free(chosen);
    free(done);
    return OK;
}

bool eval_kind_wanted(const char *list, const char *kind)
{
    size_t len = strlen(kind);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, kind, len) == 0 && (at[len] == ',' || !at[len])) return true;
    return !list;
}

enum status eval_kinds_check(const char *list, const char *const *kinds, struct error *err)
{
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        size_t len = strcspn(at, ","), i = 0;
        while (kinds[i] && (strlen(kinds[i]) != len || strncmp(kinds[i], at, len) != 0)) i++;
        if (kinds[i]) continue;
        char all[256] = "";
        for (i = 0; kinds[i] && strlen(all) + strlen(kinds[i]) + 3 < sizeof all; i++) {
            if (i) strcat(all, ", ");
            strcat(all, kinds[i]);
        }
        return error_set(err, ERR_INVALID, "no kind of hole is called '%.*s'; there are %s",
                         (int)(len < 60 ? len : 60), at, all);
    }
    return OK;
}

uint64_t eval_rng_next(struct eval_rng *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

size_t eval_rng_below(struct eval_rng *r, size_t n)
{
    uint64_t skip = -(uint64_t)n % n, x; /* the last values, which would favour small numbers */
    do x = eval_rng_next(r);
    while (x > UINT64_MAX - skip);
    return (size_t)(x % n);
}
