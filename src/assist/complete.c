#include "assist/complete.h"
#include "assist/complete_int.h"
#include "assist/fit.h"
#include "assist/pick.h"
#include "assist/technique.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"

#define CONTEXT_SHARE 0.25

enum {
    MAX_TEXT = 1 << 20, /* bytes of a completion */
    SCAN_EVERY = 8,     /* tokens between looks at a line that has not ended */
    FAR_TOKENS = 48,    /* that the longer look may cost beyond the near one's end */
};

enum status completer_init(struct completer *c, const struct tokenizer *t, struct session *s,
                           const char *model_name, struct error *err)
{
    *c = (struct completer){.tokenizer = t, .session = s, .max_typed = COMPLETE_TYPED_TOKENS};
    return fim_detect(t, model_name, &c->fim, err);
}

void completer_fini(struct completer *c)
{
    for (size_t i = 0; i < 2; i++) anchor_fini(&c->anchors[i]);
}

const char *complete_reuse_name(enum complete_reuse r)
{
    static const char *const names[] = {[REUSE_NONE] = "none", [REUSE_ANCHOR] = "anchor"};
    return (size_t)r < sizeof names / sizeof *names ? names[r] : "none";
}

/* ---- line ends ---------------------------------------------------------------------------------
 */

/* The texts with \n only, and whether most lines of the file end with \r\n. Models know far more
 * code with \n. */
struct unix_text {
    const char *prefix, *suffix;
    size_t prefix_len, suffix_len;
    char *owned;
    bool crlf;
};

static size_t count_crlf(const char *s, size_t len, size_t *bare)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (s[i] != '\n') continue;
        if (i > 0 && s[i - 1] == '\r')
            n++;
        else
            ++*bare;
    }
    return n;
}

static size_t copy_without_cr(char *to, const char *from, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (from[i] == '\r' && i + 1 < len && from[i + 1] == '\n') continue;
        to[n++] = from[i];
    }
    return n;
}

static enum status unix_text_init(struct unix_text *u, const struct complete_request *req,
                                  struct error *err)
{
    *u =
        (struct unix_text){req->prefix, req->suffix, req->prefix_len, req->suffix_len, NULL, false};
    size_t bare = 0;
    size_t crlf = count_crlf(req->prefix, req->prefix_len, &bare) +
                  count_crlf(req->suffix, req->suffix_len, &bare);
    if (!crlf) return OK;
    u->crlf = crlf > bare;
    u->owned = malloc(req->prefix_len + req->suffix_len + 1);
    if (!u->owned) return error_set(err, ERR_NOMEM, "no memory for a copy of the file");
    u->prefix_len = copy_without_cr(u->owned, req->prefix, req->prefix_len);
    u->suffix_len = copy_without_cr(u->owned + u->prefix_len, req->suffix, req->suffix_len);
    u->prefix = u->owned;
    u->suffix = u->owned + u->prefix_len;
    return OK;
}

static const char *path_of(const struct complete_request *req)
{
    return req->path ? req->path : req->file_name;
}

static struct fim_input input_of(const struct completer *c, const struct complete_request *req,
                                 const struct unix_text *u)
{
    double share = req->context_share > 0 ? req->context_share : CONTEXT_SHARE;
    size_t n_ctx = session_n_ctx(c->session);
    size_t room = n_ctx > req->max_tokens ? n_ctx - req->max_tokens : 0;
    return (struct fim_input){.prefix = u->prefix,
                              .prefix_len = u->prefix_len,
                              .suffix = u->suffix,
                              .suffix_len = u->suffix_len,
                              .file_name = req->file_name,
                              .context = req->context,
                              .n_context = req->n_context,
                              .context_tokens = (size_t)((double)room * (share < 1 ? share : 1)),
                              .repository = req->repository};
}

/* ---- while the model generates -----------------------------------------------------------------
 */

struct stream {
    const struct completer *c;
    const struct complete_request *req;
    struct trim_hole hole;
    struct trim_hole look; /* the same for the longer look */
    bool patient;          /* the longer look is taken, for other cuts to choose from */
    size_t near_end;       /* n_tokens when the hole's own rules had ended the text; 0 = not yet */
    char blanks[FIT_MAX_INDENT]; /* that the answer has to begin with */
    size_t n_blanks;
    struct parse parse;
    int lines_more;        /* read past a rule's cut, because what it leaves does not parse */
    double started, first; /* clock_now() at the call and at the first text behind the cursor */
    struct buf text;
    size_t given;        /* bytes at its start that stand before the cursor */
    size_t n_tokens;     /* with text behind the cursor */
    size_t last_scan;    /* n_tokens at the last look */
    bool full;           /* max_tokens of text behind the cursor are there */
    bool end_token;      /* the model said that the hole is full */
    enum trim_rule rule; /* that ended it */
    enum status st;
};

