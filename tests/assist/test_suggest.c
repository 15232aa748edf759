/* The suggester: newest wins, what is cached comes at once, the next one is computed ahead, context
 * changes when idle. The backend here answers what a test says and counts. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "assist/suggest.h"
#include "base/clock.h"

struct world {
    pthread_mutex_t lock;
    pthread_cond_t told;
    /* backend */
    const char *answer;
    double ms; /* an answer takes, unless cancelled */
    int n_run, n_prepared, n_destroyed;
    char prefix[256]; /* of the last run */
    size_t n_context;
    char context[4096];
    char file_name[64]; /* "" = none */
    bool fail;
    bool streams; /* half of the answer comes on the way, again and again */
    /* suggestions */
    int n_final, n_partial;
    char text[256], stopped_by[32];
    uint64_t id;
    enum suggest_source source;
    enum status status;
    struct suggester *s;
};

static enum status run(void *ctx, const struct complete_request *req, struct complete_result *res,
                       struct error *err)
{
    struct world *w = ctx;
    *res = (struct complete_result){.finish = FINISH_STOP, .stopped_by = "end_token"};
    pthread_mutex_lock(&w->lock);
    w->n_run++;
    snprintf(w->prefix, sizeof w->prefix, "%.*s", (int)req->prefix_len, req->prefix);
    w->n_context = req->n_context;
    w->context[0] = 0;
    snprintf(w->file_name, sizeof w->file_name, "%s", req->file_name ? req->file_name : "");
    for (size_t i = 0; i < req->n_context; i++)
        strncat(w->context, req->context[i].text, sizeof w->context - strlen(w->context) - 1);
    double until = clock_now() + 1e-3 * w->ms;
    bool fail = w->fail, streams = w->streams;
    const char *answer = w->answer;
    pthread_mutex_unlock(&w->lock);
    if (fail) return error_set(err, ERR_INVALID, "as the test wants it");
    if (req->on_text && *answer) req->on_text(req->ctx, answer, 1);
    while (clock_now() < until && !__atomic_load_n(req->cancel, __ATOMIC_RELAXED)) {
        usleep(500);
        if (streams && req->on_text) req->on_text(req->ctx, answer, strlen(answer) / 2);
    }
    if (__atomic_load_n(req->cancel, __ATOMIC_RELAXED)) res->finish = FINISH_CANCELLED;
    res->text = strdup(answer);
    res->len = strlen(answer);
    return OK;
}

static enum status prepare(void *ctx, const struct complete_request *req,
                           struct complete_ahead *ahead, struct error *err)
{
    struct world *w = ctx;
    (void)req, (void)err;
    *ahead = (struct complete_ahead){0};
    pthread_mutex_lock(&w->lock);
    w->n_prepared++;
    pthread_cond_broadcast(&w->told);
    pthread_mutex_unlock(&w->lock);
    return OK;
}

static void destroyed(void *ctx)
{
    struct world *w = ctx;
    w->n_destroyed++;
}

static void on_suggestion(void *ctx, const struct suggestion *s)
{
    struct world *w = ctx;
    pthread_mutex_lock(&w->lock);
    if (s->final && strcmp(s->stopped_by, "superseded") != 0) {
        snprintf(w->text, sizeof w->text, "%.*s", (int)s->len, s->text);
        w->source = s->source;
        w->id = s->id;
        w->status = s->status;
    }
    snprintf(w->stopped_by, sizeof w->stopped_by, "%s", s->stopped_by);
    w->n_final += s->final;
    w->n_partial += !s->final;
    pthread_cond_broadcast(&w->told);
    pthread_mutex_unlock(&w->lock);
}

static void open_world(struct world *w, struct suggest_options opt)
{
    *w = (struct world){.answer = "answer"};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->told, NULL);
    struct error err = {0};
    struct suggest_backend b = {run, prepare, destroyed, w};
    assert_int_equal(suggester_create(&opt, &b, &w->s, &err), OK);
}

