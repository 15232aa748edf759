/* Drafts from a grammar: text that has to come, as the tokenizer would write it. The model may divide it
 * otherwise, which the pass that checks it finds out. */
#include <stdlib.h>

#include "base/buf.h"
#include "infer/draft.h"
#include "infer/infer_int.h"
#include "text/grammar.h"
#include "text/tokenizer.h"

enum { MAX_TEXT = 512 };

struct forced_text {
    const struct tokenizer *tok;
    struct grammar_state *grammar;
    struct chance as_written; /* that the model divides it as the tokenizer does */
    struct draft last;        /* what was proposed, and how much of it came */
    size_t at;
};

static enum status forced_create(const struct draft_source *src, void **out, struct error *err)
{
    *out = NULL;
    if (!src->grammar) return OK;
    struct forced_text *d = calloc(1, sizeof *d);
    if (!d) return error_set(err, ERR_NOMEM, "no memory to draft with");
    d->tok = src->target->e->tok;
    d->grammar = src->grammar;
    d->as_written = chance_guess(0.9);
    *out = d;
    return OK;
}

static void forced_destroy(void *drafter)
{
    free(drafter);
}

static void forced_accept(void *drafter, int32_t token)
{
    struct forced_text *d = drafter;
    if (d->at >= d->last.n) return;
    bool hit = d->last.token[d->at] == token;
    chance_note(&d->as_written, hit);
    d->at = hit ? d->at + 1 : d->last.n;
}

/* Its last token is left out where more text may follow: it could be one with that. */
static enum status forced_propose(void *drafter, size_t max, double floor, const struct watch *w,
                                  struct draft *out, struct error *err)
{
    struct forced_text *d = drafter;
    struct buf text;
    struct token_list ids = {0};
    (void)floor, (void)w;
    out->n = 0;
    buf_init(&text, MAX_TEXT);
    enum status st = grammar_forced(d->grammar, &text, err);
    if (st == OK || st == ERR_LIMIT) /* the buffer is full: so much is enough */
        st = text.len ? tokenizer_encode_raw(d->tok, text.data, text.len, false, &ids, err) : OK;
    for (size_t i = 0; st == OK && i + 1 < ids.len && i < max; i++) {
        out->token[i] = ids.ids[i];
        out->p[i] = chance_get(&d->as_written);
        out->n++;
    }
    d->last = *out;
    d->at = 0;
    token_list_fini(&ids);
    buf_fini(&text);
    return OK; /* the text comes without it too */
}

const struct drafter_type draft_grammar = {.name = "grammar",
                                           .create = forced_create,
                                           .destroy = forced_destroy,
                                           .accept = forced_accept,
                                           .propose = forced_propose};
