#include "store/settings.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names: Ollama's api/types.go (Options, Runner). Those of how a model is loaded say nothing here.
 */
static const struct parameter parameters[] = {
    {"temperature", PARAMETER_FLOAT, 0, 100, false},
    {"top_k", PARAMETER_INT, -1, INT32_MAX, false},
    {"top_p", PARAMETER_FLOAT, 0, 1, false},
    {"min_p", PARAMETER_FLOAT, 0, 1, false},
    {"repeat_penalty", PARAMETER_FLOAT, 0.01, 100, false},
    {"presence_penalty", PARAMETER_FLOAT, -2, 2, false},
    {"frequency_penalty", PARAMETER_FLOAT, -2, 2, false},
    {"repeat_last_n", PARAMETER_INT, -1, INT32_MAX, false},
    {"seed", PARAMETER_INT, -9e18, 9e18, false},
    {"stop", PARAMETER_TEXTS, 0, 0, false},
    {"num_predict", PARAMETER_INT, -2, INT32_MAX, false},
    {"num_ctx", PARAMETER_INT, 1, INT32_MAX, false},
    {"typical_p", PARAMETER_FLOAT, 0, 1, false},
    {"num_keep", PARAMETER_INT, -1, INT32_MAX, true},
    {"num_batch", PARAMETER_INT, 0, INT32_MAX, true},
    {"num_gpu", PARAMETER_INT, -1, INT32_MAX, true},
    {"main_gpu", PARAMETER_INT, -1, INT32_MAX, true},
    {"num_thread", PARAMETER_INT, 0, INT32_MAX, true},
    {"use_mmap", PARAMETER_BOOL, 0, 0, true},
    {"draft_num_predict", PARAMETER_INT, 0, INT32_MAX, true},
    /* Of older versions; Ollama takes them with a warning. */
    {"penalize_newline", PARAMETER_BOOL, 0, 0, true},
    {"low_vram", PARAMETER_BOOL, 0, 0, true},
    {"f16_kv", PARAMETER_BOOL, 0, 0, true},
    {"logits_all", PARAMETER_BOOL, 0, 0, true},
    {"vocab_only", PARAMETER_BOOL, 0, 0, true},
    {"use_mlock", PARAMETER_BOOL, 0, 0, true},
    {"numa", PARAMETER_BOOL, 0, 0, true},
    {"mirostat", PARAMETER_INT, 0, 2, true},
    {"mirostat_tau", PARAMETER_FLOAT, 0, 1e9, true},
    {"mirostat_eta", PARAMETER_FLOAT, 0, 1e9, true},
    {"tfs_z", PARAMETER_FLOAT, 0, 1e9, true},
};

const struct parameter *parameter_find(const char *name)
{
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++)
        if (strcmp(parameters[i].name, name) == 0) return &parameters[i];
    return NULL;
}

static json_t *parse_number(const struct parameter *p, const char *text)
{
    char *end;
    errno = 0;
    if (p->kind == PARAMETER_INT) {
        long long v = strtoll(text, &end, 10);
        return *end || end == text || errno ? NULL : json_integer(v);
    }
    double v = strtod(text, &end);
    return *end || end == text || !isfinite(v) ? NULL : json_real(v);
}

json_t *parameter_parse(const struct parameter *p, const char *text, size_t len, struct error *err)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"true", true},   {"1", true},  {"t", true},
                 {"false", false}, {"0", false}, {"f", false}};
    char word[64];
    json_t *v = NULL;
    if (p->kind == PARAMETER_TEXTS) {
        v = json_stringn(text, len);
        if (!v) error_set(err, ERR_FORMAT, "%s is no UTF-8 text", p->name);
        return v;
    }
    snprintf(word, sizeof word, "%.*s", len < sizeof word ? (int)len : 0, text);
    if (p->kind == PARAMETER_BOOL) {
        for (size_t i = 0; i < sizeof words / sizeof words[0] && !v; i++)
            if (strcmp(word, words[i].word) == 0) v = json_boolean(words[i].value);
    } else {
        v = parse_number(p, word);
    }
    if (!v)
        error_set(err, ERR_FORMAT, "%s takes %s, not '%.60s'", p->name,
                  p->kind == PARAMETER_BOOL  ? "true or false"
                  : p->kind == PARAMETER_INT ? "a whole number"
                                             : "a number",
                  word);
    return v;
}

/* ---- checks -----------------------------------------------------------------------------------
 */

static enum status check_texts(const json_t *list, const char *name, struct error *err)
{
    size_t i;
    json_t *v;
    if (!json_is_array(list))
        return error_set(err, ERR_INVALID, "'%s' must be a list of texts", name);
    json_array_foreach(list, i, v) if (!json_is_string(v)) return error_set(
        err, ERR_INVALID, "'%s' must be a list of texts", name);
    return OK;
}

