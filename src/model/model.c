/* Opening and closing a model. */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

#include "model/arch.h"

void *model_alloc(struct model *m, size_t bytes)
{
    void **owned = realloc(m->owned, (m->n_owned + 1) * sizeof *owned);
    if (!owned) return NULL;
    m->owned = owned;
    void *p = calloc(1, bytes ? bytes : 1);
    if (p) m->owned[m->n_owned++] = p;
    return p;
}

bool model_knows_arch(const char *arch)
{
    return arch_find((struct gguf_str){arch, strlen(arch)}) != NULL;
}

static enum status describe(struct model *m, const struct gguf *g, struct error *err)
{
    struct gguf_str name;
    char known[256];
    enum status st = gguf_get_str(g, "general.architecture", &name, NULL);
    if (st)
        return error_set(err, ERR_FORMAT, "%s: no general.architecture key, so this is no model",
                         gguf_path(g));
    const struct arch *arch = arch_find(name);
    if (!arch)
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: architecture %.*s is not supported; the known ones are %s",
                         gguf_path(g), (int)(name.len < 64 ? name.len : 64), name.data,
                         arch_names(known, sizeof known));
    m->info.arch = arch->name;

    struct arch_builder b;
    st = arch_builder_init(&b, m, g, arch->name, err);
    if (!st) st = arch->build(&b);
    if (!st) st = arch_builder_finish(&b);
    arch_builder_fini(&b);
    return st;
}

enum status model_open(const struct gguf *g, const struct model_options *opt, struct model **out,
                       struct error *err)
{
    static const struct model_options defaults = {0};
    *out = NULL;
    struct model *m = calloc(1, sizeof *m);
    if (!m) return error_set(err, ERR_NOMEM, "out of memory for the model");
    m->g = g;
    if (!opt) opt = &defaults;
    struct kv_layout kv;
    enum status st = describe(m, g, err);
    if (!st) st = kv_layout_init(&kv, &m->info, opt->kv_type, err);
    if (!st) {
        m->info.kv_type = kv.type->name;
        m->info.kv_bytes_per_page = kv.page_bytes;
        st = kv_centre_keys(m, err);
    }
    if (!st) st = weights_load(m, opt, err);
    if (st) {
        model_close(m);
        return st;
    }
    *out = m;
    return OK;
}

void model_close(struct model *m)
{
    if (!m) return;
    weights_unload(m);
    for (size_t i = 0; i < m->n_owned; i++) free(m->owned[i]);
    free(m->owned);
    free(m->stages);
    free(m);
}

const struct model_info *model_info(const struct model *m)
{
    return &m->info;
}

const char *model_cache_note(const struct model *m)
{
    return m->cache_note.code ? m->cache_note.msg : NULL;
}
