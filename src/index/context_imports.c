/* The text's own imports of the project's things: far above the cursor they are cut off where a
 * prompt is short, and with them the names that most calls into other files use. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "index/context_int.h"

enum { LOOKED_UP = 3 }; /* names of one import, until one is the project's */

/* Whether another file of the project defines one of the import's names. */
static enum status is_own(struct context_search *s, sqlite3_stmt *q, struct context_span import,
                          bool *own, float *weight)
{
    const char *text = s->q->text;
    enum status st = OK;
    size_t begin, k = 0;
    *own = false;
    *weight = 0;
    for (size_t at = import.begin; st == OK && context_word(text, import.end, &at, &begin);) {
        const struct context_name *c = context_names_get(s->names, text + begin, at - begin);
        if (!c || !c->imported) continue;
        if (c->weight > *weight) *weight = c->weight;
        if (*own || k == LOOKED_UP) continue;
        k++;
        sqlite3_bind_text(q, 1, text + begin, (int)(at - begin), SQLITE_STATIC);
        int rc = sqlite3_step(q);
        *own = rc == SQLITE_ROW;
        if (rc != SQLITE_ROW && rc != SQLITE_DONE)
            st = db_fail(&s->ix->db, "reading the index", s->err);
        sqlite3_reset(q);
    }
    return st;
}

/* An import as one line. */
static size_t fold(const char *text, struct context_span import, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = import.begin; i < import.end && n + 2 < cap; i++) {
        char c = text[i];
        bool blank = c == ' ' || c == '\n' || c == '\r' || c == '\t';
        if (blank && (n == 0 || out[n - 1] == ' ')) continue;
        out[n++] = blank ? ' ' : c;
    }
    out[n++] = '\n';
    return n;
}

/* "from .a import b" behind "from .a import c": one line. False where it is no more of the same. */
static bool merge(struct context_piece *last, const char *text, size_t len)
{
    const char *what = memmem(text, len, " import ", 8);
    if (!last || !what || len < 5 || memcmp(text, "from ", 5) != 0) return false;
    size_t head = (size_t)(what - text) + 8, tail = len - head;
    if (last->len <= head || memcmp(last->text, text, head) != 0 ||
        last->len + tail + 1 > CONTEXT_PIECE_BYTES)
        return false;
    if (memchr(last->text, '(', last->len) || memchr(text, '(', len) ||
        memmem(text, len, " as ", 4))
        return false;
    char *more = realloc(last->text, last->len + tail + 2);
    if (!more) return false;
    memcpy(more + last->len - 1, ", ", 2);
    memcpy(more + last->len + 1, text + head, tail);
    last->len += tail + 1;
    more[last->len] = 0;
    last->text = more;
    return true;
}

enum status context_imports(struct context_search *s)
{
    const struct context_names *names = s->names;
    size_t seen = s->q->offset > s->q->near_bytes ? s->q->offset - s->q->near_bytes : 0;
    sqlite3_stmt *q;
    if (!s->q->path || names->n_imports == 0 || names->imports[0].begin >= seen) return OK;
    enum status st =
        db_prepare(&s->ix->db, "SELECT 1 FROM definitions WHERE name = ?1 LIMIT 1", &q, s->err);
    uint32_t line = 1;
    for (size_t i = 0, at = 0; st == OK && i < names->n_imports && names->imports[i].begin < seen;
         i++) {
        char text[CONTEXT_PIECE_BYTES];
        bool own;
        float weight;
        for (; at < names->imports[i].begin; at++) line += s->q->text[at] == '\n';
        st = is_own(s, q, names->imports[i], &own, &weight);
        if (st || !own) continue;
        struct context_piece *last =
            s->n && s->list[s->n - 1].kind == PIECE_IMPORT ? &s->list[s->n - 1] : NULL;
        size_t len = fold(s->q->text, names->imports[i], text, sizeof text);
        if (merge(last, text, len)) {
            if (last->score < 1 + weight) last->score = 1 + weight;
            continue;
        }
        st = context_add(s, s->q->path, strlen(s->q->path), line, line, PIECE_IMPORT, 1 + weight,
                         text, len);
        if (clock_now() > s->until) {
            s->late = true;
            break;
        }
    }
    sqlite3_finalize(q);
    return st;
}
