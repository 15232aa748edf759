/* What a step computes: a row of every text that is being written, drafts where nothing else waits,
 * and pieces of prompts for the time that is left. */
#include <stdlib.h>

#include "base/clock.h"
#include "infer/scheduler_int.h"

enum {
    QUANTUM = 1024,     /* rows that a client takes before it is the next one's turn */
    DEBT = 4 * QUANTUM, /* of which a client is not reminded any more */
    PATIENCE = 3,       /* steps that a row may be left out for lack of time */
    CROWD = 6,          /* waiting prompts for which a step may be longest */
    HOLD = 5,           /* ageing times after which nothing overtakes a request for pages */
};
/* A step in which nobody's text grows may take so much longer, and so may one for which CROWD
 * prompts wait. */
#define LONG_FACTOR  2.5
#define FIRST_ROW_MS 2.0 /* before any was measured */

/* ---- time ------------------------------------------------------------------------------------ */

/* Of a step with so many rows that write. */
static double write_ms(const struct scheduler *s, size_t rows)
{
    if (rows == 0 || s->times.n == 0) return 0;
    if (rows <= PASS_ROWS) return pass_times_get(&s->times, rows);
    return pass_times_get(&s->times, PASS_ROWS) * (double)rows / PASS_ROWS;
}

/* ---- texts that are being written ------------------------------------------------------------ */

static void find_ready(struct scheduler *s)
{
    s->n_ready = 0;
    const struct client *c = s->clients;
    do {
        for (struct request *r = c->first; r; r = r->client_next)
            for (size_t i = 0; r->lanes && i < r->n_lanes; i++) {
                struct lane *l = &r->lanes[i];
                if (!l->done && l->seq && lane_pending(l) == 1) s->ready[s->n_ready++] = l;
            }
        c = c->next;
    } while (c != s->clients);
}

static int rank_of(const struct lane *l)
{
    return l->skipped >= PATIENCE ? 0 : (int)l->req->r.cls;
}

static int compare_ready(const void *a, const void *b)
{
    const struct lane *x = *(struct lane *const *)a, *y = *(struct lane *const *)b;
    if (rank_of(x) != rank_of(y)) return rank_of(x) < rank_of(y) ? -1 : 1;
    if (x->skipped != y->skipped) return x->skipped > y->skipped ? -1 : 1;
    return x->admitted < y->admitted ? -1 : x->admitted > y->admitted;
}

static void charge(const struct request *r, size_t rows)
{
    long long *d = &r->client->deficit[r->r.cls];
    *d -= (long long)rows;
    if (*d < -DEBT) *d = -DEBT;
}

/* A lane and the rows that it takes. */
static void plan_add(struct scheduler *s, struct lane *l, size_t n)
{
    if (l->take == 0) s->plan[s->n_plan++] = l;
    l->take += n;
    s->plan_rows += n;
    charge(l->req, n);
}

static void plan_ready(struct scheduler *s)
{
    find_ready(s);
    qsort(s->ready, s->n_ready, sizeof *s->ready, compare_ready);
    size_t most = s->opt.max_rows < s->max_logits ? s->opt.max_rows : s->max_logits;
    for (size_t i = 0; i < s->n_ready; i++) {
        struct lane *l = s->ready[i];
        if (!l->seq) continue; /* its pages have just been taken */
        bool best = rank_of(l) == rank_of(s->ready[0]);
        bool late = !best && write_ms(s, s->plan_rows + 1) > s->opt.step_ms;
        if (s->plan_rows == most || late) {
            l->skipped++;
        } else if (lane_plan_pages(s, l, 1)) {
            l->skipped = 0;
            plan_add(s, l, 1);
        } else {
            lane_preempt(s, l);
        }
    }
}

/* ---- drafts ---------------------------------------------------------------------------------- */

