#include "syntax/repo_map.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROUNDS = 100, COMMON_FILES = 5, MAX_FILES_A_NAME = 50, LONG_NAME = 8 };

static const double DAMPING = 0.85, TOLERANCE = 1e-9;

/* A name in a file: a definition, or how often it is referred to. */
struct use {
    const char *name;
    uint32_t file, definition, count;
};

struct edge {
    uint32_t from, to, definition;
    double weight;
};

struct graph {
    struct use *defs, *refs;
    size_t n_defs, n_refs;
    struct edge *edges;
    size_t n_edges, cap_edges;
    double *out; /* weight that leaves each file */
};

static bool belongs(enum syntax_kind k)
{
    return (k >= SYNTAX_KIND_FUNCTION && k <= SYNTAX_KIND_TRAIT) || k == SYNTAX_KIND_TYPE ||
           k == SYNTAX_KIND_MACRO || k == SYNTAX_KIND_TABLE;
}

static int by_name(const void *x, const void *y)
{
    const struct use *a = x, *b = y;
    int c = strcmp(a->name, b->name);
    if (c) return c;
    if (a->file != b->file) return a->file < b->file ? -1 : 1;
    return a->definition < b->definition ? -1 : a->definition > b->definition;
}

static bool gather(struct graph *g, const struct repo_map_file *files, size_t n)
{
    size_t defs = 0, refs = 0;
    for (size_t i = 0; i < n; i++) defs += files[i].facts->n_definitions, refs += files[i].facts->n_references;
    g->defs = malloc((defs + 1) * sizeof *g->defs);
    g->refs = malloc((refs + 1) * sizeof *g->refs);
    if (!g->defs || !g->refs) return false;
    for (size_t i = 0; i < n; i++) {
        const struct syntax_facts *f = files[i].facts;
        for (size_t k = 0; k < f->n_definitions; k++)
            if (belongs(f->definitions[k].kind))
                g->defs[g->n_defs++] = (struct use){f->definitions[k].name, (uint32_t)i, (uint32_t)k, 1};
        for (size_t k = 0; k < f->n_references; k++)
            g->refs[g->n_refs++] = (struct use){f->references[k].name, (uint32_t)i, 0, 1};
    }
    qsort(g->defs, g->n_defs, sizeof *g->defs, by_name);
    qsort(g->refs, g->n_refs, sizeof *g->refs, by_name);
    size_t kept = 0;
    for (size_t i = 0; i < g->n_refs; i++) {
        struct use *last = kept ? &g->refs[kept - 1] : NULL;
        if (last && last->file == g->refs[i].file && strcmp(last->name, g->refs[i].name) == 0)
            last->count++;
        else
            g->refs[kept++] = g->refs[i];
    }
    g->n_refs = kept;
    return true;
}

/* Several words in one: snake_case, kebab-case or camelCase. */
static bool several_words(const char *s)
{
    bool lower = false;
    for (size_t i = 0; s[i]; i++) {
        if ((s[i] == '_' || s[i] == '-') && i > 0 && s[i + 1]) return true;
        if (lower && isupper((unsigned char)s[i])) return true;
        lower = islower((unsigned char)s[i]);
    }
    return false;
}

static double name_weight(const char *name, size_t n_files, const char *const *mentioned, size_t n)
{
    double w = 1;
    for (size_t i = 0; i < n; i++)
        if (strcmp(mentioned[i], name) == 0) {
            w *= 10;
            break;
        }
    if (strlen(name) >= LONG_NAME && several_words(name)) w *= 10;
    if (name[0] == '_') w *= 0.1;
    if (n_files > COMMON_FILES) w *= 0.1;
    return w;
}

static bool add_edge(struct graph *g, struct edge e)
{
    if (g->n_edges == g->cap_edges) {
        size_t cap = g->cap_edges ? 2 * g->cap_edges : 1024;
        struct edge *p = realloc(g->edges, cap * sizeof *p);
        if (!p) return false;
        g->edges = p;
        g->cap_edges = cap;
    }
    g->edges[g->n_edges++] = e;
    g->out[e.from] += e.weight;
    return true;
}

/* One name: edges from every file that refers to it to every one that defines it. A definition that is
 * repeated in a file (a prototype and its body, overloads) counts once: the last, which has the body. */