static void close_world(struct world *w)
{
    suggester_destroy(w->s);
    assert_int_equal(w->n_destroyed, 1);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->told);
}

/* Waits until *count has come to n. */
static void wait_for(struct world *w, const int *count, int n)
{
    pthread_mutex_lock(&w->lock);
    double until = clock_now() + 20;
    while (*count < n) {
        if (clock_now() > until) fail_msg("waited for %d, have %d", n, *count);
        pthread_mutex_unlock(&w->lock);
        usleep(1000);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
}

/* "|" is the cursor. */
static enum status ask_of(struct world *w, const char *path, const char *text, bool automatic,
                          struct error *err)
{
    const char *at = strchr(text, '|');
    char whole[256];
    snprintf(whole, sizeof whole, "%.*s%s", (int)(at - text), text, at + 1);
    struct suggest_request req = {.path = path,
                                  .text = whole,
                                  .len = strlen(whole),
                                  .offset = (size_t)(at - text),
                                  .automatic = automatic,
                                  .partial = true,
                                  .on_suggestion = on_suggestion,
                                  .ctx = w};
    uint64_t id;
    return suggester_ask(w->s, &req, &id, err);
}

static void ask(struct world *w, const char *text)
{
    struct error err = {0};
    if (ask_of(w, "f.c", text, false, &err)) fail_msg("%s", err.msg);
}

static const struct suggest_options quiet = {.prefetch_ms = -1, .idle_ms = -1};

static void what_a_request_brings_stands_behind_the_ring(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, quiet);
    char text[] = "int f(int);\n"; /* copied: gone before the thread has it */
    struct context_item more[] = {{.path = "b.h", .text = text, .len = strlen(text)}};
    struct suggest_request req = {.path = "/w/src/a.c", .name = "src/a.c", .text = "x = ;", .len = 5, .offset = 4,
                                  .more = more, .n_more = 1, .on_suggestion = on_suggestion, .ctx = &w};
    struct error err = {0};
    uint64_t id;
    assert_int_equal(suggester_ask(w.s, &req, &id, &err), OK);
    memset(text, '?', sizeof text - 1);
    wait_for(&w, &w.n_final, 1);
    assert_int_equal(w.n_context, 1);
    assert_string_equal(w.context, "int f(int);\n");
    assert_string_equal(w.file_name, "src/a.c");
    req.name = NULL;
    req.offset = 1;
    assert_int_equal(suggester_ask(w.s, &req, &id, &err), OK);
    wait_for(&w, &w.n_final, 2);
    assert_string_equal(w.file_name, "/w/src/a.c");
    req.n_more = 0;
    req.offset = 2;
    assert_int_equal(suggester_ask(w.s, &req, &id, &err), OK);
    wait_for(&w, &w.n_final, 3);
    assert_string_equal(w.file_name, "");
    close_world(&w);
}

static void answers_and_serves_again_while_typing_along(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, quiet);
    ask(&w, "x = |;");
    wait_for(&w, &w.n_final, 1);
    assert_string_equal(w.text, "answer");
    assert_int_equal(w.source, SUGGEST_COMPUTED);
    assert_int_equal(w.n_partial, 1);
    ask(&w, "x = ans|;"); /* within the call */
    assert_int_equal(w.n_final, 2);
    assert_string_equal(w.text, "wer");
    assert_int_equal(w.source, SUGGEST_CACHED);
    assert_int_equal(w.n_run, 1);
    ask(&w, "x = anx|;");
    wait_for(&w, &w.n_final, 3);
    assert_int_equal(w.n_run, 2);
    struct suggest_stats st;
    suggester_stats(w.s, &st);
    assert_int_equal(st.asked, 3);
    assert_int_equal(st.cached, 1);
    assert_int_equal(st.computed, 2);
    close_world(&w);
}

