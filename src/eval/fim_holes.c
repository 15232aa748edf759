#include "eval/fim_holes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const fim_kinds[] = {"single-line", "multi-line", "random-span", NULL};

enum { SINGLE, MULTI, RANDOM, MAX_LINES = 4096 };

struct line {
    size_t start, end; /* of the text, without the line end */
    bool blank;
};

static size_t split(const struct eval_problem *p, struct line *lines)
{
    size_t n = 0;
    for (size_t at = p->solution_at; at < p->len && n < MAX_LINES;) {
        const char *stop = memchr(p->text + at, '\n', p->len - at);
        size_t end = stop ? (size_t)(stop - p->text) : p->len;
        size_t code = at + strspn(p->text + at, " \t\r\f\v");
        lines[n++] = (struct line){at, end, code >= end};
        at = end + 1;
    }
    return n;
}

static enum status add(struct eval_set *set, const struct eval_problem *p, int kind, size_t start,
                       size_t end, char *id, struct error *err)
{
    return eval_set_add(set,
                        (struct eval_hole){.id = id,
                                           .kind = fim_kinds[kind],
                                           .text = p->text,
                                           .start = start,
                                           .end = end,
                                           .to = p->len,
                                           .path = "solution.py",
                                           .problem = p},
                        err);
}

static char *name_lines(const struct eval_problem *p, int kind, size_t i, size_t j)
{
    char *id = NULL;
    int n = kind == SINGLE ? asprintf(&id, "%s/%s/%zu", fim_kinds[kind], p->id, i)
                           : asprintf(&id, "%s/%s/%zu-%zu", fim_kinds[kind], p->id, i, j);
    return n < 0 ? NULL : id;
}

static enum status add_lines(struct eval_set *set, const struct eval_problem *p, const char *kinds,
                             const struct line *lines, size_t n, struct error *err)
{
    enum status st = OK;
    bool single = eval_kind_wanted(kinds, fim_kinds[SINGLE]);
    bool multi = eval_kind_wanted(kinds, fim_kinds[MULTI]);
    for (size_t i = 0; i < n && single && st == OK; i++)
        if (!lines[i].blank)
            st =
                add(set, p, SINGLE, lines[i].start, lines[i].end, name_lines(p, SINGLE, i, i), err);
    for (size_t i = 0; i < n && multi && st == OK; i++)
        for (size_t j = i; j < n && st == OK; j++)
            if (!lines[i].blank && !lines[j].blank)
                st = add(set, p, MULTI, lines[i].start, lines[j].end, name_lines(p, MULTI, i, j),
                         err);
    return st;
}

/* Both ends at random, at least one character apart, never inside of a UTF-8 character. */
static enum status add_spans(struct eval_set *set, const struct eval_problem *p, uint64_t seed,
                             struct error *err)
{
    /* Of the problem's own name, so that its spans do not depend on which others are there. */
    struct eval_rng rng = {seed};
    for (const char *c = p->id; *c; c++) rng.state = eval_rng_next(&rng) ^ (unsigned char)*c;
    enum status st = OK;
    size_t len = p->len - p->solution_at;
    for (int k = 0; k < FIM_SPANS_PER_PROBLEM && len > 0 && st == OK; k++) {
        size_t a, b;
        do {
            a = p->solution_at + eval_rng_below(&rng, len + 1);
            b = p->solution_at + eval_rng_below(&rng, len + 1);
            while (a < p->len && (p->text[a] & 0xc0) == 0x80) a++;
            while (b < p->len && (p->text[b] & 0xc0) == 0x80) b++;
        } while (a == b);
        size_t start = a < b ? a : b, end = a < b ? b : a;
        char *id;
        if (asprintf(&id, "%s/%s/%d:%zu-%zu", fim_kinds[RANDOM], p->id, k, start, end) < 0)
            id = NULL;
        st = add(set, p, RANDOM, start, end, id, err);
    }
    return st;
}

enum status fim_holes_of_problems(const char *kinds, uint64_t seed, struct eval_set *set,
                                  struct error *err)
{
    struct line *lines = malloc(MAX_LINES * sizeof *lines);
    if (!lines) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = OK;
    for (size_t i = 0; i < set->n_problems && st == OK; i++) {
        const struct eval_problem *p = &set->problems[i];
        size_t n = split(p, lines);
        st = add_lines(set, p, kinds, lines, n, err);
        if (st == OK && eval_kind_wanted(kinds, fim_kinds[RANDOM]))
            st = add_spans(set, p, seed, err);
    }
    free(lines);
    return st;
}
