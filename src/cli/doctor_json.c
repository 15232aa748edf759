/* What doctor found, for programs. */
#include <stdio.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/confined.h"
#include "cli/doctor.h"
#include "cli/load.h"
#include "quant/quant.h"

/* Bytes and such: null where not known. */
static json_t *count(double n)
{
    return n > 0 ? json_integer((json_int_t)(n + 0.5)) : json_null();
}

static json_t *real(double x)
{
    return x > 0 ? json_real(x) : json_null();
}

static json_t *text(const char *s)
{
    return s && *s ? json_string(s) : json_null();
}

static json_t *limits_json(const struct machine_limits *l)
{
    return json_pack("{s:o, s:o, s:o, s:I, s:I, s:o, s:b, s:o}", "memory_total",
                     count((double)l->total_bytes), "memory_free",
                     count((double)l->available_bytes), "memory_limit",
                     count((double)l->limit_bytes), "swap_total", (json_int_t)l->swap_bytes,
                     "swap_free", (json_int_t)l->swap_free_bytes, "cpu_quota", real(l->quota_cpus),
                     "container", l->container, "huge_pages", text(l->huge_pages));
}

static json_t *gpus_json(const struct doctor_machine *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->n_gpus; i++)
        json_array_append_new(list, json_pack("{s:s, s:o, s:b}", "name", m->gpus[i].name, "memory",
                                              count((double)m->gpus[i].memory_bytes), "used", 0));
    return list;
}

static json_t *rates_json(const struct estimate_machine *m)
{
    json_t *types = json_object(), *sizes = json_array();
    for (int i = 0; i < ESTIMATE_SIZES; i++) json_array_append_new(sizes, json_real(m->sizes[i]));
    for (size_t i = 0; i < m->n_rates; i++) {
        const struct estimate_rate *r = &m->rates[i];
        json_t *read = json_array();
        for (int k = 0; k < ESTIMATE_SIZES; k++) json_array_append_new(read, json_real(r->read[k]));
        const struct quant_traits *q = quant_find(r->type);
        json_object_set_new(types, q ? q->name : "?",
                            json_pack("{s:o, s:f, s:f}", "bytes_per_second", read, "ops_per_second",
                                      r->multiply, "batch_quantize", r->batch_quantize));
    }
    return json_pack("{s:o, s:o, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}",
                     "working_set_bytes", sizes, "types", types, "stage_seconds", m->stage, "norm",
                     m->norm, "quantize", m->quantize, "activate", m->activate, "move", m->move,
                     "batch_norm", m->batch_norm, "batch_activate", m->batch_activate, "batch_move",
                     m->batch_move, "attend_pair", m->attend_pair, "attend_float", m->attend_float,
                     "attend_bytes_per_second", m->attend_read, "choose", m->choose);
}

static json_t *sandbox_json(void)
{
    struct confined can = confine_probe();
    const char *off = confined_why_not();
    return json_pack("{s:i, s:b, s:b, s:b, s:b, s:o}", "landlock", can.landlock, "files", can.files,
                     "connections", can.connections, "signals", can.signals, "system_calls", can.calls, "off",
                     text(off));
}

static json_t *machine_json(const struct doctor_machine *m)
{
    json_t *j = bench_machine_json();
    if (!j) return NULL;
    json_t *more = limits_json(&m->limits);
    if (more) json_object_update(j, more);
    json_decref(more);
    json_object_set_new(j, "threads", json_integer(m->threads));
    json_object_set_new(j, "gpus", gpus_json(m));
    json_object_set_new(j, "sandbox", sandbox_json());
    json_object_set_new(j, "model_folder", text(m->store));
    json_object_set_new(j, "model_folder_free", count((double)m->store_free));
    json_object_set_new(j, "cache_folder", text(m->cache));
    json_object_set_new(j, "cache_folder_free", count((double)m->cache_free));
    json_object_set_new(j, "bandwidth", real(m->bandwidth));
    json_object_set_new(j, "int8_peak", real(m->int8_peak));
    json_object_set_new(j, "rates", rates_json(&m->rates));
    return j;
}

static json_t *model_json(const struct doctor_model *m)
{
    const struct catalogue_model *e = m->entry;
    return json_pack("{s:s, s:o, s:b, s:b, s:b, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, "
                     "s:o, s:o, s:o, "
                     "s:s, s:o}",
                     "name", m->name, "path", text(m->path), "installed", m->installed, "fim",
                     m->fim, "chat", m->chat, "architecture", text(e ? e->architecture : NULL),
                     "quantization", text(e ? e->quantization : NULL), "bytes",
                     count((double)m->bytes), "bytes_exact", m->bytes_exact, "params",
                     count(m->n_params), "quality", real(m->quality), "bytes_per_token",
                     count(m->shape.token_bytes), "memory_bytes", count(m->memory), "kv_bytes",
                     count(m->kv_bytes), "decode_tokens_per_second",
                     real(m->step > 0 ? 1 / m->step : 0), "prefill_tokens_per_second",
                     real(m->prompt > 0 ? DOCTOR_PROMPT / m->prompt : 0), "first_token_seconds",
                     real(m->first_token), "licence", text(e ? e->license : NULL), "verdict",
                     doctor_verdict_name(m->verdict), "why", text(m->why));
}

static json_t *recommendation(const struct doctor_model *m, bool completion)
{
    char command[256];
    if (!m) return json_null();
    return json_pack("{s:s, s:s}", "model", m->name, "command",
                     doctor_command(m, completion, command, sizeof command));
}

static json_t *ratio_json(const struct doctor_ratio *r)
{
    return json_pack("{s:f, s:f, s:f}", "predicted", r->predicted, "measured", r->measured, "ratio",
                     r->ratio);
}

static json_t *rules_json(void)
{
    return json_pack("{s:i, s:i, s:i, s:f, s:f, s:f, s:f}", "prompt_tokens", DOCTOR_PROMPT,
                     "context_tokens", DOCTOR_CONTEXT, "decode_behind_tokens", DOCTOR_STEP_AT,
                     "completion_first_token_seconds", DOCTOR_COMPLETION_SECONDS,
                     "completion_tokens_per_second", DOCTOR_COMPLETION_RATE,
                     "chat_first_token_seconds", DOCTOR_CHAT_SECONDS, "chat_tokens_per_second",
                     DOCTOR_CHAT_RATE);
}

enum status doctor_print_json(const struct doctor *d, struct error *err)
{
    json_t *models = json_array(), *checks = json_array();
    for (size_t i = 0; i < d->n_models; i++)
        json_array_append_new(models, model_json(&d->models[i]));
    for (size_t i = 0; i < d->n_checks; i++)
        json_array_append_new(checks,
                              json_pack("{s:s, s:o, s:o, s:o}", "model", d->checks[i].model->name,
                                        "decode", ratio_json(&d->checks[i].decode), "prefill",
                                        ratio_json(&d->checks[i].prefill), "memory_bytes",
                                        ratio_json(&d->checks[i].resident)));
    json_t *root = json_pack("{s:o, s:o, s:o, s:{s:o, s:o}, s:o}", "machine",
                             machine_json(&d->machine), "rules", rules_json(), "models", models,
                             "recommendations", "completion", recommendation(d->completion, true),
                             "chat", recommendation(d->chat, false), "checks", checks);
    return cli_print_json(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9), err);
}
