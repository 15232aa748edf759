/* Which weight becomes which tensor. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "convert/import_int.h"
#include "gguf/gguf_names.h"
#include "quant/quant.h"

enum { MAX_TENSOR_NAME = 64 - 1 }; /* ggml's GGML_MAX_NAME */

struct planner {
    struct hf_model *m;
    struct hf_sources *sources;
    const struct import_options *o;
    struct import_plan *plan;
    uint32_t *seen;           /* [rules]: layers that the rule found a weight of */
    size_t n_other, n_behind; /* left out: other modalities, layers behind the last */
    struct error *err;
};

/* What '#', '@' and '*' stood for. */
struct match {
    uint64_t layer, expert;
    const char *tail;
};

/* Digits without a leading zero, up to 9 of them. */
static bool take_number(const char **p, uint64_t *out)
{
    size_t n = strspn(*p, "0123456789");
    if (n == 0 || n > 9 || (n > 1 && **p == '0')) return false;
    *out = strtoull(*p, NULL, 10);
    *p += n;
    return true;
}

static bool matches(const char *pattern, const char *name, struct match *m)
{
    *m = (struct match){0, 0, NULL};
    for (; *pattern; pattern++) {
        if (*pattern == '#') {
            if (!take_number(&name, &m->layer)) return false;
        } else if (*pattern == '@') {
            if (!take_number(&name, &m->expert)) return false;
        } else if (*pattern == '*') {
            m->tail = name;
            return strcmp(name, "weight") == 0 || strcmp(name, "bias") == 0;
        } else if (*pattern != *name++) {
            return false;
        }
    }
    return *name == 0;
}

static void fill(const char *pattern, const struct match *m, char *dst, size_t cap)
{
    size_t n = 0;
    for (; *pattern && n + 1 < cap; pattern++) {
        if (*pattern == '#')
            n += (size_t)snprintf(dst + n, cap - n, "%" PRIu64, m->layer);
        else if (*pattern == '*')
            n += (size_t)snprintf(dst + n, cap - n, "%s", m->tail);
        else
            dst[n++] = *pattern;
    }
    dst[n < cap ? n : cap - 1] = 0;
}

/* ---- names ------------------------------------------------------------------------------------
 */

static bool drop_prefix(const char **name, const char *prefix)
{
    size_t n = strlen(prefix);
    if (strncmp(*name, prefix, n) != 0) return false;
    *name += n;
    return true;
}

/* A weight's name as the rules spell it: multimodal models put the language model into a part of
 * its own, models with a head put an encoder into one, and BERT's first files name norms otherwise.
 */
static void plain_name(const struct hf_model *m, const char *name, char *dst, size_t cap)
{
    size_t class = strlen(m->config.class);
    bool headless = class > 5 && strcmp(m->config.class + class - 5, "Model") == 0;
    const char *prefix = "";
    if (drop_prefix(&name, "model.language_model."))
        prefix = "model.";
    else if (m->arch->encoder && !drop_prefix(&name, "bert."))
        drop_prefix(&name, "roberta.");
    else
        drop_prefix(&name, "language_model.");
    if (headless && m->arch->without_prefix &&
        strncmp(name, m->arch->without_prefix, strlen(m->arch->without_prefix)) != 0)
        prefix = m->arch->without_prefix;
    snprintf(dst, cap, "%s%s", prefix, name);
    size_t n = strlen(dst);
    if (m->arch->encoder && n > 6 && strcmp(dst + n - 6, ".gamma") == 0)
        snprintf(dst + n - 6, 8, ".weight");
    if (m->arch->encoder && n > 5 && strcmp(dst + n - 5, ".beta") == 0)
        snprintf(dst + n - 5, 6, ".bias");
}

static bool is_other_modality(const char *name)
{
    static const char *const prefixes[] = {
        "vision_tower.",          "vision_model.",
        "multi_modal_projector.", "visual.",
        "audio_tower.",           "model.vision_tower.",
        "model.vision_model.",    "model.multi_modal_projector.",
        "model.visual.",
    };
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0) return true;
    return false;
}