static void the_newest_request_wins(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, quiet);
    w.ms = 10000; /* nobody waits so long */
    ask(&w, "a|");
    wait_for(&w, &w.n_run, 1);
    ask(&w, "ab|");
    ask(&w, "abc|");
    ask(&w, "abcd|");
    pthread_mutex_lock(&w.lock);
    w.ms = 0;
    pthread_mutex_unlock(&w.lock);
    wait_for(&w, &w.n_final, 4); /* each one is told of its end */
    assert_string_equal(w.prefix, "abcd");
    assert_true(w.n_run <= 3);
    assert_int_equal(w.id, 4);
    assert_string_equal(w.text, "answer");
    close_world(&w);
}

/* What is being computed is taken over by who types its beginning, and by nobody else. */
static void typing_along_does_not_begin_again(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, (struct suggest_options){.prefetch_ms = -1, .idle_ms = -1});
    w.ms = 400;
    w.streams = true;
    ask(&w, "x = |\n");
    wait_for(&w, &w.n_run, 1);
    ask(&w, "x = a|\n");
    ask(&w, "x = an|\n");
    wait_for(&w, &w.n_final, 3);
    assert_string_equal(w.text, "swer");
    assert_int_equal(w.source, SUGGEST_COMPUTED);
    assert_int_equal(w.n_run, 1);
    struct suggest_stats stats;
    suggester_stats(w.s, &stats);
    assert_true(stats.followed >= 1);

    double began = clock_now();
    ask(&w, "y = |\n");
    wait_for(&w, &w.n_run, 2);
    w.answer = "other";
    ask(&w, "y = o|\n"); /* "answer" is on its way */
    wait_for(&w, &w.n_final, 5);
    assert_string_equal(w.text, "other");
    assert_int_equal(w.n_run, 3);
    assert_string_equal(w.prefix, "y = o");
    ask(&w, "z = |\n");
    wait_for(&w, &w.n_run, 4);
    ask(&w, "z  = |\n"); /* not what z = becomes at its cursor */
    wait_for(&w, &w.n_final, 7);
    assert_int_equal(w.n_run, 5);
    assert_true(clock_now() - began < 10);
    close_world(&w);
}

static void cancel_ends_a_request(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, quiet);
    w.ms = 10000;
    ask(&w, "a|");
    wait_for(&w, &w.n_run, 1);
    assert_true(suggester_cancel(w.s, 1));
    wait_for(&w, &w.n_final, 1);
    assert_string_equal(w.stopped_by, "superseded");
    assert_false(suggester_cancel(w.s, 1));
    close_world(&w);
}

static void the_next_one_is_computed_as_if_accepted(void **state)
{
    (void)state;
    struct world w;
    struct suggest_options opt = quiet;
    opt.prefetch_ms = 0;
    open_world(&w, opt);
    ask(&w, "x = |;");
    wait_for(&w, &w.n_run, 2);
    for (int i = 0; i < 2000; i++) {
        struct suggest_stats st;
        suggester_stats(w.s, &st);
        if (st.cache_entries == 2) break;
        usleep(1000);
    }
    assert_string_equal(w.prefix, "x = answer");
    assert_int_equal(w.n_final, 1); /* nobody is told of it */
    ask(&w, "x = answer|;");
    assert_int_equal(w.n_final, 2);
    assert_int_equal(w.source, SUGGEST_PREFETCHED);
    close_world(&w);
}

static void waits_for_a_pause_when_nobody_asked(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, quiet);
    struct error err = {0};
    for (int i = 0; i < 5; i++) {
        char text[16];
        snprintf(text, sizeof text, "ab%d|", i);
        assert_int_equal(ask_of(&w, "f.c", text, true, &err), OK);
    }
    wait_for(&w, &w.n_final, 5);
    assert_int_equal(w.n_run, 1);
    assert_string_equal(w.prefix, "ab4");
    close_world(&w);
}

