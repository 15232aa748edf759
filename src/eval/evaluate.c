#include "eval/evaluate.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "eval/figures.h"

enum { MAX_FAILURES = 3, MAX_JOBS = 16, TOKENS_LINE = 128, TOKENS_LINES = 256 };

/* ---- scoring ----------------------------------------------------------------------------------
 */

static char *fill(const struct eval_hole *h, const char *answer, size_t len)
{
    size_t before = h->start - h->from, after = h->to - h->end;
    char *s = malloc(before + len + after + 1);
    if (!s) return NULL;
    memcpy(s, h->text + h->from, before);
    memcpy(s + before, answer, len);
    memcpy(s + before + len, h->text + h->end, after);
    s[before + len + after] = 0;
    return s;
}

static enum status test(const struct eval_hole *h, const struct sandbox *s, const char *answer,
                        size_t len, struct eval_score *score, struct error *err)
{
    enum sandbox_verdict v = SANDBOX_FAILED;
    /* A program with a NUL is none; handed on it would end there. */
    if (memchr(answer, 0, len)) return OK;
    char *program = fill(h, answer, len);
    if (!program) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st =
        sandbox_judge(s, program, h->problem->entry, h->problem->text, h->problem->test, &v, err);
    free(program);
    score->passed = v == SANDBOX_PASSED;
    score->timed_out = v == SANDBOX_TIMED_OUT;
    return st;
}

enum status evaluate_answer(const struct eval_hole *h, const struct sandbox *s,
                              struct eval_result *r, struct error *err)
{
    size_t lens[EVAL_N_CUTS];
    const char *want = h->text + h->start, *have = r->answer ? r->answer : "";
    enum status st = OK;
    r->tested = s && h->problem;
    for (int i = 0; i < EVAL_N_CUTS && st == OK; i++) {
        struct eval_score *score = &r->scores[i];
        lens[i] = eval_cuts[i].keep(h, have, r->answer_len);
        int twin = 0;
        while (twin < i && lens[twin] != lens[i]) twin++;
        if (twin < i) {
            *score = r->scores[twin];
            continue;
        }
        *score = (struct eval_score){
            .exact = figure_exact(want, h->end - h->start, have, lens[i]),
            .edit = figure_edit_similarity(want, h->end - h->start, have, lens[i]),
        };
        if (score->edit < 0) return error_set(err, ERR_NOMEM, "out of memory");
        if (r->tested && !r->error) st = test(h, s, have, lens[i], score, err);
    }
    return st;
}

/* ---- the run ----------------------------------------------------------------------------------
 */

struct item {
    const struct eval_hole *hole;
    struct eval_result result;
    struct item *next;
};

struct work {
    const struct evaluate_run *run;
    struct eval_results *results;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct item *first, **last;
    bool end;
    size_t done, total;
    enum status st;
    struct error err;
};

static void keep(struct work *w, struct item *it, enum status st, const struct error *err)
{
    struct error later = {0};
    pthread_mutex_lock(&w->lock);
    if (st == OK && w->run->out) st = eval_result_write(&it->result, w->run->out, &later);
    if (st == OK) st = eval_results_add(w->results, &it->result, &later);
    if (st != OK) eval_result_fini(&it->result);
    if (st != OK && w->st == OK) {
        w->st = st;
        w->err = later.code ? later : *err;
    }
    w->done++;
    if (w->run->progress) w->run->progress(w->run->ctx, w->done, w->total);
    pthread_mutex_unlock(&w->lock);
    free(it);
}

static void *judge(void *ctx)
{
    struct work *w = ctx;
    for (;;) {
        pthread_mutex_lock(&w->lock);
        while (!w->first && !w->end) pthread_cond_wait(&w->more, &w->lock);
        struct item *it = w->first;
        if (it && !(w->first = it->next)) w->last = &w->first;
        pthread_mutex_unlock(&w->lock);
        if (!it) return NULL;
        struct error err = {0};
        enum status st = evaluate_answer(it->hole, w->run->sandbox, &it->result, &err);
        keep(w, it, st, &err);
    }
}