/* ---- tensors ----------------------------------------------------------------------------------
 */

static enum status no_memory(struct error *err)
{
    return error_set(err, ERR_NOMEM, "out of memory");
}

static struct import_tensor *find(struct import_plan *p, const char *name)
{
    /* Experts come one after the other: the newest is looked at first. */
    for (size_t i = p->n; i-- > 0;)
        if (strcmp(p->v[i].name.data, name) == 0) return &p->v[i];
    return NULL;
}

static struct import_tensor *add_tensor(struct import_plan *p, const char *name)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 256;
        struct import_tensor *v = reallocarray(p->v, cap, sizeof *v);
        if (!v) return NULL;
        p->v = v;
        p->cap = cap;
    }
    char *copy = strdup(name);
    if (!copy) return NULL;
    p->v[p->n] = (struct import_tensor){.name = {copy, strlen(copy)}};
    return &p->v[p->n++];
}

static enum status grow_parts(struct import_tensor *t, size_t n, struct error *err)
{
    if (n <= t->cap_parts) return OK;
    size_t cap = t->cap_parts ? 2 * t->cap_parts : 1;
    while (cap < n) cap *= 2;
    struct hf_view *v = reallocarray(t->parts, cap, sizeof *v);
    if (!v) return no_memory(err);
    memset(v + t->cap_parts, 0, (cap - t->cap_parts) * sizeof *v);
    t->parts = v;
    t->cap_parts = cap;
    return OK;
}

static enum status add_part(struct planner *p, const struct hf_rule *rule, const struct match *m,
                            const struct hf_source *src)
{
    char name[256];
    bool expert = strchr(rule->from, '@') != NULL;
    struct hf_view view;
    fill(rule->to, m, name, sizeof name);
    enum status st = hf_view_init(&view, src, p->err);
    if (!st && rule->fix) st = rule->fix(p->m, &view, p->err);
    if (st) return st;
    if (strlen(name) > MAX_TENSOR_NAME)
        return error_set(p->err, ERR_LIMIT, "tensor '%s' has a name longer than llama.cpp reads",
                         name);
    struct import_tensor *t = find(p->plan, name);
    if (t && !expert)
        return error_set(p->err, ERR_FORMAT,
                         "two weights become tensor '%s'; one of them is '%.200s'", name,
                         src->name.data);
    if (expert && m->expert >= p->m->n_expert)
        return error_set(p->err, ERR_FORMAT,
                         "weight '%.200s' is of an expert behind the config's %" PRIu32,
                         src->name.data, p->m->n_expert);
    if (!t && !(t = add_tensor(p->plan, name))) return no_memory(p->err);
    size_t at = expert ? m->expert : 0;
    if ((st = grow_parts(t, at + 1, p->err))) return st;
    if (t->parts[at].src)
        return error_set(p->err, ERR_FORMAT, "expert %zu of tensor '%s' is there twice", at, name);
    t->parts[at] = view;
    if (at + 1 > t->n_parts) t->n_parts = at + 1;
    return OK;
}

/* Quantizers give every matrix a bias, of zeros where the model has none. */
static bool is_zero_bias(const struct hf_source *s)
{
    if (s->kind != HF_PLAIN || s->name.len < 5 ||
        strcmp(s->name.data + s->name.len - 5, ".bias") != 0)
        return false;
    for (uint64_t i = 0; i < s->data->size; i++)
        if (s->data->data[i]) return false;
    return true;
}

static enum status place_source(struct planner *p, struct hf_source *src)
{
    char name[1200];
    plain_name(p->m, src->name.data, name, sizeof name);
    bool known = false;
    for (size_t i = 0; p->m->arch->rules[i].from; i++) {
        const struct hf_rule *rule = &p->m->arch->rules[i];
        struct match m;
        if (!matches(rule->from, name, &m)) continue;
        known = true;
        if (!rule->to) continue;
        if (strchr(rule->from, '#') && m.layer >= p->m->n_layer) {
            p->n_behind++;
            continue;
        }
        /* A copy of the embedding, which readers take where there is no output matrix. */
        if (strcmp(rule->to, "output.weight") == 0 && p->m->tied) continue;
        enum status st = add_part(p, rule, &m, src);
        if (st) return st;
        src->used = true;
        if (!m.tail || strcmp(m.tail, "weight") == 0)
            if (m.expert == 0) p->seen[i]++;
    }
    if (known || is_zero_bias(src)) return OK;
    if (is_other_modality(src->name.data)) {
        p->n_other++;
        return OK;
    }
    return error_set(p->err, ERR_UNSUPPORTED,
                     "weight '%.200s' is not one that %s models have; a model of another form "
                     "cannot be imported",
                     src->name.data, p->m->arch->name);
}