static void start_drafter(struct lane *l)
{
    struct request *r = l->req;
    l->drafts = true;
    struct speculate_options opt = {.mode = SPECULATE_AUTO,
                                    .corpus = r->r.corpus,
                                    .n_corpus = r->r.n_corpus,
                                    .predicts = r->r.predicts};
    struct draft_source src = {
        .prompt = r->r.prompt, .n_prompt = r->r.n_prompt, .n_text = r->max_text, .opt = &opt};
    if (draft_ngram.create(&src, &l->drafter, NULL) != OK) {
        l->drafter = NULL;
        return;
    }
    for (size_t i = r->r.n_prompt; i < l->n_text; i++) draft_ngram.accept(l->drafter, l->text[i]);
}

static void plan_draft(struct scheduler *s, struct lane *l, struct draft_step *step)
{
    size_t left = l->req->max_new - l->result.n_generated;
    size_t most = s->opt.max_rows < s->max_logits ? s->opt.max_rows : s->max_logits;
    size_t max = DRAFT_MAX < left - 1 ? DRAFT_MAX : left - 1;
    double rate;
    if (max > most - s->plan_rows) max = most - s->plan_rows;
    if (max == 0 || draft_ngram.propose(l->drafter, max, 0.01, NULL, &l->draft, NULL) != OK) {
        l->draft.n = 0;
        return;
    }
    l->draft.n = draft_best_length(&s->times, &l->draft, max, *step, &rate);
    size_t n = l->draft.n;
    l->draft.n = 0;
    if (n == 0 || !lane_plan_pages(s, l, n)) return;
    l->draft.n = n;
    s->plan_rows += n;
    step->rows += n;
    double all = 1;
    for (size_t k = 0; k < n; k++) step->tokens += all *= (double)l->draft.p[k];
}

/* Only where no prompt is being read: its rows would take a draft's place at little cost. */
static void plan_drafts(struct scheduler *s)
{
    struct draft_step step = {s->plan_rows, (double)s->plan_rows};
    for (size_t i = 0; i < s->n_plan; i++) {
        struct lane *l = s->plan[i];
        if (!l->req->r.speculate || l->take == 0) continue;
        if (!l->drafts) start_drafter(l);
        if (l->drafter && step.rows > 0 && step.rows < PASS_ROWS) plan_draft(s, l, &step);
    }
}

/* ---- prompts --------------------------------------------------------------------------------- */

/* What a request has to read; a request that never began counts as its first lane. */
static bool request_reads(const struct scheduler *s, const struct request *r)
{
    if (r->blocked == s->step || r->status != OK) return false;
    if (!r->lanes) return true;
    for (size_t i = 0; i < r->n_lanes; i++)
        if (lane_reads(&r->lanes[i]) && lane_pending(&r->lanes[i]) > r->lanes[i].take) return true;
    return false;
}

static struct lane *lane_to_read(struct request *r)
{
    for (size_t i = 0; i < r->n_lanes; i++)
        if (lane_reads(&r->lanes[i]) && lane_pending(&r->lanes[i]) > r->lanes[i].take)
            return &r->lanes[i];
    return NULL;
}

/* The class that has a part of this step for itself, since it got nothing for long; -1: none. */
static int aged_class(struct scheduler *s)
{
    double now = clock_now();
    int aged = -1;
    bool waits[SCHED_CLASSES] = {false};
    const struct client *c = s->clients;
    do {
        for (const struct request *r = c->first; r; r = r->client_next)
            if (request_reads(s, r)) waits[r->r.cls] = true;
        c = c->next;
    } while (c != s->clients);
    for (int k = 0; k < SCHED_CLASSES; k++) {
        if (!waits[k] || s->last_prompt[k] == 0) s->last_prompt[k] = now;
        if (k > 0 && now - s->last_prompt[k] > 1e-3 * s->opt.ageing_ms) aged = k;
    }
    return aged;
}

/* How many of its next n rows give logits. */
static size_t logit_rows(const struct lane *l, size_t n)
{
    if (l->req->prompt_tokens && l->n_text == l->req->r.n_prompt) return n;
    return l->take + n == lane_pending(l) && l->req->max_new > 0;
}

