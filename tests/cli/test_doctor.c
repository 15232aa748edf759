/* The built-in catalogue tells enough of each model to foretell its speed, and tells it right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/doctor.h"
#include "store/catalogue.h"

/* "1.5B" as a number. */
static double parameters(const char *text)
{
    char *end;
    double n = strtod(text, &end);
    return n * (*end == 'B' ? 1e9 : *end == 'M' ? 1e6 : 0);
}

static void every_entry_has_its_shape(void **state)
{
    (void)state;
    struct catalogue *c;
    struct error err = {0};
    if (catalogue_load(NULL, &c, &err)) fail_msg("%s", err.msg);
    for (size_t i = 0; i < catalogue_n_models(c); i++) {
        const struct catalogue_model *m = catalogue_at(c, i);
        const struct catalogue_shape *s = &m->shape;
        struct estimate_shape shape;
        struct estimate_dims d = {s->layers,       s->width,     s->feed_forward, s->heads,
                                  s->kv_heads,     s->head_dim,  s->vocabulary,   s->experts,
                                  s->experts_used, s->expert_ff, s->gated,        s->tied};
        if (!m->has_shape) fail_msg("%s has no shape", m->name);
        if (estimate_shape_of_mix(&d, m->quantization, &shape, &err))
            fail_msg("%s: %s", m->name, err.msg);
        /* The file's size is that of its tensors and a little: a wrong layer would show. */
        double bytes = m->bytes ? (double)m->bytes : (double)m->approx_bytes;
        if (fabs(shape.file_bytes / bytes - 1) > 0.025)
            fail_msg("%s: %.0f bytes by its shape, %.0f as published", m->name, shape.file_bytes,
                     bytes);
        /* Publishers' names round, and some files hold the table of tokens twice. */
        double ratio = shape.n_params / parameters(m->parameters);
        if (ratio < 0.9 || ratio > 1.3) fail_msg("%s: %.0f parameters", m->name, shape.n_params);
    }
    catalogue_destroy(c);
}

/* What a person would type: a name that is not there is pulled. */
static void commands(void **state)
{
    (void)state;
    char text[256];
    struct doctor_model m = {.name = (char *)"a:1"};
    assert_string_equal(doctor_command(&m, true, text, sizeof text), "hearth pull a:1");
    m.installed = true;
    assert_non_null(strstr(doctor_command(&m, true, text, sizeof text), "hearth complete"));
    assert_non_null(strstr(doctor_command(&m, false, text, sizeof text), "hearth run a:1"));
}

/* A machine that reads 1 GB and multiplies 100 Gop a second. */
static struct doctor_model model(const char *name, double params, double quality, bool fim,
                                 bool chat)
{
    return (struct doctor_model){.name = (char *)name,
                                 .has_shape = true,
                                 .fim = fim,
                                 .chat = chat,
                                 .bytes = 1000,
                                 .quality = quality,
                                 .shape = {.n_layer = 1,
                                           .n_embd = 32,
                                           .n_ff = 32,
                                           .n_head = 1,
                                           .n_head_kv = 1,
                                           .head_dim = 32,
                                           .n_vocab = 32,
                                           .parts = {{8, params, params, 0}},
                                           .n_parts = 1,
                                           .n_params = params,
                                           .file_bytes = params,
                                           .weight_bytes = params,
                                           .token_bytes = params}};
}

static void verdicts_and_recommendations(void **state)
{
    (void)state;
    struct doctor_model models[] = {
        model("small:code", 1e7, 10, true, false), /* 90 tok/s, 0.3 s */
        model("good:code", 5e7, 60, true, true),   /* 17 tok/s, 1.6 s */
        model("weak:code", 5.5e7, 50, true, true), /* 16 tok/s, larger but not as good */
        model("good:chat", 7e7, 0, false, true),   /* 12 tok/s, nothing told of it */
        model("large:all", 2e9, 90, true, true),   /* 0.4 tok/s */
        model("giant:all", 1e11, 99, true, true),  /* does not fit */
        model("other:all", 1e7, 99, true, true),   /* a type without kernels */
    };
    models[6].shape.parts[0].type = 9999;
    struct doctor d = {.models = models, .n_models = 7};
    d.machine.usable = 20e9;
    d.machine.rates = (struct estimate_machine){.n_threads = 1,
                                                .sizes = {1e3, 1e4, 1e5},
                                                .n_rates = 1,
                                                .attend_read = 1e12,
                                                .rates = {{8, {1e9, 1e9, 1e9}, 1e11, 0}}};
    doctor_judge(&d);
    const enum doctor_verdict want[] = {DOCTOR_RUNS_WELL,  DOCTOR_RUNS_WELL, DOCTOR_RUNS_WELL,
                                        DOCTOR_RUNS_WELL,  DOCTOR_SLOW,      DOCTOR_TOO_LARGE,
                                        DOCTOR_UNSUPPORTED};
    for (size_t i = 0; i < 7; i++)
        if (models[i].verdict != want[i])
            fail_msg("%s %s: %s", models[i].name, doctor_verdict_name(models[i].verdict),
                     models[i].why);
    assert_non_null(strstr(models[5].why, "of memory"));
    assert_string_equal(d.completion->name, "good:code");
    assert_string_equal(d.chat->name, "good:code");
    struct doctor_model bare = {.name = (char *)"bare:1", .fim = true, .chat = true, .quality = 99};
    struct doctor none = {.models = &bare, .n_models = 1, .machine = d.machine};
    doctor_judge(&none);
    assert_int_equal(bare.verdict, DOCTOR_UNKNOWN);
    assert_string_equal(doctor_verdict_name(bare.verdict), "not known");
    assert_non_null(strstr(bare.why, "no shape"));
    assert_null(none.completion);
    assert_null(none.chat);
    /* Where none is quick enough the quickest is named; none is for chat then. */
    struct doctor slow = {.models = &models[4], .n_models = 1, .machine = d.machine};
    doctor_judge(&slow);
    assert_string_equal(slow.completion->name, "large:all");
    assert_null(slow.chat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_has_its_shape),
        cmocka_unit_test(commands),
        cmocka_unit_test(verdicts_and_recommendations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
