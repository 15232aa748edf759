#include "assist/choose.h"

#include <math.h>
#include <string.h>

#include "assist/choose_int.h"
#include "assist/fit.h"
#include "assist/technique.h"
#include "assist/trim_int.h"

/* A token that is more likely than this leaves no doubt (ln). */
#define SURE -0.4f

enum {
    CUTS = 10, /* line ends of the first answer that are tried */
    RESTS = 6, /* places where the rest of the cursor's line comes again */
};

void choose_add(struct choose_list *l, const char *text, size_t len)
{
    struct choose_result *out = l->out;
    while (l->in->hole->rest_blank && len && strchr(" \t\n", text[len - 1])) len--;
    if (len > CHOOSE_TEXT || out->n == CHOOSE_MAX) return;
    if (l->in->hole->one_line && memchr(text, '\n', len)) return;
    for (size_t i = 0; i < out->n; i++)
        if (span_eq(span_of(out->list[i].text, out->list[i].len), span_of(text, len))) return;
    struct choice *c = &out->list[out->n++];
    *c = (struct choice){.len = len, .joint = -INFINITY, .errors = SIZE_MAX};
    if (len) memcpy(c->text, text, len);
    if (!(l->in->without & TECHNIQUE_FIT))
        c->misfits = fit_misfits(l->in->hole, l->by_indent, c->text, c->len);
    if (!(l->in->without & TECHNIQUE_SYNTAX))
        c->errors = parse_errors(l->in->parse, c->text, c->len);
}

/* At its line ends. */
static void add_lines(struct choose_list *l, struct span text)
{
    size_t at = 0;
    for (int i = 0; i < CUTS && at < text.len;) {
        size_t end = at + span_line(text, at).len;
        at = end + 1;
        if (span_blank(span_of(text.data, end))) continue;
        choose_add(l, text.data, end);
        i++;
    }
}

/* Be it inside a word: the cursor may stand there, too. */
void choose_add_rests(struct choose_list *l, const char *data, size_t len, int max)
{
    struct span text = span_of(data, len);
    const struct trim_hole *h = l->in->hole;
    struct span all = span_rstrip(span_of(h->rest, h->rest_len)), rest = span_strip(all);
    int found = 0;
    for (size_t at = 0; at + rest.len <= text.len && found < max; at++) {
        if (!span_eq(span_of(text.data + at, rest.len), rest)) continue;
        size_t end = at, blanks = all.len - rest.len;
        while (end && blanks && text.data[end - 1] == all.data[blanks - 1]) {
            end--;
            blanks--;
        }
        choose_add(l, text.data, end);
        found++;
    }
}

/* The first answer as the rules left it, and cut elsewhere. */
static void add_first(struct choose_list *l)
{
    const struct choose_input *in = l->in;
    struct span kept = span_of(in->whole + in->cut.skip, in->cut.keep - in->cut.skip);
    choose_add(l, kept.data, kept.len);
    bool far = !(in->without & TECHNIQUE_FAR);
    if (!far && in->hole->mode == TRIM_SINGLE) return;
    struct span all = kept;
    if (far) {
        struct trim_hole look;
        trim_look_far(in->hole, &look);
        struct trim_cut c = trim_finish(&look, in->whole, in->n_whole, in->ended);
        all = span_of(in->whole + c.skip, c.keep - c.skip);
        choose_add(l, all.data, all.len);
    }
    if (in->hole->rest_blank) {
        add_lines(l, all);
    } else {
        /* What comes behind the far cut holds the rest itself. */
        choose_add_rests(l, all.data, in->n_whole - (size_t)(all.data - in->whole), RESTS);
        add_lines(l, kept);
    }
}

bool choose_fits(const struct choose_list *l, const struct choice *c)
{
    return c->misfits == 0 && (c->errors == SIZE_MAX || c->errors <= l->in->parse->errors);
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

/* Every token of the first answer is likely. */
static bool is_sure(const struct choose_list *l, const struct choose_doubt *d)
{
    bool sure = d->n == d->own.len;
    for (size_t i = d->typed ? d->typed - 1 : 0; i < d->n; i++)
        sure = sure && d->logprobs[i] > SURE;
    return sure && l->in->met;
}

static enum status look(struct choose_list *l, const struct choose_doubt *d, struct error *err)
{
    struct choose_result *out = l->out;
    add_first(l);
    enum status st = choose_grow(l, d, err);
    if (!st) st = choose_score(l, err);
    if (st == ERR_CANCELLED || st == ERR_LIMIT) st = OK; /* judged by what is known */
    for (size_t i = 0; i < out->n && !st; i++)
        if (!out->best || better(&out->list[i], out->best)) out->best = &out->list[i];
    return st;
}

enum status choose_best(const struct choose_input *in, struct choose_result *out, struct error *err)
{
    struct choose_list l = {
        .in = in, .out = out, .by_indent = fit_by_indent(in->hole, in->file_name)};
    struct choose_doubt d;
    out->n = 0;
    out->best = NULL;
    if (in->cut.keep - in->cut.skip > CHOOSE_TEXT) return OK;
    enum status st = choose_doubt_init(&l, &d, err);
    if (st == ERR_CANCELLED || st == ERR_LIMIT)
        st = OK; /* no time: the first answer stays */
    else if (!st && !is_sure(&l, &d))
        st = look(&l, &d, err);
    choose_doubt_fini(&d);
    return st;
}
