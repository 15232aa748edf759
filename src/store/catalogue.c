#include "store/catalogue.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "store/catalogue_int.h"
#include "store/name.h"
#include "store/source.h"

enum {
    MAX_FILE_BYTES = 4 << 20,
    MAX_MODELS = 1000,
    MAX_STRING = 255,
    MAX_SHAPE = 1 << 22,
};
#define MAX_MODEL_BYTES (UINT64_C(1) << 42)

/* data/catalogue.json, made by tools/embed.py. */
extern const unsigned char catalogue_builtin[];
extern const unsigned long catalogue_builtin_len;

struct catalogue {
    struct catalogue_model **models; /* owned */
    size_t len;
};

/* What is being read, for messages. */
struct reading {
    const char *where;
    const char *model; /* its name, or "models[N]" before that is known */
    struct error *err;
};

static enum status fault(const struct reading *r, const char *field, const char *what)
{
    return error_set(r->err, ERR_FORMAT, "%s: model %.80s: \"%s\" %s", r->where, r->model, field,
                     what);
}

static bool plain_text(const json_t *j)
{
    size_t len = json_string_length(j);
    const char *s = json_string_value(j);
    if (len == 0 || len > MAX_STRING) return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f) return false;
    return true;
}

static enum status get_text(const struct reading *r, const json_t *obj, const char *field,
                            const char **out)
{
    const json_t *j = json_object_get(obj, field);
    *out = NULL;
    if (!j || json_is_null(j)) return OK;
    if (!json_is_string(j) || !plain_text(j))
        return fault(r, field, "must be a string of 1 to 255 printable bytes");
    *out = json_string_value(j);
    return OK;
}

static enum status get_count(const struct reading *r, const json_t *obj, const char *field,
                             uint64_t max, uint64_t *out)
{
    const json_t *j = json_object_get(obj, field);
    *out = 0;
    if (!j || json_is_null(j)) return OK;
    if (!json_is_integer(j) || json_integer_value(j) <= 0 || (uint64_t)json_integer_value(j) > max)
        return fault(r, field, "must be a positive whole number of sensible size, or null");
    *out = (uint64_t)json_integer_value(j);
    return OK;
}

static enum status get_bool(const struct reading *r, const json_t *obj, const char *field,
                            bool *out)
{
    const json_t *j = json_object_get(obj, field);
    *out = json_is_true(j);
    if (j && !json_is_boolean(j)) return fault(r, field, "must be true or false");
    return OK;
}

static enum status get_shape(const struct reading *r, struct catalogue_model *m)
{
    const json_t *j = json_object_get(m->json, "shape");
    struct catalogue_shape *s = &m->shape;
    const struct {
        const char *field;
        uint32_t *value;
        bool needed;
    } fields[] = {
        {"layers", &s->layers, true},
        {"width", &s->width, true},
        {"feed_forward", &s->feed_forward, true},
        {"heads", &s->heads, true},
        {"kv_heads", &s->kv_heads, true},
        {"head_dim", &s->head_dim, true},
        {"vocabulary", &s->vocabulary, true},
        {"experts", &s->experts, false},
        {"experts_used", &s->experts_used, false},
        {"expert_ff", &s->expert_ff, false},
    };
    if (!j || json_is_null(j)) return OK;
    if (!json_is_object(j)) return fault(r, "shape", "must be an object");
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        uint64_t n;
        enum status st = get_count(r, j, fields[i].field, MAX_SHAPE, &n);
        if (st) return st;
        if (n == 0 && fields[i].needed) return fault(r, fields[i].field, "is missing in \"shape\"");
        *fields[i].value = (uint32_t)n;
    }
    if (s->experts && (s->experts_used < 1 || s->experts_used > s->experts || !s->expert_ff))
        return fault(r, "shape", "with \"experts\" needs \"experts_used\" and \"expert_ff\"");
    m->has_shape = true;
    enum status st = get_bool(r, j, "gated", &s->gated);
    return st ? st : get_bool(r, j, "tied", &s->tied);
}

static enum status get_percent(const struct reading *r, const json_t *obj, const char *field,
                               double *out)
{
    const json_t *j = json_object_get(obj, field);
    *out = 0;
    if (!j || json_is_null(j)) return OK;
    *out = json_number_value(j);
    if (!json_is_number(j) || !(*out > 0) || *out > 100)
        return fault(r, field, "must be a number above 0, at most 100, or null");
    return OK;
}