/* ---- is it all there --------------------------------------------------------------------------
 */

static enum status check_tensor(const struct planner *p, const struct import_tensor *t)
{
    for (size_t i = 0; i < t->n_parts; i++) {
        const struct hf_view *v = &t->parts[i], *first = &t->parts[0];
        if (!v->src)
            return error_set(p->err, ERR_FORMAT, "expert %zu of tensor '%s' is missing", i,
                             t->name.data);
        if (v->rows != first->rows || v->cols != first->cols || v->n != first->n ||
            v->n_dims != first->n_dims)
            return error_set(p->err, ERR_FORMAT,
                             "weight '%.200s' has another shape than the other experts",
                             v->src->name.data);
    }
    if (t->n_parts > 1 && (t->n_parts != p->m->n_expert || t->parts[0].n_dims != 2))
        return error_set(p->err, ERR_FORMAT, "tensor '%s' has %zu experts of %" PRIu32,
                         t->name.data, t->n_parts, p->m->n_expert);
    return OK;
}

static enum status check_complete(const struct planner *p)
{
    uint32_t width = 0;
    const struct import_tensor *embd = find(p->plan, "token_embd.weight");
    enum status st = OK;
    for (size_t i = 0; p->m->arch->rules[i].from; i++)
        if (p->m->arch->rules[i].every_layer && p->seen[i] != p->m->n_layer)
            return error_set(p->err, ERR_FORMAT,
                             "%" PRIu32 " of %" PRIu32 " layers have no weight '%s'",
                             p->m->n_layer - p->seen[i], p->m->n_layer, p->m->arch->rules[i].from);
    if (!embd)
        return error_set(p->err, ERR_FORMAT, "%s: no token embedding among the weights",
                         p->m->folder);
    hf_config_u32(&p->m->config, "hidden_size|n_embd", &width, NULL);
    if (embd->parts[0].n_dims != 2 || embd->parts[0].cols != width)
        return error_set(p->err, ERR_FORMAT,
                         "the token embedding is not %" PRIu32 " wide, as the config says", width);
    for (size_t i = 0; i < p->plan->n && !st; i++) st = check_tensor(p, &p->plan->v[i]);
    return st;
}

/* ---- shapes -----------------------------------------------------------------------------------
 */

static void finish_shape(struct import_tensor *t)
{
    enum { CHUNK_FLOATS = 1 << 18, PACKED_ROWS = 16 };
    const struct hf_view *v = t->parts;
    if (t->values) {
        t->rows = t->part_rows = 1;
        t->cols = t->ne[0];
    } else {
        t->part_rows = v->n * v->rows;
        t->rows = t->part_rows * t->n_parts;
        t->cols = v->cols;
        t->n_dims = t->n_parts > 1 ? 3 : v->n_dims;
        for (int i = 0; i < 4; i++) t->ne[i] = 1;
        t->ne[0] = v->n_dims == 1 ? v->rows : v->cols;
        if (v->n_dims > 1) t->ne[1] = v->rows;
        if (t->n_dims == 3) t->ne[2] = t->n_parts > 1 ? t->n_parts : v->n;
    }
    t->chunk_rows = CHUNK_FLOATS / (t->cols ? t->cols : 1);
    /* Rows of packed files are columns there: a cache line holds 16 of them. */
    if (t->chunk_rows < PACKED_ROWS && v && v->src->kind != HF_PLAIN) t->chunk_rows = PACKED_ROWS;
    if (t->chunk_rows < 1) t->chunk_rows = 1;
    if (t->chunk_rows > t->rows) t->chunk_rows = t->rows;
}

