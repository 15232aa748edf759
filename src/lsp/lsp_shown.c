/* What became of completions: counted in the local statistics, never the text. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "lsp/lsp_int.h"

enum { MAX_SHOWN = 64, NEAR = 64, MIN_FIND = 8 };

struct shown {
    char *id, *uri, *language, *model, *text; /* owned */
    size_t offset, len;                       /* in the document; moves with edits once accepted */
    double ms;
    bool cached, counted, ended;
    int64_t row;      /* of the statistics, where counted */
    size_t accepted;  /* bytes of text */
    double check_at;  /* clock_now(); 0: not accepted */
    struct shown *next;
};

static void shown_free(struct shown *s)
{
    free(s->id);
    free(s->uri);
    free(s->language);
    free(s->model);
    free(s->text);
    free(s);
}

static size_t characters(const char *text, size_t len)
{
    return lsp_units(text, len, LSP_UTF32);
}

static void count(struct lsp *l, struct shown *s)
{
    struct error err;
    if (s->counted) return;
    size_t lines = 1;
    for (size_t i = 0; i < s->len; i++) lines += s->text[i] == '\n';
    struct stats_shown what = {.language = s->language,
                               .model = s->model,
                               .latency_ms = s->ms,
                               .cached = s->cached,
                               .chars = characters(s->text, s->len),
                               .lines = lines};
    s->counted = true;
    if (!l->set.statistics || !l->stats || stats_shown(l->stats, &what, &s->row, &err) != OK)
        s->row = -1;
}

static void dismiss(struct lsp *l, struct shown *s)
{
    struct error err;
    if (s->ended) return;
    s->ended = true;
    if (s->accepted) return;
    count(l, s);
    if (s->row >= 0) stats_dismissed(l->stats, s->row, &err);
}

/* `upto` bytes of the text are accepted by now. */
static void accept(struct lsp *l, struct shown *s, size_t upto, enum stats_part part)
{
    struct error err;
    if (upto > s->len) upto = s->len;
    if (upto <= s->accepted) return;
    count(l, s);
    if (s->row >= 0)
        stats_accepted(l->stats, s->row, part,
                       characters(s->text + s->accepted, upto - s->accepted), &err);
    s->accepted = upto;
    s->check_at = clock_now() + l->set.kept_seconds;
    if (upto == s->len) s->ended = true;
}

static struct shown *find(struct lsp *l, const char *id)
{
    struct shown *s = id ? l->shown : NULL;
    while (s && strcmp(s->id, id) != 0) s = s->next;
    return s;
}

/* Whether the new text is what is left of the old one after typing along. */
static bool goes_on(struct lsp *l, const struct shown *old, const struct shown_item *item)
{
    const struct lsp_doc *d = lsp_docs_find(&l->docs, item->uri);
    if (old->ended || old->accepted || strcmp(old->uri, item->uri) != 0 || !d) return false;
    size_t typed = item->offset - old->offset;
    return item->offset >= old->offset && item->offset <= d->text.len && typed + item->len == old->len &&
           (!typed || memcmp(old->text, d->text.data + old->offset, typed) == 0) &&
           memcmp(old->text + typed, item->text, item->len) == 0;
}

static void drop_oldest(struct lsp *l)
{
    size_t n = 0;
    for (struct shown **p = &l->shown; *p;) {
        if (++n <= MAX_SHOWN) {
            p = &(*p)->next;
            continue;
        }
        struct shown *s = *p;
        *p = s->next;
        dismiss(l, s);
        shown_free(s);
    }
}

void lsp_shown_answered(struct lsp *l, const struct shown_item *item)
{
    struct shown *s = calloc(1, sizeof *s), *old = l->shown;
    if (!s) return;
    s->id = strdup(item->id);
    s->uri = strdup(item->uri);
    s->language = strdup(item->language);
    s->model = strdup(item->model);
    s->text = malloc(item->len + 1);
    if (!s->id || !s->uri || !s->language || !s->model || !s->text) {
        shown_free(s);
        return;
    }
    memcpy(s->text, item->text, item->len);
    s->text[item->len] = 0;
    s->len = item->len;
    s->offset = item->offset;
    s->ms = item->ms;
    s->cached = item->cached;
    if (old && goes_on(l, old, item)) { /* the same one, still on the screen */
        s->counted = old->counted;
        s->row = old->row;
        s->ms = old->ms;
        s->cached = old->cached;
        old->ended = true;
    } else if (old) {
        dismiss(l, old);
    }
    s->next = l->shown;
    l->shown = s;
    drop_oldest(l);
}

