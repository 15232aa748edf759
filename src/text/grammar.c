#include "text/grammar.h"

#include <stdlib.h>
#include <string.h>

#include "text/grammar_int.h"

/* A new notation is one file and one line here. */
static const struct grammar_front *const fronts[] = {
    &grammar_front_gbnf,
    &grammar_front_regex,
    &grammar_front_json,
    &grammar_front_schema,
};

static struct grammar_limits with_defaults(const struct grammar_limits *limits)
{
    struct grammar_limits l = limits ? *limits : (struct grammar_limits){0};
    if (!l.max_text) l.max_text = 1 << 20;
    if (!l.max_states) l.max_states = 2000000;
    if (!l.max_depth) l.max_depth = 256;
    if (!l.max_cache) l.max_cache = 64 << 20;
    if (l.max_ms <= 0) l.max_ms = 500;
    return l;
}

static enum status compile(const struct grammar_front *front, const char *text, size_t len,
                           struct grammar *g, struct error *err)
{
    struct grammar_build b = {.limits = &g->limits, .err = err, .space = FA_NONE};
    b.budget = (struct fa_budget){.states = g->limits.max_states,
                                  .deadline = fa_clock() + 1e-3 * g->limits.max_ms};
    uint32_t root = 0;
    enum status st = front->build(&b, text, len, &root);
    if (st == OK) st = grammar_build_finish(&b, root, g);
    grammar_build_fini(&b);
    if (st == OK && mask_cache_create(g) != OK)
        st = error_set(err, ERR_NOMEM, "no memory for the grammar");
    return st == OK ? OK : error_prefix(err, "%s", front->name);
}

enum status grammar_compile(enum grammar_kind kind, const char *text, size_t len,
                            const struct grammar_vocab *vocab, const struct grammar_limits *limits,
                            struct grammar **out, struct error *err)
{
    *out = NULL;
    const struct grammar_front *front = NULL;
    for (size_t i = 0; i < sizeof fronts / sizeof *fronts; i++)
        if (fronts[i]->kind == kind) front = fronts[i];
    if (!front) return error_set(err, ERR_INVALID, "no such kind of grammar");
    struct grammar_limits l = with_defaults(limits);
    if (len > l.max_text)
        return error_set(err, ERR_LIMIT, "%s: %zu bytes, but %zu are the most", front->name, len,
                         l.max_text);
    struct grammar *g = calloc(1, sizeof *g);
    if (!g) return error_set(err, ERR_NOMEM, "no memory for the grammar");
    g->refs = 1;
    g->vocab = vocab;
    g->limits = l;
    pthread_mutex_init(&g->lock, NULL);
    struct error local = {0};
    enum status st = compile(front, text, len, g, err ? err : &local);
    if (st == OK)
        *out = g;
    else
        grammar_unref(g);
    return st;
}

struct grammar *grammar_ref(struct grammar *g)
{
    __atomic_fetch_add(&g->refs, 1, __ATOMIC_RELAXED);
    return g;
}

void grammar_unref(struct grammar *g)
{
    if (!g || __atomic_sub_fetch(&g->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
    free(g->states);
    free(g->edges);
    free(g->calls);
    free(g->rule_start);
    free(g->rule_nullable);
    for (size_t i = 0; i < g->n_objects; i++) {
        free(g->objects[i].members);
        free(g->objects[i].extras);
    }
    free(g->objects);
    free(g->keys);
    free(g->key_table);
    mask_cache_destroy(g->cache);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

const struct grammar_vocab *grammar_vocabulary(const struct grammar *g)
{
    return g->vocab;
}
