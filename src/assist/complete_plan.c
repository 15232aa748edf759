#include <string.h>

#include "assist/complete_int.h"

enum {
    /* Tokens that a prompt may cost beyond what was typed without a look for a cheaper one: a
     * session drops the last few when it generates. */
    CHEAP = 16,
};

/* The anchor's prompt with `typed` bytes of text behind it. */
static enum status follow(const struct completer *c, struct anchor *a, const struct fim_input *in,
                          size_t typed, struct complete_plan *p, struct error *err)
{
    const struct token_list *prompt = &a->prompt.tokens;
    p->anchor = a;
    p->tokens.len = 0;
    p->n_begin = 0;
    for (size_t i = 0; i < prompt->len; i++)
        if (token_list_push(&p->tokens, prompt->ids[i]))
            return error_set(err, ERR_NOMEM, "out of memory for a prompt");
    return anchor_follow(&c->fim, c->tokenizer, in->prefix + in->prefix_len - typed, typed,
                         &p->tokens, &p->begin, &p->n_begin, err);
}

/* A room of its own for the text that is typed next, so that an anchor of a file that does not fit
 * can be used again. */
static size_t room_to_type(const struct completer *c, size_t budget)
{
    return c->max_typed < budget / 8 ? c->max_typed : budget / 8;
}

static size_t missing(const struct completer *c, const struct token_list *tokens)
{
    return tokens->len - session_cached(c->session, tokens->ids, tokens->len);
}

/* Takes the place of the newest anchor where the session does not hold that, else of the oldest. */
static struct anchor *remember(struct completer *c, const struct anchor *a)
{
    struct anchor *newest = &c->anchors[0], *older = &c->anchors[1];
    if (newest->text && missing(c, &newest->prompt.tokens) <= CHEAP) {
        anchor_fini(older);
        *older = *newest;
    } else {
        anchor_fini(newest);
    }
    *newest = *a;
    return newest;
}

/* The anchor that ends at `point` and the prompt behind it. */
static enum status anchor_at(const struct completer *c, const struct fim_input *in, size_t point,
                             size_t budget, struct anchor *a, struct complete_plan *p,
                             struct error *err)
{
    struct fim_input at = *in;
    at.prefix_len = point;
    at.max_tokens = budget - room_to_type(c, budget);
    enum status st = anchor_init(a, &c->fim, c->tokenizer, &at, err);
    if (st) return st;
    st = follow(c, a, in, in->prefix_len - point, p, err);
    if (st) anchor_fini(a);
    return st;
}

static enum status plan_fresh(struct completer *c, const struct fim_input *in, size_t budget,
                              struct complete_plan *p, struct error *err)
{
    struct anchor fresh;
    size_t point = c->whole_line ? in->prefix_len : anchor_point(in->prefix, in->prefix_len);
    enum status st = anchor_at(c, in, point, budget, &fresh, p, err);
    if (st == OK && p->tokens.len > budget) {
        anchor_fini(&fresh);
        st = anchor_at(c, in, in->prefix_len, budget, &fresh, p, err);
    }
    if (st) return st;
    p->anchor = remember(c, &fresh);
    p->reuse = REUSE_NONE;
    return OK;
}

/* Whether an earlier anchor will do without a look at a fresh one. */
static enum status plan_again(struct completer *c, const struct fim_input *in, size_t budget,
                              struct complete_plan *p, bool *found, struct error *err)
{
    *found = false;
    for (size_t i = 0; i < 2 && !*found; i++) {
        struct anchor *a = &c->anchors[i];
        size_t typed;
        if (!anchor_fits(a, in, &typed)) continue;
        enum status st = follow(c, a, in, typed, p, err);
        if (st) return st;
        size_t n = p->tokens.len - a->prompt.tokens.len;
        p->reuse = REUSE_ANCHOR;
        *found =
            n <= c->max_typed && p->tokens.len <= budget && missing(c, &p->tokens) <= n + CHEAP;
    }
    return OK;
}

/* Tokens that a prompt may have. */
static enum status find_budget(const struct completer *c, size_t max_tokens, size_t *budget,
                               struct error *err)
{
    size_t n_ctx = session_n_ctx(c->session);
    if (max_tokens == 0 || max_tokens >= n_ctx)
        return error_set(err, max_tokens ? ERR_LIMIT : ERR_INVALID,
                         "%zu tokens to generate do not fit in a context of %zu tokens beside the "
                         "prompt",
                         max_tokens, n_ctx);
    *budget = n_ctx - max_tokens;
    return OK;
}

enum status complete_plan_make(struct completer *c, const struct fim_input *in, size_t max_tokens,
                               struct complete_plan *out, struct error *err)
{
    size_t budget = 0;
    enum status st = find_budget(c, max_tokens, &budget, err);
    bool found = false;
    if (st == OK) st = plan_again(c, in, budget, out, &found, err);
    if (st == OK && !found) st = plan_fresh(c, in, budget, out, err);
    return st;
}

enum status complete_plan_ahead(struct completer *c, const struct fim_input *in, size_t max_tokens,
                                struct anchor **out, struct error *err)
{
    size_t budget = 0, typed;
    enum status st = find_budget(c, max_tokens, &budget, err);
    if (st) return st;
    size_t point = anchor_point(in->prefix, in->prefix_len);
    for (size_t i = 0; i < 2; i++) {
        *out = &c->anchors[i];
        if (anchor_fits(*out, in, &typed) && (*out)->point == point) return OK;
    }
    struct complete_plan p = {0};
    st = plan_fresh(c, in, budget, &p, err);
    *out = p.anchor;
    complete_plan_fini(&p);
    return st;
}

void complete_plan_fini(struct complete_plan *p)
{
    token_list_fini(&p->tokens);
    *p = (struct complete_plan){0};
}
