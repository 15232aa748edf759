#include "assist/choose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "assist/fit.h"
#include "assist/trim_int.h"
#include "base/buf.h"

enum {
    FIM_RANKS = 3,   /* other first tokens with the suffix in sight */
    PLAIN_RANKS = 3, /* first tokens without it */
    FOLLOWING = 96,  /* bytes of the text behind the hole that are scored, to their line's end */
    FOLLOWING_LINES = 2,
    LINE_TOKENS = 48, /* of an answer that is written here */
    CUTS = 3,         /* line ends of the first answer that are tried */
};

/* ---- the list ----------------------------------------------------------------------------------
 */

struct list {
    const struct choose_input *in;
    struct choose_result *out;
    bool by_indent;
};

static void add(struct list *l, const char *text, size_t len)
{
    struct choose_result *out = l->out;
    while (len && strchr(" \t\n", text[len - 1])) len--;
    if (len > CHOOSE_TEXT || out->n == CHOOSE_MAX) return;
    for (size_t i = 0; i < out->n; i++)
        if (span_eq(span_of(out->list[i].text, out->list[i].len), span_of(text, len))) return;
    struct choice *c = &out->list[out->n++];
    *c = (struct choice){.len = len, .joint = -INFINITY};
    if (len) memcpy(c->text, text, len);
    c->misfits = fit_misfits(l->in->hole, l->by_indent, c->text, c->len);
    c->errors = parse_errors(l->in->parse, c->text, c->len);
}

/* The first answer as the rules left it, and cut shorter at its line ends. */
static void add_first(struct list *l)
{
    const struct choose_input *in = l->in;
    struct span kept = span_of(in->whole + in->cut.skip, in->cut.keep - in->cut.skip);
    add(l, kept.data, kept.len);
    if (in->hole->mode == TRIM_SINGLE) return;
    size_t at = 0;
    for (int i = 0; i < CUTS && at < kept.len; i++) {
        size_t end = at + span_line(kept, at).len;
        if (!span_blank(span_of(kept.data, end))) add(l, kept.data, end);
        at = end + 1;
    }
}

/* ---- other answers -----------------------------------------------------------------------------
 */

struct grown {
    const struct tokenizer *tok;
    struct buf text[BRANCH_MAX];
};

static bool on_token(void *ctx, size_t branch, int32_t token)
{
    struct grown *g = ctx;
    char piece[256];
    size_t n = tokenizer_piece(g->tok, token, false, piece, sizeof piece);
    if (n > sizeof piece || buf_append(&g->text[branch], piece, n) != OK) return false;
    const char *text = g->text[branch].data;
    const char *end = memchr(text, '\n', g->text[branch].len);
    return !end || span_blank(span_of(text, (size_t)(end - text)));
}

/* A beginning that branches share: tokens, and the bytes that come first. */
struct stem {
    struct token_list tokens;
    const char *begin;
    size_t n_begin;
    const char *lead; /* what of the answer stands in the tokens; borrowed */
    size_t n_lead;
    size_t skip; /* bytes written that stand before the cursor */
};

/* The blanks that an answer's first line is given. */
static size_t blanks_for(const struct list *l, char out[FIT_MAX_INDENT])
{
    const struct trim_hole *h = l->in->hole;
    if (h->line_len) return 0;
    size_t n = fit_indent(h, l->by_indent, out);
    if (n) return n;
    struct span first = span_of(l->in->whole + l->in->cut.skip, l->in->cut.keep - l->in->cut.skip);
    while (first.len && *first.data == '\n') {
        first.data++;
        first.len--;
    }
    while (n < first.len && n < FIT_MAX_INDENT && strchr(" \t", first.data[n])) {
        out[n] = first.data[n];
        n++;
    }
    return n;
}

static enum status encode(const struct list *l, const char *text, size_t len,
                          struct token_list *out, struct error *err)
{
    const struct completer *c = l->in->c;
    return len ? fim_encode(&c->fim, c->tokenizer, text, len, out, err) : OK;
}