static bool connect(struct graph *g, const struct repo_map_file *files, const struct use *defs,
                    size_t n_defs, const struct use *refs, size_t n_refs, double weight)
{
    for (size_t r = 0; r < n_refs; r++) {
        double w = weight * sqrt(refs[r].count) * (files[refs[r].file].focus ? 50 : 1);
        for (size_t d = 0; d < n_defs; d++) {
            if (d + 1 < n_defs && defs[d + 1].file == defs[d].file) continue;
            if (defs[d].file == refs[r].file) continue;
            if (!add_edge(g, (struct edge){refs[r].file, defs[d].file, defs[d].definition, w}))
                return false;
        }
    }
    return true;
}

static size_t run_of(const struct use *u, size_t n, size_t i)
{
    size_t k = i;
    while (k < n && strcmp(u[k].name, u[i].name) == 0) k++;
    return k - i;
}

static bool make_edges(struct graph *g, const struct repo_map_file *files,
                       const char *const *mentioned, size_t n_mentioned)
{
    size_t d = 0, r = 0;
    while (d < g->n_defs && r < g->n_refs) {
        int c = strcmp(g->defs[d].name, g->refs[r].name);
        size_t nd = run_of(g->defs, g->n_defs, d), nr = run_of(g->refs, g->n_refs, r);
        if (c == 0) {
            size_t in_files = 0;
            for (size_t i = 0; i < nd; i++)
                in_files += i == 0 || g->defs[d + i].file != g->defs[d + i - 1].file;
            double w = name_weight(g->defs[d].name, in_files, mentioned, n_mentioned);
            /* A name that is defined everywhere says nothing. */
            if (in_files <= MAX_FILES_A_NAME &&
                !connect(g, files, g->defs + d, nd, g->refs + r, nr, w))
                return false;
        }
        if (c <= 0) d += nd;
        if (c >= 0) r += nr;
    }
    return true;
}

/* Power iteration; rank of files without edges goes where walks begin. */
static bool page_rank(const struct graph *g, const struct repo_map_file *files, size_t n, double *rank)
{
    double *start = malloc(n * sizeof *start), *next = malloc(n * sizeof *next);
    size_t focus = 0;
    if (!start || !next) {
        free(start);
        free(next);
        return false;
    }
    for (size_t i = 0; i < n; i++) focus += files[i].focus;
    for (size_t i = 0; i < n; i++) {
        start[i] = focus ? (files[i].focus ? 1.0 / (double)focus : 0) : 1.0 / (double)n;
        rank[i] = 1.0 / (double)n;
    }
    for (int round = 0; round < MAX_ROUNDS; round++) {
        double stuck = 0, change = 0;
        for (size_t i = 0; i < n; i++) {
            next[i] = 0;
            if (g->out[i] <= 0) stuck += rank[i];
        }
        for (size_t e = 0; e < g->n_edges; e++) {
            const struct edge *x = &g->edges[e];
            next[x->to] += DAMPING * rank[x->from] * x->weight / g->out[x->from];
        }
        for (size_t i = 0; i < n; i++) {
            next[i] += (1 - DAMPING + DAMPING * stuck) * start[i];
            change += fabs(next[i] - rank[i]);
            rank[i] = next[i];
        }
        if (change < TOLERANCE) break;
    }
    free(start);
    free(next);
    return true;
}

static int by_rank(const void *x, const void *y)
{
    const struct repo_map_entry *a = x, *b = y;
    if (a->rank != b->rank) return a->rank > b->rank ? -1 : 1;
    if (a->file != b->file) return a->file < b->file ? -1 : 1;
    return a->definition < b->definition ? -1 : a->definition > b->definition;
}

static int by_target(const void *x, const void *y)
{
    const struct edge *a = x, *b = y;
    if (a->to != b->to) return a->to < b->to ? -1 : 1;
    if (a->definition != b->definition) return a->definition < b->definition ? -1 : 1;
    return a->from < b->from ? -1 : a->from > b->from;
}

