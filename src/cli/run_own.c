/* What goes with a model's name, for `hearth run`. */
#include <math.h>
#include <string.h>

#include "cli/run.h"

static const struct {
    const char *name;
    double value;
} usual[] = {
    {"temperature", 0.7}, {"top_p", 0.95}, {"top_k", 40}, {"min_p", 0}, {"repeat_penalty", 1}};

static double usual_value(const char *name)
{
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        if (strcmp(usual[i].name, name) == 0) return usual[i].value;
    return 0;
}

static void fill(const json_t *own, const char *name, double *value)
{
    const json_t *v = json_object_get(own, name);
    if (isnan(*value)) *value = json_is_number(v) ? json_number_value(v) : usual_value(name);
}

static int64_t whole(const json_t *own, const char *name, int64_t otherwise)
{
    const json_t *v = json_object_get(own, name);
    return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

enum status run_fill_settings(struct run *r, int64_t *ctx, struct error *err)
{
    struct run_settings *s = &r->set;
    const json_t *own = json_object_get(r->own, "parameters"),
                 *stops = json_object_get(own, "stop");
    fill(own, "temperature", &s->temperature);
    fill(own, "top_p", &s->top_p);
    fill(own, "min_p", &s->min_p);
    fill(own, "repeat_penalty", &s->repeat_penalty);
    if (s->top_k < 0) s->top_k = whole(own, "top_k", (int64_t)usual_value("top_k"));
    if (s->seed < 0) s->seed = whole(own, "seed", -1);
    if (s->max_tokens == 0 && (s->max_tokens = whole(own, "num_predict", 0)) < 0) s->max_tokens = 0;
    if (*ctx == 0) *ctx = whole(own, "num_ctx", 0);
    for (size_t i = 0;
         i < json_array_size(stops) && s->n_stops < sizeof s->stops / sizeof s->stops[0]; i++) {
        const json_t *v = json_array_get(stops, i);
        if (json_string_length(v))
            s->stops[s->n_stops++] = (struct text_str){json_string_value(v), json_string_length(v)};
    }
    const char *role = json_string_value(json_object_get(json_array_get(r->messages, 0), "role"));
    if (role && strcmp(role, "system") == 0) return OK;
    return run_set_system(r, json_string_value(json_object_get(r->own, "system")), err);
}

json_t *run_all_messages(const struct run *r)
{
    json_t *more = json_object_get(r->own, "messages"), *all = json_array(), *m;
    const char *role = json_string_value(json_object_get(json_array_get(r->messages, 0), "role"));
    size_t i, system = role && strcmp(role, "system") == 0;
    bool ok = all != NULL;
    json_array_foreach(r->messages, i, m)
    {
        if (ok && i == system && more) ok = json_array_extend(all, more) == 0;
        ok = ok && json_array_append(all, m) == 0;
    }
    if (ok) return all;
    json_decref(all);
    return NULL;
}
