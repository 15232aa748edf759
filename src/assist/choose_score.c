#include <math.h>
#include <stdlib.h>

#include "assist/choose_int.h"
#include "assist/trim_int.h"
#include "base/buf.h"

enum {
    FOLLOWING = 160, /* bytes of the text behind the hole that are scored, to their line's end */
    FOLLOWING_LINES = 4,
    MOST = 256,
};

/* The text behind the hole that answers are judged by: its first lines. */
static struct span following(const struct trim_hole *h)
{
    struct span s = span_of(h->suffix, h->suffix_len);
    size_t at = 0;
    for (int lines = 0; at < s.len && lines < FOLLOWING_LINES && at < FOLLOWING;) {
        struct span line = span_line(s, at);
        lines += !span_blank(line);
        at += line.len + (at + line.len < s.len);
    }
    if (at > MOST) at = trim_utf8_prefix(s.data, MOST);
    return span_of(s.data, at);
}

/* A choice's tokens: what is typed, the answer, the text behind; *n_own without the last. */
static enum status encode_choice(const struct choose_list *l, const struct choice *c,
                                 struct span behind, struct token_list *all, size_t *n_own,
                                 struct error *err)
{
    const struct choose_input *in = l->in;
    struct token_list own = {0};
    struct buf text;
    buf_init(&text, 1 << 20);
    enum status st = buf_append(&text, in->typed, in->n_typed);
    if (!st) st = buf_append(&text, c->text, c->len);
    if (st) error_set(err, st, "no memory for an answer");
    if (!st) st = choose_encode(l, text.data, text.len, &own, err);
    if (!st) st = buf_append(&text, behind.data, behind.len);
    if (!st) st = choose_encode(l, text.data, text.len, all, err);
    *n_own = own.len < all->len ? own.len : all->len;
    token_list_fini(&own);
    buf_fini(&text);
    return st;
}

/* A choice's two branches: behind the prefix, and behind the whole prompt. */
struct rated {
    struct choice *c;
    struct token_list ids;
    size_t n_own;
    float plain[BRANCH_TOKENS], seen[BRANCH_TOKENS], ends[BRANCH_TOKENS];
};

static double sum(const float *x, size_t n)
{
    double s = 0;
    for (size_t i = 0; i < n; i++) s += (double)x[i];
    return s;
}

/* ln(e^a + e^b) */
static double either(double a, double b)
{
    double most = fmax(a, b);
    return most > -INFINITY ? most + log(exp(a - most) + exp(b - most)) : most;
}

/* The answer and what follows it, each by what the model says with the suffix in sight (it knows
 * what has to come, and a small one does not care) and without (it is better at plain text):
 * weights found on half of HumanEval's problems. With the suffix in sight the hole ends with a
 * token that says so, or the way models end it that were not taught to: with the text behind. */
static double weigh(const struct rated *r)
{
    size_t n = r->n_own, behind = r->ids.len - n;
    double end = sum(r->seen + n, behind);
    if (behind) end = either(end, (double)r->ends[n]);
    return sum(r->seen, n) + end + 0.5 * sum(r->plain, n) + sum(r->plain + n, behind);
}

static enum status run(const struct choose_list *l, struct rated *list, size_t n, struct error *err)
{
    const struct choose_input *in = l->in;
    struct branch b[2 * CHOOSE_MAX];
    for (size_t i = 0; i < n; i++) {
        struct rated *r = &list[i];
        b[2 * i] = (struct branch){
            .at = in->prefix_at, .tokens = r->ids.ids, .n = r->ids.len, .logprobs = r->plain};
        b[2 * i + 1] = b[2 * i];
        b[2 * i + 1].at = in->n_asked;
        b[2 * i + 1].logprobs = r->seen;
        b[2 * i + 1].end_logprobs = r->ends;
        b[2 * i + 1].ends = in->fim->stop;
        b[2 * i + 1].n_ends = in->fim->n_stop;
    }
    return branch_score(l->in->base, in->prompt, in->n_prompt, b, 2 * n, l->in->limit, err);
}

enum status choose_score(struct choose_list *l, struct error *err)
{
    struct choose_result *out = l->out;
    struct span behind = following(l->in->hole);
    struct rated *list = calloc(CHOOSE_MAX, sizeof *list);
    size_t n = 0, fits = 0;
    if (!list) return error_set(err, ERR_NOMEM, "no memory to compare answers");
    enum status st = OK;
    for (size_t i = 0; i < out->n; i++) fits += choose_fits(l, &out->list[i]);
    for (size_t i = 0; i < out->n && !st; i++) {
        struct rated *r = &list[n];
        r->c = &out->list[i];
        if (fits && !choose_fits(l, r->c)) continue; /* it would not be taken */
        r->ids.len = 0;
        st = encode_choice(l, r->c, behind, &r->ids, &r->n_own, err);
        if (!st && r->ids.len <= BRANCH_TOKENS) n++;
    }
    if (!st && n > 1) st = run(l, list, n, err);
    for (size_t i = 0; i < n && !st && n > 1; i++) {
        list[i].c->scored = true;
        list[i].c->joint = weigh(&list[i]);
    }
    for (size_t i = 0; i < CHOOSE_MAX; i++) token_list_fini(&list[i].ids);
    free(list);
    return st;
}
