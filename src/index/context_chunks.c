/* Code like that around the cursor: the search by words, of which the lines that fit best are cut
 * out. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "index/context_int.h"

enum {
    ABOVE = 3, /* lines of the query */
    BELOW = 1,
    FOUND = 20,
    HITS = 6,
    PER_FILE = 2,
    LINES = 10, /* of a piece */
    MAX_QUERY = 4096,
    MAX_LINES = 256, /* of a chunk */
};

/* The cursor's line, then those above it from the nearest on, then those below: the search takes
 * the first words where there are too many. */
static enum status make_query(const struct index_context_query *q, struct buf *out)
{
    const char *text = q->text;
    size_t start = q->offset, end = q->offset;
    while (start > 0 && text[start - 1] != '\n') start--;
    size_t from = q->offset - start > 512 ? q->offset - 512 : start;
    enum status st = buf_append(out, text + from, q->offset - from);
    for (size_t at = start, k = 0; st == OK && at > 0 && k < ABOVE;) {
        size_t line = at - 1;
        while (line > 0 && text[line - 1] != '\n') line--;
        size_t n = at - line < 512 ? at - line : 512;
        if (n > 1) k++;
        st = buf_append(out, " ", 1);
        if (st == OK) st = buf_append(out, text + line, n);
        at = line;
    }
    for (size_t k = 0; st == OK && end < q->len && k <= BELOW; k++) {
        const char *nl = memchr(text + end, '\n', q->len - end);
        size_t to = nl ? (size_t)(nl - text) : q->len, n = to - end < 512 ? to - end : 512;
        st = buf_append(out, " ", 1);
        if (st == OK) st = buf_append(out, text + end, n);
        end = to + 1;
    }
    for (size_t i = 0; i < out->len; i++)
        if (out->data[i] == 0) out->data[i] = ' ';
    return st;
}

struct line {
    size_t begin, end;
    float weight; /* of the names in it that stand near the cursor, too */
};

static float weigh_line(const struct context_names *names, const char *text, size_t from, size_t to)
{
    float sum = 0;
    size_t begin;
    for (size_t at = from; context_word(text, to, &at, &begin);) {
        const struct context_name *c = context_names_get(names, text + begin, at - begin);
        if (c) sum += c->weight;
    }
    return sum;
}

/* The LINES lines with the most of what stands around the cursor. */
static void best_lines(const struct context_names *names, const struct index_hit *h, size_t *begin,
                       size_t *len, uint32_t *first, uint32_t *count)
{
    struct line lines[MAX_LINES];
    size_t n = 0, most = 0;
    for (size_t at = 0; at < h->text_len && n < MAX_LINES;) {
        const char *nl = memchr(h->text + at, '\n', h->text_len - at);
        size_t end = nl ? (size_t)(nl - h->text) : h->text_len;
        lines[n++] = (struct line){at, end, weigh_line(names, h->text, at, end)};
        at = end + 1;
    }
    float best = -1;
    for (size_t i = 0; i + LINES <= n || i == 0; i++) {
        float sum = 0;
        for (size_t k = i; k < n && k < i + LINES; k++) sum += lines[k].weight;
        if (sum > best) {
            best = sum;
            most = i;
        }
    }
    size_t last = most + LINES < n ? most + LINES : n;
    *begin = n ? lines[most].begin : 0;
    *len = n ? lines[last - 1].end - *begin : 0;
    *first = (uint32_t)most;
    *count = (uint32_t)(last - most);
}

static enum status add_hit(struct context_search *s, const struct index_hit *h, float score)
{
    size_t begin, len;
    uint32_t first, count;
    best_lines(s->names, h, &begin, &len, &first, &count);
    const char *text = h->text + begin;
    if (len > CONTEXT_PIECE_BYTES) {
        len = CONTEXT_PIECE_BYTES;
        while (len > 0 && text[len] != '\n') len--;
    }
    if (len == 0 || memmem(s->q->text, s->q->len, text, len))
        return OK; /* it is in the text already */
    return context_add(s, h->path, strlen(h->path), h->line + first, h->line + first + count - 1,
                       PIECE_CODE, score, text, len);
}

static bool is_wanted(const struct context_search *s, const struct index_hits *hits, size_t i)
{
    const struct index_hit *h = &hits->list[i];
    size_t same = 0;
    if (h->kind == SYNTAX_KIND_IMPORTS || !context_same_family(s->language, h->language))
        return false;
    if (s->q->path && strcmp(h->path, s->q->path) == 0) return false;
    for (size_t k = 0; k < i; k++) same += strcmp(hits->list[k].path, h->path) == 0;
    return same < PER_FILE;
}

enum status context_chunks(struct context_search *s)
{
    static const struct index_weights weights = {.text = 1, .name = 0.3f, .near = 0.2f, .k = 5};
    double left = s->until - clock_now();
    struct buf text;
    struct index_hits hits = {0};
    if (left <= 0) {
        s->late = true;
        return OK;
    }
    buf_init(&text, MAX_QUERY + 8192);
    enum status st = make_query(s->q, &text);
    if (st) error_set(s->err, st, "out of memory for context");
    /* A search with conditions looks at five times as many candidates: what does not fit goes
     * afterwards. */
    struct index_query q = {.text = text.data,
                            .limit = FOUND,
                            .from = s->q->path,
                            .seconds = left,
                            .weights = &weights};
    if (st == OK && text.data) st = index_search(s->ix, &q, &hits, s->err);
    s->late |= hits.late;
    for (size_t i = 0, n = 0; i < hits.n && n < HITS && st == OK; i++)
        if (is_wanted(s, &hits, i)) st = add_hit(s, &hits.list[i], 1 / (1 + 0.5f * (float)n++));
    index_hits_fini(&hits);
    buf_fini(&text);
    return st;
}
