#include "cli/run_remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/client.h"
#include "store/store.h"

/* The model's name where none is given; NULL: there is no default. Valid while the store is open.
 */
static const char *default_name(struct store *s)
{
    const char *env = getenv("HEARTH_MODEL");
    if (env && *env) return env;
    const struct catalogue_model *m = s ? catalogue_default(store_catalogue(s)) : NULL;
    return m ? m->name : NULL;
}

static bool is_file(const char *model)
{
    size_t n = strlen(model);
    return strchr(model, '/') || (n > 5 && strcmp(model + n - 5, ".gguf") == 0);
}

/* The server's own name of the model, malloc'd; NULL with a reason. */
static char *name_there(struct client *c, const char *model, struct error *err)
{
    json_t *answer;
    char path[300];
    /* Names have no characters that a path would have to escape. */
    for (const char *p = model; *p; p++)
        if (*p <= ' ' || (unsigned char)*p >= 0x7F || strchr("%?#\"", *p)) {
            error_set(err, ERR_INVALID, "%.100s is no model's name", model);
            return NULL;
        }
    snprintf(path, sizeof path, "/v1/models/%.200s", model);
    if (client_ask(c, path, NULL, &answer, err) != OK) return NULL;
    const char *id = json_string_value(json_object_get(answer, "id"));
    char *name = strdup(id ? id : model);
    if (!name) error_set(err, ERR_NOMEM, "out of memory");
    json_decref(answer);
    return name;
}

/* The numbers among the parameters that go with the name there. The rest of its settings the server adds itself. */
static json_t *own_there(struct client *c, const char *name)
{
    json_t *answer = NULL, *numbers = json_object();
    if (client_ask(c, "/api/show", json_pack("{s:s}", "model", name), &answer, &(struct error){0}) != OK) answer = NULL;
    const char *at = json_string_value(json_object_get(answer, "parameters"));
    for (; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
        char key[64], value[64], *end;
        if (sscanf(at, "%63[a-z_0-9] %63[^\n]", key, value) != 2) continue;
        long long whole = strtoll(value, &end, 10);
        double real = *end ? strtod(value, &end) : 0;
        if (*end || end == value) continue;
        json_object_set_new(numbers, key, strcspn(value, ".eE") == strlen(value) ? json_integer(whole) : json_real(real));
    }
    json_decref(answer);
    return json_pack("{s:o}", "parameters", numbers);
}

enum status run_remote_find(struct run *r, const char *address, struct error *err)
{
    struct client *c;
    struct store *s = NULL;
    enum status st = client_open(address, &c, err);
    if (st != OK) return st;
    bool named = client_is_named(c);
    if (!named && !client_finds_hearth(c)) {
        client_close(c);
        return OK;
    }
    store_open(NULL, &s, &(struct error){0});
    const char *model = r->model ? r->model : default_name(s);
    char *name = NULL;
    if (!model)
        st = error_set(err, ERR_INVALID, "there is no default model; name one");
    else if (is_file(model))
        st = named
                 ? error_set(err, ERR_INVALID, "a server takes an installed model's name, no path")
                 : ERR_NOT_FOUND;
    else if (!(name = name_there(c, model, err)))
        st = err->code;
    store_close(s);
    if (st == OK) {
        r->own = own_there(c, name);
        r->client = c;
        r->model = r->remote_name = name;
        return OK;
    }
    client_close(c);
    if (named) return st;
    *err = (struct error){0}; /* a server of other models: this one is loaded here */
    return OK;
}

/* ---- an answer --------------------------------------------------------------------------------
 */

struct remote {
    struct run *r;
    double start, first;
    enum status (*on_text)(void *ctx, bool reasoning, const char *text, size_t len);
    void *ctx;
    bool done;
};

static void take_figures(struct remote *m, const json_t *line)
{
    struct generate_result *g = &m->r->res;
    const char *why = json_string_value(json_object_get(line, "done_reason"));
    m->done = true;
    g->finish = why && strcmp(why, "length") == 0 ? FINISH_LENGTH : FINISH_STOP;
    g->n_prompt = (size_t)json_integer_value(json_object_get(line, "prompt_eval_count"));
    g->n_generated = (size_t)json_integer_value(json_object_get(line, "eval_count"));
    g->prefill_ms = 1e-6 * json_number_value(json_object_get(line, "prompt_eval_duration"));
    g->decode_ms = 1e-6 * json_number_value(json_object_get(line, "eval_duration"));
}

static enum status on_line(void *ctx, const json_t *line, struct error *err)
{
    struct remote *m = ctx;
    static const char *const kinds[] = {"thinking", "content"};
    const json_t *message = json_object_get(line, "message");
    for (int i = 0; i < 2; i++) {
        const json_t *v = json_object_get(message, kinds[i]);
        if (json_string_length(v) == 0) continue;
        if (m->first == 0) m->first = clock_now();
        enum status st = m->on_text(m->ctx, i == 0, json_string_value(v), json_string_length(v));
        if (st != OK) return err->code ? err->code : error_set(err, st, "no memory for the answer");
    }
    if (json_is_true(json_object_get(line, "done"))) take_figures(m, line);
    return OK;
}

static json_t *request_of(const struct run *r, uint64_t seed)
{
    const struct run_settings *s = &r->set;
    const json_t *last_n = json_object_get(json_object_get(r->own, "parameters"), "repeat_last_n");
    json_t *o =
        json_pack("{s:f, s:f, s:I, s:f, s:f, s:I, s:I}", "temperature", s->temperature, "top_p",
                  s->top_p, "top_k", (json_int_t)s->top_k, "min_p", s->min_p, "repeat_penalty",
                  s->repeat_penalty, "repeat_last_n", last_n ? json_integer_value(last_n) : (json_int_t)64, "seed",
                  (json_int_t)(seed & INT64_MAX));
    if (o && s->max_tokens) json_object_set_new(o, "num_predict", json_integer(s->max_tokens));
    return json_pack("{s:s, s:O, s:b, s:b, s:o}", "model", r->model, "messages", r->messages,
                     "stream", 1, "think", s->think, "options", o);
}

enum status run_remote_answer(struct run *r, const volatile int *cancel, uint64_t seed,
                              enum status (*on_text)(void *ctx, bool reasoning, const char *text,
                                                     size_t len),
                              void *ctx, struct error *err)
{
    struct remote m = {.r = r, .start = clock_now(), .on_text = on_text, .ctx = ctx};
    json_t *body = request_of(r, seed);
    r->res = (struct generate_result){0};
    if (!body) return error_set(err, ERR_NOMEM, "no memory for the conversation");
    enum status st = client_stream(r->client, "/api/chat", body, cancel, on_line, &m, err);
    if (m.first > 0) r->res.first_token_ms = 1e3 * (m.first - m.start);
    if (st == ERR_CANCELLED) {
        r->res.finish = FINISH_CANCELLED;
        *err = (struct error){0};
        return OK;
    }
    if (st == OK && !m.done)
        st = error_set(err, ERR_NETWORK, "the server ended before its answer did");
    return st;
}