/* Whether to read on although a rule has fired: what it leaves does not parse, and a few more lines
 * may. */
static bool read_on(struct stream *s, struct trim_cut c, bool line_ended)
{
    if (c.rule != TRIM_LINE_END && c.rule != TRIM_STATEMENT && c.rule != TRIM_DEDENT) return false;
    if (s->req->without & TECHNIQUE_SYNTAX) return false;
    const char *text = s->text.data + s->given + c.skip;
    size_t len = s->text.len - s->given - c.skip;
    if (s->lines_more == 0 && parse_errors(&s->parse, text, c.keep - c.skip) - 1 >= SIZE_MAX - 1)
        return false; /* none, or not known */
    if (s->lines_more && !line_ended) return true;
    if (s->lines_more > PARSE_MORE_LINES) return false;
    s->lines_more++;
    return parse_extend(&s->parse, text, len, c.keep - c.skip) == c.keep - c.skip;
}

/* Takes a look at the text so far: whether it has come to its end. */
static bool at_end(struct stream *s, bool line_ended)
{
    const char *text = s->text.data + s->given;
    size_t len = s->text.len - s->given;
    if (s->rule == TRIM_NONE) {
        struct trim_cut c = trim_scan(&s->hole, text, len);
        if (c.rule != TRIM_NONE && !read_on(s, c, line_ended)) {
            s->rule = c.rule;
            s->near_end = s->n_tokens;
        }
    }
    if (s->rule == TRIM_NONE) return false;
    if (!s->patient || s->n_tokens - s->near_end >= FAR_TOKENS) return true;
    return trim_scan(&s->look, text, len).rule != TRIM_NONE;
}

/* What there is of the answer, as it would be cut if it ended here. */
static void tell_text(const struct stream *s)
{
    const char *text = s->text.data + s->given;
    struct trim_cut c = trim_finish(&s->hole, text, s->text.len - s->given, false);
    if (c.keep > c.skip) s->req->on_text(s->req->ctx, text + c.skip, c.keep - c.skip);
}

static bool on_token(void *ctx, int32_t token)
{
    struct stream *s = ctx;
    const struct tokenizer *t = s->c->tokenizer;
    if (tokenizer_type(t, token) == TOKEN_CONTROL || tokenizer_is_end(t, token)) {
        s->end_token = true;
        return false;
    }
    size_t len = tokenizer_piece(t, token, false, NULL, 0);
    s->st = buf_reserve(&s->text, len);
    if (s->st) return false;
    char *piece = s->text.data + s->text.len;
    tokenizer_piece(t, token, false, piece, len);
    s->text.len += len;
    s->text.data[s->text.len] = 0;
    if (s->text.len <= s->given) return true;
    s->n_tokens++;
    if (s->first == 0) s->first = clock_now();
    bool over = false;
    if (memchr(piece, '\n', len) || s->n_tokens - s->last_scan >= SCAN_EVERY) {
        s->last_scan = s->n_tokens;
        over = at_end(s, memchr(piece, '\n', len));
    }
    if (s->req->on_text && s->rule == TRIM_NONE) tell_text(s);
    s->full = s->n_tokens == s->req->max_tokens;
    return !over && !s->full;
}

static void on_prefill(void *ctx)
{
    struct stream *s = ctx;
    if (s->req->on_prefill) s->req->on_prefill(s->req->ctx);
}

/* ---- the result --------------------------------------------------------------------------------
 */

static void set_finish(struct complete_result *res, enum finish_reason finish, bool end_token,
                       enum trim_rule rule)
{
    /* Text that a rule ended is whole, whatever happened after its end. */
    res->finish = rule != TRIM_NONE || finish == FINISH_CALLBACK ? FINISH_STOP : finish;
    if (rule != TRIM_NONE)
        res->stopped_by = trim_rule_name(rule);
    else if (end_token)
        res->stopped_by = "end_token";
    else
        res->stopped_by = finish_reason_name(res->finish);
}

