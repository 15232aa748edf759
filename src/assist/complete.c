#include "assist/complete.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"

enum {
    MAX_TEXT = 1 << 20, /* bytes of a completion */
    SCAN_EVERY = 8,     /* tokens between looks at a line that has not ended */
};

enum status completer_init(struct completer *c, const struct tokenizer *t, struct session *s,
                           const char *model_name, struct error *err)
{
    *c = (struct completer){.tokenizer = t, .session = s};
    return fim_detect(t, model_name, &c->fim, err);
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

/* ---- while the model generates -----------------------------------------------------------------
 */

struct stream {
    const struct completer *c;
    const struct complete_request *req;
    struct trim_hole hole;
    struct buf text;
    size_t n_tokens;
    size_t last_scan;    /* n_tokens at the last look */
    bool end_token;      /* the model said that the hole is full */
    enum trim_rule rule; /* that ended it */
    enum status st;
};

static bool on_token(void *ctx, int32_t token)
{
    struct stream *s = ctx;
    const struct tokenizer *t = s->c->tokenizer;
    s->n_tokens++;
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
    if (!memchr(piece, '\n', len) && s->n_tokens - s->last_scan < SCAN_EVERY) return true;
    s->last_scan = s->n_tokens;
    s->rule = trim_scan(&s->hole, s->text.data, s->text.len).rule;
    return s->rule == TRIM_NONE;
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

static enum status build_prompt(struct completer *c, const struct complete_request *req,
                                struct fim_input *in, struct fim_prompt *prompt, struct error *err)
{
    size_t n_ctx = session_n_ctx(c->session);
    if (req->max_tokens == 0 || req->max_tokens >= n_ctx)
        return error_set(err, req->max_tokens ? ERR_LIMIT : ERR_INVALID,
                         "%zu tokens to generate do not fit in a context of %zu tokens beside the "
                         "prompt",
                         req->max_tokens, n_ctx);
    in->max_tokens = n_ctx - req->max_tokens;
    return fim_build(&c->fim, c->tokenizer, in, prompt, err);
}

static enum status generate(struct completer *c, const struct complete_request *req,
                            const struct fim_prompt *prompt, double started, struct stream *s,
                            struct generate_result *gen, struct error *err)
{
    struct generate_request g = {
        .prompt = prompt->tokens.ids,
        .n_prompt = prompt->tokens.len,
        .max_tokens = req->max_tokens,
        .sample = req->sample,
        .stop = c->fim.stop,
        .n_stop = c->fim.n_stop,
        .cancel = req->cancel,
        .on_token = on_token,
        .on_prefill = on_prefill,
        .ctx = s,
    };
    if (req->deadline_ms > 0) {
        g.deadline_ms = req->deadline_ms - (clock_now() - started) * 1e3;
        if (g.deadline_ms == 0) g.deadline_ms = -1;
    }
    enum status st = session_generate(c->session, &g, gen, err);
    if (st == OK && s->st == ERR_NOMEM)
        st = error_set(err, ERR_NOMEM, "no memory for the completion");
    return st;
}

enum status complete_run(struct completer *c, const struct complete_request *req,
                         struct complete_result *res, struct error *err)
{
    double started = clock_now();
    *res = (struct complete_result){0};
    struct unix_text u;
    struct fim_prompt prompt = {0};
    struct generate_result gen = {0};
    struct stream s = {.c = c, .req = req};
    buf_init(&s.text, MAX_TEXT);
    enum status st = unix_text_init(&u, req, err);
    if (st) goto out;
    trim_hole_init(&s.hole, u.prefix, u.prefix_len, u.suffix, u.suffix_len, req->mode);
    struct fim_input in = {u.prefix, u.prefix_len, u.suffix, u.suffix_len, req->file_name, 0};
    st = build_prompt(c, req, &in, &prompt, err);
    if (st) goto out;
    res->prepare_ms = (clock_now() - started) * 1e3;
    st = generate(c, req, &prompt, started, &s, &gen, err);
    if (st) goto out;

    s.end_token = s.end_token || gen.finish == FINISH_STOP;
    const char *text = s.text.data ? s.text.data : "";
    struct trim_cut end = trim_finish(&s.hole, text, s.text.len, s.end_token);
    set_finish(res, gen.finish, s.end_token, end.rule != TRIM_NONE ? end.rule : s.rule);
    st = set_text(res, text + end.skip, end.keep - end.skip, u.crlf, err);
    if (st) goto out;
    res->prompt_tokens = gen.n_prompt;
    res->cached_tokens = gen.n_cached;
    res->completion_tokens = s.n_tokens;
    res->truncated = prompt.truncated;
    res->prefix_lines_dropped = prompt.prefix_lines_dropped;
    res->suffix_lines_dropped = prompt.suffix_lines_dropped;
    res->prefill_ms = gen.prefill_ms;
    res->first_token_ms = res->prepare_ms + gen.first_token_ms;
    res->decode_ms = gen.decode_ms;
    if (prompt.truncated)
        st = fim_count_dropped(&c->fim, c->tokenizer, &in, &prompt, &res->prefix_tokens_dropped,
                               &res->suffix_tokens_dropped, err);
out:
    if (st) complete_result_fini(res);
    fim_prompt_fini(&prompt);
    buf_fini(&s.text);
    free(u.owned);
    return st;
}

void complete_result_fini(struct complete_result *res)
{
    free(res->text);
    *res = (struct complete_result){0};
}