/* `names`: each must be a model name too. */
static enum status get_texts(const struct reading *r, const json_t *obj, const char *field,
                             bool names, size_t max, const char **out, size_t *n)
{
    const json_t *j = json_object_get(obj, field);
    *n = 0;
    if (!j) return OK;
    if (!json_is_array(j) || json_array_size(j) > max)
        return fault(r, field, "must be a list of at most 16 strings");
    for (size_t i = 0; i < json_array_size(j); i++) {
        const json_t *e = json_array_get(j, i);
        if (!json_is_string(e) || !plain_text(e) ||
            (names && !store_name_valid(json_string_value(e))))
            return fault(r, field, names ? "must hold model names" : "must hold plain strings");
        out[(*n)++] = json_string_value(e);
    }
    return OK;
}

static enum status get_sources(const struct reading *r, struct catalogue_model *m)
{
    const json_t *list = json_object_get(m->json, "sources");
    if (!list) return OK;
    if (!json_is_array(list) || json_array_size(list) > CATALOGUE_MAX_SOURCES)
        return fault(r, "sources", "must be a list of at most 16 objects");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *spec = json_array_get(list, i);
        const char *type = json_string_value(json_object_get(spec, "type"));
        if (!type) return fault(r, "sources", "must hold objects with a \"type\"");
        const struct source_type *t = source_type_find(type);
        if (!t)
            return error_set(r->err, ERR_FORMAT, "%s: model %.80s: unknown source type '%.40s'",
                             r->where, r->model, type);
        struct error why = {0};
        enum status st = t->check(spec, m->sha256, &why);
        if (st)
            return error_set(r->err, st, "%s: model %.80s: %s source: %s", r->where, r->model,
                             t->name, why.msg);
        m->sources[m->n_sources++] = (struct model_source){.type = t, .spec = spec};
    }
    return OK;
}

static enum status parse_fields(struct reading *r, struct catalogue_model *m)
{
    const json_t *j = m->json;
    if (!json_is_object(j)) return fault(r, "models", "must hold objects");
    const char *name;
    enum status st = get_text(r, j, "name", &name);
    if (st) return st;
    if (!name || !store_name_valid(name) || !strchr(name, ':'))
        return fault(r, "name", "must be family:tag in lower-case letters, digits, '.', '_', '-'");
    m->name = r->model = name;
    if ((st = get_text(r, j, "title", &m->title)) ||
        (st = get_text(r, j, "architecture", &m->architecture)) ||
        (st = get_text(r, j, "parameters", &m->parameters)) ||
        (st = get_text(r, j, "quantization", &m->quantization)) ||
        (st = get_text(r, j, "license", &m->license)) ||
        (st = get_text(r, j, "sha256", &m->sha256)) ||
        (st = get_count(r, j, "context", UINT64_C(1) << 31, &m->context)) ||
        (st = get_count(r, j, "bytes", MAX_MODEL_BYTES, &m->bytes)) ||
        (st = get_count(r, j, "approx_bytes", MAX_MODEL_BYTES, &m->approx_bytes)) ||
        (st = get_bool(r, j, "fim", &m->fim)) || (st = get_bool(r, j, "default", &m->is_default)) ||
        (st = get_percent(r, j, "quality", &m->quality)) || (st = get_shape(r, m)) ||
        (st = get_texts(r, j, "aliases", true, CATALOGUE_MAX_ALIASES, m->aliases, &m->n_aliases)) ||
        (st = get_texts(r, j, "tags", false, CATALOGUE_MAX_TAGS, m->tags, &m->n_tags)))
        return st;
    if (m->sha256 && !store_digest_valid(m->sha256))
        return fault(r, "sha256", "must be 64 lower-case hexadecimal digits, or null");
    return get_sources(r, m);
}

enum status catalogue_model_parse(json_t *json, const char *where, size_t index,
                                  struct catalogue_model *out, struct error *err)
{
    char label[32];
    snprintf(label, sizeof label, "number %zu", index + 1);
    struct reading r = {.where = where, .model = label, .err = err};
    *out = (struct catalogue_model){.json = json_incref(json)};
    enum status st = parse_fields(&r, out);
    if (st) catalogue_model_fini(out);
    return st;
}

void catalogue_model_fini(struct catalogue_model *m)
{
    json_decref(m->json);
    *m = (struct catalogue_model){0};
}

enum status catalogue_create(struct catalogue **out, struct error *err)
{
    *out = calloc(1, sizeof **out);
    return *out ? OK : error_set(err, ERR_NOMEM, "out of memory");
}