static void context_comes_in_when_idle(void **state)
{
    (void)state;
    struct world w;
    struct suggest_options opt = quiet;
    opt.idle_ms = 1;
    open_world(&w, opt);
    ask(&w, "x|");
    wait_for(&w, &w.n_final, 1);
    assert_int_equal(w.n_context, 0);
    suggester_note(w.s, RING_OPENED, "g.c", "one\ntwo\nthree\n", 14, 0);
    suggester_note(w.s, RING_OPENED, ".env", "KEY=1\nA=2\nB=3\n", 14, 0);
    for (int i = 0; i < 5000; i++) {
        struct suggest_stats st;
        suggester_stats(w.s, &st);
        if (st.ring_chunks == 1 && !st.ring_waiting && st.warm_ups >= 2) break;
        usleep(1000);
    }
    usleep(20000);
    ask(&w, "y|");
    wait_for(&w, &w.n_final, 2);
    assert_int_equal(w.n_context, 1);
    assert_string_equal(w.context, "one\ntwo\nthree\n");
    assert_true(w.n_prepared > 0);
    close_world(&w);
}

static bool only_c(void *ctx, const char *path)
{
    (void)ctx;
    return strstr(path, ".c") != NULL;
}

static void refuses_what_is_not_to_be_completed(void **state)
{
    (void)state;
    struct world w;
    struct suggest_options opt = quiet;
    opt.allowed = only_c;
    open_world(&w, opt);
    struct error err = {0};
    assert_int_equal(ask_of(&w, "/x/.env", "a|", false, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "keys or passwords"));
    assert_int_equal(ask_of(&w, "/x/build.log", "a|", false, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "ignored"));
    assert_int_equal(ask_of(&w, "/x/a.c", "\xC3|\xA9", false, &err), ERR_INVALID);
    suggester_note(w.s, RING_OPENED, "a.log", "1\n2\n3\n", 6, 0);
    struct suggest_stats st;
    suggester_stats(w.s, &st);
    assert_int_equal(st.ring_waiting, 0);
    assert_int_equal(w.n_final, 0);
    close_world(&w);
}

static void a_failure_is_told(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, quiet);
    w.fail = true;
    ask(&w, "a|");
    wait_for(&w, &w.n_final, 1);
    assert_int_equal(w.status, ERR_INVALID);
    w.fail = false;
    ask(&w, "a|");
    wait_for(&w, &w.n_final, 2);
    assert_int_equal(w.status, OK);
    close_world(&w);
}

static void the_delay_follows_the_rhythm(void **state)
{
    (void)state;
    assert_true(suggest_delay_ms(NULL, 0) == 75);
    static const double fast[] = {100, 100, 100}, slow[] = {400, 400}, pause[] = {100, 100, 3000},
                        burst[] = {2, 2, 2}, odd[] = {-1, 100, 0.0 / 0.0};
    assert_true(suggest_delay_ms(fast, 3) == 120);
    assert_true(suggest_delay_ms(slow, 2) == 40);
    static const double five_a_second[] = {210, 190, 200};
    assert_true(suggest_delay_ms(five_a_second, 3) == 40);
    assert_true(suggest_delay_ms(pause, 3) == 40);
    assert_true(suggest_delay_ms(burst, 3) == 40);
    assert_true(suggest_delay_ms(odd, 3) == 120);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_and_serves_again_while_typing_along),
        cmocka_unit_test(the_newest_request_wins),
        cmocka_unit_test(typing_along_does_not_begin_again),
        cmocka_unit_test(cancel_ends_a_request),
        cmocka_unit_test(the_next_one_is_computed_as_if_accepted),
        cmocka_unit_test(waits_for_a_pause_when_nobody_asked),
        cmocka_unit_test(context_comes_in_when_idle),
        cmocka_unit_test(what_a_request_brings_stands_behind_the_ring),
        cmocka_unit_test(refuses_what_is_not_to_be_completed),
        cmocka_unit_test(a_failure_is_told),
        cmocka_unit_test(the_delay_follows_the_rhythm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