/* ---- what clients tell -------------------------------------------------------------------------
 */

static const char *item_id(const json_t *params)
{
    const json_t *item = json_object_get(params, "item");
    const char *id = lsp_json_text(item, "data.id");
    if (!id) id = json_string_value(json_array_get(lsp_json_at(item, "command.arguments"), 0));
    return id ? id : lsp_json_text(params, "completionId");
}

static void accept_units(struct lsp *l, struct shown *s, const json_t *params)
{
    const char *whole = lsp_json_text(params, "item.insertText");
    size_t head = whole && strlen(whole) > s->len ? strlen(whole) - s->len : 0;
    long long units = lsp_json_int(params, "acceptedLength", 0);
    size_t skip = head ? lsp_units(whole, head, LSP_UTF16) : 0;
    if (units <= (long long)skip) return;
    size_t upto = lsp_units_offset(s->text, s->len, LSP_UTF16, (size_t)units - skip);
    bool line = upto < s->len ? s->text[upto] == '\n' || s->text[upto] == '\r' : true;
    if (upto && s->text[upto - 1] == '\n') line = true;
    accept(l, s, upto, upto == s->len && !s->accepted ? STATS_WHOLE : line ? STATS_LINE : STATS_WORD);
}

void lsp_shown_accept(struct lsp *l, const char *id)
{
    struct shown *s = find(l, id);
    if (s) accept(l, s, s->len, STATS_WHOLE);
}

void lsp_shown_event(struct lsp *l, const char *method, const json_t *params)
{
    struct shown *s = find(l, item_id(params));
    if (!s) return;
    if (strcmp(method, "textDocument/didShowCompletion") == 0) {
        count(l, s);
    } else if (strcmp(method, "textDocument/didPartiallyAcceptCompletion") == 0) {
        accept_units(l, s, params);
    } else if (strcmp(method, "textDocument/didDismissCompletion") == 0) {
        dismiss(l, s);
    } else if (strcmp(method, "tabby/telemetry/event") == 0) {
        const char *type = lsp_json_text(params, "type"), *kind = lsp_json_text(params, "selectKind");
        if (!type) return;
        if (strcmp(type, "view") == 0) count(l, s);
        if (strcmp(type, "dismiss") == 0) dismiss(l, s);
        if (strcmp(type, "select") != 0) return;
        bool line = kind && strcmp(kind, "line") == 0;
        accept(l, s, line ? strcspn(s->text, "\n") : s->len, line ? STATS_LINE : STATS_WHOLE);
    }
}

/* ---- thirty seconds later ----------------------------------------------------------------------
 */

void lsp_shown_edit(void *lsp, const struct lsp_doc *d, size_t start, size_t end, size_t len)
{
    struct lsp *l = lsp;
    for (struct shown *s = l->shown; s; s = s->next) {
        bool before = end < s->offset || (end == s->offset && start < end);
        if (s->check_at > 0 && before && strcmp(s->uri, d->uri) == 0)
            s->offset = s->offset - (end - start) + len;
    }
}

static bool still_there(struct lsp *l, const struct shown *s, bool *known)
{
    const struct lsp_doc *d = lsp_docs_find(&l->docs, s->uri);
    *known = d != NULL; /* of a closed document nothing can be said */
    if (!d || !d->text.data) return false;
    size_t from = s->offset > NEAR ? s->offset - NEAR : 0;
    size_t to = s->offset + s->accepted + NEAR;
    if (to > d->text.len) to = d->text.len;
    if (from < to && memmem(d->text.data + from, to - from, s->text, s->accepted)) return true;
    return s->accepted >= MIN_FIND && memmem(d->text.data, d->text.len, s->text, s->accepted);
}

double lsp_shown_tick(struct lsp *l)
{
    double now = clock_now(), next = -1;
    for (struct shown *s = l->shown; s; s = s->next) {
        if (s->check_at <= 0) continue;
        double left = s->check_at - now;
        if (left <= 0) {
            struct error err;
            bool known, kept = still_there(l, s, &known);
            s->check_at = 0;
            if (known && s->row >= 0) stats_kept(l->stats, s->row, kept, &err);
        } else if (next < 0 || left < next) {
            next = left;
        }
    }
    return next;
}

void lsp_shown_fini(struct lsp *l)
{
    while (l->shown) {
        struct shown *s = l->shown;
        l->shown = s->next;
        if (!s->ended) dismiss(l, s);
        shown_free(s);
    }
}
