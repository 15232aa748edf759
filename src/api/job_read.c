/* The members of a request that the dialects share: sampling, stop texts, biases. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "api/job.h"

static void add_stop(struct job *j, struct reader *rd, const json_t *v)
{
    if (!json_is_string(v)) {
        read_fail(rd, "'stop' must be a string or an array of strings");
        return;
    }
    size_t len = json_string_length(v);
    if (!len) return;
    if (j->n_stops == SCHED_MAX_STOPS || len > SCHED_MAX_STOP_TEXT) {
        read_fail(rd, "'stop' may hold %d texts of at most %d bytes", SCHED_MAX_STOPS,
                  SCHED_MAX_STOP_TEXT);
        return;
    }
    struct text_str *p = realloc(j->stops, (j->n_stops + 1) * sizeof *p);
    char *copy = p ? malloc(len) : NULL;
    if (p) j->stops = p;
    if (!copy) {
        read_fail(rd, "no memory for the stop texts");
        return;
    }
    memcpy(copy, json_string_value(v), len);
    j->stops[j->n_stops++] = (struct text_str){copy, len};
}

void job_read_stops(struct job *j, struct reader *rd, const char *key)
{
    const json_t *v = read_any(rd, key);
    if (!v) return;
    if (!json_is_array(v)) {
        add_stop(j, rd, v);
        return;
    }
    size_t i;
    json_t *item;
    json_array_foreach(v, i, item) add_stop(j, rd, item);
}

static void add_bias(struct job *j, struct reader *rd, json_int_t id, const json_t *value)
{
    enum { MOST = 4096 };
    double bias = json_is_false(value) ? -INFINITY : json_number_value(value);
    if (id < 0 || (size_t)id >= tokenizer_n_tokens(j->m->tok) || isnan(bias) ||
        (!json_is_number(value) && !json_is_false(value)) || j->q.sample.n_bias == MOST) {
        read_fail(
            rd,
            "'logit_bias' takes at most %d tokens of the vocabulary, each with a number or false",
            MOST);
        return;
    }
    if (bias <= -100) bias = -INFINITY; /* OpenAI: -100 bans */
    struct logit_bias *p = realloc(j->bias, (j->q.sample.n_bias + 1) * sizeof *p);
    if (!p) {
        read_fail(rd, "no memory for the logit biases");
        return;
    }
    j->bias = p;
    p[j->q.sample.n_bias++] = (struct logit_bias){(int32_t)id, (float)bias};
    j->q.sample.bias = p;
}

/* {"ID": bias} (OpenAI), [[ID or text, bias or false], ...] (llama.cpp). */
static void read_bias(struct job *j, struct reader *rd)
{
    const json_t *v = read_any(rd, "logit_bias");
    if (!v) return;
    const char *key;
    json_t *item;
    if (json_is_object(v)) {
        json_object_foreach((json_t *)v, key, item)
        {
            char *end;
            long long id = strtoll(key, &end, 10);
            add_bias(j, rd, *key && !*end ? id : -1, item);
        }
        return;
    }
    size_t i;
    if (!json_is_array(v)) read_fail(rd, "'logit_bias' must be an object or an array");
    json_array_foreach(v, i, item)
    {
        const json_t *what = json_array_get(item, 0), *bias = json_array_get(item, 1);
        if (json_is_integer(what)) {
            add_bias(j, rd, json_integer_value(what), bias);
        } else if (json_is_string(what)) {
            struct token_list ids = {0};
            if (tokenizer_encode_raw(j->m->tok, json_string_value(what), json_string_length(what),
                                     false, &ids, NULL) == OK)
                for (size_t k = 0; k < ids.len; k++) add_bias(j, rd, ids.ids[k], bias);
            token_list_fini(&ids);
        } else
            read_fail(rd, "'logit_bias' holds an entry that is no [token, bias]");
    }
}

/* Samplers that Hearth lacks: neutral values pass, others would silently change the text. */
static void refuse_unknown_samplers(struct reader *rd)
{
    static const struct {
        const char *key;
        double neutral;
    } others[] = {{"typical_p", 1},      {"typ_p", 1},           {"mirostat", 0},
                  {"dry_multiplier", 0}, {"xtc_probability", 0}, {"dynatemp_range", 0},
                  {"tfs_z", 1},          {"top_n_sigma", -1}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const json_t *v = read_any(rd, others[i].key);
        if (v && json_number_value(v) != others[i].neutral && json_number_value(v) != 0)
            read_fail(rd, "the sampler '%s' is not implemented; leave it out", others[i].key);
    }
}