/* Embeddings, then layer by layer as a run needs them, then the output. */
static int64_t layer_of(const char *name)
{
    const char *p = name + 4;
    uint64_t layer;
    if (strncmp(name, "blk.", 4) == 0 && take_number(&p, &layer)) return (int64_t)layer;
    return strncmp(name, "output", 6) == 0 || strncmp(name, "cls", 3) == 0 ? INT64_MAX : -1;
}

static int by_layer(const void *pa, const void *pb)
{
    const struct import_tensor *a = pa, *b = pb;
    int64_t la = layer_of(a->name.data), lb = layer_of(b->name.data);
    if (la != lb) return la < lb ? -1 : 1;
    return strcmp(a->name.data, b->name.data);
}

static enum status add_extras(struct planner *p)
{
    for (size_t i = 0; i < p->m->n_extra; i++) {
        struct import_tensor *t = add_tensor(p->plan, p->m->extra[i].name);
        if (!t) return no_memory(p->err);
        t->values = p->m->extra[i].values;
        t->n_dims = 1;
        memcpy(t->ne, (uint64_t[4]){p->m->extra[i].n, 1, 1, 1}, sizeof t->ne);
    }
    return OK;
}

static void notice(const struct planner *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void notice(const struct planner *p, const char *fmt, ...)
{
    char line[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (p->o->notice) p->o->notice(p->o->ctx, line);
}

/* ---- the report -------------------------------------------------------------------------------
 */

static void classify(struct import_plan *plan, struct import_report *r)
{
    for (size_t i = 0; i < plan->n; i++) {
        struct import_tensor *t = &plan->v[i];
        const char *to = quant_find(t->type)->name;
        char from[64] = "computed";
        if (t->parts) hf_source_describe(t->parts[0].src, from, sizeof from);
        size_t c = 0;
        while (c < r->n_classes &&
               (strcmp(r->classes[c].from, from) != 0 || strcmp(r->classes[c].to, to) != 0))
            c++;
        if (c == IMPORT_MAX_CLASSES) c--;
        if (c == r->n_classes) {
            r->classes[r->n_classes++] = (struct import_class){.to = to};
            memcpy(r->classes[c].from, from, sizeof from);
        }
        t->class = c;
        r->classes[c].n_tensors++;
        r->classes[c].n_weights += t->rows * t->cols;
        r->classes[c].bytes += t->rows * t->row_bytes;
        r->n_weights += t->rows * t->cols;
    }
    r->n_tensors = plan->n;
}

enum status import_plan_make(struct hf_model *m, struct hf_sources *s,
                             const struct import_options *o, struct import_plan *out,
                             struct import_report *report, struct error *err)
{
    *out = (struct import_plan){0};
    struct planner p = {.m = m, .sources = s, .o = o, .plan = out, .err = err};
    size_t n_rules = 0;
    while (m->arch->rules[n_rules].from) n_rules++;
    p.seen = calloc(n_rules + 1, sizeof *p.seen);
    enum status st = p.seen ? OK : no_memory(err);
    for (size_t i = 0; i < s->n && !st; i++) st = place_source(&p, &s->v[i]);
    if (!st) st = check_complete(&p);
    if (!st) st = add_extras(&p);
    if (!st) {
        qsort(out->v, out->n, sizeof *out->v, by_layer);
        for (size_t i = 0; i < out->n; i++) finish_shape(&out->v[i]);
        st = import_plan_types(m, o, out, err);
    }
    if (!st && p.n_other) notice(&p, "%zu weights for images or sound are left out", p.n_other);
    if (!st && p.n_behind)
        notice(&p,
               "%zu weights of layers behind the last one (for predicting several tokens) are left "
               "out",
               p.n_behind);
    if (!st) classify(out, report);
    if (st) import_plan_fini(out);
    free(p.seen);
    return st;
}

void import_plan_fini(struct import_plan *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free((char *)p->v[i].name.data);
        free(p->v[i].parts);
    }
    free(p->v);
    *p = (struct import_plan){0};
}
