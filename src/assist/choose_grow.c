#include <string.h>

#include "assist/choose_int.h"
#include "assist/fit.h"
#include "assist/technique.h"
#include "assist/trim_int.h"
#include "base/buf.h"

enum {
    RANKS = 1, /* other first tokens with the suffix in sight: the second one */
    PLAIN = 3, /* first tokens without it */
    INNER = 2, /* places inside the first answer */
    MOST = RANKS + PLAIN + INNER,
    RESTS = 2,        /* places in each where the rest of the cursor's line comes again */
    LINE_TOKENS = 32, /* of an answer that is written here */
};

/* Tokens that are less likely than this are not tried (ln). */
#define LEAST_LIKELY -4.0f

/* One answer on its way: what it begins with, and what is written behind that. */
struct shoot {
    struct token_list stem; /* owned */
    struct buf text;        /* what of it stands behind the cursor's line's beginning `skip` */
    size_t skip;            /* bytes of the text that stand before the cursor */
    bool ended;
};

struct bush {
    const struct choose_list *l;
    struct shoot s[MOST];
    struct branch b[MOST];
    size_t n;
};

/* Far enough: the first line, and where that opens a block, what belongs to it as the rules say. */
static bool is_whole(const struct trim_hole *h, struct span text)
{
    size_t at = 0;
    struct span line = span_line(text, 0);
    while (span_blank(line) && at + line.len < text.len) {
        at += line.len + 1;
        line = span_line(text, at);
    }
    if (at + line.len >= text.len) return false; /* it has not ended */
    if (h->mode == TRIM_SINGLE || !line_opens(line)) return true;
    struct trim_cut c = trim_scan(h, text.data, text.len);
    return c.rule != TRIM_NONE;
}

static bool on_token(void *ctx, size_t branch, int32_t token)
{
    struct bush *g = ctx;
    struct shoot *s = &g->s[branch];
    const struct choose_input *in = g->l->in;
    char piece[256];
    size_t n = tokenizer_piece(in->tok, token, false, piece, sizeof piece);
    if (n > sizeof piece || buf_append(&s->text, piece, n) != OK) return false;
    if (!memchr(piece, '\n', n) || s->text.len <= s->skip) return true;
    return !is_whole(in->hole, span_of(s->text.data + s->skip, s->text.len - s->skip));
}

/* ---- what they begin with ----------------------------------------------------------------------
 */