struct integers {
    int64_t top_k, last_n, seed;
};

static void read_samplers(struct job *j, struct reader *rd, struct integers *n)
{
    struct sample_params *s = &j->q.sample;
    read_float(rd, "temperature", 0, 100, &s->temperature);
    read_float(rd, "top_p", 0, 1, &s->top_p);
    read_float(rd, "min_p", 0, 1, &s->min_p);
    read_int(rd, "top_k", -1, INT32_MAX, &n->top_k);
    read_float(rd, "repeat_penalty", 0.01, 100, &s->repeat_penalty);
    read_float(rd, "repetition_penalty", 0.01, 100, &s->repeat_penalty);
    read_float(rd, "presence_penalty", -2, 2, &s->presence_penalty);
    read_float(rd, "frequency_penalty", -2, 2, &s->frequency_penalty);
    read_int(rd, "repeat_last_n", -1, INT32_MAX, &n->last_n);
    read_int(rd, "seed", INT64_MIN, INT64_MAX, &n->seed);
}

/* The parameters that go with the model's name, for what the request leaves open. */
static void read_own(struct job *j, struct integers *n, bool stops)
{
    struct reader own = {.obj = json_object_get(j->m->settings, "parameters")};
    if (!own.obj) return;
    read_samplers(j, &own, n);
    if (stops) job_read_stops(j, &own, "stop");
}

void job_apply_limits(struct job *j)
{
    struct reader own = {.obj = json_object_get(j->m->settings, "parameters")};
    int64_t ctx = 0, most = -1;
    if (!own.obj) return;
    read_int(&own, "num_ctx", 1, INT32_MAX, &ctx);
    read_int(&own, "num_predict", -2, INT32_MAX, &most);
    if (ctx > 0 && (size_t)ctx < j->n_ctx) j->n_ctx = (size_t)ctx;
    /* Not an explicit wish: the server's own limit counts where it is less. */
    if (most >= 0) j->q.max_tokens = (size_t)most;
}

void job_read_sampling(struct job *j, struct reader *rd)
{
    struct sample_params *s = &j->q.sample;
    struct integers n = {s->top_k, s->penalty_last_n, -1};
    read_own(j, &n, !read_any(rd, "stop"));
    read_samplers(j, rd, &n);
    read_bool(rd, "ignore_eos", &j->q.ignore_end);
    s->top_k = n.top_k < 0 ? 0 : (int32_t)n.top_k;
    s->penalty_last_n = (int32_t)n.last_n;
    s->seed = (uint64_t)n.seed;
    if (n.seed < 0 && getrandom(&s->seed, sizeof s->seed, 0) != (ssize_t)sizeof s->seed)
        s->seed = (uint64_t)j->created;
    job_read_stops(j, rd, "stop");
    read_bias(j, rd);
    refuse_unknown_samplers(rd);
}

static void add_predicted(struct job *j, struct reader *rd, const json_t *text)
{
    if (rd->err.code) return;
    if (!json_is_string(text)) {
        read_fail(rd, "'prediction' must hold a string, or parts of type text");
        return;
    }
    tokenizer_encode_raw(j->m->tok, json_string_value(text), json_string_length(text), false,
                         &j->prediction, &rd->err);
}

void job_read_prediction(struct job *j, struct reader *rd)
{
    const json_t *p = read_object(rd, "prediction");
    if (!p) return;
    const char *type = json_string_value(json_object_get(p, "type"));
    const json_t *content = json_object_get(p, "content"), *part;
    size_t i;
    if (!type || strcmp(type, "content") != 0) {
        read_fail(rd, "'prediction' must be of type content");
        return;
    }
    if (json_is_array(content))
        json_array_foreach(content, i, part) add_predicted(j, rd, json_object_get(part, "text"));
    else
        add_predicted(j, rd, content);
    j->predicted = (struct token_span){j->prediction.ids, j->prediction.len};
    if (!j->predicted.n) return;
    j->q.corpus = &j->predicted;
    j->q.n_corpus = 1;
    j->q.predicts = true;
}
