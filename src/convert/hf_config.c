#include "convert/hf_config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "convert/json_text.h"

enum { MAX_JSON = 16 << 20 };

/* jansson itself refuses what is nested deeper than 2048. */
static enum status parse(const char *text, size_t len, const char *path, json_t **out,
                         struct error *err)
{
    json_error_t je;
    *out = json_text_parse(text, len, JSON_REJECT_DUPLICATES, &je);
    if (!*out) return error_set(err, ERR_FORMAT, "%s: line %d: %s", path, je.line, je.text);
    return OK;
}

static enum status load(const char *path, json_t **out, struct error *err)
{
    struct buf text;
    buf_init(&text, MAX_JSON);
    *out = NULL;
    enum status st = file_read_all(path, &text, err);
    if (!st) st = parse(text.data ? text.data : "", text.len, path, out, err);
    buf_fini(&text);
    return st;
}

enum status hf_json_load(const char *folder, const char *file, json_t **out, struct error *err)
{
    char *path;
    *out = NULL;
    if (asprintf(&path, "%s/%s", folder, file) < 0)
        return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = file_exists(path) ? load(path, out, err) : OK;
    free(path);
    return st;
}

static enum status adopt(struct hf_config *c, struct error *err)
{
    static const char *const parts[] = {"text_config", "llm_config", "language_config"};
    if (!json_is_object(c->json))
        return error_set(err, ERR_FORMAT, "%s: it is no JSON object", c->path);
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !c->text; i++) {
        const json_t *part = json_object_get(c->json, parts[i]);
        if (json_is_object(part)) c->text = part;
    }
    const json_t *classes = json_object_get(c->json, "architectures");
    c->class = json_string_value(json_array_get(classes, 0));
    if (!c->class && c->text)
        c->class = json_string_value(json_array_get(json_object_get(c->text, "architectures"), 0));
    if (!c->class)
        return error_set(err, ERR_FORMAT,
                         "%s: it does not tell the model's class (\"architectures\")", c->path);
    return OK;
}

enum status hf_config_parse(const char *text, size_t len, const char *path, struct hf_config *out,
                            struct error *err)
{
    *out = (struct hf_config){.path = strdup(path)};
    enum status st = out->path ? parse(text, len, path, &out->json, err)
                               : error_set(err, ERR_NOMEM, "out of memory");
    if (!st) st = adopt(out, err);
    if (st) hf_config_fini(out);
    return st;
}

enum status hf_config_load(const char *folder, struct hf_config *out, struct error *err)
{
    *out = (struct hf_config){0};
    if (asprintf(&out->path, "%s/config.json", folder) < 0) {
        out->path = NULL;
        return error_set(err, ERR_NOMEM, "out of memory");
    }
    enum status st = load(out->path, &out->json, err);
    if (st == ERR_NOT_FOUND) error_prefix(err, "this is no folder of a Hugging Face model");
    if (!st) st = adopt(out, err);
    if (st) hf_config_fini(out);
    return st;
}

void hf_config_fini(struct hf_config *c)
{
    json_decref(c->json);
    free(c->path);
    *c = (struct hf_config){0};
}

/* ---- fields -----------------------------------------------------------------------------------
 */

/* The first of the '|'-separated names that the object has, NULL too for null. */
static const json_t *field(const json_t *object, const char *names)
{
    char name[64];
    for (const char *p = names; object && *p;) {
        size_t n = strcspn(p, "|");
        if (n < sizeof name) {
            memcpy(name, p, n);
            name[n] = 0;
            const json_t *v = json_object_get(object, name);
            if (v && !json_is_null(v)) return v;
        }
        p += n + (p[n] == '|');
    }
    return NULL;
}

const json_t *hf_config_get(const struct hf_config *c, const char *names)
{
    const json_t *v = field(c->text, names);
    return v ? v : field(c->json, names);
}

static bool wrong(const struct hf_config *c, const char *names, const char *what, struct error *err)
{
    if (err && !err->code)
        error_set(err, ERR_FORMAT, "%s: \"%.*s\" is %s", c->path, (int)strcspn(names, "|"), names,
                  what);
    return false;
}

static bool to_f64(const struct hf_config *c, const json_t *v, const char *names, double *out,
                   struct error *err)
{
    if (!v) return false;
    if (!json_is_number(v) || !isfinite(json_number_value(v)))
        return wrong(c, names, "no number", err);
    *out = json_number_value(v);
    return true;
}

bool hf_config_u32(const struct hf_config *c, const char *names, uint32_t *out, struct error *err)
{
    double d;
    if (!to_f64(c, hf_config_get(c, names), names, &d, err)) return false;
    if (d < 0 || d > INT32_MAX || d != floor(d))
        return wrong(c, names, "no whole number from 0 to 2147483647", err);
    *out = (uint32_t)d;
    return true;
}

bool hf_config_f64(const struct hf_config *c, const char *names, double *out, struct error *err)
{
    return to_f64(c, hf_config_get(c, names), names, out, err);
}

bool hf_config_bool(const struct hf_config *c, const char *names, bool *out, struct error *err)
{
    const json_t *v = hf_config_get(c, names);
    if (!v) return false;
    if (!json_is_boolean(v)) return wrong(c, names, "neither true nor false", err);
    *out = json_is_true(v);
    return true;
}

bool hf_config_str(const struct hf_config *c, const char *names, const char **out,
                   struct error *err)
{
    const json_t *v = hf_config_get(c, names);
    if (!v) return false;
    if (!json_is_string(v)) return wrong(c, names, "no text", err);
    *out = json_string_value(v);
    return true;
}

/* ---- positions --------------------------------------------------------------------------------
 */

bool hf_rope_f64(const struct hf_config *c, const struct hf_rope *r, const char *name, double *out,
                 struct error *err)
{
    return to_f64(c, field(r->of, name), name, out, err);
}

enum status hf_config_rope(const struct hf_config *c, struct hf_rope *out, struct error *err)
{
    struct error why = {0};
    *out = (struct hf_rope){.type = "default", .partial = 1};
    const json_t *given = hf_config_get(c, "rope_parameters|rope_scaling");
    const json_t *full = field(given, "full_attention"), *local = field(given, "sliding_attention");
    out->of = full ? full : json_is_object(given) ? given : NULL;
    const char *type = json_string_value(field(out->of, "rope_type|type"));
    if (type) snprintf(out->type, sizeof out->type, "%s", type);
    if (strcmp(out->type, "su") == 0) strcpy(out->type, "longrope"); /* Phi-3's first name for it */
    if (!hf_rope_f64(c, out, "rope_theta", &out->theta, &why))
        hf_config_f64(c, "global_rope_theta|rope_theta|rotary_emb_base", &out->theta, &why);
    if (!to_f64(c, field(local, "rope_theta"), "rope_theta", &out->theta_local, &why))
        hf_config_f64(c, "local_rope_theta|rope_local_base_freq", &out->theta_local, &why);
    hf_rope_f64(c, out, "factor", &out->factor, &why);
    if (!hf_rope_f64(c, out, "partial_rotary_factor", &out->partial, &why))
        hf_config_f64(c, "partial_rotary_factor|rope_pct", &out->partial, &why);
    if (out->partial <= 0 || out->partial > 1)
        wrong(c, "partial_rotary_factor", "not in (0, 1]", &why);
    if (out->theta < 0) wrong(c, "rope_theta", "negative", &why);
    return why.code ? error_set(err, why.code, "%s", why.msg) : OK;
}
