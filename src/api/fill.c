#include "api/fill.h"

#include <stdlib.h>
#include <string.h>

#include "assist/anchor.h"
#include "assist/fit.h"
#include "assist/parse.h"
#include "assist/pick.h"
#include "assist/trim.h"
#include "base/clock.h"

/* Bytes that the longer look may read on behind a hole's usual end; and how long others may wait
 * for answers to be compared. */
enum { FAR_BYTES = 160 };
#define CHOOSE_SECONDS 3.0

/* What a hole's answers are cut by. */
struct fill_hole {
    struct trim_hole hole, look;
    bool compares;               /* answers; nothing is given before the end then */
    size_t prefix_at, n_asked;   /* tokens of the prompt: choose.h */
    size_t point;                /* bytes of the text before what is typed behind the prompt */
    size_t n_begin;              /* of what is typed, those that are left to the model */
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

void fill_read(struct fill *f, struct reader *rd)
{
    bool trim = true;
    const char *effort = "best";
    read_bool(rd, "trim", &trim);
    read_string(rd, "effort", &effort, NULL);
    f->raw = !trim;
    f->fast = strcmp(effort, "fast") == 0;
    if (!f->fast && strcmp(effort, "best") != 0)
        read_fail(rd, "'effort' is neither \"best\" nor \"fast\"");
}

static struct fill_hole *make_hole(const struct fill *f)
{
    struct fill_hole *h = malloc(sizeof *h + f->prefix_len + f->suffix_len + 1);
    if (!h) return NULL;
    char *suffix = h->text + f->prefix_len;
    h->file = f->file ? strdup(f->file) : NULL; /* without it, nothing is parsed */
    if (f->prefix_len) memcpy(h->text, f->prefix, f->prefix_len);
    if (f->suffix_len) memcpy(suffix, f->suffix, f->suffix_len);
    trim_hole_init(&h->hole, h->text, f->prefix_len, suffix, f->suffix_len, TRIM_AUTO);
    trim_look_far(&h->hole, &h->look);
    h->n_blanks = fit_indent(&h->hole, fit_by_indent(&h->hole, f->file), h->blanks);
    return h;
}

/* The prompt as hearth complete makes it: the cursor's line goes behind the middle token, its last
 * token is left to the model. */
static enum status build(struct job *j, const struct fill *f, struct job_part *p,
                         struct fill_hole *where, size_t *needed, struct error *err)
{
    const struct loaded_model *m = j->m;
    /* Room for at least one token; an explicit number of tokens has its room. */
    size_t answer = j->explicit_max && j->q.max_tokens < j->n_ctx / 2 ? j->q.max_tokens : 1;
    size_t point = f->raw ? f->prefix_len : anchor_point(f->prefix, f->prefix_len);
    struct fim_input in = {.prefix = f->prefix,
                           .prefix_len = point,
                           .suffix = f->suffix,
                           .suffix_len = f->suffix_len,
                           .file_name = f->n_files || f->repo ? f->file : NULL,
                           .max_tokens = j->n_ctx - (answer ? answer : 1)};
    enum status st = fim_build_files(&m->fim, m->tok, f->repo, f->files, f->n_files, &in,
                                     &p->prompt, &where->prefix_at, needed, err);
    if (st == ERR_LIMIT && f->n_found) {
        *err = (struct error){0};
        p->prompt.len = 0;
        in.file_name = f->n_files > f->n_found || f->own_repo ? f->own_file : NULL;
        st = fim_build_files(&m->fim, m->tok, f->own_repo, f->files + f->n_found, f->n_files - f->n_found, &in,
                             &p->prompt, &where->prefix_at, needed, err);
    }
    where->n_asked = p->prompt.len;
    where->point = point;
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

/* Only a greedy answer, and one that nothing else is asked of. */
static bool compares(const struct job *j, const struct fill *f, const struct fill_hole *h)
{
    return !f->fast && j->n == 1 && j->n_parts == 1 && j->q.sample.temperature == 0 &&
           !j->q.logprobs && !j->grammar && !j->n_stops && !j->bias &&
           pick_may_choose(&h->hole, &j->m->fim, 0);
}

/* The hole's text outlives the request's, which goes when this returns. */
static bool set_hole(struct job *j, const struct fill *f, const struct fill_hole *where)
{
    struct fill_hole *h = j->hole = make_hole(f);
    if (!h) {
        call_failf(j->c, 503, "out_of_memory", "no memory for the request");
        return false;
    }
    h->prefix_at = where->prefix_at;
    h->n_asked = where->n_asked;
    h->point = where->point;
    h->n_begin = j->q.n_begin;
    h->compares = compares(j, f, h);
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
    struct fill_hole where = {0};
    enum status st = build(j, f, p, &where, &needed, &err);
    if (st) {
        fail_build(j, st, &err, needed);
        return false;
    }
    if (!f->raw && !set_hole(j, f, &where)) return false;
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

/* Whether a rule has ended the text, or where answers are compared the longer look. */
static bool at_end(const struct fill_hole *h, struct job_choice *ch)
{
    if (!ch->near_end) {
        if (trim_scan(&h->hole, ch->filled.data, ch->filled.len).rule == TRIM_NONE) return false;
        ch->near_end = ch->filled.len;
    }
    if (!h->compares || ch->filled.len - ch->near_end >= FAR_BYTES) return true;
    return trim_scan(&h->look, ch->filled.data, ch->filled.len).rule != TRIM_NONE;
}

enum status fill_take(struct job *j, struct job_choice *ch, const char *text, size_t len)
{
    const struct fill_hole *h = j->hole;
    if (ch->full) return OK;
    enum status st = ch->filled.len ? OK : buf_append(&ch->filled, h->blanks, h->n_blanks);
    if (!st) st = buf_append(&ch->filled, text, len);
    if (st) return st;
    if (at_end(h, ch)) {
        ch->full = true;
        return h->compares ? OK : fill_end(j, ch);
    }
    if (h->compares) return OK;
    /* Lines that more text will not take back; the newest one may still have to go. */
    struct trim_cut c = trim_finish(&h->hole, ch->filled.data, ch->filled.len, false);
    size_t keep = c.keep;
    while (keep > c.skip && ch->filled.data[keep - 1] != '\n') keep--;
    while (keep > c.skip && strchr(" \t\n", ch->filled.data[keep - 1])) keep--;
    return keep > c.skip ? give(j, ch, ch->filled.data + c.skip, keep - c.skip) : OK;
}

/* Gives what belongs in the hole; with `base` after a look at other answers. */
static enum status end_with(struct job *j, struct job_choice *ch, bool ended,
                            const struct branch_base *base, struct error *err)
{
    const struct fill_hole *h = j->hole;
    const struct trim_hole *hole = &h->hole;
    const struct token_list *prompt = &j->parts[0].prompt;
    struct branch_limit limit = {.until = clock_now() + CHOOSE_SECONDS};
    struct parse p;
    parse_init(&p, h->file, hole->prefix, hole->prefix_len, hole->suffix, hole->suffix_len);
    struct choose_input in = {.tok = j->m->tok,
                              .fim = &j->m->fim,
                              .base = base,
                              .prompt = prompt->ids,
                              .n_prompt = prompt->len,
                              .prefix_at = h->prefix_at,
                              .n_asked = h->n_asked,
                              .begin = h->text + hole->prefix_len - h->n_begin,
                              .n_begin = h->n_begin,
                              .hole = hole,
                              .typed = h->text + h->point,
                              .n_typed = hole->prefix_len - h->point,
                              .file_name = h->file,
                              .whole = ch->filled.data,
                              .n_whole = ch->filled.len,
                              .ended = ended,
                              .limit = &limit,
                              .parse = &p};
    struct pick pick;
    enum status st = pick_answer(&in, ended && !ch->near_end, false, base != NULL, &pick, err);
    parse_fini(&p);
    if (!st) st = give(j, ch, pick.text, pick.len);
    ch->filled.len = 0; /* given once */
    return st;
}

bool fill_compares(const struct job *j)
{
    return j->hole && j->hole->compares;
}

enum status fill_choose(struct job *j, struct job_choice *ch, bool ended,
                        const struct branch_base *base, struct error *err)
{
    return ch->filled.len ? end_with(j, ch, ended, base, err) : OK;
}

enum status fill_end(struct job *j, struct job_choice *ch)
{
    struct error err = {0};
    if (!ch->filled.len) return OK;
    return end_with(j, ch, ch->finish == FINISH_STOP && ch->stop_token != TOKEN_NONE, NULL, &err);
}

bool fill_is_full(const struct job *j, const struct job_part *p)
{
    for (size_t i = 0; i < j->n; i++)
        if (!j->choices[p->first + i].full) return false;
    return true;
}