/* The blanks that an answer's first line is given. */
static size_t blanks_for(const struct choose_list *l, char out[FIT_MAX_INDENT])
{
    const struct trim_hole *h = l->in->hole;
    if (h->line_len) return 0;
    size_t n = 0;
    if (!(l->in->without & TECHNIQUE_BLANKS)) n = fit_indent(h, l->by_indent, out);
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

static void add_shoot(struct bush *g, const struct shoot *s, const struct branch *b)
{
    g->s[g->n] = *s;
    g->b[g->n] = *b;
    g->b[g->n].tokens = s->stem.ids;
    g->b[g->n].n = s->stem.len;
    g->n++;
}

/* Answers with other first tokens: `seen` behind the whole prompt, else behind the prefix alone. */
static enum status add_ranks(struct bush *g, bool seen, const char *blanks, size_t n_blanks,
                             struct error *err)
{
    const struct choose_input *in = g->l->in;
    size_t from = seen ? 1 : 0, to = seen ? 1 + RANKS : PLAIN;
    enum status st = OK;
    for (size_t rank = from; rank < to && !st; rank++) {
        struct shoot s = {.skip = n_blanks ? 0 : in->n_begin};
        struct branch b = {.at = seen ? in->n_prompt : in->prefix_at,
                           .begin = n_blanks ? blanks + n_blanks - 1 : in->begin,
                           .n_begin = n_blanks ? 1 : in->n_begin,
                           .rank = rank};
        buf_init(&s.text, CHOOSE_TEXT);
        if (n_blanks) {
            st = choose_encode(g->l, blanks, n_blanks - 1, &s.stem, err);
            if (!st) st = buf_append(&s.text, blanks, n_blanks - 1);
        } else if (!seen) {
            st = choose_encode(g->l, in->typed, in->n_typed - in->n_begin, &s.stem, err);
        }
        add_shoot(g, &s, &b);
    }
    return st;
}

/* Where in tokens[from .. n) another token was likeliest and was not tried yet; n: nowhere. */
static size_t find_doubt(const float *others, size_t from, size_t n, const bool *tried)
{
    size_t best = n;
    for (size_t i = from; i < n; i++)
        if (!tried[i] && others[i] > LEAST_LIKELY && (best == n || others[i] > others[best]))
            best = i;
    return best;
}

/* The first answer up to token `at`, and another one there. */
static enum status add_fork(struct bush *g, const struct token_list *own, size_t at, int32_t other)
{
    const struct choose_input *in = g->l->in;
    struct shoot s = {.skip = in->n_typed};
    buf_init(&s.text, CHOOSE_TEXT + in->n_typed);
    enum status st = OK;
    for (size_t i = 0; i <= at && !st; i++) {
        char piece[256];
        int32_t id = i == at ? other : own->ids[i];
        size_t n = tokenizer_piece(in->tok, id, false, piece, sizeof piece);
        st = n > sizeof piece ? ERR_LIMIT : buf_append(&s.text, piece, n);
        if (!st) st = token_list_push(&s.stem, id);
    }
    bool fits = !st && s.text.len > s.skip && memcmp(s.text.data, in->typed, in->n_typed) == 0;
    if (!fits || memchr(s.text.data + s.skip, '\n', s.text.len - s.skip)) {
        token_list_fini(&s.stem);
        buf_fini(&s.text);
        return st == ERR_NOMEM ? st : OK;
    }
    add_shoot(g, &s, &(struct branch){.at = in->n_asked});
    return OK;
}

/* Answers that leave the first one where the model was in doubt. */
static enum status add_inner(struct bush *g, const struct choose_doubt *d)
{
    bool tried[DOUBT_TOKENS] = {0};
    enum status st = OK;
    for (int i = 0; i < INNER && !st; i++) {
        size_t at = find_doubt(d->other_logprobs, d->typed, d->n, tried);
        if (at >= d->n) break;
        tried[at] = true;
        st = add_fork(g, &d->own, at, d->others[at]);
    }
    return st;
}

/* ---- all together ------------------------------------------------------------------------------
 */

static void harvest(struct choose_list *l, const struct shoot *s)
{
    if (s->text.len <= s->skip) return;
    const char *text = s->text.data + s->skip;
    struct trim_cut c = trim_finish(l->in->hole, text, s->text.len - s->skip, s->ended);
    if (c.keep <= c.skip) return;
    struct span kept = span_of(text + c.skip, c.keep - c.skip);
    if (!l->in->hole->rest_blank)
        choose_add_rests(l, kept.data, s->text.len - s->skip - c.skip, RESTS);
    size_t at = 0;
    while (at < kept.len && kept.data[at] == '\n') at++;
    choose_add(l, kept.data, kept.len);
    size_t line = at + span_line(kept, at).len;
    if (line < kept.len) choose_add(l, kept.data, line);
}

enum status choose_doubt_init(const struct choose_list *l, struct choose_doubt *d,
                              struct error *err)
{
    const struct choose_input *in = l->in;
    struct buf text;
    *d = (struct choose_doubt){.typed = in->n_prompt - in->n_asked + 1};
    buf_init(&text, 1 << 20);
    enum status st = buf_append(&text, in->typed, in->n_typed);
    if (!st) st = buf_append(&text, in->whole + in->cut.skip, in->cut.keep - in->cut.skip);
    if (!st) st = choose_encode(l, text.data, text.len, &d->own, err);
    buf_fini(&text);
    d->n = d->own.len < DOUBT_TOKENS ? d->own.len : DOUBT_TOKENS;
    struct branch b = {.at = in->n_asked,
                       .tokens = d->own.ids,
                       .n = d->n,
                       .logprobs = d->logprobs,
                       .others = d->others,
                       .other_logprobs = d->other_logprobs};
    if (st || !d->n) return st;
    return branch_score(in->base, in->prompt, in->n_prompt, &b, 1, in->limit, err);
}

void choose_doubt_fini(struct choose_doubt *d)
{
    token_list_fini(&d->own);
}

enum status choose_encode(const struct choose_list *l, const char *text, size_t len,
                          struct token_list *out, struct error *err)
{
    return len ? fim_encode(l->in->fim, l->in->tok, text, len, out, err) : OK;
}

enum status choose_grow(struct choose_list *l, const struct choose_doubt *d, struct error *err)
{
    const struct choose_input *in = l->in;
    struct bush g = {.l = l};
    char blanks[FIT_MAX_INDENT];
    size_t n_blanks = blanks_for(l, blanks);
    enum status st = OK;
    if (!(in->without & TECHNIQUE_RANKS)) st = add_ranks(&g, true, blanks, n_blanks, err);
    if (!st && !(in->without & TECHNIQUE_PLAIN)) st = add_ranks(&g, false, blanks, n_blanks, err);
    if (!st && !(in->without & TECHNIQUE_INNER)) st = add_inner(&g, d);
    struct branch_writer w = {.on_token = on_token,
                              .ctx = &g,
                              .stop = in->fim->stop,
                              .n_stop = in->fim->n_stop,
                              .max_tokens = LINE_TOKENS};
    if (!st && g.n)
        st = branch_grow(in->base, in->prompt, in->n_prompt, g.b, g.n, &w, in->limit, err);
    for (size_t i = 0; i < g.n; i++) {
        g.s[i].ended = g.b[i].ended;
        if (!st) harvest(l, &g.s[i]);
        token_list_fini(&g.s[i].stem);
        buf_fini(&g.s[i].text);
    }
    return st;
}