static void hand_over(struct work *w, struct item *it)
{
    pthread_mutex_lock(&w->lock);
    *w->last = it;
    w->last = &it->next;
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
}

static struct item *make_item(const struct eval_hole *h, struct peer_answer *a, const char *error)
{
    struct item *it = calloc(1, sizeof *it);
    if (!it) return NULL;
    it->hole = h;
    it->result = (struct eval_result){
        .id = strdup(h->id),
        .kind = h->kind,
        .answer = a->text.data,
        .answer_len = a->text.len,
        .error = error ? strdup(error) : NULL,
        .tokens = a->tokens,
        .prompt_tokens = a->prompt,
        .first_ms = a->first_ms,
        .total_ms = a->total_ms,
    };
    a->text.data = NULL; /* the memory changed hands */
    if (!it->result.id || (error && !it->result.error)) {
        eval_result_fini(&it->result);
        free(it);
        return NULL;
    }
    return it;
}

/* Enough for what was there, several times over: a model that goes on pays for it in time. */
static int tokens_for(const struct evaluate_run *run, const struct eval_hole *h)
{
    if (run->max_tokens) return run->max_tokens;
    return memchr(h->text + h->start, '\n', h->end - h->start) ? TOKENS_LINES : TOKENS_LINE;
}

static enum status ask_all(struct work *w, const bool *skip, struct error *err)
{
    const struct evaluate_run *run = w->run;
    int failures = 0;
    for (size_t i = 0; i < run->set->n_holes; i++) {
        const struct eval_hole *h = &run->set->holes[i];
        if (skip[i]) continue;
        if (run->cancel && *run->cancel) return error_set(err, ERR_CANCELLED, "interrupted");
        struct peer_question q = {h->text + h->from,  h->text + h->end, h->path,
                                  h->start - h->from, h->to - h->end,   tokens_for(run, h)};
        struct peer_answer a;
        struct error problem = {0};
        enum status st = peer_ask(run->peer, &q, &a, &problem);
        failures = st == OK ? 0 : failures + 1;
        bool stop = st != OK && (st != ERR_NETWORK || failures == MAX_FAILURES);
        struct item *it = stop ? NULL : make_item(h, &a, st == OK ? NULL : problem.msg);
        peer_answer_fini(&a);
        if (stop) return error_set(err, st, "%s", problem.msg);
        if (!it) return error_set(err, ERR_NOMEM, "out of memory");
        hand_over(w, it);
        pthread_mutex_lock(&w->lock);
        st = w->st;
        if (st) *err = w->err;
        pthread_mutex_unlock(&w->lock);
        if (st) return st;
    }
    return OK;
}

static enum status run_all(struct work *w, const bool *skip, struct error *err)
{
    pthread_t threads[MAX_JOBS];
    int want = w->run->jobs < 1 ? 1 : w->run->jobs < MAX_JOBS ? w->run->jobs : MAX_JOBS, n = 0;
    while (n < want && pthread_create(&threads[n], NULL, judge, w) == 0) n++;
    enum status st = n ? ask_all(w, skip, err) : error_set(err, ERR_NOMEM, "cannot start a thread");
    pthread_mutex_lock(&w->lock);
    w->end = true;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < n; i++) pthread_join(threads[i], NULL);
    if (st == OK && w->st) {
        *err = w->err;
        st = w->st;
    }
    return st;
}

enum status evaluate_run(const struct evaluate_run *run, struct eval_results *results, struct error *err)
{
    struct work w = {.run = run, .results = results, .total = run->set->n_holes};
    bool *skip = calloc(run->set->n_holes + 1, sizeof *skip);
    if (!skip) return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < run->set->n_holes && results->n; i++) {
        skip[i] = eval_results_find(results, run->set->holes[i].id) != NULL;
        w.done += skip[i];
    }
    w.last = &w.first;
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.more, NULL);
    enum status st = run_all(&w, skip, err);
    pthread_cond_destroy(&w.more);
    pthread_mutex_destroy(&w.lock);
    free(skip);
    return st;
}
