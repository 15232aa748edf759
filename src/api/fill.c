#include "api/fill.h"

#include <stdlib.h>
#include <string.h>

#include "assist/anchor.h"
#include "assist/fit.h"
#include "assist/parse.h"
#include "assist/trim.h"

/* What a hole's answers are cut by. */
struct fill_hole {
    struct trim_hole hole;
    char blanks[FIT_MAX_INDENT]; /* that the answers begin with */
    size_t n_blanks;
    char *file;  /* owned; or NULL */
    char text[]; /* prefix and suffix, which the hole points into */
};

void fill_hole_free(struct fill_hole *h)
{
    if (h) free(h->file);
    free(h);
}

/* ---- the request --------------------------------------------------------------------------------
 */

static struct fill_hole *make_hole(const struct fill *f)
{
    struct fill_hole *h = malloc(sizeof *h + f->prefix_len + f->suffix_len + 1);
    if (!h) return NULL;
    char *suffix = h->text + f->prefix_len;
    h->file = f->file ? strdup(f->file) : NULL; /* without it, nothing is parsed */
    if (f->prefix_len) memcpy(h->text, f->prefix, f->prefix_len);
    if (f->suffix_len) memcpy(suffix, f->suffix, f->suffix_len);
    trim_hole_init(&h->hole, h->text, f->prefix_len, suffix, f->suffix_len, TRIM_AUTO);
    h->n_blanks = fit_indent(&h->hole, fit_by_indent(&h->hole, f->file), h->blanks);
    return h;
}

/* The prompt as hearth complete makes it: the cursor's line goes behind the middle token, its last
 * token is left to the model. */
static enum status build(struct job *j, const struct fill *f, struct job_part *p, size_t *needed,
                         struct error *err)
{
    const struct loaded_model *m = j->m;
    /* Room for at least one token; an explicit number of tokens has its room. */
    size_t answer = j->explicit_max && j->q.max_tokens < j->n_ctx / 2 ? j->q.max_tokens : 1;
    size_t point = f->raw ? f->prefix_len : anchor_point(f->prefix, f->prefix_len);
    struct fim_input in = {.prefix = f->prefix,
                           .prefix_len = point,
                           .suffix = f->suffix,
                           .suffix_len = f->suffix_len,
                           .file_name = f->file,
                           .max_tokens = j->n_ctx - (answer ? answer : 1)};
    enum status st = fim_build_files(&m->fim, m->tok, f->repo, f->files, f->n_files, &in,
                                     &p->prompt, needed, err);
    if (st == ERR_LIMIT && f->n_found) {
        *err = (struct error){0};
        p->prompt.len = 0;
        st = fim_build_files(&m->fim, m->tok, f->repo, f->files + f->n_found, f->n_files - f->n_found, &in,
                             &p->prompt, needed, err);
    }
    if (st || f->raw) return st;
    return anchor_follow(&m->fim, m->tok, f->prefix + point, f->prefix_len - point, &p->prompt,
                         &j->q.begin, &j->q.n_begin, err);
}

static void fail_build(struct job *j, enum status st, const struct error *err, size_t needed)
{
    if (st == ERR_LIMIT) {
        struct failure fail = {400, "context_length_exceeded", err->msg, needed, j->n_ctx};
        call_fail(j->c, &fail);
    } else {
        call_error(j->c, err);
    }
}

/* The hole's text outlives the request's, which goes when this returns. */
static bool set_hole(struct job *j, const struct fill *f)
{
    struct fill_hole *h = j->hole = make_hole(f);
    if (!h) {
        call_failf(j->c, 503, "out_of_memory", "no memory for the request");
        return false;
    }
    if (j->q.n_begin) {
        j->q.begin = h->text + (j->q.begin - f->prefix);
        h->n_blanks = 0;
    } else if (h->n_blanks) {
        j->q.begin = h->blanks;
        j->q.n_begin = h->n_blanks;
    }
    return true;
}

bool job_add_fill(struct job *j, const struct fill *f)
{
    const struct loaded_model *m = j->m;
    struct error err = {0};
    if (!m->has_fim) {
        call_failf(
            j->c, 501, "not_supported",
            "%s cannot fill in code: its vocabulary has no fill-in-the-middle tokens; use a code "
            "model such as qwen2.5-coder:1.5b",
            m->name);
        return false;
    }
    struct job_part *p = job_add_part(j);
    if (!p) {
        call_failf(j->c, 400, "limit_exceeded", "a request may have at most %d prompts",
                   JOB_MAX_PARTS);
        return false;
    }
    size_t needed = 0;
    enum status st = build(j, f, p, &needed, &err);
    if (st) {
        fail_build(j, st, &err, needed);
        return false;
    }
    if (!f->raw && !set_hole(j, f)) return false;
    j->q.stop = m->fim.stop;
    j->q.n_stop = m->fim.n_stop;
    j->q.cls = SCHED_COMPLETION;
    j->q.supersedes = j->c->named_client;
    return true;
}

/* ---- the answer ---------------------------------------------------------------------------------
 */

/* Gives what of text[0..keep) was not given yet. */
static enum status give(struct job *j, struct job_choice *ch, const char *text, size_t keep)
{
    size_t had = ch->text.len;
    return keep > had ? job_put_text(j, ch, text + had, keep - had) : OK;
}

enum status fill_take(struct job *j, struct job_choice *ch, const char *text, size_t len)
{
    const struct fill_hole *h = j->hole;
    if (ch->full) return OK;
    enum status st = ch->filled.len ? OK : buf_append(&ch->filled, h->blanks, h->n_blanks);
    if (!st) st = buf_append(&ch->filled, text, len);
    if (st) return st;
    struct trim_cut c = trim_scan(&h->hole, ch->filled.data, ch->filled.len);
    if (c.rule != TRIM_NONE) {
        ch->full = true;
        return fill_end(j, ch);
    }
    /* Lines that more text will not take back; the newest one may still have to go. */
    c = trim_finish(&h->hole, ch->filled.data, ch->filled.len, false);
    size_t keep = c.keep;
    while (keep > c.skip && ch->filled.data[keep - 1] != '\n') keep--;
    while (keep > c.skip && strchr(" \t\n", ch->filled.data[keep - 1])) keep--;
    return keep > c.skip ? give(j, ch, ch->filled.data + c.skip, keep - c.skip) : OK;
}

enum status fill_end(struct job *j, struct job_choice *ch)
{
    bool ended = ch->finish == FINISH_STOP && ch->stop_token != TOKEN_NONE;
    if (!ch->filled.len) return OK;
    const struct trim_hole *h = &j->hole->hole;
    struct trim_cut c = trim_finish(h, ch->filled.data, ch->filled.len, ended);
    struct parse p;
    parse_init(&p, j->hole->file, h->prefix, h->prefix_len, h->suffix, h->suffix_len);
    size_t keep = parse_longest(&p, ch->filled.data + c.skip, c.keep - c.skip);
    parse_fini(&p);
    enum status st = give(j, ch, ch->filled.data + c.skip, keep);
    ch->filled.len = 0; /* given once */
    return st;
}

bool fill_is_full(const struct job *j, const struct job_part *p)
{
    for (size_t i = 0; i < j->n; i++)
        if (!j->choices[p->first + i].full) return false;
    return true;
}
