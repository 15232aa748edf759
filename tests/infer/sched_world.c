#include "sched_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/clock.h"
#include "infer/infer_int.h"

void open_world(struct world *w, struct fake_options fake, struct sched_options opt)
{
    struct error err;
    fake.n_vocab = N_VOCAB;
    fake.n_ctx_train = 2048;
    if (!opt.n_ctx) opt.n_ctx = N_CTX;
    w->opt = opt;
    w->m = fake_model_create(&fake);
    assert_non_null(w->m);
    assert_int_equal(engine_assemble(NULL, NULL, NULL, w->m, 1, &w->e, &err), OK);
    assert_int_equal(scheduler_create(w->e, &opt, &w->s, &err), OK);
}

void close_world(struct world *w)
{
    kit_expect_no_pages(w->s);
    assert_true(scheduler_drain(w->s, 1000));
    scheduler_destroy(w->s);
    assert_false(fake_model_seen(w->m).overlapped);
    engine_close(w->e);
}

void submit(struct world *w, struct sched_request *r, struct got *g)
{
    struct error err;
    got_init(g, r);
    g->s = w->s;
    assert_int_equal(scheduler_submit(w->s, r, &g->ticket, &err), OK);
}

struct sched_stats stats_of(struct world *w)
{
    struct sched_stats st;
    usleep(5000);
    scheduler_stats(w->s, &st);
    return st;
}

void wait_running(struct world *w, enum sched_class cls, size_t n)
{
    struct sched_stats st;
    double end = clock_now() + 30;
    do {
        usleep(200);
        scheduler_stats(w->s, &st);
        assert_true(clock_now() < end);
    } while (st.running[cls] < n);
}