static enum status set_text(struct complete_result *res, const char *text, size_t len, bool crlf,
                            struct error *err)
{
    size_t lines = 0;
    for (size_t i = 0; i < len; i++) lines += text[i] == '\n';
    res->text = malloc(len + (crlf ? lines : 0) + 1);
    if (!res->text) return error_set(err, ERR_NOMEM, "no memory for the completion");
    for (size_t i = 0; i < len; i++) {
        if (crlf && text[i] == '\n') res->text[res->len++] = '\r';
        res->text[res->len++] = text[i];
    }
    res->text[res->len] = 0;
    return OK;
}

static enum status generate(struct completer *c, const struct complete_request *req,
                            const struct complete_plan *plan, struct stream *s,
                            struct generate_result *gen, struct error *err)
{
    struct generate_request g = {
        .prompt = plan->tokens.ids,
        .n_prompt = plan->tokens.len,
        .max_tokens = req->max_tokens + plan->n_begin + s->n_blanks, /* on_token counts */
        .begin = s->n_blanks ? s->blanks : plan->begin,
        .n_begin = s->n_blanks ? s->n_blanks : plan->n_begin,
        .sample = req->sample,
        .speculate = {.mode = SPECULATE_AUTO}, /* code repeats what stands around it */
        .approximate = req->approximate,
        .stop = c->fim.stop,
        .n_stop = c->fim.n_stop,
        .cancel = req->cancel,
        .on_token = on_token,
        .on_prefill = on_prefill,
        .ctx = s,
    };
    if (req->deadline_ms > 0) {
        g.deadline_ms = req->deadline_ms - (clock_now() - s->started) * 1e3;
        if (g.deadline_ms == 0) g.deadline_ms = -1;
    }
    enum status st = session_generate(c->session, &g, gen, err);
    if (st == OK && s->st == ERR_NOMEM)
        st = error_set(err, ERR_NOMEM, "no memory for the completion");
    return st;
}

static void set_counts(struct complete_result *res, const struct complete_plan *plan,
                       const struct generate_result *gen, const struct stream *s)
{
    const struct anchor *a = plan->anchor;
    res->reuse = plan->reuse;
    res->prompt_tokens = gen->n_prompt;
    res->cached_tokens = gen->n_cached;
    res->shifted_tokens = gen->n_shifted;
    res->typed_tokens = plan->tokens.len - a->prompt.tokens.len;
    res->completion_tokens = s->n_tokens;
    res->truncated = a->prompt.truncated;
    res->prefix_lines_dropped = a->prompt.prefix_lines_dropped;
    res->suffix_lines_dropped = a->prompt.suffix_lines_dropped;
    res->prefix_tokens_dropped = a->prefix_tokens_dropped;
    res->suffix_tokens_dropped = a->suffix_tokens_dropped;
    res->prefill_ms = gen->prefill_ms;
    res->first_token_ms = s->first > 0 ? 1e3 * (s->first - s->started) : 0;
    res->decode_ms = gen->decode_ms;
}

/* Whether several answers may be compared. */
static bool may_choose(const struct completer *c, const struct complete_request *req,
                       const struct trim_hole *h)
{
    return req->effort == EFFORT_BEST && req->sample.temperature == 0 &&
           pick_may_choose(h, &c->fim, req->without);
}

/* What the answer is picked by. */
static struct choose_input pick_input(struct stream *s, const struct complete_plan *plan,
                                      const struct unix_text *u, const struct branch_base *base,
                                      const struct branch_limit *limit)
{
    size_t given = s->given < s->text.len ? s->given : s->text.len;
    return (struct choose_input){.tok = s->c->tokenizer,
                                 .fim = &s->c->fim,
                                 .base = base,
                                 .prompt = plan->tokens.ids,
                                 .n_prompt = plan->tokens.len,
                                 .prefix_at = plan->anchor->prompt.prefix_at,
                                 .n_asked = plan->anchor->prompt.tokens.len,
                                 .begin = plan->begin,
                                 .n_begin = plan->n_begin,
                                 .hole = &s->hole,
                                 .typed = u->prefix + plan->anchor->point,
                                 .n_typed = u->prefix_len - plan->anchor->point,
                                 .file_name = path_of(s->req),
                                 .whole = s->text.len > given ? s->text.data + given : "",
                                 .n_whole = s->text.len - given,
                                 .without = s->req->without,
                                 .limit = limit,
                                 .parse = &s->parse};
}

