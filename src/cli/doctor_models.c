/* Which models there are to judge, and the judgement. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/doctor.h"
#include "gguf/gguf.h"
#include "model/model.h"
#include "quant/quant.h"

/* ---- collecting ------------------------------------------------------------------------------ */

static bool tagged(const struct catalogue_model *m, const char *tag)
{
    for (size_t i = 0; m && i < m->n_tags; i++)
        if (strcmp(m->tags[i], tag) == 0) return true;
    return false;
}

static void shape_from_entry(struct doctor_model *m, const struct catalogue_model *e)
{
    const struct catalogue_shape *s = &e->shape;
    struct estimate_dims dims = {s->layers,       s->width,     s->feed_forward, s->heads,
                                 s->kv_heads,     s->head_dim,  s->vocabulary,   s->experts,
                                 s->experts_used, s->expert_ff, s->gated,        s->tied};
    struct error why = {0};
    if (e->architecture && !model_knows_arch(e->architecture)) {
        m->verdict = DOCTOR_UNSUPPORTED;
        snprintf(m->why, sizeof m->why, "architecture %.60s", e->architecture);
    }
    if (!e->has_shape || !e->quantization) return;
    m->has_shape = estimate_shape_of_mix(&dims, e->quantization, &m->shape, &why) == OK;
    if (!m->has_shape && m->verdict != DOCTOR_UNSUPPORTED)
        snprintf(m->why, sizeof m->why, "%.180s", why.msg);
}

/* What the file itself says outweighs the catalogue. */
static void shape_from_file(struct doctor_model *m)
{
    struct gguf *g;
    struct error why = {0};
    struct gguf_str arch;
    char name[64] = "";
    if (gguf_open(m->path, &g, &why)) {
        m->verdict = DOCTOR_UNSUPPORTED;
        snprintf(m->why, sizeof m->why, "%.190s", why.msg);
        return;
    }
    if (gguf_get_str(g, "general.architecture", &arch, NULL) == OK && arch.len < sizeof name)
        snprintf(name, sizeof name, "%.*s", (int)arch.len, arch.data);
    m->has_shape = estimate_shape_of_file(g, &m->shape, &why) == OK;
    m->bytes = gguf_file_bytes(g);
    m->bytes_exact = true;
    if (!model_knows_arch(name)) {
        m->verdict = DOCTOR_UNSUPPORTED;
        snprintf(m->why, sizeof m->why, "architecture %.60s", *name ? name : "not named");
    } else if (!m->has_shape) {
        m->verdict = DOCTOR_UNSUPPORTED;
        snprintf(m->why, sizeof m->why, "%.190s", why.msg);
    }
    if (!m->entry) {
        uint64_t id;
        struct gguf_str template;
        m->chat = gguf_get_str(g, "tokenizer.chat_template", &template, NULL) == OK;
        m->fim = gguf_get_u64(g, "tokenizer.ggml.fim_pre_token_id", &id, NULL) == OK ||
                 gguf_get_u64(g, "tokenizer.ggml.prefix_token_id", &id, NULL) == OK;
    }
    gguf_close(g);
}

static const struct store_model *find_installed(const struct doctor *d, const char *name)
{
    for (size_t i = 0; i < d->installed.len; i++)
        if (strcmp(d->installed.items[i].name, name) == 0) return &d->installed.items[i];
    return NULL;
}

/* Room for one more model, zeroed; NULL without memory. */
static struct doctor_model *add(struct doctor *d, const char *name, struct error *err)
{
    struct doctor_model *grown = realloc(d->models, (d->n_models + 1) * sizeof *grown);
    char *copy = strdup(name);
    if (grown) d->models = grown;
    if (!grown || !copy) {
        free(copy);
        error_set(err, ERR_NOMEM, "out of memory");
        return NULL;
    }
    struct doctor_model *m = &d->models[d->n_models++];
    *m = (struct doctor_model){.name = copy};
    return m;
}

static enum status add_known(struct doctor *d, const char *name, bool named, struct error *err)
{
    const struct store_model *own = find_installed(d, name);
    const struct catalogue_model *e = catalogue_find(store_catalogue(d->store), name);
    if (e && strcmp(e->name, name) != 0) e = NULL;
    if (!e && own) e = &own->info;
    struct doctor_model *m = add(d, name, err);
    if (!m) return err->code;
    m->entry = e;
    m->installed = own && !own->problem;
    m->named = named;
    m->fim = e && e->fim;
    m->chat = tagged(e, "chat");
    m->quality = e ? e->quality : 0;
    if (e) {
        m->bytes = e->bytes ? e->bytes : e->approx_bytes;
        m->bytes_exact = e->bytes != 0;
    }
    if (m->installed && !(m->path = strdup(own->path)))
        return error_set(err, ERR_NOMEM, "out of memory");
    if (m->path)
        shape_from_file(m);
    else if (e)
        shape_from_entry(m, e);
    return OK;
}

static enum status add_file(struct doctor *d, const char *path, struct error *err)
{
    struct stat sb;
    if (stat(path, &sb) != 0 || !S_ISREG(sb.st_mode))
        return error_set(err, ERR_NOT_FOUND, "%s: there is no such file", path);
    struct doctor_model *m = add(d, path, err);
    if (!m || !(m->path = strdup(path))) return error_set(err, ERR_NOMEM, "out of memory");
    m->named = m->is_file = true;
    m->bytes = (uint64_t)sb.st_size;
    m->bytes_exact = true;
    shape_from_file(m);
    return OK;
}