/* `seen`: with the suffix in sight, behind the whole prompt. */
static enum status stem_init(const struct list *l, bool seen, const char *blanks, size_t n_blanks,
                             struct stem *s, struct error *err)
{
    const struct choose_input *in = l->in;
    *s = (struct stem){0};
    if (n_blanks) {
        s->lead = blanks;
        s->n_lead = n_blanks - 1;
        s->begin = blanks + n_blanks - 1;
        s->n_begin = 1;
        return encode(l, blanks, n_blanks - 1, &s->tokens, err);
    }
    s->begin = in->plan->begin;
    s->n_begin = s->skip = in->plan->n_begin;
    if (seen) return OK;
    return encode(l, in->typed, in->n_typed - in->plan->n_begin, &s->tokens, err);
}

static void add_grown(struct list *l, const struct stem *s, const struct branch *b,
                      const struct buf *text)
{
    char whole[CHOOSE_TEXT];
    size_t skip = s->skip < text->len ? s->skip : text->len, n = s->n_lead + text->len - skip;
    if (n > sizeof whole || text->len == skip) return;
    if (s->n_lead) memcpy(whole, s->lead, s->n_lead);
    memcpy(whole + s->n_lead, text->data + skip, text->len - skip);
    struct trim_cut cut = trim_finish(l->in->hole, whole, n, b->ended);
    size_t keep = cut.keep;
    const char *end = memchr(whole + cut.skip, '\n', keep - cut.skip);
    if (end && !span_blank(span_of(whole + cut.skip, (size_t)(end - whole) - cut.skip)))
        keep = (size_t)(end - whole);
    if (keep > cut.skip) add(l, whole + cut.skip, keep - cut.skip);
}

static enum status grow(struct list *l, struct error *err)
{
    const struct choose_input *in = l->in;
    const struct complete_plan *p = in->plan;
    char blanks[FIT_MAX_INDENT];
    size_t n_blanks = blanks_for(l, blanks);
    struct stem stems[2] = {0};
    enum status st = stem_init(l, true, blanks, n_blanks, &stems[0], err);
    if (!st) st = stem_init(l, false, blanks, n_blanks, &stems[1], err);
    struct branch b[FIM_RANKS + PLAIN_RANKS] = {0};
    struct grown g = {.tok = in->c->tokenizer};
    size_t n = 0;
    for (; n < FIM_RANKS + PLAIN_RANKS; n++) {
        const struct stem *s = &stems[n >= FIM_RANKS];
        b[n] = (struct branch){.at = n < FIM_RANKS ? p->tokens.len : p->anchor->prompt.prefix_at,
                               .tokens = s->tokens.ids,
                               .n = s->tokens.len,
                               .begin = s->begin,
                               .n_begin = s->n_begin,
                               .rank = n < FIM_RANKS ? n : n - FIM_RANKS};
        buf_init(&g.text[n], CHOOSE_TEXT);
    }
    struct branch_writer w = {.on_token = on_token,
                              .ctx = &g,
                              .stop = in->c->fim.stop,
                              .n_stop = in->c->fim.n_stop,
                              .max_tokens = LINE_TOKENS};
    if (!st)
        st = branch_grow(in->c->session, p->tokens.ids, p->tokens.len, b, n, &w, in->limit, err);
    for (size_t i = 0; i < n; i++) {
        if (!st) add_grown(l, &stems[i >= FIM_RANKS], &b[i], &g.text[i]);
        buf_fini(&g.text[i]);
    }
    for (int i = 0; i < 2; i++) token_list_fini(&stems[i].tokens);
    return st;
}

/* ---- scores ------------------------------------------------------------------------------------
 */

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
    if (at > 2 * FOLLOWING) at = trim_utf8_prefix(s.data, 2 * FOLLOWING);
    return span_of(s.data, at);
}

/* A choice's tokens: what is typed, the answer, the text behind; *n_own without the last. */
static enum status encode_choice(const struct list *l, const struct choice *c, struct span behind,
                                 struct token_list *all, size_t *n_own, struct error *err)
{
    const struct choose_input *in = l->in;
    struct token_list own = {0};
    struct buf text;
    buf_init(&text, 1 << 20);
    enum status st = buf_append(&text, in->typed, in->n_typed);
    if (!st) st = buf_append(&text, c->text, c->len);
    if (st) error_set(err, st, "no memory for an answer");
    if (!st && text.len) st = encode(l, text.data, text.len, &own, err);
    if (!st) st = buf_append(&text, behind.data, behind.len);
    if (!st) st = encode(l, text.data, text.len, all, err);
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
    float plain[BRANCH_TOKENS], seen[BRANCH_TOKENS];
};

