#include "syntax/syntax_facts.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "syntax/syntax_int.h"

enum { DEFAULT_TARGET = 1024, DEFAULT_MAX = 2048, LEAST = 64, MOST = 1 << 20 };

struct owned_facts {
    struct syntax_facts facts;
    struct syntax_arena arena;
};

struct syntax_deadline syntax_deadline_of(const struct syntax_limits *l)
{
    if (l && l->seconds > 0) return (struct syntax_deadline){clock_now() + l->seconds, false};
    return (struct syntax_deadline){clock_thread() + SYNTAX_DEFAULT_SECONDS, true};
}

bool syntax_deadline_over(const struct syntax_deadline *d)
{
    return (d->own ? clock_thread() : clock_now()) > d->until;
}

static void build_init(struct syntax_build *b, const struct syntax_language *l, const char *text,
                       size_t len, const struct syntax_facts_options *o)
{
    *b = (struct syntax_build){.language = l, .text = text, .len = (uint32_t)len};
    b->want = o && o->want ? o->want : SYNTAX_WANT_CHUNKS | SYNTAX_WANT_SYMBOLS;
    b->max_bytes = o && o->chunk.max_bytes ? o->chunk.max_bytes : DEFAULT_MAX;
    b->target_bytes = o && o->chunk.target_bytes ? o->chunk.target_bytes : DEFAULT_TARGET;
    if (b->max_bytes < LEAST) b->max_bytes = LEAST;
    if (b->max_bytes > MOST) b->max_bytes = MOST;
    if (b->target_bytes > b->max_bytes) b->target_bytes = b->max_bytes;
    b->limits = o ? &o->limits : NULL;
}

static void build_fini(struct syntax_build *b)
{
    free(b->cuts.items);
    free(b->definitions);
    free(b->docs);
    free(b->references);
    free(b->imports);
    free(b->chunks);
    syntax_arena_fini(&b->arena);
}

/* Throws away what a walk that ran out of time gathered. */
static void build_reset(struct syntax_build *b)
{
    b->cuts.len = b->n_definitions = b->n_references = b->n_imports = b->n_errors = 0;
    b->stop = OK;
}

/* Hands the arrays over. */
static enum status finish(struct syntax_build *b, bool parsed, struct syntax_facts **out,
                          struct error *err)
{
    if (b->want & SYNTAX_WANT_CHUNKS && !b->failed) syntax_chunks_make(b);
    struct owned_facts *f = b->failed || b->arena.failed ? NULL : calloc(1, sizeof *f);
    if (!f) {
        build_fini(b);
        return error_set(err, ERR_NOMEM, "out of memory for the pieces of a file");
    }
    bool symbols = b->want & SYNTAX_WANT_SYMBOLS;
    f->facts = (struct syntax_facts){
        .language = b->language, .parsed = parsed, .truncated = b->truncated,
        .n_errors = b->n_errors, .chunks = b->chunks, .n_chunks = b->n_chunks,
        .definitions = b->definitions, .n_definitions = symbols ? b->n_definitions : 0,
        .references = b->references, .n_references = b->n_references,
        .imports = b->imports, .n_imports = b->n_imports};
    f->arena = b->arena;
    free(b->cuts.items);
    free(b->docs);
    *out = &f->facts;
    return OK;
}

static enum status read_tree(struct syntax_build *b, const struct syntax_tree *t, bool *parsed,
                             struct error *err)
{
    syntax_walk(b, t);
    if (b->stop == ERR_CANCELLED) return error_set(err, ERR_CANCELLED, "reading was cancelled");
    *parsed = b->stop == OK;
    if (!*parsed) build_reset(b);
    return OK;
}

enum status syntax_facts_of_tree(const struct syntax_tree *t, const char *text, size_t len,
                                 const struct syntax_facts_options *options,
                                 struct syntax_facts **out, struct error *err)
{
    if (len != t->len)
        return error_set(err, ERR_INVALID, "the tree is of a text of %zu bytes, not %zu", t->len, len);
    struct syntax_build b;
    bool parsed = false;
    build_init(&b, t->language, text, len, options);
    enum status st = read_tree(&b, t, &parsed, err);
    if (st) {
        build_fini(&b);
        return st;
    }
    return finish(&b, parsed, out, err);
}

enum status syntax_facts_read(struct syntax_parser *p, const struct syntax_language *l,
                              const char *text, size_t len,
                              const struct syntax_facts_options *options, struct syntax_facts **out,
                              struct error *err)
{
    if (len > SYNTAX_MAX_BYTES)
        return error_set(err, ERR_LIMIT, "the file has %zu bytes, %u are read at most", len,
                         SYNTAX_MAX_BYTES);
    struct syntax_tree *t = NULL;
    enum status st = ERR_UNSUPPORTED;
    if (l && len) st = syntax_tree_parse(p, l, text, len, options ? &options->limits : NULL, &t, err);
    if (st == ERR_NOMEM || st == ERR_CANCELLED) return st;
    if (st == OK) {
        st = syntax_facts_of_tree(t, text, len, options, out, err);
        syntax_tree_destroy(t);
        return st;
    }
    struct syntax_build b;
    build_init(&b, l, text ? text : "", len, options);
    return finish(&b, false, out, err);
}

void syntax_facts_destroy(struct syntax_facts *f)
{
    if (!f) return;
    struct owned_facts *o = (struct owned_facts *)f;
    free((void *)f->chunks);
    free((void *)f->definitions);
    free((void *)f->references);
    free((void *)f->imports);
    syntax_arena_fini(&o->arena);
    free(o);
}

const struct syntax_definition *syntax_facts_definition_at(const struct syntax_facts *f,
                                                           size_t offset)
{
    /* The last that begins at or before it, then those around that one. */
    size_t lo = 0, hi = f->n_definitions;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (f->definitions[mid].begin <= offset) lo = mid + 1;
        else hi = mid;
    }
    while (lo-- > 0)
        if (f->definitions[lo].end > offset) return &f->definitions[lo];
    return NULL;
}