static enum status add_named(struct doctor *d, const char *typed, struct error *err)
{
    char name[STORE_NAME_SIZE];
    size_t len = strlen(typed);
    if (strchr(typed, '/') || (len > 5 && strcmp(typed + len - 5, ".gguf") == 0))
        return add_file(d, typed, err);
    enum status st = store_resolve(d->store, typed, name, err);
    return st ? st : add_known(d, name, true, err);
}

enum status doctor_collect_models(struct doctor *d, int argc, char **argv, struct error *err)
{
    enum status st = store_list(d->store, &d->installed, err);
    for (int i = 0; i < argc && !st; i++) st = add_named(d, argv[i], err);
    if (st || argc > 0) return st;
    const struct catalogue *c = store_catalogue(d->store);
    for (size_t i = 0; i < catalogue_n_models(c) && !st; i++)
        st = add_known(d, catalogue_at(c, i)->name, false, err);
    for (size_t i = 0; i < d->installed.len && !st; i++) {
        const char *name = d->installed.items[i].name;
        const struct catalogue_model *e = catalogue_find(c, name);
        if (!e || strcmp(e->name, name) != 0) st = add_known(d, name, false, err);
    }
    return st;
}

void doctor_models_fini(struct doctor *d)
{
    for (size_t i = 0; i < d->n_models; i++) {
        free(d->models[i].name);
        free(d->models[i].path);
    }
    free(d->models);
    free(d->checks);
}

/* ---- judging --------------------------------------------------------------------------------- */

const char *doctor_verdict_name(enum doctor_verdict v)
{
    static const char *const names[] = {"runs well", "slow", "does not fit", "not supported yet",
                                        "not known"};
    return names[v];
}

static bool fits_memory(const struct doctor *d, struct doctor_model *m)
{
    char need[32], have[32];
    if (d->machine.usable == 0 || m->memory <= (double)d->machine.usable) return true;
    snprintf(m->why, sizeof m->why, "needs %s of memory, %s are free",
             cli_format_bytes((uint64_t)m->memory, need, sizeof need),
             cli_format_bytes(d->machine.usable, have, sizeof have));
    return false;
}

/* The file, and the packed weights beside it. */
static bool fits_disk(const struct doctor *d, struct doctor_model *m)
{
    const struct doctor_machine *at = &d->machine;
    char need[32], have[32];
    if (m->path || at->store_free == 0) return true;
    double file = m->bytes ? (double)m->bytes : m->shape.file_bytes;
    double packed = at->cache ? m->shape.weight_bytes : 0;
    double bytes = at->one_disk ? file + packed : file;
    bool fits = bytes <= (double)at->store_free &&
                (at->one_disk || at->cache_free == 0 || packed <= (double)at->cache_free);
    if (!fits)
        snprintf(m->why, sizeof m->why, "needs %s on the disk, %s are free",
                 cli_format_bytes((uint64_t)(file + packed), need, sizeof need),
                 cli_format_bytes(at->store_free, have, sizeof have));
    return fits;
}

static void judge(const struct doctor *d, struct doctor_model *m)
{
    if (!m->has_shape) {
        if (m->verdict != DOCTOR_UNSUPPORTED) m->verdict = DOCTOR_UNKNOWN;
        if (!*m->why) snprintf(m->why, sizeof m->why, "its catalogue entry tells no shape");
        return;
    }
    double context = DOCTOR_CONTEXT;
    m->n_params = m->shape.n_params;
    if (m->bytes == 0) m->bytes = (uint64_t)m->shape.file_bytes;
    m->memory = estimate_memory(&m->shape, context);
    m->kv_bytes = estimate_kv_bytes(&m->shape, context);
    if (m->verdict == DOCTOR_UNSUPPORTED) return;
    if (!estimate_covers(&d->machine.rates, &m->shape)) {
        m->verdict = DOCTOR_UNSUPPORTED;
        snprintf(m->why, sizeof m->why, "a tensor type of it has no kernels");
        return;
    }
    m->step = estimate_step(&d->machine.rates, &m->shape, DOCTOR_STEP_AT);
    m->prompt = estimate_prompt(&d->machine.rates, &m->shape, DOCTOR_PROMPT);
    m->first_token = m->prompt;
    if (!fits_memory(d, m) || !fits_disk(d, m)) {
        m->verdict = DOCTOR_TOO_LARGE;
        return;
    }
    bool well = 1 / m->step >= DOCTOR_CHAT_RATE && m->first_token <= DOCTOR_CHAT_SECONDS;
    m->verdict = well ? DOCTOR_RUNS_WELL : DOCTOR_SLOW;
}

/* By the publisher's own score, then by size; what is here already before what has to be fetched.
 */
static bool better(const struct doctor_model *a, const struct doctor_model *b)
{
    if (!b) return true;
    if (a->quality != b->quality) return a->quality > b->quality;
    if (a->n_params != b->n_params) return a->n_params > b->n_params;
    return a->installed && !b->installed;
}

void doctor_judge(struct doctor *d)
{
    const struct doctor_model *quickest = NULL;
    for (size_t i = 0; i < d->n_models; i++) {
        struct doctor_model *m = &d->models[i];
        judge(d, m);
        if (m->verdict > DOCTOR_SLOW) continue;
        if (m->fim && (!quickest || m->first_token < quickest->first_token)) quickest = m;
        if (m->fim && m->first_token <= DOCTOR_COMPLETION_SECONDS &&
            1 / m->step >= DOCTOR_COMPLETION_RATE && better(m, d->completion))
            d->completion = m;
        if (m->chat && m->verdict == DOCTOR_RUNS_WELL && better(m, d->chat)) d->chat = m;
    }
    if (!d->completion) d->completion = quickest;
}
