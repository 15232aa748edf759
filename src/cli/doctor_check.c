/* Predictions held against the models themselves. A machine's speed moves within minutes where
 * others share it, so both are measured in turn, and a round's ratio is that of its own pair. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/doctor.h"
#include "infer/engine.h"
#include "infer/probe.h"
#include "model/model.h"

enum { PROMPT = 512, GEN = 32, MAX_ROUNDS = 100 };

struct samples {
    double predicted[MAX_ROUNDS], measured[MAX_ROUNDS], ratio[MAX_ROUNDS];
    int n;
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, compare);
    return (v[(n - 1) / 2] + v[n / 2]) / 2;
}

static void put(struct samples *s, double predicted, double measured)
{
    s->predicted[s->n] = predicted;
    s->measured[s->n] = measured;
    s->ratio[s->n++] = measured > 0 ? predicted / measured : 0;
}

static struct doctor_ratio summary(struct samples *s)
{
    return (struct doctor_ratio){median(s->predicted, s->n), median(s->measured, s->n),
                                 median(s->ratio, s->n)};
}

/* Seconds of a step and of a prompt as the machine is now. */
static enum status predict(struct doctor *d, const struct estimate_shape *s, double *step,
                           double *prompt, struct error *err)
{
    uint32_t types[ESTIMATE_MAX_TYPES];
    struct estimate_machine now;
    for (size_t i = 0; i < s->n_parts; i++) types[i] = s->parts[i].type;
    enum status st = probe_measure(d->probe, types, s->n_parts, d->cancel, &now, err);
    if (st) return st;
    *step = estimate_step(&now, s, GEN / 2);
    *prompt = estimate_prompt(&now, s, PROMPT);
    return OK;
}

static enum status rounds(struct doctor *d, struct bench *b, const struct estimate_shape *s,
                          struct doctor_check *out, struct progress *bar, struct error *err)
{
    struct samples decode = {.n = 0}, prefill = {.n = 0};
    double step[2], prompt[2];
    enum status st = predict(d, s, &step[0], &prompt[0], err);
    for (int i = 0; i < d->o->rounds && !st; i++) {
        progress_update(bar, (uint64_t)i, (uint64_t)d->o->rounds);
        st = bench_sample(b, err);
        if (!st) st = predict(d, s, &step[1], &prompt[1], err);
        if (st) break;
        /* The mean of before and after: what changes slowly is then the same for both. */
        put(&decode, 2 / (step[0] + step[1]), b->decode.sample[b->decode.n - 1]);
        put(&prefill, 2 * PROMPT / (prompt[0] + prompt[1]), b->prefill.sample[b->prefill.n - 1]);
        step[0] = step[1];
        prompt[0] = prompt[1];
    }
    if (st) return st;
    out->decode = summary(&decode);
    out->prefill = summary(&prefill);
    return OK;
}

static enum status check(struct doctor *d, const struct doctor_model *m, struct doctor_check *out,
                         struct error *err)
{
    struct bench_options o = {.model = m->is_file ? m->path : m->name,
                              .n_prompt = PROMPT,
                              .n_gen = GEN,
                              .threads = d->machine.threads,
                              .repeats = 1};
    char label[160];
    snprintf(label, sizeof label, "Checking %.120s", m->name);
    struct bench *b = calloc(1, sizeof *b);
    if (!b) return error_set(err, ERR_NOMEM, "out of memory");
    b->o = &o;
    b->cancel = d->cancel;
    out->model = m;
    uint64_t before = machine_resident_bytes();
    enum status st = bench_open(b, err);
    struct progress *bar = progress_start(label, false);
    if (!st) st = rounds(d, b, &m->shape, out, bar, err);
    progress_update(bar, (uint64_t)d->o->rounds, (uint64_t)d->o->rounds);
    progress_end(bar);
    /* Without what the probe holds. */
    double held = (double)machine_resident_bytes() - (double)before + (double)d->resident;
    out->resident = (struct doctor_ratio){estimate_memory(&m->shape, PROMPT), held, 0};
    if (held > 0) out->resident.ratio = out->resident.predicted / held;
    bench_close(b);
    free(b);
    return st;
}

enum status doctor_check_models(struct doctor *d, struct error *err)
{
    d->checks = calloc(d->n_models + 1, sizeof *d->checks);
    if (!d->checks) return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < d->n_models; i++) {
        const struct doctor_model *m = &d->models[i];
        if (!m->path || m->verdict > DOCTOR_SLOW) continue;
        enum status st = check(d, m, &d->checks[d->n_checks], err);
        if (st) return st;
        d->n_checks++;
    }
    if (d->n_checks == 0)
        return error_set(err, ERR_NOT_FOUND,
                         "no model to check: none of these is installed and can run; run: hearth "
                         "pull");
    return OK;
}