static enum status check_parameter(const char *name, const json_t *v, struct error *err)
{
    const struct parameter *p = parameter_find(name);
    if (!p) return error_set(err, ERR_INVALID, "there is no parameter '%.60s'", name);
    if (p->kind == PARAMETER_TEXTS) return check_texts(v, name, err);
    bool fits = p->kind == PARAMETER_BOOL  ? json_is_boolean(v)
                : p->kind == PARAMETER_INT ? json_is_integer(v)
                                           : json_is_number(v);
    double x = json_number_value(v);
    if (!fits)
        return error_set(err, ERR_INVALID, "parameter %s has a value of the wrong type", name);
    if (p->kind != PARAMETER_BOOL && !(x >= p->min && x <= p->max))
        return error_set(err, ERR_INVALID, "parameter %s must be between %g and %g", name, p->min,
                         p->max);
    if (strcmp(name, "typical_p") == 0 && x != 0 && x != 1)
        return error_set(err, ERR_UNSUPPORTED,
                         "the sampler typical_p is not implemented; leave it out");
    return OK;
}

static enum status check_messages(const json_t *list, struct error *err)
{
    size_t i;
    json_t *m;
    if (!json_is_array(list) || json_array_size(list) > SETTINGS_MAX_MESSAGES)
        return error_set(err, ERR_INVALID, "'messages' must be a list of at most %d messages",
                         SETTINGS_MAX_MESSAGES);
    json_array_foreach(list, i, m)
    {
        const char *role = json_string_value(json_object_get(m, "role"));
        if (!role || (strcmp(role, "system") != 0 && strcmp(role, "user") != 0 &&
                      strcmp(role, "assistant") != 0))
            return error_set(err, ERR_INVALID,
                             "message %zu has no role of system, user and assistant", i);
        if (!json_is_string(json_object_get(m, "content")))
            return error_set(err, ERR_INVALID, "message %zu has no text", i);
    }
    return OK;
}

static enum status check_member(const char *key, const json_t *v, struct error *err)
{
    static const char *const texts[] = {"template", "system", "requires", "parent"};
    const char *name;
    json_t *value;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(key, texts[i]) == 0)
            return json_is_string(v) ? OK : error_set(err, ERR_INVALID, "'%s' must be a text", key);
    if (strcmp(key, "license") == 0) return check_texts(v, key, err);
    if (strcmp(key, "messages") == 0) return check_messages(v, err);
    if (strcmp(key, "adapters") == 0) {
        enum status st = check_texts(v, key, err);
        if (st != OK || json_array_size(v) == 0) return st;
        return error_set(
            err, ERR_UNSUPPORTED,
            "adapters (LoRA) cannot be applied yet, so a model with one would answer as if "
            "it had none; merge it into the model's weights first");
    }
    if (strcmp(key, "parameters") != 0)
        return error_set(err, ERR_INVALID, "a model's settings have no '%.60s'", key);
    if (!json_is_object(v)) return error_set(err, ERR_INVALID, "'parameters' must be an object");
    json_object_foreach((json_t *)v, name, value)
    {
        enum status st = check_parameter(name, value, err);
        if (st != OK) return st;
    }
    return OK;
}

enum status settings_check(const json_t *settings, struct error *err)
{
    const char *key;
    json_t *v;
    if (!settings) return OK;
    if (!json_is_object(settings))
        return error_set(err, ERR_INVALID, "a model's settings must be an object");
    json_object_foreach((json_t *)settings, key, v)
    {
        enum status st = check_member(key, v, err);
        if (st != OK) return st;
    }
    size_t n = json_dumpb(settings, NULL, 0, JSON_COMPACT);
    if (n > SETTINGS_MAX_BYTES)
        return error_set(err, ERR_LIMIT,
                         "template, messages and licence take %zu bytes, more than %d", n,
                         SETTINGS_MAX_BYTES);
    return OK;
}

json_t *settings_merge(const json_t *base, const json_t *over)
{
    json_t *out = base ? json_deep_copy(base) : json_object();
    const char *key;
    json_t *v;
    if (!out || !over) return out;
    json_object_foreach((json_t *)over, key, v)
    {
        json_t *there = json_object_get(out, key);
        int rc = strcmp(key, "parameters") == 0 && there
                     ? json_object_update(there, v)
                     : json_object_set_new(out, key, json_deep_copy(v));
        if (rc != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

/* ---- for people -------------------------------------------------------------------------------
 */

static enum status print_value(struct buf *out, const char *name, const json_t *v)
{
    enum status st = buf_printf(out, "%-30s ", name);
    if (st != OK) return st;
    if (json_is_string(v)) {
        char *quoted = json_dumps(v, JSON_ENCODE_ANY);
        st = quoted ? buf_append_str(out, quoted) : ERR_NOMEM;
        free(quoted);
    } else if (json_is_boolean(v)) {
        st = buf_append_str(out, json_is_true(v) ? "true" : "false");
    } else if (json_is_integer(v)) {
        st = buf_printf(out, "%lld", (long long)json_integer_value(v));
    } else {
        st = buf_printf(out, "%.15g", json_number_value(v));
    }
    return st == OK ? buf_append_str(out, "\n") : st;
}

enum status settings_print_parameters(const json_t *settings, struct buf *out, struct error *err)
{
    const char *name;
    json_t *v, *one;
    size_t i;
    enum status st = OK;
    json_object_foreach(json_object_get(settings, "parameters"), name, v)
    {
        if (json_is_array(v))
            json_array_foreach(v, i, one) st = st == OK ? print_value(out, name, one) : st;
        else if (st == OK)
            st = print_value(out, name, v);
    }
    return st == OK ? OK : error_set(err, st, "no memory for the parameters");
}