static size_t give_rows(struct scheduler *s, struct lane *l, size_t max);

/* Whether the lane has to wait for another one that computes the page that it needs next. That one
 * is then read in its place, whatever its class. */
static bool waits_for_other(struct scheduler *s, struct lane *l, size_t max, size_t *given)
{
    *given = 0;
    if (l->take > 0 || !s->cache) return false;
    struct lane *o = lane_same_page(s, l);
    if (!o) return false;
    if (o->take == 0 && o->req->r.cls > l->req->r.cls && o->req->blocked != s->step)
        *given = give_rows(s, o, max);
    return true;
}

/* A long prompt would wait for ever where short ones take each page that comes free. */
static bool begin_lane(struct scheduler *s, struct lane *l)
{
    struct request *r = l->req;
    struct error err;
    enum status st = OK;
    bool later = s->held && s->held != r && r->r.cls >= s->held->r.cls;
    if (!later && lane_admit(s, l, &st, &err)) {
        if (s->held == r) s->held = NULL;
        return true;
    }
    r->blocked = s->step;
    if (st != OK) request_fail(s, r, st, &err);
    double waited = 1e3 * (clock_now() - r->submitted);
    if (!later && st == OK && !s->held && waited > HOLD * s->opt.ageing_ms) s->held = r;
    return false;
}

/* Rows of the lane's text, at most `max`; 0: it can have none in this step. */
static size_t give_rows(struct scheduler *s, struct lane *l, size_t max)
{
    struct request *r = l->req;
    size_t given;
    if (l->take == 0 && l->seq) {
        size_t found = lane_adopt(s, l);
        if (l->n_text == r->r.n_prompt && r->n_preempted == 0) r->n_cached += found;
    }
    if (waits_for_other(s, l, max, &given)) {
        r->blocked = s->step;
        return given;
    }
    if (!l->seq && !begin_lane(s, l)) return 0;
    size_t n = lane_pending(l) - l->take;
    if (n > max) n = max;
    size_t room = s->max_logits - s->plan_logits, logits = logit_rows(l, n);
    if (logits > room) n = r->prompt_tokens ? room : n - 1;
    if (n == 0 || s->n_plan == s->opt.max_rows || !lane_plan_pages(s, l, n)) {
        r->blocked = s->step;
        return 0;
    }
    s->plan_logits += logit_rows(l, n);
    plan_add(s, l, n);
    s->last_prompt[r->r.cls] = clock_now();
    return n;
}

static size_t read_request(struct scheduler *s, struct request *r, size_t max)
{
    struct error err;
    if (!r->lanes) {
        enum status st = request_begin(s, r, &err);
        if (st != OK) {
            r->blocked = s->step;
            request_fail(s, r, st, &err);
            return 0;
        }
    }
    struct lane *l = lane_to_read(r);
    return l ? give_rows(s, l, max) : 0;
}

/* The oldest request of the class that has something to read, from r on. */
static struct request *next_request(const struct scheduler *s, struct request *r, int cls)
{
    while (r && !((int)r->r.cls == cls && request_reads(s, r))) r = r->client_next;
    return r;
}

/* Deficit round robin among the clients that have something to read; a turn may span steps. */
static void read_class(struct scheduler *s, int cls, size_t end)
{
    size_t idle = 0, n_clients = 1;
    for (const struct client *c = s->clients->next; c != s->clients; c = c->next) n_clients++;
    struct client *c = s->turn[cls];
    bool goes_on = c != NULL;
    if (!c) c = s->clients;
    while (s->plan_rows < end && idle < n_clients) {
        struct request *r = next_request(s, c->first, cls);
        if (r && !goes_on) c->deficit[cls] += QUANTUM;
        if (!r && c->deficit[cls] > 0) c->deficit[cls] = 0;
        idle = r ? 0 : idle + 1;
        while (r && c->deficit[cls] > 0 && s->plan_rows < end) {
            read_request(s, r, end - s->plan_rows);
            r = next_request(s, r, cls); /* those before have all that this step gives them */
        }
        goes_on = r && c->deficit[cls] > 0;
        if (goes_on) break;
        c = c->next;
    }
    s->turn[cls] = goes_on ? c : NULL;
    if (!goes_on) s->clients = c; /* the ring turns on */
}