static double sum(const float *x, size_t n)
{
    double s = 0;
    for (size_t i = 0; i < n; i++) s += (double)x[i];
    return s;
}

/* The answer and what follows it, each by what the model says with the suffix in sight (it knows
 * what has to come, and a small one does not care) and without (it is better at plain text):
 * weights found on half of HumanEval's problems. */
static double weigh(const struct rated *r)
{
    size_t behind = r->ids.len - r->n_own;
    return sum(r->seen, r->ids.len) + 0.5 * sum(r->plain, r->n_own) +
           sum(r->plain + r->n_own, behind);
}

/* Nothing speaks against it; what is not known (SIZE_MAX) does not. */
static bool fits_well(const struct list *l, const struct choice *c)
{
    return c->misfits == 0 && (c->errors == SIZE_MAX || c->errors <= l->in->parse->errors);
}

static enum status score(struct list *l, struct error *err)
{
    const struct choose_input *in = l->in;
    struct choose_result *out = l->out;
    struct span behind = following(in->hole);
    struct rated *list = calloc(CHOOSE_MAX, sizeof *list);
    struct branch b[2 * CHOOSE_MAX];
    size_t n = 0, fits = 0;
    if (!list) return error_set(err, ERR_NOMEM, "no memory to compare answers");
    enum status st = OK;
    for (size_t i = 0; i < out->n; i++) fits += fits_well(l, &out->list[i]);
    for (size_t i = 0; i < out->n && !st; i++) {
        struct rated *r = &list[n];
        r->c = &out->list[i];
        if (fits && !fits_well(l, r->c)) continue; /* it would not be taken */
        r->ids.len = 0;
        st = encode_choice(l, r->c, behind, &r->ids, &r->n_own, err);
        if (st || r->ids.len > BRANCH_TOKENS) continue;
        b[2 * n] = (struct branch){.at = in->plan->anchor->prompt.prefix_at,
                                   .tokens = r->ids.ids,
                                   .n = r->ids.len,
                                   .logprobs = r->plain};
        b[2 * n + 1] = (struct branch){.at = in->plan->anchor->prompt.tokens.len,
                                       .tokens = r->ids.ids,
                                       .n = r->ids.len,
                                       .logprobs = r->seen};
        n++;
    }
    if (!st && n > 1)
        st = branch_score(in->c->session, in->plan->tokens.ids, in->plan->tokens.len, b, 2 * n,
                          in->limit, err);
    for (size_t i = 0; i < n && !st && n > 1; i++) {
        list[i].c->scored = true;
        list[i].c->joint = weigh(&list[i]);
    }
    for (size_t i = 0; i < CHOOSE_MAX; i++) token_list_fini(&list[i].ids);
    free(list);
    return st;
}

static int n_bits(unsigned x)
{
    return __builtin_popcount(x);
}

static bool better(const struct choice *a, const struct choice *b)
{
    if (a->errors != b->errors) return a->errors < b->errors;
    if (n_bits(a->misfits) != n_bits(b->misfits)) return n_bits(a->misfits) < n_bits(b->misfits);
    return a->joint > b->joint;
}

enum status choose_best(const struct choose_input *in, struct choose_result *out, struct error *err)
{
    const struct trim_hole *h = in->hole;
    struct list l = {.in = in, .out = out, .by_indent = fit_by_indent(h, in->file_name)};
    out->n = 0;
    out->best = NULL;
    if (!h->below || in->c->fim.order == FIM_SPM) return OK;
    if (in->cut.keep - in->cut.skip > CHOOSE_TEXT) return OK;
    add_first(&l);
    enum status st = grow(&l, err);
    if (!st) st = score(&l, err);
    if (st == ERR_CANCELLED || st == ERR_LIMIT) st = OK; /* judged by what is known */
    for (size_t i = 0; i < out->n && !st; i++)
        if (!out->best || better(&out->list[i], out->best)) out->best = &out->list[i];
    return st;
}