static void drop_models(struct catalogue *c, size_t keep)
{
    while (c->len > keep) {
        struct catalogue_model *m = c->models[--c->len];
        catalogue_model_fini(m);
        free(m);
    }
}

void catalogue_destroy(struct catalogue *c)
{
    if (!c) return;
    drop_models(c, 0);
    free(c->models);
    free(c);
}

static const struct catalogue_model *find_exact(const struct catalogue *c, size_t len,
                                                const char *name)
{
    for (size_t i = 0; i < len; i++)
        if (strcmp(c->models[i]->name, name) == 0) return c->models[i];
    return NULL;
}

static enum status add_model(struct catalogue *c, size_t earlier, json_t *json, const char *where,
                             size_t index, struct error *err)
{
    struct catalogue_model *m = malloc(sizeof *m);
    if (!m) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = catalogue_model_parse(json, where, index, m, err);
    if (st) {
        free(m);
        return st;
    }
    if (find_exact(c, earlier, m->name)) {
        catalogue_model_fini(m);
        free(m);
        return OK;
    }
    if (find_exact(c, c->len, m->name)) {
        st = error_set(err, ERR_FORMAT, "%s: model %s is listed twice", where, m->name);
        catalogue_model_fini(m);
        free(m);
        return st;
    }
    c->models[c->len++] = m;
    return OK;
}

enum status catalogue_add(struct catalogue *c, const char *text, size_t len, const char *where,
                          bool *replaces, struct error *err)
{
    if (replaces) *replaces = false;
    json_error_t je;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
    if (!root) return error_set(err, ERR_FORMAT, "%s: line %d: %s", where, je.line, je.text);
    enum status st = OK;
    size_t earlier = c->len;
    const json_t *list = json_object_get(root, "models");
    if (json_integer_value(json_object_get(root, "version")) != 1) {
        st = error_set(err, ERR_UNSUPPORTED, "%s: \"version\" must be 1", where);
        goto out;
    }
    if (!json_is_array(list) || json_array_size(list) > MAX_MODELS) {
        st = error_set(err, ERR_FORMAT, "%s: \"models\" must be a list of at most %d", where,
                       MAX_MODELS);
        goto out;
    }
    size_t want = c->len + json_array_size(list) + 1;
    struct catalogue_model **grown = realloc(c->models, want * sizeof *grown);
    if (!grown) {
        st = error_set(err, ERR_NOMEM, "out of memory");
        goto out;
    }
    c->models = grown;
    for (size_t i = 0; st == OK && i < json_array_size(list); i++)
        st = add_model(c, earlier, json_array_get(list, i), where, i, err);
    if (replaces) *replaces = json_is_true(json_object_get(root, "replace"));
out:
    if (st) drop_models(c, earlier);
    json_decref(root);
    return st;
}

enum status catalogue_load(const char *user_path, struct catalogue **out, struct error *err)
{
    struct buf text;
    buf_init(&text, MAX_FILE_BYTES);
    bool alone = false;
    enum status st = catalogue_create(out, err);
    if (st == OK && user_path && file_exists(user_path)) {
        st = file_read_all(user_path, &text, err);
        if (st == OK)
            st = catalogue_add(*out, text.data ? text.data : "", text.len, user_path, &alone, err);
    }
    if (st == OK && !alone)
        st = catalogue_add(*out, (const char *)catalogue_builtin, catalogue_builtin_len,
                           "built-in catalogue", NULL, err);
    buf_fini(&text);
    if (st) {
        catalogue_destroy(*out);
        *out = NULL;
    }
    return st;
}

size_t catalogue_n_models(const struct catalogue *c)
{
    return c->len;
}

const struct catalogue_model *catalogue_at(const struct catalogue *c, size_t i)
{
    return c->models[i];
}

const struct catalogue_model *catalogue_find(const struct catalogue *c, const char *name)
{
    const struct catalogue_model *m = find_exact(c, c->len, name);
    for (size_t i = 0; !m && i < c->len; i++)
        for (size_t k = 0; !m && k < c->models[i]->n_aliases; k++)
            if (strcmp(c->models[i]->aliases[k], name) == 0) m = c->models[i];
    return m;
}

const struct catalogue_model *catalogue_default(const struct catalogue *c)
{
    for (size_t i = 0; i < c->len; i++)
        if (c->models[i]->is_default) return c->models[i];
    return NULL;
}