/* What a step with so many rows that write may take. Larger pieces of prompts are read faster, so
 * that where many wait all of them begin sooner than the others' texts are delayed. */
static double step_time(const struct scheduler *s, size_t rows)
{
    if (rows == 0) return s->opt.step_ms * LONG_FACTOR;
    size_t waiting = 0;
    const struct client *c = s->clients;
    do {
        for (const struct request *r = c->first; r && waiting <= CROWD; r = r->client_next)
            waiting += request_reads(s, r);
        c = c->next;
    } while (c != s->clients);
    if (waiting < 2) return s->opt.step_ms;
    double crowd = waiting > CROWD ? 1 : (double)(waiting - 1) / (CROWD - 1);
    return s->opt.step_ms * (1 + crowd * (LONG_FACTOR - 1));
}

/* Rows of prompts that fit beside `rows` others; a page's worth at least, so that there is
 * progress. */
static size_t prompt_budget(const struct scheduler *s, size_t rows)
{
    double left = step_time(s, rows) - write_ms(s, rows), each = s->row_ms > 0 ? s->row_ms : FIRST_ROW_MS;
    size_t room = s->opt.max_rows - rows;
    double n = left / each;
    size_t fit = n >= (double)room ? room : n > KERN_KV_PAGE ? (size_t)n : KERN_KV_PAGE;
    if (fit > KERN_KV_PAGE) fit -= fit % KERN_KV_PAGE;
    return fit < room ? fit : room;
}

static void plan_prompts(struct scheduler *s)
{
    int aged = aged_class(s);
    size_t budget = prompt_budget(s, s->plan_rows), end = s->plan_rows + budget;
    if (aged >= 0) {
        size_t share = budget / 2 > KERN_KV_PAGE ? budget / 2 : budget;
        read_class(s, aged, s->plan_rows + share);
    }
    for (int cls = 0; cls < SCHED_CLASSES && s->plan_rows < end; cls++) read_class(s, cls, end);
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Whether the last of the text's tokens is among the lane's rows, and something is to be drawn from
 * it. */
static bool draws(const struct lane *l)
{
    return l->take == lane_pending(l) && l->req->max_new > 0;
}

static void make_rows(struct scheduler *s)
{
    size_t n = 0, logits = 0, kept = 0;
    for (size_t i = 0; i < s->n_plan; i++) {
        struct lane *l = s->plan[i];
        if (l->take == 0) continue;
        s->plan[kept++] = l;
        l->logits_at = logits;
        const int32_t *t = l->text + l->n_text - lane_pending(l);
        bool every = l->req->prompt_tokens && l->n_text == l->req->r.n_prompt;
        for (size_t k = 0; k < l->take; k++)
            s->rows[n++] =
                (struct forward_row){l->seq, t[k], every || (k + 1 == l->take && draws(l))};
        for (size_t k = 0; k < l->draft.n; k++)
            s->rows[n++] = (struct forward_row){l->seq, l->draft.token[k], true};
        for (size_t k = n - l->take - l->draft.n; k < n; k++) logits += s->rows[k].logits;
    }
    s->n_plan = kept;
    s->plan_rows = n;
}

bool step_plan(struct scheduler *s)
{
    s->step++;
    s->n_plan = s->plan_rows = s->plan_logits = s->plan_pages = 0;
    if (!s->clients) return false;
    plan_ready(s);
    s->plan_logits = s->plan_rows;
    size_t n_ready = s->n_plan;
    plan_prompts(s);
    if (s->n_plan == n_ready && s->plan_rows > 0) plan_drafts(s);
    make_rows(s);
    return s->plan_rows > 0;
}