/* Every definition that something refers to, with what flows to it; then the rest, at rank 0. */
static bool make_entries(struct repo_map *m, struct graph *g)
{
    m->entries = malloc((g->n_defs + 1) * sizeof *m->entries);
    if (!m->entries) return false;
    for (size_t e = 0; e < g->n_edges; e++)
        g->edges[e].weight *= m->file_rank[g->edges[e].from] / g->out[g->edges[e].from];
    if (g->n_edges) qsort(g->edges, g->n_edges, sizeof *g->edges, by_target);
    for (size_t i = 0; i < g->n_defs; i++)
        m->entries[i] = (struct repo_map_entry){g->defs[i].file, g->defs[i].definition, 0};
    /* Both in the order of file and definition, so that one pass joins them. */
    qsort(m->entries, g->n_defs, sizeof *m->entries, by_rank);
    size_t e = 0, kept = 0;
    for (size_t i = 0; i < g->n_defs; i++) {
        struct repo_map_entry x = m->entries[i];
        for (; e < g->n_edges && g->edges[e].to == x.file && g->edges[e].definition == x.definition; e++)
            x.rank += g->edges[e].weight;
        if (!m->files[x.file].focus) m->entries[kept++] = x;
    }
    m->n_entries = kept;
    qsort(m->entries, kept, sizeof *m->entries, by_rank);
    return true;
}

enum status repo_map_init(struct repo_map *m, const struct repo_map_file *files, size_t n_files,
                          const char *const *mentioned, size_t n_mentioned, struct error *err)
{
    struct graph g = {0};
    *m = (struct repo_map){.files = files, .n_files = n_files};
    m->file_rank = malloc((n_files + 1) * sizeof *m->file_rank);
    g.out = calloc(n_files + 1, sizeof *g.out);
    bool ok = m->file_rank && g.out && n_files <= UINT32_MAX && gather(&g, files, n_files) &&
              make_edges(&g, files, mentioned, n_mentioned) &&
              page_rank(&g, files, n_files, m->file_rank) && make_entries(m, &g);
    free(g.defs);
    free(g.refs);
    free(g.edges);
    free(g.out);
    if (ok) return OK;
    repo_map_fini(m);
    return error_set(err, ERR_NOMEM, "out of memory for the map of %zu files", n_files);
}

void repo_map_fini(struct repo_map *m)
{
    free(m->entries);
    free(m->file_rank);
    *m = (struct repo_map){0};
}

/* The first n entries, by file in the order of their best, then by place. */
struct line {
    uint32_t file, definition;
    size_t first; /* position of the file's best entry */
};

static int by_place(const void *x, const void *y)
{
    const struct line *a = x, *b = y;
    if (a->first != b->first) return a->first < b->first ? -1 : 1;
    return a->definition < b->definition ? -1 : a->definition > b->definition;
}

static enum status print_first(const struct repo_map *m, size_t n, struct line *lines, size_t *best,
                               struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < m->n_files; i++) best[i] = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        const struct repo_map_entry *e = &m->entries[i];
        if (best[e->file] == SIZE_MAX) best[e->file] = i;
        lines[i] = (struct line){e->file, e->definition, best[e->file]};
    }
    if (n) qsort(lines, n, sizeof *lines, by_place);
    enum status st = OK;
    for (size_t i = 0; i < n && st == OK; i++) {
        const struct repo_map_file *f = &m->files[lines[i].file];
        const struct syntax_definition *d = &f->facts->definitions[lines[i].definition];
        if (i == 0 || lines[i - 1].file != lines[i].file)
            st = buf_printf(out, "%s%s:\n", i ? "\n" : "", f->path);
        if (st == OK)
            st = buf_printf(out, "  %u: %s\n", d->line, d->signature[0] ? d->signature : d->name);
    }
    return st;
}

enum status repo_map_print(const struct repo_map *m, size_t tokens, repo_map_count *count, void *ctx,
                           struct buf *out, size_t *n_shown)
{
    struct line *lines = malloc((m->n_entries + 1) * sizeof *lines);
    size_t *best = malloc((m->n_files + 1) * sizeof *best);
    enum status st = lines && best ? OK : ERR_NOMEM;
    /* The largest number that fits: entries only add text. Every entry is a token at least. */
    size_t lo = 0, hi = m->n_entries < tokens ? m->n_entries : tokens;
    while (st == OK && lo < hi) {
        size_t mid = lo + (hi - lo + 1) / 2;
        st = print_first(m, mid, lines, best, out);
        if (st == OK && count(ctx, out->data, out->len) <= tokens) lo = mid;
        else hi = mid - 1;
        if (st == ERR_LIMIT) st = OK;
    }
    if (st == OK) st = print_first(m, lo, lines, best, out);
    if (n_shown) *n_shown = lo;
    free(lines);
    free(best);
    return st;
}
