#include "assist/ring.h"

#include <stdlib.h>
#include <string.h>

#include "assist/trim_int.h"

enum { MAX_LINES = 512, MIN_LINES = 3 };

struct chunk {
    char *path, *text; /* owned; path may be NULL */
    size_t len;
};

struct ring {
    struct ring_options opt;
    struct chunk *held, *wait; /* the oldest first */
    size_t n_held, n_wait;
};

/* ---- likeness ----------------------------------------------------------------------------------
 */

struct line_set {
    uint64_t hash[MAX_LINES];
    size_t n;
};

/* FNV-1a, 64 bits. */
static uint64_t hash_line(struct span line)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < line.len; i++) h = (h ^ (unsigned char)line.data[i]) * 1099511628211u;
    return h;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void line_set_fill(struct line_set *s, const char *text, size_t len)
{
    struct span all = span_of(text, len);
    s->n = 0;
    for (size_t at = 0; at < len && s->n < MAX_LINES;) {
        struct span line = span_line(all, at);
        at += line.len + 1;
        line = span_strip(line);
        if (line.len) s->hash[s->n++] = hash_line(line);
    }
    qsort(s->hash, s->n, sizeof *s->hash, by_value);
}

static size_t common(const struct line_set *a, const struct line_set *b)
{
    size_t n = 0;
    for (size_t i = 0, j = 0; i < a->n && j < b->n;) {
        if (a->hash[i] == b->hash[j]) {
            n++;
            i++;
            j++;
        } else if (a->hash[i] < b->hash[j]) {
            i++;
        } else {
            j++;
        }
    }
    return n;
}

double ring_similarity(const char *a, size_t n_a, const char *b, size_t n_b)
{
    struct line_set x, y;
    line_set_fill(&x, a, n_a);
    line_set_fill(&y, b, n_b);
    return x.n + y.n ? 2.0 * (double)common(&x, &y) / (double)(x.n + y.n) : 0;
}

/* ---- life --------------------------------------------------------------------------------------
 */

enum status ring_create(const struct ring_options *opt, struct ring **out, struct error *err)
{
    struct ring *r = *out = calloc(1, sizeof *r);
    if (!r) return error_set(err, ERR_NOMEM, "no memory for the context");
    r->opt = *opt;
    if (!r->opt.chunks) r->opt.chunks = 16;
    if (!r->opt.chunk_lines) r->opt.chunk_lines = 64;
    if (!r->opt.waiting) r->opt.waiting = 16;
    if (r->opt.similar == 0) r->opt.similar = 0.9;
    r->held = calloc(r->opt.chunks, sizeof *r->held);
    r->wait = calloc(r->opt.waiting, sizeof *r->wait);
    if (r->held && r->wait) return OK;
    ring_destroy(r);
    *out = NULL;
    return error_set(err, ERR_NOMEM, "no memory for the context");
}

static void take_out(struct chunk *list, size_t *n, size_t at)
{
    free(list[at].path);
    free(list[at].text);
    --*n;
    memmove(list + at, list + at + 1, (*n - at) * sizeof *list);
}

void ring_destroy(struct ring *r)
{
    if (!r) return;
    while (r->n_held) take_out(r->held, &r->n_held, r->n_held - 1);
    while (r->n_wait) take_out(r->wait, &r->n_wait, r->n_wait - 1);
    free(r->held);
    free(r->wait);
    free(r);
}

/* ---- events ------------------------------------------------------------------------------------
 */

/* `lines` lines around line `line`, which is a quarter of them down: more is read below than above.
 */
static struct span cut_chunk(const char *text, size_t len, size_t line, size_t lines, size_t *n)
{
    struct span all = span_of(text, len);
    size_t first = line > lines / 4 ? line - lines / 4 : 0, at = 0, start = 0, i = 0;
    while (at < len && i < first + lines) {
        if (i == first) start = at;
        at += span_line(all, at).len + 1;
        i++;
    }
    if (i <= first) { /* the line lies behind the end */
        if (!line) return span_of(text, *n = 0);
        return cut_chunk(text, len, 0, lines, n);
    }
    if (at > len) at = len;
    *n = i - first;
    return span_of(text + start, at - start);
}

static bool like_one(const struct chunk *list, size_t n, struct span text, double similar,
                     size_t *which)
{
    for (size_t i = 0; i < n; i++) {
        if (ring_similarity(list[i].text, list[i].len, text.data, text.len) <= similar) continue;
        *which = i;
        return true;
    }
    return false;
}

static bool has_text(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!strchr(" \t\r\n", s.data[i])) return true;
    return false;
}

static bool same_text(const struct chunk *list, size_t n, struct span text)
{
    for (size_t i = 0; i < n; i++)
        if (span_eq(span_of(list[i].text, list[i].len), text)) return true;
    return false;
}

enum status ring_note(struct ring *r, enum ring_event event, const char *path, const char *text,
                      size_t len, size_t line)
{
    size_t n, which;
    struct span c = cut_chunk(text, len, line, r->opt.chunk_lines, &n);
    if ((event != RING_YANKED && n < MIN_LINES) || !has_text(c)) return OK;
    if (same_text(r->held, r->n_held, c)) return OK;
    if (like_one(r->wait, r->n_wait, c, r->opt.similar, &which))
        take_out(r->wait, &r->n_wait, which);
    struct chunk new = {path ? strdup(path) : NULL, malloc(c.len + 1), c.len};
    if (!new.text || (path && !new.path)) {
        free(new.path);
        free(new.text);
        return ERR_NOMEM;
    }
    memcpy(new.text, c.data, c.len);
    new.text[c.len] = 0;
    if (r->n_wait == r->opt.waiting) take_out(r->wait, &r->n_wait, 0);
    r->wait[r->n_wait++] = new;
    return OK;
}

static void forget(struct chunk *list, size_t *n, const char *path)
{
    for (size_t i = *n; i-- > 0;)
        if (list[i].path && strcmp(list[i].path, path) == 0) take_out(list, n, i);
}

void ring_forget(struct ring *r, const char *path)
{
    forget(r->held, &r->n_held, path);
    forget(r->wait, &r->n_wait, path);
}

bool ring_join(struct ring *r)
{
    if (!r->n_wait) return false;
    struct chunk new = r->wait[0];
    size_t which = 0;
    if (like_one(r->held, r->n_held, span_of(new.text, new.len), r->opt.similar, &which) ||
        r->n_held == r->opt.chunks)
        take_out(r->held, &r->n_held, which);
    r->held[r->n_held++] = new;
    r->n_wait--;
    memmove(r->wait, r->wait + 1, r->n_wait * sizeof *r->wait);
    return true;
}

/* ---- what a prompt takes -----------------------------------------------------------------------
 */

size_t ring_items(const struct ring *r, const char *path, const char *window, size_t len,
                  struct context_item *out, size_t cap)
{
    struct line_set near, mine;
    line_set_fill(&near, window, len);
    size_t n = 0;
    for (size_t i = 0; i < r->n_held && n < cap; i++) {
        const struct chunk *c = &r->held[i];
        if (!path || !c->path || strcmp(path, c->path) == 0) {
            line_set_fill(&mine, c->text, c->len);
            if (3 * common(&near, &mine) >= mine.n) continue;
        }
        out[n++] = (struct context_item){.path = c->path,
                                         .text = c->text,
                                         .len = c->len,
                                         .kind = CONTEXT_CHUNK,
                                         .score = (double)i};
    }
    return n;
}

size_t ring_size(const struct ring *r)
{
    return r->n_held;
}

size_t ring_waiting(const struct ring *r)
{
    return r->n_wait;
}