/* The generated text without the bytes that stand before the cursor, as it belongs in the hole. */
static enum status finish(struct stream *s, const struct complete_plan *plan,
                          const struct unix_text *u, const struct generate_result *gen,
                          struct complete_result *res, struct error *err)
{
    double until = s->req->deadline_ms > 0 ? s->started + 1e-3 * s->req->deadline_ms : 0;
    struct branch_limit limit = {s->req->cancel, until};
    struct branch_base base;
    session_branch_base(s->c->session, &base);
    struct choose_input in = pick_input(s, plan, u, &base, &limit);
    in.ended = s->end_token || gen->finish == FINISH_STOP;
    bool at_once = in.ended && !s->near_end;
    bool in_time = gen->finish != FINISH_DEADLINE && gen->finish != FINISH_CANCELLED;
    struct pick pick;
    enum status st = pick_answer(&in, at_once, s->lines_more > 0,
                                 in_time && may_choose(s->c, s->req, &s->hole), &pick, err);
    if (st) return st;
    set_finish(res, s->full ? FINISH_LENGTH : gen->finish, at_once,
               pick.rule != TRIM_NONE ? pick.rule : s->rule);
    res->n_candidates = pick.chosen.n;
    if (pick.chosen_other) {
        res->stopped_by = "chosen";
        res->finish = FINISH_STOP;
    }
    return set_text(res, pick.text, pick.len, u->crlf, err);
}

enum status complete_run(struct completer *c, const struct complete_request *req,
                         struct complete_result *res, struct error *err)
{
    *res = (struct complete_result){0};
    struct unix_text u;
    struct complete_plan plan = {0};
    struct generate_result gen = {0};
    struct stream s = {.c = c, .req = req, .started = clock_now()};
    buf_init(&s.text, MAX_TEXT);
    enum status st = unix_text_init(&u, req, err);
    if (st) goto out;
    trim_hole_init(&s.hole, u.prefix, u.prefix_len, u.suffix, u.suffix_len, req->mode);
    trim_look_far(&s.hole, &s.look);
    s.patient = may_choose(c, req, &s.hole) && !(req->without & TECHNIQUE_FAR);
    parse_init(&s.parse, req->mode != TRIM_RAW ? path_of(req) : NULL, u.prefix, u.prefix_len,
               u.suffix, u.suffix_len);
    struct fim_input in = input_of(c, req, &u);
    c->whole_line = req->without & TECHNIQUE_HEAL;
    st = complete_plan_make(c, &in, req->max_tokens, &plan, err);
    if (st) goto out;
    s.given = plan.n_begin;
    if (req->mode != TRIM_RAW && plan.n_begin == 0 && !(req->without & TECHNIQUE_BLANKS))
        s.n_blanks = fit_indent(&s.hole, fit_by_indent(&s.hole, path_of(req)), s.blanks);
    res->prepare_ms = (clock_now() - s.started) * 1e3;
    st = generate(c, req, &plan, &s, &gen, err);
    if (!st) st = finish(&s, &plan, &u, &gen, res, err);
    if (!st) st = anchor_count_dropped(plan.anchor, &c->fim, c->tokenizer, &in, err);
    if (!st) set_counts(res, &plan, &gen, &s);
out:
    if (st) complete_result_fini(res);
    complete_plan_fini(&plan);
    parse_fini(&s.parse);
    buf_fini(&s.text);
    free(u.owned);
    return st;
}

enum status complete_prepare(struct completer *c, const struct complete_request *req,
                             struct complete_ahead *res, struct error *err)
{
    double started = clock_now();
    *res = (struct complete_ahead){0};
    struct unix_text u;
    struct anchor *a;
    enum status st = unix_text_init(&u, req, err);
    if (st) return st;
    struct fim_input in = input_of(c, req, &u);
    st = complete_plan_ahead(c, &in, req->max_tokens, &a, err);
    if (!st) {
        res->prompt_tokens = a->prompt.tokens.len;
        st = session_prepare(c->session, a->prompt.tokens.ids, a->prompt.tokens.len,
                             req->deadline_ms, req->cancel, &res->ready_tokens, err);
    }
    res->ready = res->ready_tokens == res->prompt_tokens;
    res->ms = (clock_now() - started) * 1e3;
    free(u.owned);
    return st;
}

void complete_result_fini(struct complete_result *res)
{
    free(res->text);
    *res = (struct complete_result){0};
}
